// SELECT in front of a standalone server: the database is the client's once a connection has been set up for it.
// Thread: one worker.
#pragma once

#include <cstdint>
#include <string_view>

#include "pool/reply_sink.h"
#include "src/session.h"

namespace sluice {

/// One SELECT under way; destroys itself when it has answered. Survives its client. The session's line must be empty,
/// and the session dispatches nothing until the answer has come.
class DatabaseCheck final : pool::ReplySink {
 public:
  static void start(Session& session, std::uint16_t database);

 private:
  DatabaseCheck(Worker& worker, pool::PendingReply& whole, std::uint16_t database)
      : worker_(worker), whole_(whole), database_(database) {}

  void on_reply(pool::PendingReply& pending, std::string_view reply) override;
  void on_lost(pool::PendingReply& pending, pool::Loss loss, std::string_view reason) override;
  void finish(pool::PendingReply& pending, std::string_view reply);

  Worker& worker_;
  pool::PendingReply& whole_;
  std::uint16_t database_;
};

}  // namespace sluice
