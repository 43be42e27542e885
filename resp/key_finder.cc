#include "resp/key_finder.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace resp {
namespace {

using Arguments = std::span<const std::string_view>;
/// Positions in the making: specifications count from either end and may point anywhere.
using Position = std::int64_t;

Position count_of(Arguments arguments) {
  return static_cast<Position>(arguments.size());
}

std::string_view argument_at(Arguments arguments, Position position) {
  return arguments[static_cast<std::size_t>(position)];
}

bool equals_in_any_case(std::string_view text, std::string_view upper) {
  const auto raised = [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - ('a' - 'A')) : c; };
  return std::ranges::equal(text, upper, {}, raised);
}

/// The keys at first, first + step ... up to last. Either empty, or 1 <= first <= last < number of arguments.
struct KeyRange {
  Position first = 0;
  Position last = -1;
  Position step = 1;
  [[nodiscard]] bool empty() const { return last < first; }
};

/// The keys of one specification; nullopt when the arguments contradict it.
using Located = std::optional<KeyRange>;
constexpr KeyRange kNoKeys = {};

Located checked(KeyRange range, Arguments arguments) {
  if (range.first < 1 || range.empty() || range.last >= count_of(arguments)) return std::nullopt;
  return range;
}

/// A whole number as servers read it: no sign but '-', no leading zero, nothing around it.
std::optional<Position> read_count(std::string_view text) {
  if (text.empty() || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  Position value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

// ---- where the keys of a specification begin ----

/// The position behind the keyword; nullopt when it is not there. Servers look neither at the last argument, which has
/// nothing behind it, nor, searching backwards, at the one behind the command's name.
std::optional<Position> behind_keyword(const KeySpec& spec, Arguments arguments) {
  const Position count = count_of(arguments);
  const bool forward = spec.begin_position > 0;
  const Position start = forward ? spec.begin_position : count + spec.begin_position;
  const Position end = forward ? count - 1 : 1;
  const Position step = start <= end ? 1 : -1;
  for (Position at = start; at != end && at >= 1 && at < count; at += step) {
    if (equals_in_any_case(argument_at(arguments, at), spec.keyword)) return at + 1;
  }
  return std::nullopt;
}

// ---- which keys follow ----

Located locate_range(const KeySpec& spec, Position first, Arguments arguments) {
  const Position rest = count_of(arguments) - first;
  KeyRange range{.first = first, .step = spec.key_step};
  if (spec.last_key >= 0) {
    range.last = first + spec.last_key;
  } else if (spec.limit > 1) {
    range.last = first + rest / spec.limit + spec.last_key;
  } else {
    range.last = first + rest + spec.last_key;
  }
  return checked(range, arguments);
}

Located locate_counted(const Command& command, const KeySpec& spec, Position begin, Arguments arguments) {
  const Position count_position = begin + spec.key_num_index;
  if (count_position < 1 || count_position >= count_of(arguments)) return std::nullopt;
  const auto count = read_count(argument_at(arguments, count_position));
  if (!count || *count > count_of(arguments)) return std::nullopt;
  if (*count == 0) return command.is(kNoMandatoryKeys) ? Located(kNoKeys) : std::nullopt;
  const Position first = begin + spec.first_key;
  return checked({first, first + (*count - 1) * spec.key_step, spec.key_step}, arguments);
}

/// What a specification leaves open counts as no keys: better the keys that are known than none.
Located locate(const Command& command, const KeySpec& spec, Arguments arguments) {
  if (spec.begin == KeySpec::Begin::kUnknown || spec.find == KeySpec::Find::kUnknown || spec.key_step < 1) {
    return kNoKeys;
  }
  Position begin = spec.begin_position;
  if (spec.begin == KeySpec::Begin::kKeyword) {
    const auto found = behind_keyword(spec, arguments);
    if (!found) return kNoKeys;
    begin = *found;
  }
  if (spec.find == KeySpec::Find::kRange) return locate_range(spec, begin, arguments);
  return locate_counted(command, spec, begin, arguments);
}

// ---- commands that no specification describes ----

/// At most two ranges, in order; `valid` as in Located.
struct KeyRanges {
  std::array<KeyRange, 2> ranges = {};
  bool valid = true;
};
constexpr KeyRanges kContradiction = {.valid = false};

struct Option {
  std::string_view name;
  Position values;  ///< arguments behind the name
};

Position values_of(std::span<const Option> options, std::string_view argument) {
  const auto found =
      std::ranges::find_if(options, [&](const Option& option) { return equals_in_any_case(argument, option.name); });
  return found == options.end() ? 0 : found->values;
}

/// SORT key [options] [STORE destination]: the options may come in any order, and the last STORE wins. What BY and GET
/// name are patterns, which become keys only by what the sorted key holds.
KeyRanges locate_sort(Arguments arguments) {
  static constexpr Option kOptions[] = {{"LIMIT", 2}, {"BY", 1}, {"GET", 1}, {"STORE", 1}};
  const auto key = checked({1, 1}, arguments);
  if (!key) return kContradiction;
  KeyRanges keys{.ranges = {*key}};
  for (Position at = 2; at < count_of(arguments); ++at) {
    const std::string_view option = argument_at(arguments, at);
    if (equals_in_any_case(option, "STORE") && at + 1 < count_of(arguments)) keys.ranges[1] = {at + 1, at + 1};
    at += values_of(kOptions, option);
  }
  return keys;
}

/// MIGRATE host port key database timeout [options], or with an empty key and all keys behind KEYS.
KeyRanges locate_migrate(Arguments arguments) {
  static constexpr Option kOptions[] = {{"AUTH", 1}, {"AUTH2", 2}};
  constexpr Position kKey = 3;
  const auto key = checked({kKey, kKey}, arguments);
  if (!key) return kContradiction;
  for (Position at = 6; at + 1 < count_of(arguments); ++at) {
    const std::string_view option = argument_at(arguments, at);
    if (equals_in_any_case(option, "KEYS")) {
      if (!argument_at(arguments, kKey).empty()) return kContradiction;
      return {.ranges = {KeyRange{at + 1, count_of(arguments) - 1}}};
    }
    at += values_of(kOptions, option);
  }
  return {.ranges = {*key}};
}

/// XREAD and XREADGROUP: the keyword may be the name of a group or a consumer too, which servers step over when they
/// route, though not when they answer COMMAND GETKEYS.
KeyRanges locate_streams(Arguments arguments) {
  const auto at = static_cast<Position>(find_stream_option(arguments, "STREAMS"));
  const Position behind = count_of(arguments) - at - 1;
  if (at == 0 || behind == 0) return {};
  const auto keys = checked({at + 1, at + behind / 2}, arguments);  // as many IDs follow
  return keys ? KeyRanges{.ranges = {*keys}} : kContradiction;
}

struct NamedLocator {
  std::string_view command;
  KeyRanges (*locate)(Arguments arguments);
};
constexpr NamedLocator kLocators[] = {
    {"migrate", locate_migrate},
    {"sort", locate_sort},
    {"xread", locate_streams},
    {"xreadgroup", locate_streams},
};

/// nullptr: the specifications tell it all, as for nearly every command.
const NamedLocator* locator_of(const Command& command) {
  if (!command.is(kMovableKeys)) return nullptr;
  const auto found = std::ranges::find(kLocators, command.name, &NamedLocator::command);
  return found == std::end(kLocators) ? nullptr : found;
}

void append(const KeyRange& range, std::vector<std::size_t>& out) {
  for (Position at = range.first; at <= range.last; at += range.step) out.push_back(static_cast<std::size_t>(at));
}

bool append_keys(const Command& command, Arguments arguments, std::vector<std::size_t>& out) {
  if (const NamedLocator* locator = locator_of(command); locator != nullptr) {
    const KeyRanges keys = locator->locate(arguments);
    for (const KeyRange& range : keys.ranges) append(range, out);
    return keys.valid;
  }
  for (const KeySpec& spec : command.key_specs) {
    if (spec.not_key) continue;
    const Located keys = locate(command, spec, arguments);
    if (!keys) return false;
    append(*keys, out);
  }
  return true;
}

}  // namespace

std::size_t search_first_key(const Command& command, Arguments arguments) {
  if (const NamedLocator* locator = locator_of(command); locator != nullptr) {
    const KeyRange keys = locator->locate(arguments).ranges.front();
    return keys.empty() ? 0 : static_cast<std::size_t>(keys.first);
  }
  for (const KeySpec& spec : command.key_specs) {
    const Located keys = locate(command, spec, arguments);
    if (!keys) return 0;
    if (!keys->empty()) return static_cast<std::size_t>(keys->first);
  }
  return 0;
}

std::size_t find_stream_option(Arguments arguments, std::string_view name) {
  static constexpr Option kOptions[] = {{"GROUP", 2}, {"COUNT", 1}, {"BLOCK", 1}};
  for (Position at = 1; at < count_of(arguments);) {
    const std::string_view option = argument_at(arguments, at);
    if (equals_in_any_case(option, name)) return static_cast<std::size_t>(at);
    if (equals_in_any_case(option, "STREAMS")) break;
    at += 1 + values_of(kOptions, option);
  }
  return 0;
}

bool find_keys(const Command& command, Arguments arguments, std::vector<std::size_t>& out) {
  const std::size_t before = out.size();
  if (command.accepts_arity(arguments.size()) && append_keys(command, arguments, out)) return true;
  out.resize(before);
  return false;
}

}  // namespace resp
