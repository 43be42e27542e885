// When a shared lane sends: at once while its server owes nothing, in company while it does and the next turn is near.
#include <gtest/gtest.h>

#include <string_view>

#include "tests/support/pool_rig.h"

namespace pool {
namespace {

using tests::FakeServer;
using tests::pattern;
using tests::PoolRig;

/// A lane in the middle of a burst, at a clock of its own; the server answers nothing by itself.
struct Burst {
  Burst() {
    EXPECT_TRUE(rig.hears(rig.ask("before")));
    rig.server.script = FakeServer::handshake;
    rig.turns.at_end = [this] { rig.pool->flush(soon_again); };
    at(1'000'000);
  }
  void at(std::uint32_t now_us) { rig.pool->set_clock(rig.now_ms, now_us); }
  std::size_t ask(std::string_view text) {
    const std::size_t number = rig.ask(text);
    rig.turn(5);
    return number;
  }
  bool all_answered_with(std::string_view replies) {
    rig.server.say(replies);
    return rig.until([this] { return rig.all_heard(); });
  }
  /// Requests the server has seen, without the hand-shake and the one before.
  [[nodiscard]] std::size_t sent() const { return rig.server.requests.size() - 3; }

  bool soon_again = true;
  PoolRig rig;
};

TEST(LaneGathering, SendsAtOnceWhileNothingIsOwed) {
  Burst burst;
  burst.ask("a");
  EXPECT_EQ(burst.sent(), 1U);
  ASSERT_TRUE(burst.all_answered_with("+A\r\n"));
  burst.ask("b");
  EXPECT_EQ(burst.sent(), 2U);
  ASSERT_TRUE(burst.all_answered_with("+B\r\n"));
}

TEST(LaneGathering, WaitsForMoreWhileAReplyIsOwed) {
  Burst burst;
  burst.ask("a");
  burst.at(1'000'099);
  burst.ask("b");
  burst.ask("c");
  EXPECT_EQ(burst.sent(), 1U);
  burst.at(1'000'100);
  burst.rig.turn(5);
  EXPECT_EQ(burst.sent(), 3U);
  burst.ask("d");
  EXPECT_EQ(burst.sent(), 3U);
  // With the reply nothing is owed any more.
  burst.rig.server.say("+A\r\n+B\r\n+C\r\n");
  ASSERT_TRUE(burst.rig.until([&] { return burst.sent() == 4; }));
  ASSERT_TRUE(burst.all_answered_with("+D\r\n"));
}

TEST(LaneGathering, DoesNotWaitWhenTheNextTurnMayBeLate) {
  Burst burst;
  burst.ask("a");
  burst.ask("b");
  EXPECT_EQ(burst.sent(), 1U);
  burst.soon_again = false;
  burst.rig.turn(5);
  EXPECT_EQ(burst.sent(), 2U);
  ASSERT_TRUE(burst.all_answered_with("+A\r\n+B\r\n"));
}

TEST(LaneGathering, DoesNotWaitWithMuch) {
  Burst burst;
  burst.ask("a");
  burst.ask(pattern(10'000));
  EXPECT_EQ(burst.sent(), 1U);
  burst.ask(pattern(10'000));
  EXPECT_EQ(burst.sent(), 3U);
  ASSERT_TRUE(burst.all_answered_with("+A\r\n+B\r\n+C\r\n"));
}

// Its server has seen nothing of it: it may run elsewhere.
TEST(LaneGathering, WhatWaitsWhenTheConnectionEndsWasNotSent) {
  Burst burst;
  const std::size_t sent = burst.ask("a");
  const std::size_t waits = burst.ask("b");
  burst.rig.server.kill();
  ASSERT_TRUE(burst.rig.until([&] { return burst.rig.all_heard(); }));
  EXPECT_EQ(burst.rig.loss_of(sent), Loss::kUnknown);
  EXPECT_EQ(burst.rig.loss_of(waits), Loss::kNotSent);
  burst.rig.server.script = FakeServer::echo;
  ASSERT_TRUE(burst.rig.becomes_idle(burst.rig.lane()));
  burst.rig.advance(5'000);
  EXPECT_TRUE(burst.rig.hears(burst.rig.ask("again")));
}

}  // namespace
}  // namespace pool
