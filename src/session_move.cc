// A client that goes to another worker.
//
// It goes when nothing of it is under way: all it has sent is answered, nothing more has come, and what was sent to it
// is out. A client that waits for a reply sends nothing until it has come, so with that reply the worker stops reading;
// what comes all the same is answered here first. One that always has requests under way is not read for a moment when
// its worker is busy, until they are answered.
#include <utility>

#include "src/limits.h"
#include "src/session.h"
#include "src/worker.h"

namespace sluice {

/// Nothing it has sent is under way any more, but for what is being sent to it.
bool Session::is_answered() const {
  return line_.empty() && hold_ == Hold::kNone && input_ == nullptr && upload_ == nullptr && !in_refused_transaction &&
         !given_up_ && !ended_;
}

void Session::start_to_leave() {
  if (stay_ == Stay::kIsDraining) return leave_if_drained();
  if (stream_.paused() || stream_.input_is_free() || worker_.next_worker(*this) == nullptr) return;
  if (is_answered()) {
    stay_ = Stay::kIsLeaving;
  } else if (worker_.drains_clients() && hold_ == Hold::kNone && input_ == nullptr && upload_ == nullptr) {
    stay_ = Stay::kIsDraining;
    worker_.end_draining_soon(*this);
  } else {
    return;
  }
  stream_.pause();
}

void Session::stay() {
  if (stay_ != Stay::kIsLeaving && stay_ != Stay::kIsDraining) return;
  stay_ = Stay::kStays;
  // Else whoever holds it reads on when it is time.
  if (hold_ == Hold::kNone && upload_ == nullptr) stream_.resume();
}

void Session::on_paused() {
  if (stay_ == Stay::kIsDraining) leave_if_drained();
  if (stay_ == Stay::kIsLeaving) leave_or_stay();
}

void Session::leave_if_drained() {
  if (line_.empty() && stream_.input_is_free() && stream_.output_is_free()) leave_or_stay();
}

/// One whose reply cannot be sent yet may not read it before it has sent more. A drained one may be in the middle of a
/// request.
void Session::leave_or_stay() {
  Worker* next_worker = worker_.next_worker(*this);
  if (next_worker == nullptr || !is_answered() || !stream_.output_is_free()) return stay();
  worker_.move(*this, *next_worker);
}

MovingClient Session::leave() {
  stay_ = Stay::kHasLeft;
  hold_ = Hold::kFinished;
  worker_.reap_later(*this);
  return {.id = id_,
          .fd = stream_.release(),
          .protocol = protocol,
          .reply_mode = reply_mode,
          .database = database,
          .receives_in_pieces = receives_in_pieces_,
          .opened_ms = opened_ms_,
          .active_ms = active_ms_,
          .names = std::move(names_)};
}

void Session::open(MovingClient client) {
  protocol = client.protocol;
  reply_mode = client.reply_mode;
  database = client.database;
  names_ = std::move(client.names);
  opened_ms_ = client.opened_ms;
  active_ms_ = client.active_ms;
  receives_in_pieces_ = client.receives_in_pieces;
  if (receives_in_pieces_ > 0) stream_.receive_at_most(limits::kPieceBytes);
  stream_.open(client.fd);
}

}  // namespace sluice
