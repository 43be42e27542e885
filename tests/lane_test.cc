// One lane to a scripted server: what it says before it is ready, whose reply is whose however they are cut, its bounds
// and its patience.
#include "pool/lane.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/support/pool_rig.h"

namespace pool {
namespace {

using tests::FakeServer;
using tests::pattern;
using tests::PoolRig;
using tests::request_bytes;
using Requests = std::vector<std::string>;

constexpr LaneKey kResp3{.protocol = resp::Protocol::kResp3, .read_only = false, .database = 0};

/// A server that refuses one command of the hand-shake.
FakeServer::Script refusing(std::string command, std::string error) {
  return [command = std::move(command), error = std::move(error)](const std::string& request) {
    return request.starts_with(command) ? std::optional("-" + error + "\r\n") : FakeServer::echo(request);
  };
}

// --- The hand-shake

TEST(LaneHandshake, IsAllAServerWithoutPasswordNeeds) {
  PoolRig rig;
  EXPECT_TRUE(rig.lane().idle());
  const std::size_t asked = rig.ask("hello");
  ASSERT_TRUE(rig.hears(asked));
  EXPECT_EQ(rig.server.requests, (Requests{"HELLO 2", "CLIENT SETNAME sluice", "ECHO hello"}));
  EXPECT_EQ(rig.reply_of(asked), FakeServer::bulk("ECHO hello"));
  EXPECT_EQ(rig.nodes_ready, 1U);
  EXPECT_EQ(rig.node().server_version(), "7.0.1");
  EXPECT_EQ(rig.node().ready_lanes(), 1U);
  EXPECT_EQ(rig.pool->counters().connects, 1U);
}

TEST(LaneHandshake, SaysAllThatIsSet) {
  Settings settings;
  settings.username = "proxy";
  settings.password = "secret";
  PoolRig rig(settings);
  Lane& lane = rig.lane({.protocol = resp::Protocol::kResp3, .read_only = true, .database = 5});
  const std::size_t asked = rig.ask(lane, {"ECHO", "x"});
  ASSERT_TRUE(rig.hears(asked));
  EXPECT_EQ(rig.server.requests,
            (Requests{"AUTH proxy secret", "HELLO 3", "CLIENT SETNAME sluice", "SELECT 5", "READONLY", "ECHO x"}));
  EXPECT_EQ(rig.node().zone(), "z1");
}

// As Valkey 8.0 does: not in HELLO.
TEST(LaneHandshake, AsksForTheZoneWhereItIsReadFrom) {
  Settings settings;
  settings.ask_zone = true;
  for (const LaneKey& key :
       {LaneKey{.protocol = resp::Protocol::kResp2}, LaneKey{.protocol = resp::Protocol::kResp3}}) {
    PoolRig rig(settings);
    rig.server.script = [](const std::string& request) -> std::optional<std::string> {
      const std::string info = "# Server\r\nredis_version:7.2.4\r\navailability_zone:eu-1b\r\nrun_id:1\r\n";
      if (request == "INFO server") return FakeServer::bulk(info);
      return FakeServer::echo(request);
    };
    ASSERT_TRUE(rig.hears(rig.ask(rig.lane(key), {"ECHO", "x"})));
    EXPECT_EQ(rig.node().zone(), "eu-1b");
  }
}

TEST(LaneHandshake, AServerMayRefuseToTellItsZone) {
  Settings settings;
  settings.ask_zone = true;
  PoolRig rig(settings);
  rig.server.script = refusing("INFO", "NOPERM this user has no permissions to run the 'info' command");
  const std::size_t asked = rig.ask("x");
  ASSERT_TRUE(rig.hears(asked));
  EXPECT_EQ(rig.reply_of(asked), FakeServer::bulk("ECHO x"));
  EXPECT_EQ(rig.node().zone(), "z1") << "as HELLO said";
}

TEST(LaneHandshake, APasswordAlone) {
  Settings settings;
  settings.password = "secret";
  settings.read_only_replicas = false;
  PoolRig rig(settings);
  Lane& lane = rig.lane({.protocol = resp::Protocol::kResp2, .read_only = true, .database = 0});
  ASSERT_TRUE(rig.hears(rig.ask(lane, {"ECHO", "x"})));
  EXPECT_EQ(rig.server.requests, (Requests{"AUTH secret", "HELLO 2", "CLIENT SETNAME sluice", "ECHO x"}));
}

TEST(LaneHandshake, ARefusedPasswordLosesWhatWaits) {
  Settings settings;
  settings.password = "wrong";
  PoolRig rig(settings);
  rig.server.script = refusing("AUTH", "WRONGPASS invalid username-password pair");
  const std::size_t asked = rig.ask("x");
  ASSERT_TRUE(rig.hears(asked));
  EXPECT_EQ(rig.loss_of(asked), Loss::kNotSent);
  EXPECT_EQ(rig.reply_of(asked), "(lost: WRONGPASS invalid username-password pair)");
  EXPECT_EQ(rig.lost_reasons, Requests{"WRONGPASS invalid username-password pair"});
  EXPECT_EQ(rig.node().failures(), 1U);
  EXPECT_FALSE(rig.lane().accepts());
  ASSERT_TRUE(rig.becomes_idle(rig.lane()));
  EXPECT_EQ(rig.server.seen.find("ECHO"), std::string::npos);
}

// A database that is not there says nothing about the node.
TEST(LaneHandshake, ARefusedDatabaseDoesNotMakeTheNodeFailing) {
  Settings settings;
  settings.failure_threshold = 1;
  PoolRig rig(settings);
  rig.server.script = refusing("SELECT", "ERR DB index is out of range");
  Lane& lane = rig.lane({.protocol = resp::Protocol::kResp2, .read_only = false, .database = 99});
  const std::size_t asked = rig.ask(lane, {"ECHO", "x"});
  ASSERT_TRUE(rig.hears(asked));
  EXPECT_EQ(rig.reply_of(asked), "(lost: ERR DB index is out of range)");
  EXPECT_EQ(rig.loss_of(asked), Loss::kNotSent);
  EXPECT_FALSE(rig.node().failing());
  EXPECT_EQ(rig.node().failures(), 0U);
}

TEST(LaneHandshake, AnOldServerMayRefuseWhatIsOptional) {
  PoolRig rig;
  rig.server.script = [](const std::string& request) {
    return request.starts_with("ECHO") ? FakeServer::echo(request) : "-ERR unknown command\r\n";
  };
  const std::size_t asked = rig.ask("old");
  ASSERT_TRUE(rig.hears(asked));
  EXPECT_EQ(rig.reply_of(asked), FakeServer::bulk("ECHO old"));

  const std::size_t third = rig.ask(rig.lane(kResp3), {"ECHO", "new"});
  ASSERT_TRUE(rig.hears(third));
  EXPECT_EQ(rig.reply_of(third), "(lost: ERR unknown command)") << "RESP3 cannot be had without HELLO";
}

TEST(LaneHandshake, HoldsRequestsAndSendsThemInOrderBehindIt) {
  PoolRig rig;
  rig.server.writing = false;
  for (int i = 0; i < 100; ++i) rig.ask(pattern(30, 5).substr(0, 10) + std::to_string(i));
  ASSERT_TRUE(rig.until([&] { return rig.server.requests.size() == 2; }));
  rig.turn(5);
  EXPECT_EQ(rig.server.requests.size(), 2U) << "nothing goes out before the hand-shake is done";
  rig.server.writing = true;
  ASSERT_TRUE(rig.until([&] { return rig.all_heard(); }));
  for (std::size_t i = 0; i < 100; ++i) {
    EXPECT_EQ(rig.order[i], i);
    EXPECT_EQ(rig.reply_of(i), FakeServer::bulk("ECHO " + pattern(30, 5).substr(0, 10) + std::to_string(i)));
  }
}

// --- Replies

/// Replies of all shapes, one per request.
const std::vector<std::string>& shapes() {
  static const std::vector<std::string> kShapes = {"+OK\r\n",
                                                   ":42\r\n",
                                                   "$-1\r\n",
                                                   "$0\r\n\r\n",
                                                   "-MOVED 1 127.0.0.1:7001\r\n",
                                                   "$12\r\nhello\r\nworld\r\n",
                                                   "*3\r\n:1\r\n*2\r\n$1\r\na\r\n+b\r\n%1\r\n+k\r\n_\r\n",
                                                   "|1\r\n+ttl\r\n:1\r\n#t\r\n",
                                                   "*0\r\n",
                                                   "$5\r\n12345\r\n"};
  return kShapes;
}

/// Answers the requests behind the hand-shake with the shapes in turn.
FakeServer::Script answering_shapes() {
  return [next = std::size_t{0}](const std::string& request) mutable {
    if (auto reply = FakeServer::handshake(request)) return *reply;
    return shapes()[next++ % shapes().size()];
  };
}

// The reply that a receive cuts is put together again, wherever the cut falls.
TEST(LaneReplies, CutAtEveryByte) {
  for (std::size_t piece = 1; piece < 60; ++piece) {
    PoolRig rig(
        {}, {.count = 8, .size = 64, .incremental = piece % 2 == 0 && tests::Turns::features().incremental_buffers});
    rig.server.script = answering_shapes();
    rig.server.piece = piece;
    for (std::size_t i = 0; i < shapes().size(); ++i) rig.ask("x");
    ASSERT_TRUE(rig.until([&] { return rig.all_heard(); }));
    for (std::size_t i = 0; i < shapes().size(); ++i) {
      EXPECT_EQ(rig.order[i], i);
      EXPECT_EQ(rig.reply_of(i), shapes()[i]) << "pieces of " << piece;
    }
  }
}

TEST(LaneReplies, LargerThanAllReceiveBuffers) {
  PoolRig rig({}, {.count = 2, .size = 1024});
  const std::string value = pattern(1 << 20);
  rig.server.script = [&](const std::string& request) {
    if (auto reply = FakeServer::handshake(request)) return *reply;
    return FakeServer::bulk(value);
  };
  rig.ask("a");
  rig.ask("b");
  ASSERT_TRUE(rig.until([&] { return rig.all_heard(); }));
  EXPECT_TRUE(rig.reply_of(0) == FakeServer::bulk(value));
  EXPECT_TRUE(rig.reply_of(1) == FakeServer::bulk(value));
}

// It is passed over to its end, and nobody else is the worse for it.
TEST(LaneReplies, OneBeyondTheBoundIsAnErrorToItsClientAlone) {
  Settings settings;
  settings.max_reply_bytes = 1000;
  for (const bool one_by_one : {false, true}) {
    PoolRig rig(settings, {.count = 8, .size = 256});
    if (one_by_one) rig.server.piece = 100;
    rig.server.script = [&](const std::string& request) {
      if (auto reply = FakeServer::handshake(request)) return *reply;
      return FakeServer::bulk(std::string(static_cast<std::size_t>(std::stoi(request.substr(5))), 'x'));
    };
    for (const char* size : {"992", "993", "5", "100000", "992"}) rig.ask(size);
    ASSERT_TRUE(rig.until([&] { return rig.all_heard(); }));
    EXPECT_EQ(rig.reply_of(0).size(), 1000U);
    EXPECT_TRUE(rig.reply_of(1).starts_with("-ERR sluice: the reply is larger than"));
    EXPECT_EQ(rig.reply_of(2), FakeServer::bulk("xxxxx"));
    EXPECT_EQ(rig.reply_of(3), rig.reply_of(1));
    EXPECT_EQ(rig.reply_of(4).size(), 1000U);
    EXPECT_TRUE(rig.lane().ready());
  }
}

TEST(LaneReplies, PushesAreNobodys) {
  PoolRig rig;
  rig.server.script = [](const std::string& request) {
    return ">2\r\n+invalidate\r\n*0\r\n" + *FakeServer::echo(request) + ">1\r\n+more\r\n";
  };
  Lane& lane = rig.lane(kResp3);
  const std::size_t first = rig.ask(lane, {"ECHO", "a"});
  const std::size_t second = rig.ask(lane, {"ECHO", "b"});
  ASSERT_TRUE(rig.hears(second));
  EXPECT_EQ(rig.reply_of(first), FakeServer::bulk("ECHO a"));
  EXPECT_EQ(rig.reply_of(second), FakeServer::bulk("ECHO b"));
  rig.server.say(">1\r\n+idle\r\n");
  rig.turn(5);
  EXPECT_TRUE(lane.ready());
}

TEST(LaneReplies, OneNobodyAskedForBreaksTheLane) {
  PoolRig rig;
  ASSERT_TRUE(rig.hears(rig.ask("x")));
  rig.server.say("+surprise\r\n");
  ASSERT_TRUE(rig.until([&] { return !rig.lost_reasons.empty(); }));
  EXPECT_EQ(rig.lost_reasons[0], "the server sent a reply nobody asked for");
  ASSERT_TRUE(rig.becomes_idle(rig.lane()));
}

TEST(LaneReplies, WhatIsNotRespBreaksTheLane) {
  for (const char* garbage : {"HTTP/1.1 400 Bad Request\r\n\r\n", "$x\r\n", "*-7\r\n", "\r\n", "\n"}) {
    PoolRig rig;
    rig.server.script = [&](const std::string& request) {
      if (auto reply = FakeServer::handshake(request)) return *reply;
      return request.ends_with("good") ? "+fine\r\n" : std::string(garbage);
    };
    const std::size_t good = rig.ask("good");
    const std::size_t bad = rig.ask("bad");
    ASSERT_TRUE(rig.hears(bad));
    EXPECT_EQ(rig.reply_of(good), "+fine\r\n");
    EXPECT_EQ(rig.reply_of(bad), "(lost: the server sent what is not RESP)") << garbage;
    EXPECT_EQ(rig.loss_of(bad), Loss::kUnknown);
  }
}

TEST(LaneReplies, WithoutASinkAreDropped) {
  PoolRig rig;
  rig.lane().enqueue(rig.pending.take(), request_bytes({"ECHO", "nobody"}));
  const std::size_t asked = rig.ask("somebody");
  ASSERT_TRUE(rig.hears(asked));
  EXPECT_EQ(rig.reply_of(asked), FakeServer::bulk("ECHO somebody"));
}

TEST(LaneReplies, AskingIsTheLanesOwn) {
  PoolRig rig;
  PendingReply& reply = rig.numbered();
  rig.lane().enqueue_asking(reply, request_bytes({"GET", "key"}));
  ASSERT_TRUE(rig.hears(0));
  EXPECT_EQ(rig.reply_of(0), FakeServer::bulk("GET key"));
  EXPECT_EQ(rig.server.requests, (Requests{"HELLO 2", "CLIENT SETNAME sluice", "ASKING", "GET key"}));
}

// What a redirect does: the request goes out again from the bytes that were kept.
TEST(LaneReplies, ARequestIsEnqueuedAgainFromItsOwnBytes) {
  PoolRig rig;
  rig.server.script = [](const std::string& request) { return FakeServer::handshake(request); };
  Lane& other = rig.lane(kResp3);
  const std::string text = pattern(300);
  const std::size_t asked = rig.ask(text);
  rig.then_lost = [&](PendingReply& reply) { other.enqueue(reply, reply.request_bytes()); };
  ASSERT_TRUE(rig.until([&] { return rig.server.requests.size() == 3; }));
  rig.server.script = FakeServer::echo;
  rig.server.kill();
  ASSERT_TRUE(rig.hears(asked));
  EXPECT_EQ(rig.reply_of(asked), FakeServer::bulk("ECHO " + text));
}

// --- Bounds and patience

TEST(LaneBounds, IsFullByRequestsAndTellsOfRoom) {
  Settings settings;
  settings.max_lane_requests = 10;
  PoolRig rig(settings);
  rig.server.writing = false;
  Lane& lane = rig.lane();
  std::size_t asked = 0;
  for (; !lane.full(); ++asked) rig.ask("x");
  EXPECT_EQ(asked, 11U);
  rig.server.writing = true;
  ASSERT_TRUE(rig.until([&] { return rig.all_heard(); }));
  EXPECT_EQ(rig.rooms, 1U) << "told once, and only who was told that it is full";
  EXPECT_FALSE(lane.full());
  ASSERT_TRUE(rig.hears(rig.ask("x")));
  EXPECT_EQ(rig.rooms, 1U);
}

TEST(LaneBounds, IsFullByBytesAndTellsWhenItBreaks) {
  Settings settings;
  settings.max_lane_bytes = 10'000;
  PoolRig rig(settings);
  rig.server.script = FakeServer::handshake;
  Lane& lane = rig.lane();
  while (!lane.full()) rig.ask(pattern(1000));
  EXPECT_EQ(rig.outcomes.size(), 10U);
  ASSERT_TRUE(rig.becomes_ready(lane));
  rig.turn(3);
  EXPECT_EQ(rig.rooms, 0U);
  rig.server.kill();
  ASSERT_TRUE(rig.until([&] { return rig.all_heard(); }));
  EXPECT_EQ(rig.rooms, 1U);
}

TEST(LanePatience, ASilentServerIsGivenUp) {
  Settings settings;
  settings.command_timeout_ms = 1000;
  PoolRig rig(settings);
  rig.server.script = FakeServer::handshake;
  const std::size_t asked = rig.ask("x");
  ASSERT_TRUE(rig.until([&] { return rig.server.requests.size() == 3; }));
  rig.advance(1000);
  EXPECT_FALSE(rig.heard(asked));
  rig.advance(1);
  ASSERT_TRUE(rig.heard(asked));
  EXPECT_EQ(rig.reply_of(asked), "(lost: no reply within command_timeout)");
  EXPECT_EQ(rig.loss_of(asked), Loss::kUnknown);
}

TEST(LanePatience, ASilentHandshakeIsGivenUp) {
  Settings settings;
  settings.command_timeout_ms = 1000;
  PoolRig rig(settings);
  rig.server.writing = false;
  const std::size_t asked = rig.ask("x");
  ASSERT_TRUE(rig.until([&] { return rig.server.requests.size() == 2; }));
  rig.advance(1001);
  ASSERT_TRUE(rig.heard(asked));
  EXPECT_EQ(rig.loss_of(asked), Loss::kNotSent);
}

TEST(LanePatience, ASlowReplyThatGoesOnIsWaitedFor) {
  Settings settings;
  settings.command_timeout_ms = 1000;
  PoolRig rig(settings);
  ASSERT_TRUE(rig.hears(rig.ask("first")));
  rig.server.piece = 1;
  const std::size_t asked = rig.ask("slow");
  for (int i = 0; i < 200 && !rig.heard(asked); ++i) {
    rig.turn();
    rig.advance(100);
  }
  EXPECT_EQ(rig.reply_of(asked), FakeServer::bulk("ECHO slow"));
}

TEST(LanePatience, AQuietLaneIsPinged) {
  Settings settings;
  settings.ping_interval_ms = 500;
  settings.command_timeout_ms = 1000;
  PoolRig rig(settings);
  ASSERT_TRUE(rig.hears(rig.ask("x")));
  for (std::size_t round = 1; round <= 3; ++round) {
    rig.advance(501);
    ASSERT_TRUE(rig.until([&] { return rig.server.requests.size() == 3 + round && rig.lane().pending() == 0; }));
    EXPECT_EQ(rig.server.requests.back(), "PING");
  }
  rig.server.reading = false;
  rig.advance(501);
  rig.turn(3);
  rig.advance(1001);
  EXPECT_EQ(rig.lost_reasons, Requests{"no reply within command_timeout"});
}

TEST(LanePatience, AnUnusedLaneIsClosedAndOpensAgain) {
  Settings settings;
  settings.ping_interval_ms = 500;
  settings.idle_timeout_ms = 2000;
  PoolRig rig(settings);
  ASSERT_TRUE(rig.hears(rig.ask("x")));
  for (int i = 0; i < 4; ++i) {
    rig.advance(501);
    rig.turn(5);
  }
  ASSERT_TRUE(rig.becomes_idle(rig.lane())) << "its own pings are no use";
  EXPECT_TRUE(rig.lost_reasons.empty()) << "a good-bye is no loss";
  EXPECT_TRUE(rig.lane().accepts());
  const std::size_t again = rig.ask("again");
  ASSERT_TRUE(rig.hears(again));
  EXPECT_EQ(rig.reply_of(again), FakeServer::bulk("ECHO again"));
  EXPECT_EQ(rig.server.accepted, 2U);
}

}  // namespace
}  // namespace pool
