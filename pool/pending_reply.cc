#include "pool/pending_reply.h"

#include <cstring>

namespace pool {

void HeldBytes::assign(std::string_view bytes) {
  clear();
  if (bytes.size() > kInline) heap_ = static_cast<char*>(::operator new(bytes.size()));
  std::memcpy(bytes.size() > kInline ? heap_ : inline_, bytes.data(), bytes.size());
  size_ = bytes.size();
}

void HeldBytes::clear() {
  if (on_heap()) ::operator delete(heap_);
  size_ = 0;
}

void PendingReplies::grow() {
  PendingReply* slab = slabs_.emplace_back(std::make_unique<PendingReply[]>(kSlab)).get();
  for (std::size_t i = kSlab; i-- > 0;) {
    slab[i].next = free_;
    free_ = &slab[i];
  }
}

}  // namespace pool
