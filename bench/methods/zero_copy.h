// A receive into a registered buffer, then SEND_ZC out of it: the network takes the pages themselves where it can. Over
// loopback it cannot: the kernel copies when the pages reach the receiving socket, and says so in the notification. A
// buffer is free again when its notification has come, so each route turns several.
#pragma once

#include <array>
#include <deque>
#include <memory>

#include "bench/methods/method.h"

namespace methods {

class ZeroCopy final : public Method {
 public:
  explicit ZeroCopy(Work& work) : work_(work) {}
  void start() override;

 private:
  static constexpr std::size_t kSlots = 4;
  class Line;

  /// free -> receiving -> full -> sending (until its notification) -> free
  struct Slot {
    enum class State { kFree, kReceiving, kFull, kSending };
    Slot(Line& owner, char* memory, std::uint16_t registered);
    void on_receive(uring::Completion completion);
    void on_send(uring::Completion completion);

    Line& line;
    char* bytes;
    const std::uint16_t index;  ///< as registered with the ring
    std::uint32_t length = 0;
    State state = State::kFree;
    uring::Operation receive;
    uring::Operation send;
  };

  class Line {
   public:
    Line(Work& work, Route route, char* memory, std::uint16_t first_index);
    /// Starts the next receive and the next send, where their turn has come.
    void pump();
    void on_sent(std::uint64_t bytes);
    void on_received() { receiving_ = false; }

   private:
    void receive(Slot& slot);
    void send(Slot& slot);

    Work& work_;
    const Route route_;
    std::deque<Slot> slots_;  // used in a circle
    std::size_t next_receive_ = 0, next_send_ = 0;
    bool receiving_ = false, sending_ = false;
  };

  Work& work_;
  std::deque<Line> lines_;
};

}  // namespace methods
