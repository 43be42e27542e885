// What one worker has seen of keys going by: which are asked for most (of a sample), and which have large values. Shown
// by SLUICE HOTKEYS and BIGKEYS, for all workers together.
//
// On the way of a request this is a decrement and two comparisons; nothing is allocated and no clock is read. Thread:
// one worker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string_view>
#include <vector>

#include "pool/reply_sink.h"
#include "resp/command_table.h"
#include "resp/request_parser.h"
#include "src/big_keys.h"
#include "src/key_sketch.h"
#include "src/key_window.h"
#include "src/limits.h"

namespace sluice {

/// What was counted of the sampled requests with keys.
struct HotKeys {
  KeySketch<limits::kHotKeys> sketch;
  std::uint64_t requests = 0;

  void clear() {
    sketch.clear();
    requests = 0;
  }
};

/// Since start.
struct KeyWatchCounters {
  std::uint64_t sampled = 0;       ///< requests with keys that were looked at
  std::uint64_t big_requests = 0;  ///< keys whose value was large, as often as it went by
  std::uint64_t big_replies = 0;
};

class KeyWatch {
 public:
  /// Both outlive it. `seed`: of the sample.
  KeyWatch(const resp::CommandTable& commands, const resp::RequestLimits& request_limits, std::uint32_t seed);

  /// A request that is sent to a backend, once.
  void see(const resp::Request& request) {
    if (--until_sample_ == 0) [[unlikely]]
      sample(request);
    if (request.bytes.size() >= limits::kBigValueBytes) [[unlikely]]
      see_big(request);
  }
  /// One that is sent as it comes: `bytes` of its arguments, up to the end of the first large one.
  void see_upload(const resp::Command& command, std::string_view key, std::uint64_t bytes);
  /// The reply to a request that is kept.
  void see_reply(const pool::PendingReply& pending, std::string_view reply) {
    if (reply.size() >= limits::kBigValueBytes) [[unlikely]]
      see_big_reply(pending, reply);
  }
  /// One that goes to its client in pieces, as soon as so much of it is known.
  void see_download(const pool::PendingReply& pending, const pool::LargeHead& head);

  /// The first key of a request that is kept; empty when it has none, or is kept no more. Readable up to the next call.
  [[nodiscard]] std::string_view key_of(const pool::PendingReply& pending);

  /// When the clock is set; before anything is seen.
  void start(std::uint32_t now_ms);
  /// A few times a second.
  void tick(std::uint32_t now_ms);
  void clear_hot_keys() { hot_.clear(now_ms_); }
  void clear_big_keys() { big_.clear(now_ms_); }

  using BigKeysWindow = KeyWindow<BigKeys<limits::kBigKeys>>;
  [[nodiscard]] const KeyWindow<HotKeys>& hot_keys() const { return hot_; }
  [[nodiscard]] const BigKeysWindow& big_keys() const { return big_; }
  [[nodiscard]] const KeyWatchCounters& counters() const { return counters_; }
  /// As of the last tick.
  [[nodiscard]] std::uint32_t now_ms() const { return now_ms_; }

 private:
  /// Its keys go to keys_; nullptr when it has none.
  [[nodiscard]] const resp::Command* find_keys(const resp::Request& request);
  /// The same for a request that is kept; its arguments go to kept_.
  [[nodiscard]] const resp::Command* recall(const pool::PendingReply& pending);
  [[nodiscard]] std::uint32_t gap();
  void sample(const resp::Request& request);
  void see_big(const resp::Request& request);
  void see_big_reply(const pool::PendingReply& pending, std::string_view reply);
  void note(const resp::Command& command, std::string_view key, Direction direction, std::uint64_t bytes);

  const resp::CommandTable& commands_;
  const resp::RequestLimits& request_limits_;
  std::minstd_rand random_;
  std::uint32_t until_sample_;
  std::uint32_t now_ms_ = 0;
  KeyWatchCounters counters_;
  KeyWindow<HotKeys> hot_;
  BigKeysWindow big_;
  std::vector<std::size_t> keys_;  // scratch
  resp::Request kept_;             // scratch
};

}  // namespace sluice
