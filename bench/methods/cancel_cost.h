// What it costs to arm a multishot receive and to cancel it by descriptor before anything came: the fixed price of
// handing a socket from the ring's receive to splice(2). Compared with turns that do nothing.
#pragma once

#include <cstdint>

#include "bench/methods/method.h"

namespace methods {

struct CancelCost {
  std::uint64_t cycles = 0;
  double cpu_us_armed = 0;  ///< per cycle of two turns: arm; cancel and wait for the end of the receive
  double cpu_us_idle = 0;   ///< the same two turns with a NOP each
};

/// Both kinds take turns, `cycles` each. The routes' sockets must be silent.
[[nodiscard]] CancelCost measure_cancel(Work& work, std::uint64_t cycles);

}  // namespace methods
