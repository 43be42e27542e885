// One client: its connection, the requests it has sent and the line of replies it waits for, in its order.
//
// Invariants: replies leave in the order of requests, whatever order they come in. What is received is dispatched at
// once or kept in `input_`; at most one of both ends is cut. While `hold_` is set nothing is dispatched. Thread: one
// worker, which owns it and reaps it after on_closed() or leave().
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "pool/pending_reply.h"
#include "pool/reply_sink.h"
#include "resp/request_parser.h"
#include "resp/types.h"
#include "src/doubts.h"
#include "src/limits.h"
#include "uring/stream.h"

namespace sluice {

class LargeUpload;
class Worker;

/// Why a session dispatches nothing at the moment.
enum class Hold : std::uint8_t {
  kNone,
  kOwnReplies,  ///< until all its replies have come: an order is at stake
  kPipeline,    ///< until half of its pipeline is answered
  kOutput,      ///< until half of its unsent replies are sent
  kRoom,        ///< until a backend's queue has room
  kLearning,    ///< until a backend has told what the command is
  kUpload,      ///< until a large request needs more of its bytes, or is answered
  kTopology,    ///< until the shards are known, or the command's time is up
  kFinished,    ///< for good: it closes once all its replies are out
};

/// What CLIENT SETNAME and SETINFO leave behind; most clients have none.
struct ClientNames {
  std::string name;
  std::string lib_name;
  std::string lib_version;
};

/// CLIENT REPLY.
enum class ReplyMode : std::uint8_t { kOn, kOff, kSkip };

/// A client between two workers: all there is to one of which nothing is under way.
struct MovingClient {
  std::uint64_t id;
  int fd;
  resp::Protocol protocol;
  ReplyMode reply_mode;
  std::uint16_t database;
  std::uint8_t receives_in_pieces;
  std::uint32_t opened_ms;
  std::uint32_t active_ms;
  std::unique_ptr<ClientNames> names;
};

class Session final : uring::StreamHandler, public pool::ReplySink {
 public:
  Session(Worker& worker, std::uint64_t id);
  ~Session();

  void open(int fd);
  /// Comes from another worker.
  void open(MovingClient client);
  /// Goes to another, whose it is from now on.
  [[nodiscard]] MovingClient leave();
  /// Does not wait any longer for the moment to leave.
  void stay();
  [[nodiscard]] bool has_left() const { return stay_ == Stay::kHasLeft; }
  /// At once, whatever is under way.
  void close();
  /// No further requests; the replies that are due still go out, then it closes.
  void finish();

  // --- For those who dispatch its requests ---
  /// A place in the line for the reply to the request being dispatched.
  [[nodiscard]] pool::PendingReply& expect(const pool::RequestKind& kind);
  /// The reply for a place in the line; goes out when all before it have.
  void complete(pool::PendingReply& pending, std::string_view reply);
  /// A reply that is known at once.
  void answer(std::string_view reply);
  /// The request that is arriving has a large argument and is sent as it comes.
  void begin_upload(const pool::RequestKind& kind, std::string_view key);
  void end_upload();
  void hold(Hold reason) { hold_ = reason; }
  [[nodiscard]] Hold held() const { return hold_; }
  /// The hold's reason may be gone: dispatches what was kept. Called by the worker, outside of any handler of this
  /// session.
  void resume();

  /// Bytes of replies not sent yet, in the queue or held back until their turn.
  [[nodiscard]] std::size_t unsent() const { return stream_.queue().bytes() + held_bytes_; }
  /// The same for replies that are kept elsewhere until their turn. Too many end the connection.
  void count_held(std::size_t bytes) {
    held_bytes_ += bytes;
    check_output();
  }
  void uncount_held(std::size_t bytes) { held_bytes_ -= bytes; }
  /// Requests whose reply has not gone out.
  [[nodiscard]] std::size_t outstanding() const { return line_.size(); }
  /// Where requests went when the oldest outstanding one was routed; see Dispatch.
  std::uint32_t route_version = 0;
  /// A request of the line was redirected or parked: later ones must not overtake it.
  bool fenced = false;
  /// A request with several keys of one slot may have to wait until the slot has moved (TRYAGAIN), and is then sent
  /// again. Until it is answered, no later request for that slot may go out: it would overtake. kNoSlot: for any slot.
  [[nodiscard]] bool fences(std::uint16_t slot) const {
    constexpr std::uint16_t kAny = pool::RequestKind::kNoSlot;
    return several_keys_ > 0 && (slot == kAny || several_keys_slot_ == kAny || slot == several_keys_slot_);
  }
  /// A request of the line has met an error, or a part of one (then `split` owns it), and has perhaps not run. True: it
  /// will be sent again in its order. False: the error is the client's to see.
  [[nodiscard]] bool takes_error(const pool::PendingReply& place, pool::PendingReply& pending, FanOut* split,
                                 std::string_view error);
  /// The same for a request that is certain not to have run, or harmless to run twice.
  [[nodiscard]] bool takes_lost(const pool::PendingReply& place, pool::PendingReply& pending);
  /// It waits until a node can serve it. False: the caller answers.
  [[nodiscard]] bool park(pool::PendingReply& pending);
  /// A request of the line waits: later ones must not overtake it.
  void on_parked() { fenced = has_parked_ = true; }
  /// See ReplySink::one_before(), for what stands for `place` of the line.
  [[nodiscard]] pool::PendingReply* one_before(const pool::PendingReply& place, std::uint16_t slot) const;
  /// A part of a split request is done with.
  void on_part_done(const pool::PendingReply& place, std::uint16_t slot) {
    if (doubts_ != nullptr) doubts_->on_done(place, slot);
  }
  /// Requests in the line that are not read-only.
  [[nodiscard]] bool has_writes_outstanding() const { return writes_ > 0; }

  /// MULTI has been refused: so is what follows it, up to EXEC or DISCARD: it was not meant to run by itself. Or
  /// until the client is seen to have read the refusal and to go on.
  bool in_refused_transaction = false;
  void refuse_transaction();

  // --- What the client has set ---
  resp::Protocol protocol = resp::Protocol::kResp2;
  ReplyMode reply_mode = ReplyMode::kOn;
  std::uint16_t database = 0;
  [[nodiscard]] ClientNames& names();
  [[nodiscard]] const ClientNames* names_or_null() const { return names_.get(); }
  /// As a fresh connection (RESET).
  void reset();

  [[nodiscard]] std::uint64_t id() const { return id_; }
  /// Chooses among lanes and replicas, the same for all of this client's requests.
  [[nodiscard]] std::uint32_t salt() const { return static_cast<std::uint32_t>(id_ * 0x9e3779b97f4a7c15ULL >> 32); }
  [[nodiscard]] int fd() const { return stream_.fd(); }
  [[nodiscard]] uring::Stream& stream() { return stream_; }
  [[nodiscard]] resp::RequestParser& parser() { return parser_; }
  /// In the middle of a reply that is not held here: its client may take all the time it likes.
  [[nodiscard]] bool relays() const { return large_lane_ != nullptr; }
  /// In the middle of a request that is sent as it comes, and the client is who does not go on.
  [[nodiscard]] bool waits_for_request() const;
  [[nodiscard]] std::uint32_t opened_ms() const { return opened_ms_; }
  [[nodiscard]] std::uint32_t active_ms() const { return active_ms_; }
  [[nodiscard]] Worker& worker() { return worker_; }

  // --- For the worker ---
  void flush();
  /// A split request of the line is done, and with it some that its doubts were thought to be followed by.
  void reconsider() { doubts_->reconsider(); }
  void note_active();
  /// Its input waits for its output (see limits::kStuckMs). False: it does not any more.
  [[nodiscard]] bool relieve();
  /// Counts the client as active when it has read something since the last call: one send may take it long.
  void check_reader();
  /// More replies of its pipeline are due, few bytes are ready, and they have not waited long: one send can take them
  /// all.
  [[nodiscard]] bool gathers(std::uint32_t now_us) const;
  Session* next = nullptr;  ///< the worker's list of all sessions
  Session* previous = nullptr;
  bool dirty = false;          ///< stands in the worker's list of sessions to flush
  bool resuming = false;       ///< stands in the worker's list of sessions to resume
  bool reconsidering = false;  ///< stands in the worker's list of sessions to reconsider

  // pool::ReplySink
  void on_reply(pool::PendingReply& pending, std::string_view reply) override;
  bool takes_in_two(const pool::PendingReply& pending, char mark) const override;
  void on_reply_in_two(pool::PendingReply& pending, std::string_view first, std::string_view rest) override;
  uring::Stream* target_of_large(pool::PendingReply& pending, pool::Lane& lane, const pool::LargeHead& head) override;
  void on_piece(pool::PendingReply& pending, std::string_view piece) override;
  void on_reply_end(pool::PendingReply& pending) override;
  void on_lost(pool::PendingReply& pending, pool::Loss loss, std::string_view reason) override;
  pool::PendingReply* one_before(const pool::PendingReply& pending) const override;

 private:
  // uring::StreamHandler
  void on_received(uring::Lease lease) override;
  void on_filled(std::uint32_t bytes) override;
  void on_paused() override;
  void on_ended(int error) override;
  void on_sent() override;
  void on_closed() override;

  [[nodiscard]] std::size_t consume(std::string_view input);
  [[nodiscard]] bool may_dispatch();
  [[nodiscard]] std::size_t output_pause() const { return std::size_t{output_pause_mb_} << 20; }
  [[nodiscard]] bool dispatch_open(std::string_view input);
  void keep(std::string_view input);
  void receive_rest();
  void receive_in_pieces();
  void drop_input();
  void end_refused_transaction();
  void refuse(std::string_view error);
  void emit(const pool::PendingReply& pending, std::string_view reply);
  void release_ready();
  void check_output();
  void give_up(std::string_view why);
  void pop_front();
  void after_replies();
  void mark_dirty();
  [[nodiscard]] bool is_answered() const;
  void start_to_leave();
  void leave_if_drained();
  void leave_or_stay();

  enum class Stay : std::uint8_t {
    kStays,
    kIsLeaving,   ///< all is answered; it goes unless something comes
    kIsDraining,  ///< nothing more is read of it until all is answered, or stay()
    kHasLeft,
  };

  Worker& worker_;
  std::uint64_t id_;
  uring::Stream stream_;
  resp::RequestParser parser_;
  Hold hold_ = Hold::kNone;
  bool given_up_ = false;                ///< closed at the end of the turn, whatever it is still owed
  bool ended_ = false;                   ///< the client sends no more; what it has sent is still to be dispatched
  std::uint8_t receives_in_pieces_ = 0;  ///< so many more: a large argument has come lately, or may come first
  Stay stay_ = Stay::kStays;
  std::uint8_t open_tries_ = 0;    ///< large arguments of the request under way for which no upload could begin
  std::uint64_t open_end_ = 0;     ///< where the last of them ends
  uring::Chunk* input_ = nullptr;  ///< received and not dispatched yet; a lane may take it for its own
  std::uint32_t input_used_ = 0;   ///< of these, dispatched
  std::uint32_t refused_ms_ = 0;   ///< when MULTI was
  pool::OwnerLine line_;
  bool has_parked_ = false;  ///< a request of the line, which may be under way again
  std::uint32_t writes_ = 0;
  std::size_t held_bytes_ = 0;      ///< of replies that wait for earlier ones
  std::uint32_t several_keys_ = 0;  ///< requests in the line with several keys of one slot
  std::uint16_t several_keys_slot_ = pool::RequestKind::kNoSlot;     ///< theirs
  std::uint16_t output_pause_mb_ = limits::kOutputPauseBytes >> 20;  ///< more is unsent: no further request is begun
  std::uint32_t opened_ms_ = 0;
  std::uint32_t active_ms_ = 0;
  std::uint32_t dirty_since_us_ = 0;
  std::uint32_t unread_ = 0;          ///< see check_reader()
  pool::Lane* large_lane_ = nullptr;  ///< sends the front of the line in pieces
  std::unique_ptr<LargeUpload> upload_;
  std::unique_ptr<Doubts> doubts_;
  std::unique_ptr<ClientNames> names_;
};
static_assert(sizeof(Session) <= 384, "an idle client costs 512 bytes, its receive and its socket's row among them");

}  // namespace sluice
