// Every key of the configuration as a row: the file, the flags, --help, the check for unknown keys and describe() all
// come from this table.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "src/config.h"
#include "src/config_field.h"

namespace sluice {

struct ConfigKey {
  std::string_view path;     ///< "backend.read_from"
  std::string_view flags;    ///< separated by spaces, the main one first; empty: the file alone
  std::string_view meaning;  ///< one line of --help
  ConfigBound bound;
  bool is_list = false;  ///< a flag may be given several times

  /// Both are null for a key that is known but has no field yet; it then stands in config_refusal.cc.
  void (*read)(const ConfigValue& value, const ConfigBound& bound, Config& config, ConfigProblems& problems) = nullptr;
  std::string (*write)(const Config& config) = nullptr;
};

/// In the order of the file; the keys of a section follow each other.
[[nodiscard]] std::span<const ConfigKey> config_keys();

/// nullptr: no such key.
[[nodiscard]] const ConfigKey* find_key(std::string_view path);
[[nodiscard]] bool is_section(std::string_view path);

/// The key or section beside `path` whose name is nearest; empty when none is near.
[[nodiscard]] std::string nearest_path(std::string_view path);

}  // namespace sluice
