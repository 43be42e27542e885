#include "cluster/slot_map.h"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <span>
#include <utility>

#include "cluster/topology_builder.h"

namespace cluster {
namespace {

/// A node that an error named, with the replicas it may have: what the topology knows about it.
struct Newcomer {
  Node node;
  std::vector<Node> replicas;
};

/// A replica that took over a slot keeps its siblings. The old primary is not made one of them: it may be gone.
Newcomer look_up(const Topology& topology, const Address& address) {
  for (const auto& shard : topology.shards) {
    for (const auto& replica : shard.replicas) {
      if (replica.address == address) return {.node = replica, .replicas = shard.replicas};
    }
  }
  return {.node = {.address = address, .id = {}, .zone = {}}, .replicas = {}};
}

TopologyBuilder rebuild(const Topology& topology) {
  TopologyBuilder builder;
  for (const auto& shard : topology.shards) {
    const auto index = builder.shard_of(shard.primary);
    for (const auto& replica : shard.replicas) builder.add_replica(index, replica);
    for (const auto range : shard.ranges) builder.claim(range, index);
  }
  return builder;
}

}  // namespace

SlotMap::SlotMap(Topology topology) : topology_(std::move(topology)) {
  assert(topology_.shards.size() < kMixed);
  shard_of_.fill(kNoShard);
  for (std::size_t index = 0; index < topology_.shards.size(); ++index) {
    for (const auto range : topology_.shards[index].ranges) {
      for (std::uint32_t slot = range.first; slot <= range.last; ++slot) {
        shard_of_[slot] = static_cast<ShardIndex>(index);
      }
    }
  }
  for (std::size_t i = 0; i < shard_of_block_.size(); ++i) {
    const auto block = std::span(shard_of_).subspan(i * kBlockSlots, kBlockSlots);
    const bool is_mixed = std::ranges::any_of(block, [&](ShardIndex shard) { return shard != block.front(); });
    shard_of_block_[i] = is_mixed ? kMixed : block.front();
  }
}

SlotMap SlotMap::with_slot_moved(Slot slot, const Address& primary) const {
  assert(slot < kSlotCount);
  auto builder = rebuild(topology_);
  auto shard = builder.find_shard(primary);
  if (!shard) {
    const auto newcomer = look_up(topology_, primary);
    shard = builder.shard_of(newcomer.node);
    for (const auto& replica : newcomer.replicas) builder.add_replica(*shard, replica);
  }
  builder.assign(slot, *shard);
  return SlotMap(builder.build());
}

}  // namespace cluster
