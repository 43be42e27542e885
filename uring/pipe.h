// A kernel pipe: what splice(2) needs between two sockets. It holds references to the pages that a socket received, so
// bytes pass through it without a copy. Never goes back to its pool while it still holds bytes. The process must ignore
// SIGPIPE: splice(2) has no MSG_NOSIGNAL. Thread: one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace uring {

class Pipe {
 public:
  /// Invalid (valid() is false) when the process has no descriptors left.
  explicit Pipe(std::uint32_t capacity);
  ~Pipe();
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  [[nodiscard]] bool valid() const { return read_end_ >= 0; }
  [[nodiscard]] std::uint32_t bytes() const { return bytes_; }
  /// What it takes at most, in bytes. Many small pieces fill it earlier.
  [[nodiscard]] std::uint32_t capacity() const { return capacity_; }

  /// At most `count` bytes from a socket, as many as are there. As splice(2): 0 at its end, else -errno; -EAGAIN also
  /// when the pipe is full.
  [[nodiscard]] std::int64_t fill(int socket, std::uint64_t count);
  /// As much as the socket takes at once; `more`: further bytes follow (MSG_MORE). -EAGAIN when it takes none.
  [[nodiscard]] std::int64_t drain(int socket, bool more);
  /// Bytes back into memory. -errno on failure.
  [[nodiscard]] std::int64_t read(char* to, std::size_t count);

 private:
  int read_end_ = -1;
  int write_end_ = -1;
  std::uint32_t capacity_ = 0;
  std::uint32_t bytes_ = 0;
};

/// Empty pipes kept for the next transfer.
class PipePool {
 public:
  /// `capacity` of each pipe, in bytes; `kept` at most while nobody uses them.
  PipePool(std::uint32_t capacity, std::size_t kept) : capacity_(capacity), kept_(kept) {}

  /// nullptr when no descriptor is left.
  [[nodiscard]] std::unique_ptr<Pipe> take();
  void give(std::unique_ptr<Pipe> pipe);

 private:
  std::uint32_t capacity_;
  std::size_t kept_;
  std::vector<std::unique_ptr<Pipe>> free_;
};

}  // namespace uring
