#include "cluster/redirect.h"

#include <array>
#include <charconv>

namespace cluster {
namespace {

struct ErrorWord {
  std::string_view word;  ///< the first word of the reply, its '-' included
  ErrorKind kind;
};

constexpr std::array kErrorWords{
    ErrorWord{"-MOVED", ErrorKind::kMoved},           ErrorWord{"-ASK", ErrorKind::kAsk},
    ErrorWord{"-TRYAGAIN", ErrorKind::kTryAgain},     ErrorWord{"-CLUSTERDOWN", ErrorKind::kClusterDown},
    ErrorWord{"-LOADING", ErrorKind::kLoading},       ErrorWord{"-READONLY", ErrorKind::kReadOnly},
    ErrorWord{"-MASTERDOWN", ErrorKind::kMasterDown},
};

std::string_view without_line_end(std::string_view line) {
  if (line.ends_with("\r\n")) line.remove_suffix(2);
  return line;
}

bool is_first_word(std::string_view error, std::string_view word) {
  if (!error.starts_with(word)) return false;
  return error.size() == word.size() || error[word.size()] == ' ' || error[word.size()] == '\r';
}

/// Takes the bytes before the first space off `text`, with the space.
std::string_view take_word(std::string_view& text) {
  const auto space = text.find(' ');
  const auto word = text.substr(0, space);
  text.remove_prefix(space == std::string_view::npos ? text.size() : space + 1);
  return word;
}

std::optional<Slot> parse_slot(std::string_view text) {
  Slot slot = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, slot);
  if (error != std::errc{} || stop != end || slot >= kSlotCount) return std::nullopt;
  return slot;
}

/// As parse_address, but the host may be missing: from a node that does not know its own address or must not tell it.
std::optional<Address> parse_target(std::string_view text) {
  if (text.rfind(':') != 0) return parse_address(text);
  auto target = parse_address("?" + std::string(text));
  if (target) target->host.clear();
  return target;
}

}  // namespace

ErrorKind classify_error(std::string_view error) {
  for (const auto& [word, kind] : kErrorWords) {
    if (is_first_word(error, word)) return kind;
  }
  return ErrorKind::kOther;
}

std::optional<Redirect> parse_redirect(std::string_view error) {
  const auto kind = classify_error(error);
  if (kind != ErrorKind::kMoved && kind != ErrorKind::kAsk) return std::nullopt;

  auto rest = without_line_end(error);
  take_word(rest);
  const auto slot = parse_slot(take_word(rest));
  if (!slot) return std::nullopt;
  auto target = parse_target(rest);
  if (!target) return std::nullopt;
  return Redirect{.slot = *slot, .address = *std::move(target)};
}

}  // namespace cluster
