#include "uring/relay.h"

#include <sys/socket.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <utility>

namespace uring {

void RelayRoom::pump() {
  const std::vector<Relay*> now = std::exchange(going_on, {});
  for (Relay* relay : now) relay->going_on_ = false;
  for (Relay* relay : now) relay->pump();
}

bool Relay::start(Stream& source, Stream& target, std::uint64_t bytes) {
  assert(!running() && bytes > 0);
  pipe_ = room_.pipes.take();
  if (pipe_ == nullptr) return false;
  source_ = &source;
  target_ = &target;
  left_ = bytes;
  futile_ = 0;
  source.tap_input(*this);
  target.tap_output(*this);
  pump();
  return true;
}

void Relay::skip(std::uint64_t bytes) {
  assert(bytes <= left_ && pipe_->bytes() == 0);
  left_ -= bytes;
}

void Relay::stop() {
  if (std::exchange(going_on_, false)) std::erase(room_.going_on, this);
  if (!running()) return;
  std::exchange(source_, nullptr)->untap_input();
  std::exchange(target_, nullptr)->untap_output();
  room_.pipes.give(std::move(pipe_));
  left_ = 0;
}

std::string Relay::take_rest() {
  std::string rest(pipe_->bytes(), '\0');
  for (std::size_t used = 0; used < rest.size();) {
    const std::int64_t result = pipe_->read(rest.data() + used, rest.size() - used);
    assert(result > 0);
    used += static_cast<std::size_t>(result);
  }
  return rest;
}

void Relay::on_input() {
  pump();
}

void Relay::on_output() {
  pump();
}

void Relay::pump() {
  if (!running() || going_on_ || !source_->input_is_free() || !target_->output_is_free()) return;
  std::uint64_t share = kShare;
  while (true) {
    bool dry = left_ == 0;
    if (left_ > 0) {
      const std::int64_t result = pipe_->fill(source_->fd(), left_);
      if (result == 0) return handler_.on_source_broken(0);
      dry = result == -EAGAIN || result == -EINTR;
      if (result < 0 && !dry) return handler_.on_source_broken(static_cast<int>(-result));
      if (result > 0) {
        left_ -= static_cast<std::uint64_t>(result);
        futile_ = 0;
      }
    }
    if (pipe_->bytes() == 0) {
      if (left_ == 0) return finish();
      // An urgent byte (TCP's MSG_OOB) is in the way of splice(2), and poll(2) says that there is something to read.
      if (dry && ++futile_ > kMostFutile) return handler_.on_source_broken(EPROTO);
      if (dry) return source_->await_input();
    }
    const std::int64_t result = pipe_->drain(target_->fd(), left_ > 0);
    if (result == -EAGAIN) {
      target_->await_output();
      return handler_.on_target_full();
    }
    if (result < 0 && result != -EINTR) {
      // Whatever it was: the value is cut off, so nothing may follow it, and the target's owner hears of an end.
      ::shutdown(target_->fd(), SHUT_RDWR);
      return handler_.on_target_broken(static_cast<int>(-result));
    }
    const auto moved = static_cast<std::uint64_t>(std::max<std::int64_t>(result, 0));
    room_.relayed_bytes += moved;
    if (left_ == 0 && pipe_->bytes() == 0) return finish();
    share -= std::min(share, moved);
    if (share == 0) {
      going_on_ = true;
      room_.going_on.push_back(this);
      return;
    }
  }
}

void Relay::finish() {
  stop();
  handler_.on_relayed();
}

}  // namespace uring
