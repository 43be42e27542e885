// Requests that meet an error or lose their connection: sent again in their client's order, or given up.
#include "src/limits.h"
#include "src/session.h"
#include "src/worker.h"

namespace sluice {

using pool::PendingReply;

bool Session::takes_error(const PendingReply& place, PendingReply& pending, FanOut* split, std::string_view error) {
  Redirection& redirection = worker_.redirection();
  if (redirection.is_momentary(pending, error)) {
    const Followed followed = Doubts::followed(place, pending.kind.slot);
    if (followed == Followed::kUnknown) return false;
    if (followed == Followed::kYes) {
      redirection.heed(cluster::classify_error(error));
      if (doubts_ == nullptr) doubts_ = std::make_unique<Doubts>(*this);
      doubts_->add(place, pending, split, error);
      fenced = true;
      return true;
    }
  }
  if (doubts_ != nullptr && redirection.is_refusal(pending, error)) {
    doubts_->on_retry(place, pending.kind.slot);
  }
  if (!redirection.takes_error(pending, error)) return false;
  fenced = true;
  if (pending.hops == 0) on_parked();
  return true;
}

bool Session::takes_lost(const PendingReply& place, PendingReply& pending) {
  if (doubts_ != nullptr) doubts_->on_retry(place, pending.kind.slot);
  return park(pending);
}

bool Session::park(PendingReply& pending) {
  if (!worker_.redirection().park(pending)) return false;
  on_parked();
  return true;
}

PendingReply* Session::one_before(const PendingReply& pending) const {
  return one_before(pending, pending.kind.slot);
}

PendingReply* Session::one_before(const PendingReply& place, std::uint16_t slot) const {
  if (!has_parked_) return nullptr;
  PendingReply* before = nullptr;
  int looked_at = 0;
  for (PendingReply* each = line_.front(); each != &place; each = each->next) {
    // One in doubt waits for this one instead.
    if (each->state == PendingReply::State::kWaiting && each->kind.slot == slot && !each->in_doubt) before = each;
    if (++looked_at == limits::kOrderSearch) return before;
  }
  return before;
}

}  // namespace sluice
