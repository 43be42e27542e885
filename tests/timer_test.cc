// Timers on a real ring: once, not early, and never after cancel().
#include "uring/timer.h"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <vector>

#include "tests/support/turns.h"

namespace uring {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using tests::Turns;

struct Alarm final : TimerHandler {
  explicit Alarm(Turns& turns) : timer(turns.ring, *this) {}
  void on_timer() override {
    EXPECT_FALSE(timer.armed()) << "it can be armed again from here";
    rings.push_back(steady_clock::now());
    if (then) then();
  }
  Timer timer;
  std::vector<steady_clock::time_point> rings;
  std::function<void()> then;
};

TEST(Timer, RingsOnceAndNotEarly) {
  Turns turns;
  Alarm alarm(turns);
  const auto begin = steady_clock::now();
  alarm.timer.arm(milliseconds(20));
  EXPECT_TRUE(alarm.timer.armed());
  ASSERT_TRUE(turns.until([&] { return !alarm.rings.empty(); }));
  EXPECT_GE(alarm.rings[0] - begin, milliseconds(20));
  turns.turn(20);
  EXPECT_EQ(alarm.rings.size(), 1U);
}

TEST(Timer, DelaysOverASecondAreTakenWhole) {
  Turns turns;
  Alarm alarm(turns);
  const auto begin = steady_clock::now();
  alarm.timer.arm(milliseconds(1010));
  ASSERT_TRUE(turns.until([&] { return !alarm.rings.empty(); }));
  EXPECT_GE(alarm.rings[0] - begin, milliseconds(1010));
}

TEST(Timer, RingsAgainWhenArmedFromItsHandler) {
  Turns turns;
  Alarm alarm(turns);
  alarm.then = [&] {
    if (alarm.rings.size() < 5) alarm.timer.arm(milliseconds(1));
  };
  alarm.timer.arm(milliseconds(1));
  ASSERT_TRUE(turns.until([&] { return alarm.rings.size() == 5; }));
  EXPECT_FALSE(alarm.timer.armed());
}

TEST(Timer, IsSilentOnceCancelled) {
  Turns turns;
  Alarm alarm(turns);
  alarm.timer.arm(std::chrono::hours(1));
  turns.turn();
  alarm.timer.cancel();
  EXPECT_TRUE(alarm.timer.armed()) << "the operation ends in a later turn";
  ASSERT_TRUE(turns.until([&] { return !alarm.timer.armed(); }));
  EXPECT_TRUE(alarm.rings.empty());
  alarm.timer.cancel();
  alarm.timer.arm(milliseconds(1));
  ASSERT_TRUE(turns.until([&] { return alarm.rings.size() == 1; }));
}

TEST(Timer, CancelledBeforeItIsSubmitted) {
  Turns turns;
  Alarm alarm(turns);
  alarm.timer.arm(std::chrono::hours(1));
  alarm.timer.cancel();
  ASSERT_TRUE(turns.until([&] { return !alarm.timer.armed(); }));
  EXPECT_TRUE(alarm.rings.empty());
}

// The completion stands in the queue already, behind that of who cancels it.
TEST(Timer, CancelledInTheTurnItWouldRingIn) {
  Turns turns;
  Alarm first(turns);
  Alarm second(turns);
  first.then = [&] { second.timer.cancel(); };
  second.then = [&] { first.timer.cancel(); };
  first.timer.arm(milliseconds(1));
  second.timer.arm(milliseconds(1));
  ASSERT_FALSE(turns.ring.wait(2, std::chrono::seconds(5)));
  turns.ring.deliver();
  EXPECT_EQ(first.rings.size() + second.rings.size(), 1U);
  ASSERT_TRUE(turns.until([&] { return !first.timer.armed() && !second.timer.armed(); }));
  EXPECT_EQ(first.rings.size() + second.rings.size(), 1U);
}

}  // namespace
}  // namespace uring
