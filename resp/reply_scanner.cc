// Two ways here too: pass_whole_values() passes values that lie in the chunk as a whole, without touching the state
// machine; step() takes what is left, byte by byte where it must. The second alone would be right, and slow.
#include "resp/reply_scanner.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <limits>

#include "resp/length.h"
#include "resp/types.h"

namespace resp {

namespace {

constexpr std::uint64_t kMaxLength = std::numeric_limits<std::int64_t>::max();

// Marks that begin no value: a chunk of a streamed string, the end of a streamed aggregate.
constexpr char kChunkMark = ';';
constexpr char kEndMark = '.';

// Behind the CRLF of the line at `at`; nullptr when it does not end before `end` or its CR stands alone.
const char* pass_line(const char* at, const char* end) {
  const auto* const found = static_cast<const char*>(std::memchr(at, '\r', static_cast<std::size_t>(end - at)));
  if (found == nullptr || end - found < 2 || found[1] != '\n') return nullptr;
  return found + 2;
}

// Behind the bulk string at `at`, null included; nullptr when it is not whole.
const char* pass_bulk(const char* at, const char* end) {
  const auto size = static_cast<std::size_t>(end - at);
  LengthLine header;
  if (size >= kMinBulkBytes) [[likely]]
    header = read_short_length(at);
  if (header.bytes == 0) [[unlikely]] {
    constexpr std::string_view kNull = "$-1\r\n";
    if (std::string_view(at, size).starts_with(kNull)) return at + kNull.size();
    header = read_long_length({at, end});
    if (header.bytes == 0) return nullptr;
  }
  const char* const body = at + header.bytes;
  if (static_cast<std::uint64_t>(end - body) < header.value + 2) return nullptr;
  const char* const tail = body + header.value;
  return tail[0] == '\r' && tail[1] == '\n' ? tail + 2 : nullptr;
}

// Behind the value at `at`, when it lies before `end` as a whole and is a bulk string or a line of text; else nullptr.
inline const char* pass_scalar(const char* at, const char* end) {
  switch (Type{*at}) {
    case Type::kBulkString:
      return pass_bulk(at, end);
    case Type::kSimpleString:
    case Type::kError:
    case Type::kInteger:
    case Type::kDouble:
    case Type::kBoolean:
    case Type::kBigNumber:
      return pass_line(at, end);
    default:
      return nullptr;
  }
}

// Behind the header of the aggregate at `at`, its values added to `values_left`; nullptr when it is not that simple.
const char* pass_aggregate(const char* at, const char* end, std::uint64_t& values_left) {
  if (static_cast<std::size_t>(end - at) < kMinBulkBytes) return nullptr;
  const LengthLine header = read_short_length(at);
  const std::uint64_t values = *at == static_cast<char>(Type::kMap) ? 2 * header.value : header.value;
  if (header.bytes == 0 || values > kMaxLength - values_left) return nullptr;
  values_left += values;
  return at + header.bytes;
}

bool is_sized_aggregate(char mark) {
  return mark == '*' || mark == '%' || mark == '~' || mark == '>';
}

bool is_streamable(char mark) {
  return mark == '$' || mark == '*' || mark == '~' || mark == '%';
}

bool is_nullable(char mark) {
  return mark == '$' || mark == '*';
}

}  // namespace

ScanResult ReplyScanner::scan(std::string_view chunk) {
  if (chunk.empty()) return {ScanStatus::kIncomplete, 0};
  const char* const begin = chunk.data();
  const char* const end = begin + chunk.size();
  const char* at = begin;
  if (idle()) {
    if (const char* behind = pass_scalar(begin, end); behind != nullptr) [[likely]]
      return {ScanStatus::kComplete, static_cast<std::size_t>(behind - begin)};
    values_left_ = 1;
  }
  while (!idle() && at != end) {
    if (state_ == State::kValue) at = pass_whole_values(at, end);
    if (idle() || at == end) break;
    at = step(at, end);
    if (state_ == State::kFailed) [[unlikely]]
      return {ScanStatus::kError, 0};
  }
  const ScanStatus status = idle() ? ScanStatus::kComplete : ScanStatus::kIncomplete;
  return {status, static_cast<std::size_t>(at - begin)};
}

bool ReplyScanner::idle() const {
  return values_left_ == 0 && depth_ == 0;
}

std::uint64_t ReplyScanner::bulk_bytes_left() const {
  return state_ == State::kBody ? length_ : 0;
}

void ReplyScanner::skip(std::uint64_t bytes) {
  assert(bytes <= bulk_bytes_left());
  length_ -= bytes;
  if (length_ == 0 && state_ == State::kBody) state_ = State::kBodyReturn;
}

// Up to the first value that does not lie before `end` as a whole, or is not of the usual kinds.
const char* ReplyScanner::pass_whole_values(const char* at, const char* end) {
  if (in_streamed_string_) return at;
  std::uint64_t values_left = values_left_;
  while (values_left != 0 && at != end) {
    const char* const next = is_sized_aggregate(*at) ? pass_aggregate(at, end, values_left) : pass_scalar(at, end);
    if (next == nullptr) break;
    at = next;
    --values_left;
  }
  values_left_ = values_left;
  return at;
}

const char* ReplyScanner::step(const char* at, const char* end) {
  const auto size = static_cast<std::size_t>(end - at);
  if (state_ == State::kBody) {
    const std::uint64_t passed = std::min<std::uint64_t>(length_, size);
    skip(passed);
    return at + passed;
  }
  if (state_ == State::kLine) {
    const auto* const found = static_cast<const char*>(std::memchr(at, '\r', size));
    if (found == nullptr) return end;
    state_ = State::kLineFeed;
    return found + 1;
  }
  if (!take(*at)) state_ = State::kFailed;
  return at + 1;
}

bool ReplyScanner::take(char byte) {
  switch (state_) {
    case State::kValue:
      return take_mark(byte);
    case State::kLength:
      return take_digit(byte);
    case State::kEmptyLine:
      state_ = State::kLineFeed;
      return byte == '\r';
    case State::kLineFeed:
      return byte == '\n' && end_line();
    case State::kLengthFeed:
      return byte == '\n' && end_header();
    case State::kBodyReturn:
      state_ = State::kBodyFeed;
      return byte == '\r';
    case State::kBodyFeed:
      return byte == '\n' && end_body();
    case State::kLine:
    case State::kBody:
    case State::kFailed:
      break;
  }
  return false;
}

bool ReplyScanner::take_mark(char mark) {
  mark_ = mark;
  if (in_streamed_string_) {
    state_ = State::kLength;
    digits_ = Digits::kNone;
    return mark == kChunkMark;
  }
  if (values_left_ == 0) {  // between the elements of a streamed aggregate
    if (mark == kEndMark) {
      state_ = State::kEmptyLine;
      return true;
    }
    values_left_ = 1;
    odd_bits_ ^= level_bit();
  }
  switch (Type{mark}) {
    case Type::kSimpleString:
    case Type::kError:
    case Type::kInteger:
    case Type::kDouble:
    case Type::kBoolean:
    case Type::kBigNumber:
      state_ = State::kLine;
      return true;
    case Type::kNull:
      state_ = State::kEmptyLine;
      return true;
    case Type::kBulkString:
    case Type::kBlobError:
    case Type::kVerbatimString:
    case Type::kArray:
    case Type::kMap:
    case Type::kSet:
    case Type::kPush:
    case Type::kAttribute:
      state_ = State::kLength;
      digits_ = Digits::kNone;
      return true;
  }
  return false;
}

bool ReplyScanner::take_digit(char byte) {
  if (byte == '\r') {
    state_ = State::kLengthFeed;
    return digits_ != Digits::kNone && digits_ != Digits::kMinus;
  }
  if (digits_ == Digits::kMinus) {
    digits_ = Digits::kMinusOne;
    return byte == '1';
  }
  const bool is_digit = byte >= '0' && byte <= '9';
  if (digits_ == Digits::kPositive && is_digit) {
    const auto digit = static_cast<std::uint64_t>(byte - '0');
    if (length_ > (kMaxLength - digit) / 10) return false;
    length_ = 10 * length_ + digit;
    return true;
  }
  if (digits_ != Digits::kNone) return false;
  if (is_digit) {
    length_ = static_cast<std::uint64_t>(byte - '0');
    digits_ = length_ == 0 ? Digits::kZero : Digits::kPositive;
    return true;
  }
  digits_ = byte == '-' ? Digits::kMinus : Digits::kStreamed;
  return (byte == '-' && is_nullable(mark_)) || (byte == '?' && is_streamable(mark_));
}

bool ReplyScanner::end_header() {
  if (digits_ == Digits::kStreamed) return open_streamed();
  if (digits_ == Digits::kMinusOne) return end_value();
  switch (mark_) {
    case '$':
    case '!':
    case '=':
      break;
    case kChunkMark:
      if (length_ != 0) break;
      in_streamed_string_ = false;
      return end_value();
    case '%':
      return add_values(length_, 2) && end_value();
    case '|':
      state_ = State::kValue;  // no value of its own: the one it precedes is still to come
      return add_values(length_, 2);
    default:
      return add_values(length_, 1) && end_value();
  }
  state_ = length_ == 0 ? State::kBodyReturn : State::kBody;
  return true;
}

bool ReplyScanner::open_streamed() {
  state_ = State::kValue;
  if (mark_ == '$') {
    in_streamed_string_ = true;
    return true;
  }
  if (depth_ == kMaxStreamedDepth) return false;
  outer_[depth_++] = values_left_;
  values_left_ = 0;
  odd_bits_ &= static_cast<std::uint16_t>(~level_bit());
  map_bits_ &= static_cast<std::uint16_t>(~level_bit());
  if (mark_ == '%') map_bits_ |= level_bit();
  return true;
}

// Of a line without a length; of those, only the end of a streamed aggregate is more than a value's end.
bool ReplyScanner::end_line() {
  if (mark_ != kEndMark) return end_value();
  if ((map_bits_ & odd_bits_ & level_bit()) != 0) return false;
  values_left_ = outer_[--depth_];
  return end_value();
}

bool ReplyScanner::end_body() {
  if (!in_streamed_string_) return end_value();
  state_ = State::kValue;
  return true;
}

bool ReplyScanner::end_value() {
  assert(values_left_ != 0);
  --values_left_;
  state_ = State::kValue;
  return true;
}

// Bounded by kMaxLength, so that no sum can overflow.
bool ReplyScanner::add_values(std::uint64_t count, std::uint64_t times) {
  if (count > (kMaxLength - values_left_) / times) return false;
  values_left_ += count * times;
  return true;
}

}  // namespace resp
