#include "src/config_yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <cassert>
#include <sstream>
#include <utility>

namespace sluice {
namespace {

using Kind = ConfigValue::Kind;

int line_of(const YAML::Mark& mark) {
  return mark.line + 1;
}

// Builds the value bottom up: a container is open until its end event, then it belongs to the one below it.
class Builder : public YAML::EventHandler {
 public:
  explicit Builder(ConfigProblems& problems) : problems_(problems) {}

  [[nodiscard]] ConfigValue take_root() { return std::move(root_); }
  [[nodiscard]] int first_line() const { return first_line_; }

  void OnDocumentStart(const YAML::Mark& mark) override { first_line_ = line_of(mark); }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    refuse_anchor(mark, anchor);
    add({.kind = Kind::kNull, .line = line_of(mark), .text = {}, .items = {}, .entries = {}});
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    // Aliases would let a small file grow into a huge value.
    problems_.push_back({line_of(mark), path(), "YAML aliases are not accepted here"});
    add({.kind = Kind::kNull, .line = line_of(mark), .text = {}, .items = {}, .entries = {}});
  }
  void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor, const std::string& text) override {
    refuse_anchor(mark, anchor);
    add({.kind = Kind::kScalar, .line = line_of(mark), .text = text, .items = {}, .entries = {}});
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    refuse_anchor(mark, anchor);
    open(Kind::kList, mark);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    refuse_anchor(mark, anchor);
    open(Kind::kMapping, mark);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Open {
    ConfigValue value;
    bool expects_key = true;  // of a mapping: the next value is a key
  };

  void open(Kind kind, const YAML::Mark& mark) {
    open_.push_back({.value = {.kind = kind, .line = line_of(mark), .text = {}, .items = {}, .entries = {}}});
  }

  void close() {
    assert(!open_.empty());
    ConfigValue value = std::move(open_.back().value);
    open_.pop_back();
    add(std::move(value));
  }

  void add(ConfigValue value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (open_.back().value.is_list()) {
      open_.back().value.items.push_back(std::move(value));
    } else if (open_.back().expects_key) {
      add_key(std::move(value));
    } else {
      ConfigEntry& entry = open_.back().value.entries.back();
      entry.value = std::move(value);
      // yaml-cpp notices a missing value only at what follows it.
      if (entry.value.kind == Kind::kNull) entry.value.line = entry.line;
      open_.back().expects_key = true;
    }
  }

  void add_key(ConfigValue key) {
    if (!key.is_scalar()) problems_.push_back({key.line, path(), "a key must be plain text"});
    std::vector<ConfigEntry>& entries = open_.back().value.entries;
    const auto first =
        std::find_if(entries.begin(), entries.end(), [&](const ConfigEntry& entry) { return entry.key == key.text; });
    const int first_line = first == entries.end() ? 0 : first->line;
    entries.push_back({.key = std::move(key.text), .value = {}, .line = key.line});
    open_.back().expects_key = false;
    if (first_line != 0) {
      problems_.push_back({key.line, path(), "given twice, first in line " + std::to_string(first_line)});
    }
  }

  // Where the next value goes: the keys of the open mappings and the indices of the open lists.
  [[nodiscard]] std::string path() const {
    std::string path;
    for (const Open& open : open_) {
      const ConfigValue& value = open.value;
      if (value.is_list()) path += "[" + std::to_string(value.items.size()) + "]";
      if (value.is_mapping() && !open.expects_key)
        path += (path.empty() ? "" : ".") + printable(value.entries.back().key);
    }
    return path;
  }

  void refuse_anchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) problems_.push_back({line_of(mark), path(), "YAML anchors are not accepted here"});
  }

  ConfigProblems& problems_;
  ConfigValue root_;
  int first_line_ = 1;
  std::vector<Open> open_;
};

// What yaml-cpp says, without the words of the file that it adds after a colon: they might be a secret.
std::string syntax_message(std::string_view text, const YAML::Exception& error) {
  const auto position = static_cast<std::size_t>(error.mark.pos);
  if (error.mark.pos >= 0 && position < text.size() && text[position] == '@') {
    return "a value that begins with @ must be in quotes";
  }
  return "YAML syntax: " + error.msg.substr(0, error.msg.find(": "));
}

}  // namespace

std::optional<ConfigValue> read_yaml(std::string_view text, ConfigProblems& problems) {
  if (text.size() > kMaxConfigBytes) {
    problems.push_back({1, "", "the file is longer than a configuration can be"});
    return std::nullopt;
  }
  std::istringstream stream{std::string(text)};
  Builder builder(problems);
  try {
    YAML::Parser parser(stream);
    parser.HandleNextDocument(builder);
    ConfigProblems ignored;
    Builder second(ignored);
    if (parser.HandleNextDocument(second)) {
      problems.push_back({second.first_line(), "", "the file holds more than one YAML document"});
    }
  } catch (const YAML::Exception& error) {
    problems.push_back({line_of(error.mark), "", syntax_message(text, error)});
    return std::nullopt;
  }
  ConfigValue root = builder.take_root();
  if (!root.is_mapping() && root.kind != Kind::kNull) {
    problems.push_back({root.line, "", "the file must be a mapping of keys"});
    return std::nullopt;
  }
  return root;
}

}  // namespace sluice
