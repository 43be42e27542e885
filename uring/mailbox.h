// How threads talk: a letter is put into another ring's completion queue by IORING_OP_MSG_RING and opened there as any
// completion. No lock, no shared memory but the letter itself, which belongs to whoever holds it.
#pragma once

#include "uring/ring.h"

namespace uring {

/// Something to be done by another worker. The receiver owns it from on_delivered() on (and may post it back).
class Letter {
 public:
  virtual ~Letter() = default;

 protected:
  Letter() : arrival_(Operation::bound<&Letter::on_arrival>(this)) {}

  /// Runs in the receiver's thread, inside its turn.
  virtual void on_delivered() = 0;

 private:
  friend class Mailbox;
  void on_arrival(Completion) { on_delivered(); }
  Operation arrival_;
};

/// Where letters for one ring are posted. Thread: any may hold one; post() belongs to the thread of `from`.
class Mailbox {
 public:
  explicit Mailbox(int ring_fd) : ring_fd_(ring_fd) {}

  /// Submitted with the turn of `from`. Ownership of `letter` passes to the receiving thread.
  void post(Ring& from, Letter& letter) const;

 private:
  int ring_fd_;
};

}  // namespace uring
