// YAML text -> ConfigValue. The one file that knows yaml-cpp is its .cc.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "src/config_value.h"

namespace sluice {

/// A configuration is some hundred lines; this bounds what a wrong path can make us read.
inline constexpr std::size_t kMaxConfigBytes = 1024 * 1024;

/// Reads one document. Its root is a mapping, or kNull when the text holds nothing. nullopt and a problem when the text
/// cannot be understood. Anchors, aliases, keys that are not plain text or come twice, and a second document add
/// problems and leave the rest to be checked. A problem's place is the path of the key.
[[nodiscard]] std::optional<ConfigValue> read_yaml(std::string_view text, ConfigProblems& problems);

}  // namespace sluice
