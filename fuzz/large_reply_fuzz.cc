// Any bytes as a backend's, with large strings that go past the scanner: whatever order things happen in, each client
// gets its reply and no byte of another, and the replies end where the model finds their ends.
//
// The phases themselves live in a wet room. So Player takes the steps of Lane (on_received, goes_in_pieces,
// deliver_in_pieces) and of LargeReply (take, take_open_string, on_relayed, on_target_full, drop_target) in their
// order, with the same calls to the scanner; a change there is to be made here. The stream, the relay and the clients
// are the fuzzer's decisions: when bytes arrive, which of them come early, while the relay waits for the socket,
// whether a client takes its reply in pieces, is too slow for those behind it, or goes.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fuzz/decisions.h"
#include "fuzz/model/reply_model.h"
#include "fuzz/require.h"
#include "resp/reply_scanner.h"

namespace {

using fuzz::require;
using fuzz::take_front;

/// What a client has got.
struct Delivered {
  std::string bytes;
  bool is_whole = false;  ///< it was told of the end
  bool is_gone = false;   ///< it has taken the beginning only
};

struct Trace {
  std::vector<Delivered> replies;
  bool failed = false;
  bool hung_up = false;  ///< the rest was worth nothing
  bool is_idle = true;
};

/// A backend's connection, as far as it concerns the bytes that come over it.
class Player {
 public:
  Player(std::string_view bytes, std::size_t threshold, fuzz::Decisions decisions)
      : socket_(bytes), threshold_(threshold), decisions_(decisions) {}

  Trace play() {
    while (!socket_.empty() && !trace_.failed && !trace_.hung_up) {
      if (relays_) {
        turn_of_relay();
      } else {
        receive();
      }
    }
    trace_.is_idle = scanner_.idle();
    return std::move(trace_);
  }

 private:
  // --- Lane ---

  void receive() {
    const std::vector<char> lease = take_front(socket_, decisions_.next_part(socket_.size()));
    std::string_view bytes(lease.data(), lease.size());
    while (!bytes.empty()) {
      const std::uint64_t body = in_pieces_ ? scanner_.bulk_bytes_left() : 0;
      const resp::ScanResult result = scanner_.scan(bytes);
      if (result.status == resp::ScanStatus::kError) {
        trace_.failed = true;
        return;
      }
      require(result.length > 0 && result.length <= bytes.size(), "it goes on");
      const std::string_view piece = bytes.substr(0, result.length);
      const bool complete = result.status == resp::ScanStatus::kComplete;
      bytes.remove_prefix(result.length);
      if (in_pieces_ || (!complete && goes_in_pieces(piece))) {
        deliver_in_pieces(piece, std::min<std::uint64_t>(body, piece.size()), complete);
      } else {
        partial_ += piece;
        if (complete) deliver();
      }
    }
  }

  bool goes_in_pieces(std::string_view piece) {
    if (scanner_.bulk_bytes_left() < threshold_) return false;
    const char mark = partial_.empty() ? piece[0] : partial_[0];
    if (mark == '>' || decisions_.next(8) == 7) return false;  // out of band, or not its client's turn
    trace_.replies.emplace_back();
    in_pieces_ = true;
    has_target_ = true;
    copies_ = false;
    if (!partial_.empty()) take_piece(std::exchange(partial_, {}), 0);
    return true;
  }

  void deliver() { trace_.replies.push_back({.bytes = std::exchange(partial_, {}), .is_whole = true}); }

  void deliver_in_pieces(std::string_view piece, std::uint64_t body, bool complete) {
    take_piece(piece, body);
    if (!complete) return take_open_string(scanner_.bulk_bytes_left());
    require(!relays_, "a relay ends before its reply");
    trace_.replies.back().is_whole = true;
    in_pieces_ = false;
  }

  // --- LargeReply ---

  void take_piece(std::string_view piece, std::uint64_t body) {
    if (relays_ && body > 0) {
      relayed_ -= body;
      require(body <= left_ && pipe_.empty(), "a piece of the string that is relayed");
      left_ -= body;
      if (left_ == 0) relays_ = false;
    }
    if (has_target_) trace_.replies.back().bytes += piece;
  }

  void take_open_string(std::uint64_t left) {
    if (!has_target_ || copies_ || relays_ || left < threshold_) return;
    if (decisions_.next(16) == 15) {  // no pipe to be had
      copies_ = true;
      return;
    }
    relayed_ = left_ = left;
    relays_ = true;
    relay_reads_ = false;
  }

  void end_relay() {
    if (!relays_) return;
    scanner_.skip(relayed_ - left_);
    relays_ = false;
  }

  void on_target_full() {
    copies_ = true;
    const std::string rest = std::exchange(pipe_, {});
    end_relay();
    trace_.replies.back().bytes += rest;
  }

  void drop_target() {
    pipe_.clear();
    end_relay();
    has_target_ = false;
    trace_.replies.back().is_gone = true;
    trace_.hung_up = decisions_.next(2) == 1;  // nobody waits behind it
  }

  // --- The relay ---

  void turn_of_relay() {
    const std::size_t event = decisions_.next(32);
    if (event == 31) return drop_target();
    if (event == 30) return on_target_full();
    // The receive that was under way is being cancelled: what it brings comes by the usual way, also from behind.
    if (!relay_reads_ && decisions_.next(2) == 1) return receive();
    relay_reads_ = true;
    if (event % 2 == 1 || left_ == 0) {
      trace_.replies.back().bytes += std::exchange(pipe_, {});
    } else {
      const std::size_t bytes = decisions_.next_part(std::min<std::uint64_t>(left_, socket_.size()));
      pipe_ += socket_.substr(0, bytes);
      socket_.remove_prefix(bytes);
      left_ -= bytes;
      // It may be the last of all: there is no other turn.
      if (socket_.empty()) trace_.replies.back().bytes += std::exchange(pipe_, {});
    }
    if (left_ > 0 || !pipe_.empty()) return;
    relays_ = false;
    scanner_.skip(relayed_);  // on_relayed
  }

  std::string_view socket_;  ///< what the backend has still to say
  const std::size_t threshold_;
  fuzz::Decisions decisions_;
  resp::ReplyScanner scanner_;
  std::string partial_;  ///< of a reply that goes out as a whole
  Trace trace_;
  bool in_pieces_ = false;
  bool has_target_ = false;
  bool copies_ = false;
  bool relays_ = false;
  bool relay_reads_ = false;  ///< the socket is the relay's
  std::uint64_t relayed_ = 0;
  std::uint64_t left_ = 0;
  std::string pipe_;
};

void check(std::string_view bytes, const Trace& trace, const model::ReplyTrace& expected) {
  std::size_t begin = 0;
  for (std::size_t i = 0; i < trace.replies.size(); ++i) {
    const Delivered& reply = trace.replies[i];
    const bool ends = i < expected.ends.size();
    require(reply.is_whole ? ends : i + 1 == trace.replies.size(), "no reply but the last is open");
    const std::string_view whole = bytes.substr(begin, ends ? expected.ends[i] - begin : bytes.npos);
    const bool is_part = !reply.is_whole || reply.is_gone;
    require(is_part ? whole.starts_with(reply.bytes) : whole == reply.bytes, "its bytes");
    if (ends) begin = expected.ends[i];
  }
  if (trace.hung_up) return;
  const bool ends_open = !trace.replies.empty() && !trace.replies.back().is_whole;
  require(trace.replies.size() - (ends_open ? 1 : 0) == expected.ends.size(), "the number of replies");
  require(trace.failed == expected.failed, "whether it is RESP");
  if (!expected.failed) require(trace.is_idle == expected.idle, "idle");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::DecidedInput input = fuzz::decided_input({data, size});
  const std::size_t threshold = 1 + input.settings % 64;
  const Trace trace = Player(input.bytes, threshold, input.decisions).play();
  check(input.bytes, trace, model::expected_replies(input.bytes));
  return 0;
}
