// A connected socket: bytes come in as leases, go out from a SendQueue with one send per turn.
//
// Life: open(fd) -> receiving and sending -> close() -> closed. Closing is one path whoever asks for it: the socket is
// shut down, which completes what is in flight; the last completion submits the close of the descriptor; then the
// handler hears on_closed() and may destroy the stream at the end of the turn. The handler is called only from within
// Ring::deliver. Thread: that of its ring.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "uring/buffer_ring.h"
#include "uring/operation.h"
#include "uring/send_queue.h"

namespace uring {

/// What a stream tells its owner. None of these may destroy the stream.
class StreamHandler {
 public:
  virtual void on_received(Lease lease) = 0;
  /// What receive_into() asked for has come, or some of it.
  virtual void on_filled(std::uint32_t) {}
  /// A receive was under way when the stream was paused, and has ended: all that the kernel had received has come.
  virtual void on_paused() {}
  /// The other side has closed (error 0) or the connection broke (errno). Called once; the owner calls close().
  virtual void on_ended(int error) = 0;
  /// A send has completed, or await_output() come true. What the queue holds waits for a flush().
  virtual void on_sent() = 0;
  /// Nothing is in flight any more, the descriptor is closed.
  virtual void on_closed() = 0;

 protected:
  ~StreamHandler() = default;
};

/// Whoever reads or writes a stream's socket in its place for a while. Called from within Ring::deliver.
class StreamTap {
 public:
  virtual ~StreamTap() = default;
  /// The stream receives no more, or await_input() has come true.
  virtual void on_input() = 0;
  /// The stream has sent all that was queued, or await_output() has come true.
  virtual void on_output() = 0;
};

class Stream;

/// What the streams of one kind share. Owned by the worker, outlives them.
struct StreamRoom {
  Ring& ring;
  BufferRing& buffers;
  ChunkPool& chunks;
  /// A connection of which so much has come pauses until the next turn, so that its owner can stop it; 0: it does not
  /// (without Features::limited_receive).
  std::uint32_t receive_limit = 0;
  std::uint64_t receives = 0;
  std::uint64_t bytes_received = 0;
  std::uint64_t sends = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t starvations = 0;      ///< receives that ended for want of a buffer
  std::vector<Stream*> starved = {};  ///< of this turn
  std::vector<Stream*> served = {};   ///< likewise, while buffers are scarce: those whose receive has brought something
  bool is_scarce = false;             ///< some were starved in the turn before

  /// Receives again, the starved first: else those that were served would take all buffers turn after turn. Once per
  /// turn, when the turn's leases have returned.
  void rearm();
};

class Stream {
 public:
  Stream(StreamRoom& room, StreamHandler& handler);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  /// Takes the connected socket and starts to receive. Only when fresh or closed.
  void open(int fd);
  /// Asks for the end; returns at once. Queued bytes are dropped; see drain_and_close for a last reply. Idempotent.
  void close();
  /// Sends what is queued, then closes. No more is received.
  void drain_and_close();

  /// What is appended here goes out at the next flush.
  [[nodiscard]] SendQueue& queue() { return queue_; }
  [[nodiscard]] const SendQueue& queue() const { return queue_; }
  /// Starts one send of all that is queued, unless one is in flight.
  void flush();
  /// A send is with the kernel. Of one that a socket has room for, that is seen only within the turn that starts it.
  [[nodiscard]] bool is_sending() const { return send_.in_flight(); }

  /// At most that many bytes with one receive, which is started anew each time; 0: all that comes, as it comes. A tap
  /// finds more of what it is to read still in the socket. Holds from the next receive that is started.
  void receive_at_most(std::uint32_t bytes) { receive_bytes_ = bytes; }

  /// One receive that goes straight to `place`, `bytes` at most; then leases come again. In vain while another receive
  /// is under way, as it is while leases come, or the stream is paused. The memory is the kernel's while is_filling().
  void receive_into(char* place, std::uint32_t bytes);
  [[nodiscard]] bool is_filling() const { return fills_; }

  /// Stops receiving until resume(). What the kernel had received already still arrives.
  void pause();
  void resume();
  [[nodiscard]] bool paused() const { return paused_; }

  /// Gives the socket away, for another stream to open: this one is closed then, without on_closed(). Only when open,
  /// with nothing in flight and nothing queued.
  [[nodiscard]] int release();

  /// Hands the reading of the socket to `tap`. What the kernel had received already still goes to the handler; then the
  /// tap hears so, and may read. Nobody pauses or resumes the stream meanwhile.
  void tap_input(StreamTap& tap);
  /// Receives again.
  void untap_input();
  [[nodiscard]] bool input_is_free() const { return !receive_.in_flight(); }
  /// The tap hears when there is something to read, or the end.
  void await_input();
  /// The same for the writing side: nothing is queued meanwhile. The tap hears when all that was queued is sent.
  void tap_output(StreamTap& tap) { output_tap_ = &tap; }
  void untap_output() { output_tap_ = nullptr; }
  [[nodiscard]] bool output_is_free() const { return !send_.in_flight() && queue_.bytes() == 0; }
  void await_output();

  [[nodiscard]] bool is_open() const { return state_ == State::kOpen || state_ == State::kDraining; }
  [[nodiscard]] bool is_closed() const { return state_ == State::kClosed; }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  friend struct StreamRoom;
  enum class State : std::uint8_t { kClosed, kOpen, kDraining, kClosing };

  [[nodiscard]] bool may_receive() const;
  void receive();
  void cancel_receive();
  void on_receive(Completion completion);
  void hand_over(Completion completion, bool filled);
  void on_send(Completion completion);
  void on_close(Completion completion);
  void end(int error);
  void join();

  StreamRoom& room_;
  StreamHandler& handler_;
  SendQueue queue_;
  Operation receive_;
  Operation send_;
  Operation close_;
  StreamTap* input_tap_ = nullptr;
  StreamTap* output_tap_ = nullptr;
  int fd_ = -1;
  std::uint32_t receive_bytes_ = 0;
  State state_ = State::kClosed;
  bool paused_ = false;
  bool starved_ = false;  ///< stands in the room's list, to be armed again
  bool ended_ = false;
  bool polls_input_ = false;   ///< what is in flight as receive_ is a poll
  bool polls_output_ = false;  ///< the same of send_
  bool fills_ = false;         ///< what is in flight as receive_ is a receive_into()
};

}  // namespace uring
