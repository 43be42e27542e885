// The house's own streams: a multishot receive into leased buffers, each lease copied into the target's queue, one send
// per turn, and turns that wait for more than their sends (uring::Ring::count_send). What a proxy does that gathers the
// requests of many clients.
#pragma once

#include <deque>

#include "bench/methods/method.h"
#include "uring/buffer_ring.h"
#include "uring/chunk.h"
#include "uring/stream.h"

namespace methods {

class Copied final : public Method {
 public:
  explicit Copied(Work& work);
  void start() override;
  bool end_turn() override;

 private:
  /// The writing end of a route.
  class Target final : public uring::StreamHandler {
   public:
    Target(uring::StreamRoom& room, int fd);
    [[nodiscard]] uring::Stream& stream() { return stream_; }
    void feed(uring::Stream* source) { source_ = source; }

   private:
    void on_received(uring::Lease lease) override;
    void on_ended(int error) override;
    void on_sent() override;
    void on_closed() override {}

    uring::Stream stream_;
    uring::Stream* source_ = nullptr;
  };

  /// The reading end. It pauses when the target holds too much.
  class Source final : public uring::StreamHandler {
   public:
    Source(uring::StreamRoom& room, Target& target, int fd);

   private:
    void on_received(uring::Lease lease) override;
    void on_ended(int error) override;
    void on_sent() override {}
    void on_closed() override {}

    uring::StreamRoom& room_;
    Target& target_;
    uring::Stream stream_;
  };

  Work& work_;
  uring::BufferRing buffers_;
  uring::ChunkPool chunks_;
  uring::StreamRoom room_;
  std::deque<Target> targets_;
  std::deque<Source> sources_;
};

}  // namespace methods
