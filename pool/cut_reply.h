// The reply that a receive has cut: what has come of it, kept until the rest has. Part of the lane it comes over.
// Thread: one worker.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>

#include "uring/buffer_ring.h"
#include "uring/chunk.h"
#include "uring/offer.h"

namespace pool {

class CutReply {
 public:
  explicit CutReply(uring::ChunkPool& chunks) : chunks_(chunks) {}
  /// `other` has not begun then.
  CutReply(CutReply&& other) noexcept
      : chunks_(other.chunks_),
        lent_(std::exchange(other.lent_, std::nullopt)),
        chunk_(std::exchange(other.chunk_, nullptr)),
        passed_over_(std::exchange(other.passed_over_, false)) {}
  ~CutReply() { clear(); }
  CutReply(const CutReply&) = delete;
  CutReply& operator=(const CutReply&) = delete;

  /// A reply is under way, kept or passed over.
  [[nodiscard]] bool has_begun() const { return lent_ || chunk_ != nullptr || passed_over_; }
  [[nodiscard]] bool is_passed_over() const { return passed_over_; }
  /// What is kept.
  [[nodiscard]] std::string_view bytes() const {
    if (lent_) return lent_->bytes();
    return chunk_ == nullptr ? std::string_view() : std::string_view(chunk_->data(), chunk_->size);
  }
  /// The first byte of the reply of which `piece` comes next.
  [[nodiscard]] char mark(std::string_view piece) const { return (bytes().empty() ? piece : bytes())[0]; }

  /// Keeps `piece`, of `lease`: where it lies when it is long, or goes on from what is kept like that; else copied,
  /// with room for `more` bytes that are to follow: the server is trusted that far. A reply of more than `max_bytes` is
  /// passed over.
  void append(const uring::Lease& lease, std::string_view piece, std::size_t more, std::size_t max_bytes);
  /// Keeps nothing of it, nor of what is still to come.
  void pass_over();
  /// Puts what is kept on offer, for somebody to take.
  [[nodiscard]] uring::Offer::Scope offer_in(uring::Offer& offer) {
    return lent_ ? offer.make(*lent_) : offer.make(chunk_, chunks_);
  }
  /// The next reply begins.
  void clear();

 private:
  void copy(std::string_view piece, std::size_t more, std::size_t max_bytes);

  uring::ChunkPool& chunks_;
  std::optional<uring::Lease> lent_;  ///< all that is kept, or
  uring::Chunk* chunk_ = nullptr;     ///< that
  bool passed_over_ = false;
};

}  // namespace pool
