#include "uring/mailbox.h"

#include "uring/tsan.h"

namespace uring {

void Mailbox::post(Ring& from, Letter& letter) const {
  // In flight from here on, in the receiver's ring: set by hand, since the SQE that carries it is not the one that
  // completes.
  letter.arrival_.in_flight_ = true;
  from.start_unwatched([&](io_uring_sqe* sqe) {
    io_uring_prep_msg_ring(sqe, ring_fd_, 0, reinterpret_cast<std::uint64_t>(&letter.arrival_), 0);
  });
  // Only a later submission lets the receiver see the letter, and with it all that has been written up to here.
  tsan_release(&letter.arrival_);
}

}  // namespace uring
