// What this kernel's io_uring can do, found by trying, and why it cannot be used when it cannot.
// Thread: any; each probe opens rings of its own and closes them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace uring {

/// Probed at start. The first group is the floor (Linux 6.1): without one of them Sluice does not start.
struct Features {
  bool defer_taskrun = false;         // 6.1
  bool multishot_receive = false;     // 6.0
  bool provided_buffer_ring = false;  // 5.19
  bool message_ring = false;          // 5.18
  bool registered_ring_fd = false;    // 5.18

  bool send_zero_copy = false;       // 6.0
  bool cancel_by_opcode = false;     // 6.6
  bool no_sq_array = false;          // 6.6; needs liburing 2.5, listed only
  bool receive_bundles = false;      // 6.10
  bool incremental_buffers = false;  // 6.12, usable from 6.12.29, 6.14.7 and 6.15 on
  bool min_wait = false;             // 6.12
  bool limited_receive = false;      // 6.17

  [[nodiscard]] bool enough() const {
    return defer_taskrun && multishot_receive && provided_buffer_ring && message_ring;
  }
};

/// errno of the first io_uring_setup is kept in `error` (0: it works).
struct Probe {
  Features features;
  int error = 0;
};

[[nodiscard]] Probe probe_features();

/// One line per feature: name, yes or no, the kernel that brought it, what Sluice uses it for.
[[nodiscard]] std::string describe(const Features& features);

/// Why Sluice cannot run on this kernel and what to do about it: one line each; empty when it can. Tells apart a kernel
/// without io_uring, one where the sysctl disables it, a seccomp filter, a locked-memory limit, and one that is too
/// old.
[[nodiscard]] std::vector<std::string> explain_missing(const Probe& probe);

/// The same for an errno met later, when a worker opens its ring: `what` names the step.
[[nodiscard]] std::string explain_error(int error, const std::string& what);

}  // namespace uring
