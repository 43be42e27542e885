// Bytes that are being handed on, and the memory they lie in: who would copy many of them may take that memory instead.
// Thread: one.
#pragma once

#include <cstddef>
#include <string_view>

#include "uring/buffer_ring.h"
#include "uring/chunk.h"

namespace uring {

class Offer {
 public:
  /// Fewer bytes are copied sooner than they are found here.
  static constexpr std::size_t kLeastBytes = 16U << 10;

  Offer() = default;

  /// How long something is on offer; beside what is on offer around it.
  class Scope;
  /// All of `chunk`, with its one reference, of `pool`; becomes nullptr when somebody takes it.
  [[nodiscard]] Scope make(Chunk*& chunk, ChunkPool& pool);
  /// Any part of `lease`, as often as it is asked for.
  [[nodiscard]] Scope make(const Lease& lease);

  /// A chunk of `pool` with one reference that holds `bytes` and nothing else, at the same place; nullptr when they are
  /// few, not on offer, or in a receive buffer that cannot be spared. `briefly`: else of a receive buffer nothing is
  /// taken.
  [[nodiscard]] Chunk* take(std::string_view bytes, ChunkPool& pool, bool briefly) {
    if (bytes.size() < kLeastBytes) [[likely]]
      return nullptr;
    return take_many(bytes, pool, briefly);
  }

 private:
  Offer(Chunk** chunk, ChunkPool* pool, const Lease* lease) : chunk_(chunk), pool_(pool), lease_(lease) {}
  [[nodiscard]] Chunk* take_many(std::string_view bytes, ChunkPool& pool, bool briefly) const;

  Chunk** chunk_ = nullptr;
  ChunkPool* pool_ = nullptr;
  const Lease* lease_ = nullptr;
  const Offer* around_ = nullptr;
};

class [[nodiscard]] Offer::Scope {
 public:
  Scope(Offer& offer, const Offer& inner) : offer_(offer), outer_(offer) {
    offer = inner;
    offer.around_ = &outer_;
  }
  ~Scope() { offer_ = outer_; }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  Offer& offer_;
  const Offer outer_;
};

inline Offer::Scope Offer::make(Chunk*& chunk, ChunkPool& pool) {
  return Scope(*this, Offer(&chunk, &pool, nullptr));
}

inline Offer::Scope Offer::make(const Lease& lease) {
  return Scope(*this, Offer(nullptr, nullptr, &lease));
}

}  // namespace uring
