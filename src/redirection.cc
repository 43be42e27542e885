#include "src/redirection.h"

#include <algorithm>
#include <utility>

#include "src/limits.h"

namespace sluice {

using cluster::ErrorKind;
using pool::PendingReply;

Redirection::Redirection(const BackendConfig& config, const AnnounceConfig& announce, Router& router, pool::Pool& pool,
                         pool::PendingReplies& pending, RefreshRequester& refresh)
    : config_(config), announce_(announce), router_(router), pool_(pool), pending_(pending), refresh_(refresh) {}

/// What a script returns as an error may look like any of these. It has run, so it must not run again, and it must not
/// say where requests go: of scripts only what the server itself says before it runs anything is taken.
bool Redirection::trusts(const PendingReply& pending, std::string_view error) const {
  if (!pending.kind.scripted) return true;
  constexpr std::string_view kServersOwn[] = {
      "-TRYAGAIN Multiple keys request during rehashing of slot\r\n",
      "-CLUSTERDOWN The cluster is down\r\n",
      "-CLUSTERDOWN Hash slot not served\r\n",
      "-LOADING Redis is loading the dataset in memory\r\n",
      "-LOADING Valkey is loading the dataset in memory\r\n",
      "-READONLY You can't write against a read only replica.\r\n",
  };
  if (std::ranges::find(kServersOwn, error) != std::end(kServersOwn)) return true;
  const auto redirect = cluster::parse_redirect(error);
  return redirect && redirect->slot == pending.kind.slot && knows({host_of(*redirect), redirect->address.port});
}

/// Without one it is that of the node that says so.
const std::string& Redirection::host_of(const cluster::Redirect& redirect) const {
  return redirect.address.host.empty() ? pool_.answering().host() : redirect.address.host;
}

bool Redirection::knows(const cluster::Address& address) const {
  const auto is_address = [&](const cluster::Node& node) { return node.address == address; };
  return std::ranges::any_of(router_.topology().shards, [&](const cluster::Shard& shard) {
    return is_address(shard.primary) || std::ranges::any_of(shard.replicas, is_address);
  });
}

bool Redirection::takes_error(PendingReply& pending, std::string_view error) {
  const ErrorKind kind = cluster::classify_error(error);
  if (kind == ErrorKind::kOther) [[likely]]
    return false;
  if (!trusts(pending, error)) {
    // It may be true all the same, and the address new.
    if (kind == ErrorKind::kMoved || kind == ErrorKind::kAsk || kind == ErrorKind::kReadOnly)
      refresh_.refresh_topology();
    return false;
  }
  heed(kind);
  const bool moved = kind == ErrorKind::kMoved;
  if (!moved && kind != ErrorKind::kAsk) return park(pending);
  return config_.auto_redirect && follow(pending, error, !moved);
}

bool Redirection::is_momentary(const PendingReply& pending, std::string_view error) const {
  switch (cluster::classify_error(error)) {
    case ErrorKind::kClusterDown:
    case ErrorKind::kMasterDown:
    case ErrorKind::kLoading:
    case ErrorKind::kReadOnly:
      return trusts(pending, error);
    default:
      return false;
  }
}

void Redirection::heed(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kMoved:
      ++counters_.moved;
      refresh_.refresh_topology();
      break;
    case ErrorKind::kAsk:
      ++counters_.ask;
      break;
    case ErrorKind::kTryAgain:
      ++counters_.try_again;
      break;
    case ErrorKind::kClusterDown:
    case ErrorKind::kMasterDown:
      ++counters_.cluster_down;
      trouble_ = "a node answers that the cluster, or its primary, is down";
      refresh_.refresh_topology();
      break;
    case ErrorKind::kLoading:
      ++counters_.loading;
      trouble_ = "a node is loading its data";
      break;
    case ErrorKind::kReadOnly:
      ++counters_.read_only;
      refresh_.refresh_topology();
      break;
    case ErrorKind::kOther:
      break;
  }
}

bool Redirection::follow(PendingReply& pending, std::string_view error, bool asking) {
  const auto redirect = cluster::parse_redirect(error);
  if (!redirect || redirect->slot != pending.kind.slot || spent(pending)) return false;
  const std::string& host = host_of(*redirect);
  if (!asking) router_.move_slot(redirect->slot, {host, redirect->address.port});
  // Behind an earlier request of the same client that waits, in their order.
  if (++pending.hops > limits::kMaxHops || parked_of_client_.contains(pending.salt)) return park(pending);
  pool::Node& target = pool_.node(host, redirect->address.port);
  pool::Lane& lane = Router::lane_behind(target, pending.kind, pending.salt);
  if (!lane.accepts() || lane.full()) return park(pending);
  if (asking) {
    lane.enqueue_asking(pending, pending.request_bytes());
  } else {
    lane.enqueue(pending, pending.request_bytes());
  }
  return true;
}

bool Redirection::park(PendingReply& pending) {
  if (spent(pending) || pending.kind.fixed_node) return false;
  if (parked_.size() >= limits::kMaxParked || parked_bytes_ >= limits::kMaxParkedBytes) return false;
  ++counters_.parked;
  ++parked_of_client_[pending.salt];
  parked_bytes_ += pending.waiting.request.length;
  pending.hops = 0;  // What has rested may be sent on again.
  parked_.push(pending);
  return true;
}

bool Redirection::park(PendingReply& pending, std::string_view request) {
  pending.waiting.request = pool_.keep(request);
  return park(pending);
}

bool Redirection::submit(PendingReply& pending, std::string_view request) {
  pool::Lane* lane = router_.lane_for(pending.kind, pending.salt);
  if (lane == nullptr || !lane->accepts() || lane->full()) return park(pending, request);
  lane->enqueue(pending, request);
  return true;
}

bool Redirection::spent(const PendingReply& pending) const {
  return pool_.now_ms() - pending.waiting.started_ms >= static_cast<std::uint32_t>(config_.command_timeout.count());
}

void Redirection::unpark(const PendingReply& pending) {
  parked_bytes_ -= pending.waiting.request.length;
  const auto client = parked_of_client_.find(pending.salt);
  if (--client->second == 0) parked_of_client_.erase(client);
}

void Redirection::retry() {
  pool::LaneLine waiting = std::exchange(parked_, pool::LaneLine());
  while (!waiting.empty()) {
    PendingReply& pending = waiting.pop();
    if (pending.sink == nullptr) {
      unpark(pending);
      pending_.release(pending);
      continue;
    }
    if (spent(pending)) {
      unpark(pending);
      expire(pending);
      continue;
    }
    pool::Node* node = router_.node_for(pending.kind, pending.salt);
    pool::Lane* lane = node == nullptr ? nullptr : &Router::lane_behind(*node, pending.kind, pending.salt);
    if (lane != nullptr && lane->accepts() && !lane->full()) {
      unpark(pending);
      lane->enqueue(pending, pending.request_bytes());
    } else {
      parked_.push(pending);
    }
  }
}

void Redirection::expire(PendingReply& pending) {
  ++counters_.expired;
  std::string error = "-ERR sluice: the command has not run: ";
  if (!router_.knows_topology()) {
    error += "no backend node could be reached";
  } else if (const pool::Node* node = router_.node_for(pending.kind, pending.salt)) {
    error += "node " + node->name() + " did not take it";
  } else {
    error += "no node serves its slot";
  }
  error += " within command_timeout";
  if (!trouble_.empty()) error += " (" + trouble_ + ")";
  error += "\r\n";
  pending.sink->on_reply(pending, error);
}

std::string Redirection::lost_error(pool::Loss loss, std::string_view reason) {
  std::string error =
      loss == pool::Loss::kNotSent
          ? "-ERR sluice: the command has not run: the connection to its node is down ("
          : "-ERR sluice: the connection to the node broke before the reply came; whether the command has "
            "run is unknown (";
  return error.append(reason).append(")\r\n");
}

std::string Redirection::as_seen_by_client(const PendingReply& pending, std::string_view error) const {
  const auto redirect = cluster::parse_redirect(error);
  if (!redirect || (pending.kind.scripted && !trusts(pending, error))) return std::string(error);
  if (config_.auto_redirect) {
    return "-ERR sluice: the command has not run: its slot is on the move and was not reached in time\r\n";
  }
  const auto mapped = announce_.map.find(redirect->address);
  if (mapped == announce_.map.end()) return std::string(error);
  return std::string(error.substr(0, error.find(' '))) + ' ' + std::to_string(redirect->slot) + ' ' +
         mapped->second.text() + "\r\n";
}

}  // namespace sluice
