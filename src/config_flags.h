// The command line -> what to do, and the values that win over the file. The one file that knows CLI11 is its .cc.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "src/config.h"
#include "src/config_schema.h"
#include "src/config_value.h"

namespace sluice {

/// A key given by a flag. Several uses of a list flag are joined into one value.
struct FlagSetting {
  const ConfigKey* key = nullptr;
  std::string flag;  ///< as the user typed it, for messages
  ConfigValue value;
};

struct Flags {
  Action action = Action::kServe;
  std::string file;  ///< of --config; empty: none
  std::vector<FlagSetting> settings;
  std::vector<std::string> errors;  ///< lines ready to print; no argument is quoted that could be a secret
};

/// `arguments` is argv.
[[nodiscard]] Flags read_flags(std::span<const char* const> arguments);

}  // namespace sluice
