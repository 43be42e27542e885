// A pool on a real ring in front of a scripted server, with a clock that the test sets. Every request is numbered, and
// what it hears is noted; one that hears twice, or never until the pool is gone, fails the test. Thread: one.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pool/pool.h"
#include "resp/writer.h"
#include "tests/support/fake_server.h"
#include "tests/support/turns.h"
#include "uring/resolver.h"

namespace tests {

/// What a request has heard.
struct Outcome {
  std::optional<std::string> reply;
  std::optional<pool::Loss> loss;
  std::string reason;
};

inline std::string request_bytes(std::initializer_list<std::string_view> words) {
  std::string bytes;
  resp::write_request(bytes, words);
  return bytes;
}

class PoolRig final : public pool::PoolHandler, public pool::ReplySink {
 public:
  explicit PoolRig(pool::Settings settings = {}, BufferShape shape = {.count = 32, .size = 4096})
      : turns(shape, 64, 512), pending(turns.chunks), now_ms(1000) {
    pool = std::make_unique<pool::Pool>(turns.room, resolver, pending, *this, std::move(settings));
    pool->set_clock(now_ms, now_ms * 1000);
    turns.at_end = [this] { pool->flush(); };
  }
  ~PoolRig() {
    pool->retire();
    EXPECT_TRUE(until([this] { return pool->gone(); }));
    pool.reset();
    for (const auto& outcome : outcomes) EXPECT_TRUE(outcome) << "a request has never heard anything";
    EXPECT_EQ(pending.in_use(), 0U);
    EXPECT_EQ(turns.chunks.bytes_in_use(), 0U);
    EXPECT_EQ(turns.buffers.held(), 0U);
  }

  [[nodiscard]] pool::Node& node() { return pool->node("127.0.0.1", server.port()); }
  [[nodiscard]] pool::Lane& lane(const pool::LaneKey& key = {}) { return node().lane(key, 0); }

  /// Enqueues a request; returns its number.
  std::size_t ask(pool::Lane& on, std::initializer_list<std::string_view> words) {
    pool::PendingReply& reply = numbered();
    on.enqueue(reply, request_bytes(words));
    return reply.part;
  }
  std::size_t ask(std::string_view text) { return ask(lane(), {"ECHO", text}); }
  /// A pending reply with the next number, for a test that enqueues it by hand.
  [[nodiscard]] pool::PendingReply& numbered() {
    pool::PendingReply& reply = pending.take();
    reply.sink = this;
    reply.part = static_cast<std::uint16_t>(outcomes.size());
    outcomes.emplace_back();
    return reply;
  }

  void turn(int count = 1) {
    for (int i = 0; i < count; ++i) {
      server.serve();
      turns.turn();
    }
  }
  template <typename Condition>
  [[nodiscard]] bool until(Condition condition) {
    return turns.until([&] {
      server.serve();
      return condition();
    });
  }
  [[nodiscard]] bool heard(std::size_t number) const { return outcomes[number].has_value(); }
  [[nodiscard]] bool all_heard() const { return order.size() == outcomes.size(); }
  [[nodiscard]] bool hears(std::size_t number) {
    return until([&] { return heard(number); });
  }
  [[nodiscard]] bool becomes_ready(pool::Lane& which) {
    return until([&] { return which.ready(); });
  }
  [[nodiscard]] bool becomes_idle(pool::Lane& which) {
    return until([&] { return which.idle(); });
  }
  /// Time passes, and the pool looks at it.
  void advance(std::uint32_t ms) {
    now_ms += ms;
    pool->set_clock(now_ms, now_ms * 1000);
    pool->tick(now_ms);
  }

  /// The reply of a request that was answered; what happened instead when it was not.
  [[nodiscard]] std::string reply_of(std::size_t number) const {
    if (!outcomes[number]) return "(nothing)";
    return outcomes[number]->reply.value_or("(lost: " + outcomes[number]->reason + ")");
  }
  [[nodiscard]] std::optional<pool::Loss> loss_of(std::size_t number) const {
    return outcomes[number] ? outcomes[number]->loss : std::nullopt;
  }

  Turns turns;
  FakeServer server;
  uring::Resolver resolver;
  pool::PendingReplies pending;
  std::unique_ptr<pool::Pool> pool;
  std::uint32_t now_ms;
  std::vector<std::optional<Outcome>> outcomes;  ///< by number
  std::vector<std::size_t> order;                ///< numbers in the order they heard
  std::vector<std::string> lost_reasons;         ///< of on_node_lost
  std::size_t nodes_ready = 0;
  std::size_t rooms = 0;
  std::size_t replaced = 0;
  std::function<void(pool::PendingReply&)> then_lost;  ///< takes the pending reply over
  bool takes_two = false;                              ///< strings may come in two
  std::size_t in_two = 0;                              ///< replies that did
  std::size_t taken = 0;                               ///< replies and halves of such that were on offer

 private:
  void note(const pool::PendingReply& reply, Outcome outcome) {
    EXPECT_FALSE(outcomes[reply.part]) << "request " << reply.part << " has heard twice";
    outcomes[reply.part] = std::move(outcome);
    order.push_back(reply.part);
  }
  void take(std::string_view bytes) {
    if (uring::Chunk* chunk = pool->offer().take(bytes, turns.chunks, true)) {
      EXPECT_EQ(chunk->data(), bytes.data());
      turns.chunks.release(chunk);
      ++taken;
    }
  }
  bool takes_in_two(const pool::PendingReply&, char mark) const override { return takes_two && mark == '$'; }
  void on_reply_in_two(pool::PendingReply& reply, std::string_view first, std::string_view rest) override {
    ++in_two;
    note(reply, {.reply = std::string(first).append(rest), .loss = std::nullopt, .reason = ""});
    take(first);
    take(rest);
    pending.release(reply);
  }
  void on_reply(pool::PendingReply& reply, std::string_view bytes) override {
    note(reply, {.reply = std::string(bytes), .loss = std::nullopt, .reason = ""});
    take(bytes);
    pending.release(reply);
  }
  void on_lost(pool::PendingReply& reply, pool::Loss loss, std::string_view reason) override {
    if (then_lost) return then_lost(reply);
    note(reply, {.reply = std::nullopt, .loss = loss, .reason = std::string(reason)});
    pending.release(reply);
  }
  void on_node_ready(pool::Node&) override { ++nodes_ready; }
  void on_node_lost(pool::Node&, std::string_view reason) override { lost_reasons.emplace_back(reason); }
  void on_lane_replaced() override { ++replaced; }
  void on_room() override { ++rooms; }
};

}  // namespace tests
