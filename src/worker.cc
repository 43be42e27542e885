#include "src/worker.h"

#include <spdlog/spdlog.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <random>
#include <utility>

#include "src/client_info.h"
#include "src/errand.h"
#include "src/front.h"
#include "src/info.h"
#include "src/large_upload.h"
#include "src/limits.h"

namespace sluice {
namespace {

constexpr std::uint16_t kClientGroup = 1;
constexpr std::uint16_t kBackendGroup = 2;

pool::Settings pool_settings(const Config& config) {
  const auto milliseconds = [](Milliseconds time) { return static_cast<std::uint32_t>(time.count()); };
  pool::Settings settings;
  settings.username = config.backend.username;
  settings.password = config.backend.password.reveal();
  settings.connect_timeout = std::min(config.backend.connect_timeout, config.backend.command_timeout);
  settings.command_timeout_ms = milliseconds(config.backend.command_timeout);
  settings.idle_timeout_ms = milliseconds(config.pool.idle_timeout);
  settings.ping_interval_ms = std::min(settings.ping_interval_ms, std::max(settings.command_timeout_ms / 2, 500U));
  settings.lanes_per_node = config.pool.connections_per_node;
  settings.ask_zone = config.backend.read_from == ReadFrom::kZone;
  settings.read_only_replicas = config.backend.kind == BackendKind::kCluster;
  settings.large_bytes = config.large_values.threshold;
  settings.max_large_lanes = limits::kMaxLargeLanes;
  settings.piece_bytes = limits::kPieceBytes;
  return settings;
}

resp::RequestLimits limits_of(const Config& config) {
  resp::RequestLimits bounds;
  bounds.max_request_bytes = config.limits.max_request + limits::kRequestHeadroom;
  bounds.max_arguments = limits::kMaxArguments;
  return bounds;
}

std::uint64_t read_clock(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace

Worker::Worker(const Config& config, const uring::Features& features, uring::Resolver& resolver, Front& front,
               unsigned index)
    : config_(config),
      features_(features),
      front_(front),
      index_(index),
      client_chunks_(limits::kClientChunkBytes, limits::kKeptClientChunkBytes),
      backend_chunks_(limits::kBackendChunkBytes, limits::kKeptBackendChunkBytes),
      client_room_{.ring = ring_,
                   .buffers = client_buffers_,
                   .chunks = client_chunks_,
                   .receive_limit = features.limited_receive ? limits::kClientBurstBytes : 0},
      backend_room_{.ring = ring_,
                    .buffers = backend_buffers_,
                    .chunks = backend_chunks_,
                    .receive_limit = features.limited_receive ? limits::kBackendBurstBytes : 0},
      pending_replies_(backend_chunks_),
      pool_(backend_room_, resolver, pending_replies_, *this, pool_settings(config)),
      router_(pool_, config.backend),
      refresh_(config.backend, router_, pool_, pending_replies_, *this),
      redirection_(config.backend, config.announce, router_, pool_, pending_replies_, refresh_),
      learning_(commands_, redirection_, pool_, pending_replies_, *this),
      request_limits_(limits_of(config)),
      key_watch_(commands_, request_limits_, std::random_device{}()),
      dispatch_(std::make_unique<Dispatch>(*this)),
      tick_(ring_, *this),
      next_session_id_(index + 1) {}

Worker::~Worker() = default;

std::error_code Worker::open(std::string& step) {
  step = "io_uring_setup";
  if (const std::error_code error = ring_.open(limits::kRingEntries)) return error;
  mailbox_ = uring::Mailbox(ring_.fd());
  step = "registering receive buffers";
  const bool dense = features_.incremental_buffers;
  limits::Buffers client = dense ? limits::kUnboundedClientBuffers : limits::kPlainClientBuffers;
  limits::Buffers backend = dense ? limits::kUnboundedBackendBuffers : limits::kPlainBackendBuffers;
  if (dense && features_.limited_receive) client = backend = limits::kBuffers;
  if (const auto error = client_buffers_.open(ring_, kClientGroup, client.count, client.bytes, dense)) return error;
  return backend_buffers_.open(ring_, kBackendGroup, backend.count, backend.bytes, dense);
}

// --- The turn

void Worker::run() {
  set_clock();
  key_watch_.start(now_ms());
  tick();
  tick_.arm(std::chrono::milliseconds(limits::kTickMs));
  if (index_ == 0) front_.start();
  while (!done()) turn();
}

void Worker::turn() {
  const auto patience = pool_.has_relays_waiting() ? std::chrono::microseconds(0) : pace_.patience();
  if (const std::error_code error = ring_.wait(wanted_, patience, !dirty_.empty())) {
    spdlog::critical("worker {}: the ring failed: {}", index_, error.message());
    std::abort();
  }
  const std::uint64_t now_ns = set_clock();
  const unsigned arrivals = ring_.deliver();
  if (arrivals > 0 || wanted_ > 1) pace_.count(arrivals, bytes_moved(), now_ns);
  finish_turn();
}

std::uint64_t Worker::bytes_moved() const {
  return client_room_.bytes_received + backend_room_.bytes_received + pool_.relayed_bytes();
}

std::uint64_t Worker::set_clock() {
  const std::uint64_t now_ns = read_clock(CLOCK_MONOTONIC);
  now_us_ = static_cast<std::uint32_t>(now_ns / 1'000);
  pool_.set_clock(static_cast<std::uint32_t>(now_ns / 1'000'000), now_us_);
  return now_ns;
}

void Worker::finish_turn() {
  for (std::size_t i = 0; i < reconsidering_.size(); ++i) {
    reconsidering_[i]->reconsidering = false;
    reconsidering_[i]->reconsider();
  }
  reconsidering_.clear();
  for (std::size_t i = 0; i < resuming_.size(); ++i) {
    resuming_[i]->resuming = false;
    resuming_[i]->resume();
  }
  resuming_.clear();
  learning_.forget_unanswered();
  wanted_ = pace_.wanted(waiting_clients_, pool_.busy_lanes(), pending_replies_.in_use());
  pool_.flush(wanted_ > 1);
  for (std::size_t i = 0; i < closing_.size(); ++i) closing_[i]->close();
  closing_.clear();
  flush_sessions();
  client_room_.rearm();
  backend_room_.rearm();
  for (Session* session : closed_) remove(*session);
  closed_.clear();
  buried_.clear();
}

void Worker::bury(std::unique_ptr<LargeUpload> upload) {
  buried_.push_back(std::move(upload));
}

/// A session in the middle of a pipeline is given a moment to gather the rest of its replies.
void Worker::flush_sessions() {
  std::size_t kept = 0;
  for (Session* session : dirty_) {
    if (session->gathers(now_us_)) {
      dirty_[kept++] = session;
    } else {
      session->dirty = false;
      session->flush();
    }
  }
  dirty_.resize(kept);
}

void Worker::on_timer() {
  tick();
  if (!done()) tick_.arm(std::chrono::milliseconds(limits::kTickMs));
}

void Worker::tick() {
  pool_.tick(now_ms());
  // With the last client gone no node is asked for any more: each question would bring it back.
  const bool is_over = stopping_ && session_count_ == 0;
  if (is_over) {
    redirection_.end();
    pool_.retire();
  } else {
    refresh_.tick(now_ms(), redirection_.parked() > 0 || pool_.has_silent_node());
    redirection_.retry();
  }
  learning_.tick();
  key_watch_.tick(now_ms());
  for (std::size_t i = 0; i < uploads_.size(); ++i) uploads_[i]->tick(now_ms());
  resume_topology_awaited();
  for (Session* session : std::exchange(draining_, {})) session->stay();
  std::erase_if(stuck_, [](Session* session) { return !session->relieve(); });
  if (workers().size() > 1) tell_use();
  if (now_ms() - checked_ms_ >= 1000 || stopping_) check_sessions();
}

/// To the front, which says when clients are to go elsewhere. An idle worker keeps still.
void Worker::tell_use() {
  constexpr double kNothing = 0.01;
  const std::uint64_t at_ns = read_clock(CLOCK_MONOTONIC);
  const std::uint64_t cpu_ns = read_clock(CLOCK_THREAD_CPUTIME_ID);
  const auto spent = static_cast<double>(cpu_ns - std::exchange(cpu_ns_, cpu_ns));
  const double used = spent / static_cast<double>(at_ns - std::exchange(cpu_at_ns_, at_ns));
  const double before = std::exchange(used_, used < kNothing ? 0.0 : used);
  if (!stopping_ && (index_ == 0 || before > 0 || used_ > 0)) front_.note_use(*this, used_);
}

/// Idle clients, and those that do not take their last replies.
void Worker::check_sessions() {
  checked_ms_ = now_ms();
  const bool drained = stopping_ && now_ms() - stop_ms_ > limits::kDrainMs;
  unsigned abandoned = 0;
  for (Session* session = sessions_; session != nullptr; session = session->next) {
    const bool late = is_late(*session);
    const bool finished = session->held() == Hold::kFinished;
    if (late && !finished) ++counters_.clients_timed_out;
    if (late) log_closing(*session, finished ? "does not read its last replies" : "idle for pool.session_timeout");
    if (late || drained) close_later(*session);
    if (drained && session->outstanding() > 0) ++abandoned;
  }
  if (abandoned > 0) spdlog::warn("worker {}: closes {} clients that are still owed replies", index_, abandoned);
}

/// What is waited for is the client's to do, and it has done nothing for too long.
bool Worker::is_late(Session& session) const {
  if (session.relays()) return false;
  const bool finished = session.held() == Hold::kFinished;
  const bool owed = session.stream().queue().bytes() > 0;
  const bool is_its_turn = owed || session.waits_for_request() || (session.outstanding() == 0 && session.unsent() == 0);
  if (!finished && !is_its_turn) return false;
  const auto bound = static_cast<std::uint32_t>(finished ? 2 * config_.backend.command_timeout.count()
                                                         : config_.pool.session_timeout.count());
  if (bound == 0) return false;
  if ((finished || owed) && now_ms() - session.active_ms() > bound / 2) session.check_reader();
  return now_ms() - session.active_ms() > bound;
}

void Worker::log_closing(const Session& session, std::string_view why, bool alarming) {
  const bool warns = alarming && (warned_ms_ == 0 || now_ms() - warned_ms_ >= limits::kWarnGapMs);
  if (warns) warned_ms_ = now_ms();
  const auto level = warns ? spdlog::level::warn : spdlog::level::debug;
  if (!spdlog::should_log(level)) return;
  const std::string address = remote_address(session.fd()).text();
  spdlog::log(level, "worker {}: closes client id={} addr={}: {}", index_, session.id(), address, why);
}

// --- Large values

void Worker::note_large(const pool::PendingReply& pending) {
  if (const std::string_view key = key_watch_.key_of(pending); !key.empty()) large_keys_.note(key);
}

void Worker::forget_large(const pool::PendingReply& pending) {
  if (const std::string_view key = key_watch_.key_of(pending); !key.empty()) large_keys_.forget(key);
}

// --- Sessions

Session& Worker::add(std::uint64_t id) {
  auto* session = new Session(*this, id);
  session->next = sessions_;
  if (sessions_ != nullptr) sessions_->previous = session;
  sessions_ = session;
  ++session_count_;
  return *session;
}

void Worker::adopt(int fd) {
  if (stopping_) {
    ::close(fd);
    return;
  }
  Session& session = add(next_session_id_);
  next_session_id_ += front_.workers().size();
  ++counters_.clients_accepted;
  session.open(fd);
}

void Worker::adopt(MovingClient client, unsigned from) {
  if (stopping_) {
    ::close(client.fd);
    return;
  }
  front_.client_moved(from, *this);
  Session& session = add(client.id);
  session.open(std::move(client));
}

void Worker::hand_over(HandOver order) {
  order_ = std::move(order);
  ordered_ms_ = now_ms();
}

/// Who goes is left to chance, which says the same until there is another order.
Worker* Worker::next_worker(const Session& session) const {
  if (now_ms() - session.opened_ms() < order_.least_age_ms) return nullptr;
  const std::uint64_t mixed = (session.id() + (std::uint64_t{ordered_ms_} << 32)) * 0x9e3779b97f4a7c15ULL;
  double drawn = static_cast<double>(mixed >> 32) * 0x1p-32;
  for (const Balance::Share& share : order_.shares) {
    if (drawn < share.part) return workers()[share.to];
    drawn -= share.part;
  }
  return nullptr;
}

void Worker::move(Session& session, Worker& there) {
  ++counters_.clients_handed_over;
  run_in(there, *this,
         [&there, from = index_, client = session.leave()]() mutable { there.adopt(std::move(client), from); });
}

void Worker::remove(Session& session) {
  // A session may stand in the lists of the next turn when its last completion came while it was being flushed.
  std::erase(dirty_, &session);
  std::erase(reconsidering_, &session);
  std::erase(resuming_, &session);
  std::erase(learners_, &session);
  std::erase(closing_, &session);
  std::erase(draining_, &session);
  std::erase(stuck_, &session);
  topology_awaited_.erase(&session);
  (session.previous == nullptr ? sessions_ : session.previous->next) = session.next;
  if (session.next != nullptr) session.next->previous = session.previous;
  --session_count_;
  const bool gone = !stopping_ && !session.has_left();
  delete &session;
  if (gone) front_.client_gone(*this);
}

void Worker::resume_later(Session& session) {
  if (!std::exchange(session.resuming, true)) resuming_.push_back(&session);
}

void Worker::reconsider_later(Session& session) {
  if (!std::exchange(session.reconsidering, true)) reconsidering_.push_back(&session);
}

void Worker::resume_held(Hold reason) {
  for (Session* session = sessions_; session != nullptr; session = session->next) {
    if (session->held() == reason) resume_later(*session);
  }
}

void Worker::resume_topology_awaited() {
  std::erase_if(topology_awaited_, [](const auto& each) { return each.first->held() != Hold::kTopology; });
  for (const auto& [session, since_ms] : topology_awaited_) resume_later(*session);
}

void Worker::on_command_learned() {
  for (Session* session : std::exchange(learners_, {})) {
    if (session->held() == Hold::kLearning) resume_later(*session);
  }
}

// --- What the pool and its kin tell

void Worker::on_node_ready(pool::Node& node) {
  const bool is_news = lost_nodes_.erase(node.name()) > 0;
  spdlog::log(is_news ? spdlog::level::info : spdlog::level::debug, "worker {}: connected to {}", index_, node.name());
  redirection_.retry();
}

void Worker::on_node_lost(pool::Node& node, std::string_view reason) {
  if (stopping_) return;
  // A node that stays down is news once.
  const bool is_news = lost_nodes_.insert(node.name()).second;
  spdlog::log(is_news ? spdlog::level::warn : spdlog::level::debug, "worker {}: no connection to {}: {}", index_,
              node.name(), reason);
  redirection_.set_trouble(node.name() + ": " + std::string(reason));
  refresh_.refresh_topology();
}

void Worker::on_room() {
  redirection_.retry();
  resume_held(Hold::kRoom);
}

void Worker::on_topology_changed() {
  const cluster::Topology& topology = router_.topology();
  spdlog::info("worker {}: topology: {} shards, {} of {} slots covered", index_, topology.shards.size(),
               topology.slots_covered(), cluster::kSlotCount);
  std::erase_if(lost_nodes_, [this](const std::string& name) {
    const auto node = pool_.nodes().find(name);
    return node == pool_.nodes().end() || !node->second->wanted();
  });
  learning_.forget_unknown();
  if (!router_.is_cluster() && refresh_.changes() > 1) tell_of_primary();
  resume_topology_awaited();
  resume_held(Hold::kRoom);
  redirection_.set_trouble({});
  redirection_.retry();
}

/// The old one may go on answering reads, and a client that was here may be there now. (A cluster's would redirect it.)
void Worker::tell_of_primary() {
  for (Worker* other : workers()) {
    if (other != this) run_in(*other, *this, [other] { other->hear_of_primary(); });
  }
}

void Worker::on_topology_refused(const cluster::Address& node, std::string_view error) {
  std::string trouble = node.text() + ": " + std::string(error);
  if (error.find("cluster support disabled") != std::string_view::npos) trouble += "; use --backend standalone";
  redirection_.set_trouble(trouble);
  if (std::exchange(topology_trouble_, trouble) != trouble)
    spdlog::warn("worker {}: no topology from {}", index_, trouble);
}

void Worker::on_second_primary(const cluster::Address& primary, const cluster::Address* other) {
  const std::string second = other == nullptr ? std::string() : other->text();
  if (std::exchange(second_primary_, second) == second || second.empty()) return;
  spdlog::warn("worker {}: {} says that it is the primary too; {} stays it", index_, second, primary.text());
}

// --- The rest

std::string Worker::server_version() const {
  for (const auto& [name, node] : pool_.nodes()) {
    if (!node->server_version().empty()) return node->server_version();
  }
  return "7.2.4";  // what the built-in command table describes
}

void Worker::settle(pool::PendingReply& whole, std::string_view reply) {
  if (whole.sink == nullptr) return pending_replies_.release(whole);
  static_cast<Session*>(whole.sink)->complete(whole, reply);
}

const std::vector<Worker*>& Worker::workers() const {
  return front_.workers();
}

std::size_t Worker::workers_in_use() const {
  return front_.workers_in_use();
}

std::string Worker::describe() const {
  return describe_worker({.index = index_,
                          .clients = session_count_,
                          .refused = index_ == 0 ? front_.refused() : 0,
                          .counters = counters_,
                          .ring = ring_.counters(),
                          .client_room = client_room_,
                          .backend_room = backend_room_,
                          .pool = pool_,
                          .redirects = redirection_.counters(),
                          .parked = redirection_.parked(),
                          .pending = pending_replies_.in_use(),
                          .topology_rounds = refresh_.rounds(),
                          .topology_changes = refresh_.changes(),
                          .topology = router_.topology(),
                          .keys = key_watch_.counters()});
}

void Worker::stop() {
  stopping_ = true;
  stop_ms_ = now_ms();
  if (index_ == 0) front_.stop();
  for (Session* session = sessions_; session != nullptr; session = session->next) session->finish();
}

bool Worker::done() const {
  return stopping_ && session_count_ == 0 && pool_.gone() && !tick_.armed() && (index_ != 0 || !front_.in_flight());
}

}  // namespace sluice
