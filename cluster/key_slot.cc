#include "cluster/key_slot.h"

#include <array>
#include <cstddef>

namespace cluster {
namespace {

constexpr std::size_t kBlock = 8;
constexpr std::uint16_t kPolynomial = 0x1021;

/// kTables[n][b]: the checksum of the byte b followed by n zero bytes. The checksum is linear and begins at zero, so
/// that of a block is the exclusive-or of one entry per byte: eight loads that do not wait for each other.
using Tables = std::array<std::array<std::uint16_t, 256>, kBlock>;

constexpr std::uint16_t shift_zero_byte(std::uint16_t crc) {
  for (int bit = 0; bit < 8; ++bit) {
    const bool carry = (crc & 0x8000U) != 0;
    crc = static_cast<std::uint16_t>((crc << 1) ^ (carry ? kPolynomial : 0));
  }
  return crc;
}

constexpr Tables make_tables() {
  Tables tables{};
  for (std::size_t byte = 0; byte < 256; ++byte) {
    auto crc = static_cast<std::uint16_t>(byte << 8);
    for (auto& table : tables) {
      crc = shift_zero_byte(crc);
      table[byte] = crc;
    }
  }
  return tables;
}

constexpr Tables kTables = make_tables();

/// Leading zero bytes change nothing, so the odd bytes are taken first, as the end of a block whose beginning is zero.
std::uint16_t crc16(std::string_view bytes) {
  const auto* next = reinterpret_cast<const unsigned char*>(bytes.data());
  const auto* const end = next + bytes.size();
  std::uint16_t crc = 0;
  for (std::size_t odd = bytes.size() % kBlock; odd != 0; --odd) crc ^= kTables[odd - 1][*next++];
  for (; next != end; next += kBlock) {
    crc = kTables[7][next[0] ^ (crc >> 8)] ^ kTables[6][next[1] ^ (crc & 0xff)] ^ kTables[5][next[2]] ^
          kTables[4][next[3]] ^ kTables[3][next[4]] ^ kTables[2][next[5]] ^ kTables[1][next[6]] ^ kTables[0][next[7]];
  }
  return crc;
}

}  // namespace

std::string_view hash_tag(std::string_view key) {
  const auto open = key.find('{');
  if (open == std::string_view::npos) return key;
  const auto close = key.find('}', open + 1);
  if (close == std::string_view::npos || close == open + 1) return key;
  return key.substr(open + 1, close - open - 1);
}

Slot key_slot(std::string_view key) {
  return static_cast<Slot>(crc16(hash_tag(key)) % kSlotCount);
}

}  // namespace cluster
