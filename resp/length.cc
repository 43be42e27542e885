#include "resp/length.h"

#include <charconv>
#include <limits>

namespace resp {

namespace {

// "-9223372036854775808"
constexpr std::size_t kMaxLengthDigits = std::numeric_limits<std::int64_t>::digits10 + 2;

}  // namespace

std::optional<std::int64_t> parse_length(std::string_view digits) {
  if (digits == "0") return 0;
  const std::string_view magnitude = digits.substr(digits.starts_with('-') ? 1 : 0);
  if (magnitude.empty() || magnitude.front() < '1' || magnitude.front() > '9') return std::nullopt;
  std::int64_t value = 0;
  const auto [rest, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || rest != digits.data() + digits.size()) return std::nullopt;
  return value;
}

LengthLine read_long_length(std::string_view bytes) {
  const std::size_t end = bytes.substr(0, kMaxLengthDigits + 2).find('\r');
  if (end == std::string_view::npos || end == 0) return {};
  if (end + 1 >= bytes.size() || bytes[end + 1] != '\n') return {};
  const auto value = parse_length(bytes.substr(1, end - 1));
  if (!value || *value < 0) return {};
  return {static_cast<std::uint64_t>(*value), static_cast<std::uint32_t>(end + 2)};
}

}  // namespace resp
