#include "src/config_value.h"

namespace sluice {

std::string printable(std::string_view text) {
  constexpr std::size_t kMaxShown = 64;
  std::string shown;
  for (const char c : text.substr(0, kMaxShown)) {
    const auto byte = static_cast<unsigned char>(c);
    shown += byte < 0x20 || byte == 0x7f ? '?' : c;
  }
  return text.size() > kMaxShown ? shown + "..." : shown;
}

std::string in_quotes(std::string_view text) {
  return '"' + printable(text) + '"';
}

}  // namespace sluice
