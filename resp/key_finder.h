// Which arguments of a request are keys. Source: redis.io "Command key specifications"; checked against a server's
// COMMAND GETKEYS for every command (tests/key_finder_server_test.cc).
// No argument, however malformed, and no specification, however odd, makes these read or name anything out of range.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "resp/command_table.h"

namespace resp {

/// Index (into `arguments`) of the first key, the one that decides the slot; 0, the name's, when the request has none,
/// or when the arguments contradict the command where that key should be. Shard channels (SPUBLISH ...) decide the slot
/// like keys. Constant time for commands whose first specification is an index (nearly all). Allocates nothing.
[[nodiscard]] inline std::size_t find_first_key(const Command& command, std::span<const std::string_view> arguments);

/// Appends the indices of all keys, in the order COMMAND GETKEYS gives them (ascending per specification). Channels are
/// no keys; a command without keys gives true and appends nothing. False when the arguments do not fit the command
/// (COMMAND GETKEYS answers "Invalid arguments specified for command"); `out` is then as it was.
bool find_keys(const Command& command, std::span<const std::string_view> arguments, std::vector<std::size_t>& out);

/// Index of the option `name` (upper case) of an XREAD or XREADGROUP, which is before STREAMS or that itself; 0 when it
/// is not there. What follows an option may be any words, and counts as none.
[[nodiscard]] std::size_t find_stream_option(std::span<const std::string_view> arguments, std::string_view name);

/// find_first_key() for rows that do not tell it alone.
[[nodiscard]] std::size_t search_first_key(const Command& command, std::span<const std::string_view> arguments);

inline std::size_t find_first_key(const Command& command, std::span<const std::string_view> arguments) {
  const std::size_t only = command.only_key();
  if (only == 0) [[unlikely]]
    return search_first_key(command, arguments);
  return only < arguments.size() ? only : 0;
}

}  // namespace resp
