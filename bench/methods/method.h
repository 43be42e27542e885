// One way to move bytes from sockets to other sockets, as the benchmark drives it: start() once, then in each turn the
// ring delivers completions to the method's operations, and end_turn() follows. A method is never destroyed while the
// process lives (operations are in flight to the end). Thread: that of its ring.
#pragma once

#include <cstdint>
#include <span>

#include "uring/features.h"
#include "uring/ring.h"

namespace methods {

/// All that arrives at `source` goes to `target`. Both are blocking TCP sockets.
struct Route {
  int source = -1;
  int target = -1;
};

/// What every method works with.
struct Work {
  uring::Ring& ring;
  const uring::Features& features;
  std::span<const Route> routes;
  std::uint64_t message_bytes;  ///< of every message; a new one comes when the last has arrived

  std::uint64_t bytes = 0;  ///< given to targets so far
  std::uint64_t calls = 0;  ///< system calls so far, those that enter the ring left out
};

class Method {
 public:
  virtual ~Method() = default;
  virtual void start() = 0;
  /// True: there is more to do at once, the next turn must not wait.
  virtual bool end_turn() { return false; }
};

}  // namespace methods
