#include "uring/ring.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

namespace uring {

Ring::~Ring() {
  if (open_) io_uring_queue_exit(&ring_);
}

std::error_code Ring::open(unsigned entries) {
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                 IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
  params.cq_entries = entries * 4;
  if (const int result = io_uring_queue_init_params(entries, &ring_, &params); result < 0) {
    return {-result, std::system_category()};
  }
  open_ = true;
  // Saves a file lookup per io_uring_enter; where it fails, everything still works.
  static_cast<void>(io_uring_register_ring_fd(&ring_));
  return {};
}

io_uring_sqe* Ring::next_sqe() {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  if (sqe != nullptr) [[likely]]
    return sqe;
  reserve(1);
  return io_uring_get_sqe(&ring_);
}

void Ring::reserve(unsigned count) {
  while (io_uring_sq_space_left(&ring_) < count) {
    const int submitted = io_uring_submit(&ring_);
    // -EBUSY: the completion queue overflowed; making room means delivering, which must not happen inside a handler.
    // The kernel keeps overflowed completions, so submitting again succeeds once it has flushed them.
    assert(submitted >= 0 || submitted == -EBUSY || submitted == -EAGAIN || submitted == -EINTR);
  }
}

void Ring::seal(Operation& operation, io_uring_sqe* sqe) {
  assert(!operation.in_flight_);
  operation.in_flight_ = true;
  if (faults_ != nullptr) [[unlikely]] {
    if (const auto result = faults_->on_prepare(*sqe)) {
      io_uring_prep_nop(sqe);
      io_uring_sqe_set_data(sqe, nullptr);
      injected_.push_back({&operation, {*result, 0}});
      return;
    }
  }
  io_uring_sqe_set_data(sqe, &operation);
}

msghdr* Ring::gather_message(unsigned count) {
  assert(count <= kMaxIovecs);
  if (messages_used_ == messages_.size()) messages_.push_back(std::make_unique<Message>());
  Message& message = *messages_[messages_used_++];
  message.header = {};
  message.header.msg_iov = message.pieces.data();
  message.header.msg_iovlen = count;
  return &message.header;
}

/// Submits, and lets others run unless `count` completions are there. Returns for how long.
std::chrono::nanoseconds Ring::yield(unsigned count) {
  const auto start = std::chrono::steady_clock::now();
  // Who waits after this meets the same error again.
  if (start < next_yield_ || io_uring_submit_and_get_events(&ring_) < 0) return {};
  if (io_uring_cq_ready(&ring_) >= count) return {};
  ++counters_.yields;
  sched_yield();
  const auto end = std::chrono::steady_clock::now();
  if (end - start > kLongYield) {
    next_yield_ = end + yield_pause_;
    yield_pause_ = std::min(2 * yield_pause_, kLongestPause);
  } else {
    yield_pause_ = kFirstPause;
  }
  return end - start;
}

std::error_code Ring::wait(unsigned wanted, std::chrono::nanoseconds patience, bool hurried) {
  ++counters_.turns;
  counters_.submissions += io_uring_sq_ready(&ring_);
  const unsigned count = std::min(sends_ + wanted, ring_.cq.ring_entries);
  const bool sleeps = patience.count() > 0;
  if (sleeps) patience -= yield(count);
  int result = 0;
  if (sleeps && wanted == 1 && !hurried) {
    result = io_uring_submit_and_wait(&ring_, 1);
  } else if (patience.count() <= 0) {
    result = io_uring_submit_and_get_events(&ring_);
  } else {
    __kernel_timespec limit{};
    limit.tv_sec = patience.count() / 1'000'000'000;
    limit.tv_nsec = patience.count() % 1'000'000'000;
    io_uring_cqe* first = nullptr;
    result = io_uring_submit_and_wait_timeout(&ring_, &first, count, &limit, nullptr);
  }
  // What the kernel did not take goes with the next call, its message still in use.
  if (io_uring_sq_ready(&ring_) == 0) messages_used_ = 0;
  submitted_ = std::exchange(sends_, 0);
  if (result < 0 && result != -ETIME && result != -EINTR && result != -EAGAIN && result != -EBUSY) {
    return {-result, std::system_category()};
  }
  return {};
}

unsigned Ring::deliver() {
  if (faults_ != nullptr) [[unlikely]]
    return deliver_with_faults();
  unsigned head = 0;
  unsigned count = 0;
  io_uring_cqe* cqe = nullptr;
  io_uring_for_each_cqe(&ring_, head, cqe) {
    ++count;
    if (auto* operation = static_cast<Operation*>(io_uring_cqe_get_data(cqe))) {
      operation->complete({cqe->res, cqe->flags});
    }
  }
  io_uring_cq_advance(&ring_, count);
  counters_.completions += count;
  return count - std::min(count, submitted_);
}

unsigned Ring::deliver_with_faults() {
  std::vector<PendingCompletion> batch;
  batch.swap(injected_);
  unsigned head = 0;
  unsigned count = 0;
  io_uring_cqe* cqe = nullptr;
  io_uring_for_each_cqe(&ring_, head, cqe) {
    ++count;
    if (auto* operation = static_cast<Operation*>(io_uring_cqe_get_data(cqe))) {
      batch.push_back({operation, {cqe->res, cqe->flags}});
    }
  }
  io_uring_cq_advance(&ring_, count);
  counters_.completions += count;
  faults_->on_batch(batch);
  for (const PendingCompletion& pending : batch) pending.operation->complete(pending.completion);
  return count - std::min(count, submitted_);
}

}  // namespace uring
