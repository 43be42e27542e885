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

/// Under way from begin() until all its parts are sent and the last has answered; it then completes the client's place
/// in the line and destroys itself. Survives its client.
class FanOut final : pool::ReplySink {
 public:
  /// `whole` is the client's place in the line, and its session the sink. `places`: see merge_replies().
  [[nodiscard]] static FanOut& begin(Worker& worker, pool::PendingReply& whole, Merge merge, std::size_t places);
  /// Sends a part: to `node` (kind.fixed_node), or by kind.slot. At most 65,535 parts. `positions`, `may_fail`: see
  /// Part; what may fail waits for no node.
  void send(const pool::RequestKind& kind, std::string_view request, pool::Node* node,
            std::vector<std::uint32_t> positions, bool may_fail = false);
  /// There are no more parts, but at least one. It may be gone behind this.
  void end();
  /// The reply for a part.
  void settle(pool::PendingReply& pending, std::string_view reply);

 private:
  FanOut(Worker& worker, pool::PendingReply& whole, Merge merge, std::size_t places);

  void on_reply(pool::PendingReply& pending, std::string_view reply) override;
  void on_lost(pool::PendingReply& pending, pool::Loss loss, std::string_view reason) override;
  pool::PendingReply* one_before(const pool::PendingReply& pending) const override;
  void on_parked();
  /// nullptr: the client is gone.
  [[nodiscard]] Session* session() const { return static_cast<Session*>(whole_.sink); }
  [[nodiscard]] bool is_wanted() const { return session() != nullptr && !whole_.kind.silent; }
  void keep(Part& part, std::string_view reply);
  void drop_replies();
  void finish();
  [[nodiscard]] std::string merged() const;

  Worker& worker_;
  pool::PendingReply& whole_;
  Merge merge_;
  std::size_t places_;
  /// Parts without a reply; until end() one more, so that parts which fail at once do not end it before.
  std::size_t outstanding_ = 1;
  std::size_t bytes_ = 0;  ///< of the replies that are kept, counted as the session's
  bool too_large_ = false;
  bool is_late_ = false;        ///< a part had to wait
  const std::uint32_t layout_;  ///< Router::layout() at the beginning
  std::vector<Part> parts_;
};

}  // namespace sluice
