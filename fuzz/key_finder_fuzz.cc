// Any arguments for any command: keys lie within the arguments, and both functions tell the same story. One argument a
// line, the command's name first.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "fuzz/require.h"
#include "resp/command_table.h"
#include "resp/key_finder.h"

namespace {

using Arguments = std::span<const std::string_view>;

std::vector<std::string_view> split(std::string_view bytes) {
  std::vector<std::string_view> lines;
  while (true) {
    const std::size_t end = bytes.find('\n');
    lines.push_back(bytes.substr(0, end));
    if (end == std::string_view::npos) break;
    bytes.remove_prefix(end + 1);
  }
  lines.shrink_to_fit();  // A read behind the last argument is then a read behind the allocation.
  return lines;
}

void check(const resp::Command& command, Arguments arguments) {
  std::vector<std::size_t> keys;
  const bool fits = resp::find_keys(command, arguments, keys);
  fuzz::require(fits || keys.empty(), "nothing is appended to when the arguments do not fit");
  for (const std::size_t key : keys) fuzz::require(key >= 1 && key < arguments.size(), "a key is an argument");
  const std::size_t first = resp::find_first_key(command, arguments);
  fuzz::require(first == 0 || first < arguments.size(), "the first key is an argument");

  // Channels count for the slot: with them, and whatever the number of arguments, the first key is one of all.
  std::vector<resp::KeySpec> specs(command.key_specs.begin(), command.key_specs.end());
  for (resp::KeySpec& spec : specs) spec.not_key = false;
  resp::Command hashed = command;
  hashed.key_specs = specs;
  hashed.arity = -1;
  std::vector<std::size_t> all;
  if (!resp::find_keys(hashed, arguments, all)) return;
  fuzz::require((first != 0) != all.empty(), "there is a first key when there are keys");
  if (first != 0) fuzz::require(first == all.front(), "the first key is the first of all");
  for (const std::size_t key : keys) fuzz::require(std::ranges::count(all, key) > 0, "keys are among all");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const resp::CommandTable table;
  const auto arguments = split({reinterpret_cast<const char*>(data), size});
  const resp::Command* named = table.find(arguments);
  if (named != nullptr) {
    check(*named, arguments);
    return 0;
  }
  for (const resp::Command& command : resp::builtin_commands()) check(command, arguments);
  return 0;
}
