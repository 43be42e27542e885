// A reply that goes to its client in pieces as it comes, because it holds a large string: short pieces by copy, the
// body of each large string by relay, past user space. Part of the lane it comes over, from the reply's first large
// string to its end.
//
// A client that reads slowly stalls its own reply alone: when others wait behind it on the lane, what it does not take
// is read into its queue, up to that queue's bound. Thread: one worker.
#pragma once

#include <cstdint>
#include <string_view>

#include "pool/pending_reply.h"
#include "uring/relay.h"

namespace pool {

class Lane;

class LargeReply final : uring::RelayHandler {
 public:
  LargeReply(Lane& lane, PendingReply& pending, uring::Stream& target);

  /// A piece of the reply, `body` bytes at its front part of a string that is being relayed.
  void take(std::string_view piece, std::uint64_t body);
  /// `left` bytes of a string are still to come.
  void take_open_string(std::uint64_t left);
  /// The client is gone: what still comes is dropped.
  void drop_target();
  /// The lane's connection is at its end, and this with it.
  void abandon();

  /// The client is what it waits for, not the server.
  [[nodiscard]] bool waits_for_client() const { return relay_.running() && !target_->output_is_free(); }
  /// Something has moved since the last call.
  [[nodiscard]] bool has_moved();
  /// Nothing has moved for a while. When it is the client that takes nothing, those behind it wait no longer.
  void on_stalled();
  /// What is left of the string that is being relayed is copied, when it is no more than `most`.
  void copy_open_string(std::uint64_t most);

 private:
  void copy_rest();
  void end_relay();
  void on_relayed() override;
  void on_source_broken(int error) override;
  void on_target_broken(int error) override;
  void on_target_full() override;

  Lane& lane_;
  PendingReply& pending_;
  uring::Stream* target_;  ///< nullptr: the client is gone
  uring::Relay relay_;
  std::uint64_t relayed_ = 0;  ///< of the string under way: what does not come by copy, all told
  std::uint64_t left_seen_ = 0;
  std::uint64_t copied_left_ = 0;  ///< of a string that is copied: what was left of it when last seen
  bool copies_ = false;            ///< the client was too slow for those behind it
};

}  // namespace pool
