// Counted blocks of memory that outgoing bytes are gathered in, and the pool they come from.
// Thread: one; the counts are plain integers.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

namespace uring {

class Lease;

/// `size` bytes written so far, never more than `capacity`; the bytes never move. Whoever keeps a pointer holds a
/// reference.
struct Chunk {
  Chunk* next = nullptr;   ///< in the one SendQueue or free list it is part of
  char* memory = nullptr;  ///< behind the chunk itself, or a receive buffer's
  std::uint32_t capacity = 0;
  std::uint32_t size = 0;
  std::uint32_t references = 0;

  [[nodiscard]] char* data() { return memory; }
  [[nodiscard]] std::uint32_t room() const { return capacity - size; }
  void append(std::string_view bytes) {
    assert(bytes.size() <= room());
    std::memcpy(data() + size, bytes.data(), bytes.size());
    size += static_cast<std::uint32_t>(bytes.size());
    __builtin_prefetch(data() + size + kAhead, 1);
  }

 private:
  /// Where many chunks take turns, none is in the cache any more: what is written next is called for before.
  static constexpr std::uint32_t kAhead = 512;
};

/// Chunks of one usual capacity, kept for reuse (last used first, while it is still in the cache); larger ones are made
/// to measure and freed at once.
class ChunkPool {
 public:
  /// `kept_bytes`: free chunks beyond that go back to the allocator.
  ChunkPool(std::uint32_t chunk_bytes, std::size_t kept_bytes);
  ~ChunkPool();
  ChunkPool(const ChunkPool&) = delete;
  ChunkPool& operator=(const ChunkPool&) = delete;

  /// A chunk with one reference and room for at least `bytes`.
  [[nodiscard]] Chunk* take(std::size_t bytes);
  /// A chunk of exactly that capacity, not for reuse.
  [[nodiscard]] Chunk* take_exact(std::size_t bytes);
  /// A chunk that is full of the lease's bytes, where they lie: the lease ends with its last reference.
  [[nodiscard]] Chunk* lend(Lease lease);
  void release(Chunk* chunk) {
    assert(chunk->references > 0);
    if (--chunk->references == 0) recycle(chunk);
  }

  /// Takes over the one reference to a chunk of another pool. It is full from now on: what it has room for was meant
  /// for others' bytes, and who wrote on would keep all of it.
  void adopt(Chunk* chunk, ChunkPool& from) {
    from.bytes_in_use_ -= chunk->capacity;
    chunk->capacity = chunk->size;
    bytes_in_use_ += chunk->capacity;
  }

  /// Bytes of all chunks in use (references held), capacity counted.
  [[nodiscard]] std::size_t bytes_in_use() const { return bytes_in_use_; }

 private:
  void recycle(Chunk* chunk);

  std::uint32_t chunk_bytes_;
  std::size_t max_free_;
  std::size_t free_count_ = 0;
  Chunk* free_ = nullptr;
  std::size_t bytes_in_use_ = 0;
};

}  // namespace uring
