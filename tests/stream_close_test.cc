// How streams end: by either side, by any error, at every step of their life. Each end is heard once, each close is
// heard once, and at the close nothing is in flight (operations assert that in their destructors).
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tests/support/loopback.h"
#include "tests/support/stream_probe.h"
#include "tests/support/turns.h"
#include "uring/stream.h"

namespace uring {
namespace {

using tests::pattern;
using tests::ScriptedFaults;
using tests::StreamProbe;
using tests::Turns;

/// A point in a stream's life that an end may come at.
struct Step {
  const char* name;
  void (*reach)(Turns& turns, StreamProbe& probe);
};

/// More than sockets hold: the send stays in flight until the peer reads.
constexpr std::size_t kTooMuch = 8U << 20;

constexpr Step kSteps[] = {
    {"nothing_submitted", [](Turns&, StreamProbe&) {}},
    {"receive_in_flight", [](Turns& turns, StreamProbe&) { turns.turn(2); }},
    {"bytes_arrived", [](Turns&, StreamProbe& probe) { probe.peer.send("unread"); }},
    {"queued_only", [](Turns&, StreamProbe& probe) { probe.append("unsent"); }},
    {"send_prepared", [](Turns&, StreamProbe& probe) { probe.send("sent"); }},
    {"send_in_flight",
     [](Turns& turns, StreamProbe& probe) {
       probe.send(pattern(kTooMuch));
       turns.turn(2);
       EXPECT_TRUE(probe.stream->is_sending());
     }},
    {"paused",
     [](Turns& turns, StreamProbe& probe) {
       turns.turn();
       probe.stream->pause();
     }},
    {"starved",
     [](Turns& turns, StreamProbe& probe) {
       probe.keep_leases = true;
       probe.peer.send(pattern(100'000));
       EXPECT_TRUE(turns.until([&] { return turns.room.starvations > 0; }));
     }},
    {"filling",
     [](Turns& turns, StreamProbe& probe) {
       probe.stream->receive_at_most(100);
       probe.stream->pause();
       EXPECT_TRUE(turns.until([&] { return probe.stream->input_is_free(); }));
       probe.stream->resume();
       probe.fill = 1000;
       probe.peer.send("begun");
       EXPECT_TRUE(turns.until([&] { return probe.stream->is_filling(); }));
     }},
    {"draining",
     [](Turns& turns, StreamProbe& probe) {
       probe.send(pattern(kTooMuch));
       probe.stream->drain_and_close();
       turns.turn(2);
       EXPECT_TRUE(probe.stream->is_open());
     }},
};

class StreamClose : public testing::TestWithParam<Step> {
 protected:
  /// Both kinds of socket.
  void on_each(const std::function<void(Turns&, StreamProbe&)>& check) {
    for (const auto make_pair : {&tests::unix_pair, &tests::tcp_pair}) {
      Turns turns({.count = 4, .size = 512});
      StreamProbe probe(turns, make_pair());
      GetParam().reach(turns, probe);
      check(turns, probe);
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Steps, StreamClose, testing::ValuesIn(kSteps),
                         [](const auto& step) { return step.param.name; });

TEST_P(StreamClose, ByUs) {
  on_each([](Turns& turns, StreamProbe& probe) {
    const std::size_t received = probe.received.size();
    probe.stream->close();
    probe.stream->close();
    EXPECT_FALSE(probe.stream->is_open());
    EXPECT_EQ(probe.closed, 0) << "on_closed comes from within a later turn only";
    ASSERT_TRUE(turns.until([&] { return probe.stream->is_closed(); }));
    turns.turn(3);
    EXPECT_EQ(probe.closed, 1);
    EXPECT_FALSE(probe.ended()) << "nobody needs to be told of what he asked for";
    EXPECT_EQ(probe.received.size(), received);
    EXPECT_EQ(probe.stream->fd(), -1);
    probe.leases.clear();
    EXPECT_EQ(turns.buffers.held(), 0U);
    EXPECT_EQ(turns.chunks.bytes_in_use(), 0U);
    static_cast<void>(probe.peer.receive());
    EXPECT_TRUE(probe.peer.ended());
  });
}

/// Who is paused, owes leases or has unsent bytes hears of the end only once he goes on.
void listen_again(StreamProbe& probe) {
  probe.keep_leases = false;
  probe.leases.clear();
  probe.then_sent = [&probe] { probe.stream->flush(); };
  probe.stream->resume();
}

void expect_one_end(Turns& turns, StreamProbe& probe) {
  listen_again(probe);
  ASSERT_TRUE(turns.until([&] { return probe.ended(); }));
  turns.turn(5);
  EXPECT_LE(probe.ends.size(), 2U);
  probe.stream->close();
  ASSERT_TRUE(turns.until([&] { return probe.stream->is_closed(); }));
  EXPECT_EQ(probe.closed, 1);
}

TEST_P(StreamClose, ByThePeer) {
  on_each([](Turns& turns, StreamProbe& probe) {
    probe.peer.close();
    expect_one_end(turns, probe);
  });
}

TEST_P(StreamClose, ByThePeersReset) {
  on_each([](Turns& turns, StreamProbe& probe) {
    probe.peer.reset();
    expect_one_end(turns, probe);
  });
}

TEST_P(StreamClose, ByTheOwnerInOnEnded) {
  on_each([](Turns& turns, StreamProbe& probe) {
    probe.then_ended = [&] { probe.stream->close(); };
    probe.peer.close();
    listen_again(probe);
    ASSERT_TRUE(turns.until([&] { return probe.stream->is_closed(); }));
    EXPECT_EQ(probe.ends.size(), 1U);
    EXPECT_EQ(probe.closed, 1);
  });
}

TEST_P(StreamClose, ByBothAtOnce) {
  on_each([](Turns& turns, StreamProbe& probe) {
    probe.peer.close();
    probe.stream->close();
    ASSERT_TRUE(turns.until([&] { return probe.stream->is_closed(); }));
    EXPECT_FALSE(probe.ended());
  });
}

TEST_P(StreamClose, DrainsWhatIsQueued) {
  on_each([](Turns& turns, StreamProbe& probe) {
    const std::size_t queued = probe.stream->queue().bytes();
    probe.then_sent = [&] { probe.stream->flush(); };
    probe.stream->drain_and_close();
    probe.stream->flush();
    std::size_t received = 0;
    ASSERT_TRUE(turns.until([&] {
      received += probe.peer.receive().size();
      return probe.stream->is_closed();
    }));
    received += probe.peer.receive().size();
    EXPECT_EQ(received, queued);
    EXPECT_FALSE(probe.ended());
    EXPECT_EQ(probe.closed, 1);
  });
}

TEST_P(StreamClose, AndOpenAgain) {
  on_each([](Turns& turns, StreamProbe& probe) {
    probe.stream->close();
    probe.leases.clear();
    ASSERT_TRUE(turns.until([&] { return probe.stream->is_closed(); }));
    const auto [ours, theirs] = tests::unix_pair();
    probe.peer = tests::Peer(theirs);
    probe.received.clear();
    probe.closed = 0;
    probe.stream->resume();
    probe.stream->open(ours);
    EXPECT_FALSE(probe.stream->paused());
    probe.peer.send("anew");
    ASSERT_TRUE(turns.until([&] { return probe.received == "anew"; }));
    EXPECT_EQ(turns.buffers.held(), probe.leases.size());
  });
}

// --- From within handlers

TEST(StreamEnd, ClosedWhileReceiving) {
  for (const std::size_t size : {std::size_t{1}, std::size_t{50'000}}) {
    Turns turns({.count = 64, .size = 64});
    StreamProbe probe(turns, tests::unix_pair());
    probe.then_received = [&] { probe.stream->close(); };
    probe.peer.send(pattern(size));
    ASSERT_TRUE(turns.until([&] { return probe.stream->is_closed(); }));
    EXPECT_EQ(probe.received, pattern(size).substr(0, 64)) << "nothing arrives after close()";
  }
}

TEST(StreamEnd, ClosedWhileSent) {
  Turns turns;
  StreamProbe probe(turns, tests::unix_pair());
  probe.then_sent = [&] { probe.stream->close(); };
  probe.send("bye");
  ASSERT_TRUE(turns.until([&] { return probe.stream->is_closed(); }));
  EXPECT_EQ(probe.peer.receive(), "bye");
}

TEST(StreamEnd, AHalfClosedPeerStillReads) {
  Turns turns;
  StreamProbe probe(turns, tests::tcp_pair());
  probe.peer.send("last request");
  probe.peer.finish_sending();
  ASSERT_TRUE(turns.until([&] { return probe.ended(); }));
  EXPECT_EQ(probe.ends, std::vector<int>{0});
  EXPECT_EQ(probe.received, "last request");
  probe.send("last reply");
  probe.stream->drain_and_close();
  ASSERT_TRUE(turns.until([&] { return probe.stream->is_closed(); }));
  EXPECT_EQ(probe.peer.receive(), "last reply");
}

// The end of the input is no news to who says good-bye, a peer that does not take his last words is.
TEST(StreamEnd, APeerThatGoesWhileWeDrain) {
  Turns turns;
  StreamProbe probe(turns, tests::unix_pair());
  probe.send(pattern(kTooMuch));
  probe.stream->drain_and_close();
  probe.peer.finish_sending();
  turns.turn(5);
  EXPECT_FALSE(probe.ended());
  probe.then_sent = [&] { probe.stream->flush(); };
  probe.peer.close();
  ASSERT_TRUE(turns.until([&] { return probe.ended(); }));
  EXPECT_EQ(probe.ends, std::vector<int>{EPIPE});
}

// --- Errors and order made by the test

TEST(StreamFaults, EachOperationFails) {
  for (const int error : {ECONNRESET, ETIMEDOUT, EPIPE, ENOMEM, EIO}) {
    for (const std::uint8_t opcode : {std::uint8_t{IORING_OP_RECV}, std::uint8_t{IORING_OP_SEND}}) {
      Turns turns;
      ScriptedFaults faults;
      faults.prepare = [&](io_uring_sqe& sqe) { return sqe.opcode == opcode ? std::optional(-error) : std::nullopt; };
      turns.ring.set_faults(&faults);
      {
        StreamProbe probe(turns, tests::unix_pair());
        probe.send("x");
        ASSERT_TRUE(turns.until([&] { return probe.ended(); }));
        turns.turn(3);
        EXPECT_EQ(probe.ends, std::vector<int>{error});
        probe.stream->close();
        ASSERT_TRUE(turns.until([&] { return probe.stream->is_closed(); }));
      }
      turns.ring.set_faults(nullptr);
    }
  }
}

/// Any order of completions, but for what has an order: those of one operation, and those that say how full a buffer
/// is.
void shuffle(std::span<PendingCompletion> batch) {
  const auto is_ordered = [](const PendingCompletion& pending) {
    return (pending.completion.flags & IORING_CQE_F_BUFFER) != 0;
  };
  for (std::size_t i = batch.size(); i-- > 1;) {
    const std::size_t j = *rc::gen::inRange<std::size_t>(0, i + 1);
    const auto first = batch.begin() + static_cast<std::ptrdiff_t>(j);
    const auto last = batch.begin() + static_cast<std::ptrdiff_t>(i) + 1;
    const bool passes = std::none_of(first + 1, last, [&](const PendingCompletion& other) {
      return other.operation == first->operation || (is_ordered(*first) && is_ordered(other));
    });
    if (passes) std::rotate(first, first + 1, last);
  }
}

/// Streams that live and die at random while sends fall short, receives starve, connections break and completions come
/// in any order. The probes hold each stream to its promises.
struct Lives {
  explicit Lives(bool incremental) : turns({.count = 4, .size = 200, .incremental = incremental}, 64, 64) {
    faults.prepare = fault;
    faults.batch = shuffle;
    turns.ring.set_faults(&faults);
    turns.at_end = [this] { end_turn(); };
  }
  ~Lives() {
    turns.at_end = nullptr;
    probes.clear();
  }

  static std::optional<int> fault(io_uring_sqe& sqe) {
    const int chance = *rc::gen::inRange(0, 20);
    if (sqe.opcode == IORING_OP_RECV && chance == 0) return -ENOBUFS;
    if (sqe.opcode == IORING_OP_RECV && chance == 1) return -EINTR;
    if (sqe.opcode == IORING_OP_SEND && chance == 2) return -EAGAIN;
    if (sqe.opcode == IORING_OP_SEND && chance < 10) sqe.len = std::min(sqe.len, 5U);
    if ((sqe.opcode == IORING_OP_SEND || sqe.opcode == IORING_OP_SENDMSG) && chance == 19) return -ECONNRESET;
    return std::nullopt;
  }

  void end_turn() {
    for (auto& probe : probes) {
      if (probe->ended()) probe->stream->close();
      probe->stream->flush();
    }
  }

  void step() {
    while (probes.size() < 3) {
      probes.push_back(std::make_unique<StreamProbe>(turns, tests::unix_pair()));
      probes.back()->echo = true;
      probes.back()->fill = *rc::gen::element(0U, 50U, 300U);
      probes.back()->stream->receive_at_most(*rc::gen::element(0U, 100U));
    }
    StreamProbe& probe = *probes[*rc::gen::inRange<std::size_t>(0, probes.size())];
    switch (*rc::gen::inRange(0, 9)) {
      case 0:
        return probe.stream->close();
      case 1:
        return probe.stream->drain_and_close();
      case 2:
        return probe.stream->pause();
      case 3:
        return probe.stream->resume();
      case 4:
        return probe.peer.close();
      case 5:
        return turns.turn();
      default:
        return talk(probe);
    }
  }

  void talk(StreamProbe& probe) {
    const std::string bytes = pattern(*rc::gen::inRange<std::size_t>(1, 700));
    if (probe.peer.is_open()) sent[&probe] += bytes.substr(0, probe.peer.send(bytes));
  }

  /// What has been received is the beginning of what was sent. Who has closed, goes.
  void check() {
    for (auto& [probe, bytes] : sent) RC_ASSERT(bytes.starts_with(probe->received));
    std::erase_if(probes, [this](const auto& probe) {
      if (!probe->stream->is_closed()) return false;
      sent.erase(probe.get());
      return true;
    });
  }

  /// Whoever lives hears all that was sent to him.
  [[nodiscard]] bool complete(StreamProbe& probe) {
    probe.stream->resume();
    return turns.until([&] { return probe.received == sent[&probe] || probe.ended() || !probe.stream->is_open(); });
  }

  ScriptedFaults faults;
  Turns turns;
  std::vector<std::unique_ptr<StreamProbe>> probes;
  std::map<StreamProbe*, std::string> sent;
};

void check_random_lives(bool incremental) {
  Lives lives(incremental);
  const int steps = *rc::gen::inRange(1, 60);
  for (int i = 0; i < steps; ++i) {
    lives.step();
    lives.check();
  }
  for (auto& probe : lives.probes) RC_ASSERT(lives.complete(*probe));
  lives.turns.at_end = nullptr;
  lives.probes.clear();
  RC_ASSERT(lives.turns.buffers.held() == 0U);
  RC_ASSERT(lives.turns.chunks.bytes_in_use() == 0U);
}

RC_GTEST_PROP(StreamLives, AreKeptWithPlainBuffers, ()) {
  check_random_lives(false);
}

RC_GTEST_PROP(StreamLives, AreKeptWithIncrementalBuffers, ()) {
  check_random_lives(Turns::features().incremental_buffers);
}

}  // namespace
}  // namespace uring
