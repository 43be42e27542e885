// The number behind a mark: "$12\r\n", "*3\r\n". Decimal, no sign but '-', no leading zeros, as Redis reads lengths.
#pragma once

#include <cstddef>
#include <cstdint>
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

/// The header line at `line` when its number has one to three digits, else none. Reads kMinBulkBytes bytes.
/// Branches, on purpose: where the next header stands depends on this one's number, so the processor has to guess to
/// get ahead. The same without branches, all digits at once in a word, took 1.7 times as long (bench/resp_bench.cc).
[[nodiscard]] inline LengthLine read_short_length(const char* line) {
  const auto digit = [line](int at) { return static_cast<std::uint32_t>(static_cast<unsigned char>(line[at])) - '0'; };
  std::uint32_t value = digit(1);
  if (value > 9) return {};
  if (line[2] == '\r') return line[3] == '\n' ? LengthLine{value, 4} : LengthLine{};
  if (value == 0 || digit(2) > 9) return {};
  value = 10 * value + digit(2);
  if (line[3] == '\r') return line[4] == '\n' ? LengthLine{value, 5} : LengthLine{};
  if (digit(3) > 9 || line[4] != '\r' || line[5] != '\n') return {};
  return {10 * value + digit(3), 6};
}

}  // namespace resp
