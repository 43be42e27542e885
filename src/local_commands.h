// Commands about the client's own connection or about the proxy: answered here, no backend is asked.
// Thread: one worker.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "cluster/virtual_node.h"
#include "resp/command_table.h"
#include "resp/request_parser.h"
#include "resp/writer.h"
#include "src/limits.h"
#include "src/session.h"

namespace sluice {

class LocalCommands {
 public:
  explicit LocalCommands(Worker& worker);

  /// Commands of class kLocal; the arity has been checked.
  void handle(Session& session, const resp::Command& command, const resp::Request& request);
  /// SLUICE ...
  void handle_sluice(Session& session, const resp::Request& request);

 private:
  using Arguments = std::span<const std::string_view>;
  using Handler = void (LocalCommands::*)(Session&, Arguments);

  // The connection.
  void ping(Session& session, Arguments arguments);
  void echo(Session& session, Arguments arguments);
  void quit(Session& session, Arguments arguments);
  void reset(Session& session, Arguments arguments);
  void select(Session& session, Arguments arguments);
  void auth(Session& session, Arguments arguments);
  void hello(Session& session, Arguments arguments);
  void accept(Session& session, Arguments arguments);
  // CLIENT
  void client_id(Session& session, Arguments arguments);
  void client_get_name(Session& session, Arguments arguments);
  void client_set_name(Session& session, Arguments arguments);
  void client_set_info(Session& session, Arguments arguments);
  void client_info(Session& session, Arguments arguments);
  void client_reply(Session& session, Arguments arguments);
  void client_get_redirection(Session& session, Arguments arguments);
  void client_help(Session& session, Arguments arguments);
  // CLUSTER
  void cluster_slots(Session& session, Arguments arguments);
  void cluster_shards(Session& session, Arguments arguments);
  void cluster_nodes(Session& session, Arguments arguments);
  void cluster_info(Session& session, Arguments arguments);
  void cluster_my_id(Session& session, Arguments arguments);
  void cluster_key_slot(Session& session, Arguments arguments);
  void cluster_links(Session& session, Arguments arguments);
  void cluster_replicas(Session& session, Arguments arguments);
  void cluster_help(Session& session, Arguments arguments);
  /// COUNTKEYSINSLOT and GETKEYSINSLOT: asked of the slot's node.
  void forward_by_slot(Session& session, const resp::Request& request);

  void seen_keys(Session& session, Arguments arguments);
  [[nodiscard]] cluster::VirtualNode virtual_node(const Session& session) const;
  [[nodiscard]] bool drained(Session& session) const;
  [[nodiscard]] bool set_name(Session& session, std::string_view name);
  void answer_lines(Session& session, std::span<const std::string_view> lines);
  template <typename Write>
  void answer(Session& session, Write&& write) {
    reply_.clear();
    resp::Writer writer(reply_, session.protocol);
    write(writer);
    session.answer(reply_);
    if (reply_.capacity() > limits::kKeptScratchBytes) reply_ = std::string();
  }

  Worker& worker_;
  std::unordered_map<std::string_view, Handler> handlers_;
  std::string reply_;  // scratch
};

}  // namespace sluice
