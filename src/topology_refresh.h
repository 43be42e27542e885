// Keeps the slot map true: asks several nodes, takes what most of them say. One refresh at a time, on demand (a MOVED,
// a lost node) and by interval; a storm of demands causes one.
//
// A cluster's nodes are asked CLUSTER SLOTS; standalone servers are asked ROLE, and make one shard with all slots.
// Thread: one worker.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/topology.h"
#include "pool/pool.h"
#include "pool/reply_sink.h"
#include "src/config.h"
#include "src/redirection.h"
#include "src/router.h"

namespace sluice {

/// Hears of a new topology. Called inside the turn.
class TopologyListener {
 public:
  virtual void on_topology_changed() = 0;
  /// A node does not tell the topology: `error` without its line end.
  virtual void on_topology_refused(const cluster::Address& node, std::string_view error) = 0;
  /// Of a standalone group, after each round: `other` says that it is the primary too; null when nobody does.
  virtual void on_second_primary(const cluster::Address& primary, const cluster::Address* other) = 0;

 protected:
  ~TopologyListener() = default;
};

class TopologyRefresh final : pool::ReplySink, public RefreshRequester {
 public:
  TopologyRefresh(const BackendConfig& config, Router& router, pool::Pool& pool, pool::PendingReplies& pending,
                  TopologyListener& listener);

  void refresh_topology() override { wanted_ = true; }
  /// Starts, ends and gives up rounds; each turn may call it, each tick must. `in_trouble`: requests wait for a node,
  /// another one may serve their slots by now.
  void tick(std::uint32_t now_ms, bool in_trouble);

  [[nodiscard]] std::uint64_t rounds() const { return rounds_; }
  [[nodiscard]] std::uint64_t changes() const { return changes_; }

 private:
  struct Answer {
    cluster::Address asked;
    std::optional<cluster::Topology> topology;  ///< cluster
    bool is_primary = false;                    ///< standalone
    bool is_replica = false;                    ///< standalone
    bool tells_no_role = false;                 ///< standalone: it has no ROLE, or its user may not ask
    std::vector<cluster::Node> replicas;        ///< standalone, of a primary
    bool heard = false;
  };

  void start(std::uint32_t now_ms);
  void finish();
  void ask_again();
  [[nodiscard]] std::vector<cluster::Address> candidates();
  [[nodiscard]] const cluster::Address& usual_primary() const;
  [[nodiscard]] cluster::Topology standalone_topology() const;
  void tell_of_roles(const cluster::Topology& found);
  void read_role(const resp::Value& reply, Answer& answer) const;

  void on_reply(pool::PendingReply& pending, std::string_view reply) override;
  void on_lost(pool::PendingReply& pending, pool::Loss loss, std::string_view reason) override;
  void heard(pool::PendingReply& pending, std::string_view reply);

  const BackendConfig& config_;
  Router& router_;
  pool::Pool& pool_;
  pool::PendingReplies& pending_;
  TopologyListener& listener_;
  std::vector<Answer> answers_;  ///< of the round under way; empty between rounds
  std::size_t outstanding_ = 0;
  std::size_t good_answers_ = 0;
  bool wanted_ = true;
  bool incomplete_ = false;       ///< some slots have no node
  std::uint32_t started_ms_ = 0;  ///< of the round under way
  std::uint32_t next_ms_ = 0;     ///< by interval
  std::uint64_t rounds_ = 0;
  std::uint64_t changes_ = 0;
  std::minstd_rand random_;
};

}  // namespace sluice
