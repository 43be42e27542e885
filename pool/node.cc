#include "pool/node.h"

#include <algorithm>
#include <utility>

#include "pool/pool.h"
#include "resp/value.h"

namespace pool {
namespace {

/// Older than HELLO (Redis 6), or without the protocol asked for.
bool is_refused_hello(std::string_view reply) {
  const bool is_unknown = reply.starts_with("ERR unknown command") && reply.find("HELLO") != std::string_view::npos;
  return is_unknown || reply.starts_with("NOPROTO");
}

}  // namespace

Node::Node(Pool& pool, std::string host, std::uint16_t port)
    : pool_(pool), host_(std::move(host)), port_(port), name_(node_name(host_, port)) {}

Node::Group& Node::special(const LaneKey& key) {
  const auto found = std::ranges::find(special_, key, &Group::key);
  return found == special_.end() ? special_.emplace_back(Group{key, {}}) : *found;
}

void Node::fill(Group& group, const LaneKey& key) {
  group.key = key;
  for (std::uint32_t i = 0; i < pool_.settings_.lanes_per_node; ++i) {
    group.lanes.push_back(std::make_unique<Lane>(pool_, *this, key));
  }
}

Lane* Node::large_lane(const LaneKey& key) {
  std::size_t count = 0;
  for (const auto& lane : large_) {
    if (lane->key() != key) continue;
    if (lane->accepts() && lane->pending() == 0) return lane.get();
    ++count;
  }
  if (failing_ && count > 0) return nullptr;  // those there are will show when it is back
  if (count < pool_.settings_.max_large_lanes) {
    return large_.emplace_back(std::make_unique<Lane>(pool_, *this, key, true)).get();
  }
  give_up_stalled(key);
  return nullptr;
}

void Node::give_up_stalled(const LaneKey& key) {
  Lane* stalled = nullptr;
  for (const auto& lane : large_) {
    if (lane->key() != key || lane->stalled_ms() < pool_.settings_.command_timeout_ms) continue;
    if (stalled == nullptr || lane->stalled_ms() > stalled->stalled_ms()) stalled = lane.get();
  }
  if (stalled != nullptr) stalled->hang_up("its client stood still, and others needed it");
}

Lane& Node::lane_behind(const LaneKey& key, std::uint32_t salt) {
  for (const auto& large : large_) {
    if (large->key() == key && large->carries(salt)) return *large;
  }
  return lane(key, salt);
}

void Node::replace(Lane& lane) {
  const auto is_alike = [&](const auto& other) { return other->key() == lane.key(); };
  const auto is_free = [&](const auto& other) { return is_alike(other) && other->ready() && other->pending() == 0; };
  const auto count = static_cast<std::size_t>(std::ranges::count_if(large_, is_alike));
  if (count >= pool_.settings_.max_large_lanes && std::ranges::none_of(large_, is_free)) give_up_stalled(lane.key());
  const auto replace_in = [&](Group& group) {
    for (auto& each : group.lanes) {
      if (each.get() != &lane) continue;
      const auto free = std::ranges::find_if(large_, is_free);
      if (free == large_.end()) {
        large_.push_back(std::exchange(each, std::make_unique<Lane>(pool_, *this, group.key)));
      } else {
        std::swap(each, *free);
        each->set_large(false);
      }
    }
  };
  for (Group& group : plain_) replace_in(group);
  for (Group& group : special_) replace_in(group);
  pool_.handler_.on_lane_replaced();
}

void Node::introduce() {
  if (connects_ > 0 || retired_ || !zone_.empty()) return;
  lane({.protocol = resp::Protocol::kResp2, .read_only = replica_, .database = 0}, 0).connect_ahead();
}

void Node::on_introduction(std::string_view reply) {
  const auto value = resp::parse_value(reply);
  if (!value) return;
  if (is_refused_hello(value->text)) speaks_resp3_ = false;
  if (const resp::Value* version = value->find("version")) {
    server_version_ = version->text;
    speaks_resp3_ = true;
  }
  if (const resp::Value* zone = value->find("availability_zone")) zone_ = zone->text;
  constexpr std::string_view kLine = "\navailability_zone:";
  if (const std::size_t at = value->text.find(kLine); at != std::string::npos) {
    const std::size_t begin = at + kLine.size();
    zone_ = value->text.substr(begin, value->text.find('\r', begin) - begin);
  }
}

void Node::on_lane_ready() {
  failing_ = false;
  pool_.handler_.on_node_ready(*this);
}

void Node::on_lane_failed(std::uint32_t failures_in_a_row) {
  ++failures_;
  if (failures_in_a_row >= pool_.settings_.failure_threshold) failing_ = true;
}

void Node::tick(std::uint32_t now_ms) {
  each_lane([&](Lane& lane) { lane.tick(now_ms); });
}

void Node::revive(std::uint32_t now_ms) {
  named_ms_ = now_ms;
  if (std::exchange(retired_, false)) each_lane([](Lane& lane) { lane.revive(); });
}

void Node::retire(std::string_view reason) {
  retired_ = true;
  each_lane([&](Lane& lane) { lane.retire(reason); });
}

bool Node::gone() const {
  bool gone = true;
  each_lane([&](const Lane& lane) { gone = gone && lane.gone(); });
  return gone;
}

std::size_t Node::ready_lanes() const {
  std::size_t count = 0;
  each_lane([&](const Lane& lane) { count += lane.ready() ? 1 : 0; });
  return count;
}

std::size_t Node::pending() const {
  std::size_t count = 0;
  each_lane([&](const Lane& lane) { count += lane.pending(); });
  return count;
}

}  // namespace pool
