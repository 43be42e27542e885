// A long reply that receives have cut: kept where it lies, told in one piece or in two, and copied only where neither
// will do.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/pool_rig.h"

namespace pool {
namespace {

using tests::BufferShape;
using tests::FakeServer;
using tests::pattern;
using tests::PoolRig;

constexpr std::uint32_t kHalf = 20'000;
const BufferShape kShape{.count = 8, .size = 128U << 10, .incremental = true};
const LaneKey kOther{.protocol = resp::Protocol::kResp3, .read_only = false, .database = 0};

/// Two lanes to one server; what either is sent, the test says.
class LaneCut : public testing::Test {
 protected:
  void SetUp() override {
    if (!tests::Turns::features().incremental_buffers) GTEST_SKIP() << "needs Linux 6.12";
  }
  /// A request on each lane, the first one's answered by half of `reply_`.
  void begin(PoolRig& rig) {
    rig.server.script = FakeServer::handshake;
    rig.ask(rig.lane(), {"GET", "a"});
    ASSERT_TRUE(rig.becomes_ready(rig.lane()));
    rig.ask(rig.lane(kOther), {"GET", "b"});
    ASSERT_TRUE(rig.until([&] { return rig.server.requests.back() == "GET b"; }));
    say(rig, 0, std::string_view(reply_).substr(0, kHalf));
  }
  /// To one lane; returns when it has come.
  static void say(PoolRig& rig, std::size_t connection, std::string_view bytes) {
    const std::uint64_t before = rig.turns.room.bytes_received;
    rig.server.connections[connection]->output += bytes;
    ASSERT_TRUE(rig.until([&] { return rig.turns.room.bytes_received == before + bytes.size(); }));
  }
  [[nodiscard]] std::string_view rest() const { return std::string_view(reply_).substr(kHalf); }

  const std::string reply_ = FakeServer::bulk(pattern(2 * kHalf));
};

TEST_F(LaneCut, IsWholeWhereItsPiecesLieSideBySide) {
  PoolRig rig({}, kShape);
  begin(rig);
  say(rig, 0, rest().substr(0, 100));
  EXPECT_LT(rig.turns.chunks.bytes_in_use(), kHalf) << "nothing is copied";
  say(rig, 0, rest().substr(100));
  EXPECT_TRUE(rig.reply_of(0) == reply_);
  EXPECT_EQ(rig.taken, 1U);
  say(rig, 1, "+OK\r\n");
}

TEST_F(LaneCut, ComesInTwoWhereAnothersLieBetween) {
  PoolRig rig({}, kShape);
  rig.takes_two = true;
  begin(rig);
  say(rig, 1, "+OK\r\n");
  say(rig, 0, rest());
  EXPECT_TRUE(rig.reply_of(0) == reply_);
  EXPECT_EQ(rig.in_two, 1U);
  EXPECT_EQ(rig.taken, 2U);
}

TEST_F(LaneCut, AShortBeginningIsCopiedAndTheRestIsNot) {
  PoolRig rig({}, kShape);
  rig.takes_two = true;
  begin(rig);
  say(rig, 1, "+OK\r\n");
  say(rig, 0, rest());
  rig.ask(rig.lane(), {"GET", "c"});
  ASSERT_TRUE(rig.until([&] { return rig.server.requests.back() == "GET c"; }));
  say(rig, 0, std::string_view(reply_).substr(0, 100));
  say(rig, 0, std::string_view(reply_).substr(100));
  EXPECT_TRUE(rig.reply_of(2) == reply_);
  EXPECT_EQ(rig.in_two, 2U);
  EXPECT_EQ(rig.taken, 3U);
}

TEST_F(LaneCut, IsCopiedForOneThatTakesItWhole) {
  PoolRig rig({}, kShape);
  begin(rig);
  say(rig, 1, "+OK\r\n");
  EXPECT_LT(rig.turns.chunks.bytes_in_use(), kHalf);
  say(rig, 0, rest());
  EXPECT_TRUE(rig.reply_of(0) == reply_);
  EXPECT_EQ(rig.in_two, 0U);
  EXPECT_EQ(rig.taken, 1U) << "the copy";
}

TEST_F(LaneCut, IsCopiedWhenFewBuffersAreLeft) {
  PoolRig rig({}, {.count = 2, .size = kHalf, .incremental = true});
  begin(rig);
  say(rig, 0, rest().substr(0, kHalf));
  EXPECT_EQ(rig.turns.buffers.held(), 0U);
  EXPECT_GE(rig.turns.chunks.bytes_in_use(), kHalf);
  say(rig, 0, rest().substr(kHalf));
  EXPECT_TRUE(rig.reply_of(0) == reply_);
  say(rig, 1, "+OK\r\n");
}

TEST_F(LaneCut, IsLetGoOfWhenTheConnectionEnds) {
  PoolRig rig({}, {.count = 8, .size = kHalf + 2'000, .incremental = true});
  begin(rig);
  say(rig, 1, ">1\r\n" + FakeServer::bulk(pattern(2'000)));  // the buffer's end
  EXPECT_EQ(rig.turns.buffers.held(), 1U);
  rig.server.kill();
  ASSERT_TRUE(rig.until([&] { return rig.all_heard(); }));
  EXPECT_EQ(rig.turns.buffers.held(), 0U);
}

// Whatever is cut where, and whatever comes between: each request hears its own reply.
TEST_F(LaneCut, RandomRepliesCutAtRandom) {
  for (std::uint32_t seed = 1; seed <= 40; ++seed) {
    std::minstd_rand random(seed);
    const auto below = [&](std::uint32_t bound) { return static_cast<std::uint32_t>(random() % bound); };
    PoolRig rig({}, {.count = 2U << below(4), .size = 4096U << below(6), .incremental = below(4) > 0});
    rig.takes_two = below(3) > 0;
    std::vector<std::string> replies;
    rig.server.script = [&](const std::string& request) -> std::optional<std::string> {
      if (auto reply = FakeServer::handshake(request)) return reply;
      return replies[std::stoul(request.substr(4))];
    };
    for (std::uint32_t i = 0; i < 60; ++i) {
      std::string reply = FakeServer::bulk(pattern(below(90'000), seed + i));
      if (below(8) == 0) reply = "*2\r\n" + reply + reply;
      replies.push_back(std::move(reply));
      rig.ask(rig.lane(below(2) == 0 ? LaneKey{} : kOther), {"GET", std::to_string(i)});
    }
    ASSERT_TRUE(rig.until([&] {
      rig.server.piece = 1 + below(60'000);
      return rig.all_heard();
    })) << "seed "
        << seed;
    for (std::size_t i = 0; i < replies.size(); ++i) ASSERT_TRUE(rig.reply_of(i) == replies[i]) << seed << ' ' << i;
  }
}

}  // namespace
}  // namespace pool
