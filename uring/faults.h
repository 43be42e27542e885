// The seam at the ring's border where a test makes the kernel misbehave: short sends, -ENOBUFS, resets, completions out
// of order. Without one (always, outside tests) it costs a null check per turn and per operation.
#pragma once

#include <liburing.h>

#include <cstddef>
#include <optional>
#include <span>

#include "uring/operation.h"

namespace uring {

struct PendingCompletion {
  Operation* operation;
  Completion completion;
};

class Faults {
 public:
  virtual ~Faults() = default;

  /// May change the SQE (a shorter length), or return a result: then the kernel is not asked and the operation
  /// completes with that result in the next turn.
  virtual std::optional<int> on_prepare(io_uring_sqe& sqe) = 0;

  /// May reorder what one turn delivers; the order of completions of one operation must be kept.
  virtual void on_batch(std::span<PendingCompletion> batch) = 0;
};

}  // namespace uring
