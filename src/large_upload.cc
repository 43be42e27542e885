#include "src/large_upload.h"

#include <algorithm>
#include <utility>

#include "resp/writer.h"
#include "src/limits.h"
#include "src/worker.h"

namespace sluice {

using pool::PendingReply;

LargeUpload::LargeUpload(Session& session, const pool::RequestKind& kind, std::string_view key)
    : session_(session),
      worker_(session.worker()),
      place_(session.expect(kind)),
      kind_(kind),
      relay_(worker_.pool().relays(), *this) {
  resp::write_request(probe_, {"EXISTS", key});
  worker_.uploads().push_back(this);
}

LargeUpload::~LargeUpload() {
  std::erase(worker_.uploads(), this);
}

// --- Where to

void LargeUpload::start() {
  session_.fenced = true;
  probe();
}

void LargeUpload::probe() {
  session_.hold(Hold::kUpload);
  pool::Node* node = worker_.router().node_for(kind_, place_.salt);
  if (node == nullptr) return wait();
  probe_at(*node, false);
}

void LargeUpload::probe_at(pool::Node& node, bool asking) {
  pool::Lane* lane = Router::large_lane_of(node, kind_);
  if (lane == nullptr) return wait();
  state_ = State::kProbing;
  asking_ = asking;
  lane_ = lane;
  sent_ = &worker_.pending_replies().take();
  sent_->sink = this;
  sent_->kind = kind_;
  sent_->salt = place_.salt;
  if (asking) {
    lane->enqueue_asking(*sent_, probe_);
  } else {
    lane->enqueue(*sent_, probe_);
  }
}

/// Until the next tick.
void LargeUpload::wait() {
  lane_ = nullptr;
  state_ = State::kWaiting;
  if (worker_.redirection().spent(place_))
    fail("-ERR sluice: the command has not run: no node served its slot within command_timeout\r\n");
}

void LargeUpload::on_probed(std::string_view reply) {
  Redirection& redirection = worker_.redirection();
  const cluster::ErrorKind error = reply[0] == '-' ? cluster::classify_error(reply) : cluster::ErrorKind::kOther;
  if (error == cluster::ErrorKind::kOther) return send();
  redirection.heed(error);
  if (error != cluster::ErrorKind::kMoved && error != cluster::ErrorKind::kAsk) return wait();
  const auto redirect = cluster::parse_redirect(reply);
  if (!redirection.follows_redirects()) return fail(redirection.as_seen_by_client(place_, reply));
  if (!redirect || redirect->slot != kind_.slot || ++hops_ > limits::kMaxHops) return wait();
  const auto address = redirection.target_of(*redirect);
  if (!address) return wait();
  const bool asking = error == cluster::ErrorKind::kAsk;
  if (!asking) worker_.router().move_slot(redirect->slot, *address);
  probe_at(worker_.pool().node(address->host, address->port), asking);
}

void LargeUpload::send() {
  sent_ = &worker_.pending_replies().take();
  sent_->sink = this;
  sent_->kind = kind_;
  sent_->kind.silent = place_.kind.silent;
  lane_->open_request(*sent_, asking_);
  state_ = State::kSending;
  moved_ms_ = worker_.now_ms();
  take_input();
}

void LargeUpload::take_input() {
  session_.hold(Hold::kUpload);
  worker_.resume_later(session_);
}

// --- The request

std::size_t LargeUpload::feed(std::string_view input) {
  resp::RequestParser& parser = session_.parser();
  resp::Request& request = worker_.request();
  if (dropping_ > 0) {
    const auto dropped = static_cast<std::size_t>(std::min<std::uint64_t>(dropping_, input.size()));
    dropping_ -= dropped;
    return dropped;
  }
  // What has gone on counts.
  resp::RequestLimits bounds = worker_.request_limits();
  bounds.max_request_bytes -= std::min(bounds.max_request_bytes, gone_on_);
  const resp::ParseStatus status = parser.parse(input, bounds, request);
  if (status == resp::ParseStatus::kError) {
    // What it has sent so far is no request; the backend must not see more of it.
    if (lane_ != nullptr) lane_->break_request();
    sent_ = nullptr;
    ++worker_.counters().protocol_errors;
    answer("-ERR " + std::string(parser.error()) + "\r\n");
    session_.finish();
    return input.size();
  }
  if (status == resp::ParseStatus::kComplete) {
    const std::string_view rest = request.bytes;
    if (state_ == State::kPassingOver) {
      answer(error_);
    } else {
      lane_->append_to_request(rest);
      lane_->close_request();
      state_ = State::kAnswering;
      session_.hold(Hold::kUpload);
    }
    return rest.size();
  }
  const std::uint64_t end = parser.forwardable();
  const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(end, input.size()));
  if (part > 0) {
    if (state_ != State::kPassingOver) lane_->append_to_request(input.substr(0, part));
    gone_on(part);
  }
  const std::uint64_t left = end - part;
  if (state_ == State::kPassingOver || left == 0) return part;
  if (left >= limits::kPieceBytes) {
    state_ = State::kRelaying;
    session_.hold(Hold::kUpload);
    left_seen_ = left;
    if (relay_.start(session_.stream(), lane_->stream(), left)) {
      gone_on(left);
      return part;
    }
    state_ = State::kSending;  // no pipe to be had: by copy
  }
  // Copies wait for one another: what is queued is bounded by what one receive brings.
  if (lane_->stream().queue().bytes() > limits::kHeldInputBytes) session_.hold(Hold::kUpload);
  return part;
}

void LargeUpload::gone_on(std::uint64_t bytes) {
  session_.parser().forwarded(bytes);
  gone_on_ += bytes;
}

std::string_view LargeUpload::take_early(std::string_view bytes) {
  const auto body = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), relay_.left()));
  if (body > 0) {
    lane_->append_to_request(bytes.substr(0, body));
    relay_.skip(body);
  }
  return bytes.substr(body);
}

void LargeUpload::on_request_sent() {
  moved_ms_ = worker_.now_ms();
  if (state_ == State::kSending && session_.held() == Hold::kUpload) take_input();
}

void LargeUpload::on_relayed() {
  moved_ms_ = worker_.now_ms();
  state_ = State::kSending;
  take_input();
}

void LargeUpload::on_source_broken(int) {
  worker_.close_later(session_);
}

/// The lane hears the same from its own stream, and tells on_lost().
void LargeUpload::on_target_broken(int) {}

bool LargeUpload::waits_for_client() const {
  const bool sends = state_ == State::kRelaying || state_ == State::kSending;
  return state_ == State::kPassingOver || (sends && !lane_->stream().is_sending());
}

void LargeUpload::tick(std::uint32_t now_ms) {
  if (state_ == State::kWaiting) return probe();
  if (state_ != State::kRelaying && state_ != State::kSending) return;
  const std::uint64_t left = relay_.left();
  const bool moved = std::exchange(left_seen_, left) != left;
  if (moved) lane_->note_moved();
  if (moved || !waits_for_client()) session_.note_active();
  if (moved || waits_for_client()) moved_ms_ = now_ms;
  const auto patience = static_cast<std::uint32_t>(worker_.config().backend.command_timeout.count());
  if (now_ms - moved_ms_ > patience) lane_->give_up("it takes no more of a request within command_timeout");
}

// --- The reply

void LargeUpload::on_reply(PendingReply& pending, std::string_view reply) {
  const bool is_probe = state_ == State::kProbing;
  worker_.pending_replies().release(pending);
  sent_ = nullptr;
  if (is_probe) return on_probed(reply);
  const bool refused = reply[0] == '-' && worker_.redirection().is_refusal(place_, reply);
  if (refused) worker_.redirection().heed(cluster::classify_error(reply));
  const std::string said = refused
                               ? "-ERR sluice: the command has not run: its slot moved, or its node could not serve "
                                 "it, while a large value was on the way; send it again\r\n"
                               : std::string(reply);
  if (state_ == State::kAnswering) return answer(said);
  // Before all had come: whatever the server makes of the rest, it is none of ours.
  lane_->break_request();
  fail(said);
}

void LargeUpload::on_lost(PendingReply& pending, pool::Loss loss, std::string_view reason) {
  const State was = state_;
  worker_.pending_replies().release(pending);
  sent_ = nullptr;
  lane_ = nullptr;
  if (was == State::kProbing) return wait();
  if (session_.relays()) {
    // A part of the reply has gone out. The place is the session's again, which closes.
    state_ = State::kDone;
    return session_.on_lost(place_, loss, reason);
  }
  // A request that was not sent to its end has not run.
  fail(Redirection::lost_error(was == State::kAnswering ? pool::Loss::kUnknown : pool::Loss::kNotSent, reason));
}

void LargeUpload::fail(std::string_view error) {
  if (state_ == State::kAnswering) return answer(error);
  error_ = error;
  lane_ = nullptr;
  if (relay_.running()) {
    // What the relay has not read yet comes by the usual way, and is dropped.
    dropping_ = relay_.left();
    relay_.stop();
  }
  state_ = State::kPassingOver;
  take_input();
}

void LargeUpload::answer(std::string_view reply) {
  state_ = State::kDone;
  session_.complete(place_, reply);
  session_.end_upload();
}

uring::Stream* LargeUpload::target_of_large(PendingReply&, pool::Lane& lane, const pool::LargeHead& head) {
  return state_ == State::kAnswering ? session_.target_of_large(place_, lane, head) : nullptr;
}

void LargeUpload::on_piece(PendingReply&, std::string_view piece) {
  session_.on_piece(place_, piece);
}

void LargeUpload::on_reply_end(PendingReply& pending) {
  worker_.pending_replies().release(pending);
  sent_ = nullptr;
  state_ = State::kDone;
  session_.on_reply_end(place_);
  session_.end_upload();
}

void LargeUpload::abandon() {
  relay_.stop();
  if (sent_ != nullptr) {
    const bool in_the_middle = state_ == State::kSending || state_ == State::kRelaying;
    sent_->sink = nullptr;
    if (in_the_middle) lane_->break_request();
  }
  if (state_ != State::kDone) worker_.pending_replies().release(place_);
  state_ = State::kDone;
}

}  // namespace sluice
