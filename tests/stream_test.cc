// Streams on a real ring: bytes are exact whatever the sizes, the buffers and the sockets, and a stream that is told to
// pause does.
#include "uring/stream.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/loopback.h"
#include "tests/support/stream_probe.h"
#include "tests/support/turns.h"

namespace uring {
namespace {

using tests::BufferShape;
using tests::pattern;
using tests::ScriptedFaults;
using tests::StreamProbe;
using tests::Turns;

enum class Socket : std::uint8_t { kUnix, kTcp };

std::pair<int, int> pair_of(Socket socket) {
  return socket == Socket::kUnix ? tests::unix_pair() : tests::tcp_pair();
}

/// Peer sends `bytes` in `sizes`, and reads until all of it has come back.
bool echoes(Turns& turns, StreamProbe& probe, std::string_view bytes, const std::vector<std::size_t>& sizes) {
  std::string back;
  std::string_view rest = bytes;
  std::size_t next = 0;
  return turns.until([&] {
    if (!rest.empty()) {
      const std::size_t size = sizes.empty() ? rest.size() : sizes[next++ % sizes.size()];
      rest.remove_prefix(probe.peer.send(rest.substr(0, size)));
    }
    back += probe.peer.receive();
    return back.size() >= bytes.size();
  }) && back == bytes &&
         probe.received == bytes;
}

class StreamEcho : public testing::TestWithParam<Socket> {};

INSTANTIATE_TEST_SUITE_P(Sockets, StreamEcho, testing::Values(Socket::kUnix, Socket::kTcp),
                         [](const auto& socket) { return socket.param == Socket::kUnix ? "unix" : "tcp"; });

TEST_P(StreamEcho, ReturnsWhatIsSent) {
  Turns turns;
  StreamProbe probe(turns, pair_of(GetParam()));
  probe.echo = true;
  turns.at_end = [&] { probe.stream->flush(); };
  EXPECT_TRUE(echoes(turns, probe, "hello", {}));
  EXPECT_EQ(turns.room.bytes_received, 5U);
  EXPECT_EQ(turns.room.bytes_sent, 5U);
  EXPECT_EQ(turns.room.sends, 1U);
}

TEST_P(StreamEcho, MegabytesThroughSmallBuffers) {
  Turns turns({.count = 4, .size = 512});
  StreamProbe probe(turns, pair_of(GetParam()));
  probe.echo = true;
  turns.at_end = [&] { probe.stream->flush(); };
  const std::string bytes = pattern(3 << 20);
  EXPECT_TRUE(echoes(turns, probe, bytes, {}));
  EXPECT_EQ(turns.room.bytes_sent, bytes.size());
  EXPECT_GT(turns.room.starvations, 0U) << "four buffers are less than a flood needs";
}

void check_random_echo(Socket socket) {
  const BufferShape shape{.count = *rc::gen::element<std::uint32_t>(1, 4, 64),
                          .size = *rc::gen::inRange<std::uint32_t>(1, 5000),
                          .incremental = Turns::features().incremental_buffers && *rc::gen::arbitrary<bool>()};
  Turns turns(shape, 64, *rc::gen::inRange<std::uint32_t>(16, 2000));
  StreamProbe probe(turns, pair_of(socket));
  probe.echo = true;
  turns.at_end = [&] { probe.stream->flush(); };
  const auto sizes = *rc::gen::nonEmpty(rc::gen::container<std::vector<std::size_t>>(
      rc::gen::oneOf(rc::gen::inRange<std::size_t>(1, 20), rc::gen::inRange<std::size_t>(1, 30000))));
  std::size_t total = 0;
  for (const std::size_t size : sizes) total += size;
  RC_ASSERT(echoes(turns, probe, pattern(std::min<std::size_t>(total, 200 * std::size_t{shape.size})), sizes));
}

RC_GTEST_PROP(StreamBytes, AreExactOverUnixSockets, ()) {
  check_random_echo(Socket::kUnix);
}
RC_GTEST_PROP(StreamBytes, AreExactOverTcp, ()) {
  check_random_echo(Socket::kTcp);
}

// --- Sending

TEST(StreamSend, MoreChunksThanOneSendGathers) {
  Turns turns({}, 64, 32);
  StreamProbe probe(turns, tests::unix_pair());
  probe.then_sent = [&] { probe.stream->flush(); };
  std::string expected;
  for (std::uint32_t i = 0; i < 3 * Ring::kMaxIovecs; ++i) {
    const std::string bytes = pattern(20 + i % 13, i);
    probe.append(bytes);
    expected += bytes;
  }
  probe.stream->flush();
  std::string received;
  ASSERT_TRUE(turns.until([&] {
    received += probe.peer.receive();
    return received.size() == expected.size();
  }));
  EXPECT_TRUE(received == expected);
  EXPECT_EQ(turns.room.sends, 3U);
}

TEST(StreamSend, OneSendAtATime) {
  Turns turns;
  StreamProbe probe(turns, tests::unix_pair());
  probe.send("first");
  EXPECT_TRUE(probe.stream->is_sending());
  probe.send("second");
  EXPECT_EQ(turns.room.sends, 1U);
  ASSERT_TRUE(turns.until([&] { return probe.sent == 1; }));
  EXPECT_EQ(probe.peer.receive(), "first");
  EXPECT_EQ(probe.stream->queue().bytes(), 6U);
  probe.stream->flush();
  ASSERT_TRUE(turns.until([&] { return probe.sent == 2; }));
  EXPECT_EQ(probe.peer.receive(), "second");
  probe.stream->flush();
  EXPECT_EQ(turns.room.sends, 2U) << "nothing to send is no send";
}

// MSG_WAITALL: the kernel goes on by itself, whether it sends one piece or many.
TEST(StreamSend, ASlowPeerDelaysOneSendOnly) {
  for (const std::uint32_t pieces : {1U, Ring::kMaxIovecs}) {
    const std::string bytes = pattern(4 << 20);
    Turns turns({}, 64, static_cast<std::uint32_t>(bytes.size()) / pieces);
    StreamProbe probe(turns, tests::unix_pair());
    const std::size_t each = bytes.size() / pieces;
    for (std::size_t at = 0; at < bytes.size(); at += each) probe.append(bytes.substr(at, each));
    probe.stream->flush();
    turns.turn(20);
    EXPECT_TRUE(probe.stream->is_sending());
    std::string received;
    ASSERT_TRUE(turns.until([&] {
      received += probe.peer.receive(100'000);
      return received.size() == bytes.size() && !probe.stream->is_sending();
    }));
    EXPECT_TRUE(received == bytes);
    EXPECT_EQ(probe.sent, 1) << pieces << " pieces";
  }
}

// A kernel that sends less than asked: all bytes still arrive, none twice.
TEST(StreamSend, ShortSends) {
  Turns turns({}, 64, 100);
  ScriptedFaults faults;
  std::uint32_t round = 0;
  faults.prepare = [&](io_uring_sqe& sqe) {
    if (sqe.opcode == IORING_OP_SEND) sqe.len = std::min(sqe.len, ++round % 7 + 1);
    if (sqe.opcode == IORING_OP_SENDMSG) {
      auto* message = reinterpret_cast<msghdr*>(sqe.addr);
      message->msg_iovlen = std::min<std::size_t>(message->msg_iovlen, ++round % 3 + 1);
      iovec& last = message->msg_iov[message->msg_iovlen - 1];
      last.iov_len = std::min<std::size_t>(last.iov_len, round % 5 + 1);
    }
    return std::optional<int>();
  };
  turns.ring.set_faults(&faults);
  {
    StreamProbe probe(turns, tests::unix_pair());
    probe.then_sent = [&] { probe.stream->flush(); };
    std::string expected;
    for (std::uint32_t i = 0; i < 100; ++i) {
      probe.append(pattern(30, i));
      expected += pattern(30, i);
    }
    probe.stream->flush();
    std::string received;
    ASSERT_TRUE(turns.until([&] {
      received += probe.peer.receive();
      return probe.stream->queue().bytes() == 0 && !probe.stream->is_sending();
    }));
    received += probe.peer.receive();
    EXPECT_EQ(received, expected);
    EXPECT_GT(round, 30U) << "the sends were not short";
  }
  turns.ring.set_faults(nullptr);
}

// An interrupted send has sent nothing. Its owner decides what goes with the next one, so it is told.
TEST(StreamSend, AnInterruptedSendIsLeftToTheOwner) {
  for (const int error : {EINTR, EAGAIN}) {
    Turns turns;
    ScriptedFaults faults;
    int interruptions = 1;
    faults.prepare = [&](io_uring_sqe& sqe) {
      return sqe.opcode == IORING_OP_SEND && interruptions-- > 0 ? std::optional(-error) : std::nullopt;
    };
    turns.ring.set_faults(&faults);
    {
      StreamProbe probe(turns, tests::unix_pair());
      probe.send("once");
      ASSERT_TRUE(turns.until([&] { return probe.sent == 1; }));
      EXPECT_FALSE(probe.stream->is_sending());
      EXPECT_EQ(probe.stream->queue().bytes(), 4U);
      probe.stream->flush();
      ASSERT_TRUE(turns.until([&] { return probe.sent == 2; }));
      EXPECT_EQ(probe.peer.receive(), "once");
      EXPECT_FALSE(probe.ended());
    }
    turns.ring.set_faults(nullptr);
  }
}

// --- Pausing

/// What a paused stream still receives: that which the kernel had received before.
TEST_P(StreamEcho, APausedStreamReceivesNoMore) {
  Turns turns({.count = 8, .size = 1024});
  StreamProbe probe(turns, pair_of(GetParam()));
  const std::string bytes = pattern(8 << 20);
  std::string_view rest = bytes;
  const auto flood = [&] { rest.remove_prefix(probe.peer.send(rest)); };
  for (int round = 0; round < 5; ++round) {
    ASSERT_TRUE(turns.until([&] {
      flood();
      return probe.received.size() > static_cast<std::size_t>(round) * 100'000;
    }));
    probe.stream->pause();
    EXPECT_TRUE(probe.stream->paused());
    turns.turn(3);
    const std::size_t before = probe.received.size();
    for (int i = 0; i < 20; ++i) {
      flood();
      turns.turn();
    }
    EXPECT_EQ(probe.received.size(), before);
    probe.stream->resume();
  }
  ASSERT_TRUE(turns.until([&] {
    flood();
    return probe.received.size() == bytes.size();
  }));
  EXPECT_TRUE(probe.received == bytes);
}

TEST_P(StreamEcho, PausingFromWithinTheHandler) {
  Turns turns({.count = 64, .size = 64});
  StreamProbe probe(turns, pair_of(GetParam()));
  const std::string bytes = pattern(100'000);
  std::string_view rest = bytes;
  probe.then_received = [&] { probe.stream->pause(); };
  ASSERT_TRUE(turns.until([&] {
    rest.remove_prefix(probe.peer.send(rest));
    probe.stream->resume();
    return probe.received.size() == bytes.size();
  }));
  EXPECT_TRUE(probe.received == bytes);
}

/// One that pauses in its handler has received no more than it said, though all is in the socket.
TEST_P(StreamEcho, ReceivesAtMost) {
  Turns turns;
  StreamProbe probe(turns, pair_of(GetParam()));
  probe.stream->pause();
  ASSERT_TRUE(turns.until([&] { return probe.stream->input_is_free(); }));
  const std::string bytes = pattern(100'000);
  std::string_view rest = bytes;
  rest.remove_prefix(probe.peer.send(rest));
  probe.stream->receive_at_most(300);
  probe.then_received = [&] { probe.stream->pause(); };
  for (std::size_t most = 300; most < 3000; most += 300) {
    probe.stream->resume();
    turns.turn(5);
    EXPECT_TRUE(probe.stream->input_is_free());
    EXPECT_LE(probe.received.size(), most);
  }
  probe.stream->receive_at_most(0);
  probe.then_received = nullptr;
  probe.stream->resume();
  ASSERT_TRUE(turns.until([&] {
    rest.remove_prefix(probe.peer.send(rest));
    return probe.received.size() == bytes.size();
  }));
  EXPECT_TRUE(probe.received == bytes);
}

/// However much waits in the socket, a turn brings no more than the limit; and in the end all of it.
TEST_P(StreamEcho, ATurnBringsAtMostTheLimit) {
  if (!Turns::features().limited_receive) GTEST_SKIP() << "needs Linux 6.17";
  constexpr std::size_t kLimit = 1000;
  Turns turns;
  turns.room.receive_limit = kLimit;
  StreamProbe probe(turns, pair_of(GetParam()));
  const std::string bytes = pattern(100'000);
  std::string_view rest = bytes;
  std::size_t before = 0;
  ASSERT_TRUE(turns.until([&] {
    EXPECT_LE(probe.received.size() - before, kLimit);
    before = probe.received.size();
    rest.remove_prefix(probe.peer.send(rest));
    return before == bytes.size();
  }));
  EXPECT_TRUE(probe.received == bytes);
}

class CountingTap final : public StreamTap {
 public:
  void on_input() override {}
  void on_output() override { ++outputs; }
  int outputs = 0;
};

// A tap that waits for room gives up, its owner queues the rest itself, and the next tap comes while the poll of the
// first is still under way.
TEST_P(StreamEcho, WhatIsQueuedGoesBeforeTheNextTap) {
  Turns turns;
  StreamProbe probe(turns, pair_of(GetParam()));
  const std::string block = pattern(1 << 20);
  std::string expected;
  for (ssize_t sent = 0; sent >= 0; sent = ::send(probe.stream->fd(), block.data(), block.size(), MSG_DONTWAIT)) {
    expected += block.substr(0, static_cast<std::size_t>(sent));
  }
  CountingTap first;
  CountingTap second;
  probe.stream->tap_output(first);
  probe.stream->await_output();
  turns.turn(3);
  probe.stream->untap_output();
  probe.then_sent = [&] { probe.stream->flush(); };
  probe.send("the rest");
  expected += "the rest";
  probe.stream->tap_output(second);
  std::string received;
  ASSERT_TRUE(turns.until([&] {
    received += probe.peer.receive();
    return received.size() == expected.size() && second.outputs > 0;
  })) << received.size()
      << " of " << expected.size() << " bytes";
  EXPECT_TRUE(received == expected);
  EXPECT_EQ(first.outputs, 0);
  probe.stream->untap_output();
  probe.then_sent = nullptr;
}

// A send in flight must survive the cancelling of the receive, which goes by the same descriptor.
TEST(StreamPause, LeavesTheSendAlone) {
  Turns turns;
  StreamProbe probe(turns, tests::unix_pair());
  const std::string bytes = pattern(2 << 20);
  probe.send(bytes);
  turns.turn(2);
  ASSERT_TRUE(probe.stream->is_sending());
  probe.stream->pause();
  turns.turn(3);
  EXPECT_TRUE(probe.stream->is_sending());
  probe.stream->resume();
  probe.peer.send("and back");
  std::string received;
  ASSERT_TRUE(turns.until([&] {
    received += probe.peer.receive();
    return received.size() == bytes.size() && probe.received == "and back";
  }));
  EXPECT_TRUE(received == bytes);
  EXPECT_FALSE(probe.ended());
}

// A tap that waits for input is taken off, and its poll is what the pause cancels.
TEST(StreamPause, IsHeardOfAfterATap) {
  Turns turns;
  StreamProbe probe(turns, tests::unix_pair());
  CountingTap tap;
  probe.stream->tap_input(tap);
  ASSERT_TRUE(turns.until([&] { return probe.stream->input_is_free(); }));
  probe.stream->await_input();
  probe.stream->untap_input();
  probe.stream->pause();
  ASSERT_TRUE(turns.until([&] { return probe.pauses == 1; }));
  probe.stream->resume();
  probe.peer.send("still here");
  ASSERT_TRUE(turns.until([&] { return probe.received == "still here"; }));
}

TEST(StreamPause, ResumedBeforeTheCancelGoesOn) {
  Turns turns;
  StreamProbe probe(turns, tests::unix_pair());
  for (int i = 0; i < 20; ++i) {
    probe.stream->pause();
    if (i % 3 == 0) turns.turn();
    probe.stream->resume();
    if (i % 4 == 0) probe.stream->pause();
    probe.stream->resume();
  }
  probe.peer.send("still here");
  ASSERT_TRUE(turns.until([&] { return probe.received == "still here"; }));
}

// --- Buffers run out

TEST(StreamStarved, GoesOnWhenLeasesReturn) {
  Turns turns({.count = 2, .size = 100});
  StreamProbe hungry(turns, tests::unix_pair());
  hungry.keep_leases = true;
  hungry.peer.send(pattern(500));
  ASSERT_TRUE(turns.until([&] { return turns.room.starvations > 0; }));
  EXPECT_EQ(hungry.received.size(), 200U);
  StreamProbe other(turns, tests::unix_pair());
  other.peer.send("waits");
  turns.turn(5);
  EXPECT_EQ(other.received, "") << "no buffer was left";
  hungry.keep_leases = false;
  hungry.leases.clear();
  ASSERT_TRUE(turns.until([&] { return hungry.received.size() == 500 && other.received == "waits"; }));
  EXPECT_EQ(hungry.received, pattern(500));
  EXPECT_FALSE(hungry.ended());
}

TEST(StreamStarved, EveryOtherReceiveFindsNoBuffer) {
  Turns turns;
  ScriptedFaults faults;
  int receives = 0;
  faults.prepare = [&](io_uring_sqe& sqe) {
    return sqe.opcode == IORING_OP_RECV && receives++ % 2 == 0 ? std::optional(-ENOBUFS) : std::nullopt;
  };
  turns.ring.set_faults(&faults);
  {
    StreamProbe probe(turns, tests::unix_pair());
    probe.echo = true;
    turns.at_end = [&] { probe.stream->flush(); };
    for (std::uint32_t i = 0; i < 10; ++i) {
      probe.received.clear();
      ASSERT_TRUE(echoes(turns, probe, pattern(100, i), {}));
      probe.stream->pause();
      turns.turn(2);
      probe.stream->resume();
    }
    EXPECT_GE(turns.room.starvations, 10U);
  }
  turns.at_end = nullptr;
  turns.ring.set_faults(nullptr);
}

TEST(StreamStarved, NobodyHasTheBuffersTurnAfterTurn) {
  Turns turns({.count = 4, .size = 1024});
  std::vector<std::unique_ptr<StreamProbe>> greedy;
  for (int i = 0; i < 16; ++i) {
    greedy.push_back(std::make_unique<StreamProbe>(turns, tests::unix_pair()));
    greedy.back()->stream->receive_at_most(1024);
    greedy.back()->peer.send(pattern(100'000));
  }
  turns.turn(4);
  StreamProbe modest(turns, tests::unix_pair());
  modest.peer.send("x");
  turns.turn(20);
  EXPECT_EQ(modest.received, "x");
  EXPECT_LT(greedy.front()->received.size(), 100'000U) << "else there was no want";
}

TEST(StreamStarved, MayBeClosedBeforeItIsArmedAgain) {
  Turns turns({.count = 1, .size = 100});
  StreamProbe holder(turns, tests::unix_pair());
  holder.keep_leases = true;
  holder.peer.send(pattern(100));
  ASSERT_TRUE(turns.until([&] { return turns.buffers.held() == 1; }));
  {
    StreamProbe starved(turns, tests::unix_pair());
    // Closed in the very turn in which it learns that no buffer is left.
    turns.at_end = [&] {
      if (!turns.room.starved.empty()) starved.stream->close();
    };
    starved.peer.send("x");
    ASSERT_TRUE(turns.until([&] { return starved.stream->is_closed(); }));
    turns.at_end = nullptr;
  }
  turns.turn(3);
}

}  // namespace
}  // namespace uring
