// Addresses as text: what CLUSTER replies, redirects and configuration write.
#include <algorithm>
#include <charconv>

#include "cluster/topology.h"

namespace cluster {
namespace {

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, port);
  if (error != std::errc{} || stop != end || port == 0) return std::nullopt;
  return port;
}

/// Brackets would make text() ambiguous; blanks and control bytes are part of no host and would break a log line.
bool is_host_byte(char byte) {
  const auto code = static_cast<unsigned char>(byte);
  return code > 0x20 && code != 0x7f && byte != '[' && byte != ']';
}

}  // namespace

std::string Address::text() const {
  const bool is_v6 = host.find(':') != std::string::npos;
  std::string out;
  out.reserve(host.size() + 8);
  if (is_v6) out += '[';
  out += host;
  if (is_v6) out += ']';
  out += ':';
  out += std::to_string(port);
  return out;
}

std::optional<Address> parse_address(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto port = parse_port(text.substr(colon + 1));
  if (!port) return std::nullopt;

  auto host = text.substr(0, colon);
  if (host.starts_with('[')) {
    if (!host.ends_with(']')) return std::nullopt;
    host = host.substr(1, host.size() - 2);
  }
  if (host.empty() || !std::ranges::all_of(host, is_host_byte)) return std::nullopt;
  return Address{.host = std::string(host), .port = *port};
}

}  // namespace cluster
