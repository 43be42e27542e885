#include "uring/connector.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace uring {

std::optional<SocketAddress> SocketAddress::numeric(std::string_view host, std::uint16_t port) {
  const std::string text(host);
  SocketAddress address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  if (inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    address.length = sizeof(sockaddr_in);
    return address;
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    address.length = sizeof(sockaddr_in6);
    return address;
  }
  return std::nullopt;
}

bool SocketAddress::operator==(const SocketAddress& other) const {
  return length == other.length && std::memcmp(&storage, &other.storage, length) == 0;
}

std::optional<SocketAddress> SocketAddress::unix_path(std::string_view path) {
  SocketAddress address;
  auto* local = reinterpret_cast<sockaddr_un*>(&address.storage);
  if (path.empty() || path.size() >= sizeof(local->sun_path)) return std::nullopt;
  local->sun_family = AF_UNIX;
  std::memcpy(local->sun_path, path.data(), path.size());
  address.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return address;
}

std::vector<SocketAddress> SocketAddress::of_name(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  if (::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list) != 0) return {};
  std::vector<SocketAddress> addresses;
  for (const addrinfo* each = list; each != nullptr; each = each->ai_next) {
    SocketAddress& address = addresses.emplace_back();
    std::memcpy(&address.storage, each->ai_addr, each->ai_addrlen);
    address.length = each->ai_addrlen;
  }
  ::freeaddrinfo(list);
  return addresses;
}

Connector::Connector(Ring& ring, ConnectHandler& handler)
    : ring_(ring),
      handler_(handler),
      connect_(Operation::bound<&Connector::on_connect>(this)),
      deadline_(Operation::bound<&Connector::on_deadline>(this)) {}

Connector::~Connector() {
  assert(!in_flight());
}

void Connector::connect(const SocketAddress& address, std::chrono::milliseconds timeout) {
  assert(!in_flight() && fd_ < 0);
  address_ = address;
  expired_ = false;
  fd_ = ::socket(address_.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd_ < 0) {
    // Told in a later turn like any other outcome: the caller is not prepared for it now.
    no_socket_ = errno;
    ring_.start(connect_, [](io_uring_sqe* sqe) { io_uring_prep_nop(sqe); });
    return;
  }
  if (address_.family() != AF_UNIX) {
    const int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    ::setsockopt(fd_, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  }
  limit_.tv_sec = timeout.count() / 1000;
  limit_.tv_nsec = timeout.count() % 1000 * 1'000'000;
  ring_.reserve(2);
  ring_.start(connect_, [this](io_uring_sqe* sqe) {
    io_uring_prep_connect(sqe, fd_, address_.get(), address_.length);
    sqe->flags |= IOSQE_IO_LINK;
  });
  ring_.start(deadline_, [this](io_uring_sqe* sqe) { io_uring_prep_link_timeout(sqe, &limit_, 0); });
}

void Connector::cancel() {
  if (!connect_.in_flight()) return;
  ring_.start_unwatched([this](io_uring_sqe* sqe) { io_uring_prep_cancel(sqe, &connect_, 0); });
}

void Connector::on_connect(Completion completion) {
  result_ = fd_ < 0 ? -no_socket_ : completion.result;
  finish();
}

void Connector::on_deadline(Completion completion) {
  expired_ = completion.result == -ETIME;
  finish();
}

void Connector::finish() {
  if (in_flight()) return;
  const int fd = std::exchange(fd_, -1);
  if (result_ == 0) return handler_.on_connected(fd);
  if (fd >= 0) ::close(fd);
  handler_.on_connect_failed(expired_ && result_ == -ECANCELED ? ETIMEDOUT : -result_);
}

}  // namespace uring
