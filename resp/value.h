// A whole RESP value as a tree, for the control plane only (topology, COMMAND INFO, hand-shakes, tests): never used
// on the data path.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "resp/types.h"

namespace resp {

/// Owns its bytes. A map is kept as a flat list key, value, key, value ...; attributes are dropped; RESP2 nulls ("$-1",
/// "*-1") become Type::kNull.
struct Value {
  Type type = Type::kNull;
  std::string text;             ///< string, error (without its '-'), double, big number, verbatim (without "txt:")
  std::int64_t integer = 0;     ///< integer; boolean as 0 or 1
  std::vector<Value> elements;  ///< array, set, push, map

  [[nodiscard]] bool is_null() const { return type == Type::kNull; }
  [[nodiscard]] bool is_error() const { return type == Type::kError || type == Type::kBlobError; }
  [[nodiscard]] bool is_string() const {
    return type == Type::kSimpleString || type == Type::kBulkString || type == Type::kVerbatimString;
  }
  /// The value behind a string key of a map, or of a flat array in RESP2's shape of a map; nullptr when absent.
  [[nodiscard]] const Value* find(std::string_view key) const;
};

/// Reads exactly one whole value; nullopt when `bytes` is not exactly one well-formed value, or nested deeper than 64.
[[nodiscard]] std::optional<Value> parse_value(std::string_view bytes);

}  // namespace resp
