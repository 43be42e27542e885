#include "src/database_check.h"

#include <memory>
#include <string>

#include "src/worker.h"

namespace sluice {
namespace {

constexpr std::string_view kPing = "*1\r\n$4\r\nPING\r\n";

}  // namespace

void DatabaseCheck::start(Session& session, std::uint16_t database) {
  Worker& worker = session.worker();
  pool::PendingReply& whole = session.expect({.read_only = true});
  // What the client sends behind the SELECT is meant for the new database.
  session.fenced = true;
  auto* check = new DatabaseCheck(worker, whole, database);
  pool::PendingReply& pending = worker.pending_replies().take();
  pending.sink = check;
  pending.kind = {.slot = 0, .database = database, .protocol = session.protocol};
  pending.salt = session.salt();
  pending.waiting.started_ms = whole.waiting.started_ms;
  if (!worker.redirection().submit(pending, kPing)) {
    check->finish(pending, Redirection::lost_error(pool::Loss::kNotSent, "no connection"));
  }
}

void DatabaseCheck::on_reply(pool::PendingReply& pending, std::string_view reply) {
  if (reply[0] == '-' && worker_.redirection().takes_error(pending, reply)) return;
  if (reply[0] == '-') return finish(pending, reply);
  if (whole_.sink != nullptr) static_cast<Session*>(whole_.sink)->database = database_;
  finish(pending, "+OK\r\n");
}

void DatabaseCheck::on_lost(pool::PendingReply& pending, pool::Loss, std::string_view reason) {
  // The hand-shake's SELECT was refused: the reason is the server's own error text.
  if (reason.find("DB index") != std::string_view::npos) return finish(pending, "-ERR DB index is out of range\r\n");
  if (!worker_.redirection().park(pending)) finish(pending, Redirection::lost_error(pool::Loss::kNotSent, reason));
}

void DatabaseCheck::finish(pool::PendingReply& pending, std::string_view reply) {
  const std::unique_ptr<DatabaseCheck> self(this);
  worker_.settle(whole_, reply);
  worker_.pending_replies().release(pending);
}

}  // namespace sluice
