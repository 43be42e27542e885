// Bytes on their way out of one stream: copied into chunks, sent in order, gathered into one send per turn.
//
// Invariant: the queue is a list of chunks; of the first one `head_sent_` bytes are sent. It holds one reference to
// each. Others may hold references too (a request kept until its reply), so a chunk can outlive its place here. Thread:
// one.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "uring/chunk.h"
#include "uring/offer.h"

namespace uring {

/// Where appended bytes lie. Valid while a reference to the chunk is held.
struct ChunkSpan {
  Chunk* chunk = nullptr;
  std::uint32_t offset = 0;
  std::uint32_t length = 0;
  [[nodiscard]] std::string_view bytes() const { return {chunk->data() + offset, length}; }
};

class SendQueue {
 public:
  SendQueue() = default;
  SendQueue(const SendQueue&) = delete;
  SendQueue& operator=(const SendQueue&) = delete;
  ~SendQueue() { assert(head_ == nullptr); }

  /// Copies `bytes` behind what is queued, in one piece.
  ChunkSpan append(ChunkPool& pool, std::string_view bytes) {
    if (tail_ == nullptr || tail_->room() < bytes.size()) grow(pool, bytes.size());
    const ChunkSpan span{tail_, tail_->size, static_cast<std::uint32_t>(bytes.size())};
    tail_->append(bytes);
    bytes_ += bytes.size();
    return span;
  }

  /// The same for `bytes` that may be on `offer`: then they are queued where they lie; in a receive buffer only when
  /// they are `soon_sent`.
  ChunkSpan append(ChunkPool& pool, std::string_view bytes, Offer& offer, bool soon_sent = true) {
    Chunk* chunk = offer.take(bytes, pool, soon_sent);
    if (chunk == nullptr) [[likely]]
      return append(pool, bytes);
    push(pool, chunk);
    bytes_ += chunk->size;
    return {chunk, 0, chunk->size};
  }

  /// Moves all that `other` holds unsent behind what is queued here. Nothing of `other` may have been sent.
  void splice(SendQueue& other);

  /// Fills `pieces` with unsent bytes from the front; returns how many it filled.
  [[nodiscard]] unsigned gather(std::span<iovec> pieces) const;

  /// The first `count` unsent bytes are sent.
  void consume(ChunkPool& pool, std::size_t count);

  /// Gives back the last chunk when everything in it is sent: an idle stream holds no memory.
  void trim(ChunkPool& pool);

  /// Drops everything.
  void clear(ChunkPool& pool);

  /// Unsent bytes.
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  void grow(ChunkPool& pool, std::size_t bytes) { push(pool, pool.take(bytes)); }
  void push(ChunkPool& pool, Chunk* chunk);
  void drop_head(ChunkPool& pool);

  Chunk* head_ = nullptr;
  Chunk* tail_ = nullptr;
  std::size_t bytes_ = 0;
  std::uint32_t head_sent_ = 0;
};

}  // namespace uring
