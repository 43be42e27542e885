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

PendingReply& PendingReplies::take() {
  if (free_ == nullptr) {
    PendingReply* slab = slabs_.emplace_back(std::make_unique<PendingReply[]>(kSlab)).get();
    for (std::size_t i = kSlab; i-- > 0;) {
      slab[i].next = free_;
      free_ = &slab[i];
    }
  }
  PendingReply& pending = *free_;
  free_ = pending.next;
  pending.next = nullptr;
  ++in_use_;
  return pending;
}

void PendingReplies::drop_request(PendingReply& pending) {
  if (pending.request.chunk == nullptr) return;
  chunks_.release(pending.request.chunk);
  pending.request = {};
}

void PendingReplies::release(PendingReply& pending) {
  drop_request(pending);
  pending.reply.clear();
  pending.sink = nullptr;
  pending.kind = {};
  pending.hops = 0;
  pending.part = 0;
  pending.state = PendingReply::State::kWaiting;
  pending.next = free_;
  free_ = &pending;
  --in_use_;
}

}  // namespace pool
