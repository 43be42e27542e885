#include "src/config_flags.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

#include "src/spelling.h"

namespace sluice {
namespace {

// --read-prefer of redis-cluster-proxy takes numbers.
struct OldWord {
  std::string_view flag;
  std::string_view old_word;
  std::string_view word;
};
constexpr std::array kOldWords{OldWord{"--read-prefer", "0", "primary"},
                               OldWord{"--read-prefer", "1", "prefer_replica"}, OldWord{"--read-prefer", "2", "zone"}};

struct ActionFlag {
  std::string_view names;
  Action action;
  std::string_view meaning;
};
// The first one that is given decides.
constexpr std::array kActionFlags{
    ActionFlag{"-h,--help", Action::kShowHelp, "print this and exit"},
    ActionFlag{"--version", Action::kShowVersion, "print the version and exit"},
    ActionFlag{"--kernel-features", Action::kKernelFeatures, "print what this kernel's io_uring offers and exit"},
    ActionFlag{"--check-config", Action::kCheckConfig, "validate the configuration and exit"},
};

std::vector<std::string> split_flags(std::string_view flags) {
  std::vector<std::string> names;
  while (!flags.empty()) {
    const std::size_t space = std::min(flags.find(' '), flags.size());
    names.emplace_back(flags.substr(0, space));
    flags.remove_prefix(std::min(space + 1, flags.size()));
  }
  return names;
}

// The arguments as CLI11 wants them: without the program's name, the last one first. "--zone=" becomes two words,
// because CLI11 takes an empty value for none and would swallow the next flag in its place.
std::vector<std::string> reversed_words(std::span<const char* const> arguments) {
  std::vector<std::string> words;
  for (const std::string_view argument : arguments.subspan(1)) {
    const bool has_empty_value = argument.starts_with("--") && argument.find('=') == argument.size() - 1;
    words.emplace_back(has_empty_value ? argument.substr(0, argument.size() - 1) : argument);
    if (has_empty_value) words.emplace_back();
  }
  std::reverse(words.begin(), words.end());
  return words;
}

// The options that CLI11 knows, each with the row it came from. Every name of a key is an option of its own, so that a
// message can repeat the name that was typed.
class Parser {
 public:
  Parser() : app_("Sluice, a proxy for Redis and Valkey", "sluice") {
    app_.set_help_flag();
    app_.allow_extras();
    file_ = add_option("--config", "the YAML file", "FILE");
    for (const ActionFlag& row : kActionFlags) {
      CLI::Option* option = app_.add_flag(std::string(row.names));
      actions_.push_back({option->description(std::string(row.meaning)), row.action});
    }
    for (const ConfigKey& key : config_keys()) add_key(key);
  }

  /// Leaves the parser fit for nothing else: an option without a group has no name any more.
  [[nodiscard]] std::string help() && {
    app_.get_formatter()->column_width(42);
    for (const KeyOptions& row : keys_) {
      for (CLI::Option* option : row.options) option->expected(1);
      for (std::size_t i = 1; i < row.options.size(); ++i) row.options[i]->group("");
    }
    file_->expected(1);
    return app_.help();
  }

  [[nodiscard]] Flags parse(std::span<const char* const> arguments) {
    Flags flags;
    try {
      app_.parse(reversed_words(arguments));
    } catch (const CLI::ArgumentMismatch& mismatch) {
      // "--zone: 1 required TEXT missing": the text before the colon is one of our own names.
      const std::string message = mismatch.what();
      flags.errors.push_back(message.substr(0, message.find(':')) + ": needs a value");
      return flags;
    } catch (const CLI::ParseError& error) {
      flags.errors.push_back("the command line cannot be read (" + error.get_name() + ")");
      return flags;
    }
    flags.action = action();
    take_file(flags);
    for (const KeyOptions& key : keys_) take_setting(key, flags);
    refuse_extras(arguments, flags);
    return flags;
  }

 private:
  struct KeyOptions {
    const ConfigKey* key;
    std::vector<CLI::Option*> options;
  };
  struct ActionOption {
    CLI::Option* option;
    Action action;
  };

  CLI::Option* add_option(const std::string& name, const std::string& meaning, const std::string& type) {
    CLI::Option* option = app_.add_option(name);
    // Exactly one value for each use, taken as it is, and any number of uses: we count them ourselves.
    option->description(meaning)->type_name(type)->take_all();
    option->expected(1, CLI::detail::expected_max_vector_size)->allow_extra_args(false);
    return option;
  }

  void add_key(const ConfigKey& key) {
    KeyOptions row{&key, {}};
    for (const std::string& name : split_flags(key.flags)) {
      row.options.push_back(add_option(name, std::string(key.meaning), key.is_list ? "LIST" : "VALUE"));
    }
    keys_.push_back(std::move(row));
  }

  [[nodiscard]] Action action() const {
    const auto given =
        std::find_if(actions_.begin(), actions_.end(), [](const ActionOption& row) { return row.option->count() > 0; });
    return given == actions_.end() ? Action::kServe : given->action;
  }

  void take_file(Flags& flags) const {
    if (file_->count() > 1) flags.errors.emplace_back("--config: given twice");
    if (file_->count() == 1) flags.file = file_->results().front();
    if (file_->count() == 1 && flags.file.empty()) flags.errors.emplace_back("--config: needs a file name");
  }

  static void take_setting(const KeyOptions& row, Flags& flags) {
    FlagSetting setting{row.key, {}, {}};
    std::size_t uses = 0;
    for (const CLI::Option* option : row.options) {
      for (const std::string& result : option->results()) {
        if (uses == 0) setting.flag = option->get_name();
        setting.value.text += (uses == 0 ? "" : ",") + std::string(translated(option->get_name(), result));
        ++uses;
      }
    }
    if (uses == 0) return;
    if (uses > 1 && !row.key->is_list) {
      flags.errors.push_back(setting.flag + ": given twice" + other_name(row, setting.flag));
      return;
    }
    setting.value.kind = ConfigValue::Kind::kScalar;
    flags.settings.push_back(std::move(setting));
  }

  // The second name under which a key was given, for "given twice".
  static std::string other_name(const KeyOptions& row, const std::string& first) {
    for (const CLI::Option* option : row.options) {
      if (option->count() > 0 && option->get_name() != first) return ", also as " + option->get_name();
    }
    return {};
  }

  static std::string_view translated(std::string_view flag, std::string_view text) {
    const auto row = std::find_if(kOldWords.begin(), kOldWords.end(),
                                  [&](const OldWord& old) { return old.flag == flag && old.old_word == text; });
    return row == kOldWords.end() ? text : row->word;
  }

  // What is no flag of ours. The text of a stray argument is not repeated: it may be half of a password.
  void refuse_extras(std::span<const char* const> arguments, Flags& flags) const {
    bool is_value_of_unknown = false;
    for (const std::string& extra : app_.remaining()) {
      const bool is_flag = extra.size() > 2 && (extra.starts_with("--") || (extra[0] == '-' && !is_value_of_unknown));
      const std::string name = extra.substr(0, extra.find('='));
      if (is_flag) {
        const std::string nearest = nearest_flag(name);
        flags.errors.push_back(in_quotes(name) + ": unknown flag" +
                               (nearest.empty() ? "" : "; did you mean " + nearest + "?"));
      } else if (!is_value_of_unknown) {
        const auto words = arguments.subspan(1);
        const auto place = std::ranges::find(words, extra) - words.begin();
        const bool is_certain = std::ranges::count(words, extra) == 1;
        flags.errors.push_back((is_certain ? "argument " + std::to_string(place + 1) : "an argument") +
                               " belongs to no flag");
      }
      is_value_of_unknown = is_flag && name.size() == extra.size();
    }
  }

  [[nodiscard]] std::string nearest_flag(const std::string& name) const {
    std::vector<std::string> names{"--config", "--help", "--version", "--kernel-features", "--check-config"};
    for (const KeyOptions& row : keys_) {
      for (const CLI::Option* option : row.options) names.push_back(option->get_name());
    }
    const std::vector<std::string_view> views(names.begin(), names.end());
    return std::string(nearest_word(name, views));
  }

  CLI::App app_;
  CLI::Option* file_ = nullptr;
  std::vector<ActionOption> actions_;
  std::vector<KeyOptions> keys_;
};

}  // namespace

Flags read_flags(std::span<const char* const> arguments) {
  assert(!arguments.empty());
  return Parser().parse(arguments);
}

std::string usage() {
  return Parser().help();
}

}  // namespace sluice
