#include "pool/pending_reply.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace pool {

void HeldBytes::begin(std::string_view bytes) {
  size_ = static_cast<std::uint32_t>(bytes.size());
  if (on_heap()) heap_ = static_cast<char*>(::operator new(bytes.size()));
  std::memcpy(on_heap() ? heap_ : inline_, bytes.data(), bytes.size());
}

void PendingReplies::grow() {
  PendingReply* slab = slabs_.emplace_back(std::make_unique<PendingReply[]>(kSlab)).get();
  for (std::size_t i = kSlab; i-- > 0;) {
    slab[i].next = free_;
    free_ = &slab[i];
  }
}

void LaneLine::grow() {
  std::vector<PendingReply*> larger(std::max<std::size_t>(2 * rows_.size(), 16));
  for (std::size_t i = 0; i < size_; ++i) larger[i] = &at(i);
  rows_ = std::move(larger);
  first_ = 0;
}

}  // namespace pool
