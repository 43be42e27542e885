// What the contract of the configuration has and this version of sluice has not built yet. Such a setting is refused,
// so that nobody believes in a protection or a mode that is not there. Building the thing deletes its row in the .cc.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "src/config_value.h"

namespace sluice {

struct Refusal {
  enum class When : unsigned char {
    kSet,      ///< whenever the key is written, or any key below it; nothing, [] and {} are let through
    kChanged,  ///< when its value is not the default
    kWord,     ///< when its value is `word`
  };
  std::string_view path;
  When when = When::kSet;
  std::string_view word;
};

[[nodiscard]] std::span<const Refusal> refusals();

/// Whether this key, or a section it lies in, is refused whenever it is written.
[[nodiscard]] bool is_refused_whole(std::string_view path);

/// The message for a value as written; nullopt when it is built. Does not look at kChanged.
[[nodiscard]] std::optional<std::string> refusal_of(std::string_view path, const ConfigValue& value);

/// The message for a key whose value differs from its default; nullopt when that is allowed.
[[nodiscard]] std::optional<std::string> refusal_of_change(std::string_view path);

}  // namespace sluice
