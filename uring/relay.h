// A given number of bytes on their way from one stream's socket to another's, by splice(2) through a pipe: nothing is
// copied in user space and nothing is held but what the pipe holds. IORING_OP_SPLICE would run on a thread of its own
// (io-wq), so readiness comes from the ring and the calls are made here, non-blocking.
//
// While it runs it reads the source's socket and writes the target's in the streams' place (StreamTap). It begins when
// the source has stopped to receive and the target has sent all that was queued. Both streams outlive it or are closed
// only after stop(). Thread: that of the ring.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "uring/pipe.h"
#include "uring/stream.h"

namespace uring {

class Relay;

/// What a relay tells its owner, inside the turn. The owner may stop() it, but not destroy it, from within.
class RelayHandler {
 public:
  /// All bytes are with the target's socket; both streams are the owner's again.
  virtual void on_relayed() = 0;
  /// The source has ended (error 0) or broken before all had come.
  virtual void on_source_broken(int error) = 0;
  /// The target takes no more; it has been shut down, so its own stream ends too.
  virtual void on_target_broken(int error) = 0;
  /// The target takes no more at the moment. The relay waits; the owner may stop() it instead.
  virtual void on_target_full() {}

 protected:
  ~RelayHandler() = default;
};

/// What the relays of one worker share.
struct RelayRoom {
  PipePool pipes;
  std::uint64_t relayed_bytes = 0;
  std::vector<Relay*> going_on = {};  ///< have used up their share of this turn

  /// Once per turn: those go on.
  void pump();
};

class Relay final : public StreamTap {
 public:
  /// Bytes that one relay moves in one turn: others wait that long.
  static constexpr std::uint64_t kShare = 512U << 10;
  /// Times in a row that the source may be found without anything to read when it should have something.
  static constexpr std::uint32_t kMostFutile = 64;

  Relay(RelayRoom& room, RelayHandler& handler) : room_(room), handler_(handler) {}
  ~Relay() override { stop(); }
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  /// `bytes` > 0 of the source's next, after what its handler still hears while it stops. False: no pipe to be had.
  [[nodiscard]] bool start(Stream& source, Stream& target, std::uint64_t bytes);
  [[nodiscard]] bool running() const { return source_ != nullptr; }
  /// Bytes that are still to be read from the source.
  [[nodiscard]] std::uint64_t left() const { return left_; }
  /// `bytes` of them came while the source was stopping, and are queued at the target by the owner.
  void skip(std::uint64_t bytes);
  /// Ends it in the middle; what the pipe holds is lost, unless taken before.
  void stop();
  /// What the pipe holds: the next bytes for the target, before those still in the source's socket. stop() must follow.
  [[nodiscard]] std::string take_rest();

 private:
  friend struct RelayRoom;
  void on_input() override;
  void on_output() override;
  void pump();
  void finish();

  RelayRoom& room_;
  RelayHandler& handler_;
  Stream* source_ = nullptr;
  Stream* target_ = nullptr;
  std::unique_ptr<Pipe> pipe_;
  std::uint64_t left_ = 0;
  std::uint32_t futile_ = 0;  ///< times in a row that there was something to read, and could not be had
  bool going_on_ = false;     ///< stands in the room's list
};

}  // namespace uring
