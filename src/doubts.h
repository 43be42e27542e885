// Requests of one client that a node could not serve for a moment (CLUSTERDOWN, LOADING ...) while later ones for the
// same slot were on their way: the node may serve those, and the first must not run after them. So the first wait for
// what becomes of the later. When the last of them has not run either, all are sent again in their order; when one has,
// those before it are answered with their errors. MOVED, ASK and TRYAGAIN need no such care: what follows meets the
// same, or has waited.
//
// Made when a session first meets such a case; most never do. Thread: one worker.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "pool/pending_reply.h"

namespace sluice {

class FanOut;
class Session;

enum class Followed : std::uint8_t { kNo, kYes, kUnknown };  ///< kUnknown: the line is too long to look through

class Doubts {
 public:
  explicit Doubts(Session& session) : session_(session) {}

  /// Whether a later request of the client's line, still under way, is for `slot` or may be.
  [[nodiscard]] static Followed followed(const pool::PendingReply& place, std::uint16_t slot);

  /// `pending` has not run, and is followed. It stands for `place` of the line itself, or for a part of it: then
  /// `split` is the part's owner.
  void add(const pool::PendingReply& place, pool::PendingReply& pending, FanOut* split, std::string_view error);
  /// A request for `slot` at `place` is done with: what waits before it must not run any more.
  void on_done(const pool::PendingReply& place, std::uint16_t slot);
  /// A request for `slot` at `place` is about to be sent again: what waits before it goes first.
  void on_retry(const pool::PendingReply& place, std::uint16_t slot);
  /// A split request is done, and with it some that were thought to follow.
  void reconsider();
  /// The client is gone, its line is empty.
  void abandon();

 private:
  struct Doubt {
    const pool::PendingReply* place;
    pool::PendingReply* pending;
    FanOut* split;
    std::string error;
  };

  [[nodiscard]] std::vector<Doubt> take_before(const pool::PendingReply& place, std::uint16_t slot);
  void retry(const std::vector<Doubt>& doubts);
  void give_up(const Doubt& doubt);

  Session& session_;
  std::map<std::uint16_t, std::vector<Doubt>> doubts_;  ///< by slot, none empty
};

}  // namespace sluice
