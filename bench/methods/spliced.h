// Readiness from the ring, then splice(2) from the socket into a pipe and from the pipe to the other socket, as
// uring::Relay does it, with what it leaves open as choices: the pipe's size, SO_RCVLOWAT, how a message begins, and
// whether the sockets are O_NONBLOCK for the whole of a message (QuietPipe) or for each call alone (uring::Pipe).
#pragma once

#include <deque>

#include "bench/methods/method.h"
#include "bench/methods/quiet_pipe.h"
#include "uring/buffer_ring.h"
#include "uring/pipe.h"

namespace methods {

struct SpliceChoice {
  enum class Start {
    kPoll,       ///< the first byte is spliced
    kReceive,    ///< one receive takes at most head_bytes, the rest is spliced
    kMultishot,  ///< a multishot receive takes the first bytes; it is cancelled, takes what comes until then
  };
  std::uint32_t pipe_bytes = 256U << 10;
  std::uint32_t low_water_bytes = 0;  ///< SO_RCVLOWAT is the lesser of this and what is left; 0: left alone
  Start start = Start::kPoll;
  std::uint32_t head_bytes = 0;  ///< 0: what one buffer holds
};

/// `PipeType`: uring::Pipe or QuietPipe.
template <typename PipeType>
class Spliced final : public Method {
 public:
  Spliced(Work& work, SpliceChoice choice) : work_(work), choice_(choice) {}
  void start() override;
  bool end_turn() override;

 private:
  class Line {
   public:
    Line(Spliced& method, Route route);
    void begin_message();
    /// Sends what was received, or goes on to splice. True: its share of the turn is used up.
    bool end_turn();

   private:
    void receive();
    void cancel();
    void send_leases();
    void on_receive(uring::Completion completion);
    void on_send(uring::Completion completion);
    void on_input(uring::Completion completion);
    void on_output(uring::Completion completion);
    void pump();
    void finish_message();
    void await_input();
    void await_output();
    void set_low_water();
    void set_nonblocking(bool on);

    Spliced& method_;
    const Route route_;
    PipeType pipe_;
    uring::Operation receive_;
    uring::Operation send_;
    uring::Operation input_;
    uring::Operation output_;
    std::deque<uring::Lease> leases_;  // the first `sending_` of them are with the kernel
    unsigned sending_ = 0;
    std::uint64_t left_ = 0;  // of the message, still to be read
    std::uint32_t low_water_ = 1;
    bool going_on_ = false;  // to be pumped at the end of the turn
    bool nonblocking_ = false;
  };

  Work& work_;
  const SpliceChoice choice_;
  uring::BufferRing buffers_;
  std::deque<Line> lines_;
};

extern template class Spliced<uring::Pipe>;
extern template class Spliced<QuietPipe>;

}  // namespace methods
