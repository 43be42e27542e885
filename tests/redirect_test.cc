// Error replies of cluster nodes, as they stand on the wire, and addresses as text.
#include "cluster/redirect.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>

namespace {

using cluster::Address;
using cluster::classify_error;
using cluster::ErrorKind;
using cluster::parse_address;
using cluster::parse_redirect;

TEST(ClassifyError, KnowsTheWordsOfACluster) {
  EXPECT_EQ(classify_error("-MOVED 3999 127.0.0.1:6381\r\n"), ErrorKind::kMoved);
  EXPECT_EQ(classify_error("-ASK 3999 127.0.0.1:6381"), ErrorKind::kAsk);
  EXPECT_EQ(classify_error("-TRYAGAIN Multiple keys request during rehashing of slot\r\n"), ErrorKind::kTryAgain);
  EXPECT_EQ(classify_error("-CLUSTERDOWN Hash slot not served\r\n"), ErrorKind::kClusterDown);
  EXPECT_EQ(classify_error("-LOADING Redis is loading the dataset in memory\r\n"), ErrorKind::kLoading);
  EXPECT_EQ(classify_error("-READONLY You can't write against a read only replica.\r\n"), ErrorKind::kReadOnly);
  EXPECT_EQ(classify_error("-MASTERDOWN Link with MASTER is down\r\n"), ErrorKind::kMasterDown);
  EXPECT_EQ(classify_error("-LOADING\r\n"), ErrorKind::kLoading);
  EXPECT_EQ(classify_error("-LOADING"), ErrorKind::kLoading);
}

TEST(ClassifyError, LeavesAllElseToTheClient) {
  EXPECT_EQ(classify_error("-ERR unknown command\r\n"), ErrorKind::kOther);
  EXPECT_EQ(classify_error("-ASKING 1 a:1"), ErrorKind::kOther);
  EXPECT_EQ(classify_error("-MOVE"), ErrorKind::kOther);
  EXPECT_EQ(classify_error("-moved 1 a:1"), ErrorKind::kOther);
  EXPECT_EQ(classify_error("+MOVED 1 a:1"), ErrorKind::kOther);
  EXPECT_EQ(classify_error("-ERR MOVED 1 a:1"), ErrorKind::kOther);
  EXPECT_EQ(classify_error("-"), ErrorKind::kOther);
  EXPECT_EQ(classify_error(""), ErrorKind::kOther);
}

void expect_target(std::string_view error, int slot, const std::string& host, int port) {
  const auto redirect = parse_redirect(error);
  ASSERT_TRUE(redirect) << error;
  EXPECT_EQ(redirect->slot, slot) << error;
  EXPECT_EQ(redirect->address.host, host) << error;
  EXPECT_EQ(redirect->address.port, port) << error;
}

TEST(ParseRedirect, ReadsEveryFormOfHost) {
  expect_target("-MOVED 3999 127.0.0.1:6381\r\n", 3999, "127.0.0.1", 6381);
  expect_target("-ASK 0 127.0.0.1:1", 0, "127.0.0.1", 1);
  expect_target("-MOVED 16383 ::1:6379\r\n", 16383, "::1", 6379);
  expect_target("-MOVED 1 2001:db8::7:65535\r\n", 1, "2001:db8::7", 65535);
  expect_target("-MOVED 1 [2001:db8::7]:6379\r\n", 1, "2001:db8::7", 6379);
  expect_target("-MOVED 1 node-7.cache.example.com:6379\r\n", 1, "node-7.cache.example.com", 6379);
}

TEST(ParseRedirect, AMissingHostIsEmpty) {
  expect_target("-MOVED 1 :6379\r\n", 1, "", 6379);
  expect_target("-ASK 1 ?:6379\r\n", 1, "?", 6379);
}

TEST(ParseRedirect, RefusesWhatIsMalformed) {
  for (const char* error : {"-MOVED",
                            "-MOVED ",
                            "-MOVED 1",
                            "-MOVED 1 ",
                            "-MOVED 1 host",
                            "-MOVED 1 host:",
                            "-MOVED 1 host:0",
                            "-MOVED 1 host:65536",
                            "-MOVED 1 host:12x",
                            "-MOVED 1 host:-1",
                            "-MOVED 16384 host:1",
                            "-MOVED -1 host:1",
                            "-MOVED 99999999999 host:1",
                            "-MOVED x host:1",
                            "-MOVED 1 :",
                            "-MOVED 1 [::1:6379",
                            "-MOVED 1 []:6379",
                            "-MOVED  1 host:1",
                            "-MOVED 1 host:1 more",
                            "-MOVED 1 ho\rst:1",
                            "-TRYAGAIN 1 host:1",
                            "-ERR 1 host:1",
                            ""}) {
    EXPECT_FALSE(parse_redirect(error)) << error;
  }
}

TEST(Address, ReadsWhatItWrites) {
  EXPECT_EQ((Address{"10.0.0.1", 6379}).text(), "10.0.0.1:6379");
  EXPECT_EQ((Address{"::1", 6379}).text(), "[::1]:6379");
  EXPECT_EQ((Address{"a.example", 1}).text(), "a.example:1");
  EXPECT_EQ(parse_address("[::1]:6379"), (Address{"::1", 6379}));
  EXPECT_EQ(parse_address("::1:6379"), (Address{"::1", 6379}));
  EXPECT_EQ(parse_address("localhost:06379"), (Address{"localhost", 6379}));
  for (const char* text : {"", ":", "host", "host:", ":6379", "[]:1", "[::1]", "[::1]6379", "]:1", "[:1", "a b:1",
                           "host:+1", "host: 1", "host:65536"}) {
    EXPECT_FALSE(parse_address(text)) << text;
  }
}

RC_GTEST_PROP(Address, TextRoundTrips, ()) {
  const auto text = *rc::gen::container<std::string>(rc::gen::element('[', ']', ':', '1', '6', 'a', '.', ' ', '?'));
  const auto address = parse_address(text);
  if (address) {
    RC_ASSERT(parse_address(address->text()) == address);
  }
}

RC_GTEST_PROP(ParseRedirect, AnyBytesAreTakenOrRefused, ()) {
  const auto tail = *rc::gen::container<std::string>(rc::gen::element('[', ']', ':', '1', '6', ' ', '?', '\r', '\n'));
  const auto redirect = parse_redirect("-MOVED 7 " + tail);
  if (redirect) {
    RC_ASSERT(redirect->slot == 7);
    RC_ASSERT(redirect->address.port != 0);
  }
}

}  // namespace
