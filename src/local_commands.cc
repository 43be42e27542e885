#include "src/local_commands.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>

#include "src/client_info.h"
#include "src/database_check.h"
#include "src/info.h"
#include "src/key_report.h"
#include "src/limits.h"
#include "src/worker.h"

namespace sluice {
namespace {

constexpr std::string_view kOk = "+OK\r\n";
constexpr std::string_view kSyntaxError = "-ERR syntax error\r\n";

constexpr std::string_view kSluiceHelp[] = {
    "SLUICE <subcommand>. Subcommands are:",
    "HELP",
    "    This text.",
    "INFO",
    "    Counters of this proxy: commands, sends, buffers, redirects, and the state of each backend node.",
    "HOTKEYS [COUNT <count> | RESET]",
    "    The keys with the most requests in the last 30 to 60 seconds, by a sample. RESET forgets them.",
    "BIGKEYS [COUNT <count> | RESET]",
    "    The keys with the largest values, of 16 KB and more, in the last 30 to 60 seconds. RESET forgets them.",
};

constexpr std::string_view kClientHelp[] = {
    "CLIENT <subcommand> [<arg> ...]. Subcommands Sluice answers:",
    "CAPA, GETNAME, GETREDIR, HELP, ID, INFO, NO-EVICT, NO-TOUCH, REPLY, SETINFO, SETNAME",
};

constexpr std::string_view kClusterHelp[] = {
    "CLUSTER <subcommand> [<arg> ...]. The proxy is one node that owns all slots. Subcommands Sluice answers:",
    "COUNTKEYSINSLOT, GETKEYSINSLOT, HELP, INFO, KEYSLOT, LINKS, MYID, MYSHARDID, NODES, REPLICAS, SHARDS, SLAVES, "
    "SLOTS",
};

bool same_word(std::string_view argument, std::string_view lower_case_word) {
  return std::ranges::equal(argument, lower_case_word,
                            [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a | 0x20 : a) == b; });
}

std::optional<std::int64_t> integer(std::string_view text) {
  std::int64_t value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

LocalCommands::LocalCommands(Worker& worker) : worker_(worker) {
  using Local = LocalCommands;
  handlers_ = {
      {"ping", &Local::ping},
      {"echo", &Local::echo},
      {"quit", &Local::quit},
      {"reset", &Local::reset},
      {"select", &Local::select},
      {"auth", &Local::auth},
      {"hello", &Local::hello},
      {"readonly", &Local::accept},
      {"readwrite", &Local::accept},
      {"asking", &Local::accept},
      {"client|id", &Local::client_id},
      {"client|getname", &Local::client_get_name},
      {"client|setname", &Local::client_set_name},
      {"client|setinfo", &Local::client_set_info},
      {"client|info", &Local::client_info},
      {"client|reply", &Local::client_reply},
      {"client|getredir", &Local::client_get_redirection},
      {"client|no-evict", &Local::accept},
      {"client|no-touch", &Local::accept},
      {"client|capa", &Local::accept},
      {"client|help", &Local::client_help},
      {"cluster|slots", &Local::cluster_slots},
      {"cluster|shards", &Local::cluster_shards},
      {"cluster|nodes", &Local::cluster_nodes},
      {"cluster|info", &Local::cluster_info},
      {"cluster|myid", &Local::cluster_my_id},
      {"cluster|myshardid", &Local::cluster_my_id},
      {"cluster|keyslot", &Local::cluster_key_slot},
      {"cluster|links", &Local::cluster_links},
      {"cluster|replicas", &Local::cluster_replicas},
      {"cluster|slaves", &Local::cluster_replicas},
      {"cluster|help", &Local::cluster_help},
  };
}

void LocalCommands::handle(Session& session, const resp::Command& command, const resp::Request& request) {
  if (command.name.starts_with("cluster") && !worker_.router().is_cluster()) {
    return session.answer("-ERR This instance has cluster support disabled\r\n");
  }
  if (const auto found = handlers_.find(command.name); found != handlers_.end()) {
    return (this->*found->second)(session, request.arguments);
  }
  if (command.name == "cluster|countkeysinslot" || command.name == "cluster|getkeysinslot") {
    return forward_by_slot(session, request);
  }
  std::string shown(command.name);
  std::ranges::transform(shown, shown.begin(),
                         [](char c) { return c == '|' ? ' ' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c); });
  const bool client = command.name.starts_with("client");
  session.answer("-ERR sluice: " + shown +
                 (client ? ": not built into this version yet\r\n" : ": not for clients of a proxy\r\n"));
}

/// Answers that change what later requests mean wait until the earlier ones are answered.
bool LocalCommands::drained(Session& session) const {
  if (session.outstanding() == 0) return true;
  session.hold(Hold::kOwnReplies);
  return false;
}

// --- The connection

void LocalCommands::ping(Session& session, Arguments arguments) {
  if (arguments.size() == 1) return session.answer("+PONG\r\n");
  if (arguments.size() > 2) return session.answer("-ERR wrong number of arguments for 'ping' command\r\n");
  answer(session, [&](resp::Writer& writer) { writer.bulk(arguments[1]); });
}

void LocalCommands::echo(Session& session, Arguments arguments) {
  answer(session, [&](resp::Writer& writer) { writer.bulk(arguments[1]); });
}

void LocalCommands::accept(Session& session, Arguments) {
  session.answer(kOk);
}

void LocalCommands::quit(Session& session, Arguments) {
  session.answer(kOk);
  session.finish();
}

void LocalCommands::reset(Session& session, Arguments) {
  if (!drained(session)) return;
  // Unless the client has asked for none, its own reply is the first that it gets again.
  const bool is_skipped = session.reply_mode == ReplyMode::kSkip;
  session.reset();
  if (is_skipped) session.reply_mode = ReplyMode::kSkip;
  session.answer("+RESET\r\n");
}

void LocalCommands::select(Session& session, Arguments arguments) {
  if (!drained(session)) return;
  const auto database = integer(arguments[1]);
  if (!database) return session.answer("-ERR value is not an integer or out of range\r\n");
  if (worker_.router().is_cluster()) {
    return session.answer(*database == 0 ? kOk : "-ERR SELECT is not allowed in cluster mode\r\n");
  }
  if (*database < 0 || *database >= limits::kDatabases) return session.answer("-ERR DB index is out of range\r\n");
  if (*database == 0) {
    session.database = 0;
    return session.answer(kOk);
  }
  DatabaseCheck::start(session, static_cast<std::uint16_t>(*database));
}

void LocalCommands::auth(Session& session, Arguments arguments) {
  if (arguments.size() == 2) {
    return session.answer(
        "-ERR AUTH <password> called without any password configured for the default user. Are you sure your "
        "configuration "
        "is correct?\r\n");
  }
  if (arguments.size() > 3) return session.answer(kSyntaxError);
  // Without users there is the default user alone, who needs no password: any is accepted, as Redis does.
  session.answer(arguments[1] == "default" ? kOk
                                           : "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
}

void LocalCommands::hello(Session& session, Arguments arguments) {
  if (!drained(session)) return;
  resp::Protocol protocol = session.protocol;
  std::size_t next = 1;
  if (arguments.size() > 1) {
    const auto version = integer(arguments[1]);
    if (!version) return session.answer("-ERR Protocol version is not an integer or out of range\r\n");
    const bool is_known = *version == 2 || (*version == 3 && worker_.pool().all_speak_resp3());
    if (!is_known) return session.answer("-NOPROTO unsupported protocol version\r\n");
    protocol = static_cast<resp::Protocol>(*version);
    next = 2;
  }
  std::optional<std::string_view> name;
  while (next < arguments.size()) {
    if (same_word(arguments[next], "auth") && next + 2 < arguments.size()) {
      if (arguments[next + 1] != "default") {
        return session.answer("-WRONGPASS invalid username-password pair or user is disabled.\r\n");
      }
      next += 3;
    } else if (same_word(arguments[next], "setname") && next + 1 < arguments.size()) {
      name = arguments[next + 1];
      next += 2;
    } else {
      return answer(session, [&](resp::Writer& writer) {
        writer.error("ERR Syntax error in HELLO option '" + std::string(arguments[next].substr(0, 64)) + "'");
      });
    }
  }
  if (name && !set_name(session, *name)) return;
  session.protocol = protocol;
  answer(session, [&](resp::Writer& writer) {
    writer.map(7);
    writer.bulk("server");
    writer.bulk("redis");
    writer.bulk("version");
    writer.bulk(worker_.server_version());
    writer.bulk("proto");
    writer.integer(static_cast<int>(protocol));
    writer.bulk("id");
    writer.integer(static_cast<std::int64_t>(session.id()));
    writer.bulk("mode");
    writer.bulk(worker_.router().is_cluster() ? "cluster" : "standalone");
    writer.bulk("role");
    writer.bulk("master");
    writer.bulk("modules");
    writer.array(0);
  });
}

// --- CLIENT

void LocalCommands::client_id(Session& session, Arguments) {
  answer(session, [&](resp::Writer& writer) { writer.integer(static_cast<std::int64_t>(session.id())); });
}

void LocalCommands::client_get_name(Session& session, Arguments) {
  const ClientNames* names = session.names_or_null();
  answer(session, [&](resp::Writer& writer) {
    if (names == nullptr || names->name.empty()) {
      writer.null();
    } else {
      writer.bulk(names->name);
    }
  });
}

bool LocalCommands::set_name(Session& session, std::string_view name) {
  const bool printable = std::ranges::all_of(name, [](char c) { return c >= '!' && c <= '~'; });
  if (!printable) {
    session.answer("-ERR Client names cannot contain spaces, newlines or special characters.\r\n");
    return false;
  }
  if (name.size() > limits::kClientNameBytes) {
    session.answer("-ERR sluice: a client name has at most 256 bytes\r\n");
    return false;
  }
  session.names().name = name;
  return true;
}

void LocalCommands::client_set_name(Session& session, Arguments arguments) {
  if (set_name(session, arguments[2])) session.answer(kOk);
}

void LocalCommands::client_set_info(Session& session, Arguments arguments) {
  const bool name = same_word(arguments[2], "lib-name");
  if (!name && !same_word(arguments[2], "lib-ver")) {
    return answer(session, [&](resp::Writer& writer) {
      writer.error("ERR Unrecognized option '" + std::string(arguments[2].substr(0, 64)) + "'");
    });
  }
  const bool printable = std::ranges::all_of(arguments[3], [](char c) { return c >= '!' && c <= '~'; });
  const std::string what(name ? "lib-name" : "lib-ver");
  if (!printable) {
    return session.answer("-ERR " + what + " cannot contain spaces, newlines or special characters.\r\n");
  }
  if (arguments[3].size() > limits::kClientNameBytes) {
    return session.answer("-ERR sluice: " + what + " is longer than 256 bytes\r\n");
  }
  (name ? session.names().lib_name : session.names().lib_version) = arguments[3];
  session.answer(kOk);
}

void LocalCommands::client_info(Session& session, Arguments) {
  const std::string line = describe_client(session, worker_.now_ms());
  answer(session, [&](resp::Writer& writer) { writer.verbatim(line + "\n"); });
}

void LocalCommands::client_reply(Session& session, Arguments arguments) {
  if (same_word(arguments[2], "on")) {
    session.reply_mode = ReplyMode::kOn;
    session.answer(kOk);
  } else if (same_word(arguments[2], "off")) {
    session.reply_mode = ReplyMode::kOff;
  } else if (same_word(arguments[2], "skip")) {
    if (session.reply_mode == ReplyMode::kOn) session.reply_mode = ReplyMode::kSkip;
  } else {
    session.answer(kSyntaxError);
  }
}

void LocalCommands::client_get_redirection(Session& session, Arguments) {
  session.answer(":-1\r\n");
}

void LocalCommands::client_help(Session& session, Arguments) {
  answer_lines(session, kClientHelp);
}

void LocalCommands::answer_lines(Session& session, std::span<const std::string_view> lines) {
  answer(session, [&](resp::Writer& writer) {
    writer.array(lines.size());
    for (const std::string_view line : lines) writer.simple(line);
  });
}

// --- CLUSTER

cluster::VirtualNode LocalCommands::virtual_node(const Session& session) const {
  const AnnounceConfig& announce = worker_.config().announce;
  cluster::VirtualNode node;
  node.addresses.push_back(announce.address ? *announce.address : local_address(session.fd()));
  node.addresses.insert(node.addresses.end(), announce.proxies.begin(), announce.proxies.end());
  return node;
}

void LocalCommands::cluster_slots(Session& session, Arguments) {
  answer(session, [&](resp::Writer& writer) { cluster::write_cluster_slots(writer, virtual_node(session)); });
}

void LocalCommands::cluster_shards(Session& session, Arguments) {
  answer(session, [&](resp::Writer& writer) { cluster::write_cluster_shards(writer, virtual_node(session)); });
}

void LocalCommands::cluster_nodes(Session& session, Arguments) {
  answer(session, [&](resp::Writer& writer) { cluster::write_cluster_nodes(writer, virtual_node(session)); });
}

void LocalCommands::cluster_info(Session& session, Arguments) {
  cluster::SlotCounts slots;
  for (const cluster::Shard& shard : worker_.router().topology().shards) {
    const cluster::Address& primary = shard.primary.address;
    slots.assigned += shard.slots();
    if (worker_.pool().node(primary.host, primary.port).failing()) slots.failing += shard.slots();
  }
  answer(session, [&](resp::Writer& writer) { cluster::write_cluster_info(writer, virtual_node(session), slots); });
}

void LocalCommands::cluster_my_id(Session& session, Arguments) {
  const cluster::VirtualNode node = virtual_node(session);
  answer(session, [&](resp::Writer& writer) { writer.bulk(cluster::VirtualNode::id_of(node.addresses.front())); });
}

void LocalCommands::cluster_key_slot(Session& session, Arguments arguments) {
  answer(session, [&](resp::Writer& writer) { writer.integer(cluster::key_slot(arguments[2])); });
}

void LocalCommands::cluster_links(Session& session, Arguments) {
  answer(session, [&](resp::Writer& writer) { cluster::write_cluster_links(writer); });
}

void LocalCommands::cluster_replicas(Session& session, Arguments) {
  answer(session, [&](resp::Writer& writer) { writer.array(0); });
}

void LocalCommands::cluster_help(Session& session, Arguments) {
  answer_lines(session, kClusterHelp);
}

void LocalCommands::forward_by_slot(Session& session, const resp::Request& request) {
  const auto slot = integer(request.arguments[2]);
  if (!slot || *slot < 0 || *slot >= cluster::kSlotCount)
    return session.answer("-ERR Invalid or out of range slot\r\n");
  worker_.dispatch().send_to_slot(session, static_cast<cluster::Slot>(*slot), request);
}

// --- SLUICE

void LocalCommands::handle_sluice(Session& session, const resp::Request& request) {
  const Arguments arguments(request.arguments);
  if (arguments.size() == 2 && same_word(arguments[1], "info")) {
    // One at a time: all workers write down what they know.
    if (!drained(session)) return;
    return Round::start(std::make_unique<InfoRound>(session));
  }
  if (arguments.size() == 2 && same_word(arguments[1], "help")) return answer_lines(session, kSluiceHelp);
  if (arguments.size() < 2) return session.answer("-ERR wrong number of arguments for 'sluice' command\r\n");
  if (same_word(arguments[1], "hotkeys") || same_word(arguments[1], "bigkeys")) return seen_keys(session, arguments);
  session.answer("-ERR unknown subcommand '" + quotable(arguments[1]) + "'. Try SLUICE HELP.\r\n");
}

/// SLUICE HOTKEYS and BIGKEYS.
void LocalCommands::seen_keys(Session& session, Arguments arguments) {
  using Table = ForgetKeysRound::Table;
  const bool hot = same_word(arguments[1], "hotkeys");
  const bool forgets = arguments.size() == 3 && same_word(arguments[2], "reset");
  const bool counts = arguments.size() == 4 && same_word(arguments[2], "count");
  if (arguments.size() > 2 && !forgets && !counts) return session.answer(kSyntaxError);
  const auto count = counts ? integer(arguments[3]) : std::optional<std::int64_t>(limits::kKeysListed);
  if (!count || *count <= 0) return session.answer("-ERR value is out of range, must be positive\r\n");
  // One at a time: each holds the tables of all workers.
  if (!drained(session)) return;
  if (forgets) {
    Round::start(std::make_unique<ForgetKeysRound>(session, hot ? Table::kHotKeys : Table::kBigKeys));
  } else if (hot) {
    Round::start(std::make_unique<HotKeysRound>(session, static_cast<std::size_t>(*count)));
  } else {
    Round::start(std::make_unique<BigKeysRound>(session, static_cast<std::size_t>(*count)));
  }
}

}  // namespace sluice
