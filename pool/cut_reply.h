// The reply that a receive has cut: what has come of it, kept until the rest has. Part of the lane it comes over.
// Thread: one worker.
#pragma once

#include <cstddef>
#include <string_view>
#include <utility>

#include "uring/chunk.h"

namespace pool {

class CutReply {
 public:
  explicit CutReply(uring::ChunkPool& chunks) : chunks_(chunks) {}
  ~CutReply() { clear(); }
  CutReply(const CutReply&) = delete;
  CutReply& operator=(const CutReply&) = delete;

  /// A reply is under way, kept or passed over.
  [[nodiscard]] bool has_begun() const { return chunk_ != nullptr || passed_over_; }
  [[nodiscard]] bool is_passed_over() const { return passed_over_; }
  /// What is kept.
  [[nodiscard]] std::string_view bytes() const {
    return chunk_ == nullptr ? std::string_view() : std::string_view(chunk_->data(), chunk_->size);
  }
  /// The first byte of the reply of which `piece` comes next.
  [[nodiscard]] char mark(std::string_view piece) const { return chunk_ == nullptr ? piece[0] : chunk_->data()[0]; }

  /// Keeps `piece`, with room for `more` bytes that are to follow: the server is trusted that far. A reply of more than
  /// `max_bytes` is passed over.
  void append(std::string_view piece, std::size_t more, std::size_t max_bytes);
  /// Keeps nothing of it, nor of what is still to come.
  void pass_over();
  /// The whole, with its one reference.
  [[nodiscard]] uring::Chunk* take() { return std::exchange(chunk_, nullptr); }
  /// The next reply begins.
  void clear();

 private:
  uring::ChunkPool& chunks_;
  uring::Chunk* chunk_ = nullptr;
  bool passed_over_ = false;
};

}  // namespace pool
