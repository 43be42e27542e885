// A pipe for sockets that are O_NONBLOCK already: uring::Pipe without its two fcntl(2) around each splice(2).
#pragma once

#include <cstdint>

namespace methods {

class QuietPipe {
 public:
  explicit QuietPipe(std::uint32_t capacity);
  QuietPipe(const QuietPipe&) = delete;
  QuietPipe& operator=(const QuietPipe&) = delete;

  [[nodiscard]] std::uint32_t bytes() const { return bytes_; }
  /// Both as those of uring::Pipe.
  [[nodiscard]] std::int64_t fill(int socket, std::uint64_t count);
  [[nodiscard]] std::int64_t drain(int socket, bool more);

 private:
  int read_end_ = -1;
  int write_end_ = -1;
  std::uint32_t capacity_ = 0;
  std::uint32_t bytes_ = 0;
};

}  // namespace methods
