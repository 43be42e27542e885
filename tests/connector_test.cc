// Outgoing connections: made, refused, too late, or called off; the handler hears exactly one of it.
#include "uring/connector.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <string>
#include <vector>

#include "tests/support/loopback.h"
#include "tests/support/turns.h"

namespace uring {
namespace {

using std::chrono::milliseconds;
using tests::LoopbackListener;
using tests::Peer;
using tests::Turns;

struct Caller final : ConnectHandler {
  explicit Caller(Turns& turns) : connector(turns.ring, *this) {}
  void on_connected(int fd) override {
    EXPECT_FALSE(connector.in_flight()) << "it can connect again from here";
    connected.emplace_back(fd);
  }
  void on_connect_failed(int error) override {
    EXPECT_FALSE(connector.in_flight());
    errors.push_back(error);
  }
  [[nodiscard]] bool heard() const { return !connected.empty() || !errors.empty(); }

  Connector connector;
  std::vector<Peer> connected;
  std::vector<int> errors;
};

SocketAddress loopback(std::uint16_t port, const char* host = "127.0.0.1") {
  return *SocketAddress::numeric(host, port);
}

/// A listener that accepts nobody: its queue is full, so the kernel drops the SYN of whoever comes next.
class BusyListener {
 public:
  BusyListener() : listener_(AF_INET, 0) {
    for (int i = 0; i < 8; ++i) {
      const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
      const SocketAddress address = loopback(listener_.port());
      static_cast<void>(::connect(fd, address.get(), address.length));
      waiting_.emplace_back(fd);
    }
  }
  [[nodiscard]] std::uint16_t port() const { return listener_.port(); }

 private:
  LoopbackListener listener_;
  std::vector<Peer> waiting_;
};

std::size_t open_descriptors() {
  const int lowest_free = ::dup(0);
  ::close(lowest_free);
  return static_cast<std::size_t>(lowest_free);
}

TEST(SocketAddress, Numeric) {
  const auto v4 = SocketAddress::numeric("10.1.2.3", 6379);
  ASSERT_TRUE(v4);
  EXPECT_EQ(v4->family(), AF_INET);
  const auto* in = reinterpret_cast<const sockaddr_in*>(v4->get());
  EXPECT_EQ(in->sin_addr.s_addr, htonl(0x0a010203));
  EXPECT_EQ(in->sin_port, htons(6379));
  EXPECT_EQ(v4->length, sizeof(sockaddr_in));

  const auto v6 = SocketAddress::numeric("::1", 7000);
  ASSERT_TRUE(v6);
  EXPECT_EQ(v6->family(), AF_INET6);
  EXPECT_EQ(reinterpret_cast<const sockaddr_in6*>(v6->get())->sin6_port, htons(7000));

  for (const char* name : {"", "localhost", "10.1.2", "10.1.2.3.4", "[::1]", "1.2.3.4 ", "::1%"}) {
    EXPECT_FALSE(SocketAddress::numeric(name, 1)) << name;
  }
}

TEST(SocketAddress, UnixPath) {
  const auto address = SocketAddress::unix_path("/run/sluice.sock");
  ASSERT_TRUE(address);
  EXPECT_EQ(address->family(), AF_UNIX);
  EXPECT_STREQ(reinterpret_cast<const sockaddr_un*>(address->get())->sun_path, "/run/sluice.sock");
  constexpr std::size_t kRoom = sizeof(sockaddr_un::sun_path);
  EXPECT_TRUE(SocketAddress::unix_path(std::string(kRoom - 1, 'x')));
  EXPECT_FALSE(SocketAddress::unix_path(std::string(kRoom, 'x')));
  EXPECT_FALSE(SocketAddress::unix_path(""));
}

TEST(Connector, ConnectsOverBothFamilies) {
  for (const auto& [family, host] : {std::pair(AF_INET, "127.0.0.1"), std::pair(AF_INET6, "::1")}) {
    Turns turns;
    LoopbackListener listener(family);
    Caller caller(turns);
    caller.connector.connect(loopback(listener.port(), host), milliseconds(5000));
    EXPECT_TRUE(caller.connector.in_flight());
    EXPECT_FALSE(caller.heard());
    ASSERT_TRUE(turns.until([&] { return caller.heard(); })) << host;
    ASSERT_EQ(caller.connected.size(), 1U) << host;
    Peer accepted(listener.accept());
    ASSERT_TRUE(accepted.is_open());
    caller.connected[0].send("hello");
    ASSERT_TRUE(turns.until([&] { return accepted.receive() == "hello"; }));

    int on = 0;
    socklen_t length = sizeof on;
    ASSERT_EQ(::getsockopt(caller.connected[0].fd(), IPPROTO_TCP, TCP_NODELAY, &on, &length), 0);
    EXPECT_EQ(on, 1);
    ASSERT_EQ(::getsockopt(caller.connected[0].fd(), SOL_SOCKET, SO_KEEPALIVE, &on, &length), 0);
    EXPECT_EQ(on, 1);
  }
}

TEST(Connector, ConnectsToAUnixPath) {
  Turns turns;
  const std::string path = testing::TempDir() + "sluice-connector-" + std::to_string(::getpid());
  const SocketAddress address = *SocketAddress::unix_path(path);
  Peer listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(listener.fd(), address.get(), address.length), 0);
  ASSERT_EQ(::listen(listener.fd(), 8), 0);
  Caller caller(turns);
  caller.connector.connect(address, milliseconds(5000));
  ASSERT_TRUE(turns.until([&] { return caller.heard(); }));
  EXPECT_EQ(caller.connected.size(), 1U);
  caller.connected.clear();

  ::unlink(path.c_str());
  caller.connector.connect(address, milliseconds(5000));
  ASSERT_TRUE(turns.until([&] { return caller.heard(); }));
  EXPECT_EQ(caller.errors, std::vector<int>{ENOENT});
}

TEST(Connector, IsRefused) {
  Turns turns;
  LoopbackListener listener;
  const std::uint16_t port = listener.port();
  listener.close();
  const std::size_t before = open_descriptors();
  Caller caller(turns);
  for (std::size_t i = 1; i <= 3; ++i) {
    caller.connector.connect(loopback(port), milliseconds(5000));
    ASSERT_TRUE(turns.until([&] { return caller.errors.size() == i; }));
    EXPECT_EQ(caller.errors.back(), ECONNREFUSED);
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST(Connector, GivesUpAtTheDeadline) {
  Turns turns;
  BusyListener listener;
  const std::size_t before = open_descriptors();
  Caller caller(turns);
  const auto begin = std::chrono::steady_clock::now();
  caller.connector.connect(loopback(listener.port()), milliseconds(50));
  ASSERT_TRUE(turns.until([&] { return caller.heard(); }));
  EXPECT_EQ(caller.errors, std::vector<int>{ETIMEDOUT});
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(50));
  EXPECT_EQ(open_descriptors(), before);
}

// The connect and its deadline are a chain, which an early submit between the two would cut.
TEST(Connector, KeepsItsDeadlineHoweverFullTheRingIs) {
  for (unsigned filled = 0; filled < 8; ++filled) {
    Turns turns({}, 8);
    BusyListener listener;
    Caller caller(turns);
    for (unsigned i = 0; i < filled; ++i) {
      turns.ring.start_unwatched([](io_uring_sqe* sqe) { io_uring_prep_nop(sqe); });
    }
    caller.connector.connect(loopback(listener.port()), milliseconds(20));
    ASSERT_TRUE(turns.until([&] { return caller.heard(); })) << "with " << filled << " before";
    EXPECT_EQ(caller.errors, std::vector<int>{ETIMEDOUT});
  }
}

TEST(Connector, CanBeCalledOff) {
  for (const int turns_before : {0, 1, 3}) {
    Turns turns;
    BusyListener listener;
    Caller caller(turns);
    caller.connector.connect(loopback(listener.port()), milliseconds(60'000));
    turns.turn(turns_before);
    EXPECT_FALSE(caller.heard());
    caller.connector.cancel();
    ASSERT_TRUE(turns.until([&] { return caller.heard(); }));
    EXPECT_EQ(caller.errors, std::vector<int>{ECANCELED});
    caller.connector.cancel();
    turns.turn(3);
    EXPECT_EQ(caller.errors.size(), 1U);
  }
}

TEST(Connector, CalledOffTooLateIsConnectedAfterAll) {
  Turns turns;
  LoopbackListener listener;
  Caller caller(turns);
  caller.connector.connect(loopback(listener.port()), milliseconds(5000));
  ASSERT_FALSE(turns.ring.wait(2, milliseconds(1000)));
  caller.connector.cancel();
  ASSERT_TRUE(turns.until([&] { return caller.heard(); }));
  EXPECT_EQ(caller.connected.size(), 1U);
  turns.turn(3);
  EXPECT_TRUE(caller.errors.empty());
}

// Told in a later turn like any other outcome; nothing is connecting that could be called off.
TEST(Connector, FailsWithoutDescriptors) {
  for (const bool called_off : {false, true}) {
    Turns turns;
    Caller caller(turns);
    rlimit limit{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
    const rlimit none{.rlim_cur = 0, .rlim_max = limit.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
    caller.connector.connect(loopback(1), milliseconds(1000));
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
    EXPECT_FALSE(caller.heard());
    if (called_off) caller.connector.cancel();
    ASSERT_TRUE(turns.until([&] { return caller.heard(); }));
    EXPECT_EQ(caller.errors, std::vector<int>{EMFILE});

    LoopbackListener listener;
    caller.connector.connect(loopback(listener.port()), milliseconds(5000));
    ASSERT_TRUE(turns.until([&] { return caller.connected.size() == 1; }));
  }
}

}  // namespace
}  // namespace uring
