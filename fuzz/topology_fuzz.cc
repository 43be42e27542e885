// Whatever a backend answers to CLUSTER SLOTS or SHARDS, or names in a redirect, gives a topology that keeps its
// promises or none at all.
#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "cluster/redirect.h"
#include "cluster/slot_map.h"
#include "cluster/topology.h"

namespace {

using cluster::Address;
using cluster::Slot;
using cluster::SlotMap;
using cluster::Topology;

void check_address(const Address& address) {
  assert(!address.host.empty() && address.port != 0);
  assert(cluster::parse_address(address.text()) == address);
}

void check_shard(const cluster::Shard& shard) {
  check_address(shard.primary.address);
  for (const auto& replica : shard.replicas) {
    check_address(replica.address);
    assert(replica.address != shard.primary.address);
  }
  assert(std::ranges::is_sorted(shard.replicas, {}, &cluster::Node::address));
  assert(!shard.ranges.empty());
  for (std::size_t i = 0; i < shard.ranges.size(); ++i) {
    assert(shard.ranges[i].first <= shard.ranges[i].last && shard.ranges[i].last < cluster::kSlotCount);
    assert(i == 0 || shard.ranges[i].first > shard.ranges[i - 1].last + 1);
  }
}

void check_topology(const Topology& topology) {
  const SlotMap map{topology};
  std::uint32_t slots_served = 0;
  for (std::uint32_t slot = 0; slot < cluster::kSlotCount; ++slot) {
    if (map.shard_of(static_cast<Slot>(slot)) != SlotMap::kNoShard) ++slots_served;
  }
  // Equal only when no slot stands in two shards.
  assert(slots_served == topology.slots_covered());

  std::vector<Address> primaries;
  for (std::size_t i = 0; i < topology.shards.size(); ++i) {
    check_shard(topology.shards[i]);
    assert(i == 0 || topology.shards[i - 1].ranges.front().first < topology.shards[i].ranges.front().first);
    primaries.push_back(topology.shards[i].primary.address);
  }
  std::ranges::sort(primaries);
  assert(std::ranges::adjacent_find(primaries) == primaries.end());
}

/// Ids and zones may be told of one address in several ways; the first way wins, everywhere.
void check_merge(const Topology& topology) {
  const std::vector answers{topology, topology};
  const auto merged = cluster::merge_topologies(answers);
  check_topology(merged);
  assert(merged == topology);
}

void check_move(const Topology& topology, Slot slot) {
  const Address target{"stranger.example", 1};
  const auto moved = SlotMap(topology).with_slot_moved(slot, target);
  check_topology(moved.topology());
  assert(moved.topology().shards[moved.shard_of(slot)].primary.address == target);
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
    assert(redirect->slot < cluster::kSlotCount);
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
