// Listening sockets: everybody who comes is accepted, until told to stop; unix paths are taken over from the dead only.
#include "uring/listener.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/loopback.h"
#include "tests/support/turns.h"

namespace uring {
namespace {

using tests::Peer;
using tests::ScriptedFaults;
using tests::Turns;

/// A listener that keeps all it accepts; stopped before it goes out of scope.
struct Door final : AcceptHandler {
  explicit Door(Turns& owner) : turns(owner), listener(std::make_unique<Listener>(owner.ring, *this)) {}
  ~Door() {
    listener->stop();
    EXPECT_TRUE(turns.until([this] { return !listener->in_flight(); }));
  }
  void on_accepted(int fd) override { accepted.emplace_back(fd); }

  Turns& turns;
  std::unique_ptr<Listener> listener;
  std::vector<Peer> accepted;
};

/// A free port of the loopback address: one that a listener had a moment ago.
SocketAddress free_address(int family = AF_INET) {
  const tests::LoopbackListener taken(family);
  return *SocketAddress::numeric(family == AF_INET ? "127.0.0.1" : "::1", taken.port());
}

Peer connect_to(const SocketAddress& address) {
  const int fd = ::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(fd, address.get(), address.length) == 0) return Peer(fd);
  ::close(fd);
  return Peer();
}

std::string path_of(const char* name) {
  return testing::TempDir() + "sluice-" + name + "-" + std::to_string(::getpid());
}

TEST(Listener, AcceptsAllWithOneOperation) {
  for (const int family : {AF_INET, AF_INET6}) {
    Turns turns;
    Door door(turns);
    const SocketAddress address = free_address(family);
    ASSERT_FALSE(door.listener->open(address));
    EXPECT_FALSE(door.listener->in_flight());
    door.listener->start();
    std::vector<Peer> clients;
    for (int i = 0; i < 100; ++i) clients.push_back(connect_to(address));
    ASSERT_TRUE(turns.until([&] { return door.accepted.size() == 100; }));
    EXPECT_EQ(turns.ring.counters().submissions, 1U);
    clients[99].send("x");
    int on = 0;
    socklen_t length = sizeof on;
    ASSERT_EQ(::getsockopt(door.accepted[0].fd(), IPPROTO_TCP, TCP_NODELAY, &on, &length), 0);
    EXPECT_EQ(on, 1);
    EXPECT_NE(::fcntl(door.accepted[0].fd(), F_GETFD) & FD_CLOEXEC, 0);
  }
}

TEST(Listener, APortInUseIsAnError) {
  Turns turns;
  Door first(turns);
  Door second(turns);
  const SocketAddress address = free_address();
  ASSERT_FALSE(first.listener->open(address));
  EXPECT_EQ(second.listener->open(address), std::errc::address_in_use);
}

TEST(Listener, StopsAccepting) {
  Turns turns;
  const SocketAddress address = free_address();
  Door door(turns);
  ASSERT_FALSE(door.listener->open(address));
  door.listener->start();
  const Peer before = connect_to(address);
  ASSERT_TRUE(turns.until([&] { return door.accepted.size() == 1; }));
  // Who comes from now on is refused, and can go elsewhere.
  door.listener->stop();
  EXPECT_TRUE(door.listener->in_flight());
  EXPECT_FALSE(connect_to(address).is_open());
  ASSERT_TRUE(turns.until([&] { return !door.listener->in_flight(); }));
  EXPECT_FALSE(connect_to(address).is_open());
  turns.turn(3);
  EXPECT_EQ(door.accepted.size(), 1U);
}

TEST(Listener, StopsBeforeItStarts) {
  Turns turns;
  Door door(turns);
  ASSERT_FALSE(door.listener->open(free_address()));
  door.listener->stop();
  door.listener->start();
  EXPECT_FALSE(door.listener->in_flight());
}

TEST(Listener, RestsWhenDescriptorsRunOutAndGoesOn) {
  Turns turns;
  ScriptedFaults faults;
  int failures = 2;
  int accepts = 0;
  faults.prepare = [&](io_uring_sqe& sqe) -> std::optional<int> {
    if (sqe.opcode != IORING_OP_ACCEPT) return std::nullopt;
    ++accepts;
    return failures-- > 0 ? std::optional(-EMFILE) : std::nullopt;
  };
  turns.ring.set_faults(&faults);
  {
    Door door(turns);
    const SocketAddress address = free_address();
    ASSERT_FALSE(door.listener->open(address));
    const auto begin = std::chrono::steady_clock::now();
    door.listener->start();
    const Peer client = connect_to(address);
    ASSERT_TRUE(turns.until([&] { return door.accepted.size() == 1; }));
    EXPECT_EQ(accepts, 3);
    EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(80)) << "it must not spin";
  }
  turns.ring.set_faults(nullptr);
}

TEST(Listener, StopsWhileItRests) {
  Turns turns;
  ScriptedFaults faults;
  faults.prepare = [](io_uring_sqe& sqe) {
    return sqe.opcode == IORING_OP_ACCEPT ? std::optional(-ENFILE) : std::nullopt;
  };
  turns.ring.set_faults(&faults);
  {
    Door door(turns);
    ASSERT_FALSE(door.listener->open(free_address()));
    door.listener->start();
    turns.turn(2);
    EXPECT_TRUE(door.listener->in_flight());
    door.listener->stop();
    ASSERT_TRUE(turns.until([&] { return !door.listener->in_flight(); }));
  }
  turns.ring.set_faults(nullptr);
}

TEST(Listener, GoesOnAfterAFailedAccept) {
  Turns turns;
  ScriptedFaults faults;
  int failures = 3;
  faults.prepare = [&](io_uring_sqe& sqe) {
    return sqe.opcode == IORING_OP_ACCEPT && failures-- > 0 ? std::optional(-ECONNABORTED) : std::nullopt;
  };
  turns.ring.set_faults(&faults);
  {
    Door door(turns);
    const SocketAddress address = free_address();
    ASSERT_FALSE(door.listener->open(address));
    door.listener->start();
    const Peer client = connect_to(address);
    ASSERT_TRUE(turns.until([&] { return door.accepted.size() == 1; }));
  }
  turns.ring.set_faults(nullptr);
}

// --- Unix paths

TEST(UnixListener, AcceptsAndSweepsItsPath) {
  const std::string path = path_of("listener");
  const SocketAddress address = *SocketAddress::unix_path(path);
  {
    Turns turns;
    Door door(turns);
    ASSERT_FALSE(door.listener->open(address));
    door.listener->start();
    const Peer client = connect_to(address);
    ASSERT_TRUE(turns.until([&] { return door.accepted.size() == 1; }));
  }
  EXPECT_NE(::access(path.c_str(), F_OK), 0);
}

TEST(UnixListener, TakesOverAPathNobodyListensOn) {
  const std::string path = path_of("stale");
  const SocketAddress address = *SocketAddress::unix_path(path);
  {
    // As a crash leaves it: bound, and its process gone.
    const Peer crashed(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::bind(crashed.fd(), address.get(), address.length), 0);
    ASSERT_EQ(::listen(crashed.fd(), 8), 0);
  }
  Turns turns;
  Door door(turns);
  ASSERT_FALSE(door.listener->open(address));
  door.listener->start();
  const Peer client = connect_to(address);
  EXPECT_TRUE(client.is_open());
  ASSERT_TRUE(turns.until([&] { return door.accepted.size() == 1; }));
}

TEST(UnixListener, LeavesALivePathAlone) {
  const SocketAddress address = *SocketAddress::unix_path(path_of("live"));
  Turns turns;
  Door live(turns);
  ASSERT_FALSE(live.listener->open(address));
  live.listener->start();
  {
    Door other(turns);
    EXPECT_EQ(other.listener->open(address), std::errc::address_in_use);
  }
  const std::size_t before = live.accepted.size();
  const Peer client = connect_to(address);
  EXPECT_TRUE(client.is_open()) << "the loser must not sweep the winner's path";
  ASSERT_TRUE(turns.until([&] { return live.accepted.size() > before; }));
}

// One that does not accept, its queue full.
TEST(UnixListener, IsNotHeldUpByOneThatHangs) {
  const SocketAddress address = *SocketAddress::unix_path(path_of("hung"));
  const Peer hung(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(hung.fd(), address.get(), address.length), 0);
  ASSERT_EQ(::listen(hung.fd(), 0), 0);
  Turns turns;
  Door door(turns);
  EXPECT_EQ(door.listener->open(address), std::errc::address_in_use);
}

TEST(UnixListener, LeavesAFileThatIsNoSocketAlone) {
  const std::string path = path_of("file");
  const Peer file(::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
  ASSERT_TRUE(file.is_open());
  Turns turns;
  {
    Door door(turns);
    EXPECT_TRUE(door.listener->open(*SocketAddress::unix_path(path)));
  }
  struct stat now {};
  EXPECT_EQ(::stat(path.c_str(), &now), 0);
  EXPECT_TRUE(S_ISREG(now.st_mode));
  ::unlink(path.c_str());
}

TEST(UnixListener, LeavesASocketOfAnotherKindAlone) {
  const std::string path = path_of("datagram");
  const SocketAddress address = *SocketAddress::unix_path(path);
  const Peer datagrams(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(datagrams.fd(), address.get(), address.length), 0);
  Turns turns;
  {
    Door door(turns);
    EXPECT_EQ(door.listener->open(address), std::errc::address_in_use);
  }
  EXPECT_EQ(::access(path.c_str(), F_OK), 0);
  ::unlink(path.c_str());
}

TEST(UnixListener, AFolderThatIsNotThereIsAnError) {
  Turns turns;
  Door door(turns);
  EXPECT_EQ(door.listener->open(*SocketAddress::unix_path("/nonexistent/sluice.sock")),
            std::errc::no_such_file_or_directory);
}

}  // namespace
}  // namespace uring
