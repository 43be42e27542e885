#include "uring/pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace uring {
namespace {

/// SPLICE_F_NONBLOCK speaks for the pipe alone; whether a socket may block, the kernel asks its descriptor. The ring
/// must not meet O_NONBLOCK (its operations would end with -EAGAIN instead of waiting), so it is set for this one call.
std::int64_t splice_now(int from, int to, int socket, std::uint64_t count, unsigned flags) {
  ::fcntl(socket, F_SETFL, O_NONBLOCK);
  const ssize_t result = ::splice(from, nullptr, to, nullptr, count, SPLICE_F_MOVE | SPLICE_F_NONBLOCK | flags);
  const int error = errno;
  ::fcntl(socket, F_SETFL, 0);
  return result < 0 ? -error : result;
}

}  // namespace

Pipe::Pipe(std::uint32_t capacity) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return;
  read_end_ = ends[0];
  write_end_ = ends[1];
  // Beyond the user's share (pipe-user-pages-soft) the kernel gives less; whatever it gives works.
  ::fcntl(write_end_, F_SETPIPE_SZ, static_cast<int>(capacity));
  capacity_ = static_cast<std::uint32_t>(std::max(::fcntl(write_end_, F_GETPIPE_SZ), 4096));
}

Pipe::~Pipe() {
  if (!valid()) return;
  ::close(read_end_);
  ::close(write_end_);
}

std::int64_t Pipe::fill(int socket, std::uint64_t count) {
  const std::uint64_t room = capacity_ - bytes_;
  if (room == 0) return -EAGAIN;
  const std::int64_t result = splice_now(socket, write_end_, socket, std::min(count, room), 0);
  if (result > 0) bytes_ += static_cast<std::uint32_t>(result);
  return result;
}

std::int64_t Pipe::drain(int socket, bool more) {
  const std::int64_t result = splice_now(read_end_, socket, socket, bytes_, more ? SPLICE_F_MORE : 0U);
  if (result > 0) bytes_ -= static_cast<std::uint32_t>(result);
  return result;
}

std::int64_t Pipe::read(char* to, std::size_t count) {
  const ssize_t result = ::read(read_end_, to, std::min<std::size_t>(count, bytes_));
  if (result < 0) return -errno;
  bytes_ -= static_cast<std::uint32_t>(result);
  return result;
}

std::unique_ptr<Pipe> PipePool::take() {
  if (!free_.empty()) {
    std::unique_ptr<Pipe> pipe = std::move(free_.back());
    free_.pop_back();
    return pipe;
  }
  auto pipe = std::make_unique<Pipe>(capacity_);
  return pipe->valid() ? std::move(pipe) : nullptr;
}

void PipePool::give(std::unique_ptr<Pipe> pipe) {
  // One that the kernel made small is not kept: the next may be as large as it should.
  const bool is_good = pipe != nullptr && pipe->bytes() == 0 && pipe->capacity() >= capacity_;
  if (is_good && free_.size() < kept_) free_.push_back(std::move(pipe));
}

}  // namespace uring
