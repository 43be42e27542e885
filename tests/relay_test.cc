// Relays on a real ring: bytes are exact whatever the sizes, pipes and readers, and an end on either side is told.
#include "uring/relay.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/loopback.h"
#include "tests/support/stream_probe.h"
#include "tests/support/turns.h"

namespace uring {
namespace {

using tests::pattern;
using tests::StreamProbe;
using tests::tcp_pair;
using tests::Turns;

constexpr std::uint32_t kPipe = 64U << 10;

/// Two streams and a relay from one to the other; what is left of it when its owner hears of trouble.
class RelayRig final : RelayHandler {
 public:
  explicit RelayRig(std::uint32_t pipe_bytes = kPipe)
      : room{.pipes = PipePool(pipe_bytes, 4)}, source(turns, tcp_pair()), target(turns, tcp_pair()) {
    std::signal(SIGPIPE, SIG_IGN);
    turns.at_end = [this] {
      room.pump();
      target.stream->flush();
    };
    // What still arrives while the source stops takes the usual way.
    source.then_received = [this] {
      const std::string bytes = std::exchange(source.received, {});
      if (relay.running()) relay.skip(std::min<std::uint64_t>(bytes.size(), relay.left()));
      target.append(bytes);
      target.stream->flush();
    };
  }
  ~RelayRig() {
    relay.stop();
    turns.at_end = nullptr;
    source.then_received = nullptr;
  }

  /// `bytes` come from the source's peer in full while the target's reads at most `reads` at a time.
  [[nodiscard]] bool passes(std::string_view bytes, std::size_t reads = SIZE_MAX) {
    sent += bytes;
    std::string_view rest = bytes;
    const bool all = turns.until([&] {
      rest.remove_prefix(source.peer.send(rest));
      arrived += target.peer.receive(reads);
      return arrived.size() >= sent.size() || broken();
    });
    return all && arrived == sent;
  }
  /// The source's peer sends of `rest` what it can, the target's reads nothing, until the relay finds the target full.
  [[nodiscard]] bool fills(std::string_view& rest) {
    return turns.until([&] {
      rest.remove_prefix(source.peer.send(rest));
      return full > 0;
    });
  }
  [[nodiscard]] bool broken() const { return !source_errors.empty() || !target_errors.empty(); }

  Turns turns;
  RelayRoom room;
  StreamProbe source;
  StreamProbe target;
  Relay relay{room, *this};
  std::string sent;
  std::string arrived;
  int done = 0;
  int full = 0;
  bool take_back_when_full = false;
  std::vector<int> source_errors;
  std::vector<int> target_errors;

 private:
  void on_relayed() override { ++done; }
  void on_source_broken(int error) override {
    source_errors.push_back(error);
    relay.stop();
  }
  void on_target_broken(int error) override {
    target_errors.push_back(error);
    relay.stop();
  }
  void on_target_full() override {
    ++full;
    if (!take_back_when_full) return;
    const std::string rest = relay.take_rest();
    relay.stop();
    target.append(rest);
    target.stream->flush();
  }
};

TEST(Relay, MovesWhatIsSentAndNoMore) {
  RelayRig rig;
  const std::string bytes = pattern(3 << 20);
  ASSERT_TRUE(rig.relay.start(*rig.source.stream, *rig.target.stream, bytes.size()));
  EXPECT_TRUE(rig.passes(bytes));
  EXPECT_EQ(rig.done, 1);
  EXPECT_FALSE(rig.relay.running());
  // Both streams are what they were.
  EXPECT_TRUE(rig.passes("and on"));
  EXPECT_EQ(rig.done, 1);
}

TEST(Relay, ASlowReaderHoldsBackOnlyTheRelay) {
  RelayRig rig;
  const std::string bytes = pattern(12 << 20);
  ASSERT_TRUE(rig.relay.start(*rig.source.stream, *rig.target.stream, bytes.size()));
  std::string_view rest = bytes;
  // The peer's reads stop altogether: the relay waits, the ring turns on.
  ASSERT_TRUE(rig.fills(rest));
  const std::uint64_t left = rig.relay.left();
  rig.turns.turn(50);
  EXPECT_EQ(rig.relay.left(), left);
  EXPECT_LE(rig.turns.chunks.bytes_in_use(), 64U << 10) << "nothing is held in memory";
  ASSERT_TRUE(rig.turns.until([&] {
    rest.remove_prefix(rig.source.peer.send(rest));
    rig.arrived += rig.target.peer.receive(100000);
    return rig.done == 1 && rig.arrived.size() == bytes.size();
  }));
  EXPECT_EQ(rig.arrived, bytes);
}

TEST(Relay, CanBeTakenBackInTheMiddle) {
  RelayRig rig;
  rig.take_back_when_full = true;
  const std::string bytes = pattern(12 << 20);
  ASSERT_TRUE(rig.relay.start(*rig.source.stream, *rig.target.stream, bytes.size()));
  std::string_view rest = bytes;
  ASSERT_TRUE(rig.fills(rest));
  EXPECT_FALSE(rig.relay.running());
  ASSERT_TRUE(rig.turns.until([&] {
    rest.remove_prefix(rig.source.peer.send(rest));
    rig.arrived += rig.target.peer.receive();
    return rig.arrived.size() == bytes.size();
  }));
  EXPECT_EQ(rig.arrived, bytes);
  EXPECT_EQ(rig.done, 0);
}

TEST(Relay, TellsThatTheSourceHasEnded) {
  RelayRig rig;
  ASSERT_TRUE(rig.relay.start(*rig.source.stream, *rig.target.stream, 1 << 20));
  rig.turns.turn(3);
  rig.source.peer.send(pattern(1000));
  ASSERT_TRUE(rig.turns.until([&] { return !(rig.arrived += rig.target.peer.receive()).empty(); }));
  rig.source.peer.finish_sending();
  ASSERT_TRUE(rig.turns.until([&] { return rig.broken(); }));
  EXPECT_EQ(rig.source_errors, std::vector<int>{0});
  EXPECT_EQ(rig.arrived, pattern(1000));
}

TEST(Relay, TellsThatTheSourceHasBroken) {
  RelayRig rig;
  ASSERT_TRUE(rig.relay.start(*rig.source.stream, *rig.target.stream, 1 << 20));
  rig.turns.turn(3);
  rig.source.peer.reset();
  ASSERT_TRUE(rig.turns.until([&] { return rig.broken(); }));
  EXPECT_EQ(rig.source_errors, std::vector<int>{ECONNRESET});
}

TEST(Relay, TellsThatTheTargetHasBroken) {
  RelayRig rig;
  ASSERT_TRUE(rig.relay.start(*rig.source.stream, *rig.target.stream, 64 << 20));
  rig.turns.turn(3);
  rig.target.peer.reset();
  const std::string bytes = pattern(1 << 20);
  ASSERT_TRUE(rig.turns.until([&] {
    rig.source.peer.send(bytes);
    return rig.broken() || rig.target.ended();
  }));
}

// An error need not be the connection's end: nothing may follow a value that is cut off, and its owner must hear of it.
TEST(Relay, EndsATargetThatTakesNoMore) {
  RelayRig rig;
  rig.source.then_received = nullptr;  // a send would notice by itself
  ASSERT_TRUE(rig.relay.start(*rig.source.stream, *rig.target.stream, 64 << 20));
  rig.turns.turn(3);
  ::shutdown(rig.target.stream->fd(), SHUT_WR);
  rig.source.peer.send(pattern(1 << 20));
  ASSERT_TRUE(rig.turns.until([&] { return rig.broken(); }));
  EXPECT_TRUE(rig.turns.until([&] { return rig.target.ended(); }));
}

TEST(Relay, BothStreamsCloseInTheMiddle) {
  RelayRig rig;
  const std::string bytes = pattern(8 << 20);
  ASSERT_TRUE(rig.relay.start(*rig.source.stream, *rig.target.stream, bytes.size()));
  std::string_view rest = bytes;
  ASSERT_TRUE(rig.fills(rest));
  rig.relay.stop();
  rig.source.stream->close();
  rig.target.stream->close();
  EXPECT_TRUE(rig.turns.until([&] { return rig.source.stream->is_closed() && rig.target.stream->is_closed(); }));
}

RC_GTEST_PROP(Relay, IsExactForAnySizesAndReaders, ()) {
  RelayRig rig(*rc::gen::element<std::uint32_t>(4096, 65536, 262144));
  for (int round = *rc::gen::inRange(1, 5); round > 0; --round) {
    const auto before = *rc::gen::inRange<std::size_t>(0, 5000);
    const auto relayed =
        *rc::gen::oneOf(rc::gen::inRange<std::size_t>(1, 10000), rc::gen::inRange<std::size_t>(60000, 70000),
                        rc::gen::inRange<std::size_t>(500000, 1500000));
    const auto behind = *rc::gen::inRange<std::size_t>(0, 5000);
    const auto reads = *rc::gen::oneOf(rc::gen::just(SIZE_MAX), rc::gen::inRange<std::size_t>(5000, 100000));
    const std::string bytes = pattern(before + relayed + behind, static_cast<std::uint32_t>(round));
    // Some arrive before the relay is known of, some behind its end.
    RC_ASSERT(rig.passes(std::string_view(bytes).substr(0, before), reads));
    const int done = rig.done;
    RC_ASSERT(rig.relay.start(*rig.source.stream, *rig.target.stream, relayed));
    RC_ASSERT(rig.passes(std::string_view(bytes).substr(before), reads));
    RC_ASSERT(rig.done == done + 1);
  }
}

}  // namespace
}  // namespace uring
