// The whole cluster as one node that owns all slots: what CLUSTER SLOTS, SHARDS, NODES, INFO, MYID ... tell a client,
// so that cluster-aware clients talk to the proxy alone and never learn a backend's address.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/topology.h"
#include "resp/writer.h"

namespace cluster {

/// What the proxy says it is. `proxies` are further addresses (siblings) listed as replicas-of-nothing: additional
/// nodes in SLOTS/SHARDS/NODES that clients may also use; the first entry is this proxy.
struct VirtualNode {
  std::vector<Address> addresses;  ///< never empty
  /// 40 hex digits, derived from an address: stable over restarts, equal in every sibling.
  [[nodiscard]] static std::string id_of(const Address& address);
};

void write_cluster_slots(resp::Writer& writer, const VirtualNode& node);
void write_cluster_shards(resp::Writer& writer, const VirtualNode& node);
void write_cluster_nodes(resp::Writer& writer, const VirtualNode& node);  ///< one verbatim string
/// What becomes of the slots behind it.
struct SlotCounts {
  std::uint32_t assigned = 0;  ///< to some backend node
  std::uint32_t failing = 0;   ///< of these, to one that cannot be reached
};
/// cluster_state:ok when all slots are served.
void write_cluster_info(resp::Writer& writer, const VirtualNode& node, SlotCounts slots);
void write_cluster_links(resp::Writer& writer);  ///< an empty array

}  // namespace cluster
