#include "src/scan.h"

#include <array>
#include <cassert>
#include <charconv>
#include <optional>
#include <string>
#include <vector>

#include "resp/writer.h"
#include "src/reply_merge.h"
#include "src/worker.h"

namespace sluice {
namespace {

constexpr unsigned kSlotBits = 14;
constexpr unsigned kWidthBits = 2;
/// What a node's own cursor takes at most, and beside it the fingerprint.
struct Width {
  unsigned node_bits;
  unsigned fingerprint_bits;
};
constexpr std::array<Width, 1U << kWidthBits> kWidths{{{16, 21}, {21, 16}, {27, 10}, {42, 6}}};
static_assert(kWidths.front().fingerprint_bits == ScanCursor::kFingerprintBits);
static_assert(ScanCursor::kMaxNodeCursor >> kWidths.back().node_bits == 0);
static_assert(kSlotBits + kWidthBits + kWidths.back().fingerprint_bits + kWidths.back().node_bits == 64);

constexpr std::uint64_t low_bits(std::uint64_t value, unsigned bits) {
  return value & ((std::uint64_t{1} << bits) - 1);
}

/// The narrowest that holds it.
unsigned width_for(std::uint64_t node_cursor) {
  unsigned width = 0;
  while (node_cursor >> kWidths[width].node_bits != 0) ++width;
  return width;
}

std::optional<std::uint64_t> cursor_in(std::string_view text) {
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

/// The fingerprint of the node that serves a slot; that of nobody when none does.
std::uint32_t fingerprint_at(const cluster::SlotMap& map, cluster::Slot slot) {
  const auto index = map.shard_of(slot);
  if (index == cluster::SlotMap::kNoShard) return fingerprint_of("");
  const cluster::Address& address = map.topology().shards[index].primary.address;
  return fingerprint_of(pool::node_name(address.host, address.port));
}

cluster::Slot first_slot(const cluster::SlotMap& map) {
  const std::vector<cluster::Shard>& shards = map.topology().shards;
  return shards.empty() ? cluster::Slot{0} : shards.front().ranges.front().first;
}

}  // namespace

std::uint64_t ScanCursor::encode() const {
  assert(node_cursor <= kMaxNodeCursor);
  const unsigned width = width_for(node_cursor);
  const unsigned bits = kWidths[width].fingerprint_bits;
  const std::uint64_t node_part = node_cursor << bits | low_bits(fingerprint, bits);
  return (node_part << kWidthBits | width) << kSlotBits | anchor_slot;
}

ScanCursor ScanCursor::decode(std::uint64_t cursor) {
  const unsigned bits = kWidths[low_bits(cursor >> kSlotBits, kWidthBits)].fingerprint_bits;
  const std::uint64_t node_part = cursor >> (kSlotBits + kWidthBits);
  return {.node_cursor = node_part >> bits,
          .fingerprint = static_cast<std::uint32_t>(low_bits(node_part, bits)),
          .anchor_slot = static_cast<std::uint16_t>(low_bits(cursor, kSlotBits))};
}

bool ScanCursor::is_of(std::uint32_t whole_fingerprint) const {
  return fingerprint == low_bits(whole_fingerprint, kWidths[width_for(node_cursor)].fingerprint_bits);
}

std::uint32_t fingerprint_of(std::string_view node_name) {
  std::uint32_t hash = 2166136261U;  // FNV-1a
  for (const char c : node_name) hash = (hash ^ static_cast<std::uint8_t>(c)) * 16777619U;
  return 1 + (hash ^ hash >> 16) % ((1U << ScanCursor::kFingerprintBits) - 1);
}

ScanCursor first_cursor(const cluster::SlotMap& map, std::uint64_t client_cursor) {
  ScanCursor cursor = ScanCursor::decode(client_cursor);
  if (client_cursor == 0) cursor.anchor_slot = first_slot(map);
  const std::uint32_t fingerprint = fingerprint_at(map, cursor.anchor_slot);
  if (!cursor.is_of(fingerprint)) cursor.node_cursor = 0;
  cursor.fingerprint = fingerprint;
  return cursor;
}

ScanCursor next_cursor(const cluster::SlotMap& map, const ScanCursor& asked, std::uint64_t node_cursor) {
  const std::uint32_t fingerprint = fingerprint_at(map, asked.anchor_slot);
  if (fingerprint != asked.fingerprint) return {0, fingerprint, asked.anchor_slot};
  if (node_cursor != 0) return {node_cursor, fingerprint, asked.anchor_slot};
  for (const cluster::Shard& shard : map.topology().shards) {
    const cluster::Slot first = shard.ranges.front().first;
    if (first > asked.anchor_slot) return {0, fingerprint_at(map, first), first};
  }
  return {};
}

void ClusterScan::start(Session& session, const resp::Request& request) {
  Worker& worker = session.worker();
  const auto client_cursor = cursor_in(request.arguments[1]);
  if (!client_cursor) return session.answer("-ERR invalid cursor\r\n");
  const ScanCursor cursor = first_cursor(worker.router().map(), *client_cursor);
  // Always the primary: a cursor means nothing to another node.
  const pool::RequestKind kind{.slot = cursor.anchor_slot, .protocol = session.protocol};
  std::vector<std::string_view> arguments = request.arguments;
  const std::string node_cursor = std::to_string(cursor.node_cursor);
  arguments[1] = node_cursor;
  std::string bytes;
  resp::write_request(bytes, arguments);

  pool::PendingReply& whole = session.expect({.read_only = true});
  auto* scan = new ClusterScan(worker, whole);
  scan->asked_ = cursor;
  pool::PendingReply& pending = worker.pending_replies().take();
  pending.sink = scan;
  pending.kind = kind;
  pending.salt = session.salt();
  pending.waiting.started_ms = whole.waiting.started_ms;
  if (!worker.redirection().submit(pending, bytes)) {
    scan->finish(pending, Redirection::lost_error(pool::Loss::kNotSent, "no connection"));
  }
}

void ClusterScan::on_reply(pool::PendingReply& pending, std::string_view reply) {
  if (reply[0] == '-') {
    if (worker_.redirection().takes_error(pending, reply)) return;
    return finish(pending, reply);
  }
  const std::vector<std::string_view> elements = reply_elements(reply);
  const auto node_cursor = elements.size() == 2 ? cursor_in(bulk_text(elements[0])) : std::nullopt;
  if (!node_cursor || *node_cursor > ScanCursor::kMaxNodeCursor) {
    return finish(pending, "-ERR sluice: the node's SCAN cursor cannot be carried\r\n");
  }
  const ScanCursor next = next_cursor(worker_.router().map(), asked_, *node_cursor);
  const std::string cursor = std::to_string(next.encode());
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
  worker_.settle(whole_, reply);
  worker_.pending_replies().release(pending);
}

}  // namespace sluice
