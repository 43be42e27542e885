#include "src/reply_merge.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "resp/reply_scanner.h"
#include "resp/types.h"
#include "resp/value.h"
#include "resp/writer.h"
#include "src/info_merge.h"

namespace sluice {
namespace {

bool is_error(std::string_view reply) {
  return reply[0] == '-' || reply[0] == '!';
}

bool is_null(std::string_view reply) {
  return reply[0] == '_' || reply.starts_with("$-1") || reply.starts_with("*-1");
}

std::optional<std::int64_t> integer_of(std::string_view reply) {
  if (reply[0] != ':') return std::nullopt;
  std::int64_t value = 0;
  const char* end = reply.data() + reply.size();
  if (std::from_chars(reply.data() + 1, end, value).ec != std::errc()) return std::nullopt;
  return value;
}

std::string integer_reply(std::int64_t value) {
  return ":" + std::to_string(value) + "\r\n";
}

/// "*12\r\n" -> {'*', 12, 5}: type, count, bytes of the header. No type: not an array or its like, or a null one.
struct Header {
  char type = 0;
  std::uint64_t count = 0;
  std::size_t bytes = 0;
};

Header header_of(std::string_view reply) {
  Header header;
  const std::size_t end = reply.find("\r\n");
  if (end == std::string_view::npos || std::string_view("*~%>").find(reply[0]) == std::string_view::npos) return header;
  if (std::from_chars(reply.data() + 1, reply.data() + end, header.count).ec != std::errc()) return header;
  header.type = reply[0];
  header.bytes = end + 2;
  return header;
}

/// The error of a whole some parts of which failed.
std::string failure(std::span<const Part> parts) {
  const auto is_failed = [](const Part& part) { return is_error(part.reply); };
  const auto failed = std::ranges::count_if(parts, is_failed);
  const auto in_question = std::ranges::count_if(parts, &Part::in_question);
  // That nothing has run may be said only when it is so of each.
  const auto shown =
      in_question > 0 ? std::ranges::find_if(parts, &Part::in_question) : std::ranges::find_if(parts, is_failed);
  if (std::cmp_equal(failed, parts.size())) return shown->reply;
  const std::string of_these = in_question > 0 ? "of " + std::to_string(in_question) + " of these it is unknown; " : "";
  const auto error = resp::parse_value(shown->reply);
  std::string out;
  resp::Writer(out, resp::Protocol::kResp2)
      .error("ERR sluice: " + std::to_string(failed) + " of " + std::to_string(parts.size()) +
             " parts failed, the others have run; " + of_these +
             "the first error: " + (error ? error->text : std::string()));
  return out;
}

std::string unmergeable() {
  return "-ERR sluice: the nodes' replies do not fit together\r\n";
}

/// nullopt: the sum is no number of Redis's.
std::optional<std::int64_t> combine(Merge merge, std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  switch (merge) {
    case Merge::kSum:
      return __builtin_add_overflow(a, b, &sum) ? std::nullopt : std::optional(sum);
    case Merge::kMinimum:
      return std::min(a, b);
    case Merge::kMaximum:
      return std::max(a, b);
    case Merge::kLogicalAnd:
      return a != 0 && b != 0 ? 1 : 0;
    default:
      return a != 0 || b != 0 ? 1 : 0;
  }
}

std::string combine_integers(Merge merge, std::span<const Part> parts) {
  std::optional<std::int64_t> total;
  for (const Part& part : parts) {
    const auto value = integer_of(part.reply);
    if (!value) return unmergeable();
    total = total ? combine(merge, *total, *value) : *value;
    if (!total) return unmergeable();
  }
  return integer_reply(*total);
}

/// SCRIPT EXISTS: arrays of integers of equal length, combined column by column.
std::string combine_arrays(Merge merge, std::span<const Part> parts) {
  std::vector<std::int64_t> columns;
  for (const Part& part : parts) {
    if (header_of(part.reply).type == 0) return unmergeable();
    const std::vector<std::string_view> elements = reply_elements(part.reply);
    const bool first = &part == parts.data();
    if (!first && elements.size() != columns.size()) return unmergeable();
    for (std::size_t i = 0; i < elements.size(); ++i) {
      const auto value = integer_of(elements[i]);
      if (!value) return unmergeable();
      if (first) {
        columns.push_back(*value);
      } else if (const auto both = combine(merge, columns[i], *value)) {
        columns[i] = *both;
      } else {
        return unmergeable();
      }
    }
  }
  std::string out = "*" + std::to_string(columns.size()) + "\r\n";
  for (const std::int64_t value : columns) out += integer_reply(value);
  return out;
}

std::string concatenate(std::span<const Part> parts) {
  std::uint64_t count = 0;
  std::size_t bytes = 0;
  const char type = header_of(parts[0].reply).type;
  for (const Part& part : parts) {
    const Header header = header_of(part.reply);
    if (header.type == 0 || header.type != type) return parts.size() == 1 ? parts[0].reply : unmergeable();
    count += header.count;
    bytes += part.reply.size();
  }
  std::string out(1, type);
  out.reserve(bytes + 16);
  out.append(std::to_string(count)).append("\r\n");
  for (const Part& part : parts) out.append(part.reply, header_of(part.reply).bytes);
  return out;
}

std::string keep_order(std::span<const Part> parts, std::size_t places) {
  std::vector<std::string_view> whole(places);
  std::size_t bytes = 0;
  for (const Part& part : parts) {
    const std::vector<std::string_view> elements = reply_elements(part.reply);
    if (elements.size() != part.positions.size()) return unmergeable();
    for (std::size_t i = 0; i < elements.size(); ++i) whole[part.positions[i]] = elements[i];
    bytes += part.reply.size();
  }
  std::string out = "*" + std::to_string(places) + "\r\n";
  out.reserve(out.size() + bytes);
  for (const std::string_view element : whole) out.append(element);
  return out;
}

std::string latest_first(std::span<const Part> parts, std::size_t places) {
  std::vector<std::pair<std::int64_t, std::string_view>> entries;
  for (const Part& part : parts) {
    if (header_of(part.reply).type == 0) return unmergeable();
    for (const std::string_view entry : reply_elements(part.reply)) {
      const std::vector<std::string_view> fields = reply_elements(entry);
      const auto time = fields.size() < 2 ? std::nullopt : integer_of(fields[1]);
      if (!time) return unmergeable();
      entries.emplace_back(*time, entry);
    }
  }
  std::ranges::stable_sort(entries, std::ranges::greater(), &std::pair<std::int64_t, std::string_view>::first);
  entries.resize(std::min(entries.size(), places));
  std::string out = "*" + std::to_string(entries.size()) + "\r\n";
  for (const auto& [time, entry] : entries) out.append(entry);
  return out;
}

std::string one_succeeded(std::span<const Part> parts) {
  const auto good = std::find_if(parts.begin(), parts.end(), [](const Part& part) { return !is_error(part.reply); });
  if (good != parts.end()) return good->reply;
  // That one had nothing to end says less than what befell another.
  const auto telling =
      std::find_if(parts.begin(), parts.end(), [](const Part& part) { return !part.reply.starts_with("-NOTBUSY"); });
  return telling == parts.end() ? parts[0].reply : telling->reply;
}

std::string any_not_null(std::span<const Part> parts, std::uint32_t random) {
  std::vector<const Part*> candidates;
  for (const Part& part : parts) {
    if (!is_null(part.reply)) candidates.push_back(&part);
  }
  return candidates.empty() ? parts[0].reply : candidates[random % candidates.size()]->reply;
}

}  // namespace

std::vector<std::string_view> reply_elements(std::string_view reply) {
  std::vector<std::string_view> elements;
  const Header header = header_of(reply);
  std::string_view rest = reply.substr(header.bytes);
  if (header.type == 0) return elements;
  resp::ReplyScanner scanner;
  while (!rest.empty()) {
    const resp::ScanResult result = scanner.scan(rest);
    if (result.status != resp::ScanStatus::kComplete) break;
    elements.push_back(rest.substr(0, result.length));
    rest.remove_prefix(result.length);
  }
  return elements;
}

std::string merge_replies(Merge merge, std::span<const Part> all, std::size_t places, std::uint32_t random) {
  std::vector<Part> rest;
  const bool some_fail =
      std::ranges::any_of(all, [](const Part& part) { return part.may_fail && is_error(part.reply); });
  if (some_fail) {
    std::ranges::copy_if(all, std::back_inserter(rest),
                         [](const Part& part) { return !part.may_fail || !is_error(part.reply); });
  }
  const std::span<const Part> parts = rest.empty() ? all : rest;
  if (merge == Merge::kOneSucceeded) return one_succeeded(parts);
  if (std::any_of(parts.begin(), parts.end(), [](const Part& part) { return is_error(part.reply); })) {
    return failure(parts);
  }
  switch (merge) {
    case Merge::kConcatenate:
      return concatenate(parts);
    case Merge::kKeepOrder:
      return keep_order(parts, places);
    case Merge::kSum:
    case Merge::kMinimum:
    case Merge::kMaximum:
    case Merge::kLogicalAnd:
    case Merge::kLogicalOr:
      return header_of(parts[0].reply).type != 0 ? combine_arrays(merge, parts) : combine_integers(merge, parts);
    case Merge::kAllSucceeded:
    case Merge::kOneSucceeded:
      return parts[0].reply;
    case Merge::kAnyNotNull:
      return any_not_null(parts, random);
    case Merge::kInfo:
      return merge_info(parts, all.size() - parts.size());
    case Merge::kLatestFirst:
      return latest_first(parts, places);
  }
  return unmergeable();
}

}  // namespace sluice
