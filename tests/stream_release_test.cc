// Sockets that go from one stream to another while bytes come: none is lost, doubled or out of place.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <random>
#include <string>
#include <string_view>

#include "tests/support/loopback.h"
#include "tests/support/stream_probe.h"
#include "tests/support/turns.h"

namespace uring {
namespace {

using tests::pattern;
using tests::StreamProbe;
using tests::Turns;

TEST(StreamRelease, IsPausedWhenAllHasCome) {
  Turns turns;
  StreamProbe probe(turns, tests::tcp_pair());
  turns.turn(2);
  probe.stream->pause();
  EXPECT_EQ(probe.pauses, 0);
  EXPECT_TRUE(turns.until([&] { return probe.pauses == 1; }));
  EXPECT_TRUE(probe.stream->input_is_free());
  probe.peer.send("later");
  turns.turn(2);
  EXPECT_EQ(probe.received, "");
  probe.stream->resume();
  EXPECT_TRUE(turns.until([&] { return probe.received == "later"; }));
  EXPECT_EQ(probe.pauses, 1);
}

TEST(StreamRelease, IsNotPausedWhenItGoesOnBefore) {
  Turns turns;
  StreamProbe probe(turns, tests::tcp_pair());
  turns.turn(2);
  probe.stream->pause();
  probe.stream->resume();
  probe.peer.send("bytes");
  EXPECT_TRUE(turns.until([&] { return probe.received == "bytes"; }));
  turns.turn(2);
  EXPECT_EQ(probe.pauses, 0);
}

/// From one ring to the other and back, each time in the middle of what comes.
void hand_to_and_fro(std::uint32_t seed) {
  std::minstd_rand random(seed);
  const auto next = [&](std::size_t choices) { return random() / 7 % choices; };
  Turns rings[2];
  auto [socket, other] = tests::tcp_pair();
  tests::Peer peer(other);
  const std::string bytes = pattern(1 + next(300'000));
  std::string_view unsent = bytes;
  std::string received;
  for (int i = 0; received.size() < bytes.size(); ++i) {
    ASSERT_LT(i, 10'000);
    Turns& turns = rings[i % 2];
    StreamProbe probe(turns, {socket, -1});
    probe.stream->receive_at_most(next(3) == 0 ? 1000 : 0);
    unsent.remove_prefix(peer.send(unsent.substr(0, next(50'000))));
    turns.turn(1 + static_cast<int>(next(3)));
    unsent.remove_prefix(peer.send(unsent.substr(0, next(50'000))));
    probe.stream->pause();
    ASSERT_TRUE(probe.stream->input_is_free() || turns.until([&] { return probe.pauses == 1; }));
    socket = probe.stream->release();
    received += probe.received;
    ASSERT_TRUE(probe.ends.empty());
    ASSERT_TRUE(bytes.starts_with(received));
  }
  EXPECT_EQ(received, bytes);
  ::close(socket);
}

TEST(StreamRelease, TheOtherStreamGoesOnWhereThisOneEnds) {
  const std::uint32_t seed = std::random_device{}();
  for (std::uint32_t i = 0; i < 200; ++i) {
    SCOPED_TRACE("seed " + std::to_string(seed + i));
    ASSERT_NO_FATAL_FAILURE(hand_to_and_fro(seed + i));
  }
}

}  // namespace
}  // namespace uring
