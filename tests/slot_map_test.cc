// Laws of the slot map and of merging what several nodes say.
#include "cluster/slot_map.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace {

using cluster::Address;
using cluster::kSlotCount;
using cluster::merge_topologies;
using cluster::Node;
using cluster::Shard;
using cluster::Slot;
using cluster::SlotMap;
using cluster::Topology;

Node node(int number) {
  return {.address = {"10.0.0." + std::to_string(number), 6379}, .id = std::to_string(number), .zone = {}};
}

/// The topology in which owners[slot] is the number of the primary, 0 for nobody. Primary n has the replicas 100 + n
/// and 200 + n.
Topology topology_of(const std::vector<int>& owners) {
  std::map<int, Shard> shards;
  std::vector<int> order;
  for (std::uint32_t slot = 0; slot < kSlotCount; ++slot) {
    const int owner = owners[slot];
    if (owner == 0) continue;
    const auto [found, is_new] = shards.try_emplace(owner);
    if (is_new) {
      found->second = {.primary = node(owner), .replicas = {node(100 + owner), node(200 + owner)}, .ranges = {}};
      order.push_back(owner);
    }
    auto& ranges = found->second.ranges;
    if (ranges.empty() || ranges.back().last + 1U != slot) {
      ranges.push_back({static_cast<Slot>(slot), static_cast<Slot>(slot)});
    }
    ranges.back().last = static_cast<Slot>(slot);
  }
  Topology topology;
  for (const int owner : order) topology.shards.push_back(shards[owner]);
  return topology;
}

/// Owners in runs of random length, among few primaries, with holes.
std::vector<int> any_owners() {
  std::vector<int> owners(kSlotCount, 0);
  const auto cuts = *rc::gen::container<std::vector<std::uint32_t>>(rc::gen::inRange<std::uint32_t>(0, kSlotCount));
  for (const auto cut : cuts) {
    const auto end = std::min(kSlotCount, cut + *rc::gen::inRange<std::uint32_t>(1, 6000));
    std::fill(owners.begin() + cut, owners.begin() + end, *rc::gen::inRange(0, 5));
  }
  return owners;
}

std::optional<Address> primary_at(const SlotMap& map, std::uint32_t slot) {
  const auto shard = map.shard_of(static_cast<Slot>(slot));
  if (shard == SlotMap::kNoShard) return std::nullopt;
  return map.topology().shards[shard].primary.address;
}

/// Every promise of topology.h about the form of a Topology.
void expect_canonical(const Topology& topology) {
  std::vector<int> claims(kSlotCount, 0);
  std::vector<Address> primaries;
  int previous_first = -1;
  for (const auto& shard : topology.shards) {
    RC_ASSERT(!shard.ranges.empty());
    RC_ASSERT(shard.ranges.front().first > previous_first);
    previous_first = shard.ranges.front().first;
    primaries.push_back(shard.primary.address);
    RC_ASSERT(std::ranges::is_sorted(shard.replicas, {}, &Node::address));
    int previous_last = -2;
    for (const auto range : shard.ranges) {
      RC_ASSERT(range.first <= range.last);
      RC_ASSERT(range.first > previous_last + 1);
      previous_last = range.last;
      for (std::uint32_t slot = range.first; slot <= range.last; ++slot) ++claims[slot];
    }
  }
  RC_ASSERT(std::ranges::all_of(claims, [](int count) { return count <= 1; }));
  std::ranges::sort(primaries);
  RC_ASSERT(std::ranges::adjacent_find(primaries) == primaries.end());
  RC_ASSERT(topology.slots_covered() == std::ranges::count(claims, 1));
}

TEST(SlotMap, AnEmptyTopologyServesNothing) {
  const SlotMap map{Topology{}};
  EXPECT_EQ(map.shard_of(0), SlotMap::kNoShard);
  EXPECT_EQ(map.shard_of(16383), SlotMap::kNoShard);
  EXPECT_EQ(map.topology().slots_covered(), 0U);
}

TEST(SlotMap, BordersBelongToTheirRange) {
  std::vector<int> owners(kSlotCount, 1);
  std::fill(owners.begin() + 5461, owners.end(), 2);
  const SlotMap map{topology_of(owners)};
  EXPECT_EQ(map.shard_of(0), 0);
  EXPECT_EQ(map.shard_of(5460), 0);
  EXPECT_EQ(map.shard_of(5461), 1);
  EXPECT_EQ(map.shard_of(16383), 1);
  EXPECT_EQ(map.topology().slots_covered(), kSlotCount);
}

TEST(SlotMap, AMoveToAPrimaryKeepsItsShard) {
  std::vector<int> owners(kSlotCount, 1);
  std::fill(owners.begin() + 8000, owners.end(), 2);
  const auto moved = SlotMap{topology_of(owners)}.with_slot_moved(10, node(2).address);
  owners[10] = 2;
  EXPECT_EQ(moved.topology(), topology_of(owners));
}

TEST(SlotMap, AMoveToAReplicaMakesAShardForThatSlot) {
  const std::vector<int> owners(kSlotCount, 1);
  const auto moved = SlotMap{topology_of(owners)}.with_slot_moved(10, node(101).address);
  ASSERT_EQ(moved.topology().shards.size(), 2U);
  EXPECT_EQ(moved.topology().shards[0].primary, node(1));
  const auto& promoted = moved.topology().shards[moved.shard_of(10)];
  EXPECT_EQ(promoted.primary, node(101));
  EXPECT_EQ(promoted.replicas, std::vector{node(201)});
  EXPECT_EQ(moved.shard_of(9), moved.shard_of(11));
  EXPECT_NE(moved.shard_of(9), moved.shard_of(10));
}

TEST(SlotMap, TheNextMoveToThatReplicaJoinsItsShard) {
  const std::vector<int> owners(kSlotCount, 1);
  const auto once = SlotMap{topology_of(owners)}.with_slot_moved(10, node(101).address);
  const auto twice = once.with_slot_moved(12, node(101).address);
  EXPECT_EQ(twice.topology().shards.size(), 2U);
  EXPECT_EQ(twice.shard_of(10), twice.shard_of(12));
}

TEST(SlotMap, AMoveToAStrangerMakesAShard) {
  const auto moved = SlotMap{Topology{}}.with_slot_moved(16383, {"new.example", 7000});
  ASSERT_EQ(moved.topology().shards.size(), 1U);
  EXPECT_EQ(moved.shard_of(16383), 0);
  EXPECT_EQ(moved.topology().shards[0].primary.address, (Address{"new.example", 7000}));
  EXPECT_EQ(moved.topology().slots_covered(), 1U);
}

TEST(SlotMap, AShardThatLostItsLastSlotIsGone) {
  std::vector<int> owners(kSlotCount, 1);
  owners[77] = 2;
  const auto moved = SlotMap{topology_of(owners)}.with_slot_moved(77, node(1).address);
  EXPECT_EQ(moved.topology(), topology_of(std::vector<int>(kSlotCount, 1)));
}

RC_GTEST_PROP(SlotMap, AgreesWithItsTopology, ()) {
  const auto owners = any_owners();
  const SlotMap map{topology_of(owners)};
  for (std::uint32_t slot = 0; slot < kSlotCount; ++slot) {
    const auto expected = owners[slot] == 0 ? std::nullopt : std::optional(node(owners[slot]).address);
    RC_ASSERT(primary_at(map, slot) == expected);
  }
}

RC_GTEST_PROP(SlotMap, AMoveChangesExactlyOneSlot, ()) {
  const SlotMap map{topology_of(any_owners())};
  const auto slot = *rc::gen::inRange<std::uint32_t>(0, kSlotCount);
  const auto target = node(*rc::gen::element(1, 2, 3, 101, 202, 99)).address;
  const auto moved = map.with_slot_moved(static_cast<Slot>(slot), target);
  expect_canonical(moved.topology());
  for (std::uint32_t each = 0; each < kSlotCount; ++each) {
    RC_ASSERT(primary_at(moved, each) == (each == slot ? std::optional(target) : primary_at(map, each)));
  }
}

RC_GTEST_PROP(Merge, OneAnswerIsItself, ()) {
  const std::vector answers{topology_of(any_owners())};
  RC_ASSERT(merge_topologies(answers) == answers.front());
}

RC_GTEST_PROP(Merge, TheMajorityWinsEachSlotAndATieGoesToTheFirst, ()) {
  std::vector<std::vector<int>> owners;
  std::vector<Topology> answers;
  const int count = *rc::gen::inRange(1, 6);
  for (int i = 0; i < count; ++i) {
    owners.push_back(any_owners());
    answers.push_back(topology_of(owners.back()));
  }
  std::vector<int> expected(kSlotCount, 0);
  for (std::uint32_t slot = 0; slot < kSlotCount; ++slot) {
    const auto votes = [&](int candidate) {
      return std::ranges::count_if(owners, [&](const auto& each) { return each[slot] == candidate; });
    };
    for (const auto& each : owners) {
      const int candidate = each[slot];
      const bool is_better = expected[slot] == 0 || votes(candidate) > votes(expected[slot]);
      if (candidate != 0 && is_better) expected[slot] = candidate;
    }
  }
  const auto merged = merge_topologies(answers);
  expect_canonical(merged);
  RC_ASSERT(merged == topology_of(expected));
}

TEST(Merge, NoAnswerIsNoTopology) {
  EXPECT_EQ(merge_topologies({}), Topology{});
}

TEST(Merge, ReplicasComeFromEveryAnswerThatNamesTheWinner) {
  const auto shard = [](int primary, std::vector<Node> replicas) {
    return Topology{{Shard{.primary = node(primary), .replicas = std::move(replicas), .ranges = {{0, 16383}}}}};
  };
  const std::vector answers{shard(1, {node(5)}), shard(2, {node(6)}), shard(1, {node(3), node(5)})};
  EXPECT_EQ(merge_topologies(answers), shard(1, {node(3), node(5)}));
}

TEST(Merge, IdsAndZonesComeFromWhoeverKnowsThem) {
  const Address first{"10.0.0.1", 1};
  const Address second{"10.0.0.2", 1};
  const auto shard = [](Node primary, Node replica) {
    return Topology{{Shard{.primary = std::move(primary), .replicas = {std::move(replica)}, .ranges = {{0, 9}}}}};
  };
  const std::vector answers{shard({first, "", ""}, {second, "b", ""}),
                            shard({second, "", "west"}, {first, "a", "east"}),
                            shard({first, "", ""}, {second, "", ""})};
  EXPECT_EQ(merge_topologies(answers), shard({first, "a", "east"}, {second, "b", "west"}));
}

}  // namespace
