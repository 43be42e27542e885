// CPU time of this process, user and system: all its threads, those of io-wq among them, and those that have ended.
#pragma once

#include <ctime>

namespace methods {

[[nodiscard]] inline double cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

}  // namespace methods
