#include "pool/cut_reply.h"

#include <algorithm>

namespace pool {

void CutReply::append(const uring::Lease& lease, std::string_view piece, std::size_t more, std::size_t max_bytes) {
  if (bytes().size() + piece.size() > max_bytes) return pass_over();
  if (lent_ && lent_->extend(lease, piece)) return;
  if (!has_begun() && piece.size() >= uring::Offer::kLeastBytes && lease.is_spared()) {
    lent_ = lease.part(piece);
    return;
  }
  if (const auto lent = std::exchange(lent_, std::nullopt)) copy(lent->bytes(), piece.size() + more, max_bytes);
  copy(piece, more, max_bytes);
}

void CutReply::copy(std::string_view piece, std::size_t more, std::size_t max_bytes) {
  const std::size_t have = bytes().size();
  const std::size_t needed = have + piece.size();
  if (chunk_ == nullptr || chunk_->room() < piece.size()) {
    const std::size_t capacity = std::min(std::max(needed + more, 2 * have), max_bytes);
    uring::Chunk* larger = chunks_.take(std::max(capacity, needed));
    if (chunk_ != nullptr) {
      larger->append(bytes());
      chunks_.release(chunk_);
    }
    chunk_ = larger;
  }
  chunk_->append(piece);
}

void CutReply::pass_over() {
  clear();
  passed_over_ = true;
}

void CutReply::clear() {
  passed_over_ = false;
  lent_.reset();
  if (chunk_ != nullptr) chunks_.release(std::exchange(chunk_, nullptr));
}

}  // namespace pool
