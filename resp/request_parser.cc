// Two ways through a request. collect() walks a whole one and fills in its arguments: the usual case, and all that
// most requests ever meet. Where it meets the end of the input, or anything odd, it leaves the place to the steps,
// which advance counters only and give the errors. When they reach the end, collect() walks the request once more.
#include "resp/request_parser.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <optional>
#include <utility>

#include "resp/inline_words.h"
#include "resp/length.h"

namespace resp {

namespace {

// Views kept for the next request (1 MiB of them): one hostile request must not size the vector for ever.
constexpr std::size_t kKeptArguments = 65536;

constexpr std::string_view kUnexpected = "Protocol error: expected '$', got ' '";
constexpr std::size_t kUnexpectedAt = kUnexpected.size() - 2;

using UnexpectedText = std::array<char, kUnexpected.size()>;

// One text per byte that can stand where '$' should; CR and LF as spaces, since the text goes into an error line.
constexpr std::array<UnexpectedText, 256> make_unexpected_texts() {
  std::array<UnexpectedText, 256> texts{};
  for (std::size_t byte = 0; byte < texts.size(); ++byte) {
    std::copy(kUnexpected.begin(), kUnexpected.end(), texts[byte].begin());
    if (byte != '\r' && byte != '\n') texts[byte][kUnexpectedAt] = static_cast<char>(byte);
  }
  return texts;
}

constexpr auto kUnexpectedTexts = make_unexpected_texts();

// The header line at `at`; none when it is not whole and well-formed.
inline LengthLine read_header(const char* at, const char* end) {
  LengthLine header;
  if (static_cast<std::size_t>(end - at) >= kMinBulkBytes) [[likely]]
    header = read_short_length(at);
  if (header.bytes == 0) [[unlikely]]
    header = read_long_length({at, end});
  return header;
}

// Behind the bulk string at `at`, which becomes `argument`; nullptr when it is not whole and well-formed.
inline const char* read_argument(const char* at, const char* end, std::uint64_t max_bytes, std::string_view& argument) {
  if (at == end || *at != '$') [[unlikely]]
    return nullptr;
  const LengthLine header = read_header(at, end);
  if (header.bytes == 0 || header.value > max_bytes) return nullptr;
  const char* const body = at + header.bytes;
  if (static_cast<std::uint64_t>(end - body) < header.value + 2) return nullptr;
  const char* const tail = body + header.value;
  if (tail[0] != '\r' || tail[1] != '\n') return nullptr;
  argument = {body, header.value};
  return tail + 2;
}

}  // namespace

ParseStatus RequestParser::parse(std::string_view input, const RequestLimits& limits, Request& out) {
  assert(phase_ != Phase::kFailed);
  if (phase_ == Phase::kIdle) {
    if (input.empty()) return ParseStatus::kIncomplete;
    if (input.front() != '*') {
      start(Phase::kInline);
    } else if (collect(input, limits, out)) [[likely]] {
      return ParseStatus::kComplete;
    }
  }
  while (step(input, limits)) {
  }
  if (phase_ == Phase::kFailed) return ParseStatus::kError;
  return is_whole() ? finish(input, limits, out) : ParseStatus::kIncomplete;
}

// Fills `out` when the input holds a whole, well-formed request. Else stops at the first element that is not so, with
// the state of the steps set to it. Bytes beyond max_request_bytes count as missing: the steps know the error.
bool RequestParser::collect(std::string_view input, const RequestLimits& limits, Request& out) {
  start(Phase::kArrayHeader);
  const char* const begin = input.data();
  const char* const end = begin + std::min<std::uint64_t>(input.size(), limits.max_request_bytes);
  const LengthLine header = read_header(begin, end);
  if (header.bytes == 0 || header.value == 0 || header.value > limits.max_arguments) return false;
  const char* at = begin + header.bytes;
  phase_ = Phase::kBulkHeader;
  position_ = header.bytes;
  arguments_left_ = header.value;
  // More arguments than the bytes at hand can hold: nothing may be sized by a mere promise.
  if (header.value > static_cast<std::uint64_t>(end - at) / kMinBulkBytes) return false;
  if (out.arguments.capacity() > kKeptArguments) [[unlikely]] {
    std::vector<std::string_view>().swap(out.arguments);  // an assignment of {} would keep the room
  }
  out.arguments.resize(header.value);

  for (std::string_view& argument : out.arguments) {
    const char* const next = read_argument(at, end, limits.max_bulk_bytes, argument);
    if (next == nullptr) [[unlikely]] {
      position_ = static_cast<std::uint64_t>(at - begin);
      arguments_left_ = static_cast<std::uint64_t>(out.arguments.data() + out.arguments.size() - &argument);
      return false;
    }
    at = next;
  }
  out.bytes = {begin, at};
  out.is_inline = false;
  phase_ = Phase::kIdle;
  return true;
}

void RequestParser::start(Phase phase) {
  phase_ = phase;
  position_ = 0;
  searched_ = 0;
  headless_ = false;
}

// One element further. False: no more without more bytes, or done, or failed; phase_ tells.
bool RequestParser::step(std::string_view input, const RequestLimits& limits) {
  switch (phase_) {
    case Phase::kArrayHeader:
      return step_array_header(input, limits);
    case Phase::kBulkHeader:
      return step_bulk_header(input.substr(position_), limits);
    case Phase::kBulkBody:
      return step_bulk_body(input);
    case Phase::kInline:
      return step_inline(input, limits);
    default:
      return false;
  }
}

bool RequestParser::step_array_header(std::string_view line, const RequestLimits& limits) {
  if (!find_line_end(line, '\r', limits, Failure::kBigArrayHeader)) return false;
  if (line.size() < searched_ + 2) return false;
  const auto count = parse_length(line.substr(1, searched_ - 1));
  if (!count) return fail(Failure::kInvalidArray);
  if (std::cmp_greater(*count, limits.max_arguments)) {
    return fail(limits.unauthenticated ? Failure::kUnauthenticatedArray : Failure::kInvalidArray);
  }
  if (line[searched_ + 1] != '\n') return fail(Failure::kNoLineEnd);
  position_ = searched_ + 2;
  searched_ = 0;
  arguments_left_ = static_cast<std::uint64_t>(std::max<std::int64_t>(*count, 0));
  phase_ = arguments_left_ == 0 ? Phase::kEmptyArray : Phase::kBulkHeader;
  return true;
}

bool RequestParser::step_bulk_header(std::string_view line, const RequestLimits& limits) {
  if (!find_line_end(line, '\r', limits, Failure::kBigBulkHeader)) return false;
  if (line.size() < searched_ + 2) return false;
  if (line.front() != '$') {
    unexpected_ = line.front();
    return fail(Failure::kUnexpectedCharacter);
  }
  const auto length = parse_length(line.substr(1, searched_ - 1));
  if (!length || *length < 0) return fail(Failure::kInvalidBulk);
  if (std::cmp_greater(*length, limits.max_bulk_bytes)) {
    return fail(limits.unauthenticated ? Failure::kUnauthenticatedBulk : Failure::kInvalidBulk);
  }
  if (line[searched_ + 1] != '\n') return fail(Failure::kNoLineEnd);
  const std::uint64_t end = position_ + searched_ + 2 + static_cast<std::uint64_t>(*length) + 2;
  if (end > limits.max_request_bytes) return fail(Failure::kBigRequest);
  position_ = end;
  searched_ = static_cast<std::uint64_t>(*length);
  phase_ = Phase::kBulkBody;
  return true;
}

// Redis skips the two bytes behind an argument unseen. Whoever trusts them to be CRLF, as some backend may, would see
// other requests than we do; so they have to be.
bool RequestParser::step_bulk_body(std::string_view input) {
  if (input.size() < position_) return false;
  if (input.substr(position_ - 2, 2) != "\r\n") return fail(Failure::kNoLineEnd);
  --arguments_left_;
  searched_ = 0;
  phase_ = arguments_left_ == 0 ? Phase::kWholeArray : Phase::kBulkHeader;
  return true;
}

bool RequestParser::step_inline(std::string_view line, const RequestLimits& limits) {
  if (!find_line_end(line, '\n', limits, Failure::kBigInline)) return false;
  position_ = searched_ + 1;
  phase_ = Phase::kWholeInline;
  return true;
}

// Searches the line at position_ where it has not been searched yet; afterwards searched_ is the terminator's place. A
// line is too long by what precedes its terminator, so that the verdict does not depend on how much has arrived.
bool RequestParser::find_line_end(std::string_view line, char terminator, const RequestLimits& limits,
                                  Failure when_too_long) {
  assert(limits.max_inline_bytes >= 32);  // room for the longest number, which collect() takes without asking
  const std::uint64_t window = std::min<std::uint64_t>(line.size(), std::uint64_t{limits.max_inline_bytes} + 1);
  const std::size_t found = line.substr(0, window).find(terminator, searched_);
  searched_ = found == std::string_view::npos ? window : found;
  if (found == std::string_view::npos && window > limits.max_inline_bytes) fail(when_too_long);
  return found != std::string_view::npos;
}

bool RequestParser::fail(Failure failure) {
  failure_ = failure;
  phase_ = Phase::kFailed;
  return false;
}

// The steps have seen a whole request, which ends at position_.
ParseStatus RequestParser::finish(std::string_view input, const RequestLimits& limits, Request& out) {
  if (phase_ == Phase::kWholeArray && !headless_) {
    [[maybe_unused]] const bool collected = collect(input, limits, out);
    assert(collected);
    return ParseStatus::kComplete;
  }
  out.bytes = input.substr(0, position_);
  out.is_inline = phase_ == Phase::kWholeInline;
  out.arguments.clear();
  if (out.is_inline && !split_words(out.bytes, out.unquoted, out.arguments)) {
    fail(Failure::kUnbalancedQuotes);
    return ParseStatus::kError;
  }
  phase_ = Phase::kIdle;
  return ParseStatus::kComplete;
}

std::string_view RequestParser::error() const {
  switch (failure_) {
    case Failure::kNone:
      return {};
    case Failure::kBigInline:
      return "Protocol error: too big inline request";
    case Failure::kUnbalancedQuotes:
      return "Protocol error: unbalanced quotes in request";
    case Failure::kBigArrayHeader:
      return "Protocol error: too big mbulk count string";
    case Failure::kInvalidArray:
      return "Protocol error: invalid multibulk length";
    case Failure::kBigBulkHeader:
      return "Protocol error: too big bulk count string";
    case Failure::kInvalidBulk:
      return "Protocol error: invalid bulk length";
    case Failure::kNoLineEnd:
      return "Protocol error: expected CRLF";
    case Failure::kBigRequest:
      return "sluice: the request is larger than limits.max_request";
    case Failure::kUnauthenticatedArray:
      return "Protocol error: unauthenticated multibulk length";
    case Failure::kUnauthenticatedBulk:
      return "Protocol error: unauthenticated bulk length";
    case Failure::kUnexpectedCharacter:
      break;
  }
  const UnexpectedText& text = kUnexpectedTexts[static_cast<unsigned char>(unexpected_)];
  return {text.data(), text.size()};
}

bool RequestParser::idle() const {
  return phase_ == Phase::kIdle;
}

std::uint64_t RequestParser::bytes_wanted() const {
  return phase_ == Phase::kBulkBody ? position_ : 0;
}

std::uint64_t RequestParser::open_length() const {
  return phase_ == Phase::kBulkBody ? searched_ : 0;
}

std::optional<OpenBulk> RequestParser::open_bulk(std::string_view input, Request& out) const {
  assert(!headless_);
  out.arguments.clear();
  if (phase_ != Phase::kBulkBody) return std::nullopt;
  const char* const end = input.data() + input.size();
  const char* at = input.data() + read_header(input.data(), end).bytes;
  while (true) {
    const LengthLine header = read_header(at, end);
    assert(header.bytes != 0);  // the steps have been here
    const char* const body = at + header.bytes;
    const auto start = static_cast<std::uint64_t>(body - input.data());
    if (start + header.value + 2 == position_) return OpenBulk{start, header.value, arguments_left_ - 1};
    out.arguments.emplace_back(body, header.value);
    at = body + header.value + 2;
  }
}

std::uint64_t RequestParser::forwardable() const {
  if (phase_ != Phase::kBulkBody) return position_;
  // The terminator itself may have been forwarded in part, as what it was taken for.
  return position_ < 2 ? 0 : position_ - 2;
}

void RequestParser::forwarded(std::uint64_t bytes) {
  assert(bytes <= forwardable());
  position_ -= bytes;
  headless_ = true;
}

}  // namespace resp
