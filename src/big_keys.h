// The keys with the largest values that went by: exactly the largest, however many there were, in a fixed number of
// places. A key takes one place for what was sent and one for what was answered. Thread: one worker.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "src/shown_key.h"

namespace sluice {

enum class Direction : std::uint8_t { kRequest, kReply };

struct BigKey {
  ShownKey key = {};
  std::uint64_t bytes = 0;  ///< the most that was seen
  std::uint64_t times = 0;  ///< seen at or over the bound, since it has its place
  std::uint32_t last_ms = 0;
  Direction direction = Direction::kRequest;
  std::string_view command = {};  ///< of the largest; lives as long as the worker's command table
};

template <std::size_t Places>
class BigKeys {
 public:
  void note(std::string_view key, std::uint64_t bytes, Direction direction, std::string_view command,
            std::uint32_t now_ms) {
    const std::uint64_t hash = ShownKey::hash_of(key);
    const auto end = keys_.begin() + used_;
    auto place = std::find_if(
        keys_.begin(), end, [&](const BigKey& each) { return each.direction == direction && each.key.is(key, hash); });
    if (place == end) {
      if (used_ < Places) {
        ++used_;
      } else {
        place = std::ranges::min_element(keys_, {}, &BigKey::bytes);
        if (bytes <= place->bytes) return;
      }
      *place = {.key = ShownKey(key, hash), .direction = direction};
    }
    if (bytes >= place->bytes) {
      place->bytes = bytes;
      place->command = command;
    }
    ++place->times;
    place->last_ms = now_ms;
  }
  void clear() { used_ = 0; }

  /// In no order.
  [[nodiscard]] std::span<const BigKey> keys() const { return {keys_.data(), used_}; }

 private:
  std::array<BigKey, Places> keys_;
  std::size_t used_ = 0;
};

}  // namespace sluice
