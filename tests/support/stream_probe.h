// A Stream with a handler that notes all it hears, and holds it to its promises: what arrives after the end, an end
// heard twice, a close heard twice, and one heard of a socket that was given away fail the test.
// Thread: one.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/turns.h"

namespace tests {

class StreamProbe final : public uring::StreamHandler {
 public:
  StreamProbe(Turns& turns, std::pair<int, int> sockets) : peer(sockets.second), turns_(turns) {
    stream = std::make_unique<uring::Stream>(turns.room, *this);
    stream->open(sockets.first);
  }
  ~StreamProbe() {
    const bool is_released = stream->is_closed() && closed == 0;
    stream->close();
    leases.clear();
    EXPECT_TRUE(turns_.until([this] { return stream->is_closed(); }));
    EXPECT_EQ(closed, is_released ? 0 : 1);
  }

  void append(std::string_view bytes) { stream->queue().append(turns_.chunks, bytes); }
  void send(std::string_view bytes) {
    append(bytes);
    stream->flush();
  }
  [[nodiscard]] bool ended() const { return !ends.empty(); }

  Peer peer;
  std::unique_ptr<uring::Stream> stream;
  std::string received;
  std::vector<uring::Lease> leases;  ///< kept while keep_leases
  std::vector<int> ends;             ///< errors of on_ended
  int sent = 0;
  int pauses = 0;
  int closed = 0;
  bool keep_leases = false;
  bool echo = false;
  std::uint32_t fill = 0;  ///< when not 0, each receive is followed by one of so many bytes into a place of our own
  int fills = 0;           ///< of these, those that brought something
  std::function<void()> then_received;
  std::function<void()> then_sent;
  std::function<void()> then_ended;

 private:
  void on_received(uring::Lease lease) override {
    EXPECT_TRUE(stream->is_open());
    EXPECT_FALSE(lease.bytes().empty());
    received += lease.bytes();
    if (echo) append(lease.bytes());
    if (keep_leases) leases.push_back(std::move(lease));
    if (then_received) then_received();
    fill_next();
  }
  void on_filled(std::uint32_t bytes) override {
    EXPECT_TRUE(stream->is_open());
    EXPECT_FALSE(stream->is_filling());
    ++fills;
    received.append(place_.data(), bytes);
    if (echo) append({place_.data(), bytes});
    fill_next();
  }
  void fill_next() {
    if (fill == 0 || stream->is_filling()) return;
    place_.assign(fill, '?');
    stream->receive_into(place_.data(), fill);
  }
  void on_paused() override {
    EXPECT_TRUE(stream->input_is_free());
    ++pauses;
  }
  void on_ended(int error) override {
    ends.push_back(error);
    if (then_ended) then_ended();
  }
  void on_sent() override {
    ++sent;
    if (then_sent) then_sent();
  }
  void on_closed() override { ++closed; }

  Turns& turns_;
  std::vector<char> place_;
};

}  // namespace tests
