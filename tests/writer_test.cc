// The bytes of each form, in both protocol versions.
#include "resp/writer.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace resp {
namespace {

template <typename Write>
std::string written(Protocol protocol, const Write& write) {
  std::string bytes = "before";
  Writer writer(bytes, protocol);
  write(writer);
  EXPECT_TRUE(bytes.starts_with("before"));  // it appends
  return bytes.substr(6);
}

template <typename Write>
void expect_written(std::string_view resp2, std::string_view resp3, const Write& write) {
  EXPECT_EQ(written(Protocol::kResp2, write), resp2);
  EXPECT_EQ(written(Protocol::kResp3, write), resp3);
}

TEST(Writer, WritesWhatBothVersionsHave) {
  const auto expect_same = [](std::string_view bytes, const auto& write) { expect_written(bytes, bytes, write); };
  expect_same("+OK\r\n", [](Writer& w) { w.simple("OK"); });
  expect_same("-ERR no\r\n", [](Writer& w) { w.error("ERR no"); });
  expect_same(":-9223372036854775808\r\n", [](Writer& w) { w.integer(INT64_MIN); });
  expect_same("$4\r\na\r\nb\r\n", [](Writer& w) { w.bulk("a\r\nb"); });
  expect_same("$0\r\n\r\n", [](Writer& w) { w.bulk(""); });
  expect_same("*3\r\n", [](Writer& w) { w.array(3); });
  expect_same("*0\r\n", [](Writer& w) { w.array(0); });
}

TEST(Writer, WritesRespThreeAsRespTwoServersDo) {
  expect_written("$3\r\nabc\r\n", "=7\r\ntxt:abc\r\n", [](Writer& w) { w.verbatim("abc"); });
  expect_written(":1\r\n", "#t\r\n", [](Writer& w) { w.boolean(true); });
  expect_written(":0\r\n", "#f\r\n", [](Writer& w) { w.boolean(false); });
  expect_written("$-1\r\n", "_\r\n", [](Writer& w) { w.null(); });
  expect_written("*-1\r\n", "_\r\n", [](Writer& w) { w.null_array(); });
  expect_written("*2\r\n", "~2\r\n", [](Writer& w) { w.set(2); });
  expect_written("*4\r\n", "%2\r\n", [](Writer& w) { w.map(2); });
  expect_written("*2\r\n", ">2\r\n", [](Writer& w) { w.push(2); });
}

TEST(Writer, WritesReals) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  expect_written("$3\r\n1.5\r\n", ",1.5\r\n", [](Writer& w) { w.real(1.5); });
  expect_written("$3\r\n0.1\r\n", ",0.1\r\n", [](Writer& w) { w.real(0.1); });
  expect_written("$2\r\n20\r\n", ",20\r\n", [](Writer& w) { w.real(20); });
  expect_written("$3\r\ninf\r\n", ",inf\r\n", [](Writer& w) { w.real(kInfinity); });
  expect_written("$4\r\n-inf\r\n", ",-inf\r\n", [](Writer& w) { w.real(-kInfinity); });
  expect_written("$3\r\nnan\r\n", ",nan\r\n", [](Writer& w) { w.real(-std::numeric_limits<double>::quiet_NaN()); });
}

// Text of others goes into errors: it must not be able to end the line.
TEST(Writer, KeepsAnErrorOnItsLine) {
  expect_written("-ERR a  b \r\n", "-ERR a  b \r\n", [](Writer& w) { w.error("ERR a\r\nb\n"); });
}

TEST(WriterDeathTest, RefusesALineEndInASimpleString) {
  std::string bytes;
  EXPECT_DEATH(Writer(bytes, Protocol::kResp2).simple("a\nb"), "");
}

TEST(Writer, WritesRequests) {
  std::string bytes = "before";
  write_request(bytes, {"SET", "k", ""});
  EXPECT_EQ(bytes, "before*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n");
  bytes.clear();
  write_request(bytes, std::vector<std::string_view>{"PING"});
  EXPECT_EQ(bytes, "*1\r\n$4\r\nPING\r\n");
}

}  // namespace
}  // namespace resp
