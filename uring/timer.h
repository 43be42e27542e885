// A deadline that calls back once. Thread: that of its ring.
#pragma once

#include <chrono>

#include "uring/ring.h"

namespace uring {

class TimerHandler {
 public:
  virtual void on_timer() = 0;

 protected:
  ~TimerHandler() = default;
};

class Timer {
 public:
  Timer(Ring& ring, TimerHandler& handler);

  /// Calls on_timer() once, in a turn not before `delay` has passed. Only when not armed.
  void arm(std::chrono::nanoseconds delay);
  /// on_timer() will not be called; the operation itself ends in a later turn.
  void cancel();
  /// Until the operation has ended (also when cancelled) the timer must stay alive.
  [[nodiscard]] bool armed() const { return timeout_.in_flight(); }

 private:
  void on_timeout(Completion completion);

  Ring& ring_;
  TimerHandler& handler_;
  Operation timeout_;
  __kernel_timespec limit_{};
  bool cancelled_ = false;
};

}  // namespace uring
