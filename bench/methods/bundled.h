// Receive and send bundles (6.10): one completion of a multishot receive fills as many buffers as bytes are there, and
// one send takes all buffers that its route has queued in a buffer ring of its own. No copy in user space.
#pragma once

#include <deque>
#include <vector>

#include "bench/methods/method.h"

namespace methods {

/// A provided buffer ring whose entries are seen in order: bundles name only the first buffer they took.
class BufferLine {
 public:
  void open(uring::Ring& ring, std::uint16_t group, std::uint32_t entries);
  void add(char* bytes, std::uint32_t length, std::uint16_t id);
  /// What was added is the kernel's to use.
  void publish();
  /// The kernel has used its next buffer: its id.
  [[nodiscard]] std::uint16_t take();
  [[nodiscard]] bool empty() const { return head_ == tail_; }
  [[nodiscard]] std::uint16_t group() const { return group_; }

 private:
  io_uring_buf_ring* entries_ = nullptr;
  std::vector<std::uint16_t> ids_;
  std::uint32_t mask_ = 0;
  std::uint32_t head_ = 0, tail_ = 0;  // head <= tail: with the kernel
  int added_ = 0;
  std::uint16_t group_ = 0;
};

class Bundled final : public Method {
 public:
  explicit Bundled(Work& work) : work_(work) {}
  void start() override;
  bool end_turn() override;

 private:
  struct Piece {
    std::uint16_t buffer;
    std::uint32_t length;
  };

  class Line {
   public:
    Line(Bundled& method, Route route, std::uint16_t group);
    void receive();
    void flush();
    [[nodiscard]] bool starved() const { return !receive_.in_flight(); }

   private:
    void on_receive(uring::Completion completion);
    void on_send(uring::Completion completion);
    void send();

    Bundled& method_;
    const Route route_;
    uring::Operation receive_;
    uring::Operation send_;
    BufferLine outgoing_;
    std::vector<Piece> received_;
    std::deque<Piece> sending_;
  };

  [[nodiscard]] char* address(std::uint16_t buffer);
  void give_back(std::uint16_t buffer);

  Work& work_;
  char* memory_ = nullptr;
  BufferLine incoming_;
  std::deque<Line> lines_;
};

}  // namespace methods
