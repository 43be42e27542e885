// Both far ends of every route, in a process of their own, so that their CPU time is not the method's: the sender gives
// a message, and the next one when the receiver has all of it. At first the receiver compares every byte with what was
// sent; told to hurry, it only counts them.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <string_view>
#include <vector>

#include "bench/methods/method.h"

namespace methods {

class Ends {
 public:
  /// Forks and connects. Call it before there is a ring or a thread. `congestion`: the sockets' congestion control.
  Ends(unsigned routes, std::uint64_t message_bytes, std::string_view congestion);
  Ends(const Ends&) = delete;
  Ends& operator=(const Ends&) = delete;

  [[nodiscard]] const std::vector<Route>& routes() const { return routes_; }
  /// No bytes are compared from here on.
  void hurry() { shared_->hurried.store(true, std::memory_order_relaxed); }
  /// Messages that have arrived whole.
  [[nodiscard]] std::uint64_t messages() const { return shared_->messages.load(std::memory_order_relaxed); }
  void stop();

  /// What the two processes share.
  struct Shared {
    std::atomic<bool> hurried = false;
    std::atomic<std::uint64_t> messages = 0;
  };

 private:
  Shared* shared_;
  pid_t child_ = -1;
  std::vector<Route> routes_;
};

}  // namespace methods
