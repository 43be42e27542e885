// The number behind a mark: "$12\r\n", "*3\r\n". Decimal, no sign but '-', no leading zeros, as Redis reads lengths.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

namespace resp {

/// A header line that was read: its number and its size with mark and CRLF. bytes == 0: there was none.
struct LengthLine {
  std::uint64_t value = 0;
  std::uint32_t bytes = 0;
};

/// Fewest bytes of a whole bulk string, "$0\r\n\r\n": what read_short_length may look at.
inline constexpr std::size_t kMinBulkBytes = 6;

/// The digits between mark and CR, sign allowed. nullopt: not such a number, or beyond 64 bits.
[[nodiscard]] std::optional<std::int64_t> parse_length(std::string_view digits);

/// The header line of any length at the begin of `bytes`; none when it is unfinished, negative or malformed.
[[nodiscard]] LengthLine read_long_length(std::string_view bytes);

/// The header line at `line` when its number has one to three digits, else none. Reads kMinBulkBytes bytes. Branches
/// on validity only: the number of digits varies from header to header, and a mispredicted branch on it would cost
/// more than all of this.
[[nodiscard]] inline LengthLine read_short_length(const char* line) {
  static_assert(std::endian::native == std::endian::little, "the first digit is taken from the lowest byte");
  std::uint32_t word;
  std::memcpy(&word, line + 1, sizeof word);
  const std::uint32_t returns = word ^ 0x0d0d0d0dU;
  const std::uint32_t zero_bytes = (returns - 0x01010101U) & ~returns & 0x80808080U;
  const int digits = zero_bytes == 0 ? 0 : std::countr_zero(zero_bytes) / 8;
  if (digits == 0 || line[digits + 2] != '\n') return {};
  // The digits' values in the topmost bytes, the last digit highest; zeros below.
  const std::uint32_t values = (word ^ 0x30303030U) << (32 - 8 * digits);
  if ((((values + 0x76767676U) | values) & 0x80808080U) != 0) return {};
  if (digits > 1 && line[1] == '0') return {};
  const std::uint32_t value = (values >> 24) + 10 * (values >> 16 & 0xff) + 100 * (values >> 8 & 0xff);
  return {value, static_cast<std::uint32_t>(digits) + 3};
}

}  // namespace resp
