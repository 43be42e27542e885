#include "src/scan.h"

#include <charconv>
#include <string>
#include <vector>

#include "resp/writer.h"
#include "src/reply_merge.h"
#include "src/worker.h"

namespace sluice {
namespace {

std::optional<std::uint64_t> number_of(std::string_view text) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  if (result.ec != std::errc() || result.ptr != end) return std::nullopt;
  return value;
}

/// The digits of "$2\r\n17\r\n".
std::string_view bulk_text(std::string_view bulk) {
  const std::size_t start = bulk.find("\r\n") + 2;
  return bulk.substr(start, bulk.size() - start - 2);
}

}  // namespace

std::uint8_t fingerprint_of(std::string_view node_name) {
  std::uint32_t hash = 2166136261U;  // FNV-1a
  for (const char c : node_name) hash = (hash ^ static_cast<std::uint8_t>(c)) * 16777619U;
  return static_cast<std::uint8_t>((hash ^ hash >> 16) & 63U);
}

void ClusterScan::start(Session& session, const resp::Request& request) {
  Worker& worker = session.worker();
  const auto client_cursor = number_of(request.arguments[1]);
  if (!client_cursor) return session.answer("-ERR invalid cursor\r\n");
  const std::vector<cluster::Shard>& shards = worker.router().topology().shards;
  ScanCursor cursor = ScanCursor::decode(*client_cursor);
  if (*client_cursor == 0 && !shards.empty()) cursor.anchor_slot = shards.front().ranges.front().first;

  pool::RequestKind kind{.slot = cursor.anchor_slot, .protocol = session.protocol};
  // Always the primary: a cursor means nothing to another node.
  if (const pool::Node* node = worker.router().node_for(kind, session.salt())) {
    if (fingerprint_of(node->name()) != cursor.fingerprint) cursor.node_cursor = 0;
  }
  std::vector<std::string_view> arguments = request.arguments;
  const std::string node_cursor = std::to_string(cursor.node_cursor);
  arguments[1] = node_cursor;
  std::string bytes;
  resp::write_request(bytes, arguments);

  pool::PendingReply& whole = session.expect({.read_only = true});
  auto* scan = new ClusterScan(worker, whole);
  scan->anchor_slot_ = cursor.anchor_slot;
  pool::PendingReply& pending = worker.pending_replies().take();
  pending.sink = scan;
  pending.kind = kind;
  pending.salt = session.salt();
  pending.started_ms = whole.started_ms;
  pool::Lane* lane = worker.router().lane_for(kind, pending.salt);
  if (lane != nullptr && lane->accepts() && !lane->full()) {
    lane->enqueue(pending, bytes);
  } else if (!worker.redirection().park(pending, bytes)) {
    scan->finish(pending, Redirection::lost_error(pool::Loss::kNotSent, "no connection"));
  }
}

std::uint64_t ClusterScan::next_cursor(std::uint64_t node_cursor) const {
  const Router& router = worker_.router();
  const auto fingerprint_at = [&](std::uint16_t slot) -> std::uint8_t {
    const auto index = router.map().shard_of(slot);
    if (index == cluster::SlotMap::kNoShard) return 0;
    const cluster::Address& address = router.topology().shards[index].primary.address;
    return fingerprint_of(pool::node_name(address.host, address.port));
  };
  if (node_cursor != 0) return ScanCursor{node_cursor, fingerprint_at(anchor_slot_), anchor_slot_}.encode();
  for (const cluster::Shard& shard : router.topology().shards) {
    const std::uint16_t first = shard.ranges.front().first;
    if (first > anchor_slot_) return ScanCursor{0, fingerprint_at(first), first}.encode();
  }
  return 0;
}

void ClusterScan::on_reply(pool::PendingReply& pending, std::string_view reply) {
  if (reply[0] == '-') {
    if (worker_.redirection().takes_error(pending, reply)) return;
    return finish(pending, reply);
  }
  const std::vector<std::string_view> elements = reply_elements(reply);
  const auto node_cursor = elements.size() == 2 ? number_of(bulk_text(elements[0])) : std::nullopt;
  if (!node_cursor || *node_cursor > ScanCursor::kMaxNodeCursor) {
    return finish(pending, "-ERR sluice: the node's SCAN cursor cannot be carried\r\n");
  }
  const std::string cursor = std::to_string(next_cursor(*node_cursor));
  std::string out = "*2\r\n$" + std::to_string(cursor.size()) + "\r\n" + cursor + "\r\n";
  out.append(elements[1]);
  finish(pending, out);
}

void ClusterScan::on_lost(pool::PendingReply& pending, pool::Loss loss, std::string_view reason) {
  if (worker_.redirection().park(pending)) return;
  finish(pending, Redirection::lost_error(loss, reason));
}

void ClusterScan::finish(pool::PendingReply& pending, std::string_view reply) {
  const std::unique_ptr<ClusterScan> self(this);
  if (whole_.sink == nullptr) {
    worker_.pending_replies().release(whole_);
  } else {
    static_cast<Session*>(whole_.sink)->complete(whole_, reply);
  }
  worker_.pending_replies().release(pending);
}

}  // namespace sluice
