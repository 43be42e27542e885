// Receive buffers lent to the kernel as one provided buffer ring; what it fills comes back as leases.
//
// With incremental buffers (6.12) the kernel fills one buffer bit by bit over many receives, so a few large buffers
// serve small and large messages alike and stay warm in the cache; without, each receive takes a whole buffer. A buffer
// returns to the kernel when the kernel is done with it and its last lease is gone. Thread: that of its ring. Must
// outlive its leases and be destroyed after the ring's streams.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "uring/ring.h"

namespace uring {

class BufferRing;

/// Bytes of one receive, readable until the lease is destroyed. Move-only.
class Lease {
 public:
  Lease() = default;
  Lease(Lease&& other) noexcept
      : ring_(std::exchange(other.ring_, nullptr)), buffer_(other.buffer_), bytes_(other.bytes_) {}
  Lease& operator=(Lease&& other) noexcept;
  ~Lease() { release(); }

  [[nodiscard]] std::string_view bytes() const { return bytes_; }
  void release();

  [[nodiscard]] bool holds(std::string_view bytes) const {
    return bytes.data() >= bytes_.data() && bytes.data() + bytes.size() <= bytes_.data() + bytes_.size();
  }
  /// Another lease, of `bytes` that this one holds.
  [[nodiscard]] Lease part(std::string_view bytes) const;
  /// Holds `bytes` too, of `next`, when they lie right behind its own in the same buffer; false when they do not.
  [[nodiscard]] bool extend(const Lease& next, std::string_view bytes);
  /// Who keeps it for longer than a turn keeps nobody from receiving: few buffers are held, and less than half of all.
  [[nodiscard]] bool is_spared() const;

 private:
  friend class BufferRing;
  static constexpr std::uint32_t kMostKept = 8;

  Lease(BufferRing* ring, std::uint16_t buffer, std::string_view bytes) : ring_(ring), buffer_(buffer), bytes_(bytes) {}

  BufferRing* ring_ = nullptr;
  std::uint16_t buffer_ = 0;
  std::string_view bytes_;
};

class BufferRing {
 public:
  BufferRing() = default;
  ~BufferRing();
  BufferRing(const BufferRing&) = delete;
  BufferRing& operator=(const BufferRing&) = delete;

  /// `count` buffers (a power of two) of `size` bytes each, registered as `group`.
  [[nodiscard]] std::error_code open(Ring& ring, std::uint16_t group, std::uint32_t count, std::uint32_t size,
                                     bool incremental);

  /// The bytes of a receive completion with result > 0 and IORING_CQE_F_BUFFER.
  [[nodiscard]] Lease lease(Completion completion);

  [[nodiscard]] std::uint16_t group() const { return group_; }
  [[nodiscard]] std::uint32_t count() const { return count_; }
  /// Buffers the kernel cannot fill now because leases hold them.
  [[nodiscard]] std::uint32_t held() const { return held_; }

 private:
  friend class Lease;
  struct State {
    std::uint32_t filled = 0;  ///< bytes the kernel has used up so far (incremental)
    std::uint16_t leases = 0;
    bool with_kernel = true;
  };

  [[nodiscard]] char* address(std::uint16_t buffer) { return memory_ + std::size_t{buffer} * size_; }
  void unlease(std::uint16_t buffer);
  void give_to_kernel(std::uint16_t buffer);

  Ring* ring_ = nullptr;
  io_uring_buf_ring* entries_ = nullptr;
  char* memory_ = nullptr;
  std::size_t memory_bytes_ = 0;
  std::vector<State> states_;
  std::uint32_t count_ = 0;
  std::uint32_t size_ = 0;
  std::uint32_t held_ = 0;
  std::uint16_t group_ = 0;
  bool incremental_ = false;
};

}  // namespace uring
