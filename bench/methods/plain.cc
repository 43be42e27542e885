#include "bench/methods/plain.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "bench/methods/failure.h"

namespace methods {

constexpr std::size_t kBufferBytes = 256U << 10;

void Plain::start() {
  for (const Route& route : work_.routes) lines_.emplace_back(work_, route).await_input();
}

Plain::Line::Line(Work& work, Route route)
    : work_(work),
      route_(route),
      input_(uring::Operation::bound<&Line::on_input>(this)),
      output_(uring::Operation::bound<&Line::on_output>(this)),
      buffer_(kBufferBytes) {}

void Plain::Line::await_input() {
  work_.ring.start(input_, [this](io_uring_sqe* sqe) { io_uring_prep_poll_add(sqe, route_.source, POLLIN); });
}

void Plain::Line::on_input(uring::Completion) {
  pump();
}

void Plain::Line::on_output(uring::Completion) {
  if (send_rest()) pump();
}

/// Until a receive comes back short: it has emptied the socket.
void Plain::Line::pump() {
  bool dry = false;
  while (!dry) {
    const ssize_t got = ::recv(route_.source, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    ++work_.calls;
    if (got < 0 && errno == EAGAIN) break;
    if (got <= 0) fail("receiving", got < 0 ? errno : ECONNRESET);
    begin_ = 0;
    end_ = static_cast<std::size_t>(got);
    dry = end_ < buffer_.size();
    if (!send_rest()) return;
  }
  await_input();
}

/// False: the target takes no more at the moment, and output_ waits for it.
bool Plain::Line::send_rest() {
  while (begin_ < end_) {
    const ssize_t sent = ::send(route_.target, buffer_.data() + begin_, end_ - begin_, MSG_DONTWAIT | MSG_NOSIGNAL);
    ++work_.calls;
    if (sent < 0 && errno != EAGAIN) fail("sending", errno);
    if (sent < 0) {
      work_.ring.start(output_, [this](io_uring_sqe* sqe) { io_uring_prep_poll_add(sqe, route_.target, POLLOUT); });
      return false;
    }
    begin_ += static_cast<std::size_t>(sent);
    work_.bytes += static_cast<std::uint64_t>(sent);
  }
  return true;
}

}  // namespace methods
