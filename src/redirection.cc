#include "src/redirection.h"

#include <algorithm>
#include <unordered_set>
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
  if (!redirect || redirect->slot != pending.kind.slot) return false;
  const auto target = target_of(*redirect);
  return target && knows(*target);
}

std::optional<cluster::Address> Redirection::target_of(const cluster::Redirect& redirect) const {
  const std::uint16_t port = redirect.address.port;
  if (redirect.address.host.empty()) return cluster::Address{pool_.answering().host(), port};
  if (redirect.address.host != "?") return redirect.address;
  std::optional<cluster::Address> found;
  for (const cluster::Shard& shard : router_.topology().shards) {
    if (shard.primary.address.port != port) continue;
    if (found) return std::nullopt;
    found = shard.primary.address;
  }
  return found;
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
  return follows_redirects() && follow(pending, error, !moved);
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
      pool_.answering().note_refusal();
      refresh_.refresh_topology();
      break;
    case ErrorKind::kLoading:
      ++counters_.loading;
      trouble_ = "a node is loading its data";
      pool_.answering().note_refusal();
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
  // A script can say so too, and has run then: nobody else goes by its word, and it is not asked again and again.
  if (pending.kind.scripted && pending.hops == limits::kMaxScriptHops) return false;
  const auto address = target_of(*redirect);
  if (!address) return park(pending);
  if (!asking && !pending.kind.scripted) router_.move_slot(redirect->slot, *address);
  // One that was parked before it has yet to come here, from the park or from its usual node.
  const PendingReply* before = pending.sink->one_before(pending);
  const bool overtakes = before != nullptr ? before->hops == 0 : parked_of_client_.contains(pending.salt);
  if (++pending.hops > limits::kMaxHops || overtakes) return park(pending);
  pool::Node& target = pool_.node(address->host, address->port);
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
  if (spent(pending) || pending.kind.fixed_node || lacks_protocol(pending)) return false;
  if (parked_.size() >= limits::kMaxParked || parked_bytes_ >= limits::kMaxParkedBytes) return false;
  ++counters_.parked;
  ++parked_of_client_[pending.salt];
  parked_bytes_ += pending.waiting.request.length;
  pending.hops = 0;  // What has rested may be sent on again.
  parked_.push(pending);
  return true;
}

/// Its client said HELLO 3 before a node could tell: it would wait for nothing.
bool Redirection::lacks_protocol(const PendingReply& pending) const {
  return pending.kind.protocol == resp::Protocol::kResp3 && !pool_.all_speak_resp3();
}

std::string Redirection::not_parked_error(const PendingReply& pending) const {
  const bool lacking = lacks_protocol(pending);
  return lost_error(pool::Loss::kNotSent, lacking ? "the server has no RESP3" : "too many requests wait for it");
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
  const auto budget_ms = static_cast<std::uint32_t>(config_.command_timeout.count());
  return ended_ || pool_.now_ms() - pending.waiting.started_ms >= budget_ms;
}

void Redirection::unpark(const PendingReply& pending) {
  parked_bytes_ -= pending.waiting.request.length;
  const auto client = parked_of_client_.find(pending.salt);
  if (--client->second == 0) parked_of_client_.erase(client);
}

void Redirection::retry() {
  // Those that wait for one behind them in the park have another turn when that has gone.
  std::unordered_set<const PendingReply*> sent;
  std::size_t before = 0;
  do {
    before = sent.size();
    pool::LaneLine waiting = std::exchange(parked_, pool::LaneLine());
    while (!waiting.empty()) {
      PendingReply& pending = waiting.pop();
      if (goes_on(pending, sent)) {
        sent.insert(&pending);
      } else if (pending.sink == nullptr || spent(pending)) {
        unpark(pending);
        pending.sink == nullptr ? pending_.release(pending) : expire(pending);
      } else {
        parked_.push(pending);
      }
    }
  } while (sent.size() > before && !parked_.empty());
}

void Redirection::end() {
  ended_ = true;
  retry();
}

/// `sent`: in this turn. Others that this one must not overtake may be with another node.
bool Redirection::goes_on(PendingReply& pending, const std::unordered_set<const PendingReply*>& sent) {
  if (pending.sink == nullptr || spent(pending)) return false;
  const PendingReply* before = pending.sink->one_before(pending);
  if (before != nullptr && !sent.contains(before)) return false;
  pool::Node* node = router_.node_for(pending.kind, pending.salt);
  pool::Lane* lane = node == nullptr ? nullptr : &Router::lane_behind(*node, pending.kind, pending.salt);
  if (lane == nullptr || !lane->accepts() || lane->full()) return false;
  unpark(pending);
  lane->enqueue(pending, pending.request_bytes());
  return true;
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
  if (!router_.is_cluster()) {
    return "-ERR sluice: the command has not run: the server is one of a cluster: use --backend cluster\r\n";
  }
  if (config_.auto_redirect && pending.kind.scripted) {
    return "-ERR sluice: the command's slot is on the move and was not reached, or its script says so: whether it has "
           "run is unknown\r\n";
  }
  if (config_.auto_redirect) {
    return "-ERR sluice: the command has not run: its slot is on the move and was not reached in time\r\n";
  }
  // Without a host a client would take it for the proxy's.
  const auto address = target_of(*redirect);
  if (!address) return std::string(error);
  const auto mapped = announce_.map.find(*address);
  const cluster::Address& shown = mapped == announce_.map.end() ? *address : mapped->second;
  // As nodes write it, an IPv6 address without brackets too.
  return std::string(error.substr(0, error.find(' '))) + ' ' + std::to_string(redirect->slot) + ' ' + shown.host + ':' +
         std::to_string(shown.port) + "\r\n";
}

}  // namespace sluice
