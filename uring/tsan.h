// The kernel orders what two rings exchange, which the thread sanitizer cannot see: these two lines tell it.
#pragma once

#if defined(__SANITIZE_THREAD__)
extern "C" void __tsan_acquire(void* address);
extern "C" void __tsan_release(void* address);
#endif

namespace uring {

#if defined(__SANITIZE_THREAD__)
inline void tsan_acquire(void* address) {
  __tsan_acquire(address);
}
inline void tsan_release(void* address) {
  __tsan_release(address);
}
#else
inline void tsan_acquire(void*) {}
inline void tsan_release(void*) {}
#endif

}  // namespace uring
