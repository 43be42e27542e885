// A cluster of scripted nodes for tests: threads that speak enough RESP to be taken for nodes of a Redis Cluster. They
// answer late, from one FakeKeyspace, and can be told to break connections in the middle of everything. Thread: its
// owner's; each node runs in a thread of its own.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "resp/request_parser.h"
#include "resp/writer.h"
#include "tests/support/fake_keyspace.h"

namespace tests {

struct FakeClusterOptions {
  std::size_t nodes = 3;
  std::uint32_t seed = 1;
  std::chrono::microseconds slowest_answer{300};  ///< each batch of requests waits a random part of it
  std::chrono::milliseconds silence{0};           ///< CLUSTER SLOTS is answered that late
  unsigned requests_per_cut = 0;                  ///< of data, on average; 0: connections are never cut
};

/// Listens on a free port of the loopback address; serves once run() is called.
class FakeNode {
 public:
  FakeNode(const FakeClusterOptions& options, std::size_t index)
      : options_(options), index_(index), random_(options.seed * 31 + static_cast<std::uint32_t>(index)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    const bool bound = ::bind(listener_, reinterpret_cast<const sockaddr*>(&address), size) == 0 &&
                       ::listen(listener_, 128) == 0 &&
                       ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0;
    if (!bound) throw std::system_error(errno, std::generic_category(), "a fake node cannot listen");
    port_ = ntohs(address.sin_port);
  }
  FakeNode(const FakeNode&) = delete;
  FakeNode& operator=(const FakeNode&) = delete;
  ~FakeNode() {
    for (const Connection& connection : connections_) ::close(connection.socket);
    ::close(listener_);
  }

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::size_t cuts() const { return cuts_; }

  /// Serves until `stopped`.
  void run(FakeKeyspace& keyspace, const std::atomic<bool>& stopped) {
    std::vector<pollfd> polled;
    while (!stopped) {
      polled.assign(1, {.fd = listener_, .events = POLLIN, .revents = 0});
      for (const Connection& each : connections_) polled.push_back({.fd = each.socket, .events = POLLIN, .revents = 0});
      ::poll(polled.data(), polled.size(), 10);
      auto connection = connections_.begin();
      for (std::size_t i = 1; i < polled.size(); ++i) {
        if (polled[i].revents == 0 || serve(*connection, keyspace)) {
          ++connection;
        } else {
          ::close(connection->socket);
          connection = connections_.erase(connection);
        }
      }
      if (polled[0].revents != 0) accept();
    }
  }

 private:
  struct Connection {
    int socket = -1;
    std::string received = {};
    resp::RequestParser parser = {};
    resp::Protocol protocol = resp::Protocol::kResp2;
    bool asking = false;
  };

  void accept() {
    const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) return;
    const int enabled = 1;
    static_cast<void>(::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &enabled, sizeof enabled));
    connections_.push_back({.socket = socket});
  }

  /// Answers what has come. False when the connection is over.
  bool serve(Connection& connection, FakeKeyspace& keyspace) {
    std::array<char, 16384> chunk;
    const ssize_t length = ::recv(connection.socket, chunk.data(), chunk.size(), 0);
    if (length <= 0) return false;
    connection.received.append(chunk.data(), static_cast<std::size_t>(length));
    const auto delay =
        std::chrono::microseconds(random_() % (static_cast<unsigned>(options_.slowest_answer.count()) + 1));
    std::this_thread::sleep_for(delay);
    std::string replies;
    resp::Request request;
    std::size_t used = 0;
    bool cut = false;
    while (!cut) {
      const std::string_view rest = std::string_view(connection.received).substr(used);
      if (rest.empty() || connection.parser.parse(rest, {}, request) != resp::ParseStatus::kComplete) break;
      used += request.bytes.size();
      const std::size_t before = replies.size();
      cut = is_cut_at(request);
      // A cut hits a request before it has run, or its reply somewhere.
      if (!cut || random_() % 2 == 0) replies += reply_to(connection, request, keyspace);
      if (cut) replies.resize(before + random_() % (replies.size() - before + 1));
    }
    connection.received.erase(0, used);
    return ::send(connection.socket, replies.data(), replies.size(), MSG_NOSIGNAL) >= 0 && !cut;
  }

  bool is_cut_at(const resp::Request& request) {
    static constexpr std::array kControl = {"HELLO", "CLIENT", "CLUSTER", "READONLY", "ASKING", "PING"};
    const bool control = std::find(kControl.begin(), kControl.end(), request.arguments[0]) != kControl.end();
    if (control || options_.requests_per_cut == 0 || random_() % options_.requests_per_cut != 0) return false;
    ++cuts_;
    return true;
  }

  std::string reply_to(Connection& connection, const resp::Request& request, FakeKeyspace& keyspace) {
    const std::string_view name = request.arguments[0];
    if (name == "ASKING") {
      connection.asking = true;
      return "+OK\r\n";
    }
    if (name == "HELLO") {
      connection.protocol = request.arguments[1] == "3" ? resp::Protocol::kResp3 : resp::Protocol::kResp2;
      std::string out;
      resp::Writer writer(out, connection.protocol);
      writer.map(1);
      writer.bulk("version");
      writer.bulk("7.2.0");
      return out;
    }
    if (name == "CLIENT" || name == "READONLY") return "+OK\r\n";
    if (name == "CLUSTER") std::this_thread::sleep_for(options_.silence);
    return keyspace.answer(index_, request.arguments, connection.protocol, std::exchange(connection.asking, false));
  }

  const FakeClusterOptions options_;
  const std::size_t index_;
  std::minstd_rand random_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::list<Connection> connections_;
  std::atomic<std::size_t> cuts_ = 0;
};

class FakeCluster {
 public:
  explicit FakeCluster(const FakeClusterOptions& options) {
    std::vector<std::uint16_t> ports;
    for (std::size_t i = 0; i < options.nodes; ++i) {
      ports.push_back(nodes_.emplace_back(std::make_unique<FakeNode>(options, i))->port());
    }
    keyspace_ = std::make_unique<FakeKeyspace>(std::move(ports));
    for (auto& node : nodes_) threads_.emplace_back([this, &node = *node] { node.run(*keyspace_, stopped_); });
  }
  FakeCluster(const FakeCluster&) = delete;
  FakeCluster& operator=(const FakeCluster&) = delete;
  ~FakeCluster() {
    stopped_ = true;
    for (std::thread& thread : threads_) thread.join();
  }

  [[nodiscard]] FakeKeyspace& keyspace() { return *keyspace_; }
  [[nodiscard]] std::uint16_t port(std::size_t node) const { return nodes_[node]->port(); }
  [[nodiscard]] std::size_t cuts() const {
    std::size_t count = 0;
    for (const auto& node : nodes_) count += node->cuts();
    return count;
  }

 private:
  std::vector<std::unique_ptr<FakeNode>> nodes_;
  std::unique_ptr<FakeKeyspace> keyspace_;
  std::atomic<bool> stopped_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace tests
