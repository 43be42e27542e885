// How many of the workers serve the clients that are active, and who hands how many of them to whom.
//
// A worker that has much to do has full turns, which cost each request the least; two that have half of it each cost a
// third more in all, and answer later. So active clients are gathered at as few workers as have room for them, and are
// spread over more as soon as these are busy. What counts is what a worker has used of a core, not how many clients it
// has. Thread: the first worker's.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace sluice {

class Balance {
 public:
  explicit Balance(std::size_t workers) : used_(workers, 0.0) {}

  /// A part of one worker's active clients, up to 1, that goes to another.
  struct Share {
    unsigned to;
    double part;
  };
  /// Once per tick: what part of a core (0 to 1) each worker has used since the last. What each hands over until the
  /// next: most of them nothing.
  [[nodiscard]] std::vector<std::vector<Share>> plan(std::span<const double> used);

  /// The worker for a new client, of which nothing is known yet: of those that use least, the one with the fewest.
  [[nodiscard]] std::size_t choose(std::span<const std::size_t> clients) const;

  /// The first so many workers serve active clients.
  [[nodiscard]] std::size_t in_use() const { return in_use_; }

 private:
  // Who uses more of a core has no room for more, and lets its clients wait.
  static constexpr double kBusy = 0.6;
  // What each has when more are taken into use. Twice as many, when those in use can do no more.
  static constexpr double kAim = 0.5;
  // One fewer would do when each had less than this: well below what takes another into use.
  static constexpr double kSpare = 0.4;
  static constexpr unsigned kCalmTicks = 20;  // for which one fewer would have done
  // What makes a difference: a busy worker hands clients to one that uses so much less.
  static constexpr double kGap = 0.25;
  static constexpr double kTrifle = 0.03;    // those not in use are left alone while all of them use less
  static constexpr unsigned kRestTicks = 5;  // until what was handed over shows
  static constexpr unsigned kLongestRest = 100;

  [[nodiscard]] double total() const;
  [[nodiscard]] bool adjust();
  [[nodiscard]] std::vector<std::vector<Share>> shares(bool levels) const;

  std::vector<double> used_;  ///< averaged over some ticks
  std::size_t in_use_ = 1;
  unsigned calm_ = 0;            ///< ticks for which one worker fewer would have done
  unsigned rest_ = 0;            ///< ticks until the next look at who is busy
  unsigned pause_ = kRestTicks;  ///< the rest after the next levelling: longer each time it was in vain
};

}  // namespace sluice
