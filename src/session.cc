#include "src/session.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "src/large_upload.h"
#include "src/limits.h"
#include "src/worker.h"

namespace sluice {

using pool::PendingReply;

Session::Session(Worker& worker, std::uint64_t id) : worker_(worker), id_(id), stream_(worker.client_room(), *this) {}

Session::~Session() {
  assert(line_.empty());
  drop_input();
}

void Session::open(int fd) {
  opened_ms_ = active_ms_ = worker_.now_ms();
  receive_in_pieces();
  stream_.open(fd);
}

void Session::close() {
  hold_ = Hold::kFinished;
  drop_input();
  if (!line_.empty()) worker_.count_waiting(-1);
  // Whoever still owes a reply finds nobody waiting, and lets it go.
  while (!line_.empty()) {
    PendingReply& pending = line_.pop();
    if (pending.state == PendingReply::State::kReady) {
      worker_.pending_replies().release(pending);
    } else {
      pending.sink = nullptr;
    }
  }
  if (upload_ != nullptr) {
    upload_->abandon();
    worker_.bury(std::move(upload_));
  }
  if (large_lane_ != nullptr) std::exchange(large_lane_, nullptr)->drop_target();
  if (doubts_ != nullptr) doubts_->abandon();
  held_bytes_ = 0;
  stream_.close();
}

void Session::finish() {
  // What would be dropped is the middle of a request that a backend has seen the beginning of.
  if (upload_ != nullptr && !upload_->is_whole()) return close();
  stay();
  hold_ = Hold::kFinished;
  drop_input();
  mark_dirty();
}

// --- Requests

void Session::on_received(uring::Lease lease) {
  worker_.count_client(std::exchange(active_ms_, worker_.now_ms()));
  if (hold_ == Hold::kFinished) return;
  // It has something to do here first.
  if (stay_ == Stay::kIsLeaving) [[unlikely]]
    stay();
  if (receives_in_pieces_ > 0 && upload_ == nullptr && --receives_in_pieces_ == 0) stream_.receive_at_most(0);
  std::string_view bytes = lease.bytes();
  if (upload_ != nullptr && upload_->relays()) bytes = upload_->take_early(bytes);
  if (bytes.empty()) return;
  if (input_ == nullptr && hold_ == Hold::kNone) {
    const uring::Offer::Scope offered = worker_.pool().offer().make(lease);
    const std::size_t used = consume(bytes);
    if (used == bytes.size()) return;
    keep(bytes.substr(used));
    return receive_rest();
  }
  keep(bytes);
  if (hold_ == Hold::kNone) resume();
}

void Session::on_filled(std::uint32_t bytes) {
  worker_.count_client(std::exchange(active_ms_, worker_.now_ms()));
  if (hold_ == Hold::kFinished) return;
  input_->size += bytes;
  if (hold_ == Hold::kNone) resume();
}

/// What is left of a request that is held until it is whole needs no buffer on its way.
void Session::receive_rest() {
  if (input_ == nullptr || hold_ != Hold::kNone || upload_ != nullptr) return;
  const std::uint64_t wanted = parser_.bytes_wanted();
  const std::uint32_t have = input_->size - input_used_;
  if (wanted < have + limits::kLeastRest) return;
  const auto rest = static_cast<std::uint32_t>(std::min<std::uint64_t>(wanted - have, limits::kMostRest));
  if (input_->room() >= rest) stream_.receive_into(input_->data() + input_->size, rest);
}

std::size_t Session::consume(std::string_view input) {
  resp::Request& request = worker_.request();
  std::size_t used = 0;
  while (used < input.size()) {
    if (upload_ != nullptr) [[unlikely]] {
      const std::size_t taken = hold_ == Hold::kNone ? upload_->feed(input.substr(used)) : 0;
      if (taken == 0) break;
      used += taken;
      continue;
    }
    if (!may_dispatch()) break;
    const resp::ParseStatus status = parser_.parse(input.substr(used), worker_.request_limits(), request);
    if (status == resp::ParseStatus::kIncomplete) {
      if (!dispatch_open(input.substr(used))) break;
      continue;
    }
    if (status == resp::ParseStatus::kError) {
      refuse(parser_.error());
      return input.size();
    }
    open_tries_ = 0;
    open_end_ = 0;
    if (in_refused_transaction && request.bytes.size() == input.size()) [[unlikely]]
      end_refused_transaction();
    if (!request.arguments.empty()) {
      worker_.dispatch().handle(*this, request);
      // Held: the request was not taken and comes again; finished: what follows does not count.
      if (hold_ == Hold::kFinished) return input.size();
      if (hold_ != Hold::kNone) break;
    } else if (reply_mode == ReplyMode::kSkip) {
      reply_mode = ReplyMode::kOn;  // for servers an empty request is one too
    }
    used += request.bytes.size();
  }
  return used;
}

/// One request at a time, each after the reply before it: a client that has read the refusal and goes on without EXEC
/// or DISCARD, as pools of connections do. A block that was sent at once has come by then, or comes many at a time.
void Session::end_refused_transaction() {
  const bool has_read = line_.empty() && unsent() == 0 && worker_.now_ms() - refused_ms_ > limits::kRefusedBlockMs;
  if (has_read) in_refused_transaction = false;
}

void Session::refuse_transaction() {
  in_refused_transaction = true;
  refused_ms_ = worker_.now_ms();
}

/// The request at the front of `input` is not whole. True when it has a large argument and is sent as it comes.
bool Session::dispatch_open(std::string_view input) {
  if (parser_.open_length() < worker_.config().large_values.threshold) [[likely]]
    return false;
  const std::uint64_t end = parser_.bytes_wanted();
  // Each look at a request costs its arguments: once for each large one, and not for any number of them.
  if (end == open_end_ || open_tries_ == limits::kOpenTries) return false;
  resp::Request& request = worker_.request();
  const auto open = parser_.open_bulk(input, request);
  if (!open) return false;
  worker_.dispatch().handle_open(*this, request, *open);
  if (upload_ == nullptr && hold_ == Hold::kNone) {
    open_end_ = end;
    ++open_tries_;
  }
  return upload_ != nullptr;
}

void Session::begin_upload(const pool::RequestKind& kind, std::string_view key) {
  assert(!stream_.is_filling());
  upload_ = std::make_unique<LargeUpload>(*this, kind, key);
  // Nothing of it is read until its node is known, and then little by copy.
  stream_.pause();
  receive_in_pieces();
  upload_->start();
}

void Session::receive_in_pieces() {
  stream_.receive_at_most(limits::kPieceBytes);
  receives_in_pieces_ = limits::kReceivesInPieces;
}

void Session::end_upload() {
  worker_.bury(std::move(upload_));
  if (hold_ != Hold::kUpload) return;
  worker_.resume_later(*this);
}

bool Session::may_dispatch() {
  if (hold_ != Hold::kNone) return false;
  if (line_.size() >= worker_.config().limits.max_pipeline) {
    hold_ = Hold::kPipeline;
  } else if (unsent() > output_pause()) {
    hold_ = Hold::kOutput;
  }
  return hold_ == Hold::kNone;
}

void Session::keep(std::string_view bytes) {
  uring::ChunkPool& chunks = worker_.client_room().chunks;
  const std::size_t have = input_ == nullptr ? 0 : input_->size - input_used_;
  if (input_ == nullptr || input_->room() < bytes.size()) {
    // Doubling, or at once what the parser knows it wants, but never far ahead of what has really come.
    const std::size_t needed = have + bytes.size();
    const std::size_t wanted = std::min<std::size_t>(parser_.bytes_wanted(), 4 * needed);
    uring::Chunk* larger = chunks.take(std::max({needed, wanted, have * 2}));
    if (input_ != nullptr) {
      larger->append({input_->data() + input_used_, have});
      chunks.release(input_);
    }
    input_ = larger;
    input_used_ = 0;
  }
  input_->append(bytes);
  if (hold_ == Hold::kNone || have + bytes.size() <= limits::kHeldInputBytes) return;
  if (!stream_.paused()) worker_.watch_stuck(*this);
  stream_.pause();
}

bool Session::relieve() {
  if (hold_ == Hold::kNone || hold_ == Hold::kFinished || input_ == nullptr || !stream_.paused()) return false;
  check_reader();
  if (worker_.now_ms() - active_ms_ < limits::kStuckMs) return true;
  const auto most = static_cast<std::size_t>(worker_.config().limits.output_buffer / 2);
  const std::size_t bound = large_lane_ != nullptr ? most : std::min(most, limits::kStuckOutputBytes);
  output_pause_mb_ = std::max(output_pause_mb_, static_cast<std::uint16_t>(bound >> 20));
  const std::size_t pause = output_pause();
  if (large_lane_ != nullptr && unsent() < pause) large_lane_->copy_open_string(pause - unsent());
  if (hold_ == Hold::kOutput && unsent() <= pause) worker_.resume_later(*this);
  return true;
}

void Session::resume() {
  if (hold_ == Hold::kFinished || !stream_.is_open()) return;
  if (upload_ != nullptr && !upload_->takes_input()) return;
  hold_ = Hold::kNone;
  if (input_ != nullptr) {
    const uring::Offer::Scope offered = worker_.pool().offer().make(input_, worker_.client_room().chunks);
    const std::size_t used = consume({input_->data() + input_used_, input_->size - input_used_});
    if (input_ != nullptr) {
      input_used_ += static_cast<std::uint32_t>(used);
      if (input_used_ == input_->size) drop_input();
    }
  }
  if (hold_ != Hold::kNone) return;
  if (ended_) return upload_ == nullptr ? finish() : close();
  receive_rest();
  stream_.resume();
}

void Session::drop_input() {
  if (stream_.is_filling()) return;  // the destructor comes later
  if (input_ != nullptr) worker_.client_room().chunks.release(std::exchange(input_, nullptr));
  input_used_ = 0;
}

void Session::refuse(std::string_view error) {
  std::string reply("-ERR ");
  reply.append(error).append("\r\n");
  ++worker_.counters().protocol_errors;
  worker_.log_closing(*this, error);
  answer(reply);
  finish();
}

// --- Replies

PendingReply& Session::expect(const pool::RequestKind& kind) {
  PendingReply& pending = worker_.pending_replies().take();
  pending.sink = this;
  pending.kind = kind;
  pending.waiting.started_ms = worker_.now_ms();
  pending.salt = salt();
  if (reply_mode != ReplyMode::kOn) [[unlikely]] {
    pending.kind.silent = true;
    if (reply_mode == ReplyMode::kSkip) reply_mode = ReplyMode::kOn;
  }
  writes_ += kind.read_only ? 0 : 1;
  if (kind.several_keys) [[unlikely]] {
    const bool same = several_keys_ == 0 || several_keys_slot_ == kind.slot;
    several_keys_slot_ = same ? kind.slot : pool::RequestKind::kNoSlot;
    ++several_keys_;
  }
  if (line_.empty()) worker_.count_waiting(1);
  line_.push(pending);
  return pending;
}

void Session::answer(std::string_view reply) {
  complete(expect({.read_only = true}), reply);
}

void Session::on_reply(PendingReply& pending, std::string_view reply) {
  if (pending.kind.large && !pending.kind.silent) [[unlikely]]
    worker_.forget_large(pending);
  worker_.key_watch().see_reply(pending, reply);
  if (reply[0] != '-') [[likely]]
    return complete(pending, reply);
  if (takes_error(pending, pending, nullptr, reply)) return;
  complete(pending, worker_.redirection().as_seen_by_client(pending, reply));
}

/// A string that need only be sent on.
bool Session::takes_in_two(const PendingReply& pending, char mark) const {
  return mark == '$' && line_.front() == &pending && !pending.kind.silent && !pending.kind.large && doubts_ == nullptr;
}

void Session::on_reply_in_two(PendingReply& pending, std::string_view first, std::string_view rest) {
  constexpr std::size_t kLineEnd = 2;
  worker_.key_watch().see_download(pending, {.mark = '$', .bytes = first.size() + rest.size() - kLineEnd});
  emit(pending, first);
  emit(pending, rest);
  pop_front();
  release_ready();
}

/// The reply to the request whose turn it is may go out as it comes.
uring::Stream* Session::target_of_large(PendingReply& pending, pool::Lane& lane, const pool::LargeHead& head) {
  if (!pending.kind.large) worker_.note_large(pending);
  if (line_.front() != &pending || pending.kind.silent || !stream_.is_open()) return nullptr;
  worker_.key_watch().see_download(pending, head);
  large_lane_ = &lane;
  return &stream_;
}

void Session::on_piece(PendingReply&, std::string_view piece) {
  stream_.queue().append(worker_.client_room().chunks, piece);
  mark_dirty();
  check_output();
}

void Session::on_reply_end(PendingReply& pending) {
  large_lane_ = nullptr;
  note_active();
  if (doubts_ != nullptr) doubts_->on_done(pending, pending.kind.slot);
  pop_front();
  release_ready();
}

void Session::on_lost(PendingReply& pending, pool::Loss loss, std::string_view reason) {
  if (large_lane_ != nullptr && line_.front() == &pending) {
    // A part of the reply has gone out: there is no other end than the connection's.
    large_lane_ = nullptr;
    worker_.pending_replies().hold(pending, "");
    if (reason == pool::kClientGone) return worker_.close_later(*this);
    return give_up("its node was lost in the middle of a large reply");
  }
  const bool repeatable = loss == pool::Loss::kNotSent || (pending.kind.read_only && !has_writes_outstanding());
  if (repeatable && takes_lost(pending, pending)) return;
  complete(pending, worker_.redirection().lost_error(loss, reason));
}

void Session::complete(PendingReply& pending, std::string_view reply) {
  if (doubts_ != nullptr) [[unlikely]]
    doubts_->on_done(pending, pending.kind.slot);
  const bool was_split = pending.kind.split;
  if (line_.front() == &pending) [[likely]] {
    emit(pending, reply);
    pop_front();
    release_ready();
  } else {
    const std::string_view kept = pending.kind.silent ? std::string_view("") : reply;
    worker_.pending_replies().hold(pending, kept);
    held_bytes_ += kept.size();
    check_output();
  }
  if (was_split && doubts_ != nullptr) [[unlikely]]
    worker_.reconsider_later(*this);
}

void Session::emit(const PendingReply& pending, std::string_view reply) {
  if (pending.kind.silent) return;
  // A slow reader is lent nothing more.
  const bool soon_sent = !stream_.is_sending();
  stream_.queue().append(worker_.client_room().chunks, reply, worker_.pool().offer(), soon_sent);
}

void Session::pop_front() {
  PendingReply& done = line_.pop();
  writes_ -= done.kind.read_only ? 0 : 1;
  several_keys_ -= done.kind.several_keys ? 1 : 0;
  worker_.pending_replies().release(done);
  if (line_.empty()) worker_.count_waiting(-1);
}

void Session::release_ready() {
  for (const PendingReply* first = line_.front(); first != nullptr; first = line_.front()) {
    if (first->state != PendingReply::State::kReady) break;
    held_bytes_ -= first->held.view().size();
    emit(*first, first->held.view());
    pop_front();
  }
  after_replies();
}

void Session::after_replies() {
  mark_dirty();
  if (line_.empty()) fenced = has_parked_ = false;
  check_output();
  const bool drained = (hold_ == Hold::kOwnReplies && line_.empty()) ||
                       (hold_ == Hold::kPipeline && line_.size() <= worker_.config().limits.max_pipeline / 2);
  if (drained) worker_.resume_later(*this);
}

void Session::check_output() {
  // One that has said QUIT, or shut down its writing side, is still owed replies, within the same bound.
  if (unsent() <= worker_.config().limits.output_buffer || given_up_) return;
  ++worker_.counters().clients_too_slow;
  give_up("more replies wait for it than limits.output_buffer");
}

void Session::give_up(std::string_view why) {
  worker_.log_closing(*this, why, true);
  hold_ = Hold::kFinished;
  given_up_ = true;
  worker_.close_later(*this);
}

void Session::mark_dirty() {
  if (std::exchange(dirty, true)) return;
  dirty_since_us_ = worker_.now_us();
  worker_.flush_later(*this);
}

bool Session::gathers(std::uint32_t now_us) const {
  return !line_.empty() && stream_.queue().bytes() < limits::kGatherBytes &&
         now_us - dirty_since_us_ < limits::kGatherUs && stream_.is_open();
}

void Session::flush() {
  stream_.flush();
  if (worker_.hands_over() || stay_ == Stay::kIsDraining) [[unlikely]]
    start_to_leave();
  if (hold_ == Hold::kFinished && line_.empty()) stream_.drain_and_close();
}

// --- The connection

void Session::on_sent() {
  note_active();
  if (stream_.queue().bytes() > 0) {
    mark_dirty();
  } else {
    stream_.queue().trim(worker_.client_room().chunks);
    output_pause_mb_ = limits::kOutputPauseBytes >> 20;
  }
  if (stay_ == Stay::kIsDraining) [[unlikely]]
    leave_if_drained();
  if (hold_ == Hold::kOutput && unsent() <= limits::kOutputPauseBytes / 2) worker_.resume_later(*this);
}

bool Session::waits_for_request() const {
  return upload_ != nullptr && upload_->waits_for_client();
}

void Session::note_active() {
  active_ms_ = worker_.now_ms();
}

void Session::check_reader() {
  int unread = 0;  // of what the kernel has
  ::ioctl(stream_.fd(), SIOCOUTQ, &unread);
  const auto now_unread = static_cast<std::uint32_t>(unread);
  if (std::exchange(unread_, now_unread) != now_unread) note_active();
}

void Session::on_ended(int error) {
  const bool cut = upload_ != nullptr && !upload_->is_whole() && hold_ == Hold::kNone;
  if (error != 0 || cut) return close();
  // The client may have shut down its writing side alone: what it has asked for is still answered.
  const bool has_more = input_ != nullptr || upload_ != nullptr;
  if (hold_ != Hold::kNone && hold_ != Hold::kFinished && has_more) {
    ended_ = true;
    return;
  }
  finish();
}

void Session::on_closed() {
  worker_.reap_later(*this);
}

ClientNames& Session::names() {
  if (names_ == nullptr) names_ = std::make_unique<ClientNames>();
  return *names_;
}

void Session::reset() {
  protocol = resp::Protocol::kResp2;
  reply_mode = ReplyMode::kOn;
  database = 0;
  in_refused_transaction = false;
  names_.reset();
}

}  // namespace sluice
