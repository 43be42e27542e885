// One io_uring, owned by one thread: SQEs out, completions in. Set up with SINGLE_ISSUER and DEFER_TASKRUN, so that
// completion work runs only inside wait(), and with its own file descriptor registered.
//
// A turn is: wait() submits what was prepared and sleeps; then every completion is delivered to its operation.
// Thread: the one that called open(), for everything but fd().
#pragma once

#include <liburing.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <system_error>
#include <vector>

#include "uring/faults.h"
#include "uring/operation.h"

namespace uring {

/// Counters of one ring, since start.
struct RingCounters {
  std::uint64_t turns = 0;        ///< calls of wait()
  std::uint64_t submissions = 0;  ///< SQEs
  std::uint64_t completions = 0;  ///< CQEs
  std::uint64_t yields = 0;       ///< waits that first gave the core to others
};

class Ring {
 public:
  Ring() = default;
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  /// `entries`: SQEs that one turn can hold before an early submit; the completion queue is 4 times that.
  [[nodiscard]] std::error_code open(unsigned entries);

  /// An SQE whose completions go to `operation`, which must not be in flight. Never fails: a full submission queue is
  /// submitted at once. `prepare` fills it with an io_uring_prep_*().
  template <typename Prepare>
  void start(Operation& operation, Prepare&& prepare) {
    io_uring_sqe* sqe = next_sqe();
    prepare(sqe);
    seal(operation, sqe);
  }

  /// An SQE nobody waits for (a cancel, a message); its own completion is dropped.
  template <typename Prepare>
  void start_unwatched(Prepare&& prepare) {
    io_uring_sqe* sqe = next_sqe();
    prepare(sqe);
    io_uring_sqe_set_data(sqe, nullptr);
  }

  /// Makes room for `count` SQEs: a chain of linked ones that an early submit cuts in two is no chain any more.
  void reserve(unsigned count);

  /// A msghdr with room for `count` iovecs that stays in place until the next wait() has submitted it; the kernel keeps
  /// no reference after that (IORING_FEAT_SUBMIT_STABLE).
  static constexpr unsigned kMaxIovecs = 64;  // one send gathers at most this many pieces; the rest goes next turn
  [[nodiscard]] msghdr* gather_message(unsigned count);

  /// Submits, then sleeps until `wanted` completions are there, `patience` at most. More than one are counted without
  /// those of the sends just submitted: these are there at once as a rule, and a turn for them alone would be a wasted
  /// one. For one completion, a send's or another, it sleeps without a bound unless `hurried`: to set the timer of a
  /// bound costs more than such a turn. Without patience it does not sleep. An error only when the ring itself failed.
  ///
  /// Before it sleeps, or returns with nothing but sends, it lets those run that wait for its core: they may be who
  /// brings what is wanted, and to sleep and be woken costs several times that.
  [[nodiscard]] std::error_code wait(unsigned wanted, std::chrono::nanoseconds patience, bool hurried = false);
  /// The operation just started is a send: see wait().
  void count_send() { ++sends_; }
  /// Hands every completion that is there to its operation. Returns how many, the sends that wait() did not count left
  /// out.
  unsigned deliver();

  [[nodiscard]] int fd() const { return ring_.ring_fd; }
  [[nodiscard]] io_uring* native() { return &ring_; }
  [[nodiscard]] const RingCounters& counters() const { return counters_; }

  void set_faults(Faults* faults) { faults_ = faults; }

 private:
  struct Message {
    msghdr header;
    std::array<iovec, kMaxIovecs> pieces;
  };

  /// A yield that took longer met somebody who wants the core for himself: for a while there is none, and for twice
  /// that after the next such one.
  static constexpr std::chrono::milliseconds kLongYield{1};
  static constexpr std::chrono::milliseconds kFirstPause{50};
  static constexpr std::chrono::milliseconds kLongestPause{1000};

  [[nodiscard]] io_uring_sqe* next_sqe();
  void seal(Operation& operation, io_uring_sqe* sqe);
  [[nodiscard]] std::chrono::nanoseconds yield(unsigned count);
  unsigned deliver_with_faults();

  io_uring ring_{};
  bool open_ = false;
  RingCounters counters_;
  std::vector<std::unique_ptr<Message>> messages_;  // scratch of one turn, reused
  std::size_t messages_used_ = 0;
  unsigned sends_ = 0;      // started since the last wait()
  unsigned submitted_ = 0;  // sends that the last wait() submitted
  std::chrono::steady_clock::time_point next_yield_;
  std::chrono::milliseconds yield_pause_ = kFirstPause;  // after the next long one
  Faults* faults_ = nullptr;
  std::vector<PendingCompletion> injected_;
};

}  // namespace uring
