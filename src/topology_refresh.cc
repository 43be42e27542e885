#include "src/topology_refresh.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <iterator>
#include <utility>

#include "resp/value.h"
#include "resp/writer.h"
#include "src/limits.h"
#include "uring/connector.h"

namespace sluice {
namespace {

/// Of a server that has no ROLE, or does not let this user ask.
bool has_no_role(std::string_view error) {
  return error.starts_with("NOPERM") || error.starts_with("ERR unknown command");
}

/// For certain: a name may lead to the server of another name or address.
bool are_two_servers(const cluster::Address& one, const cluster::Address& other) {
  const auto is_numeric = [](const cluster::Address& address) {
    return uring::SocketAddress::numeric(address.host, address.port).has_value();
  };
  return one != other && is_numeric(one) && is_numeric(other);
}

}  // namespace

TopologyRefresh::TopologyRefresh(const BackendConfig& config, Router& router, pool::Pool& pool,
                                 pool::PendingReplies& pending, TopologyListener& listener)
    : config_(config),
      router_(router),
      pool_(pool),
      pending_(pending),
      listener_(listener),
      random_(std::random_device{}()) {}

void TopologyRefresh::tick(std::uint32_t now_ms, bool in_trouble) {
  const std::uint32_t elapsed = now_ms - started_ms_;
  if (!answers_.empty()) {
    const bool enough = outstanding_ == 0 || (good_answers_ > 0 && elapsed >= limits::kRefreshPatienceMs) ||
                        elapsed >= limits::kRefreshGiveUpMs;
    if (enough) finish();
    return;
  }
  const bool by_interval = static_cast<std::int32_t>(now_ms - next_ms_) >= 0;
  const bool rested = rounds_ == 0 || elapsed >= limits::kRefreshGapMs;
  // Slots without a node: the cluster is being made, or mends itself. Ask until it is whole, but not in haste.
  const bool patched = incomplete_ && elapsed >= limits::kIncompleteGapMs;
  const bool late = in_trouble && elapsed >= limits::kTroubledGapMs;
  if (rested && (wanted_ || by_interval || patched || late)) start(now_ms);
}

/// Nodes worth asking, the best first: of a cluster one of the configured entry nodes, which nobody else's answers can
/// displace (an address may have come to be another cluster's); known primaries that are well, then replicas, then the
/// other entries.
std::vector<cluster::Address> TopologyRefresh::candidates() {
  std::vector<cluster::Address> well;
  std::vector<cluster::Address> rest;
  const auto consider = [&](const cluster::Address& address) {
    const pool::Node& node = pool_.node(address.host, address.port);
    (node.failing() ? rest : well).push_back(address);
  };
  std::vector<cluster::Address> primaries;
  std::vector<cluster::Address> replicas;
  for (const cluster::Shard& shard : router_.topology().shards) {
    primaries.push_back(shard.primary.address);
    for (const cluster::Node& replica : shard.replicas) replicas.push_back(replica.address);
  }
  std::shuffle(primaries.begin(), primaries.end(), random_);
  std::shuffle(replicas.begin(), replicas.end(), random_);
  std::vector<cluster::Address> entry;
  if (router_.is_cluster()) std::ranges::sample(config_.nodes, std::back_inserter(entry), 1, random_);
  for (const std::vector<cluster::Address>& list :
       {std::cref(entry), std::cref(primaries), std::cref(replicas), std::cref(config_.nodes)}) {
    for (const cluster::Address& address : list) consider(address);
  }
  well.insert(well.end(), rest.begin(), rest.end());
  std::vector<cluster::Address> unique;
  for (cluster::Address& address : well) {
    if (std::find(unique.begin(), unique.end(), address) == unique.end()) unique.push_back(std::move(address));
  }
  return unique;
}

void TopologyRefresh::start(std::uint32_t now_ms) {
  const bool cluster = router_.is_cluster();
  wanted_ = false;
  ++rounds_;
  started_ms_ = now_ms;
  const auto interval = static_cast<std::uint32_t>(config_.refresh_interval.count());
  next_ms_ = now_ms + interval + static_cast<std::uint32_t>(random_() % (interval / 8 + 1));
  answers_.clear();
  outstanding_ = 0;
  good_answers_ = 0;

  std::string request;
  if (cluster) {
    resp::write_request(request, {"CLUSTER", "SLOTS"});
  } else {
    resp::write_request(request, {"ROLE"});
  }
  // A standalone group is small, and each server knows its own role alone: ask all.
  const std::size_t most =
      cluster && router_.knows_topology() ? limits::kTopologyAnswers : limits::kFirstTopologyAnswers;
  const std::vector<cluster::Address> nodes = candidates();
  // Filled before the first request goes out: a connection may fail at once.
  std::vector<pool::Lane*> lanes;
  for (const cluster::Address& address : nodes) {
    if (answers_.size() >= most) break;
    pool::Lane& lane = pool_.node(address.host, address.port).lane({}, 0);
    if (!lane.accepts() || lane.full() || lane.is_silent()) continue;
    lanes.push_back(&lane);
    answers_.push_back({.asked = address, .topology = {}, .replicas = {}});
  }
  outstanding_ = lanes.size();
  if (lanes.empty()) ask_again();
  for (std::size_t i = 0; i < lanes.size(); ++i) {
    pool::PendingReply& pending = pending_.take();
    pending.sink = this;
    pending.kind.fixed_node = true;
    pending.kind.read_only = true;
    pending.part = static_cast<std::uint16_t>(i);
    pending.waiting.started_ms = now_ms;
    lanes[i]->enqueue(pending, request);
  }
}

void TopologyRefresh::on_reply(pool::PendingReply& pending, std::string_view reply) {
  heard(pending, reply);
}

void TopologyRefresh::on_lost(pool::PendingReply& pending, pool::Loss, std::string_view) {
  heard(pending, {});
}

void TopologyRefresh::heard(pool::PendingReply& pending, std::string_view reply) {
  const std::size_t index = pending.part;
  // Else it is the late reply to a round that was given up.
  const bool current = pending.waiting.started_ms == started_ms_ && index < answers_.size();
  pending_.release(pending);
  if (!current || std::exchange(answers_[index].heard, true)) return;
  --outstanding_;
  Answer& answer = answers_[index];
  const auto value = reply.empty() ? std::nullopt : resp::parse_value(reply);
  const bool is_error = value && value->is_error();
  answer.tells_no_role = is_error && !router_.is_cluster() && has_no_role(value->text);
  if (is_error && !(answer.tells_no_role && router_.knows_topology()))
    listener_.on_topology_refused(answer.asked, value->text);
  if (value && router_.is_cluster()) {
    answer.topology = cluster::read_topology(*value, answer.asked, config_.tls.enabled);
    // A node that knows no slots (just reset, not yet met the others) has nothing to say.
    if (answer.topology && answer.topology->shards.empty()) answer.topology.reset();
    good_answers_ += answer.topology ? 1 : 0;
  } else if (answer.tells_no_role) {
    good_answers_ += answer.asked == usual_primary() ? 1 : 0;
  } else if (value && !is_error) {
    read_role(*value, answer);
    good_answers_ += answer.is_primary ? 1 : 0;
  }
  if (outstanding_ == 0) finish();
}

/// ROLE: ["master", offset, [[host, port, offset] ...]] or ["slave", host, port, state, offset].
void TopologyRefresh::read_role(const resp::Value& reply, Answer& answer) const {
  if (reply.elements.size() < 3) return;
  answer.is_replica = reply.elements[0].text == "slave";
  if (reply.elements[0].text != "master") return;
  answer.is_primary = true;
  for (const resp::Value& each : reply.elements[2].elements) {
    if (each.elements.size() < 2) continue;
    const std::string& port = each.elements[1].text;
    std::uint16_t number = 0;
    std::from_chars(port.data(), port.data() + port.size(), number);
    if (number != 0) answer.replicas.push_back({{each.elements[0].text, number}, {}, {}});
  }
}

/// Nobody knew, or could be asked: after a rest, and a longer one while what is known may do.
void TopologyRefresh::ask_again() {
  (router_.knows_topology() ? incomplete_ : wanted_) = true;
}

/// Of a standalone group: the known one, at first the first of the configuration.
const cluster::Address& TopologyRefresh::usual_primary() const {
  return router_.knows_topology() ? router_.topology().shards.front().primary.address : config_.nodes.front();
}

/// Of several that call themselves primaries the known one stays it. While that one has not said otherwise, and its
/// connections are well, it is no reason to leave it that it is slow. Where it may not tell, and nobody else says that
/// it is the primary, it is taken for it.
cluster::Topology TopologyRefresh::standalone_topology() const {
  const cluster::Address& address = usual_primary();
  const auto usual = std::ranges::find(answers_, address, &Answer::asked);
  const bool is_heard = usual != answers_.end() && usual->heard;
  if (router_.knows_topology() && !is_heard && !pool_.node(address.host, address.port).failing()) return {};
  auto primary = std::ranges::find_if(answers_, &Answer::is_primary);
  const bool is_told = primary != answers_.end();
  if (is_heard && (usual->is_primary || (usual->tells_no_role && !is_told))) primary = usual;
  if (primary == answers_.end()) return {};
  cluster::Shard shard;
  shard.primary.address = primary->asked;
  shard.replicas = primary->replicas;
  shard.ranges = {{0, cluster::kSlotCount - 1}};
  cluster::Topology topology;
  topology.shards.push_back(std::move(shard));
  return topology;
}

/// What only the configuration can mend, or whoever has made a second primary.
void TopologyRefresh::tell_of_roles(const cluster::Topology& found) {
  if (!found.shards.empty()) {
    const cluster::Address& primary = found.shards.front().primary.address;
    const auto other = std::ranges::find_if(
        answers_, [&](const Answer& answer) { return answer.is_primary && are_two_servers(answer.asked, primary); });
    return listener_.on_second_primary(primary, other == answers_.end() ? nullptr : &other->asked);
  }
  if (router_.knows_topology() || !std::ranges::all_of(answers_, &Answer::is_replica)) return;
  // A node that is down, and so was not asked, may be the primary.
  if (answers_.size() == candidates().size())
    listener_.on_topology_refused(answers_.front().asked, "a replica; none of backend.nodes says it is the primary");
}

void TopologyRefresh::finish() {
  cluster::Topology found;
  if (router_.is_cluster()) {
    std::vector<cluster::Topology> good;
    for (Answer& answer : answers_) {
      if (answer.topology) good.push_back(std::move(*answer.topology));
    }
    if (!good.empty()) found = cluster::merge_topologies(good);
  } else {
    found = standalone_topology();
    tell_of_roles(found);
  }
  answers_.clear();
  outstanding_ = 0;
  if (found.shards.empty()) {
    ask_again();
    return;
  }
  incomplete_ = found.slots_covered() < cluster::kSlotCount;
  if (!router_.adopt(std::move(found))) return;
  ++changes_;
  listener_.on_topology_changed();
}

}  // namespace sluice
