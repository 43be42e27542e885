#include "src/router.h"

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>

#include "src/limits.h"

namespace sluice {
namespace {

using pool::Node;

/// The salt's choice among healthy nodes; nullptr when none is.
Node* healthy(std::span<Node* const> nodes, std::uint32_t salt) {
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    Node* node = nodes[(salt + i) % nodes.size()];
    if (!node->failing()) return node;
  }
  return nullptr;
}

}  // namespace

Router::Router(pool::Pool& pool, const BackendConfig& config)
    : pool_(pool), config_(config), map_(std::make_unique<cluster::SlotMap>(cluster::Topology{})) {}

Node* Router::node_for(const pool::RequestKind& kind, std::uint32_t salt) {
  if (shards_.empty()) return nullptr;
  if (kind.slot == pool::RequestKind::kNoSlot) {
    // Any node will do; the same one for the same client, past primaries that are down.
    for (std::size_t i = 0; i < shards_.size(); ++i) {
      Node* node = shards_[(salt + i) % shards_.size()].primary;
      if (!node->failing()) return node;
    }
    return shards_[salt % shards_.size()].primary;
  }
  const cluster::SlotMap::ShardIndex index = map_->shard_of(kind.slot);
  if (index == cluster::SlotMap::kNoShard) return nullptr;
  const ShardNodes& shard = shards_[index];
  const bool to_primary = !kind.read_only || config_.read_from == ReadFrom::kPrimary;
  return to_primary ? shard.primary : reader(shard, salt);
}

Node* Router::reader(const ShardNodes& shard, std::uint32_t salt) const {
  switch (config_.read_from) {
    case ReadFrom::kPrimary:
      return shard.primary;
    case ReadFrom::kPreferReplica:
      if (Node* node = healthy(shard.replicas, salt)) return node;
      return shard.primary;
    case ReadFrom::kReplica:
      if (Node* node = healthy(shard.replicas, salt)) return node;
      return shard.replicas.empty() ? nullptr : shard.replicas[salt % shard.replicas.size()];
    case ReadFrom::kAny:
      if (Node* node = healthy(shard.all, salt)) return node;
      return shard.primary;
    case ReadFrom::kZone:
      return in_zone(shard, salt);
  }
  return shard.primary;
}

Node* Router::in_zone(const ShardNodes& shard, std::uint32_t salt) const {
  for (std::size_t i = 0; i < shard.all.size(); ++i) {
    Node* node = shard.all[(salt + i) % shard.all.size()];
    if (!node->failing() && node->zone() == config_.zone) return node;
  }
  Node* elsewhere = healthy(shard.all, salt);
  return elsewhere == nullptr ? shard.primary : elsewhere;
}

pool::Lane& Router::lane_of(Node& node, const pool::RequestKind& kind, std::uint32_t salt) {
  if (kind.urgent) [[unlikely]] {
    if (pool::Lane* own = large_lane_of(node, kind)) return *own;
  }
  return node.lane(lane_key(node, kind), salt);
}

pool::Lane& Router::lane_behind(Node& node, const pool::RequestKind& kind, std::uint32_t salt) {
  if (kind.urgent) [[unlikely]]
    return lane_of(node, kind, salt);
  return node.lane_behind(lane_key(node, kind), salt);
}

pool::LaneKey Router::lane_key(const Node& node, const pool::RequestKind& kind) {
  // One lane for a primary's reads and writes: they must not overtake each other.
  return {kind.protocol, kind.read_only && node.is_replica(), kind.database};
}

pool::Lane* Router::large_lane_for(const pool::RequestKind& kind, std::uint32_t salt) {
  Node* node = node_for(kind, salt);
  return node == nullptr ? nullptr : large_lane_of(*node, kind);
}

pool::Lane* Router::large_lane_of(Node& node, const pool::RequestKind& kind) {
  return node.large_lane(lane_key(node, kind));
}

pool::Lane* Router::lane_for(const pool::RequestKind& kind, std::uint32_t salt) {
  Node* node = node_for(kind, salt);
  return node == nullptr ? nullptr : &lane_of(*node, kind, salt);
}

bool Router::adopt(cluster::Topology topology) {
  map_changes_ = 0;
  if (topology == map_->topology()) return false;
  if (!std::ranges::equal(topology.shards, map_->topology().shards, {}, &cluster::Shard::ranges,
                          &cluster::Shard::ranges))
    ++layout_;
  map_ = std::make_unique<cluster::SlotMap>(std::move(topology));
  resolve();
  return true;
}

void Router::move_slot(cluster::Slot slot, const cluster::Address& primary) {
  // A storm of MOVEDs says the same thing many times; a new map costs its whole size.
  const cluster::SlotMap::ShardIndex known = map_->shard_of(slot);
  if (known != cluster::SlotMap::kNoShard && topology().shards[known].primary.address == primary) return;
  if (map_changes_ == limits::kMapChanges) return;
  ++map_changes_;
  ++layout_;
  map_ = std::make_unique<cluster::SlotMap>(map_->with_slot_moved(slot, primary));
  resolve();
}

void Router::resolve() {
  ++version_;
  std::vector<Node*> replicas;
  for (const auto& [name, node] : pool_.nodes()) {
    if (node->is_replica()) replicas.push_back(node.get());
    node->set_wanted(false);
    node->set_replica(false);
  }
  shards_.clear();
  const auto resolved = [this](const cluster::Node& each, bool replica) {
    Node& node = pool_.node(each.address.host, each.address.port);
    node.set_wanted(true);
    node.set_replica(replica);
    if (!each.zone.empty()) node.set_zone(each.zone);
    return &node;
  };
  for (const cluster::Shard& shard : map_->topology().shards) {
    ShardNodes& nodes = shards_.emplace_back();
    nodes.primary = resolved(shard.primary, false);
    nodes.all.push_back(nodes.primary);
    for (const cluster::Node& replica : shard.replicas) nodes.replicas.push_back(resolved(replica, true));
    nodes.all.insert(nodes.all.end(), nodes.replicas.begin(), nodes.replicas.end());
  }
  // A node that has just been promoted may still stand among the replicas of another shard.
  for (const ShardNodes& shard : shards_) {
    shard.primary->set_replica(false);
    if (std::ranges::find(replicas, shard.primary) != replicas.end()) shard.primary->note_promotion();
  }
  if (config_.read_from != ReadFrom::kZone) return;
  for (const ShardNodes& shard : shards_) {
    for (Node* node : shard.all) node->introduce();
  }
}

}  // namespace sluice
