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

  /// Index into topology().shards, or kNoShard. One load, as a rule of what the cache holds.
  [[nodiscard]] ShardIndex shard_of(Slot slot) const {
    const ShardIndex common = shard_of_block_[slot / kBlockSlots];
    return common == kMixed ? shard_of_[slot] : common;
  }
  [[nodiscard]] const Topology& topology() const { return topology_; }

  /// The same map with one slot served by `primary` (a MOVED). The node keeps its shard when it is the primary of one;
  /// when it is a known replica it becomes the primary of that shard for this slot only (a new shard is made); an
  /// unknown node makes a new shard.
  [[nodiscard]] SlotMap with_slot_moved(Slot slot, const Address& primary) const;

 private:
  /// Shards hold long ranges of slots: most blocks of them are of one shard, and these few say it for all.
  static constexpr Slot kBlockSlots = 64;
  static constexpr ShardIndex kMixed = 0xfffe;

  Topology topology_;
  std::array<ShardIndex, kSlotCount / kBlockSlots> shard_of_block_;
  std::array<ShardIndex, kSlotCount> shard_of_;
};

}  // namespace cluster
