// Any bytes as a client's, with large arguments that are sent on as they come: whatever order things happen in, what a
// backend gets of a request is that request, what follows it is what follows it, and nothing of a broken one is sent
// that lies behind the break.
//
// The phases themselves live in wet rooms. So Player takes the steps of Session (on_received, consume, dispatch_open,
// keep, resume) and of LargeUpload (feed, take_early, fail) in their order, with the same calls to the parser; a change
// there is to be made here. The stream, the relay and the backend are the fuzzer's decisions: when bytes arrive, which
// of them come early, while the relay waits for the socket, how the probe is answered, when a backend goes.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fuzz/decisions.h"
#include "fuzz/require.h"
#include "resp/request_parser.h"

namespace {

using fuzz::require;
using fuzz::take_front;
using resp::ParseStatus;

constexpr std::size_t kMaxHops = 8;
constexpr std::size_t kOpenTries = 8;

/// A request, as it leaves for its backend.
struct HandedOn {
  std::string bytes;
  std::vector<std::string> arguments;  ///< of one that was whole; of an upload, those before its first large one
  std::uint64_t argument_count = 0;
  bool is_upload = false;
  bool is_whole = false;    ///< all of it has come from the client
  bool is_refused = false;  ///< no backend has taken all of it
};

struct Trace {
  std::vector<HandedOn> requests;
  std::string error;  ///< the protocol error that ends it all; empty: none
  bool is_idle = true;
};

/// The proxy, as far as it concerns one client's bytes.
class Player {
 public:
  Player(std::string_view bytes, const resp::RequestLimits& limits, std::size_t threshold, fuzz::Decisions decisions)
      : socket_(bytes), limits_(limits), threshold_(threshold), decisions_(decisions) {}

  Trace play() {
    while (!finished_) {
      if (state_ == State::kRelaying) {
        turn_of_relay();
      } else if (!socket_.empty() && (!held_ || decisions_.next(3) == 0)) {
        receive();
      } else if (held_) {
        go_on();
      } else {
        break;
      }
    }
    trace_.is_idle = parser_.idle();
    return std::move(trace_);
  }

 private:
  enum class State : std::uint8_t { kNoUpload, kProbing, kSending, kRelaying, kAnswering, kPassingOver };

  HandedOn& current() { return trace_.requests.back(); }

  // --- Session ---

  void receive() {
    const std::vector<char> lease = take_front(socket_, decisions_.next_part(socket_.size()));
    std::string_view bytes(lease.data(), lease.size());
    if (state_ == State::kRelaying) bytes = take_early(bytes);
    if (bytes.empty()) return;
    if (input_.empty() && !held_) return keep(bytes.substr(consume(bytes)));
    keep(bytes);
    if (!held_) resume();
  }

  void keep(std::string_view bytes) {
    std::vector<char> larger(input_);
    larger.insert(larger.end(), bytes.begin(), bytes.end());
    larger.shrink_to_fit();
    input_.swap(larger);
  }

  void resume() {
    held_ = false;
    const std::vector<char> input = std::exchange(input_, {});
    const std::string_view bytes(input.data(), input.size());
    keep(bytes.substr(consume(bytes)));
  }

  std::size_t consume(std::string_view input) {
    std::size_t used = 0;
    while (used < input.size()) {
      const std::string_view rest = input.substr(used);
      if (state_ != State::kNoUpload) {
        const std::size_t taken = held_ ? 0 : feed(rest);
        if (taken == 0) break;
        used += taken;
        if (state_ == State::kRelaying) require(used == input.size(), "a relay begins where the input ends");
        continue;
      }
      if (held_) break;
      const ParseStatus status = parser_.parse(rest, limits_, request_);
      if (status == ParseStatus::kIncomplete) {
        if (!dispatch_open(rest)) break;
        continue;
      }
      if (status == ParseStatus::kError) return refuse(input);
      open_tries_ = open_end_ = 0;
      trace_.requests.push_back({.bytes = std::string(request_.bytes),
                                 .arguments = {request_.arguments.begin(), request_.arguments.end()},
                                 .argument_count = request_.arguments.size(),
                                 .is_whole = true});
      used += request_.bytes.size();
      outstanding_ = true;
    }
    return used;
  }

  std::size_t refuse(std::string_view input) {
    trace_.error = parser_.error();
    finished_ = true;
    return input.size();
  }

  bool dispatch_open(std::string_view input) {
    if (parser_.open_length() < threshold_) return false;
    const std::uint64_t end = parser_.bytes_wanted();
    if (end == open_end_ || open_tries_ == kOpenTries) return false;
    const auto open = parser_.open_bulk(input, request_);
    if (!open) return false;
    require(open->start + open->length + 2 == end && open->start <= input.size(), "the open argument is waited for");
    handle_open(*open);
    if (state_ == State::kNoUpload && !held_) {
      open_end_ = end;
      ++open_tries_;
    }
    return state_ != State::kNoUpload;
  }

  /// Its replies have to come first; or it is no command that is sent as it comes; or it begins.
  void handle_open(const resp::OpenBulk& open) {
    if (outstanding_) {
      held_ = true;
      return;
    }
    if (request_.arguments.empty() || decisions_.next(8) == 7) return;
    trace_.requests.push_back({.arguments = {request_.arguments.begin(), request_.arguments.end()},
                               .argument_count = request_.arguments.size() + open.arguments_behind + 1,
                               .is_upload = true});
    state_ = State::kProbing;
    hops_ = 0;
    held_ = true;
  }

  // --- LargeUpload ---

  /// What was waited for has come.
  void go_on() {
    switch (state_) {
      case State::kNoUpload:
        outstanding_ = false;
        return resume();
      case State::kProbing: {
        const std::size_t answer = decisions_.next(8);
        if (answer == 7) return fail();
        if (answer == 6 && ++hops_ <= kMaxHops) return;
        state_ = State::kSending;
        return resume();
      }
      case State::kSending:
        return decisions_.next(8) == 7 ? fail() : resume();
      case State::kAnswering:
        state_ = State::kNoUpload;
        return resume();
      case State::kPassingOver:
        return resume();
      case State::kRelaying:
        return;
    }
  }

  std::size_t feed(std::string_view input) {
    if (dropping_ > 0) {
      const auto dropped = static_cast<std::size_t>(std::min<std::uint64_t>(dropping_, input.size()));
      dropping_ -= dropped;
      return dropped;
    }
    const bool passes_over = state_ == State::kPassingOver;
    const ParseStatus status = parser_.parse(input, limits_, request_);
    if (status == ParseStatus::kError) return refuse(input);
    if (status == ParseStatus::kComplete) {
      if (!passes_over) current().bytes += request_.bytes;
      current().is_whole = true;
      held_ = !passes_over;
      state_ = passes_over ? State::kNoUpload : State::kAnswering;
      return request_.bytes.size();
    }
    const std::uint64_t end = parser_.forwardable();
    const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(end, input.size()));
    if (part > 0) {
      if (!passes_over) current().bytes += input.substr(0, part);
      parser_.forwarded(part);
    }
    const std::uint64_t left = end - part;
    if (passes_over || left == 0) return part;
    if (left >= threshold_ && decisions_.next(8) != 7) {
      state_ = State::kRelaying;
      held_ = true;
      relay_left_ = left;
      relay_reads_ = false;
      parser_.forwarded(left);
      return part;
    }
    held_ = decisions_.next(2) == 1;  // the backend's queue is full
    return part;
  }

  std::string_view take_early(std::string_view bytes) {
    const auto body = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), relay_left_));
    current().bytes += bytes.substr(0, body);
    relay_left_ -= body;
    return bytes.substr(body);
  }

  void fail() {
    current().is_refused = true;
    if (state_ == State::kRelaying) dropping_ = relay_left_;
    state_ = State::kPassingOver;
    held_ = true;
  }

  // --- The relay ---

  void turn_of_relay() {
    if (decisions_.next(16) == 15) return fail();
    // The receive that was under way is being cancelled: what it brings comes by the usual way, also from behind.
    if (!relay_reads_ && !socket_.empty() && decisions_.next(2) == 1) return receive();
    relay_reads_ = true;
    if (relay_left_ == 0) {
      state_ = State::kSending;
      return;
    }
    if (socket_.empty()) {
      finished_ = true;  // the client has gone in the middle
      return;
    }
    const std::size_t bytes = decisions_.next_part(std::min<std::uint64_t>(relay_left_, socket_.size()));
    current().bytes += socket_.substr(0, bytes);
    socket_.remove_prefix(bytes);
    relay_left_ -= bytes;
  }

  std::string_view socket_;  ///< what the client has still to say
  const resp::RequestLimits limits_;
  const std::size_t threshold_;
  fuzz::Decisions decisions_;
  resp::RequestParser parser_;
  resp::Request request_;
  std::vector<char> input_;  ///< received and not used yet; no byte to spare behind it
  Trace trace_;
  State state_ = State::kNoUpload;
  bool held_ = false;
  bool finished_ = false;
  bool outstanding_ = false;  ///< replies are due
  bool relay_reads_ = false;  ///< the socket is the relay's
  std::size_t hops_ = 0;
  std::size_t open_tries_ = 0;
  std::uint64_t open_end_ = 0;
  std::uint64_t relay_left_ = 0;
  std::uint64_t dropping_ = 0;
};

/// The same bytes, all at hand from the beginning and nothing sent before its request is whole.
struct Plain {
  std::vector<HandedOn> requests;
  std::size_t used = 0;  ///< bytes of those requests
  std::string error;
  std::size_t error_end;  ///< behind the byte that made it an error, from `used`
};

Plain plain(std::string_view bytes, const resp::RequestLimits& limits) {
  Plain all{};
  resp::RequestParser parser;
  resp::Request request;
  ParseStatus status = ParseStatus::kIncomplete;
  while ((status = parser.parse(bytes.substr(all.used), limits, request)) == ParseStatus::kComplete) {
    all.used += request.bytes.size();
    all.requests.push_back({.bytes = std::string(request.bytes),
                            .arguments = {request.arguments.begin(), request.arguments.end()},
                            .argument_count = request.arguments.size()});
  }
  if (status == ParseStatus::kIncomplete) return all;
  all.error = parser.error();
  resp::RequestParser slow;
  while (slow.parse(bytes.substr(all.used, all.error_end), limits, request) != ParseStatus::kError) ++all.error_end;
  return all;
}

void compare(const HandedOn& handed, const HandedOn& whole) {
  require(handed.is_refused ? whole.bytes.starts_with(handed.bytes) : handed.bytes == whole.bytes, "its bytes");
  require(handed.argument_count == whole.argument_count, "the number of arguments");
  require(std::equal(handed.arguments.begin(), handed.arguments.end(), whole.arguments.begin()), "its arguments");
  require(handed.is_upload || handed.arguments.size() == whole.arguments.size(), "all of them");
}

void check(std::string_view bytes, const Trace& trace, const Plain& expected) {
  const bool ends_open = !trace.requests.empty() && !trace.requests.back().is_whole;
  const std::size_t whole = trace.requests.size() - (ends_open ? 1 : 0);
  require(whole == expected.requests.size(), "the number of requests");
  for (std::size_t i = 0; i < whole; ++i) {
    require(trace.requests[i].is_whole, "one after the other");
    compare(trace.requests[i], expected.requests[i]);
  }
  require(trace.error == expected.error, "the error");
  if (ends_open) {
    const std::string_view rest = bytes.substr(expected.used);
    const std::string_view handed = trace.requests.back().bytes;
    require(rest.starts_with(handed), "the bytes of the last");
    require(expected.error.empty() || handed.size() < expected.error_end, "nothing of a break is sent");
  }
  if (expected.error.empty()) require(trace.is_idle == (expected.used == bytes.size()), "idle");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::DecidedInput input = fuzz::decided_input({data, size});
  resp::RequestLimits limits;
  limits.max_request_bytes = UINT64_MAX / 2;  // what has gone on no longer counts: the one difference that is meant
  if ((input.settings & 1) != 0) limits.max_bulk_bytes = 100;
  if ((input.settings & 2) != 0) {
    limits.max_arguments = 5;
    limits.max_inline_bytes = 40;
  }
  const std::size_t threshold = 1 + input.settings / 4;
  const Trace trace = Player(input.bytes, limits, threshold, input.decisions).play();
  check(input.bytes, trace, plain(input.bytes, limits));
  return 0;
}
