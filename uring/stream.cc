#include "uring/stream.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "uring/abi.h"

namespace uring {

void StreamRoom::rearm() {
  is_scarce = !starved.empty();
  for (Stream* stream : starved) stream->receive();
  starved.clear();
  for (Stream* stream : served) stream->receive();
  served.clear();
}

Stream::Stream(StreamRoom& room, StreamHandler& handler)
    : room_(room),
      handler_(handler),
      receive_(Operation::bound<&Stream::on_receive>(this)),
      send_(Operation::bound<&Stream::on_send>(this)),
      close_(Operation::bound<&Stream::on_close>(this)) {}

Stream::~Stream() {
  assert(is_closed());
  queue_.clear(room_.chunks);
}

void Stream::open(int fd) {
  assert(is_closed() && fd >= 0);
  fd_ = fd;
  state_ = State::kOpen;
  ended_ = paused_ = starved_ = false;
  polls_input_ = polls_output_ = false;
  receive();
}

bool Stream::may_receive() const {
  return !receive_.in_flight() && !paused_ && state_ == State::kOpen && !ended_;
}

void Stream::receive_into(char* place, std::uint32_t bytes) {
  if (!may_receive()) return;
  fills_ = true;
  room_.ring.start(receive_, [&](io_uring_sqe* sqe) { io_uring_prep_recv(sqe, fd_, place, bytes, 0); });
}

void Stream::receive() {
  starved_ = false;
  if (!may_receive()) return;
  room_.ring.start(receive_, [this](io_uring_sqe* sqe) {
    if (receive_bytes_ == 0) {
      io_uring_prep_recv_multishot(sqe, fd_, nullptr, 0, 0);
      if (room_.receive_limit != 0) abi::limit_receive(sqe, room_.receive_limit);
    } else {
      io_uring_prep_recv(sqe, fd_, nullptr, receive_bytes_, 0);
    }
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = room_.buffers.group();
  });
}

void Stream::tap_input(StreamTap& tap) {
  input_tap_ = &tap;
  pause();
}

void Stream::untap_input() {
  input_tap_ = nullptr;
  // A poll that is still under way ends with the first byte; what it finds is received then.
  resume();
}

void Stream::await_input() {
  assert(input_is_free() && state_ == State::kOpen);
  polls_input_ = true;
  room_.ring.start(receive_, [this](io_uring_sqe* sqe) { io_uring_prep_poll_add(sqe, fd_, POLLIN | POLLRDHUP); });
}

void Stream::await_output() {
  assert(output_is_free() && is_open());
  polls_output_ = true;
  room_.ring.start(send_, [this](io_uring_sqe* sqe) { io_uring_prep_poll_add(sqe, fd_, POLLOUT); });
}

void Stream::on_receive(Completion completion) {
  if (std::exchange(polls_input_, false)) {
    if (state_ == State::kClosing) return join();
    if (input_tap_ != nullptr) return input_tap_->on_input();
    return paused_ ? handler_.on_paused() : receive();
  }
  const bool filled = std::exchange(fills_, false);
  if (completion.result > 0) {
    ++room_.receives;
    room_.bytes_received += static_cast<std::uint64_t>(completion.result);
    hand_over(completion, filled);
    if (paused_) cancel_receive();
  } else if (completion.result == -ENOBUFS) {
    starved_ = true;
    ++room_.starvations;
    room_.starved.push_back(this);
  } else if (completion.result != -ECANCELED && completion.result != -EINTR) {
    end(-completion.result);
  }
  if (completion.more()) return;
  if (state_ == State::kClosing) {
    join();
  } else if (input_tap_ != nullptr) {
    input_tap_->on_input();
  } else if (paused_) {
    // Not if the handler has resumed and paused it anew meanwhile.
    if (input_is_free()) handler_.on_paused();
  } else if (completion.result > 0 && room_.is_scarce) {
    room_.served.push_back(this);
  } else if (!starved_) {
    receive();
  }
}

void Stream::hand_over(Completion completion, bool filled) {
  if (filled) {
    if (state_ == State::kOpen) handler_.on_filled(static_cast<std::uint32_t>(completion.result));
    return;
  }
  Lease lease = room_.buffers.lease(completion);
  if (state_ == State::kOpen) handler_.on_received(std::move(lease));
}

void Stream::end(int error) {
  if (ended_ || state_ == State::kClosing) return;
  ended_ = true;
  // While draining, the end of the input is no news: what is queued still goes out.
  if (state_ == State::kOpen || error != 0) handler_.on_ended(error);
}

void Stream::pause() {
  if (paused_) return;
  paused_ = true;
  cancel_receive();
}

void Stream::resume() {
  if (!paused_) return;
  paused_ = false;
  receive();
}

int Stream::release() {
  assert(state_ == State::kOpen && input_is_free() && output_is_free());
  queue_.clear(room_.chunks);
  state_ = State::kClosed;
  return std::exchange(fd_, -1);
}

void Stream::cancel_receive() {
  if (!receive_.in_flight()) return;
  // By descriptor the kernel would look through all that is under way.
  room_.ring.start_unwatched([this](io_uring_sqe* sqe) { io_uring_prep_cancel(sqe, &receive_, 0); });
}

void Stream::flush() {
  if (!is_open() || send_.in_flight() || queue_.bytes() == 0) return;
  ++room_.sends;
  room_.ring.count_send();
  iovec pieces[Ring::kMaxIovecs];
  const unsigned count = queue_.gather(pieces);
  room_.ring.start(send_, [&](io_uring_sqe* sqe) {
    // MSG_WAITALL: the kernel goes on after a short send by itself, without a turn in between.
    if (count == 1) {
      io_uring_prep_send(sqe, fd_, pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL | MSG_WAITALL);
      return;
    }
    msghdr* message = room_.ring.gather_message(count);
    std::copy_n(pieces, count, message->msg_iov);
    io_uring_prep_sendmsg(sqe, fd_, message, MSG_NOSIGNAL | MSG_WAITALL);
  });
}

void Stream::on_send(Completion completion) {
  if (state_ == State::kClosing) return join();
  // Whatever a poll has to say about the socket, the next write says it.
  if (!std::exchange(polls_output_, false)) {
    if (completion.result < 0) {
      // Nothing was sent. What goes with the next attempt is the owner's to know, so it flushes.
      if (completion.result == -EINTR || completion.result == -EAGAIN) return handler_.on_sent();
      // Tell the owner even when the input has ended already: its last bytes will never arrive.
      ended_ = false;
      return end(-completion.result);
    }
    room_.bytes_sent += static_cast<std::uint64_t>(completion.result);
    queue_.consume(room_.chunks, static_cast<std::size_t>(completion.result));
  }
  if (state_ == State::kDraining && queue_.bytes() == 0) return close();
  // Of a tap that has gone while it waited, the owner may have queued the rest: that goes before a next tap writes.
  handler_.on_sent();
  if (output_tap_ != nullptr && output_is_free()) output_tap_->on_output();
}

void Stream::drain_and_close() {
  if (state_ != State::kOpen) return;
  if (queue_.bytes() == 0 && !send_.in_flight()) return close();
  state_ = State::kDraining;
  cancel_receive();
}

void Stream::close() {
  if (!is_open()) return;
  state_ = State::kClosing;
  // A plain system call: it never blocks, and all that is in flight completes because of it. Of a receive that has just
  // been woken some kernels miss that (CVE-2026-23473).
  ::shutdown(fd_, SHUT_RDWR);
  cancel_receive();
  join();
}

void Stream::join() {
  if (receive_.in_flight() || send_.in_flight() || close_.in_flight()) return;
  queue_.clear(room_.chunks);
  room_.ring.start(close_, [this](io_uring_sqe* sqe) { io_uring_prep_close(sqe, fd_); });
}

void Stream::on_close(Completion) {
  fd_ = -1;
  state_ = State::kClosed;
  handler_.on_closed();
}

}  // namespace uring
