// A multishot receive into leased buffers, and one gathered send per turn of the leases as they are: no copy in user
// space. A lease returns to the kernel when its bytes are sent; a receive that finds no buffer is armed again then.
#pragma once

#include <deque>

#include "bench/methods/method.h"
#include "uring/buffer_ring.h"

namespace methods {

class Leased final : public Method {
 public:
  /// `buffers` of 128 KB each, for all routes together. `gathers`: a turn waits, within bounds of time, for a further
  /// completion than those of its sends (uring::Ring::count_send), as a worker's turns do.
  Leased(Work& work, std::uint32_t buffers, bool gathers) : work_(work), buffer_count_(buffers), gathers_(gathers) {}
  void start() override;
  bool end_turn() override;

 private:
  class Line {
   public:
    Line(Work& work, uring::BufferRing& buffers, Route route);
    void receive();
    /// True: a send has started.
    bool flush();
    [[nodiscard]] bool starved() const { return !receive_.in_flight(); }

   private:
    void on_receive(uring::Completion completion);
    void on_send(uring::Completion completion);

    Work& work_;
    uring::BufferRing& buffers_;
    const Route route_;
    uring::Operation receive_;
    uring::Operation send_;
    std::deque<uring::Lease> leases_;  // the first `sending_` of them are with the kernel
    unsigned sending_ = 0;
  };

  Work& work_;
  const std::uint32_t buffer_count_;
  const bool gathers_;
  uring::BufferRing buffers_;
  std::deque<Line> lines_;
};

}  // namespace methods
