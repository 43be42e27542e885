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
#include <vector>

#include "uring/connector.h"
#include "uring/mailbox.h"

namespace uring {

class ResolveHandler {
 public:
  /// In the order to try them; none: the name has no address now. Called in the asker's thread, in a later turn.
  virtual void on_resolved(std::vector<SocketAddress> addresses) = 0;

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

/// A few threads for the whole process, so that a name whose server does not answer keeps no other waiting; none before
/// the first question. A name is looked up once for all who ask meanwhile. Thread: resolve() may be called by any.
class Resolver {
 public:
  Resolver() = default;
  /// Ends the threads; no ring that asked may be in use any more.
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  /// Answers into the ring `asker_fd` (Ring::fd of the calling thread).
  [[nodiscard]] std::unique_ptr<Resolution> resolve(std::string host, std::uint16_t port, int asker_fd,
                                                    ResolveHandler& handler);

 private:
  static constexpr std::size_t kThreads = 4;

  void run();
  [[nodiscard]] Resolution::Answer* take_question();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Resolution::Answer*> questions_;
  std::vector<Resolution::Answer*> under_way_;  ///< being looked up
  std::vector<std::thread> threads_;
  std::size_t idle_ = 0;  ///< threads that wait for a question
  bool stopping_ = false;
};

}  // namespace uring
