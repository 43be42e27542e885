// Whom replies go to: the one interface between the pool and those who asked.
#pragma once

#include <cstdint>
#include <string_view>

#include "pool/pending_reply.h"

namespace uring {
class Stream;
}

namespace pool {

class Lane;

/// Why a request is lost whose reply its own client does not take any more.
inline constexpr std::string_view kClientGone = "its client is gone";

/// How a connection's end left a request.
enum class Loss : std::uint8_t {
  kNotSent,  ///< certain not to have run
  kUnknown,  ///< sent; it may or may not have run
};

/// What is known of a reply when its first large string begins.
struct LargeHead {
  char mark;            ///< its first byte
  std::uint64_t bytes;  ///< from its first byte to that string's last
};

class ReplySink {
 public:
  /// One whole reply; `reply` is readable during the call only. The sink owns `pending` from now on and releases it.
  virtual void on_reply(PendingReply& pending, std::string_view reply) = 0;
  /// A whole reply that begins with `mark` may be told by on_reply_in_two().
  [[nodiscard]] virtual bool takes_in_two(const PendingReply&, char) const { return false; }
  /// on_reply() of a reply that lies in two places, one behind the other.
  virtual void on_reply_in_two(PendingReply&, std::string_view, std::string_view) {}
  /// The reply under way holds a large string, and nothing of it has been told. The stream it may go to in pieces as it
  /// comes: on_piece() for those that are copied, past the sink for the rest, on_reply_end() at last (or on_lost()).
  /// nullptr: it is told whole, by on_reply(). The sink calls Lane::drop_target() when the stream ends before.
  [[nodiscard]] virtual uring::Stream* target_of_large(PendingReply&, Lane&, const LargeHead&) { return nullptr; }
  virtual void on_piece(PendingReply&, std::string_view) {}
  /// What was appended to an open request is sent (see Lane::open_request).
  virtual void on_request_sent() {}
  /// The sink owns `pending` from now on.
  virtual void on_reply_end(PendingReply&) {}
  /// No reply will come. The sink owns `pending` from now on: it answers for it or sends it again.
  virtual void on_lost(PendingReply& pending, Loss loss, std::string_view reason) = 0;
  /// The request that this one must not overtake: of those that the same client has sent before it for the same slot,
  /// the last one that is not answered, as far as the sink looks. nullptr also while none of the client's has had to
  /// wait: then those for one slot come back, and go on, in their order.
  [[nodiscard]] virtual PendingReply* one_before(const PendingReply&) const { return nullptr; }

 protected:
  ~ReplySink() = default;
};

}  // namespace pool
