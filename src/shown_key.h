// A key as tables for people keep it: its first bytes, its length, and a hash by which it is known again. Its size does
// not depend on the key's.
#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

#include "src/limits.h"

namespace sluice {

/// Two keys that differ only behind the shown bytes are told apart by length and hash.
class ShownKey {
 public:
  ShownKey() = default;
  ShownKey(std::string_view key, std::uint64_t hash) : hash_(hash), length_(key.size()) {
    std::copy_n(key.begin(), std::min(key.size(), bytes_.size()), bytes_.begin());
  }
  explicit ShownKey(std::string_view key) : ShownKey(key, hash_of(key)) {}

  /// The same in all workers.
  [[nodiscard]] static std::uint64_t hash_of(std::string_view key) { return std::hash<std::string_view>{}(key); }

  [[nodiscard]] std::uint64_t hash() const { return hash_; }
  /// Of the whole key.
  [[nodiscard]] std::uint64_t length() const { return length_; }
  /// All of it, or its first bytes.
  [[nodiscard]] std::string_view shown() const {
    return {bytes_.data(), std::min<std::size_t>(length_, bytes_.size())};
  }
  [[nodiscard]] bool is(std::string_view key, std::uint64_t hash) const {
    return hash_ == hash && length_ == key.size() && shown() == key.substr(0, bytes_.size());
  }

  bool operator==(const ShownKey& other) const { return (*this <=> other) == 0; }
  std::strong_ordering operator<=>(const ShownKey& other) const {
    if (const auto order = hash_ <=> other.hash_; order != 0) return order;
    if (const auto order = length_ <=> other.length_; order != 0) return order;
    return shown() <=> other.shown();
  }

 private:
  std::uint64_t hash_ = 0;
  std::uint64_t length_ = 0;
  std::array<char, limits::kShownKeyBytes> bytes_;  // NOLINT: unset beyond the key
};

}  // namespace sluice
