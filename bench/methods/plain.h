// Readiness from the ring, then recv(2) into one buffer and send(2) out of it: the kernel copies twice, we never. What
// a proxy without io_uring does, with the ring in the place of epoll.
#pragma once

#include <cstddef>
#include <deque>
#include <vector>

#include "bench/methods/method.h"

namespace methods {

class Plain final : public Method {
 public:
  explicit Plain(Work& work) : work_(work) {}
  void start() override;

 private:
  class Line {
   public:
    Line(Work& work, Route route);
    void await_input();

   private:
    void on_input(uring::Completion completion);
    void on_output(uring::Completion completion);
    void pump();
    [[nodiscard]] bool send_rest();

    Work& work_;
    const Route route_;
    uring::Operation input_;
    uring::Operation output_;
    std::vector<char> buffer_;
    std::size_t begin_ = 0, end_ = 0;  // begin <= end: received and unsent
  };

  Work& work_;
  std::deque<Line> lines_;
};

}  // namespace methods
