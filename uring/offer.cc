#include "uring/offer.h"

#include <utility>

namespace uring {

Chunk* Offer::take_many(std::string_view bytes, ChunkPool& pool, bool briefly) {
  if (lease_ != nullptr) {
    const bool may_take = briefly && lease_->holds(bytes) && lease_->is_spared();
    return may_take ? pool.lend(lease_->part(bytes)) : nullptr;
  }
  Chunk* chunk = chunk_ == nullptr ? nullptr : *chunk_;
  if (chunk == nullptr || bytes.data() != chunk->data() || bytes.size() != chunk->size) return nullptr;
  pool.adopt(chunk, *pool_);
  return std::exchange(*chunk_, nullptr);
}

}  // namespace uring
