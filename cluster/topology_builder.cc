#include "cluster/topology_builder.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace cluster {

TopologyBuilder::TopologyBuilder() {
  owner_.fill(kNobody);
}

void TopologyBuilder::learn(const Node& node) {
  auto& known = nodes_.try_emplace(node.address, node).first->second;
  if (known.id.empty()) known.id = node.id;
  if (known.zone.empty()) known.zone = node.zone;
}

TopologyBuilder::Index TopologyBuilder::shard_of(const Node& primary) {
  learn(primary);
  const auto [found, is_new] = by_primary_.try_emplace(primary.address, static_cast<Index>(drafts_.size()));
  if (is_new) {
    assert(drafts_.size() < kNobody);
    drafts_.push_back({.primary = primary.address, .replicas = {}});
  }
  return found->second;
}

std::optional<TopologyBuilder::Index> TopologyBuilder::find_shard(const Address& primary) const {
  const auto found = by_primary_.find(primary);
  return found == by_primary_.end() ? std::nullopt : std::optional(found->second);
}

void TopologyBuilder::add_replica(Index shard, const Node& replica) {
  if (replica.address == drafts_[shard].primary) return;
  learn(replica);
  drafts_[shard].replicas.push_back(replica.address);
}

void TopologyBuilder::claim(SlotRange range, Index shard) {
  assert(range.first <= range.last && range.last < kSlotCount);
  for (std::uint32_t slot = range.first; slot <= range.last; ++slot) {
    if (owner_[slot] == kNobody) owner_[slot] = shard;
  }
}

Topology TopologyBuilder::build() const {
  Topology topology;
  std::vector<std::size_t> place(drafts_.size(), drafts_.size());  // draft -> shard; drafts_.size(): not met yet
  for (std::uint32_t slot = 0; slot < kSlotCount; ++slot) {
    const auto owner = owner_[slot];
    if (owner == kNobody) continue;
    if (place[owner] == drafts_.size()) {
      place[owner] = topology.shards.size();
      topology.shards.push_back(finish(drafts_[owner]));
    }
    auto& ranges = topology.shards[place[owner]].ranges;
    if (!ranges.empty() && ranges.back().last + 1U == slot) {
      ranges.back().last = static_cast<Slot>(slot);
    } else {
      ranges.push_back({static_cast<Slot>(slot), static_cast<Slot>(slot)});
    }
  }
  return topology;
}

Shard TopologyBuilder::finish(const Draft& draft) const {
  Shard shard{.primary = nodes_.at(draft.primary), .replicas = {}, .ranges = {}};
  auto addresses = draft.replicas;
  std::ranges::sort(addresses);
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
  for (const auto& address : addresses) shard.replicas.push_back(nodes_.at(address));
  return shard;
}

}  // namespace cluster
