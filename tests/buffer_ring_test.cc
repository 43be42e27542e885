// Receive buffers lent to the kernel, in both modes: every byte arrives, every buffer comes home.
#include "uring/buffer_ring.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/turns.h"
#include "uring/offer.h"
#include "uring/send_queue.h"

namespace uring {
namespace {

using tests::BufferShape;
using tests::pattern;
using tests::Peer;
using tests::Turns;

/// One socket that receives into the ring's buffers and keeps every lease until told otherwise.
class Receiver {
 public:
  explicit Receiver(Turns& turns) : turns_(turns), operation_(Operation::bound<&Receiver::on_received>(this)) {
    const auto [ours, theirs] = tests::unix_pair();
    ours_ = Peer(ours);
    peer = Peer(theirs);
    arm();
  }
  ~Receiver() {
    stopping_ = true;
    leases.clear();
    peer.close();
    EXPECT_TRUE(turns_.until([this] { return !operation_.in_flight(); }));
  }

  void arm() {
    turns_.ring.start(operation_, [this](io_uring_sqe* sqe) {
      io_uring_prep_recv_multishot(sqe, ours_.fd(), nullptr, 0, 0);
      sqe->flags |= IOSQE_BUFFER_SELECT;
      sqe->buf_group = turns_.buffers.group();
    });
  }
  [[nodiscard]] bool in_flight() const { return operation_.in_flight(); }

  /// Sends `bytes` and turns until they have been received, or until the buffers are exhausted.
  void transfer(std::string_view bytes) {
    const std::size_t wanted = received.size() + bytes.size();
    const std::size_t ends = exhausted;
    while (!bytes.empty() && exhausted == ends) {
      bytes.remove_prefix(peer.send(bytes));
      turns_.turn();
    }
    EXPECT_TRUE(turns_.until([&] { return received.size() == wanted || exhausted > ends; }));
  }

  Peer peer;
  std::deque<Lease> leases;
  std::string received;
  std::size_t exhausted = 0;  ///< how often the kernel found no buffer

 private:
  void on_received(Completion completion) {
    if (completion.result > 0) {
      Lease lease = turns_.buffers.lease(completion);
      received += lease.bytes();
      leases.push_back(std::move(lease));
    }
    if (completion.more()) return;
    if (completion.result == -ENOBUFS) {
      ++exhausted;
    } else if (!stopping_ && completion.result > 0) {
      arm();
    }
  }

  Turns& turns_;
  Peer ours_;
  Operation operation_;
  bool stopping_ = false;
};

class BufferRingTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam() && !Turns::features().incremental_buffers) GTEST_SKIP() << "needs Linux 6.12";
  }
  [[nodiscard]] static BufferShape shape(std::uint32_t count, std::uint32_t size) {
    return {.count = count, .size = size, .incremental = GetParam()};
  }
};

INSTANTIATE_TEST_SUITE_P(Modes, BufferRingTest, testing::Bool(),
                         [](const auto& mode) { return mode.param ? "incremental" : "plain"; });

TEST_P(BufferRingTest, ALeaseHoldsItsBufferUntilItEnds) {
  Turns turns(shape(4, 1024));
  Receiver receiver(turns);
  EXPECT_EQ(turns.buffers.count(), 4U);
  receiver.transfer(pattern(1024));
  EXPECT_EQ(turns.buffers.held(), 1U);
  receiver.leases.clear();
  EXPECT_EQ(turns.buffers.held(), 0U);
}

TEST_P(BufferRingTest, ALeaseMoves) {
  Turns turns(shape(4, 1024));
  Receiver receiver(turns);
  const std::string bytes = pattern(1024);
  receiver.transfer(bytes);
  Lease first = std::move(receiver.leases.front());
  receiver.leases.clear();
  EXPECT_EQ(turns.buffers.held(), 1U);
  Lease second;
  second = std::move(first);
  EXPECT_EQ(second.bytes(), bytes);
  first.release();  // NOLINT(bugprone-use-after-move): a moved-from lease holds nothing.
  EXPECT_EQ(turns.buffers.held(), 1U);
  second.release();
  second.release();
  EXPECT_EQ(turns.buffers.held(), 0U);
}

TEST_P(BufferRingTest, AssigningALeaseLetsGoOfTheFormerBuffer) {
  Turns turns(shape(4, 1024));
  Receiver receiver(turns);
  receiver.transfer(pattern(1024));
  receiver.transfer(pattern(1024, 2));
  ASSERT_EQ(receiver.leases.size(), 2U);
  EXPECT_EQ(turns.buffers.held(), 2U);
  receiver.leases[0] = std::move(receiver.leases[1]);
  EXPECT_EQ(turns.buffers.held(), 1U);
  EXPECT_EQ(receiver.leases[0].bytes(), pattern(1024, 2));
}

TEST_P(BufferRingTest, ExhaustionIsToldAndEndsWithTheLeases) {
  Turns turns(shape(2, 512));
  Receiver receiver(turns);
  receiver.peer.send(pattern(3 * 512));
  ASSERT_TRUE(turns.until([&] { return receiver.exhausted == 1; }));
  EXPECT_FALSE(receiver.in_flight());
  EXPECT_EQ(receiver.received, pattern(3 * 512).substr(0, 2 * 512));
  EXPECT_EQ(turns.buffers.held(), 2U);

  receiver.leases.pop_front();
  EXPECT_EQ(turns.buffers.held(), 1U);
  receiver.arm();
  ASSERT_TRUE(turns.until([&] { return receiver.received.size() == 3 * 512; }));
  EXPECT_EQ(receiver.received, pattern(3 * 512));
}

TEST_P(BufferRingTest, EveryBufferServesAgainAndAgain) {
  Turns turns(shape(4, 256));
  Receiver receiver(turns);
  for (std::uint32_t round = 0; round < 100; ++round) {
    receiver.transfer(pattern(300, round));
    receiver.leases.clear();
    ASSERT_EQ(turns.buffers.held(), 0U);
  }
  EXPECT_EQ(receiver.exhausted, 0U);
}

TEST_P(BufferRingTest, LeasesKeepTheirBytesOverTurns) {
  Turns turns(shape(8, 256));
  Receiver kept(turns);
  Receiver other(turns);
  const std::string bytes = pattern(600);
  kept.transfer(bytes);
  for (std::uint32_t round = 0; round < 50; ++round) {
    other.transfer(pattern(256, round + 2));
    other.leases.clear();
  }
  std::string held;
  for (const Lease& lease : kept.leases) held += lease.bytes();
  EXPECT_EQ(held, bytes);
}

// --- Offers

class OfferedLease : public BufferRingTest {
 protected:
  /// Of the first lease of `receiver`.
  ChunkSpan append(Receiver& receiver, std::size_t offset, std::size_t bytes) {
    const Offer::Scope offered = offer_.make(receiver.leases.front());
    return queue_.append(chunks_, receiver.leases.front().bytes().substr(offset, bytes), offer_);
  }

  static constexpr std::size_t kBytes = 2 * Offer::kLeastBytes;
  ChunkPool chunks_{64, 0};
  SendQueue queue_;
  Offer offer_;
};

INSTANTIATE_TEST_SUITE_P(Modes, OfferedLease, testing::Bool(),
                         [](const auto& mode) { return mode.param ? "incremental" : "plain"; });

TEST_P(OfferedLease, IsQueuedWhereItLiesUntilItIsSent) {
  Turns turns(shape(4, kBytes));
  Receiver receiver(turns);
  receiver.transfer(pattern(kBytes));
  ASSERT_EQ(receiver.leases.size(), 1U);
  const char* place = receiver.leases.front().bytes().data();
  const std::size_t half = Offer::kLeastBytes;
  EXPECT_EQ(append(receiver, 0, half).bytes().data(), place);
  EXPECT_NE(append(receiver, half, half - 1).bytes().data(), place + half) << "so few are copied";
  EXPECT_EQ(append(receiver, half, half).bytes().data(), place + half);
  EXPECT_EQ(chunks_.bytes_in_use(), 3 * half - 1);

  receiver.leases.clear();
  receiver.transfer(pattern(kBytes, 2));
  receiver.leases.clear();
  EXPECT_EQ(turns.buffers.held(), 1U);
  iovec pieces[3];
  ASSERT_EQ(queue_.gather(pieces), 3U);
  EXPECT_EQ(std::string_view(static_cast<const char*>(pieces[2].iov_base), pieces[2].iov_len),
            std::string_view(pattern(kBytes)).substr(half));

  queue_.consume(chunks_, 2 * half);
  EXPECT_EQ(turns.buffers.held(), 1U) << "a part of it is still to be sent";
  queue_.clear(chunks_);
  EXPECT_EQ(turns.buffers.held(), 0U);
  EXPECT_EQ(chunks_.bytes_in_use(), 0U);
}

TEST_P(OfferedLease, IsCopiedWhenHalfOfTheBuffersAreHeld) {
  Turns turns(shape(2, kBytes));
  Receiver receiver(turns);
  receiver.transfer(pattern(kBytes));
  ASSERT_EQ(receiver.leases.size(), 1U);
  EXPECT_NE(append(receiver, 0, kBytes).bytes().data(), receiver.leases.front().bytes().data());
  receiver.leases.clear();
  EXPECT_EQ(turns.buffers.held(), 0U);
  queue_.clear(chunks_);
}

TEST_P(OfferedLease, IsCopiedWhenItWouldBeKeptForLong) {
  Turns turns(shape(4, kBytes));
  Receiver receiver(turns);
  receiver.transfer(pattern(kBytes));
  ASSERT_EQ(receiver.leases.size(), 1U);
  const std::string_view bytes = receiver.leases.front().bytes();
  const Offer::Scope offered = offer_.make(receiver.leases.front());
  EXPECT_NE(queue_.append(chunks_, bytes, offer_, false).bytes().data(), bytes.data());
  queue_.clear(chunks_);
}

TEST_P(OfferedLease, EndsWithItsScopeAndStaysBesideAnother) {
  Turns turns(shape(4, kBytes));
  Receiver receiver(turns);
  receiver.transfer(pattern(kBytes));
  ASSERT_EQ(receiver.leases.size(), 1U);
  const std::string_view bytes = receiver.leases.front().bytes();
  Chunk* chunk = chunks_.take(kBytes);
  chunk->append(bytes);
  const std::string_view inner_bytes(chunk->data(), chunk->size);
  {
    const Offer::Scope outer = offer_.make(receiver.leases.front());
    {
      const Offer::Scope inner = offer_.make(chunk, chunks_);
      EXPECT_EQ(queue_.append(chunks_, bytes, offer_).bytes().data(), bytes.data());
      EXPECT_EQ(queue_.append(chunks_, inner_bytes, offer_).bytes().data(), inner_bytes.data());
      EXPECT_EQ(chunk, nullptr) << "it is taken";
      EXPECT_NE(queue_.append(chunks_, inner_bytes, offer_).bytes().data(), inner_bytes.data());
    }
    EXPECT_EQ(queue_.append(chunks_, bytes, offer_).bytes().data(), bytes.data());
  }
  EXPECT_NE(queue_.append(chunks_, bytes, offer_).bytes().data(), bytes.data());
  queue_.clear(chunks_);
}

TEST_P(BufferRingTest, ALeaseIsExtendedByWhatLiesBehindItInItsBuffer) {
  Turns turns(shape(4, 1024));
  Receiver receiver(turns);
  receiver.transfer(pattern(500));
  receiver.transfer(pattern(524, 2));
  std::deque<Lease>& leases = receiver.leases;
  EXPECT_FALSE(leases[1].extend(leases[0], leases[0].bytes())) << "it lies before";
  EXPECT_FALSE(leases[0].extend(leases[1], leases[1].bytes().substr(1))) << "there is a gap";
  EXPECT_EQ(leases[0].extend(leases[1], leases[1].bytes().substr(0, 400)), GetParam());
  EXPECT_EQ(leases[0].bytes(), pattern(500) + (GetParam() ? pattern(524, 2).substr(0, 400) : ""));
}

TEST_P(BufferRingTest, ALeaseIsNotExtendedByTheNextBuffer) {
  Turns turns(shape(4, 1024));
  Receiver receiver(turns);
  receiver.transfer(pattern(2048));
  ASSERT_EQ(receiver.leases.size(), 2U);
  EXPECT_EQ(receiver.leases[0].bytes().data() + 1024, receiver.leases[1].bytes().data());
  EXPECT_FALSE(receiver.leases[0].extend(receiver.leases[1], receiver.leases[1].bytes()));
}

TEST_P(BufferRingTest, TwoRingsOfBuffersInOneRing) {
  Turns turns(shape(2, 256));
  BufferRing second;
  ASSERT_FALSE(second.open(turns.ring, 2, 2, 256, GetParam()));
  EXPECT_EQ(second.group(), 2U);
  BufferRing taken;
  EXPECT_TRUE(taken.open(turns.ring, 2, 2, 256, GetParam())) << "the group is in use";
}

// One buffer, many small messages: this is what incremental buffers are for.
TEST(IncrementalBufferRing, ABufferIsFilledBitByBit) {
  if (!Turns::features().incremental_buffers) GTEST_SKIP() << "needs Linux 6.12";
  Turns turns({.count = 2, .size = 100, .incremental = true});
  Receiver receiver(turns);
  for (std::uint32_t i = 0; i < 9; ++i) receiver.transfer(pattern(10, i));
  EXPECT_EQ(turns.buffers.held(), 0U) << "the kernel still has room in it";
  ASSERT_EQ(receiver.leases.size(), 9U);
  for (std::uint32_t i = 0; i < 9; ++i) EXPECT_EQ(receiver.leases[i].bytes(), pattern(10, i));
  EXPECT_EQ(receiver.leases[8].bytes().data(), receiver.leases[0].bytes().data() + 80);

  receiver.transfer(pattern(10, 9));
  EXPECT_EQ(turns.buffers.held(), 1U) << "full, and its leases are still out";
  while (receiver.leases.size() > 1) receiver.leases.pop_front();
  EXPECT_EQ(turns.buffers.held(), 1U);
  receiver.leases.clear();
  EXPECT_EQ(turns.buffers.held(), 0U);
}

// What the kernel still fills does not come home when the last lease so far ends.
TEST(IncrementalBufferRing, ABufferWithoutLeasesGoesOnBeingFilled) {
  if (!Turns::features().incremental_buffers) GTEST_SKIP() << "needs Linux 6.12";
  Turns turns({.count = 2, .size = 100, .incremental = true});
  Receiver receiver(turns);
  std::string expected;
  for (std::uint32_t i = 0; i < 60; ++i) {
    const std::string bytes = pattern(i % 37 + 1, i);
    receiver.transfer(bytes);
    expected += bytes;
    receiver.leases.clear();
    ASSERT_EQ(receiver.received, expected) << "message " << i;
    ASSERT_EQ(turns.buffers.held(), 0U);
  }
}

// --- Any messages, any way of holding leases

void check_random_transfers(bool incremental) {
  const auto count = *rc::gen::element<std::uint32_t>(1, 2, 8);
  const auto size = *rc::gen::inRange<std::uint32_t>(1, 600);
  Turns turns({.count = count, .size = size, .incremental = incremental});
  std::vector<std::unique_ptr<Receiver>> receivers;
  std::vector<std::string> expected(2);
  for (int i = 0; i < 2; ++i) receivers.push_back(std::make_unique<Receiver>(turns));

  const auto free_one = [&] {
    Receiver& holder = *receivers[receivers[0]->leases.empty() ? 1 : 0];
    if (!holder.leases.empty()) holder.leases.pop_front();
  };
  const int messages = *rc::gen::inRange(1, 40);
  for (int i = 0; i < messages; ++i) {
    const std::size_t which = *rc::gen::inRange<std::size_t>(0, 2);
    Receiver& receiver = *receivers[which];
    const std::string bytes = pattern(*rc::gen::inRange<std::size_t>(1, 1500), static_cast<std::uint32_t>(i));
    expected[which] += bytes;
    RC_ASSERT(receiver.peer.send(bytes) == bytes.size());
    // What runs dry goes on as leases end, one by one and the oldest first.
    RC_ASSERT(turns.until([&] {
      if (!receiver.in_flight()) {
        free_one();
        if (turns.buffers.held() < count) receiver.arm();
      }
      return receiver.received.size() == expected[which].size();
    }));
    RC_ASSERT(receiver.received == expected[which]);
    for (int freed = *rc::gen::inRange(0, 4); freed > 0; --freed) free_one();
    std::string held;
    for (const Lease& lease : receiver.leases) held += lease.bytes();
    RC_ASSERT(expected[which].ends_with(held));
  }
  for (auto& receiver : receivers) receiver->leases.clear();
  RC_ASSERT(turns.buffers.held() == 0U);
}

RC_GTEST_PROP(BufferRingBytes, AreExactWithPlainBuffers, ()) {
  check_random_transfers(false);
}

RC_GTEST_PROP(BufferRingBytes, AreExactWithIncrementalBuffers, ()) {
  if (!Turns::features().incremental_buffers) return;  // needs Linux 6.12
  check_random_transfers(true);
}

}  // namespace
}  // namespace uring
