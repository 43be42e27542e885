// A client's request, recognised in place: RESP arrays of bulk strings and inline commands.
//
// The parser owns nothing but a few counters; the bytes belong to the caller. It can be stopped after any byte and
// resumed when more have come, and any split of the input gives the same requests as the whole. Hostile input costs
// O(bytes): no byte is looked at more than a constant number of times, however it is cut.
//
// Limits and error texts are Redis's own (networking.c of Redis 7.2 / Valkey 8, proto-max-bulk-len).
// Thread: any, one at a time. No allocation per request once a Request has grown to its use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace resp {

/// One request, as views into the bytes given to RequestParser::parse (or into `unquoted`). Valid while those bytes
/// stay in place and until the next parse into the same object. Meant to be one per worker, used again and again.
struct Request {
  std::string_view bytes;                   ///< the request as received, terminator included
  std::vector<std::string_view> arguments;  ///< the command's name first; empty for an empty line or "*0"
  bool is_inline = false;                   ///< `bytes` is not a RESP array: send the arguments, not the bytes
  std::string unquoted;                     ///< backing store of inline arguments (quotes and escapes resolved)
};

/// Bounds of one request, in bytes and counts. Beyond them the parser answers with Redis's error.
struct RequestLimits {
  std::uint64_t max_bulk_bytes = 512ULL << 20;     ///< one argument (Redis: proto-max-bulk-len)
  std::uint64_t max_arguments = 0x7fffffff;        ///< one array (Redis: INT_MAX)
  std::uint64_t max_request_bytes = 512ULL << 20;  ///< the whole request
  std::uint32_t max_inline_bytes = 64U << 10;  ///< one inline line or one header line (Redis: PROTO_INLINE_MAX_SIZE);
                                               ///< at least 32
  bool unauthenticated = false;                ///< the first two are those of a client that has yet to AUTH, and the
                                               ///< errors say so
};

/// What Redis takes from a client that has to authenticate first.
inline constexpr RequestLimits kUnauthenticatedLimits{
    .max_bulk_bytes = 16384, .max_arguments = 10, .unauthenticated = true};

/// A bulk string whose header has arrived, but not all of its body.
struct OpenBulk {
  std::uint64_t start;             ///< offset of the body from the request's first byte
  std::uint64_t length;            ///< of the body, terminator excluded
  std::uint64_t arguments_behind;  ///< still to come after it
};

enum class ParseStatus : std::uint8_t {
  kIncomplete,  ///< every byte was taken note of; call again with the same bytes and more behind them
  kComplete,    ///< `out` holds a request; its bytes.size() bytes are used up
  kError,       ///< the client broke the protocol: answer error() and close. The parser must not be used again.
};

class RequestParser {
 public:
  /// `input` begins with the first byte of a request: the same bytes as at the last call when that was incomplete
  /// (they may have moved), with more behind them. `limits` must be the same at each call.
  [[nodiscard]] ParseStatus parse(std::string_view input, const RequestLimits& limits, Request& out);

  /// After kError: the text behind "-ERR ", without CRLF. Static storage or member storage, at most 64 bytes.
  [[nodiscard]] std::string_view error() const;

  /// True when no byte of an unfinished request has been seen.
  [[nodiscard]] bool idle() const;

  /// A lower bound (in bytes, from the request's first byte) of how much the unfinished request will need before
  /// parse can make progress; 0 when unknown. Lets the caller grow its buffer once instead of by doubling.
  [[nodiscard]] std::uint64_t bytes_wanted() const;

  /// After kIncomplete: the length of the argument whose body is waited for; 0 when none is.
  [[nodiscard]] std::uint64_t open_length() const;

  /// After kIncomplete: the argument that is arriving, when it is its body that is waited for; the whole arguments
  /// before it go to `out.arguments`. `input` is that of the parse. So a large value is known by its header, and
  /// routed, while it is on its way. O(arguments). Not after forwarded().
  [[nodiscard]] std::optional<OpenBulk> open_bulk(std::string_view input, Request& out) const;

  /// After kIncomplete: how many bytes forwarded() may take: whole elements, and the body waited for to its end,
  /// terminator excluded (which may lie beyond the input).
  [[nodiscard]] std::uint64_t forwardable() const;

  /// After kIncomplete: the first `bytes` bytes of the request have gone on without us, or will (a splice), and are not
  /// shown again: the next input begins behind them. They may end anywhere up to the end of the body waited for,
  /// terminator excluded. kComplete then tells the end of the request only: `arguments` is empty, `bytes` is the rest,
  /// max_request_bytes counts from here.
  void forwarded(std::uint64_t bytes);

 private:
  /// What of the request is being waited for, at position_.
  enum class Phase : std::uint8_t {
    kIdle,
    kInline,
    kArrayHeader,
    kBulkHeader,
    kBulkBody,
    kEmptyArray,
    kWholeArray,
    kWholeInline,
    kFailed
  };
  enum class Failure : std::uint8_t {
    kNone,
    kBigInline,
    kUnbalancedQuotes,
    kBigArrayHeader,
    kInvalidArray,
    kBigBulkHeader,
    kInvalidBulk,
    kUnexpectedCharacter,
    kNoLineEnd,
    kBigRequest,
    kUnauthenticatedArray,
    kUnauthenticatedBulk,
  };

  void start(Phase phase);
  bool collect(std::string_view input, const RequestLimits& limits, Request& out);
  bool step(std::string_view input, const RequestLimits& limits);
  bool step_array_header(std::string_view line, const RequestLimits& limits);
  bool step_bulk_header(std::string_view line, const RequestLimits& limits);
  bool step_bulk_body(std::string_view input);
  bool step_inline(std::string_view line, const RequestLimits& limits);
  bool find_line_end(std::string_view line, char terminator, const RequestLimits& limits, Failure when_too_long);
  bool fail(Failure failure);
  [[nodiscard]] bool is_whole() const { return phase_ >= Phase::kEmptyArray && phase_ < Phase::kFailed; }
  ParseStatus finish(std::string_view input, const RequestLimits& limits, Request& out);

  // All elements before position_ are whole and well-formed; bytes behind it were only searched for a line end.
  std::uint64_t position_ = 0;        ///< start of the element waited for; its end when that is a body
  std::uint64_t searched_ = 0;        ///< bytes from position_ that hold no line end; of a body, its length
  std::uint64_t arguments_left_ = 0;  ///< the one waited for included
  Phase phase_ = Phase::kIdle;
  Failure failure_ = Failure::kNone;
  char unexpected_ = 0;
  bool headless_ = false;  ///< some of the request was forwarded: positions count from behind it
};

// One lives in every idle client session.
static_assert(sizeof(RequestParser) <= 40);

}  // namespace resp
