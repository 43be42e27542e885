#include "pool/node.h"

#include <algorithm>
#include <utility>

#include "pool/pool.h"
#include "resp/value.h"

namespace pool {

Node::Node(Pool& pool, std::string host, std::uint16_t port)
    : pool_(pool), host_(std::move(host)), port_(port), name_(node_name(host_, port)) {}

Lane& Node::lane(const LaneKey& key, std::uint32_t salt) {
  auto group = std::find_if(groups_.begin(), groups_.end(), [&](const Group& each) { return each.key == key; });
  if (group == groups_.end()) {
    group = groups_.insert(groups_.end(), Group{key, {}});
    for (std::uint32_t i = 0; i < pool_.settings_.lanes_per_node; ++i) {
      group->lanes.push_back(std::make_unique<Lane>(pool_, *this, key));
    }
  }
  const std::size_t count = group->lanes.size();
  return *group->lanes[count == 1 ? 0 : salt % count];
}

void Node::on_hello(std::string_view reply) {
  const auto hello = resp::parse_value(reply);
  if (!hello) return;
  if (const resp::Value* version = hello->find("version")) server_version_ = version->text;
  if (const resp::Value* zone = hello->find("availability_zone")) zone_ = zone->text;
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
  for (Group& group : groups_) {
    for (auto& lane : group.lanes) lane->tick(now_ms);
  }
}

void Node::revive(std::uint32_t now_ms) {
  named_ms_ = now_ms;
  if (!std::exchange(retired_, false)) return;
  for (Group& group : groups_) {
    for (auto& lane : group.lanes) lane->revive();
  }
}

void Node::retire(std::string_view reason) {
  retired_ = true;
  for (Group& group : groups_) {
    for (auto& lane : group.lanes) lane->retire(reason);
  }
}

bool Node::gone() const {
  return std::all_of(groups_.begin(), groups_.end(), [](const Group& group) {
    return std::all_of(group.lanes.begin(), group.lanes.end(), [](const auto& lane) { return lane->gone(); });
  });
}

std::size_t Node::ready_lanes() const {
  std::size_t count = 0;
  for (const Group& group : groups_) {
    count += static_cast<std::size_t>(
        std::count_if(group.lanes.begin(), group.lanes.end(), [](const auto& lane) { return lane->ready(); }));
  }
  return count;
}

std::size_t Node::pending() const {
  std::size_t count = 0;
  for (const Group& group : groups_) {
    for (const auto& lane : group.lanes) count += lane->pending();
  }
  return count;
}

}  // namespace pool
