// One client's command as several requests: split by slot, or sent to every shard or node, and answered by one merged
// reply. Thread: one worker.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pool/node.h"
#include "pool/reply_sink.h"
#include "src/reply_merge.h"
#include "src/session.h"

namespace sluice {

/// Under way from start() until its last part has answered; it then completes the client's place in the line and
/// destroys itself. Survives its client.
class FanOut final : pool::ReplySink {
 public:
  /// One part: where it goes, what is sent. `node` set: to that very node (kind.fixed_node); else by kind.slot.
  struct Request {
    pool::RequestKind kind;
    pool::Node* node = nullptr;
    std::string bytes;
    std::vector<std::uint32_t> positions;
  };

  /// `whole` is the client's place in the line, and its session the sink. `places`: see merge_replies().
  static void start(Worker& worker, pool::PendingReply& whole, Merge merge, std::size_t places,
                    std::vector<Request> requests);
  /// The reply for a part.
  void settle(pool::PendingReply& pending, std::string_view reply);

 private:
  FanOut(Worker& worker, pool::PendingReply& whole, Merge merge, std::size_t places, bool read_only);

  void send(Request& request, std::uint16_t part);
  void on_reply(pool::PendingReply& pending, std::string_view reply) override;
  void on_lost(pool::PendingReply& pending, pool::Loss loss, std::string_view reason) override;
  void fence();
  /// nullptr: the client is gone.
  [[nodiscard]] Session* session() const { return static_cast<Session*>(whole_.sink); }
  void finish();

  Worker& worker_;
  pool::PendingReply& whole_;
  Merge merge_;
  bool read_only_;
  std::size_t places_;
  std::size_t outstanding_ = 0;
  std::size_t bytes_ = 0;  ///< of the parts' replies
  bool too_large_ = false;
  std::vector<Part> parts_;
};

}  // namespace sluice
