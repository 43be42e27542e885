// Keeps the clients of a proxy in motion: each time one has been answered, it goes to the next worker.
// Thread: one, as the proxy's stop().
#pragma once

#include <chrono>
#include <span>
#include <vector>

#include "src/errand.h"
#include "src/worker.h"
#include "tests/support/turns.h"
#include "uring/ring.h"

namespace tests {

class Shuffle {
 public:
  explicit Shuffle(std::span<sluice::Worker* const> workers) : workers_(workers) {
    require(!letters_.open(8), "a ring");
  }

  /// The workers may have orders of their own when they are busy; then it has to be said again.
  void start(bool drains = false) {
    order([this](std::size_t from) { return (from + 1) % workers_.size(); }, drains);
  }
  /// All come to the first worker, and stay.
  void gather() {
    order([](std::size_t) { return 0; });
  }
  void stop() {
    order([](std::size_t from) { return from; });
  }

 private:
  template <typename Next>
  void order(Next next, bool drains = false) {
    for (std::size_t from = 0; from < workers_.size(); ++from) {
      sluice::Worker::HandOver order{.shares = {}, .least_age_ms = 0, .drains = drains};
      if (const auto to = static_cast<unsigned>(next(from)); to != from)
        order.shares.push_back({.to = to, .part = 1.0});
      run_in(*workers_[from], letters_, [&worker = *workers_[from], order] { worker.hand_over(order); });
    }
    require(!letters_.wait(0, std::chrono::nanoseconds(0)), "the letters are posted");
  }

  std::span<sluice::Worker* const> workers_;
  uring::Ring letters_;
};

}  // namespace tests
