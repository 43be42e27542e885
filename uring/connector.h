// One outgoing connection being made, with a deadline. Addresses are numeric or unix paths; names are resolved
// elsewhere. Thread: that of its ring.
#pragma once

#include <sys/socket.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "uring/ring.h"

namespace uring {

/// A socket address by value.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;

  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  [[nodiscard]] int family() const { return storage.ss_family; }
  bool operator==(const SocketAddress& other) const;

  /// nullopt when `host` is not a numeric IPv4 or IPv6 address.
  [[nodiscard]] static std::optional<SocketAddress> numeric(std::string_view host, std::uint16_t port);
  /// nullopt when the path is too long.
  [[nodiscard]] static std::optional<SocketAddress> unix_path(std::string_view path);
  /// All addresses of a host name, in the order to try them (RFC 6724); none when it has none now. Blocks while a name
  /// server is asked.
  [[nodiscard]] static std::vector<SocketAddress> of_name(const std::string& host, std::uint16_t port);
};

class ConnectHandler {
 public:
  /// The socket is the handler's from now on.
  virtual void on_connected(int fd) = 0;
  /// errno; ETIMEDOUT when the deadline passed, ECANCELED after cancel().
  virtual void on_connect_failed(int error) = 0;

 protected:
  ~ConnectHandler() = default;
};

class Connector {
 public:
  Connector(Ring& ring, ConnectHandler& handler);
  ~Connector();
  Connector(const Connector&) = delete;
  Connector& operator=(const Connector&) = delete;

  /// One at a time. The handler always hears exactly one of the two, in a later turn.
  void connect(const SocketAddress& address, std::chrono::milliseconds timeout);
  /// The handler hears ECANCELED (or that the connection was made after all).
  void cancel();
  [[nodiscard]] bool in_flight() const { return connect_.in_flight() || deadline_.in_flight(); }

 private:
  void on_connect(Completion completion);
  void on_deadline(Completion completion);
  void finish();

  Ring& ring_;
  ConnectHandler& handler_;
  Operation connect_;
  Operation deadline_;
  SocketAddress address_;
  __kernel_timespec limit_{};
  int fd_ = -1;
  int result_ = 0;
  int no_socket_ = 0;  // errno of socket()
  bool expired_ = false;
};

}  // namespace uring
