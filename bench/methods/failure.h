// How a benchmark program ends when it cannot go on: one line on standard error, status 1.
#pragma once

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace methods {

/// `error` as errno has it. The process ends at once: operations may be in flight, so nothing is destroyed.
[[noreturn]] inline void fail(const char* what, int error) {
  std::fprintf(stderr, "transfer_methods: %s: %s\n", what, std::strerror(error));
  std::_Exit(1);
}

/// For calls that return -1 and set errno.
inline long check(const char* what, long result) {
  if (result < 0) fail(what, errno);
  return result;
}

}  // namespace methods
