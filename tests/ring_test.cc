// The ring: what is started completes once with its own result, however full the queues are, and the seam for faults.
#include "uring/ring.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/support/turns.h"

namespace uring {
namespace {

using std::chrono::milliseconds;
using tests::pattern;
using tests::Peer;
using tests::ScriptedFaults;

/// Operations that note their completions in one common order.
struct Log {
  struct Entry {
    explicit Entry(Log& owner) : log(owner), operation(Operation::bound<&Entry::on_done>(this)) {}
    void on_done(Completion completion) {
      EXPECT_EQ(operation.in_flight(), completion.more());
      results.push_back(completion.result);
      log.order.push_back(this);
      if (then) then();
    }
    Log& log;
    Operation operation;
    std::vector<int> results;
    std::function<void()> then;
  };

  Entry& add() { return entries.emplace_back(*this); }

  std::deque<Entry> entries;
  std::vector<Entry*> order;
};

void start_nop(Ring& ring, Log::Entry& entry) {
  ring.start(entry.operation, [](io_uring_sqe* sqe) { io_uring_prep_nop(sqe); });
}

milliseconds time_of_wait(Ring& ring, unsigned wanted, milliseconds patience) {
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(ring.wait(wanted, patience));
  return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begin);
}

class RingTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_FALSE(ring_.open(8)); }

  Ring ring_;
  Log log_;
};

TEST_F(RingTest, AnOperationIsInFlightUntilItCompletes) {
  Log::Entry& entry = log_.add();
  EXPECT_FALSE(entry.operation.in_flight());
  start_nop(ring_, entry);
  EXPECT_TRUE(entry.operation.in_flight());
  ASSERT_FALSE(ring_.wait(1, milliseconds(0)));
  ring_.deliver();
  EXPECT_FALSE(entry.operation.in_flight());
  EXPECT_EQ(entry.results, std::vector<int>{0});
}

TEST_F(RingTest, AResultIsWhatTheSystemCallWouldReturn) {
  Log::Entry& entry = log_.add();
  ring_.start(entry.operation, [](io_uring_sqe* sqe) { io_uring_prep_close(sqe, 1'000'000); });
  ASSERT_FALSE(ring_.wait(1, milliseconds(0)));
  ring_.deliver();
  EXPECT_EQ(entry.results, std::vector<int>{-EBADF});
}

TEST_F(RingTest, CountsTurnsSubmissionsAndCompletions) {
  for (int i = 0; i < 3; ++i) start_nop(ring_, log_.add());
  ASSERT_FALSE(ring_.wait(3, milliseconds(100)));
  ring_.deliver();
  EXPECT_EQ(ring_.counters().turns, 1U);
  EXPECT_EQ(ring_.counters().submissions, 3U);
  EXPECT_EQ(ring_.counters().completions, 3U);
}

TEST_F(RingTest, NobodyHearsOfWhatIsUnwatched) {
  ring_.start_unwatched([](io_uring_sqe* sqe) { io_uring_prep_nop(sqe); });
  ASSERT_FALSE(ring_.wait(1, milliseconds(0)));
  ring_.deliver();
  EXPECT_EQ(ring_.counters().completions, 1U);
}

TEST_F(RingTest, AFullSubmissionQueueIsSubmittedEarly) {
  for (int i = 0; i < 100; ++i) start_nop(ring_, log_.add());
  while (log_.order.size() < 100) {
    ASSERT_FALSE(ring_.wait(1, milliseconds(0)));
    ring_.deliver();
  }
  for (const Log::Entry& entry : log_.entries) EXPECT_EQ(entry.results, std::vector<int>{0});
}

// More completions than the completion queue holds (32 here), and handlers that start more while it is full.
TEST_F(RingTest, AFullCompletionQueueLosesNothing) {
  for (int i = 0; i < 100; ++i) {
    Log::Entry& first = log_.add();
    Log::Entry& second = log_.add();
    first.then = [&] { start_nop(ring_, second); };
    start_nop(ring_, first);
  }
  while (log_.order.size() < 200) {
    ASSERT_FALSE(ring_.wait(1, milliseconds(0)));
    ring_.deliver();
  }
  for (const Log::Entry& entry : log_.entries) EXPECT_EQ(entry.results.size(), 1U);
}

TEST_F(RingTest, AHandlerMayStartItsOwnOperationAgain) {
  Log::Entry& entry = log_.add();
  entry.then = [&] {
    if (entry.results.size() < 5) start_nop(ring_, entry);
  };
  start_nop(ring_, entry);
  while (entry.operation.in_flight()) {
    ASSERT_FALSE(ring_.wait(1, milliseconds(0)));
    ring_.deliver();
  }
  EXPECT_EQ(entry.results.size(), 5U);
}

TEST_F(RingTest, PatienceBoundsTheWaitForMoreThanOne) {
  start_nop(ring_, log_.add());
  const milliseconds waited = time_of_wait(ring_, 2, milliseconds(30));
  EXPECT_GE(waited, milliseconds(29));
  EXPECT_LT(waited, milliseconds(5000));
  ring_.deliver();
  EXPECT_EQ(log_.order.size(), 1U);
}

// A send completes at once; a turn that ended for that alone would be a wasted one, when more than one is waited for.
TEST_F(RingTest, SendsDoNotEndAWaitForMoreThanOne) {
  const auto [stream, other] = tests::unix_pair();
  const Peer ours(stream);
  const Peer theirs(other);
  Log::Entry& send = log_.add();
  ring_.start(send.operation, [&](io_uring_sqe* sqe) { io_uring_prep_send(sqe, ours.fd(), "x", 1, 0); });
  ring_.count_send();
  start_nop(ring_, log_.add());
  EXPECT_GE(time_of_wait(ring_, 2, milliseconds(30)), milliseconds(29)) << "the send was taken for what is waited for";
  EXPECT_EQ(ring_.deliver(), 1U);
  EXPECT_EQ(send.results, std::vector<int>{1});
  // Counted once: the next wait is for one again.
  start_nop(ring_, log_.add());
  EXPECT_LT(time_of_wait(ring_, 1, milliseconds(5000)), milliseconds(4000));
  ring_.deliver();
}

TEST_F(RingTest, ASendEndsAWaitForOne) {
  const auto [stream, other] = tests::unix_pair();
  const Peer ours(stream);
  const Peer theirs(other);
  ring_.start(log_.add().operation, [&](io_uring_sqe* sqe) { io_uring_prep_send(sqe, ours.fd(), "x", 1, 0); });
  ring_.count_send();
  EXPECT_LT(time_of_wait(ring_, 1, milliseconds(5000)), milliseconds(4000));
  EXPECT_EQ(ring_.deliver(), 0U);
}

TEST_F(RingTest, WithoutPatienceItDoesNotSleep) {
  ASSERT_FALSE(ring_.wait(1, milliseconds(0)));
  EXPECT_EQ(ring_.deliver(), 0U);
  start_nop(ring_, log_.add());
  ASSERT_FALSE(ring_.wait(2, milliseconds(0)));
  EXPECT_EQ(ring_.deliver(), 1U);
}

TEST_F(RingTest, LetsOthersRunBeforeItSleeps) {
  for (const unsigned wanted : {1U, 2U}) {
    Ring ring;  // a new one: after a yield that took long there may be no other for a while
    ASSERT_FALSE(ring.open(8));
    ASSERT_FALSE(ring.wait(wanted, milliseconds(0)));
    for (unsigned i = 0; i < wanted; ++i) start_nop(ring, log_.add());
    ASSERT_FALSE(ring.wait(wanted, milliseconds(1)));
    ring.deliver();
    EXPECT_EQ(ring.counters().yields, 0U) << "not without patience, nor when all has come";
    ASSERT_FALSE(ring.wait(wanted, milliseconds(1), true));
    EXPECT_EQ(ring.counters().yields, 1U);
  }
}

TEST_F(RingTest, DoesNotYieldAgainToOneThatKeepsTheCore) {
  cpu_set_t all;
  ASSERT_EQ(sched_getaffinity(0, sizeof(all), &all), 0);
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  std::atomic<bool> runs = false;
  std::atomic<bool> done = false;
  std::thread hog([&] {  // on the same core, as its maker is
    while (!done.load(std::memory_order_relaxed)) runs.store(true, std::memory_order_relaxed);
  });
  while (!runs.load()) std::this_thread::yield();

  constexpr int kWaits = 50;
  for (int i = 0; i < kWaits; ++i) EXPECT_FALSE(ring_.wait(2, milliseconds(1)));
  EXPECT_GE(ring_.counters().yields, 1U);
  EXPECT_LT(ring_.counters().yields, kWaits / 2U);

  done = true;
  hog.join();
  EXPECT_EQ(sched_setaffinity(0, sizeof(all), &all), 0);
}

TEST_F(RingTest, ASendAndWhatItWaitsForEndTheWait) {
  const auto [stream, other] = tests::unix_pair();
  const Peer ours(stream);
  const Peer theirs(other);
  Log::Entry& send = log_.add();
  ring_.start(send.operation, [&](io_uring_sqe* sqe) { io_uring_prep_send(sqe, ours.fd(), "x", 1, 0); });
  ring_.count_send();
  start_nop(ring_, log_.add());
  EXPECT_LT(time_of_wait(ring_, 1, milliseconds(5000)), milliseconds(4000));
  ring_.deliver();
  EXPECT_EQ(log_.order.size(), 2U);
}

// The kernel has taken what it needs of a msghdr when wait() returns, also when the send itself goes on: here it
// finds the socket full, and its message is overwritten meanwhile.
TEST_F(RingTest, AGatherMessageMayBeReusedOnceSubmitted) {
  const auto [stream, other] = tests::unix_pair();
  const Peer ours(stream);
  Peer theirs(other);
  const std::string bytes = pattern(1 << 20);
  Log::Entry& send = log_.add();
  const auto start_gathered = [&](Log::Entry& entry, std::string_view text, unsigned pieces) {
    ring_.start(entry.operation, [&](io_uring_sqe* sqe) {
      msghdr* message = ring_.gather_message(pieces);
      const std::size_t each = text.size() / pieces;
      for (unsigned i = 0; i < pieces; ++i) {
        message->msg_iov[i] = {const_cast<char*>(text.data()) + i * each, each};
      }
      io_uring_prep_sendmsg(sqe, ours.fd(), message, MSG_WAITALL | MSG_NOSIGNAL);
    });
  };
  start_gathered(send, bytes, Ring::kMaxIovecs);
  ASSERT_FALSE(ring_.wait(0, milliseconds(1)));
  EXPECT_TRUE(send.operation.in_flight());
  msghdr* reused = ring_.gather_message(Ring::kMaxIovecs);
  std::memset(reused->msg_iov, 0, Ring::kMaxIovecs * sizeof(iovec));

  std::string received;
  while (received.size() < bytes.size() || send.operation.in_flight()) {
    received += theirs.receive();
    ASSERT_FALSE(ring_.wait(2, milliseconds(1)));
    ring_.deliver();
  }
  EXPECT_TRUE(received == bytes);
  EXPECT_EQ(send.results, std::vector<int>{1 << 20});
}

TEST_F(RingTest, MessagesOfOneTurnAreApart) {
  msghdr* first = ring_.gather_message(2);
  msghdr* second = ring_.gather_message(3);
  EXPECT_NE(first, second);
  EXPECT_NE(first->msg_iov, second->msg_iov);
  EXPECT_EQ(first->msg_iovlen, 2U);
  ASSERT_FALSE(ring_.wait(0, milliseconds(0)));
  EXPECT_EQ(ring_.gather_message(1), first) << "the next turn uses the same memory";
}

// A chain of SQEs that is cut by an early submission is no chain any more.
TEST_F(RingTest, ReservedEntriesAreSubmittedTogether) {
  for (unsigned filled = 0; filled < 8; ++filled) {
    for (unsigned i = 0; i < filled; ++i) start_nop(ring_, log_.add());
    Log::Entry& failing = log_.add();
    Log::Entry& linked = log_.add();
    ring_.reserve(2);
    ring_.start(failing.operation, [](io_uring_sqe* sqe) {
      io_uring_prep_close(sqe, 1'000'000);
      sqe->flags |= IOSQE_IO_LINK;
    });
    start_nop(ring_, linked);
    while (linked.operation.in_flight()) {
      ASSERT_FALSE(ring_.wait(1, milliseconds(0)));
      ring_.deliver();
    }
    EXPECT_EQ(linked.results, std::vector<int>{-ECANCELED}) << "with " << filled << " before";
  }
}

// --- Faults

TEST_F(RingTest, AnInjectedResultTakesThePlaceOfTheKernels) {
  const auto [stream, other] = tests::unix_pair();
  const Peer ours(stream);
  Peer theirs(other);
  ScriptedFaults faults;
  faults.prepare = [](io_uring_sqe& sqe) {
    return sqe.opcode == IORING_OP_SEND ? std::optional(-ECONNRESET) : std::nullopt;
  };
  ring_.set_faults(&faults);
  Log::Entry& send = log_.add();
  Log::Entry& nop = log_.add();
  ring_.start(send.operation, [&](io_uring_sqe* sqe) { io_uring_prep_send(sqe, ours.fd(), "x", 1, 0); });
  start_nop(ring_, nop);
  EXPECT_TRUE(send.operation.in_flight());
  ASSERT_FALSE(ring_.wait(2, milliseconds(1000)));
  ring_.deliver();
  EXPECT_EQ(send.results, std::vector<int>{-ECONNRESET});
  EXPECT_EQ(nop.results, std::vector<int>{0});
  EXPECT_EQ(theirs.receive(), "") << "the kernel was asked all the same";
}

TEST_F(RingTest, AnSqeCanBeChanged) {
  const auto [stream, other] = tests::unix_pair();
  const Peer ours(stream);
  Peer theirs(other);
  ScriptedFaults faults;
  faults.prepare = [](io_uring_sqe& sqe) {
    if (sqe.opcode == IORING_OP_SEND) sqe.len = 2;
    return std::optional<int>();
  };
  ring_.set_faults(&faults);
  Log::Entry& send = log_.add();
  ring_.start(send.operation, [&](io_uring_sqe* sqe) { io_uring_prep_send(sqe, ours.fd(), "short", 5, 0); });
  ASSERT_FALSE(ring_.wait(1, milliseconds(0)));
  ring_.deliver();
  EXPECT_EQ(send.results, std::vector<int>{2});
  EXPECT_EQ(theirs.receive(), "sh");
}

TEST_F(RingTest, ABatchCanBeReordered) {
  ScriptedFaults faults;
  faults.batch = [](std::span<PendingCompletion> batch) { std::reverse(batch.begin(), batch.end()); };
  ring_.set_faults(&faults);
  for (int i = 0; i < 4; ++i) start_nop(ring_, log_.add());
  ASSERT_FALSE(ring_.wait(4, milliseconds(1000)));
  ring_.deliver();
  ASSERT_EQ(log_.order.size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(log_.order[i], &log_.entries[3 - i]);
}

TEST_F(RingTest, AnInjectionFromAHandlerComesTheNextTurn) {
  ScriptedFaults faults;
  faults.prepare = [](io_uring_sqe&) { return std::optional(-EIO); };
  ring_.set_faults(&faults);
  Log::Entry& first = log_.add();
  Log::Entry& second = log_.add();
  first.then = [&] { start_nop(ring_, second); };
  start_nop(ring_, first);
  ASSERT_FALSE(ring_.wait(1, milliseconds(0)));
  ring_.deliver();
  EXPECT_TRUE(second.operation.in_flight());
  ASSERT_FALSE(ring_.wait(1, milliseconds(0)));
  ring_.deliver();
  EXPECT_EQ(second.results, std::vector<int>{-EIO});
}

TEST(OperationDeathTest, MayNotDieInFlight) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        Ring ring;
        static_cast<void>(ring.open(8));
        Log log;
        start_nop(ring, log.add());
      },
      "in_flight");
}

}  // namespace
}  // namespace uring
