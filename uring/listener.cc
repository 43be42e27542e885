#include "uring/listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

namespace uring {
namespace {

constexpr int kBacklog = 4096;  // a storm of connections waits in the kernel; net.core.somaxconn caps it
constexpr std::chrono::milliseconds kRest{50};  // after EMFILE and the like: long enough not to spin
// The kernel takes down the ring of a process that was killed, and with it the socket it accepted on, some milliseconds
// after the process itself: whoever starts the next one at once must not fail.
constexpr std::chrono::milliseconds kBindPatience{2'000};
constexpr std::chrono::milliseconds kBindPause{50};

/// Any other file refuses connections, too, and is not ours to remove.
bool is_socket(const char* path) {
  struct stat file {};
  return ::lstat(path, &file) == 0 && S_ISSOCK(file.st_mode);
}

/// A socket that a listener has left behind. One that lives may have no room for this connection: nothing is waited
/// for.
bool is_stale(const SocketAddress& address, const char* path) {
  if (!is_socket(path)) return false;
  const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const bool refused = probe >= 0 && ::connect(probe, address.get(), address.length) < 0 && errno == ECONNREFUSED;
  if (probe >= 0) ::close(probe);
  return refused;
}

}  // namespace

Listener::Listener(Ring& ring, AcceptHandler& handler)
    : ring_(ring), handler_(handler), accept_(Operation::bound<&Listener::on_accept>(this)), rest_(ring, *this) {}

Listener::~Listener() {
  leave_path();
  if (fd_ >= 0) ::close(fd_);
}

std::error_code Listener::open(const SocketAddress& address) {
  tcp_ = address.family() != AF_UNIX;
  fd_ = ::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return {errno, std::system_category()};
  const int on = 1;
  if (tcp_) {
    ::setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    // Inherited by accepted sockets, which saves a system call for each.
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    ::setsockopt(fd_, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    if (address.family() == AF_INET6) ::setsockopt(fd_, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  }
  if (const std::error_code error = bind(address)) return error;
  if (::listen(fd_, kBacklog) < 0) return {errno, std::system_category()};
  return {};
}

std::error_code Listener::bind(const SocketAddress& address) {
  const char* path = tcp_ ? nullptr : reinterpret_cast<const sockaddr_un*>(address.get())->sun_path;
  const auto deadline = std::chrono::steady_clock::now() + kBindPatience;
  for (;;) {
    if (path != nullptr && is_stale(address, path)) ::unlink(path);
    if (::bind(fd_, address.get(), address.length) == 0) break;
    const std::error_code error(errno, std::system_category());
    const bool may_pass = error == std::errc::address_in_use && (path == nullptr || is_socket(path));
    if (!may_pass || std::chrono::steady_clock::now() >= deadline) return error;
    std::this_thread::sleep_for(kBindPause);
  }
  if (path != nullptr) unix_path_ = path;
  return {};
}

/// Before the socket ends: from then on another process may listen there.
void Listener::leave_path() {
  if (!unix_path_.empty()) ::unlink(unix_path_.c_str());
  unix_path_.clear();
}

void Listener::start() {
  accept();
}

void Listener::accept() {
  if (stopping_) return;
  ring_.start(accept_,
              [this](io_uring_sqe* sqe) { io_uring_prep_multishot_accept(sqe, fd_, nullptr, nullptr, SOCK_CLOEXEC); });
}

void Listener::stop() {
  stopping_ = true;
  rest_.cancel();
  leave_path();
  // The kernel would still take connections, for nobody.
  ::shutdown(fd_, SHUT_RDWR);
  if (!accept_.in_flight()) return;
  ring_.start_unwatched([this](io_uring_sqe* sqe) { io_uring_prep_cancel(sqe, &accept_, 0); });
}

void Listener::on_accept(Completion completion) {
  if (completion.result >= 0) {
    if (stopping_) {
      ::close(completion.result);
    } else {
      handler_.on_accepted(completion.result);
    }
  }
  if (completion.more() || stopping_) return;
  const bool exhausted = completion.result == -EMFILE || completion.result == -ENFILE ||
                         completion.result == -ENOBUFS || completion.result == -ENOMEM;
  if (exhausted) {
    if (!rest_.armed()) rest_.arm(kRest);
  } else {
    accept();
  }
}

}  // namespace uring
