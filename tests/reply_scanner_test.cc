// Where replies end: against the slow model and the tree reader, under every split.
#include "resp/reply_scanner.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "fuzz/model/reply_model.h"
#include "resp/value.h"

namespace resp {
namespace {

using model::Arrivals;

std::string repeated(std::string_view text, std::size_t count) {
  std::string result;
  for (std::size_t i = 0; i < count; ++i) result += text;
  return result;
}

// One well-formed reply each.
std::vector<std::string> replies() {
  return {
      "+OK\r\n",
      "+\r\n",
      "-ERR no\r\n",
      ":0\r\n",
      ":-12\r\n",
      "$0\r\n\r\n",
      "$5\r\nhello\r\n",
      "$4\r\n\r\n\r\n\r\n",
      "$-1\r\n",
      "*-1\r\n",
      "*0\r\n",
      "*2\r\n$1\r\na\r\n:1\r\n",
      "*2\r\n*1\r\n$-1\r\n*0\r\n",
      "$12\r\nhello, world\r\n",
      "$123\r\n" + std::string(123, 'x') + "\r\n",
      "$1234\r\n" + std::string(1234, 'x') + "\r\n",
      "*12\r\n" + repeated("$3\r\nabc\r\n$-1\r\n", 6),
      repeated("*1\r\n", 60) + ":1\r\n",
      "_\r\n",
      "#t\r\n",
      "#f\r\n",
      ",1.5\r\n",
      ",inf\r\n",
      ",-inf\r\n",
      ",nan\r\n",
      "(123456789012345678901234567890\r\n",
      "!5\r\nERR x\r\n",
      "=7\r\ntxt:abc\r\n",
      "%0\r\n",
      "%1\r\n+a\r\n:1\r\n",
      "%2\r\n+a\r\n%1\r\n+b\r\n~0\r\n+c\r\n_\r\n",
      "~2\r\n:1\r\n:2\r\n",
      ">3\r\n+message\r\n+c\r\n$2\r\nhi\r\n",
      "|1\r\n+ttl\r\n:3600\r\n$1\r\na\r\n",
      "|0\r\n+a\r\n",
      "*2\r\n|1\r\n+a\r\n+b\r\n:1\r\n:2\r\n",
      "|1\r\n|1\r\n+a\r\n+b\r\n+c\r\n+d\r\n+e\r\n",
      "$?\r\n;0\r\n",
      "$?\r\n;4\r\nHell\r\n;6\r\no worl\r\n;1\r\nd\r\n;0\r\n",
      "*?\r\n.\r\n",
      "*?\r\n:1\r\n:2\r\n.\r\n",
      "%?\r\n+a\r\n:1\r\n+b\r\n:2\r\n.\r\n",
      "~?\r\n$?\r\n;1\r\na\r\n;0\r\n|1\r\n+a\r\n+b\r\n:1\r\n.\r\n",
      "*2\r\n*?\r\n*?\r\n.\r\n*2\r\n:1\r\n:2\r\n%?\r\n.\r\n.\r\n:3\r\n",
      repeated("*?\r\n", ReplyScanner::kMaxStreamedDepth) + repeated(".\r\n", ReplyScanner::kMaxStreamedDepth),
  };
}

// What no server may send.
std::vector<std::string> malformed() {
  return {
      "hello\r\n",
      "\r\n",
      ";1\r\na\r\n",
      ".\r\n",
      "$\r\n",
      "$a\r\n",
      "$-\r\n",
      "$-2\r\n",
      "$-1x",
      "$01\r\n",
      "$1x",
      "$1\rx",
      "$1\r\nabc",
      "$1\r\na\rb",
      "!-1\r\n",
      "=-1\r\n",
      "~-1\r\n",
      "%-1\r\n",
      "|-1\r\n",
      ">-1\r\n",
      ">?\r\n",
      "|?\r\n",
      "!?\r\n",
      "=?\r\n",
      "+a\rb",
      ":1\rx",
      "_x",
      "$9223372036854775808\r\n",
      "*9223372036854775808\r\n",
      "*18446744073709551617\r\n",
      "*2\r\n*9223372036854775807\r\n",
      "%4611686018427387904\r\n",
      "*9223372036854775806\r\n*2\r\n:1\r\n",
      "*2\r\n|4611686018427387903\r\n",
      "%?\r\n+a\r\n.\r\n",
      "*?\r\n|1\r\n+a\r\n+b\r\n.\r\n",
      "*?\r\n.x",
      "*1\r\n.\r\n",
      "*?\r\n*1\r\n.\r\n",
      "$?\r\n$1\r\na\r\n",
      "$?\r\n;-1\r\n",
      "$?\r\n;?\r\n",
      repeated("*?\r\n", ReplyScanner::kMaxStreamedDepth + 1),
  };
}

TEST(ReplyScanner, FindsTheEndOfEachKind) {
  for (const std::string& reply : replies()) {
    const std::string bytes = reply + "+next\r\n";
    ReplyScanner scanner;
    const ScanResult result = scanner.scan(bytes);
    EXPECT_EQ(result.status, ScanStatus::kComplete) << reply;
    EXPECT_EQ(result.length, reply.size()) << reply;
    EXPECT_TRUE(scanner.idle());
  }
}

TEST(ReplyScanner, RefusesWhatIsNoReply) {
  for (const std::string& bytes : malformed()) {
    EXPECT_TRUE(model::scanned_replies(bytes, model::all_at_once()).failed) << bytes;
    EXPECT_TRUE(model::scanned_replies("+OK\r\n*1\r\n" + bytes, model::byte_by_byte()).failed) << bytes;
    EXPECT_FALSE(parse_value(bytes)) << bytes;
  }
}

TEST(ReplyScanner, StaysFailed) {
  ReplyScanner scanner;
  EXPECT_EQ(scanner.scan("?").status, ScanStatus::kError);
  EXPECT_EQ(scanner.scan("+OK\r\n").status, ScanStatus::kError);
  EXPECT_FALSE(scanner.idle());
}

TEST(ReplyScanner, NeedsEveryByteOfAReply) {
  for (const std::string& reply : replies()) {
    ReplyScanner scanner;
    EXPECT_EQ(scanner.scan("").status, ScanStatus::kIncomplete);
    EXPECT_TRUE(scanner.idle());
    for (std::size_t i = 0; i + 1 < reply.size(); ++i) {
      const ScanResult result = scanner.scan(reply.substr(i, 1));
      ASSERT_EQ(result.status, ScanStatus::kIncomplete) << reply;
      ASSERT_EQ(result.length, 1U);
      ASSERT_FALSE(scanner.idle());
    }
    EXPECT_EQ(scanner.scan(reply.substr(reply.size() - 1)).status, ScanStatus::kComplete) << reply;
  }
}

TEST(ReplyScanner, CountsABulkDown) {
  ReplyScanner scanner;
  EXPECT_EQ(scanner.bulk_bytes_left(), 0U);
  ASSERT_EQ(scanner.scan("*2\r\n$1000000\r").status, ScanStatus::kIncomplete);
  EXPECT_EQ(scanner.bulk_bytes_left(), 0U);
  ASSERT_EQ(scanner.scan("\n").status, ScanStatus::kIncomplete);
  EXPECT_EQ(scanner.bulk_bytes_left(), 1000000U);
  ASSERT_EQ(scanner.scan("abc").status, ScanStatus::kIncomplete);
  EXPECT_EQ(scanner.bulk_bytes_left(), 999997U);
}

TEST(ReplyScanner, SkipsWhatWasSplicedPast) {
  ReplyScanner scanner;
  ASSERT_EQ(scanner.scan("*2\r\n$1000\r\nabc").status, ScanStatus::kIncomplete);
  scanner.skip(500);
  EXPECT_EQ(scanner.bulk_bytes_left(), 497U);
  scanner.skip(497);
  EXPECT_EQ(scanner.bulk_bytes_left(), 0U);
  scanner.skip(0);
  const ScanResult result = scanner.scan("\r\n:1\r\n+next\r\n");
  EXPECT_EQ(result.status, ScanStatus::kComplete);
  EXPECT_EQ(result.length, 6U);
}

TEST(ReplyScanner, EverySplitInTwoIsTheWhole) {
  std::vector<std::string> corpus = replies();
  for (const std::string& bytes : malformed()) corpus.push_back(bytes);
  for (const std::string& first : corpus) {
    const std::string bytes = first + "$3\r\nabc\r\n";
    const model::ReplyTrace expected = model::expected_replies(bytes);
    for (std::size_t cut = 1; cut <= bytes.size(); ++cut) {
      ASSERT_EQ(model::scanned_replies(bytes, Arrivals({cut, bytes.size()})), expected) << cut << bytes;
    }
  }
}

rc::Gen<std::vector<std::size_t>> any_sizes() {
  return rc::gen::container<std::vector<std::size_t>>(rc::gen::inRange<std::size_t>(1, 40));
}

RC_GTEST_PROP(ReplyScannerLaws, SequencesOfRepliesEndWhereTheyWereJoined, ()) {
  static const std::vector<std::string> all_replies = replies();
  std::string bytes;
  model::ReplyTrace expected;
  for (const std::string& reply : *rc::gen::container<std::vector<std::string>>(rc::gen::elementOf(all_replies))) {
    bytes += reply;
    expected.ends.push_back(bytes.size());
  }
  RC_ASSERT(model::scanned_replies(bytes, Arrivals(*any_sizes())) == expected);
}

// Replies around replies: an aggregate of any size and kind whose elements are replies of the list.
RC_GTEST_PROP(ReplyScannerLaws, AValueIsOneReply, ()) {
  static const std::vector<std::string> all_replies = replies();
  auto elements = *rc::gen::container<std::vector<std::string>>(rc::gen::elementOf(all_replies));
  const char mark = *rc::gen::element('*', '~', '%', '>');
  const bool is_map = mark == '%';
  if (is_map && elements.size() % 2 != 0) elements.pop_back();
  const bool is_streamed = mark != '>' && *rc::gen::arbitrary<bool>();
  const std::size_t count = is_map ? elements.size() / 2 : elements.size();
  std::string bytes = mark + (is_streamed ? "?" : std::to_string(count)) + "\r\n";
  for (const std::string& element : elements) bytes += element;
  if (is_streamed) bytes += ".\r\n";
  const bool too_deep = model::expected_replies(bytes).failed;  // the deepest of the list is at the bound already
  RC_PRE(!too_deep);
  RC_ASSERT(parse_value(bytes).has_value());
  RC_ASSERT(model::scanned_replies(bytes, Arrivals(*any_sizes())) == (model::ReplyTrace{{bytes.size()}, false, true}));
}

RC_GTEST_PROP(ReplyScannerLaws, MutationsAreWhatTheModelSays, ()) {
  static const std::vector<std::string> all_replies = replies();
  std::string bytes;
  for (const std::string& reply : *rc::gen::container<std::vector<std::string>>(rc::gen::elementOf(all_replies))) {
    bytes += reply;
  }
  const auto changes = *rc::gen::inRange(1, 4);
  for (int i = 0; i < changes && !bytes.empty(); ++i) {
    const auto at = *rc::gen::inRange<std::size_t>(0, bytes.size());
    bytes[at] = *rc::gen::elementOf(std::string("\r\n*$-?0129+:;.%~|>!=_#,("));
  }
  RC_ASSERT(model::scanned_replies(bytes, Arrivals(*any_sizes())) == model::expected_replies(bytes));
}

}  // namespace
}  // namespace resp
