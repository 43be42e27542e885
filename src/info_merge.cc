#include "src/info_merge.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

namespace sluice {
namespace {

// Fields that mean something as a sum over nodes; every other line is the first node's.
constexpr std::string_view kSummed[] = {
    "blocked_clients",
    "connected_clients",
    "evicted_keys",
    "expired_keys",
    "instantaneous_ops_per_sec",
    "keyspace_hits",
    "keyspace_misses",
    "maxmemory",
    "rejected_connections",
    "total_commands_processed",
    "total_connections_received",
    "total_error_replies",
    "total_net_input_bytes",
    "total_net_output_bytes",
    "total_system_memory",
    "used_memory",
    "used_memory_dataset",
    "used_memory_rss",
};

/// The text inside "$n\r\n...\r\n" or "=n\r\ntxt:...\r\n".
std::string_view body_of(std::string_view reply) {
  const std::size_t start = reply.find("\r\n") + 2 + (reply[0] == '=' ? 4 : 0);
  return reply.substr(start, reply.size() - start - 2);
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find("\r\n"), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 2, text.size()));
  }
  return lines;
}

std::uint64_t number_of(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

bool is_summed(std::string_view field) {
  return std::ranges::find(kSummed, field) != std::end(kSummed);
}

/// "keys=3,expires=1,avg_ttl=0": sums of keys and expires; the average lifetime has no sum and is left at the first
/// node's.
struct KeySpace {
  std::uint64_t keys = 0;
  std::uint64_t expires = 0;
  std::string_view rest;
};

KeySpace key_space_of(std::string_view value) {
  KeySpace space;
  const std::size_t keys = value.find("keys=");
  const std::size_t expires = value.find("expires=");
  const std::size_t rest = expires == std::string_view::npos ? expires : value.find(',', expires);
  if (keys != std::string_view::npos) space.keys = number_of(value.substr(keys + 5));
  if (expires != std::string_view::npos) space.expires = number_of(value.substr(expires + 8));
  if (rest != std::string_view::npos) space.rest = value.substr(rest);
  return space;
}

}  // namespace

std::string merge_info(std::span<const Part> parts) {
  std::map<std::string_view, std::uint64_t> sums;
  std::map<std::string_view, KeySpace> spaces;
  for (const Part& part : parts) {
    for (const std::string_view line : lines_of(body_of(part.reply))) {
      const std::size_t colon = line.find(':');
      if (colon == std::string_view::npos) continue;
      const std::string_view field = line.substr(0, colon);
      const std::string_view value = line.substr(colon + 1);
      if (is_summed(field)) sums[field] += number_of(value);
      if (!field.starts_with("db") || !value.starts_with("keys=")) continue;
      const KeySpace space = key_space_of(value);
      KeySpace& total = spaces[field];
      total.keys += space.keys;
      total.expires += space.expires;
      if (total.rest.empty()) total.rest = space.rest;
    }
  }
  std::string text;
  const auto write_spaces = [&] {
    for (const auto& [name, space] : spaces) {
      text.append(name).append(":keys=").append(std::to_string(space.keys));
      text.append(",expires=").append(std::to_string(space.expires)).append(space.rest).append("\r\n");
    }
    spaces.clear();
  };
  for (const std::string_view line : lines_of(body_of(parts[0].reply))) {
    const std::string_view field = line.substr(0, line.find(':'));
    if (spaces.contains(field) || (field.starts_with("db") && line.find(":keys=") != std::string_view::npos)) continue;
    text.append(field);
    if (sums.contains(field)) {
      text.append(":").append(std::to_string(sums[field]));
    } else {
      text.append(line.substr(field.size()));
    }
    text.append("\r\n");
    if (field == "# Keyspace") write_spaces();
  }
  const std::string_view tag = parts[0].reply[0] == '=' ? "txt:" : "";
  return parts[0].reply.substr(0, 1) + std::to_string(text.size() + tag.size()) + "\r\n" + std::string(tag) + text +
         "\r\n";
}

}  // namespace sluice
