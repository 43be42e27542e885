#include "src/dispatch.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <limits>

#include "resp/key_finder.h"
#include "resp/writer.h"
#include "src/fan_out.h"
#include "src/limits.h"
#include "src/scan.h"
#include "src/spelling.h"
#include "src/worker.h"

namespace sluice {
namespace {

using resp::Command;
using resp::RequestPolicy;
using resp::ResponsePolicy;
using resp::SessionClass;

Merge merge_of(const Command& command) {
  switch (command.response_policy) {
    case ResponsePolicy::kOneSucceeded:
      return Merge::kOneSucceeded;
    case ResponsePolicy::kAllSucceeded:
      return Merge::kAllSucceeded;
    case ResponsePolicy::kAggLogicalAnd:
      return Merge::kLogicalAnd;
    case ResponsePolicy::kAggLogicalOr:
      return Merge::kLogicalOr;
    case ResponsePolicy::kAggMin:
      return Merge::kMinimum;
    case ResponsePolicy::kAggMax:
      return Merge::kMaximum;
    case ResponsePolicy::kAggSum:
      return Merge::kSum;
    case ResponsePolicy::kNone:
    case ResponsePolicy::kSpecial:
      break;
  }
  return command.name == "slowlog|get" ? Merge::kLatestFirst : Merge::kConcatenate;
}

/// Of SLOWLOG GET [count]. A count that is none is the nodes' to refuse.
std::size_t entries_wanted(const resp::Request& request) {
  if (request.arguments.size() < 3) return limits::kSlowLogListed;
  std::int64_t count = 0;
  const std::string_view text = request.arguments[2];
  std::from_chars(text.data(), text.data() + text.size(), count);
  return count < 0 ? std::numeric_limits<std::size_t>::max() : static_cast<std::size_t>(count);
}

/// All arguments are keys, or keys and values in turn.
bool is_list_of_keys(const Command& command) {
  if (command.key_specs.size() != 1) return false;
  const resp::KeySpec& spec = command.key_specs.front();
  return spec.begin == resp::KeySpec::Begin::kIndex && spec.begin_position == 1 &&
         spec.find == resp::KeySpec::Find::kRange && spec.last_key == -1 && spec.limit == 0 && spec.key_step > 0;
}

std::string wrong_arity(std::string_view name) {
  return "-ERR wrong number of arguments for '" + std::string(name) + "' command\r\n";
}

}  // namespace

std::string refusal(const Command& command, std::string_view shown_name) {
  std::string name(shown_name);
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  std::ranges::replace(name, '|', ' ');
  const std::string_view why = [&]() -> std::string_view {
    switch (command.session_class) {
      case SessionClass::kTransaction:
        return "transactions are not built into this version yet";
      case SessionClass::kBlocking:
      case SessionClass::kShared:
        return "blocking commands are not built into this version yet";
      case SessionClass::kPubSub:
        return "subscriptions are not built into this version yet";
      case SessionClass::kMonitor:
        return "monitoring is not built into this version yet";
      default:
        return "not for clients of a proxy";
    }
  }();
  return "-ERR sluice: " + name + ": " + std::string(why) + "\r\n";
}

Dispatch::Dispatch(Worker& worker) : worker_(worker), local_(worker) {
  const resp::CommandTable& table = worker.commands();
  specials_ = {{table.find_name("scan"), Special::kScan},
               {table.find_name("info"), Special::kInfo},
               {table.find_name("randomkey"), Special::kRandomKey}};
}

void Dispatch::handle(Session& session, const resp::Request& request) {
  ++worker_.counters().commands;
  const Command* command = worker_.commands().find(request.arguments);
  if (command == nullptr) [[unlikely]]
    return meet_unknown(session, request);
  if (!command->accepts_arity(request.arguments.size())) [[unlikely]]
    return session.answer(wrong_arity(command->name));
  if (session.in_refused_transaction && command->session_class == SessionClass::kShared) [[unlikely]]
    return session.answer(
        "-ERR sluice: not run: it follows a MULTI, and transactions are not built into this version yet\r\n");
  switch (command->session_class) {
    case SessionClass::kShared:
      if (command->is(resp::kAllowBusy)) [[unlikely]]
        return forward_urgent(session, *command, request);
      return forward(session, *command, request);
    case SessionClass::kLocal:
      return local_.handle(session, *command, request);
    case SessionClass::kTransaction:
      if (command->name == "multi") session.refuse_transaction();
      if (command->name == "exec" || command->name == "discard") session.in_refused_transaction = false;
      [[fallthrough]];
    default:
      return session.answer(refusal(*command, command->name));
  }
}

void Dispatch::handle_open(Session& session, const resp::Request& request, const resp::OpenBulk& open) {
  if (session.in_refused_transaction) return;
  const std::vector<std::string_view>& arguments = request.arguments;
  const Command* command = arguments.empty() ? nullptr : worker_.commands().find(arguments);
  const std::uint64_t count = arguments.size() + 1 + open.arguments_behind;
  if (command == nullptr || command->session_class != SessionClass::kShared || !command->accepts_arity(count)) return;
  // A split of several keys has to know them all. Of others the first key says where, and the node checks the rest.
  const bool one_key = command->request_policy == RequestPolicy::kNone ||
                       (command->request_policy == RequestPolicy::kMultiShard && count == 3 &&
                        is_list_of_keys(*command) && command->key_specs.front().key_step == 2);
  const bool key_is_known =
      !command->key_specs.empty() && command->key_specs.front().begin == resp::KeySpec::Begin::kIndex;
  const std::size_t key = one_key && key_is_known ? resp::find_first_key(*command, arguments) : 0;
  if (key == 0) return;
  if (session.outstanding() > 0) return session.hold(Hold::kOwnReplies);
  pool::RequestKind kind = kind_of(session, *command);
  kind.read_only = false;
  kind.slot = slot_of(arguments[key]);
  ++worker_.counters().commands;
  worker_.large_keys().note(arguments[key]);
  std::uint64_t bytes = open.length;
  for (std::size_t i = 1; i < arguments.size(); ++i) bytes += i == key ? 0 : arguments[i].size();
  worker_.key_watch().see_upload(*command, arguments[key], bytes);
  session.begin_upload(kind, arguments[key]);
}

void Dispatch::meet_unknown(Session& session, const resp::Request& request) {
  // A browser or a tricked HTTP client, whose body would be commands. As Redis does: no reply, no further request.
  if (equals_ignoring_case(request.arguments[0], "post") || equals_ignoring_case(request.arguments[0], "host:")) {
    worker_.log_closing(session, "it speaks HTTP", true);
    ++worker_.counters().protocol_errors;
    return session.finish();
  }
  if (equals_ignoring_case(request.arguments[0], "sluice")) return local_.handle_sluice(session, request);
  switch (worker_.learning().ask(request.arguments, session.salt())) {
    case CommandLearning::Verdict::kAsked:
      worker_.resume_when_learned(session);
      return session.hold(Hold::kLearning);
    case CommandLearning::Verdict::kNobodyToAsk:
      return session.answer(
          "-ERR sluice: the command is not known here and no backend node could be asked about it\r\n");
    case CommandLearning::Verdict::kNoCommand:
      break;
  }
  const bool container = is_container(worker_.commands(), request.arguments[0]);
  std::string reply;
  resp::Writer(reply, session.protocol).error(unknown_command_error(request.arguments, container));
  session.answer(reply);
}

void Dispatch::forward(Session& session, const Command& command, const resp::Request& request) {
  // Of those that share connections only XREAD and XREADGROUP can block.
  if (command.is(resp::kBlocking) && resp::find_stream_option(request.arguments, "BLOCK") != 0) {
    return session.answer(refusal(command, command.name));
  }
  switch (command.request_policy) {
    case RequestPolicy::kNone:
      return send_keyed(session, command, request);
    case RequestPolicy::kMultiShard:
      return send_split(session, command, request);
    case RequestPolicy::kAllShards:
    case RequestPolicy::kAllNodes:
      if (!knows_shards(session)) return;
      if (command.response_policy == ResponsePolicy::kSpecial) return send_special(session, command, request);
      return send_everywhere(session, command, request, merge_of(command));
    case RequestPolicy::kSpecial:
      if (!knows_shards(session)) return;
      return send_special(session, command, request);
  }
}

/// Past what waits for a script (SCRIPT KILL), but in its client's order: nothing of that is under way beside it.
void Dispatch::forward_urgent(Session& session, const Command& command, const resp::Request& request) {
  if (session.outstanding() > 0) return session.hold(Hold::kOwnReplies);
  forward(session, command, request);
  session.fenced = session.outstanding() > 0;
}

/// Before the shards of a cluster are known, what is meant for all of them would reach one; after a MOVED it may reach
/// one twice, at its old primary and at its new one.
bool Dispatch::knows_shards(Session& session) {
  const Router& router = worker_.router();
  const auto patience = static_cast<std::uint32_t>(worker_.config().backend.command_timeout.count());
  const bool is_known = !router.is_cluster() || (router.knows_topology() && !router.is_patched());
  if (!is_known && worker_.now_ms() - worker_.await_topology(session) < patience) {
    session.hold(Hold::kTopology);
    return false;
  }
  if (is_known || router.knows_topology()) return true;
  session.answer("-ERR sluice: the command has not run: no backend node could be reached within command_timeout\r\n");
  return false;
}

pool::RequestKind Dispatch::kind_of(const Session& session, const Command& command) const {
  const bool urgent = command.is(resp::kAllowBusy);
  // Beside a script that runs, a connection cannot even choose its database.
  return {.database = urgent ? std::uint16_t{0} : session.database,
          .protocol = session.protocol,
          .read_only = command.is(resp::kReadOnly),
          .scripted = command.is(resp::kLearned | resp::kNoMandatoryKeys),
          .urgent = urgent};
}

cluster::Slot Dispatch::slot_of(std::string_view key) const {
  return worker_.router().is_cluster() ? cluster::key_slot(key) : cluster::Slot{0};
}

std::string_view Dispatch::bytes_of(const resp::Request& request) {
  if (!request.is_inline) [[likely]]
    return request.bytes;
  encoded_.clear();
  resp::write_request(encoded_, request.arguments);
  return encoded_;
}

bool Dispatch::in_order(Session& session, std::uint16_t slot) {
  const std::uint32_t version = worker_.router().version();
  if (session.outstanding() == 0) session.route_version = version;
  if (!session.fenced && !session.fences(slot) && session.route_version == version) return true;
  session.hold(Hold::kOwnReplies);
  return false;
}

bool Dispatch::has_several_keys(const Command& command, const resp::Request& request) {
  keys_.clear();
  return !resp::find_keys(command, request.arguments, keys_) || keys_.size() > 1;
}

void Dispatch::send_keyed(Session& session, const Command& command, const resp::Request& request) {
  pool::RequestKind kind = kind_of(session, command);
  if (const std::size_t index = resp::find_first_key(command, request.arguments); index != 0) [[likely]] {
    const std::string_view key = request.arguments[index];
    kind.slot = slot_of(key);
    kind.several_keys = command.only_key() == 0 && worker_.router().is_cluster() && has_several_keys(command, request);
    if (kind.read_only && worker_.large_keys().contains(key)) [[unlikely]]
      return send_large(session, kind, request);
  } else {
    // Without a key nothing says that a replica will do.
    kind.read_only = false;
    if (!worker_.router().is_cluster()) kind.slot = 0;  // in line with those that have one
  }
  send(session, kind, request);
}

void Dispatch::send(Session& session, const pool::RequestKind& kind, const resp::Request& request) {
  if (!in_order(session, kind.slot)) return;
  pool::Lane* lane = worker_.router().lane_for(kind, session.salt());
  if (lane != nullptr && lane->full()) [[unlikely]]
    return session.hold(Hold::kRoom);
  pool::PendingReply& pending = session.expect(kind);
  worker_.key_watch().see(request);
  if (lane != nullptr && lane->accepts()) [[likely]]
    return lane->enqueue(pending, bytes_of(request));
  if (worker_.redirection().park(pending, bytes_of(request))) {
    session.on_parked();
  } else {
    session.complete(pending, worker_.redirection().not_parked_error(pending));
  }
}

/// On a connection of its own, and alone: nothing of the client's is under way beside it that it could overtake.
void Dispatch::send_large(Session& session, pool::RequestKind kind, const resp::Request& request) {
  if (session.outstanding() > 0) return session.hold(Hold::kOwnReplies);
  pool::Lane* lane = worker_.router().large_lane_for(kind, session.salt());
  if (lane == nullptr) return send(session, kind, request);
  kind.large = true;
  worker_.key_watch().see(request);
  lane->enqueue(session.expect(kind), bytes_of(request));
  session.fenced = true;
}

void Dispatch::send_to_slot(Session& session, std::uint16_t slot, const resp::Request& request) {
  send(session, {.slot = slot, .database = session.database, .protocol = session.protocol}, request);
}

/// All or none: a part that finds its lane full would run later than the others, or not at all.
bool Dispatch::has_room(Session& session, pool::RequestKind kind) {
  for (const auto& [slot, key] : slots_of_keys_) {
    if (std::exchange(kind.slot, slot) == slot) continue;
    pool::Lane* lane = worker_.router().lane_for(kind, session.salt());
    if (lane != nullptr && lane->full()) {
      session.hold(Hold::kRoom);
      return false;
    }
  }
  return true;
}

/// DEL, UNLINK, EXISTS, TOUCH, MGET, MSET: one request per slot, since a slot is what moves.
void Dispatch::send_split(Session& session, const Command& command, const resp::Request& request) {
  const std::vector<std::string_view>& arguments = request.arguments;
  if (!is_list_of_keys(command)) return send_keyed(session, command, request);
  const auto step = static_cast<std::size_t>(command.key_specs.front().key_step);
  if ((arguments.size() - 1) % step != 0) return session.answer(wrong_arity(command.name));
  if (!worker_.router().is_cluster() || command.response_policy == ResponsePolicy::kAggMin) {
    return send_keyed(session, command, request);  // MSETNX is all or nothing: never split
  }
  slots_of_keys_.clear();
  for (std::size_t i = 1; i < arguments.size(); i += step) {
    slots_of_keys_.emplace_back(cluster::key_slot(arguments[i]), static_cast<std::uint32_t>(slots_of_keys_.size()));
  }
  const auto slot_of_key = [](const auto& key) { return key.first; };
  const std::uint16_t first = slots_of_keys_.front().first;
  if (std::ranges::all_of(slots_of_keys_, [&](const auto& key) { return slot_of_key(key) == first; })) {
    pool::RequestKind kind = kind_of(session, command);
    kind.slot = first;
    kind.several_keys = slots_of_keys_.size() > 1;
    return send(session, kind, request);
  }
  if (!in_order(session, pool::RequestKind::kNoSlot)) return;
  std::ranges::stable_sort(slots_of_keys_, {}, slot_of_key);
  const Merge merge = command.response_policy == ResponsePolicy::kNone ? Merge::kKeepOrder : merge_of(command);
  pool::RequestKind kind = kind_of(session, command);
  if (!has_room(session, kind)) return;
  pool::RequestKind whole = kind;
  whole.several_keys = std::ranges::adjacent_find(slots_of_keys_, {}, slot_of_key) != slots_of_keys_.end();
  whole.split = true;
  worker_.key_watch().see(request);
  FanOut& fan_out = FanOut::begin(worker_, session.expect(whole), merge, slots_of_keys_.size());
  // One part at a time: of a large request there is one copy, not two.
  std::string part;
  std::vector<std::string_view> part_arguments;
  for (std::size_t begin = 0; begin < slots_of_keys_.size();) {
    kind.slot = slots_of_keys_[begin].first;
    part_arguments.assign(1, arguments[0]);
    std::vector<std::uint32_t> positions;
    std::size_t end = begin;
    for (; end < slots_of_keys_.size() && slots_of_keys_[end].first == kind.slot; ++end) {
      const std::uint32_t key = slots_of_keys_[end].second;
      positions.push_back(key);
      for (std::size_t i = 0; i < step; ++i) part_arguments.push_back(arguments[1 + key * step + i]);
    }
    part.clear();
    resp::write_request(part, part_arguments);
    fan_out.send(kind, part, nullptr, std::move(positions));
    begin = end;
  }
  fan_out.end();
}

/// A request under way may still be redirected, to a node that would then answer this first.
bool Dispatch::may_go_everywhere(Session& session, bool read_only) {
  const bool matters = read_only ? session.has_writes_outstanding() : session.outstanding() > 0;
  if (!matters) return in_order(session, pool::RequestKind::kNoSlot);
  session.hold(Hold::kOwnReplies);
  return false;
}

void Dispatch::send_everywhere(Session& session, const Command& command, const resp::Request& request, Merge merge) {
  const std::vector<cluster::Shard>& shards = worker_.router().topology().shards;
  const bool replicas = command.request_policy == RequestPolicy::kAllNodes;
  pool::RequestKind kind = kind_of(session, command);
  const bool is_harmless = kind.read_only || merge == Merge::kInfo;
  if (!may_go_everywhere(session, is_harmless)) return;
  const bool one_node = shards.size() == 1 && (!replicas || shards.front().replicas.empty());
  if (shards.empty() || one_node) {
    kind.slot = shards.empty() ? pool::RequestKind::kNoSlot : shards.front().ranges.front().first;
    send(session, kind, request);
  } else {
    fan_out(session, command, kind, request, merge);
  }
  // What follows a change of everything waits for all of it.
  if (!is_harmless) session.fenced = session.outstanding() > 0;
}

void Dispatch::fan_out(Session& session, const Command& command, pool::RequestKind kind, const resp::Request& request,
                       Merge merge) {
  const std::string bytes(bytes_of(request));  // the first part may take the client's own chunk with it
  const std::size_t places = merge == Merge::kLatestFirst ? entries_wanted(request) : 0;
  FanOut& parts = FanOut::begin(worker_, session.expect(kind), merge, places);
  for (const cluster::Shard& shard : worker_.router().topology().shards) {
    kind.slot = shard.ranges.front().first;
    parts.send(kind, bytes, nullptr, {}, merge == Merge::kInfo);
    if (command.request_policy != RequestPolicy::kAllNodes) continue;
    for (const cluster::Node& replica : shard.replicas) {
      pool::RequestKind fixed = kind;
      fixed.fixed_node = true;
      pool::Node& node = worker_.pool().node(replica.address.host, replica.address.port);
      // Of a script that a replica lacks its client hears (NOSCRIPT), and loads it again.
      parts.send(fixed, bytes, &node, {}, command.name == "script|load");
    }
  }
  parts.end();
}

void Dispatch::send_special(Session& session, const Command& command, const resp::Request& request) {
  const auto found = specials_.find(&command);
  const Special special = found == specials_.end() ? Special::kNone : found->second;
  // A cursor of SCAN may outlive the one node there is.
  const bool is_plain =
      special == Special::kScan ? !worker_.router().is_cluster() : worker_.router().topology().shards.size() <= 1;
  switch (is_plain ? Special::kNone : special) {
    case Special::kScan:
      if (may_go_everywhere(session, true)) ClusterScan::start(session, request);
      return;
    case Special::kInfo:
      return send_everywhere(session, command, request, Merge::kInfo);
    case Special::kRandomKey:
      return send_everywhere(session, command, request, Merge::kAnyNotNull);
    case Special::kNone:
      // A node's own view (MEMORY STATS, LATENCY ...): that of the client's usual node.
      return send_keyed(session, command, request);
  }
}

}  // namespace sluice
