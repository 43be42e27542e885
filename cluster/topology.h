// A cluster as its nodes describe it: shards, each with a primary, replicas and the slots it serves.
// Sources: CLUSTER SLOTS and CLUSTER SHARDS, https://redis.io/docs/latest/commands/cluster-shards/
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/key_slot.h"
#include "resp/value.h"

namespace cluster {

/// Where a node listens. The host is an address or a name, never empty in a Topology.
struct Address {
  std::string host;
  std::uint16_t port = 0;
  auto operator<=>(const Address&) const = default;
  /// "host:port", "[v6]:port".
  [[nodiscard]] std::string text() const;
};

/// "host:port", "[v6]:port", and "v6:port" as CLUSTER and MOVED write it (the last colon decides). nullopt: malformed.
[[nodiscard]] std::optional<Address> parse_address(std::string_view text);

struct Node {
  Address address;
  std::string id;    ///< 40 hex digits, may be empty
  std::string zone;  ///< availability zone when the server tells it, else empty
  bool operator==(const Node&) const = default;
};

/// Inclusive range of slots.
struct SlotRange {
  Slot first = 0;
  Slot last = 0;
  auto operator<=>(const SlotRange&) const = default;
};

struct Shard {
  Node primary;
  std::vector<Node> replicas;     ///< sorted by address; failed ones left out
  std::vector<SlotRange> ranges;  ///< ascending, disjoint, adjacent ones joined
  bool operator==(const Shard&) const = default;

  /// How many.
  [[nodiscard]] std::uint32_t slots() const;
};

/// Shards in ascending order of their first slot; every slot in at most one. Shards without slots are left out.
struct Topology {
  std::vector<Shard> shards;
  [[nodiscard]] std::uint32_t slots_covered() const;
  bool operator==(const Topology&) const = default;
};

/// Reads a CLUSTER SLOTS or CLUSTER SHARDS reply (RESP2 or RESP3 shape; told apart by their structure). `asked` is the
/// node that answered: its host stands in where the reply leaves a node's endpoint empty or null, and where it is "?"
/// and the reply tells no "ip" beside it.
/// With SHARDS, nodes give "tls-port" when `tls` and "port" otherwise, or the other one when they tell only that. A
/// node whose preferred endpoint is a host name keeps it. A node without a usable address is left out. nullopt when the
/// reply is an error or not of that form.
[[nodiscard]] std::optional<Topology> read_topology(const resp::Value& reply, const Address& asked, bool tls);

/// One topology out of what several nodes said: for each slot the primary named by most of them; a tie goes to the
/// answer that comes first in `answers` (give the most trusted first). Replicas: those that any answer naming the
/// winning primary lists. Ids and zones are taken from whichever answer knows them.
[[nodiscard]] Topology merge_topologies(std::span<const Topology> answers);

}  // namespace cluster
