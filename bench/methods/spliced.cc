#include "bench/methods/spliced.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <type_traits>

#include "bench/methods/failure.h"
#include "uring/abi.h"
#include "uring/relay.h"

namespace methods {

using Start = SpliceChoice::Start;

constexpr std::uint32_t kBuffers = 64;  // as the lanes of a worker have them (src/limits.h)
constexpr std::uint32_t kBufferBytes = 128U << 10;

template <typename PipeType>
constexpr bool kIsQuiet = std::is_same_v<PipeType, QuietPipe>;
template <typename PipeType>
constexpr std::uint64_t kCallsPerSplice = kIsQuiet<PipeType> ? 1 : 3;

template <typename PipeType>
void Spliced<PipeType>::start() {
  const bool dense = work_.features.incremental_buffers;
  if (const auto error = buffers_.open(work_.ring, 0, kBuffers, kBufferBytes, dense)) {
    fail("registering buffers", error.value());
  }
  for (const Route& route : work_.routes) lines_.emplace_back(*this, route).begin_message();
}

template <typename PipeType>
bool Spliced<PipeType>::end_turn() {
  bool more = false;
  for (Line& line : lines_) more |= line.end_turn();
  return more;
}

template <typename PipeType>
Spliced<PipeType>::Line::Line(Spliced& method, Route route)
    : method_(method),
      route_(route),
      pipe_(method.choice_.pipe_bytes),
      receive_(uring::Operation::bound<&Line::on_receive>(this)),
      send_(uring::Operation::bound<&Line::on_send>(this)),
      input_(uring::Operation::bound<&Line::on_input>(this)),
      output_(uring::Operation::bound<&Line::on_output>(this)) {}

template <typename PipeType>
void Spliced<PipeType>::Line::begin_message() {
  left_ = method_.work_.message_bytes;
  if (method_.choice_.start == Start::kPoll) return await_input();
  // Of a message that came whole before the cancel the receive still runs.
  if (!receive_.in_flight()) receive();
}

// ---- the first bytes ----

template <typename PipeType>
void Spliced<PipeType>::Line::receive() {
  method_.work_.ring.start(receive_, [this](io_uring_sqe* sqe) {
    if (method_.choice_.start == Start::kMultishot) {
      io_uring_prep_recv_multishot(sqe, route_.source, nullptr, 0, 0);
    } else {
      io_uring_prep_recv(sqe, route_.source, nullptr, method_.choice_.head_bytes, 0);
    }
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = method_.buffers_.group();
  });
}

template <typename PipeType>
void Spliced<PipeType>::Line::cancel() {
  method_.work_.ring.start_unwatched([this](io_uring_sqe* sqe) {
    io_uring_prep_cancel_fd(sqe, route_.source, IORING_ASYNC_CANCEL_FD | uring::abi::kCancelOp);
    sqe->len = IORING_OP_RECV;
  });
}

template <typename PipeType>
void Spliced<PipeType>::Line::on_receive(uring::Completion completion) {
  if (completion.result > 0) {
    const bool is_first = left_ == method_.work_.message_bytes;
    left_ -= static_cast<std::uint64_t>(completion.result);
    leases_.push_back(method_.buffers_.lease(completion));
    if (is_first && left_ > 0 && completion.more()) cancel();
  } else if (completion.result != -ECANCELED && completion.result != -ENOBUFS) {
    fail("receiving", -completion.result);
  }
  going_on_ = true;
}

template <typename PipeType>
bool Spliced<PipeType>::Line::end_turn() {
  if (!going_on_ || send_.in_flight()) return false;
  if (leases_.empty()) {
    // Until the cancelled receive has ended, the socket is not ours to read.
    going_on_ = false;
    if (left_ == 0 || !receive_.in_flight()) pump();
    return going_on_;
  }
  send_leases();
  going_on_ = false;
  return false;
}

template <typename PipeType>
void Spliced<PipeType>::Line::send_leases() {
  sending_ = std::min(static_cast<unsigned>(leases_.size()), uring::Ring::kMaxIovecs);
  msghdr* message = method_.work_.ring.gather_message(sending_);
  for (unsigned i = 0; i < sending_; ++i) {
    message->msg_iov[i] = {const_cast<char*>(leases_[i].bytes().data()), leases_[i].bytes().size()};
  }
  method_.work_.ring.start(send_, [&](io_uring_sqe* sqe) {
    io_uring_prep_sendmsg(sqe, route_.target, message, MSG_NOSIGNAL | MSG_WAITALL);
  });
}

template <typename PipeType>
void Spliced<PipeType>::Line::on_send(uring::Completion completion) {
  if (completion.result < 0) fail("sending", -completion.result);
  method_.work_.bytes += static_cast<std::uint64_t>(completion.result);
  for (; sending_ > 0; --sending_) leases_.pop_front();
  going_on_ = true;
}

// ---- the splice phase ----

template <typename PipeType>
void Spliced<PipeType>::Line::on_input(uring::Completion) {
  pump();
}

template <typename PipeType>
void Spliced<PipeType>::Line::on_output(uring::Completion) {
  pump();
}

template <typename PipeType>
void Spliced<PipeType>::Line::pump() {
  set_nonblocking(true);
  Work& work = method_.work_;
  std::uint64_t share = uring::Relay::kShare;
  while (share > 0) {
    if (left_ > 0) {
      const std::int64_t result = pipe_.fill(route_.source, left_);
      work.calls += kCallsPerSplice<PipeType>;
      if (result == 0) fail("the source has ended", ECONNRESET);
      if (result < 0 && result != -EAGAIN) fail("splice from the source", static_cast<int>(-result));
      if (result > 0) left_ -= static_cast<std::uint64_t>(result);
    }
    if (pipe_.bytes() == 0 && left_ > 0) return await_input();
    if (pipe_.bytes() == 0) return finish_message();
    const std::int64_t result = pipe_.drain(route_.target, left_ > 0);
    work.calls += kCallsPerSplice<PipeType>;
    if (result == -EAGAIN) return await_output();
    if (result < 0) fail("splice to the target", static_cast<int>(-result));
    const auto moved = static_cast<std::uint64_t>(result);
    work.bytes += moved;
    share -= std::min(share, moved);
    if (left_ == 0 && pipe_.bytes() == 0) return finish_message();
  }
  going_on_ = true;
}

template <typename PipeType>
void Spliced<PipeType>::Line::finish_message() {
  going_on_ = false;
  set_nonblocking(false);
  begin_message();
}

template <typename PipeType>
void Spliced<PipeType>::Line::await_input() {
  going_on_ = false;
  set_low_water();
  method_.work_.ring.start(
      input_, [this](io_uring_sqe* sqe) { io_uring_prep_poll_add(sqe, route_.source, POLLIN | POLLRDHUP); });
}

template <typename PipeType>
void Spliced<PipeType>::Line::await_output() {
  going_on_ = false;
  method_.work_.ring.start(output_, [this](io_uring_sqe* sqe) { io_uring_prep_poll_add(sqe, route_.target, POLLOUT); });
}

template <typename PipeType>
void Spliced<PipeType>::Line::set_low_water() {
  if (method_.choice_.low_water_bytes == 0) return;
  const auto wanted = static_cast<std::uint32_t>(std::min<std::uint64_t>(left_, method_.choice_.low_water_bytes));
  if (wanted == low_water_) return;
  low_water_ = wanted;
  const int value = static_cast<int>(wanted);
  check("SO_RCVLOWAT", ::setsockopt(route_.source, SOL_SOCKET, SO_RCVLOWAT, &value, sizeof value));
  ++method_.work_.calls;
}

template <typename PipeType>
void Spliced<PipeType>::Line::set_nonblocking(bool on) {
  if (!kIsQuiet<PipeType> || nonblocking_ == on) return;
  nonblocking_ = on;
  for (const int fd : {route_.source, route_.target}) {
    check("F_SETFL", ::fcntl(fd, F_SETFL, on ? O_NONBLOCK : 0));
    ++method_.work_.calls;
  }
}

template class Spliced<uring::Pipe>;
template class Spliced<QuietPipe>;

}  // namespace methods
