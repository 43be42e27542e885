// A field of Config by its type: how it is read from a written value, and how it is written as YAML.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

#include "src/config_value.h"

namespace sluice {

/// Inclusive, in the field's own unit: bytes, milliseconds, or one. Types without an order do not look at it.
struct ConfigBound {
  std::uint64_t least = 0;
  std::uint64_t most = std::numeric_limits<std::uint32_t>::max();
};

/// Instantiated in the .cc for each type that a field of Config has.
template <class T>
struct ConfigField {
  /// Either sets `field` or adds to `problems` and leaves it as it was. No problem quotes a secret.
  static void read(const ConfigValue& value, const ConfigBound& bound, T& field, ConfigProblems& problems);
  /// As it may stand behind "key: "; read() takes it back, but for a secret, which is written "***".
  [[nodiscard]] static std::string write(const T& field);
};

}  // namespace sluice
