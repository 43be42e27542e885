// How many arrivals a turn is worth waking up for. Under load completions come so close together that one turn can take
// several, and each turn saved saves a wake-up and makes every send fuller.
//
// Nobody waits for what will not come: no more arrivals are waited for than the recent rate brings within the patience,
// nor than can come at all: from active clients that wait for nothing, and from the lanes that owe replies. And where
// only few can come nobody waits: they would end up in step, everybody idle while one of them works. So a lone client's
// request never waits, nor do the last replies of a burst. Thread: one worker.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <utility>

namespace sluice {

class Pace {
 public:
  /// So many workers share the load; one until this is said.
  void share(std::size_t workers) {
    patience_ = workers > 1 ? 2 * kPatience : kPatience;
    fewest_ = workers > 1 ? kFewestOfSeveral : kFewestWaitedFor;
  }

  /// The longest a completion may wait for others.
  [[nodiscard]] std::chrono::microseconds patience() const { return patience_; }

  /// A client has sent something; the last time it did was at `before_ms`.
  void count_client(std::uint32_t now_ms, std::uint32_t before_ms) {
    requests_came_ = true;
    if (now_ms == before_ms) return;
    if (now_ms != active_ms_) {
      // The last full millisecond counts; one in which nothing came counts as empty.
      active_before_ = now_ms - active_ms_ == 1 ? active_ : Clients{};
      active_ = {};
      active_ms_ = now_ms;
    }
    ++active_.all;
    if (now_ms - before_ms == 1) ++active_.quick;
  }

  /// After each turn: how many completions it took (sends not counted), how many bytes have come since ever, at which
  /// time.
  void count(unsigned arrivals, std::uint64_t all_bytes, std::uint64_t now_ns) {
    const std::uint64_t bytes = all_bytes - std::exchange(last_bytes_, all_bytes);
    in_vain_ = arrivals == 0;
    if (arrivals > 0 && bytes / arrivals >= kFullArrivalBytes) full_ns_ = now_ns;
    const std::uint64_t elapsed = std::max<std::uint64_t>(now_ns - std::exchange(last_ns_, now_ns), 1);
    // How long nothing was asked for does not tell how close requests come when they do.
    if (paused_) return;
    const double patience_ns = static_cast<double>(std::chrono::nanoseconds(patience_).count());
    const double within_patience = static_cast<double>(arrivals) * patience_ns / static_cast<double>(elapsed);
    expected_ += (within_patience - expected_) / 16;  // averaged over some sixteen turns
  }

  /// Completions the next turn waits for, at least 1. `waiting_clients` wait for replies and as a rule send nothing,
  /// `busy_lanes` owe some, `owed` in all. While requests arrive, each client of the last millisecond may send another;
  /// after that only those that do so again within a millisecond.
  [[nodiscard]] unsigned wanted(unsigned waiting_clients, unsigned busy_lanes, std::size_t owed) {
    const Clients active = most(active_, active_before_);
    const unsigned clients = std::exchange(requests_came_, false) ? active.all : active.quick;
    // Large values come in large pieces, and what comes next may be what one of them waits for.
    const bool full = last_ns_ - full_ns_ <= kStillFullNs;
    paused_ = in_vain_ || full || (waiting_clients == 0 && busy_lanes == 0);
    if (paused_) return 1;
    const unsigned possible =
        clients - std::min(clients, waiting_clients) + busy_lanes + static_cast<unsigned>(owed / kRepliesPerArrival);
    if (possible < fewest_) return 1;
    return std::clamp(static_cast<unsigned>(expected_), 1U, std::min(possible, kMostWanted));
  }

 private:
  // Measured from 50 to 400 with one worker. Of two each has half of the arrivals: to fill a turn takes twice as long.
  // Measured from 200 to 1000, more than 400 saves little, and delays what comes in pipelines.
  static constexpr std::chrono::microseconds kPatience{200};
  static constexpr std::size_t kRepliesPerArrival = 32;  // a busy node's replies come in pieces of about so many
  static constexpr unsigned kFewestWaitedFor = 12;       // measured: 4 to 16 clients, from 6 to 16
  static constexpr unsigned kFewestOfSeveral = 8;        // workers: while one waits, others work. Measured: 4 to 12
  static constexpr unsigned kMostWanted = 64;            // more fills no send further
  static constexpr std::uint64_t kFullArrivalBytes = 16U << 10;
  static constexpr std::uint64_t kStillFullNs = 1'000'000;

  /// Of one millisecond: who sent something, and of them who had done so in the one before.
  struct Clients {
    unsigned all = 0;
    unsigned quick = 0;
  };
  static Clients most(Clients one, Clients other) {
    return {std::max(one.all, other.all), std::max(one.quick, other.quick)};
  }

  std::chrono::microseconds patience_ = kPatience;
  unsigned fewest_ = kFewestWaitedFor;
  bool requests_came_ = false;  ///< since the last turn
  bool in_vain_ = true;         ///< nothing came in the last turn's time
  bool paused_ = true;          ///< this turn waits for the first that comes, however long
  double expected_ = 0;
  std::uint64_t last_ns_ = 0;
  std::uint64_t last_bytes_ = 0;
  std::uint64_t full_ns_ = 0;  ///< when much came at once
  std::uint32_t active_ms_ = 0;
  Clients active_;
  Clients active_before_;
};

}  // namespace sluice
