// The most frequent keys among any number of them, in a fixed number of places: Space-Saving (Metwally, Agrawal, El
// Abbadi, "Efficient Computation of Frequent and Top-k Elements in Data Streams", 2005).
//
// A key without a place takes that of the key counted least, and its count as a possible error of its own. So, of n
// that were counted in k places: each key counted more than n/k times has a place; of a key with a place,
// count - error <= its true count <= count, and error <= n/k.
//
// Counting is O(1) in the mean and allocates nothing. Thread: one worker.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>

#include "src/shown_key.h"

namespace sluice {

template <std::size_t Places>
class KeySketch {
 public:
  KeySketch() { clear(); }

  /// `weight` > 0 times at once.
  void count(std::string_view key, std::uint32_t weight) {
    const std::uint64_t hash = ShownKey::hash_of(key);
    total_ += weight;
    Place place = find(key, hash);
    if (place == kNone) {
      place = used_ < Places ? static_cast<Place>(used_++) : vacate();
      errors_[place] = counts_[place];
      keys_[place] = ShownKey(key, hash);
      Place& first = chains_[hash % kChains];
      next_[place] = first;
      first = place;
    }
    counts_[place] += weight;
  }
  void clear() {
    chains_.fill(kNone);
    counts_.fill(0);
    used_ = lowest_ = 0;
    floor_ = 0;
    total_ = 0;
  }

  /// Keys with a place, in no order: places 0 to size() - 1.
  [[nodiscard]] std::size_t size() const { return used_; }
  [[nodiscard]] const ShownKey& key(std::size_t place) const { return keys_[place]; }
  [[nodiscard]] std::uint32_t most(std::size_t place) const { return counts_[place]; }
  [[nodiscard]] std::uint32_t least(std::size_t place) const { return counts_[place] - errors_[place]; }
  /// All that was counted.
  [[nodiscard]] std::uint64_t total() const { return total_; }

 private:
  using Place = std::uint16_t;
  static constexpr Place kNone = 0xffff;
  static constexpr std::size_t kChains = 2 * Places;
  static_assert(Places > 0 && Places < kNone);

  [[nodiscard]] Place find(std::string_view key, std::uint64_t hash) const {
    Place place = chains_[hash % kChains];
    while (place != kNone && !keys_[place].is(key, hash)) place = next_[place];
    return place;
  }
  /// The place counted least, out of its chain.
  [[nodiscard]] Place vacate() {
    // Counts only grow: a place once passed is above the floor until the floor rises, and it rises at most n/k times.
    while (lowest_ < Places && counts_[lowest_] > floor_) ++lowest_;
    if (lowest_ == Places) {
      lowest_ = static_cast<std::size_t>(std::ranges::min_element(counts_) - counts_.begin());
      floor_ = counts_[lowest_];
    }
    const auto place = static_cast<Place>(lowest_);
    Place* link = &chains_[keys_[place].hash() % kChains];
    while (*link != place) link = &next_[*link];
    *link = next_[place];
    return place;
  }

  std::array<Place, kChains> chains_;  ///< the first place of each chain
  std::array<Place, Places> next_;     ///< in the chain
  std::array<std::uint32_t, Places> counts_;
  std::array<std::uint32_t, Places> errors_;
  std::array<ShownKey, Places> keys_;
  std::size_t used_ = 0;
  std::size_t lowest_ = 0;   ///< no place before it has the floor's count
  std::uint32_t floor_ = 0;  ///< no place counts less
  std::uint64_t total_ = 0;
};

}  // namespace sluice
