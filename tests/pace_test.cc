// How many arrivals a turn waits for: as many as come close together, never for what cannot come.
#include "src/pace.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace sluice {
namespace {

constexpr std::uint64_t kUs = 1'000;
constexpr unsigned kClients = 100;
constexpr unsigned kLanes = 3;

class PaceTest : public ::testing::Test {
 protected:
  /// Many clients are active, half of them wait.
  unsigned wanted() { return pace_.wanted(kClients / 2, kLanes, 0); }

  /// A turn that takes so many completions, so long after the last one.
  void turn(unsigned arrivals, std::uint64_t after_us, std::uint64_t bytes = 0) {
    now_ns_ += after_us * kUs;
    bytes_ += bytes;
    pace_.count(arrivals, bytes_, now_ns_);
  }

  /// So many clients send again what they sent a millisecond before, or longer ago.
  void be_active(unsigned clients, std::uint32_t now_ms = 101, std::uint32_t since_ms = 1) {
    for (unsigned i = 0; i < clients; ++i) pace_.count_client(now_ms, now_ms - since_ms);
  }

  /// So many arrivals every 100 us, until that is what is expected.
  void settle(unsigned arrivals) {
    for (int i = 0; i < 100; ++i) {
      static_cast<void>(wanted());
      turn(arrivals, 100);
    }
  }

  Pace pace_;
  std::uint64_t now_ns_ = 1'000'000'000;
  std::uint64_t bytes_ = 0;
};

TEST_F(PaceTest, ExpectsWhatComesWithinThePatience) {
  be_active(kClients);
  settle(10);
  EXPECT_NEAR(wanted(), 20, 1) << "200 us at 10 in 100 us";
  settle(2);
  EXPECT_NEAR(wanted(), 4, 1);
  settle(1000);
  EXPECT_LE(wanted(), 64U);
}

TEST_F(PaceTest, OfSeveralWorkersEachWaitsLonger) {
  const auto alone = pace_.patience();
  pace_.share(2);
  EXPECT_EQ(pace_.patience(), 2 * alone);
  be_active(kClients);
  settle(10);
  EXPECT_NEAR(wanted(), 40, 1);
}

TEST_F(PaceTest, ALoneRequestDoesNotWait) {
  be_active(1);
  settle(10);
  EXPECT_EQ(pace_.wanted(1, 1, 1), 1U) << "its reply is all that can come";
  EXPECT_EQ(pace_.wanted(0, 0, 0), 1U);
}

TEST_F(PaceTest, WaitsForNoMoreThanCanCome) {
  be_active(30);
  settle(50);
  EXPECT_EQ(pace_.wanted(20, kLanes, 0), 10U + kLanes);
  EXPECT_EQ(pace_.wanted(30, kLanes, 320), kLanes + 10U) << "a piece for each 32 replies";
}

TEST_F(PaceTest, AFewAreNotWaitedFor) {
  be_active(30);
  settle(50);
  EXPECT_EQ(pace_.wanted(21, kLanes, 0), 12U);
  EXPECT_EQ(pace_.wanted(22, kLanes, 0), 1U);
}

TEST_F(PaceTest, OfSeveralWorkersEachWaitsForFewer) {
  pace_.share(2);
  be_active(30);
  settle(50);
  EXPECT_EQ(pace_.wanted(25, kLanes, 0), 8U);
  EXPECT_EQ(pace_.wanted(26, kLanes, 0), 1U);
}

TEST_F(PaceTest, TheLastRepliesOfABurstAreNotWaitedFor) {
  be_active(30, 101, 5);
  settle(50);
  be_active(1, 101, 0);
  EXPECT_EQ(pace_.wanted(10, 9, 0), 20U + 9U) << "while requests come";
  turn(5, 100);
  EXPECT_EQ(pace_.wanted(10, 9, 0), 1U) << "whoever has its reply will not send for a while";
  EXPECT_EQ(pace_.wanted(10, 12, 0), 12U);
}

TEST_F(PaceTest, WhoWaitedInVainWaitsForTheFirst) {
  be_active(kClients);
  settle(10);
  turn(0, 200);
  EXPECT_EQ(wanted(), 1U);
  turn(1, 5'000);
  EXPECT_GT(wanted(), 10U) << "after the pause it is as before";
}

TEST_F(PaceTest, WhenNothingIsOwedNothingIsExpected) {
  be_active(kClients);
  settle(10);
  EXPECT_EQ(pace_.wanted(0, 0, 0), 1U);
}

TEST_F(PaceTest, PausesDoNotHideBursts) {
  be_active(kClients);
  for (int burst = 0; burst < 50; ++burst) {
    EXPECT_EQ(pace_.wanted(0, 0, 0), 1U);
    turn(1, 3'000);
    static_cast<void>(wanted());
    turn(20, 100);
    static_cast<void>(wanted());
    turn(20, 100);
  }
  EXPECT_NEAR(wanted(), 39, 2);
}

TEST_F(PaceTest, LargePiecesAreNotWaitedWith) {
  be_active(kClients);
  settle(10);
  turn(10, 100, 10 * 10'000);
  EXPECT_GT(wanted(), 10U) << "some hundred requests each";
  turn(10, 100, 10 * 20'000);
  EXPECT_EQ(wanted(), 1U);
  turn(10, 900, 500);
  EXPECT_EQ(wanted(), 1U) << "between two pieces something else may come";
  turn(10, 200, 500);
  EXPECT_GT(wanted(), 10U);
}

TEST_F(PaceTest, ClientsOfTheLastFullMillisecondCount) {
  be_active(30);
  settle(50);
  be_active(1, 102);
  EXPECT_EQ(pace_.wanted(10, 0, 0), 20U);
  be_active(1, 103);
  EXPECT_EQ(pace_.wanted(0, 12, 0), 12U + 1U) << "in the one before there was one";
}

TEST_F(PaceTest, ClientsOfLongAgoDoNotCount) {
  be_active(30);
  settle(50);
  be_active(1, 105);
  EXPECT_EQ(pace_.wanted(0, 12, 0), 12U + 1U);
}

}  // namespace
}  // namespace sluice
