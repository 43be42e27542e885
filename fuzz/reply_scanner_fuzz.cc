// Any bytes as a backend's: the scanner finds the ends that the model finds, however they arrive; and what the tree
// reader takes for a value is one reply to the scanner. The first byte says how they arrive.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "fuzz/model/reply_model.h"
#include "fuzz/require.h"
#include "resp/value.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  const model::ReplyTrace expected = model::expected_replies(bytes);
  fuzz::require(model::scanned_replies(bytes, model::all_at_once()) == expected, "as a whole");
  fuzz::require(model::scanned_replies(bytes, model::byte_by_byte()) == expected, "byte by byte");
  fuzz::require(model::scanned_replies(bytes, model::Arrivals(data[0])) == expected, "in pieces");
  if (resp::parse_value(bytes)) {
    fuzz::require(!expected.failed && expected.ends.size() == 1 && expected.ends.front() == bytes.size(),
                  "a value is one reply");
  }
  return 0;
}
