#include "bench/methods/leased.h"

#include <sys/socket.h>

#include <algorithm>
#include <cassert>
#include <cerrno>

#include "bench/methods/failure.h"

namespace methods {

constexpr std::uint32_t kBufferBytes = 128U << 10;
constexpr std::uint16_t kGroup = 0;

void Leased::start() {
  const bool dense = work_.features.incremental_buffers;
  if (const auto error = buffers_.open(work_.ring, kGroup, buffer_count_, kBufferBytes, dense)) {
    fail("registering buffers", error.value());
  }
  for (const Route& route : work_.routes) lines_.emplace_back(work_, buffers_, route).receive();
}

bool Leased::end_turn() {
  for (Line& line : lines_) {
    if (line.flush() && gathers_) work_.ring.count_send();
  }
  for (Line& line : lines_) {
    if (line.starved() && buffers_.held() < buffers_.count()) line.receive();
  }
  return false;
}

Leased::Line::Line(Work& work, uring::BufferRing& buffers, Route route)
    : work_(work),
      buffers_(buffers),
      route_(route),
      receive_(uring::Operation::bound<&Line::on_receive>(this)),
      send_(uring::Operation::bound<&Line::on_send>(this)) {}

void Leased::Line::receive() {
  work_.ring.start(receive_, [this](io_uring_sqe* sqe) {
    io_uring_prep_recv_multishot(sqe, route_.source, nullptr, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = buffers_.group();
  });
}

void Leased::Line::on_receive(uring::Completion completion) {
  if (completion.result == -ENOBUFS) return;
  if (completion.result <= 0) fail("receiving", -completion.result);
  leases_.push_back(buffers_.lease(completion));
}

bool Leased::Line::flush() {
  if (send_.in_flight() || leases_.empty()) return false;
  sending_ = std::min(static_cast<unsigned>(leases_.size()), uring::Ring::kMaxIovecs);
  msghdr* message = work_.ring.gather_message(sending_);
  for (unsigned i = 0; i < sending_; ++i) {
    const std::string_view bytes = leases_[i].bytes();
    message->msg_iov[i] = {const_cast<char*>(bytes.data()), bytes.size()};
  }
  work_.ring.start(send_, [&](io_uring_sqe* sqe) {
    io_uring_prep_sendmsg(sqe, route_.target, message, MSG_NOSIGNAL | MSG_WAITALL);
  });
  return true;
}

void Leased::Line::on_send(uring::Completion completion) {
  if (completion.result < 0) fail("sending", -completion.result);
  std::uint64_t left = static_cast<std::uint64_t>(completion.result);
  work_.bytes += left;
  for (; sending_ > 0; --sending_) {
    left -= leases_.front().bytes().size();
    leases_.pop_front();
  }
  assert(left == 0);
}

}  // namespace methods
