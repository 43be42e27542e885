// SCAN over a whole cluster: shard by shard, in the order of their first slots. The cursor the client holds says where
// it is, so nothing is kept between two calls: it survives reconnects, restarts of the proxy, and siblings.
//
// A failover changes a node's own cursors: the client's cursor carries a fingerprint of the node it was made by, and
// when another node serves the shard, that shard is scanned from its start again (SCAN may return an element more than
// once). Thread: one worker.
#pragma once

#include <cstdint>
#include <string_view>

#include "cluster/slot_map.h"
#include "pool/reply_sink.h"
#include "resp/request_parser.h"
#include "src/session.h"

namespace sluice {

/// The client's cursor, from its low end: 14 bits of anchor slot, 2 that tell how wide the fingerprint is, the
/// fingerprint, and the node's own cursor. Some clients (node-redis 4) read it into a double, so it stays below 2^53
/// while the node's has up to 31 bits; so the longer that is, the fewer are left for the fingerprint, and another node
/// is taken for the same one once in: up to 16 bits 2^21, 21: 2^16, 27: 2^10, 42: 2^6.
/// Invariant: 0 is the start and the end, as in Redis.
struct ScanCursor {
  static constexpr unsigned kFingerprintBits = 21;
  static constexpr std::uint64_t kMaxNodeCursor = (1ULL << 42) - 1;

  std::uint64_t node_cursor = 0;
  std::uint32_t fingerprint = 0;  ///< of a decoded cursor as many low bits as it had room for
  std::uint16_t anchor_slot = 0;

  [[nodiscard]] std::uint64_t encode() const;
  [[nodiscard]] static ScanCursor decode(std::uint64_t cursor);
  /// Whether this one, as decoded, was made by the node of that fingerprint.
  [[nodiscard]] bool is_of(std::uint32_t whole_fingerprint) const;
};

/// 21 bits of a node's identity, never 0: a shard begun again is told from the end by them.
[[nodiscard]] std::uint32_t fingerprint_of(std::string_view node_name);

/// What a call with the client's cursor asks of the node that serves the anchor slot.
[[nodiscard]] ScanCursor first_cursor(const cluster::SlotMap& map, std::uint64_t client_cursor);
/// The client's cursor for the next call, when `asked` was answered with the node's own cursor `node_cursor`. When the
/// shard has changed hands meanwhile, nobody knows whose cursor that is: the shard is begun again.
[[nodiscard]] ScanCursor next_cursor(const cluster::SlotMap& map, const ScanCursor& asked, std::uint64_t node_cursor);

/// One SCAN call under way; destroys itself when it has answered. Survives its client.
class ClusterScan final : pool::ReplySink {
 public:
  static void start(Session& session, const resp::Request& request);

 private:
  ClusterScan(Worker& worker, pool::PendingReply& whole) : worker_(worker), whole_(whole) {}

  void on_reply(pool::PendingReply& pending, std::string_view reply) override;
  void on_lost(pool::PendingReply& pending, pool::Loss loss, std::string_view reason) override;
  void finish(pool::PendingReply& pending, std::string_view reply);

  Worker& worker_;
  pool::PendingReply& whole_;
  ScanCursor asked_;
};

}  // namespace sluice
