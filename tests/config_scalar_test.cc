// Numbers, sizes, times, addresses and words of the configuration, at their edges.
#include "src/config_scalar.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <string>
#include <string_view>
#include <vector>

#include "src/spelling.h"

namespace {

using namespace sluice;
using namespace std::chrono_literals;

TEST(Scalars, Sizes) {
  EXPECT_EQ(parse_bytes("0").value, 0U);
  EXPECT_EQ(parse_bytes("1000").value, 1000U);
  EXPECT_EQ(parse_bytes("7b").value, 7U);
  EXPECT_EQ(parse_bytes("1k").value, 1000U);
  EXPECT_EQ(parse_bytes("1kb").value, 1024U);
  EXPECT_EQ(parse_bytes("1M").value, 1'000'000U);
  EXPECT_EQ(parse_bytes("1mB").value, 1024U * 1024);
  EXPECT_EQ(parse_bytes("2g").value, 2'000'000'000U);
  EXPECT_EQ(parse_bytes("2GB").value, 2ULL * 1024 * 1024 * 1024);
  EXPECT_EQ(parse_bytes("18446744073709551615").value, ~0ULL);
  EXPECT_EQ(parse_bytes("18446744073709551616").error, ScalarError::kRange);
  EXPECT_EQ(parse_bytes("17179869183gb").value, 17179869183ULL << 30);
  EXPECT_EQ(parse_bytes("17179869184gb").error, ScalarError::kRange);
  for (const char* text : {"", "kb", "1 kb", "-1", "+1", "1.5mb", "1tb", "0x10", "1kbb"}) {
    EXPECT_FALSE(parse_bytes(text).value) << text;
    EXPECT_EQ(parse_bytes(text).error, ScalarError::kForm) << text;
  }
}

TEST(Scalars, Durations) {
  EXPECT_EQ(parse_duration("0").value, 0ms);
  EXPECT_EQ(parse_duration("0s").value, 0ms);
  EXPECT_EQ(parse_duration("500ms").value, 500ms);
  EXPECT_EQ(parse_duration("10s").value, 10s);
  EXPECT_EQ(parse_duration("3m").value, 3min);
  EXPECT_EQ(parse_duration("1h").value, 1h);
  EXPECT_EQ(parse_duration("9223372036854775807ms").value, Milliseconds::max());
  EXPECT_EQ(parse_duration("9223372036854775808ms").error, ScalarError::kRange);
  EXPECT_EQ(parse_duration("9223372036854776s").error, ScalarError::kRange);
  EXPECT_EQ(parse_duration("99999999999999999999h").error, ScalarError::kRange);
  for (const char* text : {"", "10", "s", "1d", "1.5s", "1m30s", "-1s", "1 s", "00"}) {
    EXPECT_FALSE(parse_duration(text).value) << text;
    EXPECT_EQ(parse_duration(text).error, ScalarError::kForm) << text;
  }
}

TEST(Scalars, Addresses) {
  EXPECT_EQ(parse_node_address("host-1.x_y:65535"), (cluster::Address{"host-1.x_y", 65535}));
  EXPECT_EQ(parse_node_address("[fe80::1%eth0]:1"), (cluster::Address{"fe80::1%eth0", 1}));
  for (const char* text : {"", ":", "h", "h:", ":1", "h:0", "h:65536", "h:x", "::1:1", "[]:1", "[::1]", "h h:1",
                           "a/b:1", "redis://h:1", "[::1:1", "*:1"}) {
    EXPECT_FALSE(parse_node_address(text)) << text;
    EXPECT_FALSE(parse_listen_address(text)) << text;
  }
  const std::string longest = "unix:/" + std::string(106, 'x');
  EXPECT_EQ(parse_listen_address(longest)->text(), longest);
  EXPECT_FALSE(parse_listen_address(longest + "x"));
  EXPECT_FALSE(parse_listen_address("unix:relative"));
  EXPECT_EQ(parse_listen_address("[::1]:1")->text(), "[::1]:1");
}

TEST(Scalars, NearestWord) {
  const std::vector<std::string_view> known{"nodes", "mode", "read_from"};
  EXPECT_EQ(nearest_word("node", known), "nodes");
  EXPECT_EQ(nearest_word("raed_form", known), "read_from");
  EXPECT_EQ(nearest_word("listen", known), "");
  EXPECT_EQ(nearest_word(std::string(1000, 'x'), known), "");
}

TEST(Laws, ScalarsAndTheirTextAreInverse) {
  EXPECT_TRUE(rc::check([](Bytes bytes) { RC_ASSERT(parse_bytes(text_of_bytes(bytes)).value == bytes); }));
  EXPECT_TRUE(rc::check([](std::uint32_t number, bool is_round) {
    const Milliseconds duration(std::int64_t{number} * (is_round ? 60'000 : 1));
    RC_ASSERT(parse_duration(text_of_duration(duration)).value == duration);
  }));
}

}  // namespace
