// A worker's turn for tests of the wet rooms: a real ring, receive buffers and chunks, and the peer's plain side of a
// socket. Everything runs in one thread; what the test waits for, it waits for turn by turn.
// Thread: one.
#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "uring/faults.h"
#include "uring/features.h"
#include "uring/stream.h"

namespace tests {

inline void require(bool success, const char* what) {
  if (!success) throw std::system_error(errno, std::generic_category(), what);
}

struct BufferShape {
  std::uint32_t count = 16;
  std::uint32_t size = 4096;
  bool incremental = false;
};

class Turns {
 public:
  static constexpr std::chrono::seconds kPatience{10};  ///< nothing a test waits for takes longer, sanitizers included

  explicit Turns(BufferShape shape = {}, unsigned entries = 64, std::uint32_t chunk_bytes = 1024)
      : chunks(chunk_bytes, std::size_t{1} << 20), room{.ring = ring, .buffers = buffers, .chunks = chunks} {
    if (const std::error_code error = ring.open(entries)) throw std::system_error(error, "ring");
    if (const std::error_code error = buffers.open(ring, 1, shape.count, shape.size, shape.incremental)) {
      throw std::system_error(error, "buffer ring");
    }
  }

  [[nodiscard]] static const uring::Features& features() {
    static const uring::Features kFeatures = uring::probe_features().features;
    return kFeatures;
  }

  /// Waits (a moment at most), delivers, ends the turn as a worker does.
  void turn() {
    if (const std::error_code error = ring.wait(2, std::chrono::microseconds(200))) {
      throw std::system_error(error, "the ring failed");
    }
    ring.deliver();
    if (at_end) at_end();
    room.rearm();
  }

  void turn(int count) {
    for (int i = 0; i < count; ++i) turn();
  }

  /// Turns until `condition` holds; false when it never does.
  template <typename Condition>
  [[nodiscard]] bool until(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      turn();
    }
    return true;
  }

  uring::Ring ring;
  uring::BufferRing buffers;
  uring::ChunkPool chunks;
  uring::StreamRoom room;
  std::function<void()> at_end;  ///< the flush, before starved streams are armed again
};

/// The other side: a plain socket that never blocks. Closed when it goes out of scope.
class Peer {
 public:
  explicit Peer(int fd = -1) : fd_(fd) {}
  Peer(Peer&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Peer& operator=(Peer&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Peer() { close(); }

  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] bool is_open() const { return fd_ >= 0; }

  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  /// The end as a crash makes it on TCP: the other side gets ECONNRESET.
  void reset() {
    const linger now{.l_onoff = 1, .l_linger = 0};
    require(::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0, "SO_LINGER");
    close();
  }
  void finish_sending() { ::shutdown(fd_, SHUT_WR); }

  /// As much as goes without waiting; returns how much that was. 0 when the other side has gone, too.
  std::size_t send(std::string_view bytes) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent < 0 ? 0 : static_cast<std::size_t>(sent);
  }

  /// What is there now, at most `limit` bytes. Sets ended() at the end of the stream and when it broke.
  std::string receive(std::size_t limit = SIZE_MAX) {
    std::string received;
    std::array<char, 16384> buffer;
    while (received.size() < limit) {
      const std::size_t wanted = std::min(buffer.size(), limit - received.size());
      const ssize_t length = ::recv(fd_, buffer.data(), wanted, MSG_DONTWAIT);
      if (length < 0 && errno == EAGAIN) break;
      if (length <= 0) {
        ended_ = true;
        break;
      }
      received.append(buffer.data(), static_cast<std::size_t>(length));
    }
    return received;
  }
  [[nodiscard]] bool ended() const { return ended_; }

 private:
  int fd_;
  bool ended_ = false;
};

/// Two connected sockets; the first for a Stream, the second for a Peer.
inline std::pair<int, int> unix_pair() {
  std::array<int, 2> fds{};
  require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) == 0, "socketpair");
  return {fds[0], fds[1]};
}

/// Bytes of which no part looks like another.
inline std::string pattern(std::size_t size, std::uint32_t seed = 1) {
  std::string bytes(size, '\0');
  std::uint32_t state = seed * 2654435761U + 1;
  for (char& byte : bytes) {
    state = state * 1664525U + 1013904223U;
    byte = static_cast<char>(state >> 24);
  }
  return bytes;
}

/// Faults by function: what is not set does nothing.
class ScriptedFaults final : public uring::Faults {
 public:
  std::function<std::optional<int>(io_uring_sqe&)> prepare;
  std::function<void(std::span<uring::PendingCompletion>)> batch;

  std::optional<int> on_prepare(io_uring_sqe& sqe) override { return prepare ? prepare(sqe) : std::nullopt; }
  void on_batch(std::span<uring::PendingCompletion> completions) override {
    if (batch) batch(completions);
  }
};

}  // namespace tests
