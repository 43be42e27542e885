#include "bench/methods/ends.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <new>
#include <string_view>
#include <vector>

#include "bench/methods/failure.h"

namespace methods {
namespace {

constexpr std::size_t kPeriod = 65521;  // a prime: bytes that are lost, doubled or swapped do not go unnoticed
constexpr std::size_t kStepBytes = 1U << 20;

/// The stream repeats itself after kPeriod bytes; every piece of kStepBytes lies in here somewhere.
std::vector<char> make_pattern() {
  std::vector<char> pattern(kPeriod + kStepBytes);
  std::uint32_t state = 1;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    state = state * 1664525U + 1013904223U;
    pattern[i] = i < kPeriod ? static_cast<char>(state >> 24U) : pattern[i - kPeriod];
  }
  return pattern;
}

void set_up(int fd, std::string_view congestion) {
  const int on = 1;
  check("TCP_NODELAY", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
  check("TCP_CONGESTION",
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion.data(), static_cast<socklen_t>(congestion.size())));
}

int connect_to(const sockaddr_in& address, std::string_view congestion) {
  const int fd = static_cast<int>(check("socket", socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)));
  set_up(fd, congestion);
  check("connect", connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address));
  return fd;
}

int accept_from(int listener, std::string_view congestion) {
  const int fd = static_cast<int>(check("accept", accept4(listener, nullptr, nullptr, SOCK_CLOEXEC)));
  set_up(fd, congestion);
  return fd;
}

/// The child's work. Each pair of sockets is one route's: one is written, what comes back on the other is its fruit.
class PingPong {
 public:
  PingPong(Ends::Shared& shared, std::uint64_t message_bytes)
      : shared_(shared),
        message_bytes_(message_bytes),
        pattern_(make_pattern()),
        scratch_(kStepBytes),
        epoll_(static_cast<int>(check("epoll_create1", epoll_create1(EPOLL_CLOEXEC)))) {}

  void add(int sender, int receiver) {
    watch(sender, 2 * pairs_.size(), EPOLLOUT);
    watch(receiver, 2 * pairs_.size() + 1, EPOLLIN);
    pairs_.push_back({.sender = sender, .receiver = receiver, .unsent = message_bytes_, .missing = message_bytes_});
  }

  /// Until the forwarder closes its sockets.
  void run() {
    std::array<epoll_event, 64> events;
    while (true) {
      const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
      if (count < 0 && errno != EINTR) fail("epoll_wait", errno);
      for (int i = 0; i < count; ++i) {
        const std::uint64_t place = events[static_cast<std::size_t>(i)].data.u64;
        Pair& pair = pairs_[place / 2];
        if (place % 2 == 0) send_on(pair);
        if (place % 2 == 1 && !receive_on(pair)) return;
      }
    }
  }

 private:
  struct Pair {
    int sender, receiver;
    std::uint64_t unsent, missing;  // of the current message
    std::uint64_t sent = 0, received = 0;
  };

  void watch(int fd, std::uint64_t place, std::uint32_t events) const {
    epoll_event event{.events = events | EPOLLET, .data = {.u64 = place}};
    check("epoll_ctl", epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event));
  }

  void send_on(Pair& pair) {
    while (pair.unsent > 0) {
      const std::size_t step = std::min<std::uint64_t>(pair.unsent, kStepBytes);
      const ssize_t sent = send(pair.sender, pattern_.data() + pair.sent % kPeriod, step, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent < 0 && (errno == EAGAIN || errno == EPIPE || errno == ECONNRESET)) return;
      if (sent < 0) fail("sender", errno);
      pair.unsent -= static_cast<std::uint64_t>(sent);
      pair.sent += static_cast<std::uint64_t>(sent);
    }
  }

  /// False at the end of the connection.
  bool receive_on(Pair& pair) {
    while (true) {
      const bool compares = !shared_.hurried.load(std::memory_order_relaxed);
      const int flags = compares ? MSG_DONTWAIT : MSG_DONTWAIT | MSG_TRUNC;  // TCP drops what is truncated, uncopied
      const ssize_t got = recv(pair.receiver, scratch_.data(), scratch_.size(), flags);
      if (got < 0 && errno == EAGAIN) return true;
      if (got <= 0) return false;
      const auto count = static_cast<std::size_t>(got);
      if (compares && std::memcmp(scratch_.data(), pattern_.data() + pair.received % kPeriod, count) != 0) {
        fail("what arrived is not what was sent", EILSEQ);
      }
      count_received(pair, count);
    }
  }

  void count_received(Pair& pair, std::size_t count) {
    if (count > pair.missing) fail("more arrived than was sent", EILSEQ);
    pair.received += count;
    pair.missing -= count;
    if (pair.missing > 0) return;
    shared_.messages.fetch_add(1, std::memory_order_relaxed);
    pair.unsent = pair.missing = message_bytes_;
    send_on(pair);
  }

  Ends::Shared& shared_;
  const std::uint64_t message_bytes_;
  const std::vector<char> pattern_;
  std::vector<char> scratch_;
  const int epoll_;
  std::vector<Pair> pairs_;
};

[[noreturn]] void run_child(PingPong play, unsigned routes, const sockaddr_in& address, std::string_view congestion) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (unsigned i = 0; i < routes; ++i) {
    const int sender = connect_to(address, congestion);
    play.add(sender, connect_to(address, congestion));
  }
  play.run();
  std::_Exit(0);
}

}  // namespace

Ends::Ends(unsigned routes, std::uint64_t message_bytes, std::string_view congestion) {
  void* page = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) fail("mmap", errno);
  shared_ = new (page) Shared;

  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  const int listener = static_cast<int>(check("socket", socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)));
  set_up(listener, congestion);
  check("bind", bind(listener, reinterpret_cast<const sockaddr*>(&address), length));
  check("listen", listen(listener, 64));
  check("getsockname", getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length));

  child_ = static_cast<pid_t>(check("fork", fork()));
  if (child_ == 0) run_child(PingPong(*shared_, message_bytes), routes, address, congestion);
  // The child connects one after the other, so they are accepted in that order.
  for (unsigned i = 0; i < routes; ++i) {
    const int source = accept_from(listener, congestion);
    routes_.push_back({.source = source, .target = accept_from(listener, congestion)});
  }
  close(listener);
}

void Ends::stop() {
  kill(child_, SIGKILL);
  waitpid(child_, nullptr, 0);
}

}  // namespace methods
