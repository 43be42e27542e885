// IORING_OP_SPLICE from the socket into a pipe, then from the pipe to the other socket, in turn. The kernel gives each
// to a thread of its own (io-wq), which waits there until it can do it.
#pragma once

#include <deque>

#include "bench/methods/method.h"

namespace methods {

class Punted final : public Method {
 public:
  Punted(Work& work, std::uint32_t pipe_bytes) : work_(work), pipe_bytes_(pipe_bytes) {}
  void start() override;

 private:
  class Line {
   public:
    Line(Work& work, Route route, std::uint32_t pipe_bytes);
    void fill();

   private:
    void drain();
    void on_filled(uring::Completion completion);
    void on_drained(uring::Completion completion);

    Work& work_;
    const Route route_;
    uring::Operation fill_;
    uring::Operation drain_;
    int read_end_ = -1;
    int write_end_ = -1;
    std::uint32_t capacity_;
    std::uint32_t bytes_ = 0;  // in the pipe
  };

  Work& work_;
  const std::uint32_t pipe_bytes_;
  std::deque<Line> lines_;
};

}  // namespace methods
