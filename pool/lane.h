// One multiplexed connection to one node: the requests of many clients go out in one line, replies come back in that
// line.
//
// Life: idle -> (resolving) -> connecting -> hand-shaking -> ready -> closing -> resting (back-off) -> ...
// Requests enqueued before the hand-shake is done are held and go out behind it. When the connection ends, every
// pending reply hears whether its request had been handed to the kernel. Nothing is ever sent twice from here. Thread:
// one worker.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pool/cut_reply.h"
#include "pool/handshake.h"
#include "pool/large_reply.h"
#include "pool/pending_reply.h"
#include "pool/reply_sink.h"
#include "resp/reply_scanner.h"
#include "uring/connector.h"
#include "uring/resolver.h"
#include "uring/stream.h"

namespace pool {

class Node;
class Pool;

class Lane final : uring::StreamHandler, uring::ConnectHandler, uring::ResolveHandler, ReplySink {
 public:
  /// `large`: not one of those that requests share.
  Lane(Pool& pool, Node& node, LaneKey key, bool large = false);
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  [[nodiscard]] const LaneKey& key() const { return key_; }

  /// False while closing or resting after a failure, and once retired: the caller keeps the request and tries later.
  [[nodiscard]] bool accepts() const { return state_ < State::kClosing && !retired_ && open_ == nullptr; }
  /// The bound on requests in flight is reached: the caller stops reading from its client.
  [[nodiscard]] bool full() {
    const bool is_full = kept_bytes_ > max_bytes_ || pending_.size() > max_requests_;
    blocked_ |= is_full;
    return is_full;
  }
  [[nodiscard]] bool ready() const { return state_ == State::kReady; }
  [[nodiscard]] bool idle() const { return state_ == State::kIdle || state_ == State::kResting; }

  /// Puts a request in line; connects first when idle. Only while accepts(). `request` may lie in `pending`'s own kept
  /// bytes.
  void enqueue(PendingReply& pending, std::string_view request);
  /// The same behind an ASKING.
  void enqueue_asking(PendingReply& pending, std::string_view request);

  /// Connects before anything is asked for. Only while idle, else nothing happens.
  void connect_ahead() {
    if (state_ == State::kIdle) connect();
  }
  /// Sends what is queued, unless a send is in flight.
  void flush();
  /// What is queued is better sent a little later (see Pool::flush()): the server has just been sent something and has
  /// not answered it.
  [[nodiscard]] bool gathers() const;
  /// Deadlines, idle pings, back-off. `now_ms` is the worker's clock.
  void tick(std::uint32_t now_ms);
  /// Ends the connection; pending replies are told. For good when the node is gone or the worker stops.
  void retire(std::string_view reason);
  void revive() { retired_ = false; }
  /// Retired, and the kernel holds nothing of it any more.
  [[nodiscard]] bool gone() const { return retired_ && !dirty_ && idle() && !connector_.in_flight(); }

  [[nodiscard]] std::size_t pending() const { return pending_.size(); }
  /// It owes a reply, and nothing has come for a while (Settings::silence_ms).
  [[nodiscard]] bool is_silent() const;
  /// A request of the client with this salt is under way here. Looks through all that are.
  [[nodiscard]] bool carries(std::uint32_t salt) const;

  /// A request that is sent as it comes: nothing else is enqueued until it is closed. Only while ready() and without
  /// requests pending. `pending` holds no bytes: such a request cannot be sent again. `asking`: behind an ASKING.
  void open_request(PendingReply& pending, bool asking);
  void append_to_request(std::string_view bytes);
  void close_request();
  /// The request ends in the middle, and the connection with it; its reply is for nobody any more.
  void break_request();
  /// Where its bytes go by relay; nothing is appended meanwhile.
  [[nodiscard]] uring::Stream& stream() { return stream_; }
  [[nodiscard]] Node& node() { return node_; }
  /// The server does not do what it should; for whoever watches over a request that is sent as it comes.
  void give_up(std::string_view reason);

  void set_large(bool large);
  /// A part of an open request has moved on without append_to_request().
  void note_moved();
  /// How long nothing has moved, when a client is what a large value waits for; else 0.
  [[nodiscard]] std::uint32_t stalled_ms() const;
  /// The end of a connection that has done nothing wrong.
  void hang_up(std::string_view reason);
  /// The large string that is on its way is copied from here on, when no more than `most` of it is left.
  void copy_open_string(std::uint64_t most) { large_reply_->copy_open_string(most); }
  /// The client of the reply that goes out in pieces is gone.
  void drop_target() { large_reply_->drop_target(); }

 private:
  friend class LargeReply;
  enum class State : std::uint8_t { kIdle, kResolving, kConnecting, kHandshaking, kReady, kClosing, kResting };

  // The connection's life.
  void connect();
  void on_resolved(std::vector<uring::SocketAddress> addresses) override;
  void connect_to_next();
  void connect_to(const uring::SocketAddress& address, std::chrono::milliseconds timeout);
  void on_connected(int fd) override;
  void on_connect_failed(int error) override;
  void on_handshake_reply(std::string_view reply);
  void become_ready();
  /// The connection is of no more use: tells all who wait, closes, rests.
  void fail(std::string_view reason);
  void rest();
  void mark_dirty();

  // The stream.
  void on_received(uring::Lease lease) override;
  void on_ended(int error) override;
  void on_sent() override;
  void on_closed() override;

  // Replies.
  [[nodiscard]] PendingReply& take_front();
  void after_reply();
  [[nodiscard]] bool goes_in_pieces(std::string_view piece);
  void deliver_in_pieces(std::string_view piece, std::uint64_t body, bool complete);
  void on_client_gone();
  void deliver(std::string_view reply);
  void deliver_gathered(const uring::Lease& lease, std::string_view last_piece);
  [[nodiscard]] bool goes_in_two(std::string_view last_piece) const;
  void deliver_in_two(std::string_view last_piece);
  [[nodiscard]] bool is_unwanted(std::string_view piece) const;
  void pass_over();
  void gather(const uring::Lease& lease, std::string_view piece);
  void lose_all(std::string_view reason);
  void append(PendingReply& pending, std::string_view request);

  // Its own PINGs.
  void on_reply(PendingReply& pending, std::string_view reply) override;
  void on_lost(PendingReply& pending, Loss loss, std::string_view reason) override;

  Pool& pool_;
  Node& node_;
  LaneKey key_;
  State state_ = State::kIdle;
  bool retired_ = false;
  bool large_ = false;  ///< for large values; others are shared
  Handshake handshake_;
  bool dirty_ = false;              ///< stands in the pool's list of lanes to flush
  bool blocked_ = false;            ///< full() was answered with true, somebody waits for room
  std::uint32_t enqueued_ = 0;      ///< bytes put in line since ever, modulo 2^32
  std::uint32_t handed_ = 0;        ///< of these, handed to the kernel: whatever ends beyond has certainly not run
  const std::size_t max_bytes_;     ///< Settings::max_lane_bytes
  const std::size_t max_requests_;  ///< Settings::max_lane_requests
  std::size_t kept_bytes_ = 0;      ///< bytes of requests whose reply is due
  std::uint32_t progress_ms_ = 0;   ///< when something last came, or the line last became non-empty
  std::uint32_t moved_ms_ = 0;      ///< when a part of a large value last moved on
  std::uint32_t used_ms_ = 0;       ///< when a client's request was last enqueued
  std::uint32_t sent_us_ = 0;       ///< when something was last sent
  std::uint32_t resting_until_ms_ = 0;
  std::uint32_t failures_ = 0;  ///< in a row
  uring::Stream stream_;
  uring::Connector connector_;
  std::unique_ptr<uring::Resolution> resolution_;
  std::vector<uring::SocketAddress> others_;  ///< of the host name, not tried yet; the next is the last
  uring::SendQueue held_;                     ///< requests enqueued before the hand-shake is done
  LaneLine pending_;
  resp::ReplyScanner scanner_;
  PendingReply* open_ = nullptr;  ///< its request is being sent as it comes
  std::unique_ptr<LargeReply> large_reply_;
  CutReply cut_;
};

}  // namespace pool
