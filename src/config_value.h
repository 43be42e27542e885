// A value as it was written, before it means anything: the common form of what the file and the flags say.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sluice {

struct ConfigEntry;

struct ConfigValue {
  enum class Kind : unsigned char { kNull, kScalar, kList, kMapping };
  Kind kind = Kind::kNull;
  int line = 0;                      ///< from 1; 0 for a flag
  std::string text;                  ///< kScalar
  std::vector<ConfigValue> items;    ///< kList
  std::vector<ConfigEntry> entries;  ///< kMapping, in the order written

  [[nodiscard]] bool is_scalar() const { return kind == Kind::kScalar; }
  [[nodiscard]] bool is_list() const { return kind == Kind::kList; }
  [[nodiscard]] bool is_mapping() const { return kind == Kind::kMapping; }
  /// Nothing, [] or {}: the same as not writing the key at all, where a key may be absent.
  [[nodiscard]] bool is_nothing() const { return !is_scalar() && items.empty() && entries.empty(); }
};

struct ConfigEntry {
  std::string key;
  ConfigValue value;
  int line = 0;  ///< of the key
};

/// What is wrong with a value, and where inside it.
struct ConfigProblem {
  int line = 0;
  std::string place;  ///< appended to the key's path: "[2]", "[0].tls"; empty: the value itself
  std::string message;
};

using ConfigProblems = std::vector<ConfigProblem>;

/// Text for an error message: on one line, of bounded length.
[[nodiscard]] std::string printable(std::string_view text);
/// The same in quotes.
[[nodiscard]] std::string in_quotes(std::string_view text);

}  // namespace sluice
