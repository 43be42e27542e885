// Whom replies go to: the one interface between the pool and those who asked.
#pragma once

#include <cstdint>
#include <string_view>

#include "pool/pending_reply.h"

namespace pool {

/// How a connection's end left a request.
enum class Loss : std::uint8_t {
  kNotSent,  ///< certain not to have run
  kUnknown,  ///< sent; it may or may not have run
};

class ReplySink {
 public:
  /// One whole reply; `reply` is readable during the call only. The sink owns `pending` from now on and releases it.
  virtual void on_reply(PendingReply& pending, std::string_view reply) = 0;
  /// No reply will come. The sink owns `pending` from now on: it answers for it or sends it again.
  virtual void on_lost(PendingReply& pending, Loss loss, std::string_view reason) = 0;

 protected:
  ~ReplySink() = default;
};

}  // namespace pool
