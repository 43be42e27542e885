// A client that goes to another worker.
//
// It goes when nothing of it is under way: all it has sent is answered, nothing more has come, and what was sent to it
// is out. A client that waits for a reply sends nothing until it has come, so with that reply the worker stops reading.
// What comes all the same is answered here first.
#include <cassert>
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
  if (!is_answered() || stream_.input_is_free() || worker_.next_worker(*this) == nullptr) return;
  stay_ = Stay::kIsLeaving;
  stream_.pause();
}

void Session::on_paused() {
  if (std::exchange(stay_, Stay::kStays) != Stay::kIsLeaving || hold_ != Hold::kNone) return;
  assert(is_answered());
  Worker* next_worker = worker_.next_worker(*this);
  // One whose reply cannot be sent yet may not read it before it has sent more.
  if (next_worker == nullptr || !stream_.output_is_free()) return stream_.resume();
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
