#include "uring/offer.h"

#include <utility>

namespace uring {

Chunk* Offer::take_many(std::string_view bytes, ChunkPool& pool) {
  if (lease_ != nullptr) {
    return lease_->holds(bytes) && lease_->is_spared() ? pool.lend(lease_->part(bytes)) : nullptr;
  }
  Chunk* chunk = chunk_ == nullptr ? nullptr : *chunk_;
  if (chunk == nullptr || bytes.data() != chunk->data() || bytes.size() != chunk->size) return nullptr;
  pool.adopt(chunk, *pool_);
  return std::exchange(*chunk_, nullptr);
}

}  // namespace uring
