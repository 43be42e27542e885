// Something to be done in another worker's thread, as a letter to it.
#pragma once

#include <memory>
#include <utility>

#include "src/worker.h"
#include "uring/mailbox.h"

namespace sluice {

template <typename Call>
class Errand final : public uring::Letter {
 public:
  explicit Errand(Call call) : call_(std::move(call)) {}

 private:
  void on_delivered() override {
    const std::unique_ptr<Errand> self(this);
    call_();
  }
  Call call_;
};

/// Calls `call` in the thread of `there`, in one of its next turns, after all that was sent there from `ring` before.
/// It is lost when that worker has ended. Thread: that of `ring`.
template <typename Call>
void run_in(Worker& there, uring::Ring& ring, Call call) {
  auto errand = std::make_unique<Errand<Call>>(std::move(call));
  there.mailbox().post(ring, *errand.release());
}

/// The same; at once when `there` is `here`, the caller's own.
template <typename Call>
void run_in(Worker& there, Worker& here, Call call) {
  if (&there == &here) return call();
  run_in(there, here.ring(), std::move(call));
}

}  // namespace sluice
