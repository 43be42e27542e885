// What comes over a lane: cut into replies, each handed to the request at the front of the line.
#include <algorithm>
#include <memory>
#include <utility>

#include "pool/lane.h"
#include "pool/pool.h"

namespace pool {
namespace {

constexpr std::string_view kTooLarge = "-ERR sluice: the reply is larger than 1 GiB\r\n";

}  // namespace

void Lane::on_received(uring::Lease lease) {
  progress_ms_ = pool_.now_ms_;
  const uring::Offer::Scope offered = pool_.offer_.make(lease);
  std::string_view bytes = lease.bytes();
  while (!bytes.empty()) {
    const std::uint64_t body = large_reply_ == nullptr ? 0 : scanner_.bulk_bytes_left();
    const resp::ScanResult result = scanner_.scan(bytes);
    if (result.status == resp::ScanStatus::kError) return fail("the server sent what is not RESP");
    const std::string_view piece = bytes.substr(0, result.length);
    const bool complete = result.status == resp::ScanStatus::kComplete;
    bytes.remove_prefix(result.length);
    if (large_reply_ != nullptr || (!complete && goes_in_pieces(piece))) [[unlikely]] {
      deliver_in_pieces(piece, std::min<std::uint64_t>(body, piece.size()), complete);
    } else if (!complete) {
      gather(lease, piece);
    } else if (!cut_.has_begun()) {
      deliver(piece);
    } else {
      deliver_gathered(lease, piece);
    }
    if (state_ != State::kReady && state_ != State::kHandshaking) return;
  }
}

/// Keeps a piece of the reply under way. One that is too large is passed over to its end; its client alone is told.
void Lane::gather(const uring::Lease& lease, std::string_view piece) {
  if (cut_.is_passed_over()) return;
  if (is_unwanted(piece)) return pass_over();
  // The header of a large string has told its length: room is made once.
  cut_.append(lease, piece, scanner_.bulk_bytes_left() + 2, pool_.settings_.max_reply_bytes);
}

void Lane::deliver_gathered(const uring::Lease& lease, std::string_view last_piece) {
  if (goes_in_two(last_piece)) return deliver_in_two(last_piece);
  gather(lease, last_piece);
  CutReply whole = std::move(cut_);
  if (whole.is_passed_over()) return deliver(kTooLarge);
  const uring::Offer::Scope offered = whole.offer_in(pool_.offer_);
  deliver(whole.bytes());
}

/// To put it in one place would be to copy much of it.
bool Lane::goes_in_two(std::string_view last_piece) const {
  const PendingReply* pending = pending_.front();
  return pending != nullptr && pending->sink != nullptr && state_ == State::kReady && !cut_.is_passed_over() &&
         cut_.bytes().size() + last_piece.size() >= uring::Offer::kLeastBytes &&
         pending->sink->takes_in_two(*pending, cut_.mark(last_piece));
}

void Lane::deliver_in_two(std::string_view last_piece) {
  CutReply first = std::move(cut_);
  const uring::Offer::Scope offered = first.offer_in(pool_.offer_);
  PendingReply& pending = take_front();
  pending.sink->on_reply_in_two(pending, first.bytes(), last_piece);
  after_reply();
}

/// Nobody is there to take the reply under way, or its client has asked for none and it is no error.
bool Lane::is_unwanted(std::string_view piece) const {
  const PendingReply* pending = pending_.front();
  if (cut_.mark(piece) == '>' || pending == nullptr || state_ != State::kReady) return false;
  return pending->sink == nullptr || (pending->kind.silent && scanner_.bulk_bytes_left() > 0);
}

/// Holds none of it; a large one is nothing for others to wait behind.
void Lane::pass_over() {
  cut_.pass_over();
  if (scanner_.bulk_bytes_left() < pool_.settings_.large_bytes) return;
  if (!large_) {
    set_large(true);
    node_.replace(*this);
  }
  if (pending_.front()->sink == nullptr) on_client_gone();
}

/// The reply under way has a large string open, its sink takes it in pieces: from here on it does.
bool Lane::goes_in_pieces(std::string_view piece) {
  const std::uint64_t left = scanner_.bulk_bytes_left();
  const std::uint64_t least = large_ ? pool_.settings_.piece_bytes : pool_.settings_.large_bytes;
  if (left < least || state_ != State::kReady || cut_.is_passed_over()) return false;
  const LargeHead head{.mark = cut_.mark(piece), .bytes = cut_.bytes().size() + piece.size() + left};
  PendingReply* pending = pending_.front();
  if (head.mark == '>' || pending == nullptr || pending->sink == nullptr) return false;
  uring::Stream* target = pending->sink->target_of_large(*pending, *this, head);
  if (target == nullptr) return false;
  large_reply_ = std::make_unique<LargeReply>(*this, *pending, *target);
  note_moved();
  ++pool_.counters_.large_replies;
  if (cut_.has_begun()) {
    large_reply_->take(cut_.bytes(), 0);
    cut_.clear();
  }
  // What is behind it on a shared lane goes out there; nothing more shall wait for it.
  if (large_) return true;
  set_large(true);
  node_.replace(*this);
  return true;
}

void Lane::deliver_in_pieces(std::string_view piece, std::uint64_t body, bool complete) {
  large_reply_->take(piece, body);
  if (!complete) return large_reply_->take_open_string(scanner_.bulk_bytes_left());
  large_reply_.reset();
  PendingReply& pending = take_front();
  if (pending.sink != nullptr) {
    pending.sink->on_reply_end(pending);
  } else {
    pool_.pending_replies_.release(pending);
  }
  after_reply();
}

/// The rest of the reply is for nobody. It is passed over when others wait behind it; else it is not worth reading.
void Lane::on_client_gone() {
  if (pending_.size() == 1) hang_up(kClientGone);
}

void Lane::deliver(std::string_view reply) {
  if (reply[0] == '>') return;  // out of band: nothing here subscribes or tracks
  if (state_ == State::kHandshaking) return on_handshake_reply(reply);
  if (pending_.empty()) return fail("the server sent a reply nobody asked for");
  if (reply[0] == '-') [[unlikely]]
    pool_.answering_ = &node_;
  PendingReply& pending = take_front();
  if (pending.sink != nullptr) {
    pending.sink->on_reply(pending, reply);
  } else {
    pool_.pending_replies_.release(pending);
  }
  after_reply();
}

PendingReply& Lane::take_front() {
  PendingReply& pending = pending_.pop();
  if (&pending == open_) open_ = nullptr;
  if (pending_.empty()) --pool_.busy_lanes_;
  kept_bytes_ -= pending.waiting.request.length;
  ++pool_.counters_.replies;
  return pending;
}

void Lane::after_reply() {
  if (blocked_ && kept_bytes_ < max_bytes_ / 2 && pending_.size() < max_requests_ / 2) {
    blocked_ = false;
    pool_.handler_.on_room();
  }
}

}  // namespace pool
