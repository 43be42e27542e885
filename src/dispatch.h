// What becomes of a request: answered here, sent to one lane, split over many, or refused. The one place that decides.
//
// Order: two requests of one client to one node must run in the order sent. They do while they take the same lane; when
// the topology changes or a redirect is under way, a session's next request waits until its earlier ones are answered.
// Thread: one worker.
#pragma once

#include <string_view>
#include <unordered_map>

#include "cluster/key_slot.h"
#include "pool/pending_reply.h"
#include "resp/command_table.h"
#include "resp/request_parser.h"
#include "src/command_learning.h"
#include "src/local_commands.h"
#include "src/reply_merge.h"
#include "src/session.h"

namespace sluice {

class Dispatch {
 public:
  explicit Dispatch(Worker& worker);

  /// Takes the request, or holds the session (Session::held()), which then offers it again.
  void handle(Session& session, const resp::Request& request);
  /// A request of which the arguments before a large one are known, and that one's length. Begins an upload, holds the
  /// session until it may, or does nothing: then it is handled when it is whole.
  void handle_open(Session& session, const resp::Request& request, const resp::OpenBulk& open);
  /// Sends the request as it is to the primary of a slot (CLUSTER COUNTKEYSINSLOT).
  void send_to_slot(Session& session, std::uint16_t slot, const resp::Request& request);

 private:
  /// Commands without keys whose policy alone does not say what to do.
  enum class Special : std::uint8_t { kNone, kScan, kInfo, kRandomKey };

  void forward(Session& session, const resp::Command& command, const resp::Request& request);
  void forward_urgent(Session& session, const resp::Command& command, const resp::Request& request);
  void send_keyed(Session& session, const resp::Command& command, const resp::Request& request);
  [[nodiscard]] bool has_room(Session& session, pool::RequestKind kind);
  void send_split(Session& session, const resp::Command& command, const resp::Request& request);
  void send_everywhere(Session& session, const resp::Command& command, const resp::Request& request, Merge merge);
  void fan_out(Session& session, const resp::Command& command, pool::RequestKind kind, const resp::Request& request,
               Merge merge);
  void send_special(Session& session, const resp::Command& command, const resp::Request& request);
  void send(Session& session, const pool::RequestKind& kind, const resp::Request& request);
  void send_large(Session& session, pool::RequestKind kind, const resp::Request& request);
  [[nodiscard]] bool knows_shards(Session& session);
  [[nodiscard]] bool may_go_everywhere(Session& session, bool read_only);
  void meet_unknown(Session& session, const resp::Request& request);
  [[nodiscard]] bool in_order(Session& session, std::uint16_t slot);
  [[nodiscard]] bool has_several_keys(const resp::Command& command, const resp::Request& request);
  [[nodiscard]] pool::RequestKind kind_of(const Session& session, const resp::Command& command) const;
  [[nodiscard]] cluster::Slot slot_of(std::string_view key) const;
  [[nodiscard]] std::string_view bytes_of(const resp::Request& request);

  Worker& worker_;
  LocalCommands local_;
  std::unordered_map<const resp::Command*, Special> specials_;
  std::vector<std::size_t> keys_;                                       // scratch of a request with several keys
  std::vector<std::pair<std::uint16_t, std::uint32_t>> slots_of_keys_;  // scratch of a split
  std::string encoded_;                                                 // scratch of an inline request
};

/// The answer to a command whose class is not built: which one, and that it comes later.
[[nodiscard]] std::string refusal(const resp::Command& command, std::string_view shown_name);

}  // namespace sluice
