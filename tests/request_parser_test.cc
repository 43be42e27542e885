// What a client's bytes become: against the slow model, under every split, with Redis's errors word by word.
#include "resp/request_parser.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "fuzz/model/request_model.h"
#include "resp/writer.h"

namespace resp {
namespace {

using model::Arguments;
using model::Arrivals;

std::string encoded(const Arguments& arguments) {
  std::string bytes;
  write_request(bytes, std::vector<std::string_view>(arguments.begin(), arguments.end()));
  return bytes;
}

// Limits small enough for small inputs to meet them.
RequestLimits small_limits() {
  return {.max_bulk_bytes = 300, .max_arguments = 12, .max_request_bytes = 600, .max_inline_bytes = 64};
}

std::string error_of(std::string_view bytes, const RequestLimits& limits = {}) {
  return model::parsed_requests(bytes, limits, model::all_at_once()).error;
}

std::vector<Arguments> requests_of(std::string_view bytes) {
  const model::RequestTrace trace = model::parsed_requests(bytes, {}, model::all_at_once());
  EXPECT_EQ(trace.error, "");
  EXPECT_EQ(trace.used, bytes.size());
  return trace.requests;
}

// Streams that between them reach every branch of the parser.
std::vector<std::string> corpus() {
  const std::string long_argument(1200, 'v');
  return {
      encoded({"SET", "key", "value"}) + encoded({"GET", "key"}) + "PING\r\n" + encoded({"PING"}),
      encoded({"SET", "", std::string("\r\n$3\r\n\0", 7)}),
      encoded({"SET", std::string(9, 'a'), std::string(10, 'b')}) +
          encoded({std::string(99, 'c'), std::string(100, 'd')}),
      encoded({"SET", "k", long_argument}) + encoded({std::string(999, 'c'), std::string(1000, 'd')}),
      encoded(Arguments(9, "a")) + encoded(Arguments(10, "b")) + encoded(Arguments(11, "")),
      encoded(Arguments(100, "x")) + encoded({"GET", "k"}),
      "*0\r\n*-1\r\n*-12\r\n\r\n\n   \r\n" + encoded({"PING"}),
      "set k v\nset k v\r\n  set\tk  v \r\nset \"a b\" 'c d'\r\nset \"\\x41\\n\\q\\\"\" '\\'\\n'\r\n",
      "set \"k\"v\r\n",
      "set \"k\r\n",
      "set 'k\r\n",
      "set k\"v\"w\r\n",
      "set \"k\\\r\n",
      "set \"\\x4\" \"\\x4g\"\r\n",
      "*3\r\n$3\r\nSET\r\n+1\r\n",
      "*1\r\n\r\n",
      "*1\r\n*1\r\n",
      "*1\r\n$a\r\n",
      "*1\r\n$-1\r\n",
      "*1\r\n$\r\n",
      "*a\r\n",
      "*\r\n",
      "*1x\r\n",
      "*01\r\n",
      "*-0\r\n",
      "*+1\r\n",
      "* 1\r\n",
      "*-\r\n",
      "*1\r\n$01\r\n",
      "*9223372036854775807\r\n",
      "*9223372036854775808\r\n",
      "*-9223372036854775809\r\n",
      "*2147483648\r\n",
      "*18446744073709551617\r\n$1\r\na\r\n",
      "*1\r\n$9223372036854775807\r\n",
      "*1\r\n$18446744073709551617\r\na\r\n",
      "*1000000000\r\n$1\r\na\r\n",
      "*1\r\n$1000000000\r\n",
      "*1\rx$1\r\na\r\n",
      "*1\r\n$1\rxa\r\n",
      "*1\r\n$1\r\nabc",
      "*1\r\n$1\r\na\rx",
      "*1\n$1\na\n",
      "*" + std::string(70, '1') + "\r\n",
      "*1\r\n$" + std::string(70, '1') + "\r\n",
      std::string(70, 'a') + "\r\n",
      "*" + std::string(70, '1'),
      "*1\r\n$" + std::string(70, '1'),
      std::string(70, 'a'),
      std::string(64, 'a') + "\n",
      "*1\r\n$300\r\n" + std::string(300, 'x') + "\r\n",
      "*1\r\n$301\r\n" + std::string(301, 'x') + "\r\n",
      "*3\r\n$250\r\n" + std::string(250, 'x') + "\r\n$300\r\n" + std::string(300, 'x') + "\r\n$30\r\n",
      "*01\r\n$1\r\na\r\n",
      "*1\r\n$01\r\na\r\n",
      "*1\r\n$003\r\nabc\r\n",
      "*1\r\n$10\rx0123456789\r\n",
      "*1\r\n$100\rx" + std::string(100, 'x') + "\r\n",
      "*1\r\n$1000\rx" + std::string(1000, 'x') + "\r\n",
      std::string("a\0b c\r\n", 7),
  };
}

TEST(RequestParser, ReadsArrays) {
  EXPECT_EQ(requests_of("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nvalue\r\n*1\r\n$4\r\nPING\r\n"),
            (std::vector<Arguments>{{"SET", "k", "value"}, {"PING"}}));
  EXPECT_EQ(requests_of("*0\r\n*-1\r\n"), (std::vector<Arguments>{{}, {}}));
}

TEST(RequestParser, ReadsInlineCommands) {
  EXPECT_EQ(requests_of("PING\r\nset k  v\n\r\n \n"), (std::vector<Arguments>{{"PING"}, {"set", "k", "v"}, {}, {}}));
  EXPECT_EQ(requests_of("a \"b \\x41\\n\\\"\" 'c\\'d' \"\"\r\n"),
            (std::vector<Arguments>{{"a", "b A\n\"", "c'd", ""}}));
  EXPECT_EQ(requests_of("a\"b c\"\r\n"), (std::vector<Arguments>{{"ab c"}}));
}

TEST(RequestParser, TellsInlineFromArray) {
  RequestParser parser;
  Request request;
  ASSERT_EQ(parser.parse("PING\r\n*1\r\n", {}, request), ParseStatus::kComplete);
  EXPECT_TRUE(request.is_inline);
  EXPECT_EQ(request.bytes, "PING\r\n");
  ASSERT_EQ(parser.parse("*1\r\n$4\r\nPING\r\nGET", {}, request), ParseStatus::kComplete);
  EXPECT_FALSE(request.is_inline);
  EXPECT_EQ(request.bytes, "*1\r\n$4\r\nPING\r\n");
  ASSERT_EQ(parser.parse("*0\r\n", {}, request), ParseStatus::kComplete);
  EXPECT_FALSE(request.is_inline);
  EXPECT_TRUE(request.arguments.empty());
}

// The words are Redis's, from networking.c; the last two are ours.
TEST(RequestParser, SaysWhatRedisSays) {
  const std::string too_long(64 * 1024 + 1, '1');
  EXPECT_EQ(error_of("*x\r\n"), "Protocol error: invalid multibulk length");
  EXPECT_EQ(error_of("*2147483648\r\n"), "Protocol error: invalid multibulk length");
  EXPECT_EQ(error_of("*" + too_long), "Protocol error: too big mbulk count string");
  EXPECT_EQ(error_of("*1\r\n+OK\r\n"), "Protocol error: expected '$', got '+'");
  EXPECT_EQ(error_of("*1\r\n\r\n"), "Protocol error: expected '$', got ' '");
  EXPECT_EQ(error_of("*1\r\n$" + too_long), "Protocol error: too big bulk count string");
  EXPECT_EQ(error_of("*1\r\n$-1\r\n"), "Protocol error: invalid bulk length");
  EXPECT_EQ(error_of("*1\r\n$536870913\r\n"), "Protocol error: invalid bulk length");
  EXPECT_EQ(error_of(too_long), "Protocol error: too big inline request");
  EXPECT_EQ(error_of("set \"k\r\n"), "Protocol error: unbalanced quotes in request");
  EXPECT_EQ(error_of("*1\r\n$1\r\nabc"), "Protocol error: expected CRLF");
  EXPECT_EQ(error_of("*2\r\n$1\r\na\r\n$536870912\r\n"), "sluice: the request is larger than limits.max_request");
}

TEST(RequestParser, TakesLittleBeforeAuthentication) {
  const std::string ten = "*10\r\n$4\r\nAUTH\r\n";
  EXPECT_EQ(error_of(ten, kUnauthenticatedLimits), "");
  EXPECT_EQ(error_of("*11\r\n", kUnauthenticatedLimits), "Protocol error: unauthenticated multibulk length");
  EXPECT_EQ(error_of("*1\r\n$16384\r\n", kUnauthenticatedLimits), "");
  EXPECT_EQ(error_of("*1\r\n$16385\r\n", kUnauthenticatedLimits), "Protocol error: unauthenticated bulk length");
  EXPECT_EQ(error_of("*x\r\n", kUnauthenticatedLimits), "Protocol error: invalid multibulk length");
}

TEST(RequestParser, KnowsALargeValueByItsHeader) {
  RequestParser parser;
  Request request;
  const std::string head = "*5\r\n$3\r\nSET\r\n$3\r\nkey\r\n$1000000\r\n";
  ASSERT_EQ(parser.parse(head.substr(0, head.size() - 1), {}, request), ParseStatus::kIncomplete);
  EXPECT_FALSE(parser.open_bulk(head.substr(0, head.size() - 1), request));
  EXPECT_EQ(parser.open_length(), 0U);
  const std::string input = head + "vvv";
  ASSERT_EQ(parser.parse(input, {}, request), ParseStatus::kIncomplete);
  const auto bulk = parser.open_bulk(input, request);
  ASSERT_TRUE(bulk);
  EXPECT_EQ(bulk->start, head.size());
  EXPECT_EQ(bulk->length, 1000000U);
  EXPECT_EQ(parser.open_length(), 1000000U);
  EXPECT_EQ(bulk->arguments_behind, 2U);
  EXPECT_EQ(request.arguments, (std::vector<std::string_view>{"SET", "key"}));

  parser.forwarded(bulk->start + bulk->length);
  EXPECT_FALSE(parser.idle());
  EXPECT_EQ(parser.bytes_wanted(), 2U);
  ASSERT_EQ(parser.parse("\r\n$2\r\nE", {}, request), ParseStatus::kIncomplete);
  EXPECT_EQ(parser.open_length(), 2U);
  parser.forwarded(7);  // all but the byte of the unfinished body
  ASSERT_EQ(parser.parse("X\r\n$2\r\n10\r\n*1\r\n$4\r\nPING\r\n", {}, request), ParseStatus::kComplete);
  EXPECT_EQ(request.bytes, "X\r\n$2\r\n10\r\n");
  EXPECT_TRUE(request.arguments.empty());
  ASSERT_EQ(parser.parse("*1\r\n$4\r\nPI", {}, request), ParseStatus::kIncomplete);  // and all is as before
  ASSERT_EQ(parser.parse("*1\r\n$4\r\nPING\r\n", {}, request), ParseStatus::kComplete);
  EXPECT_EQ(request.arguments.size(), 1U);
}

TEST(RequestParser, ChecksTheEndOfAForwardedBody) {
  RequestParser parser;
  Request request;
  ASSERT_EQ(parser.parse("*1\r\n$1000\r\n", {}, request), ParseStatus::kIncomplete);
  parser.forwarded(11 + 1000);
  EXPECT_EQ(parser.parse("ab", {}, request), ParseStatus::kError);
}

TEST(RequestParser, TakesHeadersOfTheLimitAndNoLonger) {
  const std::string longest(64 * 1024, 'a');
  EXPECT_EQ(error_of(longest), "");
  EXPECT_EQ(requests_of(longest + "\n"), (std::vector<Arguments>{{longest}}));
  EXPECT_EQ(error_of(longest + "a\n"), "Protocol error: too big inline request");
}

// A count is a promise of the client; what it costs must be what it sends.
TEST(RequestParser, ReservesNothingForPromises) {
  RequestParser parser;
  Request request;
  const std::string bytes = "*1000000000\r\n$500000000\r\nabc";
  EXPECT_EQ(parser.parse(bytes, {}, request), ParseStatus::kIncomplete);
  EXPECT_LT(request.arguments.capacity(), 16U);
  EXPECT_EQ(parser.bytes_wanted(), 13 + 12 + 500000000 + 2U);
}

TEST(RequestParser, ForgetsTheRoomOfHugeRequests) {
  RequestParser parser;
  Request request;
  ASSERT_EQ(parser.parse(encoded(Arguments(100000, "a")), {}, request), ParseStatus::kComplete);
  ASSERT_EQ(request.arguments.size(), 100000U);
  ASSERT_EQ(parser.parse(encoded({"GET", "k"}), {}, request), ParseStatus::kComplete);
  EXPECT_LT(request.arguments.capacity(), 100U);
}

// Bytes that were taken note of are overwritten before more come: a parser that looks at them again takes the wrong
// ones, so each byte is looked at once until the request is whole. Only the header line at hand may be read again.
TEST(RequestParser, LooksAtNoByteTwiceWhileIncomplete) {
  const std::string bytes = encoded({"SET", std::string(50, 'k'), std::string(5000, 'v'), std::string(5, 'x')});
  RequestParser parser;
  Request request;
  std::string seen;
  constexpr std::size_t kLine = 7;  // "$5000\r\n"
  for (std::size_t size = 1; size < bytes.size(); ++size) {
    seen = bytes.substr(0, size);
    if (size > kLine) seen.replace(0, size - kLine, size - kLine, '\r');
    ASSERT_EQ(parser.parse(seen, {}, request), ParseStatus::kIncomplete) << size;
  }
  ASSERT_EQ(parser.parse(bytes, {}, request), ParseStatus::kComplete);
  EXPECT_EQ(request.arguments.size(), 4U);
}

TEST(RequestParser, SearchesALineOnce) {
  RequestParser parser;
  Request request;
  for (std::size_t size = 1; size < 5000; ++size) {
    std::string seen(size, '\n');
    seen.back() = 'a';
    ASSERT_EQ(parser.parse(seen, {}, request), ParseStatus::kIncomplete) << size;
  }
  ASSERT_EQ(parser.parse(std::string(5000, 'a') + "\r\n", {}, request), ParseStatus::kComplete);
  EXPECT_EQ(request.arguments.front().size(), 5000U);
}

TEST(RequestParser, WantsTheBodyItWaitsFor) {
  RequestParser parser;
  Request request;
  EXPECT_TRUE(parser.idle());
  EXPECT_EQ(parser.bytes_wanted(), 0U);
  ASSERT_EQ(parser.parse("*2\r\n$3\r\nGET\r\n$10", {}, request), ParseStatus::kIncomplete);
  EXPECT_FALSE(parser.idle());
  EXPECT_EQ(parser.bytes_wanted(), 0U);
  ASSERT_EQ(parser.parse("*2\r\n$3\r\nGET\r\n$10\r\nab", {}, request), ParseStatus::kIncomplete);
  EXPECT_EQ(parser.bytes_wanted(), 30U);
}

TEST(RequestParser, AgreesWithTheModelOnTheCorpus) {
  for (const std::string& bytes : corpus()) {
    for (const RequestLimits& limits : {RequestLimits{}, small_limits()}) {
      const model::RequestTrace expected = model::expected_requests(bytes, limits);
      EXPECT_EQ(model::parsed_requests(bytes, limits, model::all_at_once()), expected) << bytes;
      EXPECT_EQ(model::parsed_requests(bytes, limits, model::byte_by_byte()), expected) << bytes;
    }
  }
}

TEST(RequestParser, EverySplitInTwoIsTheWhole) {
  for (const std::string& bytes : corpus()) {
    const model::RequestTrace whole = model::parsed_requests(bytes, small_limits(), model::all_at_once());
    for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
      ASSERT_EQ(model::parsed_requests(bytes, small_limits(), Arrivals({cut, bytes.size()})), whole) << cut << bytes;
    }
  }
}

RC_GTEST_PROP(RequestParserLaws, WhatIsWrittenIsRead, (const std::vector<Arguments>& requests)) {
  std::string bytes;
  for (const Arguments& arguments : requests) bytes += encoded(arguments);
  const auto sizes = *rc::gen::container<std::vector<std::size_t>>(rc::gen::inRange<std::size_t>(1, 40));
  RC_ASSERT(model::parsed_requests(bytes, {}, Arrivals(sizes)) == (model::RequestTrace{requests, bytes.size(), ""}));
}

// Pieces of the corpus, put together and changed in places: mostly broken, and broken deep inside.
RC_GTEST_PROP(RequestParserLaws, MutationsAreWhatTheModelSays, ()) {
  static const std::vector<std::string> pieces = corpus();
  std::string bytes;
  for (const std::string& piece : *rc::gen::container<std::vector<std::string>>(rc::gen::elementOf(pieces))) {
    bytes += piece;
  }
  const auto changes = *rc::gen::inRange(0, 4);
  for (int i = 0; i < changes && !bytes.empty(); ++i) {
    const auto at = *rc::gen::inRange<std::size_t>(0, bytes.size());
    bytes[at] = *rc::gen::weightedOneOf<char>(
        {{4, rc::gen::elementOf(std::string("\r\n*$-0129 \"'\\x"))}, {1, rc::gen::arbitrary<char>()}});
  }
  const RequestLimits limits = *rc::gen::element(RequestLimits{}, small_limits());
  const auto sizes = *rc::gen::container<std::vector<std::size_t>>(rc::gen::inRange<std::size_t>(1, 40));
  RC_ASSERT(model::parsed_requests(bytes, limits, Arrivals(sizes)) == model::expected_requests(bytes, limits));
}

RC_GTEST_PROP(RequestParserLaws, InlineWordsAreWhatTheModelSays, ()) {
  const auto line = *rc::gen::container<std::string>(rc::gen::elementOf(std::string("ab\"'\\xn41 \t\v\r")));
  const std::string bytes = "a" + line + "\n";
  RC_ASSERT(model::parsed_requests(bytes, {}, model::all_at_once()) == model::expected_requests(bytes, {}));
}

}  // namespace
}  // namespace resp
