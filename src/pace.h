// How many arrivals a turn is worth waking up for. Under load completions come so close together that one turn can take
// several, and each turn saved saves a wake-up and makes every send fuller. A lone request is never made to wait: what is expected to
// arrive within the patience decides, and at a low rate that is nothing.
// Thread: one worker.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace sluice {

class Pace {
 public:
  /// The longest a completion may wait for others.
  static constexpr std::chrono::microseconds kPatience{100};

  /// After each turn: how many completions it took (sends not counted), at which time.
  void count(std::uint64_t arrivals, std::uint64_t now_ns) {
    const std::uint64_t elapsed = std::max<std::uint64_t>(now_ns - last_ns_, 1);
    last_ns_ = now_ns;
    // Arrivals per patience, averaged over about the last 16 turns; a pause of a millisecond ends what was.
    const double expected = static_cast<double>(arrivals) * static_cast<double>(kPatienceNs) / static_cast<double>(elapsed);
    const double weight = elapsed > kForgetNs ? 1.0 : 1.0 / 16;
    expected_ += (expected - expected_) * weight;
  }

  /// Completions the next turn waits for, at least 1.
  [[nodiscard]] unsigned wanted() const {
    return static_cast<unsigned>(std::clamp(expected_ * kShare, 1.0, static_cast<double>(kMostWanted)));
  }

 private:
  static constexpr std::uint64_t kPatienceNs = std::chrono::nanoseconds(kPatience).count();
  static constexpr std::uint64_t kForgetNs = 1'000'000;
  static constexpr double kShare = 0.5;        // half of what is expected: the patience is the exception, not the rule
  static constexpr unsigned kMostWanted = 64;  // more fills no send further

  double expected_ = 0;
  std::uint64_t last_ns_ = 0;
};

}  // namespace sluice
