// One thread's share of the proxy, and the turn it lives by:
//
//     client bytes                                                       backend bytes
//      Session: RequestParser -> Request (views)                           Lane: ReplyScanner (boundaries)
//      Dispatch: CommandTable, KeyFinder, Router -> Lane                         oldest PendingReply of this lane
//      PendingReply, in the session's line                                       -> its Session (or FanOut, ...)
//      Lane's queue, in the lane's line                                   Session releases the ready front, in order
//      end of turn: one send per dirty lane                               end of turn: one send per dirty session
//
//     turn:  wait -> deliver (handlers parse, route, enqueue; they never send, block or destroy)
//            -> resume held sessions -> flush lanes, flush sessions -> reap the closed
//
// A worker owns its ring, buffers, lanes, slot map and sessions; nothing is shared with other workers but letters.
// Thread: run() and everything it calls belong to one thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "pool/pool.h"
#include "resp/command_table.h"
#include "resp/request_parser.h"
#include "src/balance.h"
#include "src/command_learning.h"
#include "src/config.h"
#include "src/dispatch.h"
#include "src/key_watch.h"
#include "src/large_keys.h"
#include "src/pace.h"
#include "src/redirection.h"
#include "src/router.h"
#include "src/session.h"
#include "src/topology_refresh.h"
#include "uring/features.h"
#include "uring/mailbox.h"
#include "uring/resolver.h"
#include "uring/stream.h"
#include "uring/timer.h"

namespace sluice {

class Front;
class LargeUpload;

/// Since start; shown by SLUICE INFO.
struct WorkerCounters {
  std::uint64_t commands = 0;
  std::uint64_t clients_accepted = 0;
  std::uint64_t clients_too_slow = 0;
  std::uint64_t clients_timed_out = 0;
  std::uint64_t protocol_errors = 0;
  std::uint64_t clients_handed_over = 0;
};

class Worker final : uring::TimerHandler, pool::PoolHandler, TopologyListener, LearningListener {
 public:
  /// `config`, `resolver` and `front` outlive the worker. open() must run in the worker's thread.
  Worker(const Config& config, const uring::Features& features, uring::Resolver& resolver, Front& front,
         unsigned index);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// Sets up ring and buffers. On failure: which step, and errno.
  [[nodiscard]] std::error_code open(std::string& step);
  /// Turns until told to stop and nothing is in flight any more.
  void run();

  /// Takes an accepted socket.
  void adopt(int fd);
  /// Takes a client from another worker.
  void adopt(MovingClient client, unsigned from);
  /// Which clients go to other workers.
  struct HandOver {
    std::vector<Balance::Share> shares;
    std::uint32_t least_age_ms = 0;  ///< of those that go
    bool drains = false;             ///< those too that always have requests under way
  };
  /// Clients that are active go, until it is called again.
  void hand_over(HandOver order);
  /// Another worker has found that another server is the primary now.
  void hear_of_primary() { refresh_.refresh_topology(); }
  /// So many workers share the load from now on.
  void share_load(std::size_t workers) { pace_.share(workers); }
  /// Sessions finish what is due and close; then run() returns.
  void stop();

  // --- For sessions and those who serve them ---
  [[nodiscard]] const Config& config() const { return config_; }
  [[nodiscard]] std::uint32_t now_ms() const { return pool_.now_ms(); }
  [[nodiscard]] uring::Ring& ring() { return ring_; }
  [[nodiscard]] uring::StreamRoom& client_room() { return client_room_; }
  [[nodiscard]] pool::PendingReplies& pending_replies() { return pending_replies_; }
  [[nodiscard]] pool::Pool& pool() { return pool_; }
  [[nodiscard]] Router& router() { return router_; }
  [[nodiscard]] Redirection& redirection() { return redirection_; }
  [[nodiscard]] CommandLearning& learning() { return learning_; }
  [[nodiscard]] Dispatch& dispatch() { return *dispatch_; }
  [[nodiscard]] resp::CommandTable& commands() { return commands_; }
  [[nodiscard]] LargeKeys& large_keys() { return large_keys_; }
  [[nodiscard]] KeyWatch& key_watch() { return key_watch_; }
  [[nodiscard]] WorkerCounters& counters() { return counters_; }
  /// The request being parsed: one for all sessions, used again and again.
  [[nodiscard]] resp::Request& request() { return request_; }
  [[nodiscard]] const resp::RequestLimits& request_limits() const { return request_limits_; }
  /// What HELLO tells clients: a backend's version once one is known.
  [[nodiscard]] std::string server_version() const;
  /// Completes a session's place in its line for whoever has worked on it; lets it go when the client is gone.
  void settle(pool::PendingReply& whole, std::string_view reply);
  /// The reply to this request holds a large string, or holds none any more.
  void note_large(const pool::PendingReply& pending);
  void forget_large(const pool::PendingReply& pending);
  /// This worker's part of SLUICE INFO.
  [[nodiscard]] std::string describe() const;

  /// At the end of this turn, or of one soon (Session::gathers).
  void flush_later(Session& session) { dirty_.push_back(&session); }
  /// A client has sent something; the last time it did was at `before_ms`.
  void count_client(std::uint32_t before_ms) { pace_.count_client(now_ms(), before_ms); }
  /// A client has begun (1) or ceased (-1) to wait for replies.
  void count_waiting(int change) { waiting_clients_ += static_cast<unsigned>(change); }
  /// The worker's clock in microseconds modulo 2^32.
  [[nodiscard]] std::uint32_t now_us() const { return now_us_; }
  void resume_later(Session& session);
  /// Session::reconsider() at the end of the turn, once: it is a walk along all that is in doubt.
  void reconsider_later(Session& session);
  void resume_when_learned(Session& session) { learners_.push_back(&session); }
  /// One held with Hold::kTopology is resumed at the next tick, at the latest. Returns since when it waits: all that it
  /// has sent meanwhile waits no longer than the first.
  [[nodiscard]] std::uint32_t await_topology(Session& session) {
    return topology_awaited_.try_emplace(&session, now_ms()).first->second;
  }
  void close_later(Session& session) { closing_.push_back(&session); }
  /// A client is closed that has not asked for it: a line in the log for debugging. When `alarming` it is a warning,
  /// but once in a while only, as clients can cause it.
  void log_closing(const Session& session, std::string_view why, bool alarming = false);
  void reap_later(Session& session) { closed_.push_back(&session); }
  /// Some clients are to go to other workers.
  [[nodiscard]] bool hands_over() const { return !order_.shares.empty(); }
  /// Where this one is to go, or nullptr.
  [[nodiscard]] Worker* next_worker(const Session& session) const;
  [[nodiscard]] bool drains_clients() const { return order_.drains; }
  /// That it is not read for it costs it a tick at most.
  void end_draining_soon(Session& session) { draining_.push_back(&session); }
  /// Its input waits: it is looked at each tick until relieve() says that it does not.
  void watch_stuck(Session& session) { stuck_.push_back(&session); }
  /// It goes there, with nothing under way.
  void move(Session& session, Worker& there);
  /// Destroys it at the end of the turn: it may be in the middle of a call.
  void bury(std::unique_ptr<LargeUpload> upload);
  [[nodiscard]] std::vector<LargeUpload*>& uploads() { return uploads_; }

  [[nodiscard]] unsigned index() const { return index_; }
  /// See Balance::in_use(). Known to the first worker.
  [[nodiscard]] std::size_t workers_in_use() const;
  /// All of this process, this one among them.
  [[nodiscard]] const std::vector<Worker*>& workers() const;
  [[nodiscard]] const uring::Mailbox& mailbox() const { return mailbox_; }

 private:
  void turn();
  std::uint64_t set_clock();
  [[nodiscard]] std::uint64_t bytes_moved() const;
  void finish_turn();
  void flush_sessions();
  void tick();
  void tell_use();
  void tell_of_primary();
  Session& add(std::uint64_t id);
  void check_sessions();
  [[nodiscard]] bool is_late(Session& session) const;
  void resume_held(Hold reason);
  void resume_topology_awaited();
  void remove(Session& session);
  [[nodiscard]] bool done() const;

  void on_timer() override;
  void on_node_ready(pool::Node& node) override;
  void on_node_lost(pool::Node& node, std::string_view reason) override;
  void on_lane_replaced() override { router_.on_lane_replaced(); }
  void on_room() override;
  void on_topology_changed() override;
  void on_topology_refused(const cluster::Address& node, std::string_view error) override;
  void on_second_primary(const cluster::Address& primary, const cluster::Address* other) override;
  void on_command_learned() override;

  const Config& config_;
  uring::Features features_;
  Front& front_;
  unsigned index_;
  uring::Mailbox mailbox_{-1};
  uring::Ring ring_;
  uring::BufferRing client_buffers_;
  uring::BufferRing backend_buffers_;
  uring::ChunkPool client_chunks_;
  uring::ChunkPool backend_chunks_;
  uring::StreamRoom client_room_;
  uring::StreamRoom backend_room_;
  pool::PendingReplies pending_replies_;
  pool::Pool pool_;
  Router router_;
  TopologyRefresh refresh_;
  Redirection redirection_;
  resp::CommandTable commands_;
  LargeKeys large_keys_;
  CommandLearning learning_;
  resp::Request request_;
  resp::RequestLimits request_limits_;
  KeyWatch key_watch_;
  WorkerCounters counters_;
  Pace pace_;
  std::unique_ptr<Dispatch> dispatch_;
  uring::Timer tick_;

  Session* sessions_ = nullptr;
  std::size_t session_count_ = 0;
  std::vector<Session*> dirty_;
  std::vector<Session*> resuming_;
  std::vector<Session*> learners_;                                ///< wait until a command is known
  std::unordered_map<Session*, std::uint32_t> topology_awaited_;  ///< since when, worker clock
  std::vector<Session*> closing_;
  std::vector<Session*> closed_;
  std::vector<Session*> draining_;
  std::vector<Session*> stuck_;
  std::vector<Session*> reconsidering_;
  std::vector<LargeUpload*> uploads_;
  std::vector<std::unique_ptr<LargeUpload>> buried_;
  std::uint64_t next_session_id_;
  std::uint32_t now_us_ = 0;
  unsigned wanted_ = 1;  ///< completions the next turn waits for
  unsigned waiting_clients_ = 0;
  bool stopping_ = false;
  std::uint32_t stop_ms_ = 0;
  std::uint32_t checked_ms_ = 0;
  HandOver order_;
  std::uint32_t ordered_ms_ = 0;
  double used_ = 0;                   ///< of a core, as last told to the front
  std::uint64_t cpu_ns_ = 0;          ///< of this thread, at
  std::uint64_t cpu_at_ns_ = 0;       ///< that time
  std::uint32_t warned_ms_ = 0;       ///< of a client that was closed; 0: never
  std::string topology_trouble_;      ///< as last logged
  std::string second_primary_;        ///< the same, while there is one
  std::set<std::string> lost_nodes_;  ///< logged as such, and not yet connected to again
};

}  // namespace sluice
