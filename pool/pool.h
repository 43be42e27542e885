// All nodes one worker is connected to. It is handed addresses and knows no slots: who is asked for what is decided
// elsewhere. Thread: one worker.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "pool/node.h"
#include "pool/pending_reply.h"
#include "uring/relay.h"
#include "uring/resolver.h"
#include "uring/stream.h"

namespace pool {

/// How connections are made and kept. Times in milliseconds.
struct Settings {
  std::string username;
  std::string password;
  std::chrono::milliseconds connect_timeout{3'000};
  std::uint32_t command_timeout_ms = 10'000;  ///< a lane that owes replies and hears nothing that long is given up
  std::uint32_t silence_ms = 1'000;           ///< without a reply that long, it may be that another serves its slots
  std::uint32_t idle_timeout_ms = 180'000;    ///< a lane without requests that long is closed; 0: never
  std::uint32_t ping_interval_ms = 5'000;     ///< a quiet lane is pinged
  std::uint32_t failure_threshold = 2;        ///< failures in a row that make a node failing
  std::uint32_t lanes_per_node = 1;
  std::uint32_t gather_us = 100;           ///< a server that owes replies is sent more so much later: Pool::flush()
  std::size_t gather_bytes = 16U << 10;    ///< or as soon as there is so much
  bool read_only_replicas = true;          ///< send READONLY on lanes to replicas (cluster)
  bool ask_zone = false;                   ///< also by INFO: Valkey 8.0 tells its zone nowhere else
  std::size_t max_lane_bytes = 64U << 20;  ///< requests kept per lane until answered; beyond: full
  std::size_t max_lane_requests = 1U << 20;
  std::uint64_t large_bytes = 96U << 10;     ///< strings of this size and more are relayed
  std::uint32_t piece_bytes = 16U << 10;     ///< on a large lane: received by copy at most, relayed at least
  std::size_t max_large_lanes = 64;          ///< per node and kind of connection
  std::size_t max_reply_bytes = 1ULL << 30;  ///< one reply held whole; of a larger one its client gets an error
};

/// What the pool tells the worker. Called inside the turn.
class PoolHandler {
 public:
  virtual void on_node_ready(Node& node) = 0;
  virtual void on_node_lost(Node& node, std::string_view reason) = 0;
  /// New requests take another connection than those under way.
  virtual void on_lane_replaced() = 0;
  /// A lane that was full has room again.
  virtual void on_room() = 0;

 protected:
  ~PoolHandler() = default;
};

/// Since start, over all lanes.
struct PoolCounters {
  std::uint64_t requests = 0;
  std::uint64_t replies = 0;
  std::uint64_t connects = 0;
  std::uint64_t connect_failures = 0;
  std::uint64_t lost_connections = 0;
  std::uint64_t lost_requests = 0;
  std::uint64_t large_replies = 0;   ///< sent on in pieces as they came
  std::uint64_t large_requests = 0;  ///< the same
};

class Pool {
 public:
  /// All references outlive the pool. `room.chunks` is also what `pending` keeps its requests in.
  Pool(uring::StreamRoom& room, uring::Resolver& resolver, PendingReplies& pending, PoolHandler& handler,
       Settings settings);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  /// The node at an address, made when new. The reference stays good while the node is wanted or has requests pending,
  /// else for ten seconds.
  [[nodiscard]] Node& node(std::string_view host, std::uint16_t port);

  /// A copy of a request's bytes, one reference held, for a request that no lane takes yet.
  [[nodiscard]] uring::ChunkSpan keep(std::string_view request);

  /// One send for each lane that has something to send. `soon_again`: the next call comes within a fraction of a
  /// millisecond whatever happens. Then a lane that owes replies waits up to Settings::gather_us after its last send
  /// for more to send: its server is at work and would hardly read it sooner.
  void flush(bool soon_again = false);
  /// Deadlines and health; a few times a second.
  void tick(std::uint32_t now_ms);
  /// Ends all connections; gone() when nothing is in flight any more.
  void retire();
  [[nodiscard]] bool gone() const;

  [[nodiscard]] const std::map<std::string, std::unique_ptr<Node>, std::less<>>& nodes() const { return nodes_; }
  /// As far as they have told.
  [[nodiscard]] bool all_speak_resp3() const;
  [[nodiscard]] const PoolCounters& counters() const { return counters_; }
  /// Lanes that owe replies.
  [[nodiscard]] unsigned busy_lanes() const { return busy_lanes_; }
  [[nodiscard]] std::uint32_t now_ms() const { return now_ms_; }
  /// The node that has just answered with an error. Only within ReplySink::on_reply().
  [[nodiscard]] Node& answering() const { return *answering_; }
  /// Somebody has owed a reply for a while, as of the last tick (Settings::silence_ms).
  [[nodiscard]] bool has_silent_node() const { return has_silent_node_; }
  /// Where requests and replies lie that are handed on; see there.
  [[nodiscard]] uring::Offer& offer() { return offer_; }
  /// Relays that go on with the next turn: it should come soon.
  [[nodiscard]] bool has_relays_waiting() const { return !relays_.going_on.empty(); }
  [[nodiscard]] uring::RelayRoom& relays() { return relays_; }
  [[nodiscard]] std::uint64_t relayed_bytes() const { return relays_.relayed_bytes; }
  /// The worker's clock in two units, set once per turn.
  void set_clock(std::uint32_t now_ms, std::uint32_t now_us) {
    now_ms_ = now_ms;
    now_us_ = now_us;
  }

 private:
  friend class Lane;
  friend class LargeReply;
  friend class Node;

  void mark_dirty(Lane& lane) { dirty_.push_back(&lane); }
  [[nodiscard]] std::uint32_t back_off_ms(std::uint32_t failures);

  uring::StreamRoom& room_;
  uring::Resolver& resolver_;
  PendingReplies& pending_replies_;
  PoolHandler& handler_;
  Settings settings_;
  std::map<std::string, std::unique_ptr<Node>, std::less<>> nodes_;
  std::vector<Lane*> dirty_;
  uring::RelayRoom relays_;
  uring::Offer offer_;
  Node* answering_ = nullptr;
  bool has_silent_node_ = false;
  std::vector<std::unique_ptr<LargeReply>> ended_replies_;  ///< of lanes that were lost; gone by the end of the turn
  PoolCounters counters_;
  unsigned busy_lanes_ = 0;
  std::uint32_t now_ms_ = 0;
  std::uint32_t now_us_ = 0;
  std::minstd_rand jitter_;
};

/// "host:port", with brackets around an IPv6 address.
[[nodiscard]] std::string node_name(std::string_view host, std::uint16_t port);

}  // namespace pool
