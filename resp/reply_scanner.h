// Where one reply of a backend ends: boundaries only, no tree, no copy.
//
// Unlike the request parser it is fed each byte once: a chunk may begin anywhere inside a reply, also inside a header
// line, so that a reply of any size passes through without ever being held whole. Knows all types of RESP2 and RESP3,
// nested, with attributes ('|', part of the reply they precede), and streamed strings and aggregates ("$?", "*?").
// Bounded state, no allocation; any split of the input gives the same boundaries as the whole.
// Thread: any, one at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace resp {

enum class ScanStatus : std::uint8_t {
  kIncomplete,  ///< all of the chunk belongs to the reply, which goes on
  kComplete,    ///< the first `length` bytes of the chunk end the reply; the scanner is ready for the next
  kError,       ///< not RESP: the connection cannot be used any more
};

struct ScanResult {
  ScanStatus status;
  std::size_t length;  ///< bytes of the chunk that belong to the reply
};

class ReplyScanner {
 public:
  /// Streamed aggregates within one another; deeper is kError. Sized aggregates nest without bound.
  static constexpr std::size_t kMaxStreamedDepth = 8;

  [[nodiscard]] ScanResult scan(std::string_view chunk);

  /// True between replies.
  [[nodiscard]] bool idle() const;

  /// Bytes of the bulk string (or other sized blob) being passed through that are still to come, terminator excluded.
  /// 0 when not inside one.
  [[nodiscard]] std::uint64_t bulk_bytes_left() const;

  /// `bytes` of the bulk string passed by without being seen here (a splice); at most bulk_bytes_left().
  void skip(std::uint64_t bytes);

 private:
  /// What the next byte belongs to.
  enum class State : std::uint8_t {
    kValue,       ///< the mark of a value, of a streamed string's chunk, or of a streamed aggregate's end
    kLine,        ///< the rest of a line whose text does not matter
    kEmptyLine,   ///< the CR of a line without text
    kLineFeed,    ///< the LF of either
    kLength,      ///< the rest of a header line
    kLengthFeed,  ///< its LF
    kBody,        ///< bytes of a blob
    kBodyReturn,  ///< the CR behind it
    kBodyFeed,    ///< and the LF
    kFailed,
  };

  /// What a header line's number has been so far.
  enum class Digits : std::uint8_t { kNone, kZero, kPositive, kMinus, kMinusOne, kStreamed };

  const char* pass_whole_values(const char* at, const char* end);
  const char* step(const char* at, const char* end);
  bool take(char byte);
  bool take_mark(char mark);
  bool take_digit(char byte);
  bool end_header();
  bool end_line();
  bool end_body();
  bool open_streamed();
  bool add_values(std::uint64_t count, std::uint64_t times);
  bool end_value();
  [[nodiscard]] std::uint16_t level_bit() const { return static_cast<std::uint16_t>(1U << depth_); }

  // values_left_ counts the values still to come up to the next boundary, the one being read included: the end of the
  // reply, or within a streamed aggregate the end of its current element. The counts of the levels around lie in
  // outer_.
  std::uint64_t values_left_ = 0;
  std::uint64_t length_ = 0;  ///< of the header being read; then what is left of the blob
  std::array<std::uint64_t, kMaxStreamedDepth> outer_{};
  State state_ = State::kValue;
  Digits digits_ = Digits::kNone;
  char mark_ = 0;
  bool in_streamed_string_ = false;
  std::uint8_t depth_ = 0;      ///< streamed aggregates open
  std::uint16_t map_bits_ = 0;  ///< by depth: is a map
  std::uint16_t odd_bits_ = 0;  ///< by depth: holds an odd number of elements
};

static_assert(sizeof(ReplyScanner) <= 128);

}  // namespace resp
