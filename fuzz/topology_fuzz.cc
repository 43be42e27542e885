// Whatever a backend answers to CLUSTER SLOTS or SHARDS, or names in a redirect, gives a topology that keeps its
// promises or none at all.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "cluster/redirect.h"
#include "cluster/slot_map.h"
#include "cluster/topology.h"
#include "fuzz/require.h"
#include "resp/value.h"

namespace {

using cluster::Address;
using cluster::Slot;
using cluster::SlotMap;
using cluster::Topology;
using fuzz::require;

void check_address(const Address& address) {
  require(!address.host.empty() && address.port != 0, "an address can be connected to");
  require(cluster::parse_address(address.text()) == address, "an address reads what it writes");
}

void check_shard(const cluster::Shard& shard) {
  check_address(shard.primary.address);
  for (const auto& replica : shard.replicas) {
    check_address(replica.address);
    require(replica.address != shard.primary.address, "a primary is no replica of itself");
  }
  require(std::ranges::is_sorted(shard.replicas, {}, &cluster::Node::address), "replicas are sorted");
  require(!shard.ranges.empty(), "a shard has slots");
  for (std::size_t i = 0; i < shard.ranges.size(); ++i) {
    const auto [first, last] = shard.ranges[i];
    require(first <= last && last < cluster::kSlotCount, "a range is one of slots");
    require(i == 0 || first > shard.ranges[i - 1].last + 1, "ranges ascend and are joined");
  }
}

void check_topology(const Topology& topology) {
  const SlotMap map{topology};
  std::uint32_t slots_served = 0;
  for (std::uint32_t slot = 0; slot < cluster::kSlotCount; ++slot) {
    if (map.shard_of(static_cast<Slot>(slot)) != SlotMap::kNoShard) ++slots_served;
  }
  require(slots_served == topology.slots_covered(), "no slot stands in two shards");

  std::vector<Address> primaries;
  for (std::size_t i = 0; i < topology.shards.size(); ++i) {
    check_shard(topology.shards[i]);
    const auto& shards = topology.shards;
    require(i == 0 || shards[i - 1].ranges.front().first < shards[i].ranges.front().first, "shards ascend");
    primaries.push_back(shards[i].primary.address);
  }
  std::ranges::sort(primaries);
  require(std::ranges::adjacent_find(primaries) == primaries.end(), "a primary has one shard");
}

void check_merge(const Topology& topology) {
  const std::vector answers{topology, topology};
  const auto merged = cluster::merge_topologies(answers);
  require(merged == topology, "equal answers merge into themselves");
}

void check_move(const Topology& topology, Slot slot) {
  const Address target{"stranger.example", 1};
  const auto moved = SlotMap(topology).with_slot_moved(slot, target);
  check_topology(moved.topology());
  require(moved.topology().shards[moved.shard_of(slot)].primary.address == target, "the moved slot is at its target");
}

void check_reply(std::string_view bytes) {
  const auto value = resp::parse_value(bytes);
  if (!value) return;
  const auto topology = cluster::read_topology(*value, {"asked.example", 6379}, bytes.size() % 2 == 0);
  if (!topology) return;
  check_topology(*topology);
  check_merge(*topology);
  check_move(*topology, cluster::key_slot(bytes));
}

void check_text(std::string_view bytes) {
  (void)cluster::classify_error(bytes);
  if (const auto address = cluster::parse_address(bytes)) check_address(*address);
  if (const auto redirect = cluster::parse_redirect(bytes)) {
    require(redirect->slot < cluster::kSlotCount, "a redirect names a slot");
    if (!redirect->address.host.empty()) check_address(redirect->address);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  check_reply(bytes);
  check_text(bytes);
  return 0;
}
