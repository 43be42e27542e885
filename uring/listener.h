// A listening socket with one multishot accept. Thread: that of its ring.
#pragma once

#include <string>
#include <system_error>

#include "uring/connector.h"
#include "uring/ring.h"
#include "uring/timer.h"

namespace uring {

class AcceptHandler {
 public:
  /// The socket is the handler's from now on. TCP sockets come with TCP_NODELAY.
  virtual void on_accepted(int fd) = 0;

 protected:
  ~AcceptHandler() = default;
};

class Listener final : TimerHandler {
 public:
  Listener(Ring& ring, AcceptHandler& handler);
  ~Listener();

  /// Binds and listens (SO_REUSEADDR; a unix path that nobody listens on any more is replaced). Waits up to two seconds
  /// for an address that is in use.
  [[nodiscard]] std::error_code open(const SocketAddress& address);
  /// Starts to accept. When descriptors run out, accepting rests for a moment and goes on.
  void start();
  /// Stops accepting; the operation ends in a later turn.
  void stop();
  [[nodiscard]] bool in_flight() const { return accept_.in_flight() || rest_.armed(); }

 private:
  [[nodiscard]] std::error_code bind(const SocketAddress& address);
  void leave_path();
  void accept();
  void on_accept(Completion completion);
  void on_timer() override { accept(); }

  Ring& ring_;
  AcceptHandler& handler_;
  Operation accept_;
  Timer rest_;
  std::string unix_path_;
  int fd_ = -1;
  bool tcp_ = false;
  bool stopping_ = false;
};

}  // namespace uring
