// Any bytes as a client's: what the parser makes of them is what the model makes of them, however they arrive; and what
// it took for a request, written anew, is that request.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/model/request_model.h"
#include "fuzz/require.h"
#include "resp/request_parser.h"
#include "resp/writer.h"

namespace {

// The first byte chooses (the second: how the bytes arrive): small limits are met by small inputs.
resp::RequestLimits limits_of(std::uint8_t choice) {
  resp::RequestLimits limits;
  if ((choice & 1) != 0) limits.max_inline_bytes = 40;
  if ((choice & 2) != 0) limits.max_bulk_bytes = 20;
  if ((choice & 4) != 0) limits.max_arguments = 3;
  if ((choice & 8) != 0) limits.max_request_bytes = 60;
  return limits;
}

void require_same_when_written(const model::Arguments& arguments) {
  const std::vector<std::string_view> views(arguments.begin(), arguments.end());
  std::string bytes;
  resp::write_request(bytes, views);
  const model::RequestTrace again = model::parsed_requests(bytes, {}, model::all_at_once());
  fuzz::require(again == model::RequestTrace{{arguments}, bytes.size(), ""}, "written and read again");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const resp::RequestLimits limits = limits_of(data[0]);
  const std::string bytes(reinterpret_cast<const char*>(data + 2), size - 2);
  const model::RequestTrace expected = model::expected_requests(bytes, limits);
  fuzz::require(model::parsed_requests(bytes, limits, model::all_at_once()) == expected, "as a whole");
  fuzz::require(model::parsed_requests(bytes, limits, model::byte_by_byte()) == expected, "byte by byte");
  fuzz::require(model::parsed_requests(bytes, limits, model::Arrivals(data[1])) == expected, "in pieces");
  for (const model::Arguments& arguments : expected.requests) require_same_when_written(arguments);
  return 0;
}
