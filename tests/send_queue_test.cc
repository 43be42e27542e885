// Outgoing bytes: a queue against a plain string, and the memory of chunks accounted for to the last byte.
#include "uring/send_queue.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/turns.h"

namespace uring {
namespace {

using tests::pattern;

constexpr std::uint32_t kChunkBytes = 64;

std::string gathered(const SendQueue& queue, std::size_t pieces) {
  std::vector<iovec> vector(pieces);
  const unsigned count = queue.gather(vector);
  std::string bytes;
  for (unsigned i = 0; i < count; ++i) {
    EXPECT_GT(vector[i].iov_len, 0U) << "an empty piece wastes one of few";
    bytes.append(static_cast<const char*>(vector[i].iov_base), vector[i].iov_len);
  }
  return bytes;
}

TEST(ChunkPool, CountsWhatIsInUse) {
  ChunkPool pool(kChunkBytes, 2 * kChunkBytes);
  Chunk* usual = pool.take(10);
  Chunk* large = pool.take(kChunkBytes + 1);
  EXPECT_EQ(usual->capacity, kChunkBytes);
  EXPECT_EQ(large->capacity, kChunkBytes + 1);
  EXPECT_EQ(pool.bytes_in_use(), 2 * kChunkBytes + 1);
  ++usual->references;
  pool.release(usual);
  EXPECT_EQ(pool.bytes_in_use(), 2 * kChunkBytes + 1);
  pool.release(usual);
  pool.release(large);
  EXPECT_EQ(pool.bytes_in_use(), 0U);
  Chunk* exact = pool.take_exact(10);
  EXPECT_EQ(exact->capacity, 10U);
  EXPECT_EQ(pool.bytes_in_use(), 10U);
  pool.release(exact);
  EXPECT_EQ(pool.bytes_in_use(), 0U);
}

TEST(ChunkPool, HandsOutWhatWasUsedLastAndEmpty) {
  ChunkPool pool(kChunkBytes, 2 * kChunkBytes);
  Chunk* first = pool.take(1);
  Chunk* second = pool.take(1);
  first->append("old");
  pool.release(second);
  pool.release(first);
  Chunk* again = pool.take(1);
  EXPECT_EQ(again, first);
  EXPECT_EQ(again->size, 0U);
  EXPECT_EQ(again->next, nullptr);
  EXPECT_EQ(again->references, 1U);
  pool.release(again);
}

TEST(SendQueue, AnAppendLiesInOnePiece) {
  ChunkPool pool(kChunkBytes, 0);
  SendQueue queue;
  queue.append(pool, pattern(kChunkBytes - 1));
  const std::string bytes = pattern(3 * kChunkBytes, 2);
  const ChunkSpan span = queue.append(pool, bytes);
  EXPECT_EQ(span.bytes(), bytes);
  EXPECT_EQ(queue.bytes(), 4 * kChunkBytes - 1);
  queue.clear(pool);
}

// What nothing can be appended to is of no use any more: it may be a receive buffer.
TEST(SendQueue, AFullChunkGoesWithItsLastByte) {
  ChunkPool pool(kChunkBytes, 0);
  SendQueue queue;
  queue.append(pool, pattern(2 * kChunkBytes));
  queue.consume(pool, 2 * kChunkBytes - 1);
  EXPECT_EQ(pool.bytes_in_use(), 2 * kChunkBytes);
  queue.consume(pool, 1);
  EXPECT_EQ(pool.bytes_in_use(), 0U);
  queue.append(pool, "more");
  EXPECT_EQ(gathered(queue, 8), "more");
  queue.clear(pool);
}

TEST(SendQueue, GatherStopsAtItsPieces) {
  ChunkPool pool(kChunkBytes, 0);
  SendQueue queue;
  const std::string bytes = pattern(3 * kChunkBytes);
  for (std::size_t at = 0; at < bytes.size(); at += kChunkBytes) queue.append(pool, bytes.substr(at, kChunkBytes));
  EXPECT_EQ(gathered(queue, 2), bytes.substr(0, 2 * kChunkBytes));
  EXPECT_EQ(gathered(queue, 8), bytes);
  queue.consume(pool, kChunkBytes + 1);
  EXPECT_EQ(gathered(queue, 1), bytes.substr(kChunkBytes + 1, kChunkBytes - 1));
  queue.clear(pool);
}

TEST(SendQueue, AnIdleQueueHoldsNoMemoryOnceTrimmed) {
  ChunkPool pool(kChunkBytes, 0);
  SendQueue queue;
  queue.append(pool, "last words");
  queue.trim(pool);
  EXPECT_EQ(queue.bytes(), 10U) << "trim never drops what is unsent";
  queue.consume(pool, 10);
  queue.trim(pool);
  EXPECT_EQ(pool.bytes_in_use(), 0U);
  queue.append(pool, "more");
  EXPECT_EQ(gathered(queue, 4), "more");
  queue.clear(pool);
}

TEST(SendQueue, WhoHoldsAReferenceKeepsTheBytes) {
  ChunkPool pool(kChunkBytes, 4 * kChunkBytes);
  SendQueue queue;
  const std::string bytes = pattern(40);
  const ChunkSpan span = queue.append(pool, bytes);
  ++span.chunk->references;
  queue.consume(pool, bytes.size());
  queue.clear(pool);
  // A pool that had taken the chunk back would hand it out now.
  queue.append(pool, pattern(40, 9));
  EXPECT_EQ(span.bytes(), bytes);
  pool.release(span.chunk);
  queue.clear(pool);
  EXPECT_EQ(pool.bytes_in_use(), 0U);
}

TEST(SendQueue, KeepsNothingOfATakenChunkThatHadRoom) {
  ChunkPool theirs(kChunkBytes, 0);
  ChunkPool ours(kChunkBytes, 0);
  Chunk* chunk = theirs.take(4 * Offer::kLeastBytes);
  chunk->append(pattern(Offer::kLeastBytes));
  const std::string_view bytes(chunk->data(), chunk->size);
  SendQueue queue;
  Offer offer;
  const Offer::Scope offered = offer.make(chunk, theirs);
  queue.append(ours, bytes, offer);
  queue.consume(ours, bytes.size());
  EXPECT_EQ(ours.bytes_in_use(), 0U);
  queue.clear(ours);
}

TEST(SendQueue, TakesAWholeChunkInsteadOfItsBytes) {
  ChunkPool theirs(kChunkBytes, 0);
  ChunkPool ours(kChunkBytes, 0);
  const std::string bytes = pattern(Offer::kLeastBytes);
  Chunk* chunk = theirs.take(bytes.size());
  chunk->append(bytes);
  const char* data = chunk->data();
  SendQueue queue;
  Offer offer;
  queue.append(ours, "behind this, ", offer);
  const Offer::Scope offered = offer.make(chunk, theirs);
  // A part of it is copied.
  queue.append(ours, std::string_view(data, bytes.size() - 1), offer);
  ASSERT_NE(chunk, nullptr);
  EXPECT_EQ(theirs.bytes_in_use(), bytes.size());
  const ChunkSpan span = queue.append(ours, {data, bytes.size()}, offer);
  EXPECT_EQ(chunk, nullptr);
  EXPECT_EQ(span.bytes().data(), data);
  EXPECT_EQ(span.length, bytes.size());
  EXPECT_EQ(theirs.bytes_in_use(), 0U);
  // It is gone: the same bytes again are a copy.
  EXPECT_NE(queue.append(ours, {data, bytes.size()}, offer).bytes().data(), data);
  EXPECT_EQ(gathered(queue, 8), "behind this, " + bytes.substr(0, bytes.size() - 1) + bytes + bytes);
  queue.clear(ours);
  EXPECT_EQ(ours.bytes_in_use(), 0U);
}

TEST(SendQueue, SpliceBehindAQueueThatIsAllSent) {
  ChunkPool pool(kChunkBytes, 0);
  SendQueue queue;
  SendQueue held;
  queue.append(pool, "sent");
  queue.consume(pool, 4);
  held.append(pool, "held");
  queue.splice(held);
  EXPECT_EQ(held.bytes(), 0U);
  EXPECT_EQ(gathered(queue, 4), "held");
  queue.consume(pool, 2);
  queue.append(pool, " back");
  EXPECT_EQ(gathered(queue, 4), "ld back");
  queue.clear(pool);
  EXPECT_EQ(pool.bytes_in_use(), 0U);
}

// --- Against a string

/// Two queues, what each should hold, and the spans that somebody else has kept.
struct Model {
  explicit Model(std::size_t kept) : pool(kChunkBytes, kept) {}
  ~Model() {
    for (const auto& [span, bytes] : held) pool.release(span.chunk);
    queue.clear(pool);
    other.clear(pool);
  }

  void append(std::string_view bytes, bool keep) {
    const ChunkSpan span = queue.append(pool, bytes);
    expected += bytes;
    if (!keep) return;
    ++span.chunk->references;
    held.emplace_back(span, bytes);
  }

  void release_one(std::size_t which) {
    if (held.empty()) return;
    const auto at = held.begin() + static_cast<std::ptrdiff_t>(which % held.size());
    pool.release(at->first.chunk);
    held.erase(at);
  }

  void step() {
    const auto size = *rc::gen::weightedOneOf<std::size_t>(
        {{6, rc::gen::inRange<std::size_t>(0, kChunkBytes)}, {1, rc::gen::inRange<std::size_t>(0, 4 * kChunkBytes)}});
    switch (*rc::gen::inRange(0, 12)) {
      case 0:
        queue.trim(pool);
        break;
      case 1:
        queue.splice(other);
        expected += std::exchange(expected_other, {});
        break;
      case 2:
        if (size % 8 == 0) {
          queue.clear(pool);
          expected.clear();
        }
        break;
      case 3:
      case 4:
        other.append(pool, pattern(size, 7));
        expected_other += pattern(size, 7);
        break;
      case 5:
        release_one(size);
        break;
      case 6:
      case 7:
      case 8: {
        const std::size_t count = std::min(expected.size(), size);
        queue.consume(pool, count);
        expected.erase(0, count);
        break;
      }
      default:
        append(pattern(size, static_cast<std::uint32_t>(expected.size())), size % 3 == 0);
    }
  }

  void check() const {
    RC_ASSERT(queue.bytes() == expected.size());
    RC_ASSERT(other.bytes() == expected_other.size());
    RC_ASSERT(gathered(queue, 1000) == expected);
    RC_ASSERT(expected.starts_with(gathered(queue, 2)));
    for (const auto& [span, bytes] : held) RC_ASSERT(span.bytes() == bytes);
  }

  ChunkPool pool;
  SendQueue queue;
  SendQueue other;
  std::string expected;
  std::string expected_other;
  std::vector<std::pair<ChunkSpan, std::string>> held;
};

RC_GTEST_PROP(SendQueueModel, HoldsWhatAStringWould, ()) {
  Model model(*rc::gen::element<std::size_t>(0, 4 * kChunkBytes));
  const int steps = *rc::gen::inRange(1, 200);
  for (int i = 0; i < steps; ++i) {
    model.step();
    model.check();
  }
  while (!model.held.empty()) model.release_one(0);
  model.queue.clear(model.pool);
  model.other.clear(model.pool);
  RC_ASSERT(model.pool.bytes_in_use() == 0U);
}

}  // namespace
}  // namespace uring
