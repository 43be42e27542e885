// One request to the kernel and the memory of it: a member of whatever it works for. The kernel borrows an operation
// from the moment its SQE is prepared until the CQE without IORING_CQE_F_MORE; it must not be moved or destroyed in
// between, and asserts that. The SQE's user_data is the operation's address. Thread: that of its ring (a Letter
// crosses, see mailbox.h).
#pragma once

#include <liburing.h>

#include <cassert>
#include <cstdint>

#include "uring/tsan.h"

namespace uring {

/// What the kernel said: `result` as a system call's (negative errno on failure), `flags` as IORING_CQE_F_*.
struct Completion {
  std::int32_t result = 0;
  std::uint32_t flags = 0;

  /// More completions of the same operation will follow.
  [[nodiscard]] bool more() const { return (flags & IORING_CQE_F_MORE) != 0; }
};

class Operation {
 public:
  using Handler = void (*)(void* owner, Completion completion);

  Operation(void* owner, Handler handler) : owner_(owner), handler_(handler) {}
  ~Operation() { assert(!in_flight_); }
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  /// An operation whose completions go to a member function of its owner: bound<&Stream::on_sent>(this).
  template <auto Member, typename Owner>
  [[nodiscard]] static Operation bound(Owner* owner) {
    return Operation(owner,
                     [](void* self, Completion completion) { (static_cast<Owner*>(self)->*Member)(completion); });
  }

  [[nodiscard]] bool in_flight() const { return in_flight_; }

 private:
  friend class Ring;
  friend class Mailbox;
  void complete(Completion completion) {
    tsan_acquire(this);
    in_flight_ = completion.more();
    handler_(owner_, completion);
  }

  void* owner_;
  Handler handler_;
  bool in_flight_ = false;
};

}  // namespace uring
