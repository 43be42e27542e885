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

void PendingReplies::change_block() {
  current_ = usable_;
  if (current_ == nullptr) {
    current_ = blocks_.emplace_back(std::make_unique<Block>()).get();
  } else {
    usable_ = current_->next;
  }
  if (usable_ != nullptr) __builtin_prefetch(usable_);
}

void LaneLine::grow() {
  std::vector<PendingReply*> larger(std::max<std::size_t>(2 * rows_.size(), 16));
  for (std::size_t i = 0; i < size_; ++i) larger[i] = &at(i);
  rows_ = std::move(larger);
  first_ = 0;
}

}  // namespace pool
