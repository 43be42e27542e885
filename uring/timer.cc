#include "uring/timer.h"

#include <cerrno>

namespace uring {

Timer::Timer(Ring& ring, TimerHandler& handler)
    : ring_(ring), handler_(handler), timeout_(Operation::bound<&Timer::on_timeout>(this)) {}

void Timer::arm(std::chrono::nanoseconds delay) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(delay);
  limit_.tv_sec = seconds.count();
  limit_.tv_nsec = (delay - seconds).count();
  cancelled_ = false;
  ring_.start(timeout_, [this](io_uring_sqe* sqe) { io_uring_prep_timeout(sqe, &limit_, 0, 0); });
}

void Timer::cancel() {
  if (!timeout_.in_flight()) return;
  // The timer may have expired already, its completion waiting to be delivered behind this very call.
  cancelled_ = true;
  ring_.start_unwatched(
      [this](io_uring_sqe* sqe) { io_uring_prep_timeout_remove(sqe, reinterpret_cast<std::uint64_t>(&timeout_), 0); });
}

void Timer::on_timeout(Completion completion) {
  if (completion.result == -ETIME && !cancelled_) handler_.on_timer();
}

}  // namespace uring
