#include "pool/pool.h"

#include <algorithm>
#include <utility>

namespace pool {
namespace {

constexpr std::uint32_t kFirstBackOffMs = 20;
constexpr std::uint32_t kLongestBackOffMs = 2'000;
// A node that a redirect has named is given this long to appear in the topology.
constexpr std::uint32_t kForgetAfterMs = 10'000;
// A pipe as large as a socket's usual buffer moves 10 MB in some forty steps. The kernel lets a user's processes hold
// 64 MB of pipes (fs.pipe-user-pages-soft) before it gives out smaller ones.
constexpr std::uint32_t kPipeBytes = 256U << 10;
constexpr std::size_t kKeptPipes = 64;

}  // namespace

std::string node_name(std::string_view host, std::uint16_t port) {
  const bool v6 = host.find(':') != std::string_view::npos;
  std::string name;
  if (v6) name += '[';
  name += host;
  if (v6) name += ']';
  return name + ':' + std::to_string(port);
}

Pool::Pool(uring::StreamRoom& room, uring::Resolver& resolver, PendingReplies& pending, PoolHandler& handler,
           Settings settings)
    : room_(room),
      resolver_(resolver),
      pending_replies_(pending),
      handler_(handler),
      settings_(std::move(settings)),
      relays_{.pipes = uring::PipePool(kPipeBytes, kKeptPipes)},
      jitter_(std::random_device{}()) {}

Pool::~Pool() = default;

Node& Pool::node(std::string_view host, std::uint16_t port) {
  const std::string name = node_name(host, port);
  auto found = nodes_.find(name);
  if (found == nodes_.end()) {
    found = nodes_.emplace(name, std::make_unique<Node>(*this, std::string(host), port)).first;
  }
  found->second->revive(now_ms_);
  return *found->second;
}

uring::ChunkSpan Pool::keep(std::string_view request) {
  uring::Chunk* chunk = room_.chunks.take_exact(request.size());
  chunk->append(request);
  return {chunk, 0, chunk->size};
}

void Pool::flush(bool soon_again) {
  relays_.pump();
  // Only what is dirty now: a flush never makes a lane dirty.
  std::size_t kept = 0;
  for (Lane* lane : dirty_) {
    if (soon_again && lane->gathers()) {
      dirty_[kept++] = lane;
    } else {
      lane->flush();
    }
  }
  dirty_.resize(kept);
  ended_replies_.clear();
}

void Pool::tick(std::uint32_t now_ms) {
  has_silent_node_ = false;
  for (auto it = nodes_.begin(); it != nodes_.end();) {
    Node& node = *it->second;
    node.tick(now_ms);
    const bool forgotten = !node.wanted() && node.pending() == 0 && now_ms - node.named_ms_ > kForgetAfterMs;
    if (forgotten && !node.retired_) node.retire("no longer part of the topology");
    if (node.retired_ && node.gone()) {
      it = nodes_.erase(it);
    } else {
      ++it;
    }
  }
}

void Pool::retire() {
  for (auto& [name, node] : nodes_) node->retire("the proxy is stopping");
}

bool Pool::gone() const {
  return std::all_of(nodes_.begin(), nodes_.end(), [](const auto& entry) { return entry.second->gone(); });
}

bool Pool::all_speak_resp3() const {
  return std::ranges::all_of(nodes_, [](const auto& entry) { return entry.second->speaks_resp3(); });
}

std::uint32_t Pool::back_off_ms(std::uint32_t failures) {
  const std::uint32_t doublings = std::min(failures, 8U);
  const std::uint32_t longest = std::min(kFirstBackOffMs << doublings, kLongestBackOffMs);
  // Half of it fixed, half of it by chance: proxies and lanes that failed together do not come back together.
  return longest / 2 + static_cast<std::uint32_t>(jitter_() % (longest / 2 + 1));
}

}  // namespace pool
