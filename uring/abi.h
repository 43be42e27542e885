// Kernel constants newer than Debian 12's liburing 2.3, each with the kernel that brought it. Every one is probed
// before use (uring/features.h). Source: include/uapi/linux/io_uring.h.
#pragma once

#include <liburing.h>

#include <cstdint>

namespace uring::abi {

inline constexpr std::uint32_t kSetupNoSqArray = 1U << 16;         // 6.6
inline constexpr std::uint32_t kFeatureRecvSendBundle = 1U << 14;  // 6.10
inline constexpr std::uint16_t kReceiveSendBundle = 1U << 4;       // 6.10, io_uring_sqe::ioprio of a receive or send
inline constexpr std::uint32_t kFeatureMinTimeout = 1U << 15;      // 6.12
inline constexpr std::uint16_t kBufferRingIncremental = 2;         // 6.12, io_uring_buf_reg::flags (2.3 calls it pad)
inline constexpr std::uint32_t kCompletionBufferMore = 1U << 4;  // 6.12, the buffer stays in use after this completion
inline constexpr std::uint32_t kCancelOp = 1U << 5;              // 6.6, match the opcode in sqe->len

/// 6.6: ends the operations of that kind on a descriptor.
inline void prepare_cancel(io_uring_sqe* sqe, int fd, std::uint32_t opcode) {
  io_uring_prep_cancel_fd(sqe, fd, IORING_ASYNC_CANCEL_FD | kCancelOp);
  sqe->len = opcode;
}

/// 6.17: a multishot receive ends when it has brought so much; sqe->len bounds each of its completions, sqe->optlen
/// (2.3 knows that place as file_index) all of them together.
inline void limit_receive(io_uring_sqe* sqe, std::uint32_t bytes) {
  sqe->len = bytes;
  sqe->file_index = bytes;
}

}  // namespace uring::abi
