// A table of what was seen lately: one half of the window is being filled, the one before is still shown. When the
// younger is full of age, the elder is cleared and takes its place. So what is shown reaches back between one and two
// halves. Thread: one worker.
#pragma once

#include <array>
#include <cstdint>

#include "src/limits.h"

namespace sluice {

/// `Table` has clear(). Times are the worker's clock, milliseconds modulo 2^32.
template <typename Table>
class KeyWindow {
 public:
  /// Forgets all; the window begins now.
  void clear(std::uint32_t now_ms) {
    for (Table& half : halves_) half.clear();
    begins_ms_ = {now_ms, now_ms};
  }
  /// Often enough; all workers turn at the same time.
  void turn(std::uint32_t now_ms) {
    constexpr std::uint32_t kHalf = limits::kKeyWindowMs / 2;
    if (now_ms / kHalf == begins_ms_[younger_] / kHalf) return;
    younger_ = 1 - younger_;
    halves_[younger_].clear();
    begins_ms_[younger_] = now_ms;
  }
  [[nodiscard]] Table& younger() { return halves_[younger_]; }
  [[nodiscard]] const Table& younger() const { return halves_[younger_]; }
  [[nodiscard]] const Table& elder() const { return halves_[1 - younger_]; }
  /// How far back the elder reaches.
  [[nodiscard]] std::uint32_t age_ms(std::uint32_t now_ms) const { return now_ms - begins_ms_[1 - younger_]; }

 private:
  std::array<Table, 2> halves_;
  std::array<std::uint32_t, 2> begins_ms_{};
  unsigned younger_ = 0;
};

}  // namespace sluice
