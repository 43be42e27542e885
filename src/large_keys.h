// Keys whose values were seen to be large: their next read takes a large lane at once. A fixed table of hashes, in
// which a newer key takes an older one's place: to forget one, or to mistake one, costs a moment, not a rule. Thread:
// one worker.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

namespace sluice {

class LargeKeys {
 public:
  [[nodiscard]] bool contains(std::string_view key) const {
    if (count_ == 0) [[likely]]
      return false;
    const std::uint64_t hash = hash_of(key);
    return hashes_[hash >> 1 & (kPlaces - 1)] == hash;
  }
  void note(std::string_view key) { place(hash_of(key), hash_of(key)); }
  void forget(std::string_view key) {
    if (contains(key)) place(hash_of(key), 0);
  }

 private:
  static constexpr std::size_t kPlaces = 4096;  // 32 KiB per worker

  /// Never 0, which is an empty place.
  [[nodiscard]] static std::uint64_t hash_of(std::string_view key) { return std::hash<std::string_view>{}(key) | 1; }
  void place(std::uint64_t hash, std::uint64_t value) {
    std::uint64_t& held = hashes_[hash >> 1 & (kPlaces - 1)];
    if (held != 0) --count_;
    if (value != 0) ++count_;
    held = value;
  }

  std::array<std::uint64_t, kPlaces> hashes_{};
  std::size_t count_ = 0;
};

}  // namespace sluice
