// Which shard serves a slot. Immutable: a new topology makes a new map.
// Thread: constant after construction.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "cluster/topology.h"

namespace cluster {

class SlotMap {
 public:
  using ShardIndex = std::uint16_t;
  static constexpr ShardIndex kNoShard = 0xffff;

  explicit SlotMap(Topology topology);

  /// Index into topology().shards, or kNoShard. One load.
  [[nodiscard]] ShardIndex shard_of(Slot slot) const { return shard_of_[slot]; }
  [[nodiscard]] const Topology& topology() const { return topology_; }

  /// The same map with one slot served by `primary` (a MOVED). The node keeps its shard when it is the primary of one;
  /// when it is a known replica it becomes the primary of that shard for this slot only (a new shard is made); an
  /// unknown node makes a new shard.
  [[nodiscard]] SlotMap with_slot_moved(Slot slot, const Address& primary) const;

 private:
  Topology topology_;
  std::array<ShardIndex, kSlotCount> shard_of_;
};

}  // namespace cluster
