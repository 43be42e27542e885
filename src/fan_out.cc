#include "src/fan_out.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "src/limits.h"
#include "src/worker.h"

namespace sluice {

using pool::PendingReply;

FanOut::FanOut(Worker& worker, PendingReply& whole, Merge merge, std::size_t places)
    : worker_(worker), whole_(whole), merge_(merge), places_(places), layout_(worker.router().layout()) {}

FanOut& FanOut::begin(Worker& worker, PendingReply& whole, Merge merge, std::size_t places) {
  return *new FanOut(worker, whole, merge, places);
}

void FanOut::send(const pool::RequestKind& kind, std::string_view request, pool::Node* node,
                  std::vector<std::uint32_t> positions, bool may_fail) {
  assert(parts_.size() < std::numeric_limits<std::uint16_t>::max());
  PendingReply& pending = worker_.pending_replies().take();
  pending.sink = this;
  pending.kind = kind;
  pending.part = static_cast<std::uint16_t>(parts_.size());
  pending.salt = whole_.salt;
  pending.waiting.started_ms = whole_.waiting.started_ms;
  parts_.push_back({.reply = {}, .positions = std::move(positions), .may_fail = may_fail});
  ++outstanding_;
  if (node == nullptr) node = worker_.router().node_for(kind, pending.salt);
  pool::Lane* lane = node == nullptr ? nullptr : &Router::lane_of(*node, kind, pending.salt);
  const bool is_hopeless = may_fail && node != nullptr && node->failing();
  if (!is_hopeless && lane != nullptr && lane->accepts() && !lane->full()) {
    lane->enqueue(pending, request);
  } else if (!may_fail && worker_.redirection().park(pending, request)) {
    on_parked();
  } else {
    settle(pending, worker_.redirection().not_parked_error(pending));
  }
}

void FanOut::end() {
  assert(!parts_.empty());
  if (--outstanding_ == 0) finish();
}

/// The client's later requests must not overtake a part that is late.
void FanOut::on_parked() {
  is_late_ = true;
  if (session() != nullptr) session()->on_parked();
}

PendingReply* FanOut::one_before(const PendingReply& pending) const {
  return session() == nullptr ? nullptr : session()->one_before(whole_, pending.kind.slot);
}

void FanOut::on_reply(PendingReply& pending, std::string_view reply) {
  worker_.key_watch().see_reply(pending, reply);
  if (reply[0] != '-') [[likely]]
    return settle(pending, reply);
  const bool may_fail = parts_[pending.part].may_fail;
  const bool taken = !may_fail && (session() != nullptr ? session()->takes_error(whole_, pending, this, reply)
                                                        : worker_.redirection().takes_error(pending, reply));
  is_late_ |= taken;
  if (!taken) settle(pending, worker_.redirection().as_seen_by_client(pending, reply));
}

void FanOut::on_lost(PendingReply& pending, pool::Loss loss, std::string_view reason) {
  const bool writes = session() != nullptr && session()->has_writes_outstanding();
  const bool is_harmless = loss == pool::Loss::kNotSent || (whole_.kind.read_only && !writes);
  const bool repeatable = is_harmless && !parts_[pending.part].may_fail;
  const bool taken = repeatable && (session() != nullptr ? session()->takes_lost(whole_, pending)
                                                         : worker_.redirection().park(pending));
  is_late_ |= taken;
  if (taken) return;
  parts_[pending.part].in_question = loss == pool::Loss::kUnknown && !whole_.kind.read_only;
  settle(pending, Redirection::lost_error(loss, reason));
}

void FanOut::settle(PendingReply& pending, std::string_view reply) {
  if (session() != nullptr) session()->on_part_done(whole_, pending.kind.slot);
  if (!too_large_ && is_wanted()) keep(parts_[pending.part], reply);
  worker_.pending_replies().release(pending);
  if (--outstanding_ == 0) finish();
}

void FanOut::keep(Part& part, std::string_view reply) {
  if (bytes_ + reply.size() > std::min(worker_.config().limits.output_buffer, limits::kMaxMergedBytes)) {
    // Nobody could be sent that much; what has come so far is not kept either.
    too_large_ = true;
    return drop_replies();
  }
  part.reply = reply;
  bytes_ += reply.size();
  session()->count_held(reply.size());
}

/// What the client will not get, or gets in another place.
void FanOut::drop_replies() {
  for (Part& part : parts_) part.reply = std::string();
  const std::size_t dropped = std::exchange(bytes_, 0);
  if (session() != nullptr) session()->uncount_held(dropped);
}

void FanOut::finish() {
  const std::unique_ptr<FanOut> self(this);
  const std::string reply = is_wanted() ? merged() : std::string();
  drop_replies();  // of a large reply the client's queue makes a copy next
  worker_.settle(whole_, reply);
}

std::string FanOut::merged() const {
  if (too_large_) return "-ERR sluice: the reply is larger than limits.output_buffer or 1 GiB\r\n";
  // A part for a shard went by one of its slots; while it waited, that may have become another shard's.
  if (!whole_.kind.split && is_late_ && layout_ != worker_.router().layout()) {
    return "-ERR sluice: slots moved while a node was waited for, so it may not have reached all; send it again\r\n";
  }
  return merge_replies(merge_, parts_, places_, worker_.now_us());
}

}  // namespace sluice
