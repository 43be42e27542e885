// The slot of a key: CRC16 (XMODEM) of the key or of its hash tag, modulo 16384.
// Source: Redis Cluster specification, "Key distribution model" and "Hash tags".
#pragma once

#include <cstdint>
#include <string_view>

namespace cluster {

using Slot = std::uint16_t;
inline constexpr std::uint32_t kSlotCount = 16384;

/// The part of a key that is hashed: what stands between the first '{' and the next '}' when that is not empty, else
/// the whole key.
[[nodiscard]] std::string_view hash_tag(std::string_view key);

/// O(length of the hashed part).
[[nodiscard]] Slot key_slot(std::string_view key);

}  // namespace cluster
