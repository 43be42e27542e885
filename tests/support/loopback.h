// Sockets on the loopback address for tests: a listener on a free port, and connected TCP pairs.
// Thread: one.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <utility>

#include "tests/support/turns.h"

namespace tests {

/// Listens on 127.0.0.1 or ::1, on a port of the kernel's choice.
class LoopbackListener {
 public:
  explicit LoopbackListener(int family = AF_INET, int backlog = 128) {
    fd_ = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    require(fd_ >= 0, "socket");
    sockaddr_storage storage{};
    socklen_t length = sizeof(sockaddr_in);
    storage.ss_family = static_cast<sa_family_t>(family);
    if (family == AF_INET) {
      reinterpret_cast<sockaddr_in*>(&storage)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    } else {
      reinterpret_cast<sockaddr_in6*>(&storage)->sin6_addr = in6addr_loopback;
      length = sizeof(sockaddr_in6);
    }
    require(::bind(fd_, reinterpret_cast<const sockaddr*>(&storage), length) == 0, "bind");
    require(::listen(fd_, backlog) == 0, "listen");
    require(::getsockname(fd_, reinterpret_cast<sockaddr*>(&storage), &length) == 0, "getsockname");
    port_ = ntohs(family == AF_INET ? reinterpret_cast<sockaddr_in*>(&storage)->sin_port
                                    : reinterpret_cast<sockaddr_in6*>(&storage)->sin6_port);
  }
  LoopbackListener(const LoopbackListener&) = delete;
  LoopbackListener& operator=(const LoopbackListener&) = delete;
  ~LoopbackListener() { close(); }

  [[nodiscard]] std::uint16_t port() const { return port_; }

  /// The next connection that waits, -1 when none does.
  [[nodiscard]] int accept() {
    const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return -1;
    const int on = 1;
    static_cast<void>(::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
    return fd;
  }

  /// From now on connections are refused.
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_ = -1;
  std::uint16_t port_ = 0;
};

/// Two sockets connected over loopback TCP; the first for a Stream, the second for a Peer.
inline std::pair<int, int> tcp_pair() {
  LoopbackListener listener;
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  require(fd >= 0, "socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(listener.port());
  require(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0, "connect");
  const int other = listener.accept();
  require(other >= 0, "accept");
  const int on = 1;
  require(::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0, "TCP_NODELAY");
  return {fd, other};
}

}  // namespace tests
