#include "src/key_watch.h"

#include "resp/key_finder.h"
#include "resp/reply_scanner.h"

namespace sluice {
namespace {

using resp::Command;

/// Of a string: what it is without its header. `wire_bytes`: header included, its line end at the end not.
std::uint64_t string_bytes(std::uint64_t wire_bytes) {
  std::uint64_t header = 4;  // "$5\r\n"
  for (std::uint64_t bound = 10; wire_bytes - header >= bound; bound *= 10) ++header;
  return wire_bytes - header;
}

bool is_string(char mark) {
  return mark == '$' || mark == '=';
}

/// Of a whole and large value: a string's own bytes, else all it takes.
std::uint64_t bytes_of(std::string_view value) {
  return is_string(value[0]) ? string_bytes(value.size() - 2) : value.size();
}

/// MGET: an answer for each key, in their order.
bool answers_each_key(const Command& command, std::string_view reply) {
  return command.request_policy == resp::RequestPolicy::kMultiShard && reply[0] == '*';
}

}  // namespace

KeyWatch::KeyWatch(const resp::CommandTable& commands, const resp::RequestLimits& request_limits, std::uint32_t seed)
    : commands_(commands), request_limits_(request_limits), random_(seed), until_sample_(gap()) {}

void KeyWatch::start(std::uint32_t now_ms) {
  now_ms_ = now_ms;
  clear_hot_keys();
  clear_big_keys();
}

void KeyWatch::tick(std::uint32_t now_ms) {
  now_ms_ = now_ms;
  hot_.turn(now_ms);
  big_.turn(now_ms);
}

const Command* KeyWatch::find_keys(const resp::Request& request) {
  const Command* command = request.arguments.empty() ? nullptr : commands_.find(request.arguments);
  keys_.clear();
  if (command == nullptr || !resp::find_keys(*command, request.arguments, keys_) || keys_.empty()) return nullptr;
  return command;
}

const Command* KeyWatch::recall(const pool::PendingReply& pending) {
  if (pending.waiting.request.chunk == nullptr) return nullptr;
  resp::RequestParser parser;
  if (parser.parse(pending.request_bytes(), request_limits_, kept_) != resp::ParseStatus::kComplete) return nullptr;
  return find_keys(kept_);
}

std::string_view KeyWatch::key_of(const pool::PendingReply& pending) {
  return recall(pending) == nullptr ? std::string_view() : kept_.arguments[keys_.front()];
}

// --- The most frequent

/// A gap that differs each time meets all requests alike, whatever rhythm they come in.
std::uint32_t KeyWatch::gap() {
  return std::uniform_int_distribution<std::uint32_t>(1, 2 * limits::kSampledEvery - 1)(random_);
}

void KeyWatch::sample(const resp::Request& request) {
  until_sample_ = gap();
  if (find_keys(request) == nullptr) return;
  ++counters_.sampled;
  HotKeys& hot = hot_.younger();
  ++hot.requests;
  const std::size_t step = (keys_.size() + limits::kSampledKeys - 1) / limits::kSampledKeys;
  for (std::size_t i = random_() % step; i < keys_.size(); i += step) {
    hot.sketch.count(request.arguments[keys_[i]], static_cast<std::uint32_t>(step));
  }
}

// --- The largest

void KeyWatch::note(const Command& command, std::string_view key, Direction direction, std::uint64_t bytes) {
  ++(direction == Direction::kRequest ? counters_.big_requests : counters_.big_replies);
  big_.younger().note(key, bytes, direction, command.name, now_ms_);
}

/// A key's own are the arguments behind it, up to the next key; what stands before the first is the first's.
void KeyWatch::see_big(const resp::Request& request) {
  const Command* command = find_keys(request);
  if (command == nullptr) return;
  const std::vector<std::string_view>& arguments = request.arguments;
  std::uint64_t bytes = 0;
  for (std::size_t i = 1; i < keys_.front(); ++i) bytes += arguments[i].size();
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    const std::size_t end = i + 1 < keys_.size() ? keys_[i + 1] : arguments.size();
    for (std::size_t j = keys_[i] + 1; j < end; ++j) bytes += arguments[j].size();
    if (bytes >= limits::kBigValueBytes) note(*command, arguments[keys_[i]], Direction::kRequest, bytes);
    bytes = 0;
  }
}

void KeyWatch::see_upload(const Command& command, std::string_view key, std::uint64_t bytes) {
  note(command, key, Direction::kRequest, bytes);
  if (--until_sample_ > 0) return;
  until_sample_ = gap();
  ++counters_.sampled;
  ++hot_.younger().requests;
  hot_.younger().sketch.count(key, 1);
}

void KeyWatch::see_download(const pool::PendingReply& pending, const pool::LargeHead& head) {
  const Command* command = recall(pending);
  if (command == nullptr) return;
  const std::uint64_t bytes = is_string(head.mark) ? string_bytes(head.bytes) : head.bytes;
  if (bytes >= limits::kBigValueBytes) note(*command, kept_.arguments[keys_.front()], Direction::kReply, bytes);
}

void KeyWatch::see_big_reply(const pool::PendingReply& pending, std::string_view reply) {
  const Command* command = recall(pending);
  if (command == nullptr) return;
  const auto note_value = [&](std::size_t key, std::string_view value) {
    const std::uint64_t bytes = value.size() < limits::kBigValueBytes ? 0 : bytes_of(value);
    if (bytes >= limits::kBigValueBytes) note(*command, kept_.arguments[keys_[key]], Direction::kReply, bytes);
  };
  if (!answers_each_key(*command, reply)) return note_value(0, reply);
  reply.remove_prefix(reply.find('\n') + 1);
  resp::ReplyScanner scanner;
  for (std::size_t i = 0; i < keys_.size() && !reply.empty(); ++i) {
    const std::size_t length = scanner.scan(reply).length;
    note_value(i, reply.substr(0, length));
    reply.remove_prefix(length);
  }
}

}  // namespace sluice
