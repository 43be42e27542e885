// The cursor of a SCAN over a whole cluster: what it holds, and that a walk by it meets every key, in a cluster that
// stays as it is and in one whose shards change hands under it.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cluster/slot_map.h"
#include "pool/pool.h"
#include "src/scan.h"

namespace sluice {
namespace {

using cluster::SlotMap;

/// Of any length, not only nearly the longest.
std::uint64_t any_node_cursor() {
  return (*rc::gen::arbitrary<std::uint64_t>() & ScanCursor::kMaxNodeCursor) >> *rc::gen::inRange(0, 42);
}

std::uint32_t any_fingerprint() {
  return *rc::gen::inRange<std::uint32_t>(1, 1U << ScanCursor::kFingerprintBits);
}

ScanCursor any_cursor() {
  return {.node_cursor = any_node_cursor(),
          .fingerprint = any_fingerprint(),
          .anchor_slot = *rc::gen::inRange<std::uint16_t>(0, cluster::kSlotCount)};
}

RC_GTEST_PROP(ScanCursorLaws, WhatGoesInComesOut, ()) {
  const ScanCursor cursor = any_cursor();
  const ScanCursor again = ScanCursor::decode(cursor.encode());
  RC_ASSERT(again.node_cursor == cursor.node_cursor);
  RC_ASSERT(again.is_of(cursor.fingerprint));
  RC_ASSERT(again.anchor_slot == cursor.anchor_slot);
  RC_ASSERT(cursor.encode() != 0U);
}

RC_GTEST_PROP(ScanCursorLaws, AnyNumberOfAClientIsACursor, (std::uint64_t number)) {
  const ScanCursor cursor = ScanCursor::decode(number);
  RC_ASSERT(cursor.node_cursor <= ScanCursor::kMaxNodeCursor);
  RC_ASSERT(cursor.fingerprint < 1U << ScanCursor::kFingerprintBits);
  RC_ASSERT(cursor.anchor_slot < cluster::kSlotCount);
  const ScanCursor again = ScanCursor::decode(cursor.encode());
  RC_ASSERT(again.node_cursor == cursor.node_cursor);
  RC_ASSERT(again.anchor_slot == cursor.anchor_slot);
}

RC_GTEST_PROP(ScanCursorLaws, AFingerprintIsNeverZero, (const std::string& name)) {
  const std::uint32_t fingerprint = fingerprint_of(name);
  RC_ASSERT(fingerprint > 0 && fingerprint < 1U << ScanCursor::kFingerprintBits);
}

/// As far as the cursor has bits for it.
RC_GTEST_PROP(ScanCursorLaws, AnotherNodesCursorIsKnown, ()) {
  const ScanCursor cursor = any_cursor();
  const std::uint32_t other = any_fingerprint();
  const auto length = static_cast<unsigned>(std::bit_width(cursor.node_cursor));
  const unsigned told = length <= 16 ? 21 : length <= 21 ? 16 : length <= 27 ? 10 : 6;
  const bool differ = (cursor.fingerprint ^ other) << (32 - told) != 0;
  RC_ASSERT(ScanCursor::decode(cursor.encode()).is_of(other) == !differ);
}

/// JavaScript's numbers are exact up to there: a client that takes cursors for numbers would walk in circles.
RC_GTEST_PROP(ScanCursorLaws, ADoubleHoldsIt, ()) {
  ScanCursor cursor = any_cursor();
  cursor.node_cursor &= (1ULL << 31) - 1;
  RC_ASSERT(cursor.encode() < 1ULL << 53);
}

/// Six bits took two of a cluster's nodes for one once in 63 times.
TEST(ScanCursorLaws, NeighboursHaveFingerprintsOfTheirOwn) {
  std::set<std::uint32_t> seen;
  for (std::uint16_t port = 7000; port < 7500; ++port) seen.insert(fingerprint_of(pool::node_name("10.0.0.1", port)));
  EXPECT_EQ(seen.size(), 500U);
}

/// Keys on nodes, and a SCAN that speaks in cursors of the node's own: one node's mean nothing to another.
class ScannedCluster {
 public:
  /// `bounds`: the first slots of all shards but the first, ascending.
  ScannedCluster(const std::vector<cluster::Slot>& bounds, std::size_t keys)
      : keys_(keys), keys_of_(bounds.size() + 1) {
    cluster::Slot first = 0;
    for (std::size_t i = 0; i <= bounds.size(); ++i) {
      const cluster::Slot last = i < bounds.size() ? static_cast<cluster::Slot>(bounds[i] - 1) : cluster::Slot{16383};
      topology_.shards.push_back({.primary = fresh_node(), .replicas = {}, .ranges = {{first, last}}});
      if (i < bounds.size()) first = bounds[i];
    }
    for (std::size_t i = 0; i < keys; ++i) {
      keys_of_[*rc::gen::inRange<std::size_t>(0, keys_of_.size())].push_back("k" + std::to_string(i));
    }
  }

  [[nodiscard]] SlotMap map() const { return SlotMap(topology_); }

  /// Another node takes the shard over.
  void fail_over(std::size_t shard) { topology_.shards[shard].primary = fresh_node(); }
  [[nodiscard]] std::size_t keys() const { return keys_; }
  [[nodiscard]] std::size_t shards() const { return keys_of_.size(); }

  /// What the node that serves the slot answers to SCAN: some keys, and its next cursor.
  std::pair<std::vector<std::string>, std::uint64_t> scan(cluster::Slot slot, std::uint64_t cursor) const {
    const std::size_t shard = map().shard_of(slot);
    const std::vector<std::string>& keys = keys_of_[shard];
    // Positions are disguised by the node's port; a cursor of another node leads to the end of the keys.
    const std::uint64_t disguise = std::uint64_t{topology_.shards[shard].primary.address.port} << 10;
    const std::uint64_t start = cursor == 0 ? 0 : cursor - disguise;
    const std::uint64_t from = std::min<std::uint64_t>(start, keys.size());
    const std::uint64_t to = std::min<std::uint64_t>(from + 3, keys.size());
    const auto position = [](std::uint64_t index) { return static_cast<std::ptrdiff_t>(index); };
    std::vector<std::string> page(keys.begin() + position(from), keys.begin() + position(to));
    return {page, to == keys.size() ? 0 : disguise + to};
  }

 private:
  cluster::Node fresh_node() { return {.address = {"10.0.0.1", next_port_++}, .id = "", .zone = ""}; }

  std::uint16_t next_port_ = 7000;
  cluster::Topology topology_;
  std::size_t keys_;
  std::vector<std::vector<std::string>> keys_of_;  ///< of each shard
};

ScannedCluster any_cluster() {
  auto bounds = *rc::gen::container<std::set<cluster::Slot>>(rc::gen::inRange<cluster::Slot>(1, cluster::kSlotCount));
  while (bounds.size() > 8) bounds.erase(bounds.begin());
  return ScannedCluster({bounds.begin(), bounds.end()}, *rc::gen::inRange<std::size_t>(0, 60));
}

/// One whole walk; `between` is called at each call's begin and while it is under way. How often each key was met.
template <typename Between>
std::map<std::string, int> walk(ScannedCluster& cluster, Between between) {
  std::map<std::string, int> met;
  std::uint64_t cursor = 0;
  for (int calls = 0; calls < 1000; ++calls) {
    between();
    const ScanCursor asked = first_cursor(cluster.map(), cursor);
    between();
    const auto [page, node_cursor] = cluster.scan(asked.anchor_slot, asked.node_cursor);
    for (const std::string& key : page) ++met[key];
    between();
    cursor = next_cursor(cluster.map(), asked, node_cursor).encode();
    if (cursor == 0) return met;
  }
  RC_FAIL("the walk has no end");
}

RC_GTEST_PROP(ScanWalk, MeetsEveryKeyOnce, ()) {
  ScannedCluster cluster = any_cluster();
  const auto met = walk(cluster, [] {});
  RC_ASSERT(met.size() == cluster.keys());
  RC_ASSERT(std::ranges::all_of(met, [](const auto& entry) { return entry.second == 1; }));
}

RC_GTEST_PROP(ScanWalk, MissesNoKeyWhenShardsChangeHands, ()) {
  ScannedCluster cluster = any_cluster();
  int left = 10;
  const auto met = walk(cluster, [&] {
    if (left == 0 || *rc::gen::inRange(0, 6) != 0) return;
    --left;
    cluster.fail_over(*rc::gen::inRange<std::size_t>(0, cluster.shards()));
  });
  RC_ASSERT(met.size() == cluster.keys());
}

TEST(ScanWalk, ACursorIsZeroAtTheEndOnly) {
  cluster::Topology topology;
  for (const cluster::Slot slot : {cluster::Slot{0}, cluster::Slot{100}}) {
    cluster::Shard shard;
    shard.primary.address = {"10.0.0.1", static_cast<std::uint16_t>(7000 + slot)};
    shard.ranges = {{slot, static_cast<cluster::Slot>(slot + 99)}};
    topology.shards.push_back(shard);
  }
  const SlotMap map(topology);
  const ScanCursor first = first_cursor(map, 0);
  EXPECT_EQ(first.anchor_slot, 0);
  EXPECT_EQ(first.node_cursor, 0U);
  EXPECT_NE(next_cursor(map, first, 5).encode(), 0U);
  const ScanCursor second = next_cursor(map, first, 0);
  EXPECT_EQ(second.anchor_slot, 100);
  EXPECT_NE(second.encode(), 0U);
  EXPECT_EQ(next_cursor(map, second, 0).encode(), 0U);
  // The shard has changed hands, and is begun again: at slot 0 too that is not the end.
  topology.shards[0].primary.address.port = 7999;
  EXPECT_NE(next_cursor(SlotMap(topology), first, 5).encode(), 0U);
  EXPECT_NE(next_cursor(SlotMap(topology), first, 0).encode(), 0U);
}

TEST(ScanWalk, WithoutATopologyItBeginsAtTheFirstSlot) {
  const SlotMap nothing{cluster::Topology{}};
  const ScanCursor asked = first_cursor(nothing, 0);
  EXPECT_EQ(asked.anchor_slot, 0);
  EXPECT_EQ(asked.node_cursor, 0U);
}

}  // namespace
}  // namespace sluice
