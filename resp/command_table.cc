#include "resp/command_table.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "resp/command_description.h"
#include "resp/command_name.h"

namespace resp {
namespace {

constexpr char kSeparator = '|';

bool is_subcommand(std::string_view name) {
  return name.find(kSeparator) != std::string_view::npos;
}

}  // namespace

struct CommandTable::Learned {
  std::vector<std::unique_ptr<LearnedCommand>> commands;
};

CommandTable::CommandTable() : learned_(std::make_unique<Learned>()) {
  for (const Command& row : builtin_commands()) index(row);
}

CommandTable::~CommandTable() = default;

void CommandTable::index(const Command& row) {
  const auto name = CommandName::of(row.name);
  assert(name.has_value());
  (is_subcommand(row.name) ? subcommands_ : commands_).add(*name, &row);
}

const Command* CommandTable::find(std::span<const std::string_view> arguments) const {
  if (arguments.empty()) return nullptr;
  const auto name = CommandName::of(arguments[0]);
  if (!name) return nullptr;
  const Command* row = commands_.find(*name);
  if (row == nullptr || !row->has_subcommands || arguments.size() == 1) [[likely]]
    return row;
  return find_subcommand(arguments[0], arguments[1]);
}

const Command* CommandTable::find_subcommand(std::string_view container, std::string_view name) const {
  const auto whole = CommandName::of(container, name);
  return whole ? subcommands_.find(*whole) : nullptr;
}

const Command* CommandTable::find_name(std::string_view name) const {
  const auto key = CommandName::of(name);
  if (!key) return nullptr;
  return (is_subcommand(name) ? subcommands_ : commands_).find(*key);
}

const Command* CommandTable::learn(const Value& description) {
  auto command = read_description(description);
  if (command == nullptr || is_subcommand(command->name)) return nullptr;
  auto subcommands = unknown_subcommands(command->name, description);
  const Command* known = find_name(command->name);
  if (known == nullptr) {
    if (subcommands.size() >= kMaxLearned - learned_->commands.size()) return nullptr;
    command->row.has_subcommands = !subcommands.empty();
    known = &command->row;
    keep(std::move(command));
  }
  if (!known->has_subcommands) return known;
  if (subcommands.size() > kMaxLearned - learned_->commands.size()) return nullptr;
  for (auto& subcommand : subcommands) {
    // What the known subcommands may not do to a shared connection, a newer one may not do either.
    if (known->session_class != SessionClass::kShared) subcommand->row.session_class = known->session_class;
    keep(std::move(subcommand));
  }
  return known;
}

std::vector<std::unique_ptr<LearnedCommand>> CommandTable::unknown_subcommands(std::string_view container,
                                                                               const Value& description) const {
  const std::string prefix = std::string(container) + kSeparator;
  std::vector<std::unique_ptr<LearnedCommand>> unknown;
  for (const Value& value : subcommand_descriptions(description)) {
    auto subcommand = read_description(value);
    if (subcommand == nullptr || !subcommand->name.starts_with(prefix)) continue;
    const auto same_name = [&](const auto& other) { return other->name == subcommand->name; };
    if (find_name(subcommand->name) != nullptr || std::ranges::any_of(unknown, same_name)) continue;
    unknown.push_back(std::move(subcommand));
  }
  return unknown;
}

void CommandTable::keep(std::unique_ptr<LearnedCommand> command) {
  index(command->row);
  learned_->commands.push_back(std::move(command));
}

}  // namespace resp
