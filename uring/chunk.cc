#include "uring/chunk.h"

#include <algorithm>
#include <limits>
#include <new>
#include <utility>

#include "uring/buffer_ring.h"

namespace uring {
namespace {

struct LentChunk : Chunk {
  explicit LentChunk(Lease lent) : lease(std::move(lent)) {}
  Lease lease;
};

}  // namespace

ChunkPool::ChunkPool(std::uint32_t chunk_bytes, std::size_t kept_bytes)
    : chunk_bytes_(chunk_bytes), max_free_(kept_bytes / chunk_bytes) {}

ChunkPool::~ChunkPool() {
  while (free_ != nullptr) {
    Chunk* chunk = free_;
    free_ = chunk->next;
    ::operator delete(chunk);
  }
}

Chunk* ChunkPool::take(std::size_t bytes) {
  Chunk* chunk = nullptr;
  if (bytes <= chunk_bytes_ && free_ != nullptr) {
    chunk = free_;
    free_ = chunk->next;
    --free_count_;
    chunk->next = nullptr;
    chunk->size = 0;
  } else {
    return take_exact(std::max<std::size_t>(bytes, chunk_bytes_));
  }
  chunk->references = 1;
  bytes_in_use_ += chunk->capacity;
  return chunk;
}

Chunk* ChunkPool::take_exact(std::size_t bytes) {
  assert(bytes <= std::numeric_limits<std::uint32_t>::max());
  auto* chunk = new (::operator new(sizeof(Chunk) + bytes)) Chunk;
  chunk->memory = reinterpret_cast<char*>(chunk + 1);
  chunk->capacity = static_cast<std::uint32_t>(bytes);
  chunk->references = 1;
  bytes_in_use_ += chunk->capacity;
  return chunk;
}

Chunk* ChunkPool::lend(Lease lease) {
  const std::string_view bytes = lease.bytes();
  auto* chunk = new LentChunk(std::move(lease));
  chunk->memory = const_cast<char*>(bytes.data());  // full: nobody writes there
  chunk->capacity = chunk->size = static_cast<std::uint32_t>(bytes.size());
  chunk->references = 1;
  bytes_in_use_ += chunk->capacity;
  return chunk;
}

void ChunkPool::recycle(Chunk* chunk) {
  bytes_in_use_ -= chunk->capacity;
  if (chunk->memory != reinterpret_cast<char*>(chunk + 1)) [[unlikely]] {
    delete static_cast<LentChunk*>(chunk);
    return;
  }
  if (chunk->capacity != chunk_bytes_ || free_count_ >= max_free_) {
    ::operator delete(chunk);
    return;
  }
  chunk->next = free_;
  free_ = chunk;
  ++free_count_;
}

}  // namespace uring
