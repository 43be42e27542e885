#include "uring/send_queue.h"

#include <algorithm>
#include <utility>

namespace uring {

void SendQueue::push(ChunkPool& pool, Chunk* chunk) {
  if (tail_ == nullptr) {
    head_ = chunk;
    head_sent_ = 0;
  } else {
    tail_->next = chunk;
  }
  tail_ = chunk;
  // A finished head with nothing unsent must not stay in front of the new chunk.
  while (head_ != tail_ && head_sent_ == head_->size) drop_head(pool);
}

void SendQueue::drop_head(ChunkPool& pool) {
  Chunk* dropped = std::exchange(head_, head_->next);
  if (head_ == nullptr) tail_ = nullptr;
  dropped->next = nullptr;
  head_sent_ = 0;
  pool.release(dropped);
}

void SendQueue::splice(SendQueue& other) {
  assert(other.head_sent_ == 0);
  if (other.head_ == nullptr) return;
  if (tail_ == nullptr) {
    head_ = other.head_;
    head_sent_ = 0;
  } else {
    tail_->next = other.head_;
  }
  tail_ = std::exchange(other.tail_, nullptr);
  other.head_ = nullptr;
  bytes_ += std::exchange(other.bytes_, 0);
}

unsigned SendQueue::gather(std::span<iovec> pieces) const {
  unsigned count = 0;
  std::uint32_t skip = head_sent_;
  for (Chunk* chunk = head_; chunk != nullptr && count < pieces.size(); chunk = chunk->next, skip = 0) {
    if (chunk->size > skip) pieces[count++] = {chunk->data() + skip, chunk->size - skip};
  }
  return count;
}

void SendQueue::consume(ChunkPool& pool, std::size_t count) {
  assert(count <= bytes_);
  bytes_ -= count;
  while (count > 0) {
    const std::size_t step = std::min<std::size_t>(count, head_->size - head_sent_);
    head_sent_ += static_cast<std::uint32_t>(step);
    count -= step;
    if (head_sent_ < head_->size || (head_ == tail_ && head_->room() > 0)) continue;
    drop_head(pool);
  }
}

void SendQueue::trim(ChunkPool& pool) {
  if (bytes_ == 0) clear(pool);
}

void SendQueue::clear(ChunkPool& pool) {
  while (head_ != nullptr) drop_head(pool);
  bytes_ = 0;
}

}  // namespace uring
