#include "bench/methods/cancel_cost.h"

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "bench/methods/cpu_clock.h"
#include "bench/methods/failure.h"
#include "uring/abi.h"
#include "uring/buffer_ring.h"

namespace methods {
namespace {

constexpr std::uint64_t kBatch = 500;  // cycles of one kind before the other has its turn

class Cycle {
 public:
  Cycle(Work& work, uring::BufferRing& buffers)
      : work_(work), buffers_(buffers), operation_(uring::Operation::bound<&Cycle::on_completion>(this)) {}

  void arm_and_cancel() {
    const int fd = work_.routes.front().source;
    work_.ring.start(operation_, [&](io_uring_sqe* sqe) {
      io_uring_prep_recv_multishot(sqe, fd, nullptr, 0, 0);
      sqe->flags |= IOSQE_BUFFER_SELECT;
      sqe->buf_group = buffers_.group();
    });
    turn(0);
    work_.ring.start_unwatched([&](io_uring_sqe* sqe) {
      io_uring_prep_cancel_fd(sqe, fd, IORING_ASYNC_CANCEL_FD | uring::abi::kCancelOp);
      sqe->len = IORING_OP_RECV;
    });
    while (operation_.in_flight()) turn(1);
  }

  void idle() {
    for (const unsigned wanted : {0U, 1U}) {
      work_.ring.start(operation_, [](io_uring_sqe* sqe) { io_uring_prep_nop(sqe); });
      while (operation_.in_flight()) turn(wanted);
    }
  }

 private:
  void turn(unsigned wanted) {
    const auto patience = std::chrono::milliseconds(wanted);
    if (const auto error = work_.ring.wait(wanted, patience, wanted == 0)) fail("the ring", error.value());
    work_.ring.deliver();
  }

  void on_completion(uring::Completion completion) {
    if (completion.result < 0 && completion.result != -ECANCELED) fail("the cancelled receive", -completion.result);
    if (completion.result > 0) fail("the socket is not silent", EPROTO);
  }

  Work& work_;
  uring::BufferRing& buffers_;
  uring::Operation operation_;
};

/// CPU seconds of a batch.
double timed(Cycle& cycle, void (Cycle::*step)()) {
  const double before = cpu_seconds();
  for (std::uint64_t i = 0; i < kBatch; ++i) (cycle.*step)();
  return cpu_seconds() - before;
}

}  // namespace

CancelCost measure_cancel(Work& work, std::uint64_t cycles) {
  uring::BufferRing buffers;
  if (const auto error = buffers.open(work.ring, 0, 8, 128U << 10, work.features.incremental_buffers)) {
    fail("registering buffers", error.value());
  }
  Cycle cycle(work, buffers);
  CancelCost cost;
  double armed = 0, idle = 0;
  for (; cost.cycles < cycles; cost.cycles += kBatch) {
    armed += timed(cycle, &Cycle::arm_and_cancel);
    idle += timed(cycle, &Cycle::idle);
  }
  cost.cpu_us_armed = armed * 1e6 / static_cast<double>(cost.cycles);
  cost.cpu_us_idle = idle * 1e6 / static_cast<double>(cost.cycles);
  return cost;
}

}  // namespace methods
