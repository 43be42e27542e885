// Where one reply of a backend ends: boundaries only, no tree, no copy.
//
// Unlike the request parser it is fed each byte once: a chunk may begin anywhere inside a reply, also inside a header
// line, so that a reply of any size passes through without ever being held whole. Knows all types of RESP2 and RESP3,
// nested, with attributes ('|', part of the reply they precede), and streamed strings and aggregates ("$?", "*?").
// Bounded state, no allocation; any split of the input gives the same boundaries as the whole.
// Thread: any, one at a time.
#pragma once

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
  [[nodiscard]] ScanResult scan(std::string_view chunk);

  /// True between replies.
  [[nodiscard]] bool idle() const;

  /// Bytes of the bulk string (or other sized blob) being passed through that are still to come, terminator excluded.
  /// 0 when not inside one.
  [[nodiscard]] std::uint64_t bulk_bytes_left() const;
};

}  // namespace resp
