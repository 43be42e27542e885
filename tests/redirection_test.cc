// What becomes of a request that its node did not serve: who gets it next, what waits and in which order, and what the
// client hears when time or room has run out.
#include "src/redirection.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "src/limits.h"
#include "tests/support/pool_rig.h"

namespace sluice {
namespace {

using tests::FakeServer;
using tests::PoolRig;

struct RefreshCount final : RefreshRequester {
  void refresh_topology() override { ++count; }
  int count = 0;
};

/// A client's side, as a session has it: errors are offered to the redirection, all else is kept.
class RedirectionTest : public ::testing::Test, public pool::ReplySink {
 protected:
  static constexpr cluster::Slot kSlot = 1;  ///< of the first node

  RedirectionTest() {
    config_.command_timeout = std::chrono::milliseconds(1000);
    cluster::Topology topology;
    topology.shards.push_back({.primary = node_at(first()), .replicas = {}, .ranges = {{0, 8191}}});
    topology.shards.push_back({.primary = node_at(second_.port()), .replicas = {}, .ranges = {{8192, 16383}}});
    static_cast<void>(router_.adopt(topology));
    second_.script = FakeServer::echo;
  }
  ~RedirectionTest() override {
    // Nothing may be left in the park: the rig looks for what was never released.
    advance(2000);
    static_cast<void>(until([this] { return replies_.size() == sent_; }));
    EXPECT_EQ(redirection_.parked(), 0U);
  }

  static cluster::Node node_at(std::uint16_t port) { return {.address = {"127.0.0.1", port}, .id = "", .zone = ""}; }
  [[nodiscard]] std::uint16_t first() const { return rig_.server.port(); }
  [[nodiscard]] std::string at_second() const { return " 1 127.0.0.1:" + std::to_string(second_.port()) + "\r\n"; }

  pool::PendingReply& request(std::uint32_t client = 1) {
    pool::PendingReply& pending = rig_.pending.take();
    pending.sink = this;
    pending.kind.slot = kSlot;
    pending.salt = client;
    pending.waiting.started_ms = rig_.now_ms;
    ++sent_;
    return pending;
  }
  /// To the node that the router knows.
  void send(const std::string& word, std::uint32_t client = 1) {
    router_.lane_for({.slot = kSlot}, client)->enqueue(request(client), tests::request_bytes({word}));
  }
  void park(const std::string& word, std::uint32_t client = 1) {
    pool::PendingReply& pending = request(client);
    if (!redirection_.park(pending, tests::request_bytes({word}))) finish(pending, "-refused\r\n");
  }
  /// The first node says this to each request that is none of a hand-shake.
  void first_says(const std::string& reply) {
    rig_.server.script = [reply](const std::string& words) {
      const auto greeting = FakeServer::handshake(words);
      return greeting ? greeting : reply;
    };
  }
  void advance(std::uint32_t ms) {
    rig_.advance(ms);
    redirection_.retry();
  }
  template <typename Condition>
  [[nodiscard]] bool until(Condition condition) {
    return rig_.until([&] {
      second_.serve();
      return condition();
    });
  }
  [[nodiscard]] bool parks(std::size_t count) {
    return until([&] { return redirection_.parked() == count; });
  }
  /// The replies once there are as many as requests.
  std::vector<std::string> replies() {
    EXPECT_TRUE(until([this] { return replies_.size() == sent_; }));
    return replies_;
  }
  /// What the second node was sent, hand-shakes left out.
  [[nodiscard]] std::vector<std::string> seen_by_second() const {
    std::vector<std::string> seen;
    for (const std::string& words : second_.requests) {
      if (!FakeServer::handshake(words)) seen.push_back(words);
    }
    return seen;
  }

  void on_reply(pool::PendingReply& pending, std::string_view reply) override {
    if (reply[0] == '-' && redirection_.takes_error(pending, reply)) return;
    finish(pending, reply[0] == '-' ? redirection_.as_seen_by_client(pending, reply) : std::string(reply));
  }
  void on_lost(pool::PendingReply& pending, pool::Loss loss, std::string_view reason) override {
    if (!redirection_.park(pending)) finish(pending, Redirection::lost_error(loss, reason));
  }
  pool::PendingReply* one_before(const pool::PendingReply& pending) const override {
    const auto found = before_.find(&pending);
    return found == before_.end() ? nullptr : found->second;
  }
  void finish(pool::PendingReply& pending, const std::string& reply) {
    std::erase_if(before_, [&](const auto& each) { return each.second == &pending; });
    replies_.push_back(reply);
    rig_.pending.release(pending);
  }

  PoolRig rig_;
  FakeServer second_;
  BackendConfig config_;
  AnnounceConfig announce_;
  RefreshCount refresh_;
  Router router_{*rig_.pool, config_};
  Redirection redirection_{config_, announce_, router_, *rig_.pool, rig_.pending, refresh_};
  std::size_t sent_ = 0;
  std::vector<std::string> replies_;
  std::map<const pool::PendingReply*, pool::PendingReply*> before_;  ///< while the value has no reply
};

TEST_F(RedirectionTest, OtherErrorsAreTheClients) {
  first_says("-WRONGTYPE no\r\n");
  send("GET");
  EXPECT_EQ(replies(), std::vector<std::string>{"-WRONGTYPE no\r\n"});
  EXPECT_EQ(refresh_.count, 0);
}

TEST_F(RedirectionTest, MovedIsFollowedAndRemembered) {
  first_says("-MOVED" + at_second());
  send("GET");
  EXPECT_EQ(replies(), std::vector<std::string>{FakeServer::bulk("GET")});
  EXPECT_EQ(router_.node_for({.slot = kSlot}, 0)->port(), second_.port());
  EXPECT_EQ(refresh_.count, 1);
  EXPECT_EQ(redirection_.counters().moved, 1U);
}

TEST_F(RedirectionTest, AMovedWithoutAHostMeansTheOneWhoSaidIt) {
  first_says("-MOVED 1 :" + std::to_string(second_.port()) + "\r\n");
  // Asked under another name than the map's.
  rig_.pool->node("localhost", first()).lane({}, 1).enqueue(request(), tests::request_bytes({"GET"}));
  EXPECT_EQ(replies(), std::vector<std::string>{FakeServer::bulk("GET")});
  EXPECT_EQ(router_.node_for({.slot = kSlot}, 0)->name(), "localhost:" + std::to_string(second_.port()));
}

TEST_F(RedirectionTest, AskIsFollowedOnceAndNotRemembered) {
  second_.script = [](const std::string& words) {
    return words == "ASKING" ? std::optional<std::string>("+OK\r\n") : FakeServer::echo(words);
  };
  first_says("-ASK" + at_second());
  send("GET");
  EXPECT_EQ(replies(), std::vector<std::string>{FakeServer::bulk("GET")});
  EXPECT_EQ(seen_by_second(), (std::vector<std::string>{"ASKING", "GET"}));
  EXPECT_EQ(router_.node_for({.slot = kSlot}, 0)->port(), first());
  EXPECT_EQ(refresh_.count, 0);
}

// "?" is a node without a name where names are preferred. The port may tell which.
TEST_F(RedirectionTest, AHostThatIsNotSaidIsTheOneWithThatPort) {
  first_says("-MOVED 1 ?:" + std::to_string(second_.port()) + "\r\n");
  send("GET");
  EXPECT_EQ(replies(), std::vector<std::string>{FakeServer::bulk("GET")});
  EXPECT_EQ(router_.node_for({.slot = kSlot}, 0)->port(), second_.port());
}

TEST_F(RedirectionTest, AHostThatNobodyTellsIsWaitedFor) {
  first_says("-MOVED 1 ?:1\r\n");
  send("GET");
  EXPECT_TRUE(parks(1));
  EXPECT_EQ(router_.node_for({.slot = kSlot}, 0)->port(), first());
  EXPECT_EQ(refresh_.count, 1);
}

// A replica that loads or has lost its primary takes connections and answers PING; what others can serve is theirs.
TEST_F(RedirectionTest, AReplicaThatDoesNotServeIsPassedBy) {
  config_.read_from = ReadFrom::kPreferReplica;
  for (const std::string error : {"-LOADING x\r\n", "-MASTERDOWN x\r\n"}) {
    replies_.clear();
    sent_ = 0;
    cluster::Topology topology;
    topology.shards.push_back(
        {.primary = node_at(first()), .replicas = {node_at(second_.port())}, .ranges = {{0, 16383}}});
    static_cast<void>(router_.adopt(topology));
    pool::Node& replica = rig_.pool->node("127.0.0.1", second_.port());
    bool serves = false;
    second_.script = [&](const std::string& words) -> std::optional<std::string> {
      const auto greeting = FakeServer::handshake(words);
      if (serves && words == "PING") return "+PONG\r\n";
      return greeting ? greeting : error;
    };
    pool::PendingReply& read = request();
    read.kind.read_only = true;
    router_.lane_for(read.kind, read.salt)->enqueue(read, tests::request_bytes({"GET"}));
    ASSERT_TRUE(parks(1)) << error;
    EXPECT_TRUE(replica.failing());
    advance(100);
    EXPECT_EQ(replies(), std::vector<std::string>{FakeServer::bulk("GET")}) << error;
    // Its own word ends that.
    rig_.advance(6000);
    ASSERT_TRUE(until([&] { return second_.seen.ends_with("PING\r\n") && replica.pending() == 0; }));
    EXPECT_TRUE(replica.failing()) << error;
    serves = true;
    rig_.advance(6000);
    EXPECT_TRUE(until([&] { return !replica.failing(); })) << error;
    second_.seen.clear();
  }
}

TEST_F(RedirectionTest, WhatIsNotServedNowIsTriedAgain) {
  struct Case {
    std::string error;
    int refreshes;
  };
  for (const Case& each : {Case{"-TRYAGAIN x\r\n", 0}, Case{"-LOADING x\r\n", 0}, Case{"-CLUSTERDOWN x\r\n", 1},
                           Case{"-MASTERDOWN x\r\n", 1}, Case{"-READONLY x\r\n", 1}}) {
    replies_.clear();
    sent_ = 0;
    refresh_.count = 0;
    first_says(each.error);
    send("GET");
    EXPECT_TRUE(parks(1)) << each.error;
    EXPECT_EQ(refresh_.count, each.refreshes) << each.error;
    rig_.server.script = FakeServer::echo;
    advance(100);
    EXPECT_EQ(replies(), std::vector<std::string>{FakeServer::bulk("GET")}) << each.error;
  }
}

TEST_F(RedirectionTest, ACircleOfRedirectsIsBoundedAndRests) {
  first_says("-MOVED" + at_second());
  second_.script = [this](const std::string& words) -> std::optional<std::string> {
    const auto greeting = FakeServer::handshake(words);
    return greeting ? greeting : "-MOVED 1 127.0.0.1:" + std::to_string(first()) + "\r\n";
  };
  send("GET");
  EXPECT_TRUE(parks(1));
  EXPECT_EQ(redirection_.counters().moved, limits::kMaxHops + 1U);
  // Rested, it may hop again.
  advance(100);
  EXPECT_TRUE(until([&] { return redirection_.counters().moved == 2 * (limits::kMaxHops + 1U); }));
}

TEST_F(RedirectionTest, WhenTimeIsUpTheClientIsTold) {
  first_says("-TRYAGAIN x\r\n");
  send("GET");
  ASSERT_TRUE(parks(1));
  redirection_.set_trouble("some node: refused");
  advance(1000);
  EXPECT_EQ(replies(),
            std::vector<std::string>{"-ERR sluice: the command has not run: node 127.0.0.1:" + std::to_string(first()) +
                                     " did not take it within command_timeout (some node: refused)\r\n"});
  EXPECT_EQ(redirection_.counters().expired, 1U);
}

TEST_F(RedirectionTest, NoBackendsAddressIsToldWhenTimeIsUp) {
  for (const std::string word : {"-MOVED", "-ASK"}) {
    replies_.clear();
    sent_ = 0;
    first_says(word + at_second());
    send("GET");
    rig_.advance(1000);
    EXPECT_EQ(replies(), std::vector<std::string>{
                             "-ERR sluice: the command has not run: its slot is on the move and was not reached in "
                             "time\r\n"});
  }
}

TEST_F(RedirectionTest, WithoutAutoRedirectTheClientSeesPublicAddresses) {
  config_.auto_redirect = false;
  first_says("-MOVED" + at_second());
  send("GET");
  EXPECT_EQ(replies().back(), "-MOVED" + at_second());
  announce_.map[{"127.0.0.1", second_.port()}] = {"redis.example.com", 6379};
  send("GET");
  EXPECT_EQ(replies().back(), "-MOVED 1 redis.example.com:6379\r\n");
  first_says("-ASK" + at_second());
  send("GET");
  EXPECT_EQ(replies().back(), "-ASK 1 redis.example.com:6379\r\n");
  // Without a host it is that of the node that says it; a client would take it for the proxy's.
  first_says("-MOVED 1 :" + std::to_string(second_.port()) + "\r\n");
  send("GET");
  EXPECT_EQ(replies().back(), "-MOVED 1 redis.example.com:6379\r\n");
  announce_.map.clear();
  send("GET");
  EXPECT_EQ(replies().back(), "-MOVED" + at_second());
  EXPECT_EQ(router_.node_for({.slot = kSlot}, 0)->port(), first());
}

TEST_F(RedirectionTest, TheParkIsFirstComeFirstServed) {
  for (const char* word : {"a", "b", "c", "d"}) park(word);
  EXPECT_EQ(redirection_.parked(), 4U);
  advance(100);
  EXPECT_EQ(replies(), (std::vector<std::string>{FakeServer::bulk("a"), FakeServer::bulk("b"), FakeServer::bulk("c"),
                                                 FakeServer::bulk("d")}));
}

TEST_F(RedirectionTest, AClientsRedirectDoesNotOvertakeItsParkedRequest) {
  first_says("-MOVED" + at_second());
  pool::PendingReply& a = request();
  ASSERT_TRUE(redirection_.park(a, tests::request_bytes({"a"})));
  pool::PendingReply& b = request();
  before_[&b] = &a;
  router_.lane_for({.slot = kSlot}, 1)->enqueue(b, tests::request_bytes({"b"}));
  send("c", 2);
  ASSERT_TRUE(until([this] { return replies_.size() == 1; }));
  EXPECT_EQ(replies_.back(), FakeServer::bulk("c"));
  EXPECT_EQ(redirection_.parked(), 2U);
  advance(100);
  EXPECT_EQ(replies(), (std::vector<std::string>{FakeServer::bulk("c"), FakeServer::bulk("a"), FakeServer::bulk("b")}));
}

// One that was parked is with the node of its slot again and has yet to hear where to go: what is told before it must
// not be there first.
TEST_F(RedirectionTest, AClientsRedirectDoesNotOvertakeOneThatWasParked) {
  second_.script = [](const std::string& words) {
    return words == "ASKING" ? std::optional<std::string>("+OK\r\n") : FakeServer::echo(words);
  };
  std::string first_reply;  // none at first
  rig_.server.script = [&](const std::string& words) -> std::optional<std::string> {
    if (const auto greeting = FakeServer::handshake(words)) return greeting;
    if (words == "a" && first_reply.empty()) return std::nullopt;
    return "-ASK" + at_second();
  };
  pool::PendingReply& a = request();
  ASSERT_TRUE(redirection_.park(a, tests::request_bytes({"a"})));
  advance(100);
  ASSERT_TRUE(until([&] { return rig_.server.seen.ends_with("a\r\n"); }));

  // On a connection of its own, else it would have to wait for the reply to "a".
  pool::PendingReply& b = request();
  before_[&b] = &a;
  router_.node_for({.slot = kSlot}, 1)->lane({.database = 1}, 1).enqueue(b, tests::request_bytes({"b"}));
  ASSERT_TRUE(parks(1));
  advance(100);
  EXPECT_EQ(redirection_.parked(), 1U) << "it is sent when the one before it is answered";
  EXPECT_EQ(seen_by_second(), std::vector<std::string>{});

  first_reply = "-ASK" + at_second();
  rig_.server.connections.front()->output += first_reply;
  ASSERT_TRUE(parks(2));
  advance(100);
  EXPECT_EQ(replies(), (std::vector<std::string>{FakeServer::bulk("a"), FakeServer::bulk("b")}));
  EXPECT_EQ(seen_by_second(), (std::vector<std::string>{"ASKING", "a", "ASKING", "b"}));
}

TEST_F(RedirectionTest, AParkedRequestWaitsForItsNode) {
  rig_.server.stop_listening();
  send("a");
  ASSERT_TRUE(parks(1));  // The connection was refused.
  router_.move_slot(kSlot, {"127.0.0.1", second_.port()});
  advance(100);
  EXPECT_EQ(replies(), std::vector<std::string>{FakeServer::bulk("a")});
}

TEST_F(RedirectionTest, AnAbandonedRequestLeavesThePark) {
  pool::PendingReply& pending = request();
  ASSERT_TRUE(redirection_.park(pending, tests::request_bytes({"a"})));
  pending.sink = nullptr;
  --sent_;
  advance(100);
  EXPECT_EQ(redirection_.parked(), 0U);
  EXPECT_EQ(rig_.pending.in_use(), 0U);
}

TEST_F(RedirectionTest, AFullParkRefuses) {
  for (std::size_t i = 0; i < limits::kMaxParked; ++i) park("a");
  EXPECT_EQ(replies_.size(), 0U);
  park("b");
  EXPECT_EQ(replies_.back(), "-refused\r\n");
}

TEST_F(RedirectionTest, ARequestForOneNodeIsNeverParked) {
  pool::PendingReply& pending = request();
  pending.kind.fixed_node = true;
  EXPECT_FALSE(redirection_.park(pending, tests::request_bytes({"a"})));
  finish(pending, "");
}

}  // namespace
}  // namespace sluice
