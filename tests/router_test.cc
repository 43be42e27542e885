// Which node takes a request: slots, read preferences, nodes that fail, and what a moved slot changes.
#include "src/router.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "tests/support/pool_rig.h"

namespace sluice {
namespace {

using cluster::Address;
using pool::RequestKind;

cluster::Node node_at(std::uint16_t port, std::string zone = "") {
  return {.address = {"127.0.0.1", port}, .id = "", .zone = std::move(zone)};
}

/// Two shards: port 1 with replicas 11 and 12, and 2 with 21. Nobody listens on these.
cluster::Topology two_shards() {
  cluster::Topology topology;
  topology.shards.push_back(
      {.primary = node_at(1, "a"), .replicas = {node_at(11, "b"), node_at(12, "c")}, .ranges = {{0, 8191}}});
  topology.shards.push_back({.primary = node_at(2, "b"), .replicas = {node_at(21, "a")}, .ranges = {{8192, 16383}}});
  return topology;
}

class RouterTest : public ::testing::Test {
 protected:
  /// Ports of the nodes that take a kind of request, over many clients.
  std::set<int> ports_of(Router& router, const RequestKind& kind) {
    std::set<int> ports;
    for (std::uint32_t salt = 0; salt < 50; ++salt) ports.insert(port_of(router, kind, salt));
    return ports;
  }
  /// 0: nobody.
  int port_of(Router& router, const RequestKind& kind, std::uint32_t salt) {
    const pool::Node* node = router.node_for(kind, salt);
    return node == nullptr ? 0 : node->port();
  }
  Router& router(ReadFrom read_from, const std::string& zone = "") {
    config_.read_from = read_from;
    config_.zone = zone;
    EXPECT_TRUE(router_.adopt(two_shards()));
    return router_;
  }
  /// Connections to a node fail until it counts as failing.
  void let_fail(std::uint16_t port) {
    pool::Node& node = rig_.pool->node("127.0.0.1", port);
    ASSERT_TRUE(rig_.until([&] {
      pool::Lane& lane = node.lane({}, 0);
      if (lane.idle() && lane.accepts()) rig_.ask(lane, {"PING"});
      rig_.advance(100);
      return node.failing();
    }));
  }

  static constexpr RequestKind kWrite{.slot = 1};
  static constexpr RequestKind kRead{.slot = 1, .read_only = true};

  tests::PoolRig rig_;
  BackendConfig config_;
  Router router_{*rig_.pool, config_};
};

TEST_F(RouterTest, KnowsNobodyAtFirst) {
  EXPECT_FALSE(router_.knows_topology());
  EXPECT_EQ(router_.node_for(kWrite, 0), nullptr);
  EXPECT_EQ(router_.lane_for({}, 0), nullptr);
}

TEST_F(RouterTest, WritesGoToThePrimaryOfTheSlot) {
  for (const ReadFrom read_from :
       {ReadFrom::kPrimary, ReadFrom::kPreferReplica, ReadFrom::kReplica, ReadFrom::kAny, ReadFrom::kZone}) {
    config_.read_from = read_from;
    config_.zone = "b";
    static_cast<void>(router_.adopt(two_shards()));
    EXPECT_EQ(ports_of(router_, {.slot = 0}), std::set{1});
    EXPECT_EQ(ports_of(router_, {.slot = 8191}), std::set{1});
    EXPECT_EQ(ports_of(router_, {.slot = 8192}), std::set{2});
  }
}

TEST_F(RouterTest, ReadsGoWhereTheyAreWanted) {
  EXPECT_EQ(ports_of(router(ReadFrom::kPrimary), kRead), std::set{1});
  config_.read_from = ReadFrom::kPreferReplica;
  EXPECT_EQ(ports_of(router_, kRead), (std::set{11, 12}));
  config_.read_from = ReadFrom::kReplica;
  EXPECT_EQ(ports_of(router_, kRead), (std::set{11, 12}));
  config_.read_from = ReadFrom::kAny;
  EXPECT_EQ(ports_of(router_, kRead), (std::set{1, 11, 12}));
  config_.read_from = ReadFrom::kZone;
  config_.zone = "c";
  EXPECT_EQ(ports_of(router_, kRead), std::set{12});
  config_.zone = "nowhere";
  EXPECT_EQ(ports_of(router_, kRead), (std::set{1, 11, 12}));
}

TEST_F(RouterTest, NodesAreAskedForTheirZones) {
  const std::uint16_t port = rig_.server.port();
  cluster::Topology topology;
  topology.shards.push_back({.primary = node_at(1), .replicas = {node_at(port)}, .ranges = {{0, 16383}}});
  config_.read_from = ReadFrom::kZone;
  config_.zone = "z1";
  EXPECT_TRUE(router_.adopt(topology));
  ASSERT_TRUE(rig_.until([&] { return !rig_.pool->node("127.0.0.1", port).zone().empty(); }));
  EXPECT_EQ(ports_of(router_, kRead), std::set<int>{port});
}

TEST_F(RouterTest, AReaderThatFailsIsPassedBy) {
  Router& router = this->router(ReadFrom::kPreferReplica);
  let_fail(11);
  EXPECT_EQ(ports_of(router, kRead), std::set{12});
  config_.read_from = ReadFrom::kZone;
  config_.zone = "b";
  EXPECT_EQ(ports_of(router, kRead), (std::set{1, 12}));
  let_fail(12);
  config_.read_from = ReadFrom::kPreferReplica;
  EXPECT_EQ(ports_of(router, kRead), std::set{1});
  // A replica was asked for: its reads wait for one.
  config_.read_from = ReadFrom::kReplica;
  EXPECT_EQ(ports_of(router, kRead), (std::set{11, 12}));
}

TEST_F(RouterTest, AClientStaysWithItsNode) {
  Router& router = this->router(ReadFrom::kAny);
  for (const RequestKind& kind : {RequestKind{}, kRead}) {
    for (std::uint32_t salt = 0; salt < 20; ++salt) EXPECT_EQ(port_of(router, kind, salt), port_of(router, kind, salt));
  }
  EXPECT_EQ(ports_of(router, {}), (std::set{1, 2}));
  let_fail(1);
  EXPECT_EQ(ports_of(router, {}), std::set{2});
}

TEST_F(RouterTest, ReadsOfAReplicaHaveALaneOfTheirOwnAndThoseOfAPrimaryDoNot) {
  Router& router = this->router(ReadFrom::kAny);
  for (std::uint32_t salt = 0; salt < 20; ++salt) {
    EXPECT_EQ(router.lane_for(kRead, salt)->key().read_only, port_of(router, kRead, salt) != 1);
  }
  EXPECT_FALSE(router.lane_for(kWrite, 0)->key().read_only);
}

TEST_F(RouterTest, TheVersionChangesWithTheTopologyOnly) {
  Router& router = this->router(ReadFrom::kPrimary);
  const std::uint32_t version = router.version();
  EXPECT_FALSE(router.adopt(two_shards()));
  EXPECT_EQ(router.version(), version);
  cluster::Topology other = two_shards();
  other.shards.pop_back();
  EXPECT_TRUE(router.adopt(other));
  EXPECT_NE(router.version(), version);
  EXPECT_EQ(router.node_for({.slot = 8192}, 0), nullptr);
}

TEST_F(RouterTest, AMovedSlotGoesToItsNewNode) {
  Router& router = this->router(ReadFrom::kPrimary);
  const std::uint32_t version = router.version();
  router.move_slot(1, {"127.0.0.1", 2});
  EXPECT_NE(router.version(), version);
  EXPECT_EQ(ports_of(router, kWrite), std::set{2});
  EXPECT_EQ(ports_of(router, {.slot = 2}), std::set{1});
  router.move_slot(2, {"127.0.0.1", 99});
  EXPECT_EQ(ports_of(router, {.slot = 2}), std::set{99});
}

TEST_F(RouterTest, AStormOfOneMovedChangesOneVersion) {
  Router& router = this->router(ReadFrom::kPrimary);
  router.move_slot(1, {"127.0.0.1", 2});
  const std::uint32_t version = router.version();
  router.move_slot(1, {"127.0.0.1", 2});
  EXPECT_EQ(router.version(), version);
}

// Until the topology is asked for again, a promoted replica stands in it twice. Reads of it must not pass its writes
// by.
// Each costs a new map, and the refresh that brings them all is on its way.
TEST_F(RouterTest, OfManyMovedSlotsNotAllAreNoted) {
  Router& to = router(ReadFrom::kPrimary);
  for (cluster::Slot slot = 0; slot < 1000; ++slot) to.move_slot(slot, {"127.0.0.1", 2});
  EXPECT_EQ(port_of(to, {.slot = 0}, 0), 2);
  EXPECT_EQ(port_of(to, {.slot = 999}, 0), 1);
  EXPECT_TRUE(to.is_patched());
  EXPECT_TRUE(to.adopt(two_shards()));
  EXPECT_FALSE(to.is_patched());
  to.move_slot(999, {"127.0.0.1", 2});
  EXPECT_EQ(port_of(to, {.slot = 999}, 0), 2);
}

TEST_F(RouterTest, APromotedReplicaIsNoReplica) {
  for (const cluster::Slot slot : {cluster::Slot{0}, cluster::Slot{4000}, cluster::Slot{8191}}) {
    config_.read_from = ReadFrom::kAny;
    Router router(*rig_.pool, config_);
    ASSERT_TRUE(router.adopt(two_shards()));
    router.move_slot(slot, {"127.0.0.1", 11});
    for (std::uint32_t salt = 0; salt < 20; ++salt) {
      const RequestKind read{.slot = slot, .read_only = true};
      if (port_of(router, read, salt) == 11) {
        EXPECT_EQ(router.lane_for(read, salt), router.lane_for({.slot = slot}, salt)) << "slot " << slot;
      }
    }
  }
}

TEST_F(RouterTest, NodesOutsideTheTopologyAreNotWanted) {
  Router& router = this->router(ReadFrom::kPrimary);
  EXPECT_TRUE(rig_.pool->node("127.0.0.1", 21).wanted());
  cluster::Topology other = two_shards();
  other.shards.pop_back();
  ASSERT_TRUE(router.adopt(other));
  EXPECT_FALSE(rig_.pool->node("127.0.0.1", 21).wanted());
  EXPECT_FALSE(rig_.pool->node("127.0.0.1", 2).wanted());
  EXPECT_TRUE(rig_.pool->node("127.0.0.1", 1).wanted());
}

TEST_F(RouterTest, AStandaloneServerTakesAll) {
  config_.kind = BackendKind::kStandalone;
  cluster::Topology alone;
  alone.shards.push_back({.primary = node_at(1), .replicas = {}, .ranges = {{0, cluster::kSlotCount - 1}}});
  ASSERT_TRUE(router_.adopt(alone));
  EXPECT_FALSE(router_.is_cluster());
  for (const RequestKind& kind : {RequestKind{}, kRead, kWrite, RequestKind{.slot = 16383}}) {
    EXPECT_EQ(ports_of(router_, kind), std::set{1});
  }
  EXPECT_EQ(router_.lane_for({.slot = 0, .database = 3}, 0)->key().database, 3);
}

}  // namespace
}  // namespace sluice
