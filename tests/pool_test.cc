// Nodes and their lanes over time: back-off and coming back, names, retirement and revival, who is forgotten.
#include "pool/pool.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "tests/support/pool_rig.h"
#include "tests/support/stream_probe.h"

namespace pool {
namespace {

using tests::FakeServer;
using tests::PoolRig;
using tests::StreamProbe;

/// Milliseconds until the lane takes requests again, looked at every millisecond.
std::uint32_t rest_of(PoolRig& rig, Lane& lane) {
  std::uint32_t rested = 0;
  while (!lane.accepts() && rested < 10'000) {
    rig.advance(1);
    ++rested;
  }
  return rested;
}

/// The connection breaks, and the lane has noticed.
void break_lane(PoolRig& rig, Lane& lane) {
  rig.server.kill();
  ASSERT_TRUE(rig.until([&] { return lane.idle(); }));
}

TEST(NodeName, BracketsVersion6) {
  EXPECT_EQ(node_name("10.0.0.1", 6379), "10.0.0.1:6379");
  EXPECT_EQ(node_name("::1", 7000), "[::1]:7000");
  EXPECT_EQ(node_name("redis.example.com", 1), "redis.example.com:1");
}

TEST(Pool, OneNodeForOneAddress) {
  PoolRig rig;
  Node& node = rig.pool->node("127.0.0.1", 7001);
  EXPECT_EQ(&node, &rig.pool->node("127.0.0.1", 7001));
  EXPECT_NE(&node, &rig.pool->node("127.0.0.1", 7002));
  EXPECT_EQ(node.name(), "127.0.0.1:7001");
  EXPECT_EQ(rig.pool->nodes().size(), 2U);
}

TEST(Pool, LanesAreApartByKeyAndChosenBySalt) {
  Settings settings;
  settings.lanes_per_node = 3;
  PoolRig rig(settings);
  Node& node = rig.node();
  const std::vector<LaneKey> keys = {
      {},
      {.protocol = resp::Protocol::kResp3, .read_only = false, .database = 0},
      {.protocol = resp::Protocol::kResp2, .read_only = true, .database = 0},
      {.protocol = resp::Protocol::kResp2, .read_only = false, .database = 1},
  };
  std::set<Lane*> lanes;
  for (const LaneKey& key : keys) {
    for (std::uint32_t salt = 0; salt < 3; ++salt) {
      Lane& lane = node.lane(key, salt);
      EXPECT_EQ(lane.key(), key);
      EXPECT_EQ(&lane, &node.lane(key, salt + 3));
      lanes.insert(&lane);
    }
  }
  EXPECT_EQ(lanes.size(), 12U);
}

TEST(Pool, KeepsACopyOfARequest) {
  PoolRig rig;
  std::string request(5000, 'x');
  const uring::ChunkSpan kept = rig.pool->keep(request);
  request.assign(5000, 'y');
  EXPECT_EQ(kept.bytes(), std::string(5000, 'x'));
  rig.turns.chunks.release(kept.chunk);
}

/// Takes a large reply in pieces, and drops them.
class Taker final : public ReplySink {
 public:
  Taker(PoolRig& rig, uring::Stream& target) : rig_(rig), target_(target) {}
  [[nodiscard]] PendingReply& pending() {
    PendingReply& pending = rig_.pending.take();
    pending.sink = this;
    return pending;
  }

 private:
  void on_reply(PendingReply& pending, std::string_view) override { rig_.pending.release(pending); }
  uring::Stream* target_of_large(PendingReply&, Lane&, const LargeHead&) override { return &target_; }
  void on_lost(PendingReply& pending, Loss, std::string_view) override { rig_.pending.release(pending); }

  PoolRig& rig_;
  uring::Stream& target_;
};

TEST(Pool, WhatIsSentAgainStaysBehindItsClientsOthers) {
  Settings settings;
  settings.large_bytes = 4096;
  PoolRig rig(settings);
  const StreamProbe client(rig.turns, tests::unix_pair());
  Taker taker(rig, *client.stream);
  rig.server.piece = 1000;
  rig.server.script = [](const std::string& request) {
    return request == "GET k" ? FakeServer::bulk(std::string(100'000, 'x')) : FakeServer::echo(request);
  };
  Lane& first = rig.lane();
  ASSERT_TRUE(rig.hears(rig.ask("x")));
  first.enqueue(taker.pending(), tests::request_bytes({"GET", "k"}));
  PendingReply& behind = rig.numbered();
  behind.salt = 7;
  first.enqueue(behind, tests::request_bytes({"ECHO", "y"}));
  ASSERT_TRUE(rig.until([&] { return rig.replaced == 1; }));
  EXPECT_NE(&rig.lane(), &first);
  EXPECT_EQ(&rig.node().lane_behind({}, 7), &first);
  EXPECT_EQ(&rig.node().lane_behind({}, 8), &rig.lane());
  EXPECT_EQ(&rig.node().lane_behind({.read_only = true}, 7), &rig.lane({.read_only = true}));
  rig.server.kill();
  ASSERT_TRUE(rig.hears(1));
  EXPECT_EQ(&rig.node().lane_behind({}, 7), &rig.lane());
}

// --- Breaking and coming back

TEST(Pool, ARefusedConnectionIsToldAtOnce) {
  PoolRig rig;
  rig.server.stop_listening();
  Node& node = rig.node();
  const std::size_t asked = rig.ask("x");
  ASSERT_TRUE(rig.hears(asked));
  EXPECT_EQ(rig.loss_of(asked), Loss::kNotSent);
  EXPECT_EQ(rig.reply_of(asked), std::string("(lost: ") + std::strerror(ECONNREFUSED) + ")");
  EXPECT_FALSE(node.failing()) << "once is no habit";
  EXPECT_EQ(rig.pool->counters().connect_failures, 1U);
  ASSERT_LT(rest_of(rig, rig.lane()), 10'000U);
  ASSERT_TRUE(rig.hears(rig.ask("x")));
  EXPECT_TRUE(node.failing());
  EXPECT_EQ(node.failures(), 2U);
}

TEST(Pool, WithoutDescriptorsARequestIsLost) {
  PoolRig rig;
  Lane& lane = rig.lane();
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit none{.rlim_cur = 0, .rlim_max = limit.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const std::size_t asked = rig.ask(lane, {"ECHO", "x"});
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_FALSE(rig.heard(asked)) << "nobody expects to hear while he still asks";
  ASSERT_TRUE(rig.hears(asked));
  EXPECT_EQ(rig.loss_of(asked), Loss::kNotSent);
  ASSERT_LT(rest_of(rig, lane), 10'000U);
  ASSERT_TRUE(rig.hears(rig.ask(lane, {"ECHO", "again"})));
  EXPECT_EQ(rig.reply_of(1), FakeServer::bulk("ECHO again"));
}

TEST(Pool, RestsLongerWithEveryFailureUpToABound) {
  PoolRig rig;
  rig.server.stop_listening();
  Lane& lane = rig.lane();
  std::uint32_t longest = 20;
  for (int failure = 1; failure <= 12; ++failure) {
    ASSERT_TRUE(rig.hears(rig.ask("x")));
    longest = std::min(2 * longest, 2000U);
    const std::uint32_t rested = rest_of(rig, lane);
    EXPECT_GE(rested, longest / 2) << "after failure " << failure;
    EXPECT_LE(rested, longest) << "after failure " << failure;
  }
}

TEST(Pool, ASuccessEndsTheBackOffAndTheFailing) {
  Settings settings;
  settings.failure_threshold = 2;
  PoolRig rig(settings);
  Lane& lane = rig.lane();
  rig.server.script = [](const std::string&) { return "-LOADING Redis is loading\r\n"; };
  lane.enqueue(rig.numbered(), tests::request_bytes({"PING"}));
  ASSERT_TRUE(rig.hears(0)) << "an error to what is optional is none";
  for (int i = 0; i < 6; ++i) {
    break_lane(rig, lane);
    EXPECT_LE(rest_of(rig, lane), 40U) << "each was ready in between";
    rig.server.script = FakeServer::echo;
    ASSERT_TRUE(rig.hears(rig.ask("x")));
    EXPECT_FALSE(rig.node().failing());
  }
}

TEST(Pool, AWantedNodeIsReconnectedByItself) {
  PoolRig rig;
  Lane& lane = rig.lane();
  rig.node().set_wanted(true);
  ASSERT_TRUE(rig.hears(rig.ask("x")));
  break_lane(rig, lane);
  rest_of(rig, lane);
  ASSERT_TRUE(rig.becomes_ready(lane));
  EXPECT_EQ(rig.nodes_ready, 2U);
  EXPECT_EQ(rig.node().connects(), 2U);
}

/// Its connection breaks, and has rested.
void rest_unwanted(PoolRig& rig) {
  ASSERT_TRUE(rig.hears(rig.ask("x")));
  break_lane(rig, rig.lane());
  rest_of(rig, rig.lane());
  rig.turn(10);
  ASSERT_TRUE(rig.lane().idle());
}

TEST(Pool, AnUnwantedNodeWaitsForARequest) {
  PoolRig rig;
  ASSERT_NO_FATAL_FAILURE(rest_unwanted(rig));
  EXPECT_TRUE(rig.lane().accepts());
  ASSERT_TRUE(rig.hears(rig.ask("y")));
  EXPECT_EQ(rig.server.accepted, 2U);
}

TEST(Pool, ANodeThatIsWantedAgainLaterIsReconnectedByItself) {
  PoolRig rig;
  ASSERT_NO_FATAL_FAILURE(rest_unwanted(rig));
  rig.node().set_wanted(true);
  rig.advance(1);
  ASSERT_TRUE(rig.becomes_ready(rig.lane()));
  EXPECT_EQ(rig.node().connects(), 2U);
}

// --- Names

TEST(Pool, AHostNameIsResolved) {
  PoolRig rig;
  Lane& lane = rig.pool->node("localhost", rig.server.port()).lane({}, 0);
  const std::size_t asked = rig.ask(lane, {"ECHO", "named"});
  ASSERT_TRUE(rig.hears(asked));
  // Where the name means ::1 first, nobody listens, which is an answer as well.
  const std::string refused = std::string("(lost: ") + std::strerror(ECONNREFUSED) + ")";
  EXPECT_TRUE(rig.reply_of(asked) == FakeServer::bulk("ECHO named") || rig.reply_of(asked) == refused);
}

TEST(Pool, AHostNameWithoutAddressIsALoss) {
  PoolRig rig;
  Lane& lane = rig.pool->node(std::string(300, 'x'), 1).lane({}, 0);
  const std::size_t asked = rig.ask(lane, {"ECHO", "x"});
  ASSERT_TRUE(rig.hears(asked));
  EXPECT_EQ(rig.reply_of(asked), "(lost: the host name has no address)");
  EXPECT_EQ(rig.loss_of(asked), Loss::kNotSent);
}

TEST(Pool, AHostNameIsNotWaitedForLongerThanAConnection) {
  Settings settings;
  settings.connect_timeout = std::chrono::milliseconds(500);
  PoolRig rig(settings);
  Lane& lane = rig.pool->node("localhost", rig.server.port()).lane({}, 0);
  const std::size_t asked = rig.ask(lane, {"ECHO", "x"});
  // Without a turn the answer cannot arrive.
  rig.advance(500);
  EXPECT_FALSE(rig.heard(asked));
  rig.advance(1);
  ASSERT_TRUE(rig.heard(asked));
  EXPECT_EQ(rig.reply_of(asked), "(lost: the host name was not resolved in time)");
  EXPECT_EQ(rig.loss_of(asked), Loss::kNotSent);
  rig.turn(5);
  EXPECT_TRUE(lane.idle()) << "a late answer is nobody's";
}

TEST(Pool, RetiresWhileAHostNameIsResolved) {
  PoolRig rig;
  Lane& lane = rig.pool->node("localhost", 1).lane({}, 0);
  const std::size_t asked = rig.ask(lane, {"ECHO", "x"});
  rig.pool->retire();
  EXPECT_EQ(rig.loss_of(asked), Loss::kNotSent);
  ASSERT_TRUE(rig.until([&] { return rig.pool->gone(); }));
}

// --- Retirement

enum class Moment : std::uint8_t { kIdle, kConnecting, kHandshaking, kReady, kInFlight, kResting };

class PoolRetire : public testing::TestWithParam<Moment> {
 protected:
  void reach(PoolRig& rig, Lane& lane) {
    if (GetParam() == Moment::kIdle) return;
    rig.server.script = FakeServer::echo;
    if (GetParam() == Moment::kConnecting) rig.server.accepting = false;
    if (GetParam() == Moment::kHandshaking) rig.server.writing = false;
    if (GetParam() == Moment::kInFlight) rig.server.script = FakeServer::handshake;
    rig.ask(lane, {"ECHO", "x"});
    if (GetParam() == Moment::kConnecting) return;
    if (GetParam() == Moment::kHandshaking) rig.turn(3);
    if (GetParam() == Moment::kReady || GetParam() == Moment::kResting) {
      ASSERT_TRUE(rig.hears(0));
    }
    if (GetParam() == Moment::kInFlight) {
      ASSERT_TRUE(rig.until([&] { return rig.server.requests.size() == 3; }));
    }
    if (GetParam() == Moment::kResting) break_lane(rig, lane);
  }
};

INSTANTIATE_TEST_SUITE_P(Moments, PoolRetire,
                         testing::Values(Moment::kIdle, Moment::kConnecting, Moment::kHandshaking, Moment::kReady,
                                         Moment::kInFlight, Moment::kResting));

TEST_P(PoolRetire, TellsAllAndLeavesNothingBehind) {
  PoolRig rig;
  Lane& lane = rig.lane();
  reach(rig, lane);
  const std::size_t told = rig.lost_reasons.size();
  rig.pool->retire();
  EXPECT_FALSE(lane.accepts()) << "nobody would answer";
  ASSERT_TRUE(rig.until([&] { return rig.pool->gone(); }));
  EXPECT_TRUE(rig.all_heard());
  EXPECT_EQ(rig.lost_reasons.size(), told) << "who is sent away is not lost";
  if (GetParam() == Moment::kInFlight) {
    EXPECT_EQ(rig.loss_of(0), Loss::kUnknown);
  }
  if (GetParam() == Moment::kHandshaking) {
    EXPECT_EQ(rig.loss_of(0), Loss::kNotSent);
  }
  rig.advance(1);
  EXPECT_TRUE(rig.pool->nodes().empty());
}

TEST_P(PoolRetire, AndIsRevivedByName) {
  PoolRig rig;
  reach(rig, rig.lane());
  rig.pool->retire();
  rig.server.accepting = rig.server.writing = true;
  rig.server.script = FakeServer::echo;
  Lane& lane = rig.lane();
  ASSERT_TRUE(rig.until([&] {
    rig.advance(10);
    return lane.accepts() && rig.all_heard();
  }));
  const std::size_t asked = rig.ask(lane, {"ECHO", "revived"});
  ASSERT_TRUE(rig.hears(asked));
  EXPECT_EQ(rig.reply_of(asked), FakeServer::bulk("ECHO revived"));
}

TEST(Pool, ForgetsANodeNobodyNamesForTenSeconds) {
  PoolRig rig;
  rig.pool->node("127.0.0.1", 1).set_wanted(true);
  ASSERT_TRUE(rig.hears(rig.ask("x")));
  rig.advance(9'000);
  rig.turn(3);
  EXPECT_EQ(rig.pool->nodes().size(), 2U);
  rig.advance(1'001);
  ASSERT_TRUE(rig.until([&] {
    rig.advance(1);
    return rig.pool->nodes().size() == 1;
  }));
  EXPECT_EQ(rig.pool->nodes().begin()->first, "127.0.0.1:1");
}

TEST(Pool, KeepsANodeThatOwesReplies) {
  PoolRig rig;
  rig.server.script = FakeServer::handshake;
  const std::size_t asked = rig.ask("x");
  ASSERT_TRUE(rig.until([&] { return rig.server.requests.size() == 3; }));
  for (int i = 0; i < 12; ++i) {
    rig.server.say(">1\r\n+still here\r\n");
    rig.turn(5);
    rig.advance(1'000);
  }
  EXPECT_EQ(rig.pool->nodes().size(), 1U);
  rig.server.say("+late\r\n");
  ASSERT_TRUE(rig.hears(asked));
  EXPECT_EQ(rig.reply_of(asked), "+late\r\n");
}

}  // namespace
}  // namespace pool
