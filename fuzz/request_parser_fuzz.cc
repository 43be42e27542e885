// Any bytes as a client's: what the parser makes of them is what the model makes of them, however they arrive; and what
// it took for a request, written anew, is that request.
#include <algorithm>
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
  limits.unauthenticated = (choice & 16) != 0;
  return limits;
}

void require_same_when_written(const model::Arguments& arguments) {
  const std::vector<std::string_view> views(arguments.begin(), arguments.end());
  std::string bytes;
  resp::write_request(bytes, views);
  const model::RequestTrace again = model::parsed_requests(bytes, {}, model::all_at_once());
  fuzz::require(again == model::RequestTrace{{arguments}, bytes.size(), ""}, "written and read again");
}

// A proxy that lets go of every large body as soon as it knows it finds the requests' ends all the same.
void require_same_ends_when_forwarded(std::string_view bytes, const model::RequestTrace& expected, std::size_t shown) {
  resp::RequestParser parser;
  resp::Request request;
  std::size_t at = 0;
  for (const model::Arguments& arguments : expected.requests) {
    const std::string_view input = bytes.substr(at, std::min(shown, expected.used - at));
    if (parser.parse(input, {}, request) == resp::ParseStatus::kIncomplete) {
      const auto bulk = parser.open_bulk(input, request);
      fuzz::require(parser.open_length() == (bulk ? bulk->length : 0), "the length of what is open");
      if (bulk) {
        const std::size_t index = request.arguments.size();
        fuzz::require(std::equal(request.arguments.begin(), request.arguments.end(), arguments.begin()), "the head");
        fuzz::require(bytes.substr(at + bulk->start, bulk->length) == arguments[index], "the open bulk");
        fuzz::require(index + 1 + bulk->arguments_behind == arguments.size(), "the number of arguments");
        parser.forwarded(bulk->start + bulk->length);
        at += bulk->start + bulk->length;
      }
      fuzz::require(parser.parse(bytes.substr(at), {}, request) == resp::ParseStatus::kComplete, "the rest");
      fuzz::require(request.arguments.empty() || !bulk, "no arguments behind a forwarded head");
    }
    at += request.bytes.size();
  }
  fuzz::require(at == expected.used, "the end");
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
  require_same_ends_when_forwarded(bytes, expected, 1 + data[1] % 64U);
  return 0;
}
