// Connections that end with requests in flight: every request hears exactly once, replies stay in order, and "not sent"
// is said only of what the server has not seen a byte of.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pool/lane.h"
#include "tests/support/pool_rig.h"

namespace pool {
namespace {

using tests::FakeServer;
using tests::pattern;
using tests::PoolRig;
using tests::request_bytes;
using tests::ScriptedFaults;

constexpr std::size_t kRequests = 4;

/// Texts that no other request contains.
std::string text_of(std::size_t number) {
  return "<" + std::to_string(number) + ">";
}

void ask_all(PoolRig& rig) {
  for (std::size_t i = 0; i < kRequests; ++i) rig.ask(text_of(i));
}

/// Bytes the server sees and sends when nothing goes wrong; the requests' share is the last part of the first.
struct Traffic {
  std::string seen;
  std::size_t written = 0;
};

Traffic whole_traffic() {
  PoolRig rig;
  ask_all(rig);
  EXPECT_TRUE(rig.until([&] { return rig.all_heard(); }));
  Traffic traffic{rig.server.seen, 0};
  for (const std::string& request : rig.server.requests) traffic.written += FakeServer::echo(request)->size();
  return traffic;
}

void expect_truth(const PoolRig& rig) {
  ASSERT_TRUE(rig.all_heard());
  bool lost = false;
  for (std::size_t i = 0; i < rig.outcomes.size(); ++i) {
    EXPECT_EQ(rig.order[i], i) << "replies and losses come in the order of requests";
    const auto& outcome = *rig.outcomes[i];
    if (outcome.reply) {
      EXPECT_FALSE(lost) << "a reply behind a lost one";
      EXPECT_EQ(*outcome.reply, FakeServer::bulk("ECHO " + text_of(i)));
    }
    lost = lost || outcome.loss;
  }
}

TEST(LaneLoss, KilledAtEveryByteOfTheReplies) {
  const std::size_t bytes = whole_traffic().written;
  for (std::size_t limit = 0; limit < bytes; ++limit) {
    PoolRig rig;
    rig.server.write_limit = limit;
    ask_all(rig);
    ASSERT_TRUE(rig.until([&] { return rig.all_heard(); })) << limit;
    expect_truth(rig);
    const auto replies = static_cast<std::size_t>(std::count_if(
        rig.outcomes.begin(), rig.outcomes.end(), [](const auto& each) { return each->reply.has_value(); }));
    const std::size_t reply = FakeServer::bulk("ECHO " + text_of(0)).size();
    const std::size_t handshake = bytes - kRequests * reply;
    EXPECT_EQ(replies, limit < handshake ? 0 : (limit - handshake) / reply) << limit;
    // With the last byte of the hand-shake the end may come before the first flush: either is the truth then.
    if (limit == handshake) continue;
    for (std::size_t i = replies; i < kRequests; ++i) {
      EXPECT_EQ(rig.loss_of(i), limit < handshake ? Loss::kNotSent : Loss::kUnknown) << limit;
    }
  }
}

TEST(LaneLoss, KilledAtEveryByteOfTheRequests) {
  const std::string whole = whole_traffic().seen;
  for (std::size_t limit = 0; limit < whole.size(); ++limit) {
    PoolRig rig;
    rig.server.read_limit = limit;
    ask_all(rig);
    ASSERT_TRUE(rig.until([&] { return rig.all_heard(); })) << limit;
    expect_truth(rig);
    EXPECT_EQ(rig.server.seen, whole.substr(0, limit));
    for (std::size_t i = 0; i < kRequests; ++i) {
      const std::size_t begin = whole.find(request_bytes({"ECHO", text_of(i)}));
      EXPECT_TRUE(begin >= limit || rig.loss_of(i) != Loss::kNotSent) << "request " << i << " was seen at " << limit;
    }
  }
}

TEST(LaneLoss, WhatWasNeverFlushedIsCertainlyNotSent) {
  PoolRig rig;
  rig.server.script = FakeServer::handshake;
  const std::size_t sent = rig.ask("sent");
  ASSERT_TRUE(rig.until([&] { return rig.server.requests.size() == 3; }));
  rig.server.kill();
  rig.turns.at_end = nullptr;
  const std::size_t waiting = rig.ask("waiting");
  ASSERT_TRUE(rig.until([&] { return rig.all_heard(); }));
  rig.turns.at_end = [&] { rig.pool->flush(); };
  EXPECT_EQ(rig.loss_of(sent), Loss::kUnknown);
  EXPECT_EQ(rig.loss_of(waiting), Loss::kNotSent);
  EXPECT_EQ(rig.pool->counters().lost_connections, 1U);
  EXPECT_EQ(rig.pool->counters().lost_requests, 2U);
}

TEST(LaneLoss, WhatQueuesBehindASlowSendIsNotSent) {
  PoolRig rig;
  ASSERT_TRUE(rig.hears(rig.ask("first")));
  rig.server.reading = false;
  const std::size_t large = rig.ask(pattern(16 << 20));
  rig.turn(10);
  const std::size_t behind = rig.ask("behind");
  rig.turn(10);
  rig.server.kill();
  ASSERT_TRUE(rig.until([&] { return rig.all_heard(); }));
  EXPECT_EQ(rig.loss_of(large), Loss::kUnknown);
  EXPECT_EQ(rig.loss_of(behind), Loss::kNotSent);
}

// An interrupted send sends nothing, and what is queued by the time of the next attempt goes with it.
TEST(LaneLoss, AnInterruptedSendIsNoTrap) {
  PoolRig rig;
  rig.server.script = FakeServer::handshake;
  ASSERT_TRUE(rig.until([&] {
    if (rig.outcomes.empty()) rig.ask("first");
    return rig.server.requests.size() == 3;
  }));
  rig.turn(3);
  ScriptedFaults faults;
  int interruptions = 1;
  faults.prepare = [&](io_uring_sqe& sqe) {
    return sqe.opcode == IORING_OP_SEND && interruptions-- > 0 ? std::optional(-EINTR) : std::nullopt;
  };
  rig.turns.ring.set_faults(&faults);
  rig.ask("second");
  rig.pool->flush();
  rig.ask("third");
  ASSERT_TRUE(rig.until([&] { return rig.server.requests.size() == 5; }));
  rig.server.kill();
  ASSERT_TRUE(rig.until([&] { return rig.all_heard(); }));
  rig.turns.ring.set_faults(nullptr);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(rig.loss_of(i), Loss::kUnknown) << i;
}

TEST(LaneLoss, EachErrorOfTheKernelIsAnEnd) {
  for (const int error : {ECONNRESET, EPIPE, ETIMEDOUT}) {
    for (const std::uint8_t opcode : {std::uint8_t{IORING_OP_RECV}, std::uint8_t{IORING_OP_SEND}}) {
      PoolRig rig;
      ASSERT_TRUE(rig.hears(rig.ask("good")));
      ScriptedFaults faults;
      faults.prepare = [&](io_uring_sqe& sqe) { return sqe.opcode == opcode ? std::optional(-error) : std::nullopt; };
      rig.turns.ring.set_faults(&faults);
      if (opcode == IORING_OP_RECV) rig.server.kill(false);
      const std::size_t asked = rig.ask("bad");
      ASSERT_TRUE(rig.hears(asked));
      ASSERT_TRUE(rig.becomes_idle(rig.lane()));
      rig.turns.ring.set_faults(nullptr);
      EXPECT_TRUE(rig.loss_of(asked).has_value());
      EXPECT_EQ(rig.lost_reasons.size(), 1U);
    }
  }
}

TEST(LaneLoss, TheNextConnectionStartsAfresh) {
  PoolRig rig;
  rig.server.script = [](const std::string& request) {
    return request.ends_with("cut") ? "$100\r\nhalf a rep" : *FakeServer::echo(request);
  };
  const std::size_t cut = rig.ask("cut");
  ASSERT_TRUE(rig.until([&] { return rig.server.requests.size() == 3 && rig.server.connections[0]->output.empty(); }));
  rig.turn(3);
  rig.server.kill(false);
  ASSERT_TRUE(rig.hears(cut));
  EXPECT_EQ(rig.loss_of(cut), Loss::kUnknown);
  ASSERT_TRUE(rig.becomes_idle(rig.lane()));
  rig.advance(5000);
  ASSERT_TRUE(rig.lane().accepts());
  const std::size_t next = rig.ask("next");
  ASSERT_TRUE(rig.hears(next));
  EXPECT_EQ(rig.reply_of(next), FakeServer::bulk("ECHO next"));
}

// --- Anything, in any order

struct Chaos {
  Chaos() {
    Settings settings;
    settings.command_timeout_ms = 5000;
    settings.lanes_per_node = *rc::gen::inRange<std::uint32_t>(1, 3);
    rig = std::make_unique<PoolRig>(
        settings,
        tests::BufferShape{.count = 8,
                           .size = *rc::gen::inRange<std::uint32_t>(8, 300),
                           .incremental = tests::Turns::features().incremental_buffers && *rc::gen::arbitrary<bool>()});
    asked.resize(settings.lanes_per_node);
    faults.prepare = [this](io_uring_sqe& sqe) { return fault(sqe); };
    rig->turns.ring.set_faults(&faults);
  }

  std::optional<int> fault(io_uring_sqe& sqe) {
    if (calm) return std::nullopt;
    const int chance = *rc::gen::inRange(0, 30);
    if (sqe.opcode == IORING_OP_SEND && chance == 0) return -EINTR;
    if (sqe.opcode == IORING_OP_SEND && chance < 10) sqe.len = std::min<std::uint32_t>(sqe.len, 9);
    if (sqe.opcode == IORING_OP_RECV && chance == 1) return -ENOBUFS;
    if ((sqe.opcode == IORING_OP_RECV || sqe.opcode == IORING_OP_SEND) && chance == 2) return -ECONNRESET;
    return std::nullopt;
  }

  void step() {
    FakeServer& server = rig->server;
    switch (*rc::gen::inRange(0, 14)) {
      case 0:
        server.reading = !server.reading;
        break;
      case 1:
        server.writing = !server.writing;
        break;
      case 2:
        server.piece = *rc::gen::inRange<std::size_t>(1, 40);
        break;
      case 3:
        server.say(">1\r\n:1\r\n");
        break;
      case 4:
        rig->advance(*rc::gen::inRange<std::uint32_t>(1, 3000));
        break;
      case 5:
        if (*rc::gen::inRange(0, 3) == 0) server.kill(*rc::gen::arbitrary<bool>());
        break;
      case 6:
      case 7:
      case 8:
      case 9:
        rig->turn(*rc::gen::inRange(1, 4));
        break;
      default:
        ask();
    }
  }

  void ask() {
    const auto salt = *rc::gen::inRange<std::uint32_t>(0, static_cast<std::uint32_t>(asked.size()));
    Lane& lane = rig->node().lane({}, salt);
    if (!lane.accepts()) return;
    const std::size_t number = rig->outcomes.size();
    asked[salt].push_back(number);
    rig->ask(lane, {"ECHO", text_of(number)});
  }

  void check() const {
    for (const auto& [number, outcome] : numbered_outcomes()) {
      if (outcome->reply) RC_ASSERT(*outcome->reply == FakeServer::bulk("ECHO " + text_of(number)));
      const bool seen = rig->server.seen.find(text_of(number)) != std::string::npos;
      if (outcome->loss == Loss::kNotSent) RC_ASSERT(!seen);
    }
    for (const auto& numbers : asked) {
      std::vector<std::size_t> heard;
      for (const std::size_t number : rig->order) {
        if (std::find(numbers.begin(), numbers.end(), number) != numbers.end()) heard.push_back(number);
      }
      RC_ASSERT(std::equal(heard.begin(), heard.end(), numbers.begin(), numbers.begin() + std::ssize(heard)));
    }
  }
  [[nodiscard]] std::vector<std::pair<std::size_t, const tests::Outcome*>> numbered_outcomes() const {
    std::vector<std::pair<std::size_t, const tests::Outcome*>> result;
    for (const std::size_t number : rig->order) result.emplace_back(number, &*rig->outcomes[number]);
    return result;
  }

  ScriptedFaults faults;
  std::unique_ptr<PoolRig> rig;
  std::vector<std::vector<std::size_t>> asked;  ///< numbers by lane
  bool calm = false;
};

RC_GTEST_PROP(LaneChaos, EveryRequestHearsOnceAndTheTruth, ()) {
  Chaos chaos;
  const int steps = *rc::gen::inRange(1, 150);
  for (int i = 0; i < steps; ++i) {
    chaos.step();
    chaos.check();
  }
  // Left in peace, the server answers what it has been sent, and the lanes serve again.
  chaos.calm = true;
  PoolRig& rig = *chaos.rig;
  rig.server.reading = rig.server.writing = true;
  rig.server.piece = SIZE_MAX;
  RC_ASSERT(rig.until([&] { return rig.all_heard(); }));
  RC_ASSERT(rig.until([&] {
    rig.advance(100);
    return rig.lane().accepts();
  }));
  // The last kills may still be on their way to each lane: a request may be lost to one of them, not to more.
  bool is_served = false;
  for (int attempt = 0; attempt < 3 && !is_served; ++attempt) {
    const std::size_t last = rig.outcomes.size();
    chaos.asked[0].push_back(last);
    rig.ask(text_of(last));
    RC_ASSERT(rig.hears(last));
    is_served = rig.outcomes[last]->reply.has_value();
    RC_ASSERT(rig.until([&] {
      rig.advance(100);
      return rig.lane().accepts();
    }));
  }
  RC_ASSERT(is_served);
  chaos.check();
  rig.turns.ring.set_faults(nullptr);
}

}  // namespace
}  // namespace pool
