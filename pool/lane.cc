#include "pool/lane.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "pool/pool.h"

namespace pool {
namespace {

constexpr std::string_view kAsking = "*1\r\n$6\r\nASKING\r\n";
constexpr std::string_view kPing = "*1\r\n$4\r\nPING\r\n";

/// Positions count modulo 2^32.
bool is_within(std::uint32_t position, std::uint32_t end) {
  return static_cast<std::int32_t>(end - position) >= 0;
}

}  // namespace

Lane::Lane(Pool& pool, Node& node, LaneKey key, bool large)
    : pool_(pool),
      node_(node),
      key_(key),
      max_bytes_(pool.settings_.max_lane_bytes),
      max_requests_(pool.settings_.max_lane_requests),
      stream_(pool.room_, *this),
      connector_(pool.room_.ring, *this),
      cut_(pool.room_.chunks) {
  set_large(large);
}

Lane::~Lane() {
  held_.clear(pool_.room_.chunks);
}

void Lane::enqueue(PendingReply& pending, std::string_view request) {
  assert(accepts());
  ++pool_.counters_.requests;
  used_ms_ = pool_.now_ms_;
  append(pending, request);
  if (state_ == State::kIdle) connect();
}

void Lane::enqueue_asking(PendingReply& pending, std::string_view request) {
  append(pool_.pending_replies_.take(), kAsking);
  enqueue(pending, request);
}

void Lane::append(PendingReply& pending, std::string_view request) {
  uring::ChunkPool& chunks = pool_.room_.chunks;
  uring::SendQueue& queue = state_ == State::kReady ? stream_.queue() : held_;
  const uring::ChunkSpan kept = queue.append(chunks, request, pool_.offer_);
  ++kept.chunk->references;
  pool_.pending_replies_.drop_request(pending);
  pending.waiting.request = kept;
  enqueued_ += kept.length;
  pending.waiting.position = enqueued_;
  kept_bytes_ += kept.length;
  if (pending_.empty()) {
    progress_ms_ = pool_.now_ms_;
    ++pool_.busy_lanes_;
  }
  pending_.push(pending);
  mark_dirty();
}

bool Lane::carries(std::uint32_t salt) const {
  for (std::size_t i = 0; i < pending_.size(); ++i) {
    if (pending_.at(i).salt == salt) return true;
  }
  return false;
}

void Lane::mark_dirty() {
  if (std::exchange(dirty_, true)) return;
  pool_.mark_dirty(*this);
}

void Lane::flush() {
  dirty_ = false;
  if (stream_.is_sending() || stream_.queue().bytes() == 0) return;
  if (state_ == State::kReady) handed_ = enqueued_;
  sent_us_ = pool_.now_us_;
  stream_.flush();
}

bool Lane::gathers() const {
  if (state_ != State::kReady || open_ != nullptr || pending_.empty()) return false;
  // The oldest that is due has been handed to the kernel.
  return is_within(pending_.at(0).waiting.position, handed_) && pool_.now_us_ - sent_us_ < pool_.settings_.gather_us &&
         stream_.queue().bytes() < pool_.settings_.gather_bytes;
}

void Lane::on_sent() {
  if (stream_.queue().bytes() > 0) {
    mark_dirty();
  } else if (open_ != nullptr) {
    open_->sink->on_request_sent();
  } else if (pending_.empty()) {
    stream_.queue().trim(pool_.room_.chunks);
  }
}

// --- The connection's life

void Lane::connect() {
  if (retired_) return;
  if (const auto address = uring::SocketAddress::numeric(node_.host(), node_.port()))
    return connect_to(*address, pool_.settings_.connect_timeout);
  state_ = State::kResolving;
  progress_ms_ = pool_.now_ms_;
  resolution_ = pool_.resolver_.resolve(node_.host(), node_.port(), pool_.room_.ring.fd(), *this);
}

void Lane::on_resolved(std::vector<uring::SocketAddress> addresses) {
  resolution_.reset();
  if (addresses.empty()) return fail("the host name has no address");
  others_.assign(addresses.rbegin(), addresses.rend());
  progress_ms_ = pool_.now_ms_;
  connect_to_next();
}

/// All addresses of a name share one connect_timeout.
void Lane::connect_to_next() {
  const std::chrono::milliseconds spent(pool_.now_ms_ - progress_ms_);
  const auto left = std::max(pool_.settings_.connect_timeout - spent, std::chrono::milliseconds(1));
  const auto share = left / static_cast<std::int64_t>(others_.size());
  const uring::SocketAddress next = others_.back();
  others_.pop_back();
  connect_to(next, share);
}

void Lane::connect_to(const uring::SocketAddress& address, std::chrono::milliseconds timeout) {
  state_ = State::kConnecting;
  connector_.connect(address, timeout);
}

void Lane::on_connect_failed(int error) {
  ++pool_.counters_.connect_failures;
  if (!others_.empty() && !retired_) return connect_to_next();
  fail(std::strerror(error));
}

void Lane::on_connected(int fd) {
  ++pool_.counters_.connects;
  ++node_.connects_;
  others_ = {};
  stream_.open(fd);
  if (retired_) return fail("the node is gone");
  state_ = State::kHandshaking;
  progress_ms_ = pool_.now_ms_;
  stream_.queue().append(pool_.room_.chunks, handshake_.begin(pool_.settings_, key_));
  mark_dirty();
}

void Lane::on_handshake_reply(std::string_view reply) {
  node_.on_introduction(reply);
  if (!handshake_.accept(reply)) return fail(reply.substr(1, reply.find('\r') - 1));
  if (handshake_.done()) become_ready();
}

void Lane::become_ready() {
  state_ = State::kReady;
  failures_ = 0;
  progress_ms_ = used_ms_ = pool_.now_ms_;
  stream_.queue().splice(held_);
  mark_dirty();
  node_.on_lane_ready();
}

void Lane::fail(std::string_view reason) {
  if (state_ == State::kClosing || state_ == State::kResting) return;
  const bool was_ready = state_ == State::kReady;
  if (was_ready) ++pool_.counters_.lost_connections;
  ++failures_;
  const std::string why(reason);
  if (stream_.is_open()) {
    state_ = State::kClosing;
    stream_.close();
  } else {
    rest();
  }
  lose_all(why);
  if (!retired_) {
    // A database or a protocol that the server does not have says nothing about the node.
    const bool lacks_protocol = key_.protocol == resp::Protocol::kResp3 && !node_.speaks_resp3();
    if (key_.database == 0 && !lacks_protocol) {
      node_.on_lane_failed(failures_);
      pool_.handler_.on_node_lost(node_, why);
    }
  }
}

void Lane::rest() {
  state_ = State::kResting;
  resting_until_ms_ = pool_.now_ms_ + pool_.back_off_ms(failures_);
}

void Lane::retire(std::string_view reason) {
  retired_ = true;
  if (state_ == State::kConnecting) return connector_.cancel();
  if (state_ == State::kResolving) resolution_.reset();
  if (state_ == State::kIdle || state_ == State::kClosing || state_ == State::kResting) return;
  fail(reason);
}

void Lane::on_ended(int error) {
  fail(error == 0 ? "closed by the server" : std::strerror(error));
}

void Lane::on_closed() {
  if (failures_ == 0) {
    state_ = State::kIdle;
  } else {
    rest();
  }
}

void Lane::tick(std::uint32_t now_ms) {
  const Settings& settings = pool_.settings_;
  if (state_ == State::kResting) {
    if (static_cast<std::int32_t>(now_ms - resting_until_ms_) < 0) return;
    state_ = State::kIdle;
  }
  // Also when the node has become wanted long after the rest: no request may come that would find out that it is back.
  if (state_ == State::kIdle && failures_ > 0 && node_.wanted() && key_.database == 0) return connect();
  if (state_ == State::kResolving && now_ms - progress_ms_ > settings.connect_timeout.count()) {
    resolution_.reset();
    return fail("the host name was not resolved in time");
  }
  if (state_ != State::kReady && state_ != State::kHandshaking) return;
  if (large_reply_ != nullptr) {
    if (large_reply_->has_moved()) {
      progress_ms_ = moved_ms_ = now_ms;
    } else {
      large_reply_->on_stalled();
    }
    if (large_reply_->waits_for_client()) progress_ms_ = now_ms;
  }
  if (open_ != nullptr) progress_ms_ = now_ms;  // whoever sends it watches over it
  const bool owes = !pending_.empty() || state_ == State::kHandshaking;
  const std::uint32_t quiet_ms = now_ms - progress_ms_;
  if (owes) {
    pool_.has_silent_node_ |= is_silent();
    if (quiet_ms <= settings.command_timeout_ms) return;
    give_up("no reply within command_timeout");
  } else if (settings.idle_timeout_ms != 0 && now_ms - used_ms_ > settings.idle_timeout_ms && !node_.failing()) {
    state_ = State::kClosing;
    stream_.close();
  } else if (quiet_ms > settings.ping_interval_ms) {
    PendingReply& ping = pool_.pending_replies_.take();
    ping.sink = this;
    append(ping, kPing);
  }
}

bool Lane::is_silent() const {
  return !pending_.empty() && pool_.now_ms_ - progress_ms_ > pool_.settings_.silence_ms;
}

void Lane::note_moved() {
  moved_ms_ = pool_.now_ms_;
}

std::uint32_t Lane::stalled_ms() const {
  const bool by_client = open_ != nullptr || (large_reply_ != nullptr && large_reply_->waits_for_client());
  return by_client ? pool_.now_ms_ - moved_ms_ : 0;
}

void Lane::hang_up(std::string_view reason) {
  if (state_ != State::kReady) return;
  state_ = State::kClosing;
  stream_.close();
  lose_all(reason);
}

void Lane::set_large(bool large) {
  large_ = large;
  stream_.receive_at_most(large ? pool_.settings_.piece_bytes : 0);
}

// --- Requests sent as they come

void Lane::open_request(PendingReply& pending, bool asking) {
  assert(ready() && pending_.empty() && accepts());
  if (asking) append(pool_.pending_replies_.take(), kAsking);
  ++pool_.counters_.requests;
  ++pool_.counters_.large_requests;
  if (pending_.empty()) ++pool_.busy_lanes_;
  progress_ms_ = used_ms_ = pool_.now_ms_;
  pending.waiting.position = enqueued_;
  pending_.push(pending);
  open_ = &pending;
  note_moved();
}

void Lane::append_to_request(std::string_view bytes) {
  assert(open_ != nullptr);
  stream_.queue().append(pool_.room_.chunks, bytes);
  enqueued_ += static_cast<std::uint32_t>(bytes.size());
  open_->waiting.position = enqueued_;
  note_moved();
  mark_dirty();
}

void Lane::give_up(std::string_view reason) {
  node_.on_silence();
  fail(reason);
}

void Lane::close_request() {
  open_ = nullptr;
  progress_ms_ = pool_.now_ms_;
}

void Lane::break_request() {
  if (open_ != nullptr) open_->sink = nullptr;
  hang_up("its client is gone");
}

void Lane::lose_all(std::string_view reason) {
  LaneLine lost = std::exchange(pending_, LaneLine());
  if (!lost.empty()) --pool_.busy_lanes_;
  open_ = nullptr;
  // It may be the one that has just told of the end.
  if (large_reply_ != nullptr) {
    large_reply_->abandon();
    pool_.ended_replies_.push_back(std::move(large_reply_));
  }
  held_.clear(pool_.room_.chunks);
  scanner_ = resp::ReplyScanner();
  cut_.clear();
  kept_bytes_ = 0;
  const std::uint32_t handed = std::exchange(handed_, enqueued_);
  while (!lost.empty()) {
    PendingReply& pending = lost.pop();
    ++pool_.counters_.lost_requests;
    // One that was cut in the middle has been handed over too: only what begins beyond is certain.
    const std::uint32_t start = pending.waiting.position - pending.waiting.request.length;
    const bool touched = is_within(pending.waiting.position, handed) || !is_within(handed, start);
    if (pending.sink != nullptr) {
      pending.sink->on_lost(pending, touched ? Loss::kUnknown : Loss::kNotSent, reason);
    } else {
      pool_.pending_replies_.release(pending);
    }
  }
  if (std::exchange(blocked_, false)) pool_.handler_.on_room();
}

// --- Its own PINGs

void Lane::on_reply(PendingReply& pending, std::string_view reply) {
  pool_.pending_replies_.release(pending);
  const bool refuses = reply.starts_with("-LOADING") || reply.starts_with("-MASTERDOWN");
  node_.on_ping(!refuses);
}

void Lane::on_lost(PendingReply& pending, Loss, std::string_view) {
  pool_.pending_replies_.release(pending);
}

}  // namespace pool
