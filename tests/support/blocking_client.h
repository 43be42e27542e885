// A client for tests: one socket, one request, one reply. What goes wrong below the protocol is an exception, so that a
// test needs to look at replies only. Nothing waits longer than kTimeout.
// Thread: one.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "resp/reply_scanner.h"
#include "resp/value.h"
#include "resp/writer.h"

namespace tests {

class BlockingClient {
 public:
  static constexpr std::chrono::seconds kTimeout{10};
  static constexpr const char* kClosed = "the connection was closed";  ///< what() of the runtime_error

  BlockingClient() = default;
  BlockingClient(BlockingClient&& other) noexcept
      : socket_(std::exchange(other.socket_, -1)), received_(std::move(other.received_)) {}
  BlockingClient& operator=(BlockingClient&& other) noexcept {
    std::swap(socket_, other.socket_);
    std::swap(received_, other.received_);
    return *this;
  }
  ~BlockingClient() { close(); }

  /// `host` is an IPv4 address. A connection that was open before is closed.
  void connect(const std::string& host, std::uint16_t port) {
    close();
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    require(socket_ >= 0, "socket");
    const timeval timeout{.tv_sec = kTimeout.count(), .tv_usec = 0};
    require(::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) == 0, "SO_RCVTIMEO");
    require(::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) == 0, "SO_SNDTIMEO");
    const int enabled = 1;
    require(::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &enabled, sizeof enabled) == 0, "TCP_NODELAY");
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    if (::inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1)
      throw std::invalid_argument("no IPv4 address: " + host);
    int status = 0;
    do {  // A signal does not end the attempt; asking again waits for its outcome.
      status = ::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    } while (status != 0 && errno == EINTR);
    require(status == 0 || errno == EISCONN, "connect");
  }

  [[nodiscard]] bool connected() const { return socket_ >= 0; }

  void close() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
    received_.clear();
  }

  /// Sends one request and waits for its reply; an error reply is a Value like any other.
  resp::Value command(std::initializer_list<std::string_view> arguments) {
    return command(std::span(arguments.begin(), arguments.size()));
  }
  resp::Value command(std::span<const std::string_view> arguments) {
    std::string request;
    resp::write_request(request, arguments);
    send(request);
    return read();
  }

  /// For pipelines and for what is no request at all: bytes as they are.
  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      require(sent >= 0, "send");
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }

  /// The next reply, pushed messages included.
  resp::Value read() {
    resp::ReplyScanner scanner;
    std::size_t scanned = 0;
    resp::ScanStatus status = resp::ScanStatus::kIncomplete;
    while (status == resp::ScanStatus::kIncomplete) {
      if (scanned == received_.size()) receive();
      const auto result = scanner.scan(std::string_view(received_).substr(scanned));
      status = result.status;
      scanned += result.length;
    }
    if (status == resp::ScanStatus::kError) throw std::runtime_error("not RESP: " + received_);
    auto value = resp::parse_value(std::string_view(received_).substr(0, scanned));
    if (!value) throw std::runtime_error("no RESP value: " + received_.substr(0, scanned));
    received_.erase(0, scanned);
    return *std::move(value);
  }

 private:
  static void require(bool success, const char* what) {
    if (success) return;
    if (errno == EPIPE || errno == ECONNRESET) throw std::runtime_error(kClosed);
    throw std::system_error(errno, std::generic_category(), what);
  }

  void receive() {
    std::array<char, 16384> chunk;
    ssize_t length = -1;
    // A ring that this thread had leaves work to be done in its name.
    do {
      length = ::recv(socket_, chunk.data(), chunk.size(), 0);
    } while (length < 0 && errno == EINTR);
    require(length >= 0, "recv");
    if (length == 0) throw std::runtime_error(kClosed);
    received_.append(chunk.data(), static_cast<std::size_t>(length));
  }

  int socket_ = -1;
  std::string received_;  ///< what no reply has used up yet
};

}  // namespace tests
