// CLUSTER SLOTS and CLUSTER SHARDS, read into a Topology.
//
// A node that cannot be reached by what the reply says of it (port 0, bytes that are in no host name) is left out: as a
// replica it is no loss, and as a primary it leaves its slots to what the other nodes answer.
#include <algorithm>
#include <cstddef>
#include <utility>

#include "cluster/topology.h"
#include "cluster/topology_builder.h"

namespace cluster {
namespace {

using resp::Value;

const Value& absent() {
  static const Value null;
  return null;
}

/// The value behind `key`, null when there is none.
const Value& at(const Value& map, std::string_view key) {
  const Value* value = map.find(key);
  return value == nullptr ? absent() : *value;
}

bool is_array(const Value& value) {
  return value.type == resp::Type::kArray;
}
bool is_map(const Value& value) {
  return value.type == resp::Type::kMap || is_array(value);
}
bool is_integer(const Value& value) {
  return value.type == resp::Type::kInteger;
}
bool is_text(const Value& value) {
  return value.is_string() && !value.text.empty();
}

/// A node prefers one endpoint: an address, a name, or by a null or empty one "the host you asked". "?" means that
/// names are preferred and this node has none; then its address, which is told apart, is better than a guess.
std::string host_of(const Value& endpoint, const Value& ip, const Address& asked) {
  if (is_text(endpoint) && endpoint.text != "?") return endpoint.text;
  if (is_text(endpoint) && is_text(ip) && ip.text != "?") return ip.text;
  return asked.host;
}

std::string zone_of(const Value& node) {
  for (const std::string_view key : {"availability-zone", "availability_zone"}) {
    if (const Value& zone = at(node, key); zone.is_string()) return zone.text;
  }
  return {};
}

/// Port 0 when `value` is no port.
std::uint16_t port_of(const Value& value) {
  const bool is_port = is_integer(value) && value.integer > 0 && value.integer <= 0xffff;
  return is_port ? static_cast<std::uint16_t>(value.integer) : std::uint16_t{0};
}

bool is_reachable(const Node& node) {
  return parse_address(node.address.text()) == node.address;
}

std::optional<SlotRange> range_of(const Value& first, const Value& last) {
  if (!is_integer(first) || !is_integer(last)) return std::nullopt;
  if (first.integer < 0 || last.integer < first.integer || last.integer >= kSlotCount) return std::nullopt;
  return SlotRange{static_cast<Slot>(first.integer), static_cast<Slot>(last.integer)};
}

// CLUSTER SLOTS: [first, last, primary, replica ...] per range.

/// [endpoint, port, id, metadata]; the oldest servers end after the port.
std::optional<Node> node_of_slots(const Value& value, const Address& asked) {
  if (!is_array(value) || value.elements.size() < 2) return std::nullopt;
  const auto& parts = value.elements;
  if (!is_integer(parts[1])) return std::nullopt;
  const Value& metadata = parts.size() > 3 ? parts[3] : absent();
  Node node;
  node.address = {host_of(parts[0], at(metadata, "ip"), asked), port_of(parts[1])};
  if (parts.size() > 2 && parts[2].is_string()) node.id = parts[2].text;
  node.zone = zone_of(metadata);
  return node;
}

bool add_slots_entry(TopologyBuilder& builder, const Value& entry, const Address& asked) {
  if (!is_array(entry) || entry.elements.size() < 3) return false;
  const auto range = range_of(entry.elements[0], entry.elements[1]);
  if (!range) return false;

  std::vector<Node> nodes;
  for (std::size_t i = 2; i < entry.elements.size(); ++i) {
    auto node = node_of_slots(entry.elements[i], asked);
    if (!node) return false;
    nodes.push_back(*std::move(node));
  }
  if (!is_reachable(nodes.front())) return true;
  const auto shard = builder.shard_of(nodes.front());
  builder.claim(*range, shard);
  for (const auto& replica : std::span(nodes).subspan(1)) {
    if (is_reachable(replica)) builder.add_replica(shard, replica);
  }
  return true;
}

// CLUSTER SHARDS: {slots: [first, last ...], nodes: [{id, port, ip, endpoint, role, health ...} ...]} per shard.

struct ShardMember {
  Node node;
  bool is_primary = false;
  bool is_online = false;
};

/// A node that tells only the other kind of port is named all the same: the failing hand-shake says more than silence.
std::uint16_t shard_port_of(const Value& node, bool tls) {
  const auto plain_port = port_of(at(node, "port"));
  const auto tls_port = port_of(at(node, "tls-port"));
  const auto wanted = tls ? tls_port : plain_port;
  const auto other = tls ? plain_port : tls_port;
  return wanted != 0 ? wanted : other;
}

std::optional<ShardMember> member_of_shard(const Value& value, const Address& asked, bool tls) {
  const Value& role = at(value, "role");
  if (!is_text(role)) return std::nullopt;
  const Value& health = at(value, "health");
  const Value& ip = at(value, "ip");
  const Value* endpoint = value.find("endpoint");

  ShardMember member;
  member.node.address.host = host_of(endpoint == nullptr ? ip : *endpoint, ip, asked);
  member.node.address.port = shard_port_of(value, tls);
  if (const Value& id = at(value, "id"); id.is_string()) member.node.id = id.text;
  member.node.zone = zone_of(value);
  member.is_primary = role.text == "master" || role.text == "primary";
  member.is_online = health.is_null() || health.text == "online";
  return member;
}

/// After a failover a shard may still list its lost primary beside the new one. A primary that failed and has no
/// successor yet keeps its slots.
const ShardMember* primary_of(std::span<const ShardMember> members) {
  const auto online = std::ranges::find_if(members, [](const auto& each) { return each.is_primary && each.is_online; });
  if (online != members.end()) return &*online;
  const auto any = std::ranges::find_if(members, &ShardMember::is_primary);
  return any == members.end() ? nullptr : &*any;
}

std::optional<std::vector<ShardMember>> members_of(const Value& nodes, const Address& asked, bool tls) {
  if (!is_array(nodes)) return std::nullopt;
  std::vector<ShardMember> members;
  for (const auto& value : nodes.elements) {
    auto member = is_map(value) ? member_of_shard(value, asked, tls) : std::nullopt;
    if (!member) return std::nullopt;
    if (is_reachable(member->node)) members.push_back(*std::move(member));
  }
  return members;
}

std::optional<std::vector<SlotRange>> ranges_of(const Value& slots) {
  if (!is_array(slots) || slots.elements.size() % 2 != 0) return std::nullopt;
  std::vector<SlotRange> ranges;
  for (std::size_t i = 0; i < slots.elements.size(); i += 2) {
    const auto range = range_of(slots.elements[i], slots.elements[i + 1]);
    if (!range) return std::nullopt;
    ranges.push_back(*range);
  }
  return ranges;
}

bool add_shard(TopologyBuilder& builder, const Value& shard, const Address& asked, bool tls) {
  if (!is_map(shard)) return false;
  const auto ranges = ranges_of(at(shard, "slots"));
  const auto members = members_of(at(shard, "nodes"), asked, tls);
  if (!ranges || !members) return false;

  const ShardMember* primary = primary_of(*members);
  if (primary == nullptr) return true;
  const auto index = builder.shard_of(primary->node);
  for (const auto range : *ranges) builder.claim(range, index);
  for (const auto& member : *members) {
    if (!member.is_primary && member.is_online) builder.add_replica(index, member.node);
  }
  return true;
}

/// An entry of SLOTS begins with a number, one of SHARDS with the name of a field.
bool is_slots_entry(const Value& entry) {
  return is_array(entry) && !entry.elements.empty() && is_integer(entry.elements.front());
}

}  // namespace

std::optional<Topology> read_topology(const Value& reply, const Address& asked, bool tls) {
  // More entries than slots are of no cluster; the bound also keeps the builder's numbers in their range.
  if (!is_array(reply) || reply.elements.size() > kSlotCount) return std::nullopt;
  TopologyBuilder builder;
  for (const auto& entry : reply.elements) {
    const bool is_read = is_slots_entry(reply.elements.front()) ? add_slots_entry(builder, entry, asked)
                                                                : add_shard(builder, entry, asked, tls);
    if (!is_read) return std::nullopt;
  }
  return builder.build();
}

}  // namespace cluster
