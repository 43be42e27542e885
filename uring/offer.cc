#include "uring/offer.h"

#include <utility>

namespace uring {

Chunk* Offer::take_many(std::string_view bytes, ChunkPool& pool, bool briefly) const {
  for (const Offer* each = this; each != nullptr; each = each->around_) {
    if (each->lease_ != nullptr && each->lease_->holds(bytes)) {
      return briefly && each->lease_->is_spared() ? pool.lend(each->lease_->part(bytes)) : nullptr;
    }
    Chunk* chunk = each->chunk_ == nullptr ? nullptr : *each->chunk_;
    if (chunk == nullptr || bytes.data() != chunk->data() || bytes.size() != chunk->size) continue;
    pool.adopt(chunk, *each->pool_);
    return std::exchange(*each->chunk_, nullptr);
  }
  return nullptr;
}

}  // namespace uring
