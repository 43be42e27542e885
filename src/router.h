// Which lane a request takes: the slot map, resolved to nodes of the pool, and the read preference.
// Thread: one worker; each has its own copy.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cluster/slot_map.h"
#include "pool/pool.h"
#include "src/config.h"

namespace sluice {

class Router {
 public:
  Router(pool::Pool& pool, const BackendConfig& config);

  /// The node that takes requests of this kind; nullptr when nothing is known of its slot yet. `salt` is the client's:
  /// the same client goes to the same node while the topology stays as it is.
  [[nodiscard]] pool::Node* node_for(const pool::RequestKind& kind, std::uint32_t salt);
  /// The lane of that node. nullptr as above.
  [[nodiscard]] pool::Lane* lane_for(const pool::RequestKind& kind, std::uint32_t salt);
  [[nodiscard]] static pool::Lane& lane_of(pool::Node& node, const pool::RequestKind& kind, std::uint32_t salt);

  /// The same for a request that has been under way before.
  [[nodiscard]] static pool::Lane& lane_behind(pool::Node& node, const pool::RequestKind& kind, std::uint32_t salt);

  /// A lane of that node for a large value; nullptr also when all it may have are in use.
  [[nodiscard]] pool::Lane* large_lane_for(const pool::RequestKind& kind, std::uint32_t salt);
  [[nodiscard]] static pool::Lane* large_lane_of(pool::Node& node, const pool::RequestKind& kind);

  /// Requests may take another way than those before them.
  void on_lane_replaced() { ++version_; }
  /// Takes a new topology; false when it says nothing new.
  bool adopt(cluster::Topology topology);
  /// One slot has moved (MOVED). Of many since the last adopt() not all are noted.
  void move_slot(cluster::Slot slot, const cluster::Address& primary);

  /// Changes whenever a slot may have a new node.
  [[nodiscard]] std::uint32_t version() const { return version_; }
  /// Changes whenever a slot may have gone from one shard to another.
  [[nodiscard]] std::uint32_t layout() const { return layout_; }
  [[nodiscard]] bool knows_topology() const { return !shards_.empty(); }
  /// What is known has been changed by MOVEDs since it was last adopted: the shards may not be those of the cluster.
  [[nodiscard]] bool is_patched() const { return map_changes_ > 0; }
  [[nodiscard]] const cluster::Topology& topology() const { return map_->topology(); }
  [[nodiscard]] const cluster::SlotMap& map() const { return *map_; }
  /// A standalone server has one shard and no slots.
  [[nodiscard]] bool is_cluster() const { return config_.kind == BackendKind::kCluster; }

 private:
  struct ShardNodes {
    pool::Node* primary;
    std::vector<pool::Node*> replicas;
    std::vector<pool::Node*> all;  ///< primary first
  };

  [[nodiscard]] static pool::LaneKey lane_key(const pool::Node& node, const pool::RequestKind& kind);
  void resolve();
  [[nodiscard]] pool::Node* reader(const ShardNodes& shard, std::uint32_t salt) const;
  [[nodiscard]] pool::Node* in_zone(const ShardNodes& shard, std::uint32_t salt) const;

  pool::Pool& pool_;
  const BackendConfig& config_;
  std::unique_ptr<cluster::SlotMap> map_;
  std::vector<ShardNodes> shards_;  ///< as map_->topology().shards
  std::uint32_t version_ = 0;
  std::uint32_t layout_ = 0;
  int map_changes_ = 0;  ///< by move_slot(), since the last adopt()
};

}  // namespace sluice
