#include "cluster/virtual_node.h"

#include <cassert>
#include <cstddef>
#include <cstdint>

namespace cluster {
namespace {

constexpr Slot kLastSlot = kSlotCount - 1;

/// Servers listen for each other at their port plus this. Nobody listens there for a proxy; clients only want a number.
constexpr std::uint32_t kBusPortOffset = 10000;

/// A replica at offset zero would look as if it were still loading.
constexpr std::int64_t kReplicationOffset = 1;

std::uint32_t bus_port(const Address& address) {
  const std::uint32_t port = address.port + kBusPortOffset;
  return port <= 0xffff ? port : 0;
}

bool is_name(const Address& address) {
  const bool is_v6 = address.host.find(':') != std::string::npos;
  const bool is_v4 = address.host.find_first_not_of("0123456789.") == std::string::npos;
  return !is_v6 && !is_v4;
}

/// 64-bit FNV-1a begun at a seed of choice, its bits stirred once more at the end (the finaliser of MurmurHash3).
std::uint64_t hash(std::string_view bytes, std::uint64_t seed) {
  std::uint64_t state = 0xcbf29ce484222325U ^ seed;
  for (const char byte : bytes) {
    state ^= static_cast<unsigned char>(byte);
    state *= 0x100000001b3U;
  }
  state ^= state >> 33;
  state *= 0xff51afd7ed558ccdU;
  state ^= state >> 33;
  state *= 0xc4ceb9fe1a85ec53U;
  return state ^ (state >> 33);
}

void append_line(std::string& out, std::string_view name, std::size_t value) {
  out.append(name).append(":").append(std::to_string(value)).append("\r\n");
}

/// [endpoint, port, id, metadata]
void write_slots_node(resp::Writer& writer, const Address& address) {
  writer.array(4);
  writer.bulk(address.host);
  writer.integer(address.port);
  writer.bulk(VirtualNode::id_of(address));
  writer.map(0);
}

void write_field(resp::Writer& writer, std::string_view name, std::string_view value) {
  writer.bulk(name);
  writer.bulk(value);
}

void write_field(resp::Writer& writer, std::string_view name, std::int64_t value) {
  writer.bulk(name);
  writer.integer(value);
}

/// A host that is a name stands under "ip" too: some clients read nothing else.
void write_shards_node(resp::Writer& writer, const Address& address, std::string_view role) {
  const bool named = is_name(address);
  writer.map(named ? 8 : 7);
  write_field(writer, "id", VirtualNode::id_of(address));
  write_field(writer, "port", address.port);
  write_field(writer, "ip", address.host);
  write_field(writer, "endpoint", address.host);
  if (named) write_field(writer, "hostname", address.host);
  write_field(writer, "role", role);
  write_field(writer, "replication-offset", kReplicationOffset);
  write_field(writer, "health", "online");
}

/// "<id> <host>:<port>@<bus port>[,<host name>] <flags> - <ping> <pong> <epoch> connected[ <slots>]". No clock is read
/// in this room, so the times stay zero, as a server writes them of itself.
std::string nodes_line(const Address& address, std::size_t epoch, bool is_myself) {
  std::string line = VirtualNode::id_of(address);
  line.append(" ").append(address.host).append(":").append(std::to_string(address.port));
  line.append("@").append(std::to_string(bus_port(address)));
  if (is_name(address)) line.append(",").append(address.host);
  line.append(is_myself ? " myself,master" : " master");
  line.append(" - 0 0 ").append(std::to_string(epoch)).append(" connected");
  if (is_myself) line.append(" 0-").append(std::to_string(kLastSlot));
  return line.append("\n");
}

}  // namespace

std::string VirtualNode::id_of(const Address& address) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  constexpr std::size_t kWords = 5;  // of eight digits each
  const std::string text = address.text();
  std::string id;
  for (std::uint64_t word = 1; word <= kWords; ++word) {
    const auto bits = hash(text, word);
    for (int shift = 28; shift >= 0; shift -= 4) id += kDigits[(bits >> shift) & 0xf];
  }
  return id;
}

void write_cluster_slots(resp::Writer& writer, const VirtualNode& node) {
  assert(!node.addresses.empty());
  writer.array(1);
  writer.array(2 + node.addresses.size());
  writer.integer(0);
  writer.integer(kLastSlot);
  for (const auto& address : node.addresses) write_slots_node(writer, address);
}

void write_cluster_shards(resp::Writer& writer, const VirtualNode& node) {
  assert(!node.addresses.empty());
  writer.array(1);
  writer.map(2);
  writer.bulk("slots");
  writer.array(2);
  writer.integer(0);
  writer.integer(kLastSlot);
  writer.bulk("nodes");
  writer.array(node.addresses.size());
  for (const auto& address : node.addresses) {
    const bool is_first = &address == &node.addresses.front();
    write_shards_node(writer, address, is_first ? "master" : "replica");
  }
}

void write_cluster_nodes(resp::Writer& writer, const VirtualNode& node) {
  assert(!node.addresses.empty());
  std::string text;
  for (std::size_t i = 0; i < node.addresses.size(); ++i) text += nodes_line(node.addresses[i], i + 1, i == 0);
  writer.verbatim(text);
}

void write_cluster_info(resp::Writer& writer, const VirtualNode& node, SlotCounts slots) {
  assert(!node.addresses.empty());
  const std::uint32_t served = slots.assigned - slots.failing;
  std::string text = served == kSlotCount ? "cluster_state:ok\r\n" : "cluster_state:fail\r\n";
  append_line(text, "cluster_slots_assigned", slots.assigned);
  append_line(text, "cluster_slots_ok", served);
  append_line(text, "cluster_slots_pfail", 0);
  append_line(text, "cluster_slots_fail", slots.failing);
  append_line(text, "cluster_known_nodes", node.addresses.size());
  append_line(text, "cluster_size", 1);
  append_line(text, "cluster_current_epoch", node.addresses.size());
  append_line(text, "cluster_my_epoch", 1);
  append_line(text, "cluster_stats_messages_sent", 0);
  append_line(text, "cluster_stats_messages_received", 0);
  append_line(text, "total_cluster_links_buffer_limit_exceeded", 0);
  writer.verbatim(text);
}

void write_cluster_links(resp::Writer& writer) {
  writer.array(0);
}

}  // namespace cluster
