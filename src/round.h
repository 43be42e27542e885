// What one client asks of every worker: a letter that goes from worker to worker in turn, and home, where it answers.
// Survives its client. Thread: that of the worker it is at.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "pool/pending_reply.h"
#include "resp/types.h"
#include "uring/mailbox.h"

namespace sluice {

class Session;
class Worker;

class Round : public uring::Letter {
 public:
  /// Destroys itself when it has answered.
  static void start(std::unique_ptr<Round> round);

 protected:
  /// Takes its place in the session's line.
  explicit Round(Session& session);

  /// In the thread of `worker`.
  virtual void visit(Worker& worker) = 0;
  /// At home, when all have been visited.
  [[nodiscard]] virtual std::string reply() = 0;

  [[nodiscard]] resp::Protocol protocol() const { return protocol_; }
  [[nodiscard]] std::size_t workers() const { return workers_.size(); }

 private:
  void go_on(Worker& from);
  void on_delivered() override;

  pool::PendingReply& place_;
  Worker& home_;
  resp::Protocol protocol_;
  const std::vector<Worker*>& workers_;
  std::size_t visited_ = 0;
};

}  // namespace sluice
