// Who serves the active clients: as few workers as have room for them, and more before these are full. The workers here
// hand over just what they are told to.
#include "src/balance.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <vector>

namespace sluice {
namespace {

/// Workers whose clients can be shared out at will, and who can use a core each at most.
class Workers {
 public:
  explicit Workers(std::size_t count) : balance(count), load(count, 0.0) {}

  /// One tick; clients whose turn it is go at once.
  void tick() {
    std::vector<double> used;
    for (const double each : load) used.push_back(std::min(each, 1.0));
    std::vector<double> after = load;
    shares = balance.plan(used);
    ASSERT_EQ(shares.size(), load.size());
    for (std::size_t from = 0; from < shares.size(); ++from) {
      double given = 0;
      for (const Balance::Share& share : shares[from]) {
        ASSERT_LT(share.to, balance.in_use());
        ASSERT_NE(share.to, from);
        ASSERT_GT(share.part, 0);
        given += share.part;
        after[share.to] += load[from] * share.part;
        after[from] -= load[from] * share.part;
      }
      ASSERT_LE(given, 1.0 + 1e-9);
    }
    load = after;
  }
  void tick(int times) {
    for (int i = 0; i < times; ++i) tick();
  }
  [[nodiscard]] double most() const { return *std::ranges::max_element(load); }
  [[nodiscard]] bool is_quiet() const {
    return std::ranges::all_of(shares, [](const auto& each) { return each.empty(); });
  }

  Balance balance;
  std::vector<double> load;
  std::vector<std::vector<Balance::Share>> shares;
};

TEST(Balance, AFewClientsOfManyWorkersComeTogether) {
  Workers workers(4);
  workers.load = {0.1, 0.1, 0.1, 0.1};
  workers.tick(20);
  EXPECT_EQ(workers.balance.in_use(), 1U);
  EXPECT_NEAR(workers.load[0], 0.4, 0.02);
  workers.tick(20);
  EXPECT_TRUE(workers.is_quiet());
}

TEST(Balance, WhatIsHardlyAnythingStaysWhereItIs) {
  Workers workers(4);
  workers.load = {0.5, 0.009, 0.009, 0.009};
  for (int i = 0; i < 100; ++i) {
    workers.tick();
    ASSERT_TRUE(workers.is_quiet());
  }
}

TEST(Balance, LittleOfManyComesTogether) {
  Workers workers(64);
  workers.load.assign(64, 0.005);
  workers.tick(20);
  EXPECT_NEAR(workers.load[0], 64 * 0.005, 0.03);
}

TEST(Balance, NewClientsGoToTheLeastLoaded) {
  Workers workers(3);
  const std::vector<std::size_t> clients = {5, 3, 4};
  EXPECT_EQ(workers.balance.choose(clients), 1U) << "while nothing is known of the load, that is who has the fewest";
  workers.load = {0.2, 0.4, 0.2};
  static_cast<void>(workers.balance.plan(workers.load));
  EXPECT_EQ(workers.balance.choose(clients), 1U) << "little more load makes no difference";
  workers.load = {0.2, 0.9, 0.2};
  for (int i = 0; i < 10; ++i) static_cast<void>(workers.balance.plan(workers.load));
  EXPECT_EQ(workers.balance.choose(clients), 2U);
}

TEST(Balance, ABusyWorkerGetsHelp) {
  Workers workers(4);
  workers.load = {0.7, 0.0, 0.0, 0.0};
  workers.tick(30);
  EXPECT_EQ(workers.balance.in_use(), 2U);
  EXPECT_LT(workers.most(), 0.5);
}

TEST(Balance, ALoneWorkerServesAllItCan) {
  Workers workers(1);
  workers.load = {1.0};
  for (int i = 0; i < 100; ++i) {
    workers.tick();
    ASSERT_TRUE(workers.is_quiet());
  }
  EXPECT_EQ(workers.balance.in_use(), 1U);
}

TEST(Balance, AllHelpBeforeTwoSecondsAreOver) {
  Workers workers(64);
  workers.load[0] = 30;  // cores
  workers.tick(40);
  EXPECT_GE(workers.balance.in_use(), 50U);
  workers.tick(200);
  EXPECT_LT(workers.most(), 0.75);
}

TEST(Balance, FewerServeWhenThereIsLittleToDo) {
  Workers workers(4);
  workers.load = {2.4, 0.0, 0.0, 0.0};
  workers.tick(100);
  EXPECT_EQ(workers.balance.in_use(), 4U);
  for (double& each : workers.load) each /= 10;
  workers.tick(10);
  EXPECT_EQ(workers.balance.in_use(), 4U) << "not for a moment's sake";
  workers.tick(100);
  EXPECT_EQ(workers.balance.in_use(), 1U);
  EXPECT_NEAR(workers.load[0], 0.24, 0.02);
}

TEST(Balance, ALoadBetweenOneAndTwoWorkersDoesNotComeAndGo) {
  for (const double load : {0.3, 0.45, 0.55, 0.65, 0.75}) {
    Workers workers(2);
    workers.load = {load / 2, load / 2};
    workers.tick(100);
    const std::size_t in_use = workers.balance.in_use();
    for (int i = 0; i < 1000; ++i) {
      workers.tick();
      ASSERT_EQ(workers.balance.in_use(), in_use) << load;
      ASSERT_TRUE(workers.is_quiet()) << load;
    }
  }
}

// It goes with whoever has it: to hand it to and fro would be no help to anybody.
TEST(Balance, OneClientThatIsAllTheLoadIsSeldomMoved) {
  Balance balance(2);
  std::vector<double> used = {0.9, 0.0};
  int moves = 0;
  for (int i = 0; i < 1000; ++i) {
    const auto shares = balance.plan(used);
    const std::size_t at = used[0] > 0 ? 0 : 1;
    if (shares[at].empty()) continue;
    ++moves;
    std::swap(used[0], used[1]);
  }
  EXPECT_LT(moves, 20);
}

RC_GTEST_PROP(Balance, NobodyIsBusyWhileOthersHaveRoom, ()) {
  const auto count = *rc::gen::inRange<std::size_t>(1, 20);
  Workers workers(count);
  for (double& each : workers.load) each = *rc::gen::inRange(0, 100) * 0.01;
  const double all = std::accumulate(workers.load.begin(), workers.load.end(), 0.0);
  workers.tick(300);
  RC_ASSERT(!testing::Test::HasFatalFailure());
  const double now = std::accumulate(workers.load.begin(), workers.load.end(), 0.0);
  RC_ASSERT(std::abs(now - all) < 1e-6);
  // Those in use are enough for all of it, if there are enough; and who is busy has no one among them with much more
  // room.
  const std::size_t in_use = workers.balance.in_use();
  RC_ASSERT(in_use == count || all < 0.61 * static_cast<double>(in_use));
  const auto end = workers.load.begin() + static_cast<std::ptrdiff_t>(in_use);
  RC_ASSERT(workers.most() < 0.61 || workers.most() - *std::min_element(workers.load.begin(), end) < 0.26);
  for (std::size_t i = in_use; i < count; ++i) RC_ASSERT(workers.load[i] < 0.04);
  RC_ASSERT(in_use == 1 || all > 0.38 * static_cast<double>(in_use - 1));
}

}  // namespace
}  // namespace sluice
