// What a command means, as rows of data: arity, flags, where its keys are, how it is spread over a cluster and which
// kind of connection it needs. The rows of Redis 7.2 / Valkey 8 are in command_data.cc, generated from a server's
// COMMAND reply by scripts/generate_command_table.py; rows for commands the table does not know (modules, newer
// servers) are learned at run time from a backend's COMMAND INFO.
// Sources: redis.io "Command key specifications", "Command tips", "COMMAND".
// Thread: a table belongs to one thread; the built-in rows are constant and shared.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "resp/command_index.h"
#include "resp/value.h"

namespace resp {

struct LearnedCommand;

/// Bits of Command::flags: the server's command flags that routing needs.
enum CommandFlag : std::uint32_t {
  kWrite = 1U << 0,
  kReadOnly = 1U << 1,
  kDenyOom = 1U << 2,
  kAdmin = 1U << 3,
  kPubSub = 1U << 4,
  kNoScript = 1U << 5,
  kBlocking = 1U << 6,
  kLoading = 1U << 7,
  kStale = 1U << 8,
  kFast = 1U << 9,
  kNoAuth = 1U << 10,
  kMayReplicate = 1U << 11,
  kMovableKeys = 1U << 12,
  kNoMulti = 1U << 13,
  kAllowBusy = 1U << 14,
  kNoMandatoryKeys = 1U << 15,
  kLearned = 1U << 16,  ///< no server's flag: the row was learned at run time
};

/// COMMAND tips "request_policy".
enum class RequestPolicy : std::uint8_t { kNone, kAllNodes, kAllShards, kMultiShard, kSpecial };

/// COMMAND tips "response_policy".
enum class ResponsePolicy : std::uint8_t {
  kNone,
  kOneSucceeded,
  kAllSucceeded,
  kAggLogicalAnd,
  kAggLogicalOr,
  kAggMin,
  kAggMax,
  kAggSum,
  kSpecial,
};

/// What a command asks of the connection it runs on; decides which part of Sluice takes it.
enum class SessionClass : std::uint8_t {
  kShared,  ///< any multiplexed lane will do
  kLocal,   ///< about the client's own connection or about the proxy: answered by Sluice (AUTH, HELLO, CLIENT,
            ///< SELECT, QUIT, RESET, PING, ECHO, CLUSTER, READONLY, READWRITE, ASKING, COMMAND is not: it is kShared)
  kTransaction,  ///< MULTI, EXEC, DISCARD, WATCH, UNWATCH
  kBlocking,     ///< may wait for data (BLPOP ..., WAIT, WAITAOF; XREAD and XREADGROUP only with BLOCK)
  kPubSub,       ///< SUBSCRIBE and its kin, PUBSUB; not PUBLISH and SPUBLISH (kShared)
  kMonitor,      ///< MONITOR
  kReplication,  ///< SYNC, PSYNC, REPLCONF, FAILOVER, REPLICAOF, SLAVEOF, SHUTDOWN, DEBUG ...: refused to clients
};

/// One key specification. Source: redis.io "Command key specifications".
struct KeySpec {
  enum class Begin : std::uint8_t { kUnknown, kIndex, kKeyword };
  enum class Find : std::uint8_t { kUnknown, kRange, kKeyNum };
  Begin begin = Begin::kUnknown;
  Find find = Find::kUnknown;
  bool not_key = false;             ///< a channel that is hashed like a key, no key of the key space
  bool incomplete = false;          ///< the specification may miss keys
  std::int16_t begin_position = 0;  ///< kIndex: index; kKeyword: where the search starts (negative: from the end)
  std::string_view keyword = {};    ///< kKeyword, upper case
  std::int32_t last_key = 0, key_step = 1, limit = 0;  ///< kRange
  std::int32_t key_num_index = 0, first_key = 0;       ///< kKeyNum (with key_step)

  bool operator==(const KeySpec&) const = default;
};

/// One row. Rows live as long as their table (built-in rows: for ever).
struct Command {
  std::string_view name = {};  ///< lower case; subcommands as "client|setname"
  std::int16_t arity = 0;      ///< as Redis: name included, negative = at least
  std::uint32_t flags = 0;
  RequestPolicy request_policy = RequestPolicy::kNone;
  ResponsePolicy response_policy = ResponsePolicy::kNone;
  SessionClass session_class = SessionClass::kShared;
  bool has_subcommands = false;  ///< a container: the row of "name|argument" decides
  std::span<const KeySpec> key_specs = {};

  [[nodiscard]] bool is(std::uint32_t flag) const { return (flags & flag) != 0; }
  [[nodiscard]] bool accepts_arity(std::size_t count) const {
    return arity >= 0 ? count == static_cast<std::size_t>(arity) : count >= static_cast<std::size_t>(-arity);
  }
  /// Where its only key is, when the row alone tells (GET, SET and most others); else 0.
  [[nodiscard]] std::size_t only_key() const {
    if (key_specs.size() != 1 || is(kMovableKeys)) return 0;
    const KeySpec& spec = key_specs.front();
    const bool is_told = spec.begin == KeySpec::Begin::kIndex && spec.find == KeySpec::Find::kRange &&
                         spec.begin_position > 0 && spec.last_key == 0 && spec.key_step > 0;
    return is_told ? static_cast<std::size_t>(spec.begin_position) : 0;
  }
};

/// All rows of command_data.cc, sorted by name.
[[nodiscard]] std::span<const Command> builtin_commands();

class CommandTable {
 public:
  /// Bound of learned rows, names included: a client must not be able to grow the table for ever.
  static constexpr std::size_t kMaxLearned = 4096;

  CommandTable();
  ~CommandTable();
  CommandTable(const CommandTable&) = delete;
  CommandTable& operator=(const CommandTable&) = delete;

  /// The row for a request (the subcommand's row when the command is a container and the subcommand is known), any
  /// case. nullptr: not known. One hash and one comparison on the data path; allocates nothing.
  [[nodiscard]] const Command* find(std::span<const std::string_view> arguments) const;

  /// The row of a container or plain command by name alone ("client", "get", "client|setname"), any case.
  [[nodiscard]] const Command* find_name(std::string_view name) const;

  /// Takes one element of a COMMAND INFO reply (either protocol version) and adds its row and those of its subcommands.
  /// Returns the row, nullptr when the value is not a command description or the table is full. Learned commands that
  /// the server flags "blocking" get kBlocking, all others kShared; new subcommands of a container that is not kShared
  /// (CLIENT ...) get its class. What is known already stays as it is.
  const Command* learn(const Value& description);

 private:
  struct Learned;

  void index(const Command& row);
  /// Apart from find(), which most requests leave before; inlined, it would cost them a frame.
  [[nodiscard, gnu::noinline]] const Command* find_subcommand(std::string_view container, std::string_view name) const;
  [[nodiscard]] std::vector<std::unique_ptr<LearnedCommand>> unknown_subcommands(std::string_view container,
                                                                                 const Value& description) const;
  void keep(std::unique_ptr<LearnedCommand> command);

  CommandIndex commands_;     ///< names without a '|'
  CommandIndex subcommands_;  ///< names with one, apart so that no client reaches "client|kill" by that name
  std::unique_ptr<Learned> learned_;
};

}  // namespace resp
