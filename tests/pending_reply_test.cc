// The rows of requests under way: what a row holds before and after its reply, and the two lines it stands in.
#include "pool/pending_reply.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "uring/send_queue.h"

namespace pool {
namespace {

class PendingRepliesTest : public ::testing::Test {
 protected:
  /// A row with a request of its own.
  PendingReply& ask(const std::string& request) {
    PendingReply& pending = rows_.take();
    pending.waiting.request = queue_.append(chunks_, request);
    ++pending.waiting.request.chunk->references;
    return pending;
  }
  ~PendingRepliesTest() override { queue_.clear(chunks_); }

  uring::ChunkPool chunks_{64, 0};
  uring::SendQueue queue_;
  PendingReplies rows_{chunks_};
};

TEST_F(PendingRepliesTest, ARowHoldsItsRequestAndThenItsReply) {
  for (std::size_t size = 0; size < 100; ++size) {
    PendingReply& pending = ask("request");
    EXPECT_EQ(pending.request_bytes(), "request");
    queue_.clear(chunks_);
    const std::string reply(size, static_cast<char>('a' + size % 26));
    rows_.hold(pending, reply);
    EXPECT_EQ(pending.held.view(), reply);
    EXPECT_EQ(chunks_.bytes_in_use(), 0U) << "the request is not needed any more";
    rows_.release(pending);
    EXPECT_EQ(rows_.in_use(), 0U);
  }
}

TEST_F(PendingRepliesTest, ARowThatIsTakenAgainIsAsNew) {
  PendingReply& used = ask("request");
  used.kind = {.slot = 5, .database = 3, .read_only = true, .silent = true};
  used.salt = 7;
  used.hops = 2;
  used.in_doubt = true;
  used.part = 9;
  used.waiting.position = 11;
  rows_.hold(used, std::string(1000, 'x'));
  rows_.release(used);
  const PendingReply& again = rows_.take();
  ASSERT_EQ(&again, &used);
  EXPECT_EQ(again.state, PendingReply::State::kWaiting);
  EXPECT_EQ(again.waiting.request.chunk, nullptr);
  EXPECT_EQ(again.sink, nullptr);
  EXPECT_EQ(again.next, nullptr);
  EXPECT_EQ(again.salt, 0U);
  EXPECT_EQ(again.hops, 0);
  EXPECT_FALSE(again.in_doubt);
  EXPECT_EQ(again.part, 0);
  EXPECT_EQ(again.kind.slot, RequestKind::kNoSlot);
  EXPECT_FALSE(again.kind.silent);
}

TEST_F(PendingRepliesTest, AReleasedRowGivesItsRequestBack) {
  PendingReply& pending = ask("request");
  queue_.clear(chunks_);
  EXPECT_GT(chunks_.bytes_in_use(), 0U);
  rows_.release(pending);
  EXPECT_EQ(chunks_.bytes_in_use(), 0U);
}

// Whatever is given back in between: there are at most twice the rows that were in use at once, and a block's.
RC_GTEST_FIXTURE_PROP(PendingRepliesTest, RowsAreTakenAgainBeforeNewOnesAreMade,
                      (const std::vector<std::uint16_t>& steps)) {
  std::vector<PendingReply*> in_use;
  std::set<PendingReply*> different;
  std::size_t most = 0;
  for (const std::uint16_t step : steps) {
    for (int i = 0; i < step % 128; ++i) {
      in_use.push_back(&rows_.take());
      RC_ASSERT(different.insert(in_use.back()).second);
    }
    most = std::max(most, in_use.size());
    // Every so manieth, so that blocks are left with holes of any kind.
    const std::size_t stride = step / 128 % 40 + 1;
    std::vector<PendingReply*> kept;
    for (std::size_t i = 0; i < in_use.size(); ++i) {
      if (i % stride == 0) {
        kept.push_back(in_use[i]);
      } else {
        rows_.release(*in_use[i]);
        different.erase(in_use[i]);
      }
    }
    in_use = std::move(kept);
    RC_ASSERT(rows_.in_use() == in_use.size());
  }
  RC_ASSERT(rows_.rows() <= 2 * most + PendingReplies::kBlockRows);
  for (PendingReply* pending : in_use) rows_.release(*pending);
}

// Replies come in the order of the lane, and leave in that of the client.
RC_GTEST_FIXTURE_PROP(PendingRepliesTest, BothLinesKeepTheirOrder, (const std::vector<std::uint8_t>& steps)) {
  LaneLine lane;
  OwnerLine owner;
  std::deque<PendingReply*> in_lane;
  std::deque<PendingReply*> in_owner;
  for (const std::uint8_t step : steps) {
    if (step % 3 != 0) {
      for (int i = 0; i <= step / 8; ++i) {
        PendingReply& pending = rows_.take();
        lane.push(pending);
        owner.push(pending);
        in_lane.push_back(&pending);
        in_owner.push_back(&pending);
      }
    }
    for (int i = 0; step % 3 != 1 && i < step / 4 && !in_lane.empty(); ++i) {
      RC_ASSERT(lane.front() == in_lane.front());
      RC_ASSERT(&lane.pop() == in_lane.front());
      rows_.hold(*in_lane.front(), "+OK\r\n");
      in_lane.pop_front();
    }
    while (!in_owner.empty() && in_owner.front()->state == PendingReply::State::kReady) {
      RC_ASSERT(owner.front() == in_owner.front());
      rows_.release(owner.pop());
      in_owner.pop_front();
    }
    RC_ASSERT(lane.size() == in_lane.size());
    RC_ASSERT(lane.empty() == in_lane.empty());
    RC_ASSERT(owner.size() == in_owner.size());
    RC_ASSERT(rows_.in_use() == in_owner.size());
    for (std::size_t i = 0; i < in_lane.size(); ++i) RC_ASSERT(&lane.at(i) == in_lane[i]);
  }
  for (; !owner.empty(); in_owner.pop_front()) rows_.release(owner.pop());
}

}  // namespace
}  // namespace pool
