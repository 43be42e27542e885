// The policies by which replies to parts become one, against an obvious model over parsed values; and their honesty:
// what failed in part is an error that says how much, never a null, a zero or a smaller count.
#include "src/reply_merge.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "resp/value.h"
#include "resp/writer.h"

namespace sluice {
namespace {

using resp::Protocol;
using resp::Value;
using Text = std::optional<std::string>;

constexpr std::array kEveryMerge = {Merge::kConcatenate,  Merge::kKeepOrder,  Merge::kSum,       Merge::kMinimum,
                                    Merge::kMaximum,      Merge::kLogicalAnd, Merge::kLogicalOr, Merge::kAllSucceeded,
                                    Merge::kOneSucceeded, Merge::kAnyNotNull, Merge::kInfo,      Merge::kLatestFirst};
constexpr std::array kNumberMerges = {Merge::kSum, Merge::kMinimum, Merge::kMaximum, Merge::kLogicalAnd,
                                      Merge::kLogicalOr};

std::vector<Part> parts_of(const std::vector<std::string>& replies) {
  std::vector<Part> parts;
  for (const std::string& reply : replies) parts.push_back({.reply = reply, .positions = {}});
  return parts;
}

std::string merged(Merge merge, const std::vector<std::string>& replies) {
  return merge_replies(merge, parts_of(replies), 0, 0);
}

Value value_of(const std::string& reply) {
  const std::optional<Value> value = resp::parse_value(reply);
  EXPECT_TRUE(value) << reply;
  return value ? *value : Value{};
}

std::string integer_reply(std::int64_t value) {
  return ":" + std::to_string(value) + "\r\n";
}

std::string array_reply(const std::vector<Text>& elements, Protocol protocol) {
  std::string out;
  resp::Writer writer(out, protocol);
  writer.array(elements.size());
  for (const Text& element : elements) element ? writer.bulk(*element) : writer.null();
  return out;
}

std::vector<Text> texts_of(const Value& value) {
  std::vector<Text> texts;
  for (const Value& each : value.elements) texts.push_back(each.is_null() ? std::nullopt : Text(each.text));
  return texts;
}

/// What a merge of numbers means, one column.
std::int64_t expected_number(Merge merge, const std::vector<std::int64_t>& numbers) {
  const auto is_true = [](std::int64_t number) { return number != 0; };
  switch (merge) {
    case Merge::kSum:
      return std::accumulate(numbers.begin(), numbers.end(), std::int64_t{0});
    case Merge::kMinimum:
      return *std::ranges::min_element(numbers);
    case Merge::kMaximum:
      return *std::ranges::max_element(numbers);
    case Merge::kLogicalAnd:
      return numbers.size() == 1 ? numbers[0] : std::ranges::all_of(numbers, is_true);
    default:
      return numbers.size() == 1 ? numbers[0] : std::ranges::any_of(numbers, is_true);
  }
}

Protocol any_protocol() {
  return *rc::gen::element(Protocol::kResp2, Protocol::kResp3);
}

/// Not empty; some are missing, some come twice.
std::vector<Text> any_texts() {
  const auto text = rc::gen::map(rc::gen::arbitrary<std::string>(), [](const std::string& each) {
    return each.size() % 3 == 0 ? std::nullopt : Text(each);
  });
  return *rc::gen::nonEmpty(rc::gen::container<std::vector<Text>>(text));
}

std::vector<std::vector<std::int64_t>> any_table(std::size_t rows, std::size_t columns) {
  const auto number = rc::gen::inRange<std::int64_t>(-3, 1'000'000);
  return *rc::gen::container<std::vector<std::vector<std::int64_t>>>(
      rows, rc::gen::container<std::vector<std::int64_t>>(columns, number));
}

// --- Numbers

TEST(ReplyMerge, JoinsIntegers) {
  EXPECT_EQ(merged(Merge::kSum, {":2\r\n", ":0\r\n", ":40\r\n"}), ":42\r\n");
  EXPECT_EQ(merged(Merge::kMinimum, {":1\r\n", ":0\r\n"}), ":0\r\n");
  EXPECT_EQ(merged(Merge::kMaximum, {":-5\r\n", ":-7\r\n"}), ":-5\r\n");
  EXPECT_EQ(merged(Merge::kLogicalAnd, {":1\r\n", ":1\r\n"}), ":1\r\n");
  EXPECT_EQ(merged(Merge::kLogicalAnd, {":1\r\n", ":0\r\n"}), ":0\r\n");
  EXPECT_EQ(merged(Merge::kLogicalOr, {":0\r\n", ":1\r\n"}), ":1\r\n");
}

TEST(ReplyMerge, JoinsArraysColumnByColumn) {
  EXPECT_EQ(merged(Merge::kLogicalAnd, {"*2\r\n:1\r\n:1\r\n", "*2\r\n:0\r\n:1\r\n"}), "*2\r\n:0\r\n:1\r\n");
  EXPECT_EQ(merged(Merge::kSum, {"*0\r\n", "*0\r\n"}), "*0\r\n");
}

TEST(ReplyMerge, ASumTooLargeIsAnErrorAndNoOtherNumber) {
  EXPECT_TRUE(value_of(merged(Merge::kSum, {":9223372036854775807\r\n", ":1\r\n"})).is_error());
  EXPECT_TRUE(value_of(merged(Merge::kSum, {"*1\r\n:-9223372036854775808\r\n", "*1\r\n:-1\r\n"})).is_error());
}

RC_GTEST_PROP(ReplyMergeLaws, NumbersFollowTheirModel, ()) {
  const auto rows = *rc::gen::inRange<std::size_t>(1, 6);
  const auto columns = *rc::gen::inRange<std::size_t>(0, 5);
  const auto table = any_table(rows, columns);
  for (const Merge merge : kNumberMerges) {
    std::vector<std::string> arrays(rows);
    for (std::size_t row = 0; row < rows; ++row) {
      arrays[row] = "*" + std::to_string(columns) + "\r\n";
      for (const std::int64_t number : table[row]) arrays[row] += integer_reply(number);
    }
    const Value whole = value_of(merged(merge, arrays));
    RC_ASSERT(whole.elements.size() == columns);
    for (std::size_t column = 0; column < columns; ++column) {
      std::vector<std::int64_t> numbers;
      std::vector<std::string> integers;
      for (const auto& row : table) {
        numbers.push_back(row[column]);
        integers.push_back(integer_reply(row[column]));
      }
      RC_ASSERT(whole.elements[column].integer == expected_number(merge, numbers));
      RC_ASSERT(merged(merge, integers) == integer_reply(expected_number(merge, numbers)));
    }
  }
}

// --- Arrays

TEST(ReplyMerge, PutsArraysOneBehindTheOther) {
  EXPECT_EQ(merged(Merge::kConcatenate, {"*1\r\n$1\r\na\r\n", "*0\r\n", "*2\r\n:1\r\n*1\r\n+b\r\n"}),
            "*3\r\n$1\r\na\r\n:1\r\n*1\r\n+b\r\n");
  EXPECT_EQ(merged(Merge::kConcatenate, {"+OK\r\n"}), "+OK\r\n");
}

RC_GTEST_PROP(ReplyMergeLaws, NothingIsLostInARow, (const std::vector<std::vector<std::string>>& tails)) {
  RC_PRE(!tails.empty());
  const char type = *rc::gen::element('*', '~', '%', '>');
  std::vector<std::string> replies;
  std::vector<Text> expected;
  for (const std::vector<std::string>& tail : tails) {
    std::string out;
    resp::Writer writer(out, Protocol::kResp3);
    if (type == '*') writer.array(tail.size());
    if (type == '~') writer.set(tail.size());
    if (type == '%') writer.map(tail.size());
    if (type == '>') writer.push(tail.size());
    for (const std::string& element : tail) {
      for (int copy = 0; copy < (type == '%' ? 2 : 1); ++copy) {
        writer.bulk(element);
        expected.emplace_back(element);
      }
    }
    replies.push_back(out);
  }
  const std::string reply = merged(Merge::kConcatenate, replies);
  RC_ASSERT(reply[0] == type);
  RC_ASSERT(texts_of(value_of(reply)) == expected);
}

TEST(ReplyMerge, WhatDoesNotFitTogetherIsAnError) {
  const auto refused = [](Merge merge, const std::vector<std::string>& replies) {
    return value_of(merged(merge, replies)).is_error();
  };
  EXPECT_TRUE(refused(Merge::kConcatenate, {"*1\r\n:1\r\n", "+OK\r\n"}));
  EXPECT_TRUE(refused(Merge::kConcatenate, {"*1\r\n:1\r\n", "~1\r\n:1\r\n"}));
  EXPECT_TRUE(refused(Merge::kConcatenate, {"*1\r\n:1\r\n", "*-1\r\n"}));
  EXPECT_TRUE(refused(Merge::kSum, {":1\r\n", "+OK\r\n"}));
  EXPECT_TRUE(refused(Merge::kSum, {":1\r\n", "$-1\r\n"}));
  EXPECT_TRUE(refused(Merge::kSum, {":1\r\n", "*1\r\n:1\r\n"}));
  EXPECT_TRUE(refused(Merge::kLogicalAnd, {"*2\r\n:1\r\n:1\r\n", "*1\r\n:1\r\n"}));
  EXPECT_TRUE(refused(Merge::kLogicalAnd, {"*1\r\n:1\r\n", "*1\r\n+x\r\n"}));
  EXPECT_TRUE(refused(Merge::kLogicalAnd, {"*1\r\n:1\r\n", ":1\r\n"}));
}

TEST(ReplyMerge, ANullArrayIsNoEmptyOne) {
  EXPECT_EQ(merged(Merge::kConcatenate, {"*-1\r\n"}), "*-1\r\n");
  EXPECT_TRUE(value_of(merged(Merge::kConcatenate, {"*-1\r\n", "*-1\r\n"})).is_error());
  EXPECT_TRUE(value_of(merged(Merge::kSum, {"*-1\r\n", "*0\r\n"})).is_error());
}

// --- MGET

TEST(ReplyMerge, PutsElementsBackInTheirPlaces) {
  const std::vector<Part> parts = {{.reply = "*2\r\n$1\r\nc\r\n$-1\r\n", .positions = {2, 0}},
                                   {.reply = "*1\r\n$1\r\nb\r\n", .positions = {1}}};
  EXPECT_EQ(merge_replies(Merge::kKeepOrder, parts, 3, 0), "*3\r\n$-1\r\n$1\r\nb\r\n$1\r\nc\r\n");
}

TEST(ReplyMerge, APartOfTheWrongLengthIsAnError) {
  for (const std::string reply : {"*1\r\n$1\r\na\r\n", "*3\r\n:1\r\n:1\r\n:1\r\n", "*-1\r\n", "$1\r\na\r\n", "_\r\n"}) {
    const std::vector<Part> parts = {{.reply = reply, .positions = {2, 0}},
                                     {.reply = "*1\r\n:1\r\n", .positions = {1}}};
    EXPECT_TRUE(value_of(merge_replies(Merge::kKeepOrder, parts, 3, 0)).is_error()) << reply;
  }
}

RC_GTEST_PROP(ReplyMergeLaws, EveryElementKeepsItsPlace, ()) {
  const std::vector<Text> values = any_texts();
  const auto count = *rc::gen::inRange<std::size_t>(1, 5);
  const Protocol protocol = any_protocol();
  std::vector<Part> parts(count);
  std::vector<std::vector<Text>> elements(count);
  std::vector<std::size_t> places(values.size());
  std::iota(places.begin(), places.end(), 0U);
  std::ranges::shuffle(places, std::minstd_rand(*rc::gen::arbitrary<std::uint32_t>()));
  for (const std::size_t place : places) {
    const auto part = *rc::gen::inRange<std::size_t>(0, count);
    parts[part].positions.push_back(static_cast<std::uint32_t>(place));
    elements[part].push_back(values[place]);
  }
  for (std::size_t i = 0; i < count; ++i) parts[i].reply = array_reply(elements[i], protocol);
  const std::string reply = merge_replies(Merge::kKeepOrder, parts, values.size(), 0);
  RC_ASSERT(reply == array_reply(values, protocol));
}

// --- The first, the only, any

TEST(ReplyMerge, TakesTheFirstWhenAllSucceeded) {
  EXPECT_EQ(merged(Merge::kAllSucceeded, {"+OK\r\n", "+OK\r\n"}), "+OK\r\n");
  EXPECT_EQ(merged(Merge::kAllSucceeded, {"$3\r\nabc\r\n", "$3\r\nxyz\r\n"}), "$3\r\nabc\r\n");
}

TEST(ReplyMerge, OneSuccessIsEnoughWhereItIsSaidSo) {
  EXPECT_EQ(merged(Merge::kOneSucceeded, {"-NOTBUSY no\r\n", "+OK\r\n", "-NOTBUSY no\r\n"}), "+OK\r\n");
  EXPECT_EQ(merged(Merge::kOneSucceeded, {"-NOTBUSY a\r\n", "-NOTBUSY b\r\n"}), "-NOTBUSY a\r\n");
  EXPECT_EQ(merged(Merge::kOneSucceeded, {"-NOTBUSY a\r\n", "-UNKILLABLE b\r\n"}), "-UNKILLABLE b\r\n");
}

RC_GTEST_PROP(ReplyMergeLaws, AnyNotNullIsNullOnlyWhenAllAre, (std::uint32_t salt)) {
  const std::vector<Text> texts = any_texts();
  std::vector<std::string> replies;
  for (const Text& text : texts) {
    resp::Writer writer(replies.emplace_back(), any_protocol());
    text ? writer.bulk(*text) : writer.null();
  }
  const std::string reply = merge_replies(Merge::kAnyNotNull, parts_of(replies), 0, salt);
  RC_ASSERT(std::ranges::find(replies, reply) != replies.end());
  const bool all_null = std::ranges::all_of(texts, [](const Text& text) { return !text; });
  RC_ASSERT(value_of(reply).is_null() == all_null);
}

// --- Honesty

TEST(ReplyMerge, SaysHowMuchFailed) {
  EXPECT_EQ(merged(Merge::kSum, {":3\r\n", "-OOM no memory\r\n", ":1\r\n"}),
            "-ERR sluice: 1 of 3 parts failed, the others have run; the first error: OOM no memory\r\n");
  EXPECT_EQ(merged(Merge::kAllSucceeded, {"+OK\r\n", "!8\r\nERR a\r\nb\r\n"}),
            "-ERR sluice: 1 of 2 parts failed, the others have run; the first error: ERR a  b\r\n");
  EXPECT_EQ(merged(Merge::kSum, {"-ERR a\r\n", "-ERR b\r\n"}), "-ERR a\r\n");
}

TEST(ReplyMerge, DoesNotSayThatNothingHasRunWhenOneMayHave) {
  std::vector<Part> parts = parts_of({"-ERR not run\r\n", "-ERR unknown\r\n"});
  parts[1].in_question = true;
  EXPECT_EQ(merge_replies(Merge::kAllSucceeded, parts, 0, 0), "-ERR unknown\r\n");
  parts.push_back({.reply = "+OK\r\n", .positions = {}});
  EXPECT_EQ(merge_replies(Merge::kAllSucceeded, parts, 0, 0),
            "-ERR sluice: 2 of 3 parts failed, the others have run; of 1 of these it is unknown; the first error: ERR "
            "unknown\r\n");
}

RC_GTEST_PROP(ReplyMergeLaws, AFailedPartFailsTheWhole, ()) {
  const auto failed = *rc::gen::suchThat<std::vector<bool>>(
      [](const std::vector<bool>& flags) { return std::ranges::find(flags, true) != flags.end(); });
  std::vector<Part> parts;
  std::size_t failures = 0;
  for (std::size_t i = 0; i < failed.size(); ++i) {
    failures += failed[i] ? 1 : 0;
    parts.push_back(
        {.reply = failed[i] ? "-OOM no memory\r\n" : "*1\r\n:1\r\n", .positions = {static_cast<std::uint32_t>(i)}});
  }
  for (const Merge merge : kEveryMerge) {
    const Value whole = value_of(merge_replies(merge, parts, parts.size(), 0));
    if (merge == Merge::kOneSucceeded && failures < parts.size()) {
      RC_ASSERT(!whole.is_error());
      continue;
    }
    RC_ASSERT(whole.is_error());
    const std::string count = std::to_string(failures) + " of " + std::to_string(parts.size()) + " parts failed";
    RC_ASSERT(failures == parts.size() || whole.text.find(count) != std::string::npos);
  }
}

// --- SLOWLOG GET

TEST(LatestFirst, EntriesOfAllNodesByTheirTime) {
  const auto entry = [](int id, int time) {
    return "*3\r\n:" + std::to_string(id) + "\r\n:" + std::to_string(time) + "\r\n*1\r\n$3\r\nget\r\n";
  };
  const std::vector<std::string> replies{"*2\r\n" + entry(8, 30) + entry(7, 10), "*0\r\n",
                                         "*2\r\n" + entry(2, 30) + entry(1, 20)};
  const auto listed = [&](std::size_t places) {
    return merge_replies(Merge::kLatestFirst, parts_of(replies), places, 0);
  };
  EXPECT_EQ(listed(9), "*4\r\n" + entry(8, 30) + entry(2, 30) + entry(1, 20) + entry(7, 10));
  EXPECT_EQ(listed(3), "*3\r\n" + entry(8, 30) + entry(2, 30) + entry(1, 20));
  EXPECT_EQ(listed(0), "*0\r\n");
  for (const std::string odd : {"+OK\r\n", "*1\r\n:1\r\n", "*1\r\n*1\r\n:1\r\n", "*1\r\n*2\r\n:1\r\n+x\r\n"}) {
    EXPECT_TRUE(value_of(merge_replies(Merge::kLatestFirst, parts_of({replies[0], odd}), 9, 0)).is_error()) << odd;
  }
}

// --- INFO

std::string bulk(const std::string& text) {
  return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
}

std::string verbatim(const std::string& text) {
  return "=" + std::to_string(text.size() + 4) + "\r\ntxt:" + text + "\r\n";
}

TEST(InfoMerge, SumsWhatAddsUpAndKeepsTheRest) {
  const std::string first =
      "# Server\r\nredis_version:7.0.1\r\n\r\n# Memory\r\nused_memory:10\r\nused_memory_human:10B\r\n"
      "used_memory_peak:17\r\nused_memory_peak_human:17B\r\n";
  const std::string second =
      "# Server\r\nredis_version:7.0.9\r\n\r\n# Memory\r\nused_memory:32\r\nused_memory_human:32B\r\n"
      "used_memory_peak:40\r\nused_memory_peak_human:40B\r\n";
  EXPECT_EQ(merged(Merge::kInfo, {bulk(first), bulk(second)}),
            bulk("# Server\r\nredis_version:7.0.1\r\n\r\n# Memory\r\nused_memory:42\r\nused_memory_human:42B\r\n"
                 "used_memory_peak:17\r\nused_memory_peak_human:17B\r\n"));
}

TEST(InfoMerge, TakesWhatIsTooShortToBeOne) {
  for (const std::string reply : {"=0\r\n\r\n", "=1\r\nx\r\n", "$0\r\n\r\n", "$-1\r\n"}) {
    EXPECT_EQ(value_of(merged(Merge::kInfo, {reply, reply})).text, "") << reply;
  }
}

TEST(InfoMerge, WritesSizesForPeopleAsServersDo) {
  const auto human = [](const std::string& bytes) {
    const std::string text = merged(Merge::kInfo, {bulk("maxmemory:" + bytes + "\r\nmaxmemory_human:?\r\n"), bulk("")});
    const std::size_t begin = text.find("_human:") + 7;
    return text.substr(begin, text.find("\r\n", begin) - begin);
  };
  EXPECT_EQ(human("0"), "0B");
  EXPECT_EQ(human("1023"), "1023B");
  EXPECT_EQ(human("1024"), "1.00K");
  EXPECT_EQ(human("1572864"), "1.50M");
  EXPECT_EQ(human("3221225472"), "3.00G");
  EXPECT_EQ(human("18446744073709551615"), "16384.00P");
}

TEST(InfoMerge, AddsUpWhatEachCommandAndErrorCounts) {
  const std::string first =
      "# Commandstats\r\ncmdstat_get:calls=2,usec=4,usec_per_call=2.00,rejected_calls=0,failed_calls=1\r\n\r\n"
      "# Errorstats\r\n";
  const std::string second =
      "# Commandstats\r\ncmdstat_del:calls=1,usec=9,usec_per_call=9.00,rejected_calls=0,failed_calls=0\r\n"
      "cmdstat_get:calls=1,usec=1,usec_per_call=1.00,rejected_calls=3,failed_calls=1\r\n\r\n"
      "# Errorstats\r\nerrorstat_ERR:count=5\r\n";
  EXPECT_EQ(merged(Merge::kInfo, {bulk(first), bulk(second), bulk(second)}),
            bulk("# Commandstats\r\n"
                 "cmdstat_del:calls=2,usec=18,usec_per_call=9.00,rejected_calls=0,failed_calls=0\r\n"
                 "cmdstat_get:calls=4,usec=6,usec_per_call=1.50,rejected_calls=6,failed_calls=3\r\n\r\n"
                 "# Errorstats\r\nerrorstat_ERR:count=10\r\n"));
}

TEST(InfoMerge, SumsTheKeysOfAllNodes) {
  const std::string first = "# Keyspace\r\ndb0:keys=3,expires=1,avg_ttl=7\r\n";
  const std::string second = "# Keyspace\r\ndb0:keys=4,expires=0,avg_ttl=9\r\ndb2:keys=5,expires=5,avg_ttl=1\r\n";
  const std::string whole = "# Keyspace\r\ndb0:keys=7,expires=1,avg_ttl=7\r\ndb2:keys=5,expires=5,avg_ttl=1\r\n";
  EXPECT_EQ(merged(Merge::kInfo, {bulk(first), bulk(second)}), bulk(whole));
  EXPECT_EQ(merged(Merge::kInfo, {verbatim(first), verbatim(second)}), verbatim(whole));
}

TEST(InfoMerge, KeysOfOtherNodesCountWhereTheFirstHasNone) {
  const std::string empty = "# Stats\r\nkeyspace_hits:1\r\n# Keyspace\r\n";
  const std::string full = "# Stats\r\nkeyspace_hits:2\r\n# Keyspace\r\ndb0:keys=4,expires=0,avg_ttl=9\r\n";
  EXPECT_EQ(merged(Merge::kInfo, {bulk(empty), bulk(full)}),
            bulk("# Stats\r\nkeyspace_hits:3\r\n# Keyspace\r\ndb0:keys=4,expires=0,avg_ttl=9\r\n"));
}

RC_GTEST_PROP(InfoMergeLaws, ItsLengthIsExact, (const std::vector<std::uint32_t>& numbers, bool resp3)) {
  RC_PRE(!numbers.empty());
  std::vector<std::string> replies;
  std::uint64_t sum = 0;
  for (const std::uint32_t number : numbers) {
    const std::string text = "# Stats\r\nexpired_keys:" + std::to_string(number) +
                             "\r\n# Keyspace\r\ndb0:keys=" + std::to_string(number) + ",expires=0,avg_ttl=0\r\n";
    replies.push_back(resp3 ? verbatim(text) : bulk(text));
    sum += number;
  }
  const Value whole = value_of(merged(Merge::kInfo, replies));
  RC_ASSERT(whole.type == (resp3 ? resp::Type::kVerbatimString : resp::Type::kBulkString));
  RC_ASSERT(whole.text == "# Stats\r\nexpired_keys:" + std::to_string(sum) +
                              "\r\n# Keyspace\r\ndb0:keys=" + std::to_string(sum) + ",expires=0,avg_ttl=0\r\n");
}

}  // namespace
}  // namespace sluice
