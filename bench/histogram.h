// Times as a load generator sees them: the clock that it reads, and what it keeps of many times.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace bench {

using Nanoseconds = std::int64_t;

inline Nanoseconds now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// Counts times in buckets that grow with them: 64 to each power of two, so that a percentile is off by 1.6 % at most.
class Histogram {
 public:
  void record(Nanoseconds time) {
    const auto value = static_cast<std::uint64_t>(std::max<Nanoseconds>(time, 0));
    ++buckets_[bucket_of(value)];
    ++count_;
    sum_ += value;
    max_ = std::max(max_, value);
  }
  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] double average_ms() const { return count_ == 0 ? 0 : ms(sum_) / static_cast<double>(count_); }
  [[nodiscard]] double max_ms() const { return ms(max_); }
  /// The upper edge of the bucket in which this share (0..1) of the times is reached.
  [[nodiscard]] double percentile_ms(double share) const {
    const auto wanted = static_cast<std::uint64_t>(share * static_cast<double>(count_));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i];
      if (seen > wanted) return std::min(ms(upper_edge(i)), max_ms());
    }
    return max_ms();
  }

 private:
  static constexpr std::size_t kStepBits = 6;
  static constexpr std::size_t kSteps = 1U << kStepBits;

  static double ms(std::uint64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e6; }
  static std::size_t bucket_of(std::uint64_t value) {
    if (value < kSteps) return value;
    const auto shift = static_cast<std::size_t>(std::bit_width(value)) - kStepBits - 1;
    return (shift << kStepBits) + (value >> shift);
  }
  static std::uint64_t upper_edge(std::size_t bucket) {
    if (bucket < 2 * kSteps) return bucket + 1;
    const std::size_t shift = (bucket >> kStepBits) - 1;
    return ((bucket & (kSteps - 1)) + kSteps + 1) << shift;
  }

  std::array<std::uint64_t, (64 - kStepBits + 1) * kSteps> buckets_{};
  std::uint64_t count_ = 0, sum_ = 0, max_ = 0;
};

}  // namespace bench
