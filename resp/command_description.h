// One command as a server describes it: an element of its COMMAND or COMMAND INFO reply, made into a row.
// Source: redis.io "COMMAND", "Command key specifications", "Command tips".
// Thread: any, one at a time.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "resp/command_table.h"
#include "resp/value.h"

namespace resp {

/// A row together with the bytes it points at; it stays where it is made.
struct LearnedCommand {
  LearnedCommand() = default;
  LearnedCommand(const LearnedCommand&) = delete;
  LearnedCommand& operator=(const LearnedCommand&) = delete;

  Command row;
  std::string name;
  std::vector<KeySpec> key_specs;
  std::vector<std::string> keywords;  ///< one per specification
};

/// The row of a description in the shape of either protocol version. Servers before Redis 7 tell no key specifications:
/// one is made of their first key, last key and step. A specification that makes no sense counts as unknown.
/// Knows nothing of other rows: has_subcommands stays false, the session class follows from the flags alone.
/// nullptr: not a description (null, an error, a name that is no command's).
[[nodiscard]] std::unique_ptr<LearnedCommand> read_description(const Value& description);

/// The descriptions of a container's subcommands; empty when it has none.
[[nodiscard]] std::span<const Value> subcommand_descriptions(const Value& description);

}  // namespace resp
