#include "uring/buffer_ring.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cerrno>

#include "uring/abi.h"

namespace uring {

Lease& Lease::operator=(Lease&& other) noexcept {
  if (this != &other) {
    release();
    ring_ = std::exchange(other.ring_, nullptr);
    buffer_ = other.buffer_;
    bytes_ = other.bytes_;
  }
  return *this;
}

void Lease::release() {
  if (ring_ != nullptr) std::exchange(ring_, nullptr)->unlease(buffer_);
}

Lease Lease::part(std::string_view bytes) const {
  assert(holds(bytes));
  ++ring_->states_[buffer_].leases;
  return Lease(ring_, buffer_, bytes);
}

bool Lease::extend(const Lease& next, std::string_view bytes) {
  assert(next.holds(bytes));
  const bool goes_on = ring_ == next.ring_ && buffer_ == next.buffer_ && bytes_.data() + bytes_.size() == bytes.data();
  if (goes_on) bytes_ = {bytes_.data(), bytes_.size() + bytes.size()};
  return goes_on;
}

bool Lease::is_spared() const {
  return ring_->held_ < std::min(ring_->count_ / 2, kMostKept);
}

std::error_code BufferRing::open(Ring& ring, std::uint16_t group, std::uint32_t count, std::uint32_t size,
                                 bool incremental) {
  assert(std::has_single_bit(count) && count <= 32768);
  // One mapping: the entries' pages first (page-aligned as the kernel asks), the buffers behind them.
  const std::size_t entry_bytes = (count * sizeof(io_uring_buf) + 4095) & ~std::size_t{4095};
  const std::size_t bytes = entry_bytes + std::size_t{count} * size;
  void* mapping = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) return {errno, std::system_category()};

  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uint64_t>(mapping);
  registration.ring_entries = count;
  registration.bgid = group;
  registration.pad = incremental ? abi::kBufferRingIncremental : std::uint16_t{0};
  if (const int result = io_uring_register_buf_ring(ring.native(), &registration, 0); result < 0) {
    munmap(mapping, bytes);
    return {-result, std::system_category()};
  }
  ring_ = &ring;
  entries_ = static_cast<io_uring_buf_ring*>(mapping);
  memory_ = static_cast<char*>(mapping) + entry_bytes;
  memory_bytes_ = bytes;
  count_ = count;
  size_ = size;
  group_ = group;
  incremental_ = incremental;
  states_.resize(count);
  io_uring_buf_ring_init(entries_);
  for (std::uint32_t i = 0; i < count; ++i) give_to_kernel(static_cast<std::uint16_t>(i));
  return {};
}

BufferRing::~BufferRing() {
  if (entries_ == nullptr) return;
  static_cast<void>(io_uring_unregister_buf_ring(ring_->native(), group_));
  munmap(entries_, memory_bytes_);
}

Lease BufferRing::lease(Completion completion) {
  assert(completion.result > 0 && (completion.flags & IORING_CQE_F_BUFFER) != 0);
  const auto buffer = static_cast<std::uint16_t>(completion.flags >> IORING_CQE_BUFFER_SHIFT);
  State& state = states_[buffer];
  const char* start = address(buffer) + state.filled;
  const auto length = static_cast<std::uint32_t>(completion.result);
  if (incremental_ && (completion.flags & abi::kCompletionBufferMore) != 0) {
    state.filled += length;
  } else {
    state.with_kernel = false;
    ++held_;
  }
  ++state.leases;
  return Lease(this, buffer, {start, length});
}

void BufferRing::unlease(std::uint16_t buffer) {
  State& state = states_[buffer];
  assert(state.leases > 0);
  if (--state.leases > 0 || state.with_kernel) return;
  --held_;
  give_to_kernel(buffer);
}

void BufferRing::give_to_kernel(std::uint16_t buffer) {
  states_[buffer] = State{};
  io_uring_buf_ring_add(entries_, address(buffer), size_, buffer, io_uring_buf_ring_mask(count_), 0);
  io_uring_buf_ring_advance(entries_, 1);
}

}  // namespace uring
