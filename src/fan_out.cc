#include "src/fan_out.h"

#include <limits>
#include <utility>

#include "src/worker.h"

namespace sluice {

using pool::PendingReply;

FanOut::FanOut(Worker& worker, PendingReply& whole, Merge merge, std::size_t places, bool read_only)
    : worker_(worker), whole_(whole), merge_(merge), read_only_(read_only), places_(places) {}

void FanOut::start(Worker& worker, PendingReply& whole, Merge merge, std::size_t places,
                   std::vector<Request> requests) {
  assert(!requests.empty() && requests.size() <= std::numeric_limits<std::uint16_t>::max());
  auto* fan_out = new FanOut(worker, whole, merge, places, whole.kind.read_only);
  fan_out->parts_.resize(requests.size());
  // One more than are sent, so that parts which fail at once cannot end it while others are still to be sent.
  fan_out->outstanding_ = requests.size() + 1;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    fan_out->parts_[i].positions = std::move(requests[i].positions);
    fan_out->send(requests[i], static_cast<std::uint16_t>(i));
    requests[i].bytes = std::string();  // large ones are not kept twice
  }
  if (--fan_out->outstanding_ == 0) fan_out->finish();
}

void FanOut::send(Request& request, std::uint16_t part) {
  PendingReply& pending = worker_.pending_replies().take();
  pending.sink = this;
  pending.kind = request.kind;
  pending.part = part;
  pending.salt = whole_.salt;
  pending.waiting.started_ms = whole_.waiting.started_ms;
  Router& router = worker_.router();
  pool::Lane* lane = request.node != nullptr ? &router.lane_of(*request.node, request.kind, pending.salt)
                                             : router.lane_for(request.kind, pending.salt);
  if (lane != nullptr && lane->accepts() && !lane->full()) {
    lane->enqueue(pending, request.bytes);
  } else if (worker_.redirection().park(pending, request.bytes)) {
    fence();
  } else {
    settle(pending, Redirection::lost_error(pool::Loss::kNotSent, "no connection"));
  }
}

/// The client's later requests must not overtake a part that is late.
void FanOut::fence() {
  if (session() != nullptr) session()->fenced = true;
}

void FanOut::on_reply(PendingReply& pending, std::string_view reply) {
  worker_.key_watch().see_reply(pending, reply);
  if (reply[0] != '-') [[likely]]
    return settle(pending, reply);
  const bool taken = session() != nullptr ? session()->takes_error(whole_, pending, this, reply)
                                          : worker_.redirection().takes_error(pending, reply);
  if (!taken) settle(pending, worker_.redirection().as_seen_by_client(pending, reply));
}

void FanOut::on_lost(PendingReply& pending, pool::Loss loss, std::string_view reason) {
  const bool writes = session() != nullptr && session()->has_writes_outstanding();
  const bool repeatable = loss == pool::Loss::kNotSent || (read_only_ && !writes);
  const bool taken = repeatable && (session() != nullptr ? session()->takes_lost(whole_, pending)
                                                         : worker_.redirection().park(pending));
  if (!taken) settle(pending, Redirection::lost_error(loss, reason));
}

void FanOut::settle(PendingReply& pending, std::string_view reply) {
  if (session() != nullptr) session()->on_part_done(whole_, pending.kind.slot);
  bytes_ += reply.size();
  if (bytes_ > worker_.config().limits.output_buffer) {
    // Nobody could be sent that much; what has come so far is not kept either.
    for (Part& part : parts_) part.reply = std::string();
    too_large_ = true;
  }
  if (!too_large_) parts_[pending.part].reply = reply;
  worker_.pending_replies().release(pending);
  if (--outstanding_ == 0) finish();
}

void FanOut::finish() {
  const std::unique_ptr<FanOut> self(this);
  const std::string merged = too_large_ ? "-ERR sluice: the reply is larger than limits.output_buffer\r\n"
                                        : merge_replies(merge_, parts_, places_, whole_.salt);
  parts_ = {};
  worker_.settle(whole_, merged);
}

}  // namespace sluice
