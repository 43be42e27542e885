#include "src/config.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <set>
#include <utility>

#include "src/config_flags.h"
#include "src/config_refusal.h"
#include "src/config_schema.h"
#include "src/config_yaml.h"
#include "uring/connector.h"

namespace sluice {
namespace {

// A configuration on its way: the file first, then the flags over it, then the checks across keys.
class Loading {
 public:
  void read_file(const std::string& name);
  void read_text(std::string_view yaml, std::string_view name);
  void read_flags(const Flags& flags);
  [[nodiscard]] ConfigResult finish() &&;

 private:
  void read_mapping(const ConfigValue& mapping, const std::string& prefix, ConfigProblems& problems);
  void read_entry(const ConfigEntry& entry, const std::string& path, ConfigProblems& problems);
  void read_key(const ConfigKey& key, const ConfigValue& value, ConfigProblems& problems);
  void require(bool holds, std::string_view path, std::string_view message);
  void check_across_keys();

  ConfigResult result_;
  std::string file_name_;                       // empty: flags alone
  bool is_file_whole_ = true;                   // false: keys may be missing because the file could not be read
  std::map<std::string_view, int> keys_given_;  // paths of the schema; the line in the file, 0: by a flag
  std::set<std::string_view> keys_wrong_;
};

void Loading::read_file(const std::string& name) {
  std::ifstream file(name, std::ios::binary);
  std::string text(kMaxConfigBytes + 1, '\0');
  if (file.is_open()) file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file.is_open() || file.bad() || (file.fail() && !file.eof())) {
    result_.errors.push_back(name + ": cannot be read: " + std::strerror(errno));
    is_file_whole_ = false;
    return;
  }
  text.resize(static_cast<std::size_t>(file.gcount()));
  read_text(text, name);
}

void Loading::read_text(std::string_view yaml, std::string_view name) {
  file_name_ = name;
  ConfigProblems problems;
  const auto root = read_yaml(yaml, problems);
  is_file_whole_ = root.has_value();
  if (root) read_mapping(*root, "", problems);

  std::stable_sort(problems.begin(), problems.end(),
                   [](const ConfigProblem& a, const ConfigProblem& b) { return a.line < b.line; });
  for (const ConfigProblem& problem : problems) {
    const std::string place = problem.place.empty() ? "" : problem.place + ": ";
    result_.errors.push_back(file_name_ + ":" + std::to_string(problem.line) + ": " + place + problem.message);
  }
}

void Loading::read_mapping(const ConfigValue& mapping, const std::string& prefix, ConfigProblems& problems) {
  for (const ConfigEntry& entry : mapping.entries) read_entry(entry, prefix + entry.key, problems);
}

void Loading::read_entry(const ConfigEntry& entry, const std::string& path, ConfigProblems& problems) {
  if (entry.key.find('.') != std::string::npos) {
    problems.push_back({entry.line, printable(path), "unknown key: a section's keys stand below it, not behind a dot"});
  } else if (const ConfigKey* key = find_key(path)) {
    read_key(*key, entry.value, problems);
  } else if (!is_section(path)) {
    const std::string nearest = nearest_path(path);
    const std::string hint = nearest.empty() ? "" : "; did you mean " + nearest + "?";
    problems.push_back({entry.line, printable(path), "unknown key" + hint});
  } else if (const auto refusal = refusal_of(path, entry.value)) {
    problems.push_back({entry.line, path, *refusal});
  } else if (entry.value.is_mapping()) {
    read_mapping(entry.value, path + ".", problems);
  } else if (entry.value.kind != ConfigValue::Kind::kNull) {
    problems.push_back({entry.line, path, "must be a mapping of keys"});
  }
}

// Adds the key's path to the places of what it finds wrong.
void Loading::read_key(const ConfigKey& key, const ConfigValue& value, ConfigProblems& problems) {
  ConfigProblems found;
  if (auto refusal = refusal_of(key.path, value)) {
    found.push_back({value.line, "", *std::move(refusal)});
  } else if (key.read != nullptr) {
    key.read(value, key.bound, result_.config, found);
    const bool is_changed = found.empty() && key.write(result_.config) != key.write(Config());
    if (auto change = is_changed ? refusal_of_change(key.path) : std::nullopt) {
      found.push_back({value.line, "", *std::move(change)});
    }
  }
  keys_given_[key.path] = value.line;
  if (!found.empty()) keys_wrong_.insert(key.path);
  for (ConfigProblem& problem : found) {
    problems.push_back({problem.line, std::string(key.path) + problem.place, std::move(problem.message)});
  }
}

void Loading::read_flags(const Flags& flags) {
  for (const FlagSetting& setting : flags.settings) {
    ConfigProblems problems;
    read_key(*setting.key, setting.value, problems);
    for (const ConfigProblem& problem : problems) {
      const std::string place = problem.place.substr(setting.key->path.size());
      result_.errors.push_back(setting.flag + place + ": " + problem.message);
    }
  }
}

// A condition on the value of `path`. Not looked at when that value is wrong already.
void Loading::require(bool holds, std::string_view path, std::string_view message) {
  if (holds || keys_wrong_.contains(path)) return;
  const auto given = keys_given_.find(path);
  const bool is_given = given != keys_given_.end();
  if (!is_file_whole_ && !is_given) return;

  const ConfigKey* key = find_key(path);
  assert(key != nullptr);
  std::string place(key->flags.substr(0, key->flags.find(' ')));
  if (is_given && given->second != 0) {
    place = file_name_ + ":" + std::to_string(given->second) + ": " + std::string(path);
  } else if (!is_given && !file_name_.empty()) {
    place = file_name_ + ": " + std::string(path);
  }
  result_.errors.push_back(place + ": " + std::string(message));
}

/// Who listens on one cannot listen on the other. Of names nothing is known before the start.
bool overlap(const ListenAddress& one, const ListenAddress& other) {
  if (one == other) return true;
  if (one.is_unix() || other.is_unix() || one.port != other.port) return false;
  const auto first = uring::SocketAddress::numeric(one.host, one.port);
  const auto second = uring::SocketAddress::numeric(other.host, other.port);
  if (!first || !second || first->family() != second->family()) return false;
  const auto any = uring::SocketAddress::numeric(first->family() == AF_INET ? "0.0.0.0" : "::", one.port);
  return *first == *second || *first == *any || *second == *any;
}

/// What is wrong with the first two that overlap; empty when none do.
std::string overlap_in(const std::vector<Listener>& listeners) {
  for (std::size_t i = 1; i < listeners.size(); ++i) {
    for (std::size_t before = 0; before < i; ++before) {
      const ListenAddress& one = listeners[before].address;
      const ListenAddress& other = listeners[i].address;
      if (overlap(one, other)) return one.text() + " and " + other.text() + " overlap";
    }
  }
  return {};
}

void Loading::check_across_keys() {
  const Config& config = result_.config;
  const BackendConfig& backend = config.backend;
  const bool has_kind = !keys_wrong_.contains("backend.kind");
  const bool needs_nodes = backend.kind == BackendKind::kCluster || backend.kind == BackendKind::kStandalone;
  require(!config.listen.empty(), "listen", "needs at least one address");
  const std::string overlap = overlap_in(config.listen);
  require(overlap.empty(), "listen", overlap);
  require(!has_kind || !needs_nodes || !backend.nodes.empty(), "backend.nodes", "needs at least one host:port");
  require(backend.read_from != ReadFrom::kZone || !backend.zone.empty(), "backend.zone",
          "must be set when backend.read_from is zone");
}

ConfigResult Loading::finish() && {
  check_across_keys();
  return std::move(result_);
}

bool needs_config(Action action) {
  return action == Action::kServe || action == Action::kCheckConfig;
}

std::string_view next_name(std::string_view path) {
  return path.substr(0, path.find('.'));
}

// "zone" of "backend.zone", and the sections above it that `before` is not in, each on a line of its own.
std::string lines_for(std::string_view path, std::string_view before) {
  std::string lines;
  std::string indent;
  bool is_shared = true;
  while (path.find('.') != std::string_view::npos) {
    is_shared = is_shared && before.find('.') != std::string_view::npos && next_name(before) == next_name(path);
    if (!is_shared) lines += indent + std::string(next_name(path)) + ":\n";
    if (is_shared) before.remove_prefix(next_name(before).size() + 1);
    path.remove_prefix(next_name(path).size() + 1);
    indent += "  ";
  }
  return lines + indent + std::string(path);
}

}  // namespace

ConfigResult load_config_text(std::string_view yaml, std::string_view file_name) {
  Loading loading;
  loading.read_text(yaml, file_name);
  return std::move(loading).finish();
}

CommandLine read_command_line(std::span<const char* const> arguments) {
  const Flags flags = read_flags(arguments);
  CommandLine line{.action = flags.action, .loaded = {}};
  line.loaded.errors = flags.errors;
  if (!flags.errors.empty() || !needs_config(flags.action)) return line;

  Loading loading;
  if (!flags.file.empty()) loading.read_file(flags.file);
  loading.read_flags(flags);
  line.loaded = std::move(loading).finish();
  return line;
}

std::string describe(const Config& config) {
  std::string yaml;
  std::string_view before;
  for (const ConfigKey& key : config_keys()) {
    if (key.write == nullptr || is_refused_whole(key.path)) continue;
    yaml += lines_for(key.path, before) + ": " + key.write(config) + "\n";
    before = key.path;
  }
  return yaml;
}

}  // namespace sluice
