#include "bench/methods/quiet_pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "bench/methods/failure.h"

namespace methods {

QuietPipe::QuietPipe(std::uint32_t capacity) {
  int ends[2];
  check("pipe", ::pipe2(ends, O_CLOEXEC | O_NONBLOCK));
  read_end_ = ends[0];
  write_end_ = ends[1];
  capacity_ =
      static_cast<std::uint32_t>(check("F_SETPIPE_SZ", ::fcntl(write_end_, F_SETPIPE_SZ, static_cast<int>(capacity))));
}

std::int64_t QuietPipe::fill(int socket, std::uint64_t count) {
  const std::uint64_t room = capacity_ - bytes_;
  if (room == 0) return -EAGAIN;
  const ssize_t result =
      ::splice(socket, nullptr, write_end_, nullptr, std::min(count, room), SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (result < 0) return -errno;
  bytes_ += static_cast<std::uint32_t>(result);
  return result;
}

std::int64_t QuietPipe::drain(int socket, bool more) {
  const unsigned flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | (more ? SPLICE_F_MORE : 0U);
  const ssize_t result = ::splice(read_end_, nullptr, socket, nullptr, bytes_, flags);
  if (result < 0) return -errno;
  bytes_ -= static_cast<std::uint32_t>(result);
  return result;
}

}  // namespace methods
