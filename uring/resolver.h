// Host names to addresses, off the workers' threads: getaddrinfo blocks, a turn must not.
// Numeric addresses never come here.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "uring/connector.h"
#include "uring/mailbox.h"

namespace uring {

class ResolveHandler {
 public:
  /// nullptr: the name has no address now. Called in the asker's thread, in a later turn.
  virtual void on_resolved(const SocketAddress* address) = 0;

 protected:
  ~ResolveHandler() = default;
};

class Resolver;

/// One question under way. Destroying it withdraws the question: the handler hears nothing any more.
class Resolution {
 public:
  ~Resolution();
  Resolution(const Resolution&) = delete;
  Resolution& operator=(const Resolution&) = delete;

 private:
  friend class Resolver;
  class Answer;
  explicit Resolution(Answer& answer) : answer_(&answer) {}
  Answer* answer_;  // null once it has been delivered
};

/// One thread for the whole process. Thread: resolve() may be called by any.
class Resolver {
 public:
  Resolver();
  /// Ends the thread; no ring that asked may be in use any more.
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  /// Answers into the ring `asker_fd` (Ring::fd of the calling thread).
  [[nodiscard]] std::unique_ptr<Resolution> resolve(std::string host, std::uint16_t port, int asker_fd,
                                                    ResolveHandler& handler);

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Resolution::Answer*> questions_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace uring
