// What happens to a request whose node did not serve it: MOVED and ASK are followed, the rest waits and is tried again,
// all within the command's time budget. Requests that wait are parked here, first come first served.
// Thread: one worker.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "cluster/redirect.h"
#include "pool/pending_reply.h"
#include "pool/reply_sink.h"
#include "src/config.h"
#include "src/router.h"

namespace sluice {

/// Since start.
struct RedirectCounters {
  std::uint64_t moved = 0;
  std::uint64_t ask = 0;
  std::uint64_t try_again = 0;
  std::uint64_t cluster_down = 0;
  std::uint64_t loading = 0;
  std::uint64_t read_only = 0;
  std::uint64_t parked = 0;
  std::uint64_t expired = 0;  ///< budgets spent
};

/// Asks for a new topology. Called inside the turn.
class RefreshRequester {
 public:
  virtual void refresh_topology() = 0;

 protected:
  ~RefreshRequester() = default;
};

class Redirection {
 public:
  Redirection(const BackendConfig& config, const AnnounceConfig& announce, Router& router, pool::Pool& pool,
              pool::PendingReplies& pending, RefreshRequester& refresh);

  /// An error reply has come for `pending`. True: it is a redirect (or means "not now"), the request is on its way
  /// again or parked, and `pending` belongs to a lane or to the park. False: the error is the client's to see (see
  /// as_seen_by_client()).
  [[nodiscard]] bool takes_error(pool::PendingReply& pending, std::string_view error);
  /// True when an error reply says that the node does not serve the request, which has not run.
  [[nodiscard]] bool is_refusal(const pool::PendingReply& pending, std::string_view error) const {
    return cluster::classify_error(error) != cluster::ErrorKind::kOther && trusts(pending, error);
  }
  /// True when an error reply means "not now": the same node may serve later requests at once.
  [[nodiscard]] bool is_momentary(const pool::PendingReply& pending, std::string_view error) const;
  /// Counts an error, and asks for a new topology where it says that there may be one.
  void heed(cluster::ErrorKind kind);
  /// Its command_timeout is over.
  [[nodiscard]] bool spent(const pool::PendingReply& pending) const;
  /// Parks a request that has not run. False when its budget is spent or the park is full: the caller answers.
  [[nodiscard]] bool park(pool::PendingReply& pending);
  /// Parks a fresh request, keeping a copy of its bytes.
  [[nodiscard]] bool park(pool::PendingReply& pending, std::string_view request);
  /// What a client hears whose fresh request park() has not taken.
  [[nodiscard]] std::string not_parked_error(const pool::PendingReply& pending) const;

  /// Puts a fresh request on the lane its kind asks for, or parks it. False: neither; the caller answers.
  [[nodiscard]] bool submit(pool::PendingReply& pending, std::string_view request);

  /// Sends what can be sent by now; fails what has waited too long. After a topology change, a node's return, and each
  /// tick.
  void retry();
  /// The nodes are about to go: what waits fails now, and nothing waits any more.
  void end();

  /// MOVED and ASK are followed: in front of a cluster, unless the configuration leaves it to the clients.
  [[nodiscard]] bool follows_redirects() const { return config_.auto_redirect && router_.is_cluster(); }
  /// Where a redirect that has just come leads to; nullopt when it does not say and the port alone does not tell.
  [[nodiscard]] std::optional<cluster::Address> target_of(const cluster::Redirect& redirect) const;

  /// The error a client gets for a lost request.
  [[nodiscard]] static std::string lost_error(pool::Loss loss, std::string_view reason);
  /// An error that was not taken, as the client sees it. Of MOVED and ASK with auto_redirect off the address is
  /// rewritten by announce.map; with auto_redirect on time has run out, and no backend's address is for clients. Any
  /// other is itself.
  [[nodiscard]] std::string as_seen_by_client(const pool::PendingReply& pending, std::string_view error) const;

  /// Why the park waits, for the errors of those whose budget is spent.
  void set_trouble(std::string_view reason) { trouble_ = reason; }
  [[nodiscard]] std::size_t parked() const { return parked_.size(); }
  [[nodiscard]] const RedirectCounters& counters() const { return counters_; }

 private:
  [[nodiscard]] bool follow(pool::PendingReply& pending, std::string_view error, bool asking);
  [[nodiscard]] bool trusts(const pool::PendingReply& pending, std::string_view error) const;
  [[nodiscard]] bool lacks_protocol(const pool::PendingReply& pending) const;
  [[nodiscard]] bool knows(const cluster::Address& address) const;
  [[nodiscard]] bool goes_on(pool::PendingReply& pending, const std::unordered_set<const pool::PendingReply*>& sent);
  void unpark(const pool::PendingReply& pending);
  void expire(pool::PendingReply& pending);

  const BackendConfig& config_;
  const AnnounceConfig& announce_;
  Router& router_;
  pool::Pool& pool_;
  pool::PendingReplies& pending_;
  RefreshRequester& refresh_;
  pool::LaneLine parked_;
  std::size_t parked_bytes_ = 0;
  std::unordered_map<std::uint32_t, std::uint32_t> parked_of_client_;  ///< by salt: how many are parked
  RedirectCounters counters_;
  std::string trouble_;
  bool ended_ = false;
};

}  // namespace sluice
