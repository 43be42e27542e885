#include "src/info_merge.h"

#include <fmt/format.h>

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
    "rdb_changes_since_last_save",
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

/// The text inside "$n\r\n...\r\n" or "=n\r\ntxt:...\r\n"; empty where there is none.
std::string_view body_of(std::string_view reply) {
  const std::size_t begin = reply.find("\r\n") + 2 + (reply[0] == '=' ? 4 : 0);
  return begin + 2 < reply.size() ? reply.substr(begin, reply.size() - begin - 2) : std::string_view();
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

/// A line like "db0:keys=3,expires=1,avg_ttl=0" or "cmdstat_get:calls=2,usec=4,usec_per_call=2.00", added up over the
/// nodes. A mean has no sum: it is computed anew where its terms are there, else the first node's stays.
class Row {
 public:
  void add(std::string_view value) {
    while (!value.empty()) {
      const std::size_t end = std::min(value.find(','), value.size());
      const std::string_view item = value.substr(0, end);
      const std::size_t equals = std::min(item.find('='), item.size());
      add_item(item.substr(0, equals), item.substr(std::min(equals + 1, item.size())));
      value.remove_prefix(std::min(end + 1, value.size()));
    }
  }

  [[nodiscard]] std::string text() const {
    std::string text;
    for (const Item& item : items_) {
      text.append(text.empty() ? "" : ",").append(item.name).append("=");
      const std::uint64_t calls = sum_of("calls");
      if (item.name == "usec_per_call" && calls > 0) {
        const double mean = static_cast<double>(sum_of("usec")) / static_cast<double>(calls);
        text.append(fmt::format("{:.2f}", mean));
      } else {
        text.append(is_mean(item.name) ? item.first : std::to_string(item.sum));
      }
    }
    return text;
  }

 private:
  struct Item {
    std::string_view name;
    std::string_view first;  ///< as the first node has it
    std::uint64_t sum;
  };

  static bool is_mean(std::string_view name) { return name == "avg_ttl" || name == "usec_per_call"; }

  void add_item(std::string_view name, std::string_view value) {
    const auto found = std::ranges::find(items_, name, &Item::name);
    if (found == items_.end()) {
      items_.push_back({name, value, number_of(value)});
    } else {
      found->sum += number_of(value);
    }
  }

  [[nodiscard]] std::uint64_t sum_of(std::string_view name) const {
    const auto found = std::ranges::find(items_, name, &Item::name);
    return found == items_.end() ? 0 : found->sum;
  }

  std::vector<Item> items_;
};

bool is_row(std::string_view field, std::string_view value) {
  return (field.starts_with("db") && value.starts_with("keys=")) || field.starts_with("cmdstat_") ||
         field.starts_with("errorstat_");
}

/// "1.50M", as servers write it.
std::string human(std::uint64_t bytes) {
  if (bytes < 1024) return std::to_string(bytes) + "B";
  auto size = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  constexpr std::string_view kUnits = "KMGTP";
  for (; size >= 1024 && unit + 1 < kUnits.size(); ++unit) size /= 1024;
  return fmt::format("{:.2f}{}", size, kUnits[unit]);
}

struct Line {
  std::string_view field;
  std::string_view value;
  explicit Line(std::string_view text) : field(text.substr(0, text.find(':'))) {
    value = text.substr(std::min(field.size() + 1, text.size()));
  }
};

}  // namespace

std::string merge_info(std::span<const Part> parts, std::size_t missing) {
  std::map<std::string_view, std::uint64_t> sums;
  std::map<std::string_view, std::map<std::string_view, Row>> rows;  // by the heading that they stand under
  for (const Part& part : parts) {
    std::string_view heading;
    for (const std::string_view text : lines_of(body_of(part.reply))) {
      const Line line(text);
      if (text.starts_with("# ")) heading = text;
      if (is_summed(line.field)) sums[line.field] += number_of(line.value);
      if (is_row(line.field, line.value)) rows[heading][line.field].add(line.value);
    }
  }
  constexpr std::string_view kHuman = "_human";
  std::string text;
  for (const std::string_view first : lines_of(body_of(parts[0].reply))) {
    const Line line(first);
    if (is_row(line.field, line.value)) continue;
    const std::string_view counted =
        line.field.ends_with(kHuman) ? line.field.substr(0, line.field.size() - kHuman.size()) : line.field;
    if (const auto sum = sums.find(counted); sum == sums.end()) {
      text.append(first);
    } else {
      text.append(line.field).append(":");
      text.append(counted == line.field ? std::to_string(sum->second) : human(sum->second));
    }
    text.append("\r\n");
    const auto under = rows.find(first);
    if (under == rows.end()) continue;
    for (const auto& [field, row] : under->second) text.append(field).append(":").append(row.text()).append("\r\n");
  }
  if (missing > 0) text.append("# Sluice\r\nsluice_nodes_missing:").append(std::to_string(missing)).append("\r\n");
  const std::string_view tag = parts[0].reply[0] == '=' ? "txt:" : "";
  return parts[0].reply.substr(0, 1) + std::to_string(text.size() + tag.size()) + "\r\n" + std::string(tag) + text +
         "\r\n";
}

}  // namespace sluice
