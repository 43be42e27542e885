#include "bench/methods/punted.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "bench/methods/failure.h"

namespace methods {

void Punted::start() {
  for (const Route& route : work_.routes) lines_.emplace_back(work_, route, pipe_bytes_).fill();
}

/// uring::Pipe is no use here: its ends are O_NONBLOCK, with which these operations would not wait.
Punted::Line::Line(Work& work, Route route, std::uint32_t pipe_bytes)
    : work_(work),
      route_(route),
      fill_(uring::Operation::bound<&Line::on_filled>(this)),
      drain_(uring::Operation::bound<&Line::on_drained>(this)) {
  int ends[2];
  check("pipe", ::pipe2(ends, O_CLOEXEC));
  read_end_ = ends[0];
  write_end_ = ends[1];
  capacity_ = static_cast<std::uint32_t>(
      check("F_SETPIPE_SZ", ::fcntl(write_end_, F_SETPIPE_SZ, static_cast<int>(pipe_bytes))));
}

void Punted::Line::fill() {
  work_.ring.start(fill_, [this](io_uring_sqe* sqe) {
    io_uring_prep_splice(sqe, route_.source, -1, write_end_, -1, capacity_, SPLICE_F_MOVE);
  });
}

void Punted::Line::on_filled(uring::Completion completion) {
  if (completion.result <= 0) fail("splice from the source", completion.result < 0 ? -completion.result : ECONNRESET);
  bytes_ = static_cast<std::uint32_t>(completion.result);
  drain();
}

void Punted::Line::drain() {
  work_.ring.start(drain_, [this](io_uring_sqe* sqe) {
    io_uring_prep_splice(sqe, read_end_, -1, route_.target, -1, bytes_, SPLICE_F_MOVE);
  });
}

void Punted::Line::on_drained(uring::Completion completion) {
  if (completion.result <= 0) fail("splice to the target", -completion.result);
  bytes_ -= static_cast<std::uint32_t>(completion.result);
  work_.bytes += static_cast<std::uint64_t>(completion.result);
  if (bytes_ > 0) drain();
  if (bytes_ == 0) fill();
}

}  // namespace methods
