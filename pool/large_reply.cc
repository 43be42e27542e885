#include "pool/large_reply.h"

#include <string>
#include <utility>

#include "pool/lane.h"
#include "pool/pool.h"

namespace pool {

LargeReply::LargeReply(Lane& lane, PendingReply& pending, uring::Stream& target)
    : lane_(lane), pending_(pending), target_(&target), relay_(lane.pool_.relays_, *this) {}

void LargeReply::take(std::string_view piece, std::uint64_t body) {
  if (relay_.running() && body > 0) {
    relayed_ -= body;
    relay_.skip(body);
    if (relay_.left() == 0) relay_.stop();
  }
  if (target_ != nullptr) pending_.sink->on_piece(pending_, piece);
}

void LargeReply::take_open_string(std::uint64_t left) {
  if (target_ == nullptr || copies_ || relay_.running() || left < lane_.pool_.settings_.piece_bytes) return;
  // What is left of one string only becomes less.
  if (left <= std::exchange(copied_left_, 0)) {
    copied_left_ = left;
    return;
  }
  // A client that still takes what was sent before is too slow already.
  if (lane_.pending_.size() >= 2 && target_->is_sending()) {
    copies_ = true;
    return;
  }
  relayed_ = left_seen_ = left;
  // Without a pipe it goes by copy. It may have found the client full already, and turned to copying by itself.
  if (!relay_.start(lane_.stream_, *target_, left)) copies_ = true;
}

void LargeReply::end_relay() {
  if (!relay_.running()) return;
  lane_.scanner_.skip(relayed_ - relay_.left());
  relay_.stop();
}

void LargeReply::on_relayed() {
  lane_.scanner_.skip(relayed_);
  lane_.progress_ms_ = lane_.pool_.now_ms();
}

void LargeReply::on_source_broken(int error) {
  end_relay();
  lane_.on_ended(error);
}

void LargeReply::on_target_broken(int) {
  // Its session hears the same from its own stream, and closes.
  drop_target();
}

void LargeReply::on_target_full() {
  if (lane_.pending_.size() < 2) return;
  copies_ = true;
  copy_rest();
}

void LargeReply::copy_open_string(std::uint64_t most) {
  if (!relay_.running() || relay_.left() > most) return;
  copied_left_ = relay_.left();
  copy_rest();
}

void LargeReply::copy_rest() {
  const std::string rest = relay_.take_rest();
  end_relay();
  pending_.sink->on_piece(pending_, rest);
}

void LargeReply::drop_target() {
  end_relay();
  target_ = nullptr;
  lane_.on_client_gone();
}

void LargeReply::on_stalled() {
  if (waits_for_client()) on_target_full();
}

void LargeReply::abandon() {
  relay_.stop();
  target_ = nullptr;
}

bool LargeReply::has_moved() {
  const std::uint64_t left = relay_.left();
  return std::exchange(left_seen_, left) != left;
}

}  // namespace pool
