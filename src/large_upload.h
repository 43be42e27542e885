// A client's request with a large argument, on its way while it comes: short pieces by copy, the body of each large
// argument by relay from the client's socket to the backend's.
//
// What has been streamed cannot be sent again, so a cheap keyed command goes first, on the same connection: it learns
// whether the node serves the slot, and MOVED, ASK and the like are followed then. A redirect that comes all the same
// means that nothing has run, and the client is told so. The connection is the request's alone; when the client goes in
// the middle it is closed, and the key stays as it was. When the backend goes, the rest of the request is passed over,
// and the client gets an error.
//
//   probing -> (waiting -> probing)* -> sending <-> relaying -> answering
//   from any of them, on failure: passing over what still comes -> answered
//
// Owned by its session; never destroyed inside its own handlers (Worker::bury). Thread: one worker.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "pool/node.h"
#include "pool/reply_sink.h"
#include "src/session.h"
#include "uring/relay.h"

namespace sluice {

class LargeUpload final : public pool::ReplySink, uring::RelayHandler {
 public:
  /// `kind` has the slot; `key` decides it. The session's line is empty, its parser waits for the large argument.
  LargeUpload(Session& session, const pool::RequestKind& kind, std::string_view key);
  ~LargeUpload();

  void start();
  /// Bytes of the client from the request's first (or from behind what was taken before); returns how many were used.
  /// Only while the session is not held.
  [[nodiscard]] std::size_t feed(std::string_view input);
  /// What still arrived while the client's socket was about to be read by the relay: returns what is not the relay's.
  [[nodiscard]] std::string_view take_early(std::string_view bytes);
  [[nodiscard]] bool relays() const { return relay_.running(); }
  /// What the session has received is to be fed to it. Else it resumes the session by itself.
  [[nodiscard]] bool takes_input() const { return state_ == State::kSending || state_ == State::kPassingOver; }
  /// All of the request has come.
  [[nodiscard]] bool is_whole() const { return state_ == State::kAnswering; }
  /// The next bytes are the client's to send.
  [[nodiscard]] bool waits_for_client() const;
  /// The client is gone. Releases its place in the line.
  void abandon();
  void tick(std::uint32_t now_ms);

 private:
  enum class State : std::uint8_t { kProbing, kWaiting, kSending, kRelaying, kAnswering, kPassingOver, kDone };

  void probe();
  void probe_at(pool::Node& node, bool asking);
  void wait();
  void on_probed(std::string_view reply);
  void send();
  void take_input();
  void gone_on(std::uint64_t bytes);
  void fail(std::string_view error);
  void answer(std::string_view reply);

  void on_reply(pool::PendingReply& pending, std::string_view reply) override;
  void on_lost(pool::PendingReply& pending, pool::Loss loss, std::string_view reason) override;
  uring::Stream* target_of_large(pool::PendingReply& pending, pool::Lane& lane, const pool::LargeHead& head) override;
  void on_piece(pool::PendingReply& pending, std::string_view piece) override;
  void on_reply_end(pool::PendingReply& pending) override;
  void on_request_sent() override;
  void on_relayed() override;
  void on_source_broken(int error) override;
  void on_target_broken(int error) override;

  Session& session_;
  Worker& worker_;
  pool::PendingReply& place_;           ///< in the client's line
  pool::PendingReply* sent_ = nullptr;  ///< the probe, or the request, while a lane owes its reply
  pool::Lane* lane_ = nullptr;          ///< where it is
  const pool::RequestKind kind_;
  std::string probe_;  ///< the bytes of the probe
  std::string error_;  ///< what the client gets once the rest has been passed over
  uring::Relay relay_;
  std::uint64_t left_seen_ = 0;
  std::uint64_t gone_on_ = 0;   ///< bytes of the request that the parser shall not see again
  std::uint64_t dropping_ = 0;  ///< bytes of an argument that nobody waits for any more
  std::uint32_t moved_ms_ = 0;  ///< when the backend last took something
  State state_ = State::kProbing;
  std::uint8_t hops_ = 0;
  bool asking_ = false;  ///< the slot is on its way to this node
};

}  // namespace sluice
