// Keys by literal requests, and what must hold for any arguments: nothing out of range, one truth in both functions.
// That the answers are the server's is key_finder_server_test's business.
#include "resp/key_finder.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace resp {
namespace {

using Indices = std::vector<std::size_t>;

std::vector<std::string_view> split(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty()) {
    const auto end = std::min(line.find(' '), line.size());
    const std::string_view word = line.substr(0, end);
    words.push_back(word == "''" ? std::string_view() : word);
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return words;
}

struct Case {
  std::string_view request;     ///< words; '' is an empty one
  std::optional<Indices> keys;  ///< nullopt: the arguments do not fit
  std::size_t first;            ///< 0: none
};

constexpr std::nullopt_t kMisfit = std::nullopt;
constexpr std::size_t kNone = 0;

const Case kCases[] = {
    {"GET k", Indices{1}, 1},
    {"GET", kMisfit, kNone},
    {"PING", Indices{}, kNone},
    {"DEL a b c", Indices{1, 2, 3}, 1},
    {"MSET a 1 b 2", Indices{1, 3}, 1},
    {"BLPOP a b 0", Indices{1, 2}, 1},
    {"LCS a b", Indices{1, 2}, 1},
    {"SET k v GET", Indices{1}, 1},
    {"OBJECT ENCODING k", Indices{2}, 2},
    {"MEMORY USAGE k SAMPLES 5", Indices{2}, 2},
    {"XINFO STREAM k", Indices{2}, 2},
    {"BITOP AND d a b", Indices{2, 3, 4}, 2},
    {"RENAME a b", Indices{1, 2}, 1},
    {"SMOVE a b m", Indices{1, 2}, 1},
    // counted keys
    {"EVAL s 2 a b x", Indices{2 + 1, 2 + 2}, 3},
    {"EVAL s 0 x", Indices{}, kNone},
    {"EVAL s 3 a b", kMisfit, kNone},
    {"EVAL s x a", kMisfit, kNone},
    {"EVAL s -1 a", kMisfit, kNone},
    {"EVAL s 99999999999999999999 a", kMisfit, kNone},
    {"EVAL s 9223372036854775807 a", kMisfit, kNone},
    {"FCALL f 1 k", Indices{3}, 3},
    {"ZUNION 2 a b WEIGHTS 1 2", Indices{2, 3}, 2},
    {"ZUNION 0 a", kMisfit, kNone},
    {"ZUNIONSTORE d 2 a b", Indices{1, 3, 4}, 1},
    {"ZUNIONSTORE d 5 a b", kMisfit, 1},
    {"LMPOP 1 a LEFT", Indices{2}, 2},
    {"BLMPOP 0 2 a b LEFT", Indices{3, 4}, 3},
    // keywords
    {"XREAD COUNT 2 BLOCK 0 streams a b 0 0", Indices{6, 7}, 6},
    {"XREAD COUNT 2 BLOCK 0", Indices{}, kNone},
    {"XREAD COUNT 2 STREAMS", Indices{}, kNone},
    {"XREAD STREAMS a b 0", Indices{2}, 2},
    {"XREADGROUP GROUP streams streams STREAMS a >", Indices{5}, 5},
    {"XREADGROUP COUNT 2 GROUP streams c STREAMS a >", Indices{7}, 7},
    {"XREADGROUP NOACK GROUP g streams STREAMS a b > >", Indices{6, 7}, 6},
    {"GEORADIUS k 0 0 1 m", Indices{1}, 1},
    {"GEORADIUS k 0 0 1 m STORE d", Indices{1, 7}, 1},
    {"GEORADIUS k 0 0 1 m ASC storedist d", Indices{1, 8}, 1},
    {"GEORADIUSBYMEMBER k m 1 m STORE d", Indices{1, 6}, 1},
    // beyond specifications
    {"SORT k BY STORE GET STORE LIMIT 0 1", Indices{1}, 1},
    {"SORT k STORE d", Indices{1, 3}, 1},
    {"SORT k STORE d ALPHA STORE e", Indices{1, 6}, 1},
    {"SORT k STORE", Indices{1}, 1},
    {"SORT_RO k GET x", Indices{1}, 1},
    {"MIGRATE h 1 k 0 10", Indices{3}, 3},
    {"MIGRATE h 1 k 0 10 COPY AUTH KEYS", Indices{3}, 3},
    {"MIGRATE h 1 '' 0 10 KEYS a b", Indices{7, 8}, 7},
    {"MIGRATE h 1 '' 0 10 AUTH2 KEYS KEYS KEYS a", Indices{10}, 10},
    {"MIGRATE h 1 k 0 10 KEYS a b", kMisfit, kNone},
    // channels that are hashed like keys
    {"SPUBLISH c m", Indices{}, 1},
    {"SSUBSCRIBE c d", Indices{}, 1},
    {"SUNSUBSCRIBE", Indices{}, kNone},
    {"PUBLISH c m", Indices{}, kNone},
};

TEST(KeyFinder, finds_the_keys_of_literal_requests) {
  const CommandTable table;
  for (const Case& expected : kCases) {
    const auto arguments = split(expected.request);
    const Command* command = table.find(arguments);
    ASSERT_NE(command, nullptr) << expected.request;
    Indices keys;
    EXPECT_EQ(find_keys(*command, arguments, keys), expected.keys.has_value()) << expected.request;
    EXPECT_EQ(keys, expected.keys.value_or(Indices{})) << expected.request;
    EXPECT_EQ(find_first_key(*command, arguments), expected.first) << expected.request;
  }
}

TEST(KeyFinder, appends_and_leaves_what_was_there) {
  const CommandTable table;
  Indices keys = {42};
  EXPECT_FALSE(find_keys(*table.find_name("zunionstore"), split("ZUNIONSTORE d 9 a b"), keys));
  EXPECT_EQ(keys, Indices{42});
  EXPECT_TRUE(find_keys(*table.find_name("del"), split("DEL a b"), keys));
  EXPECT_EQ(keys, (Indices{42, 1, 2}));
}

/// Words that mean something to some command, next to words that mean nothing.
rc::Gen<std::string> any_word() {
  return rc::gen::oneOf(
      rc::gen::element<std::string>("STREAMS", "streams", "STORE", "STOREDIST", "KEYS", "keys", "AUTH", "AUTH2",
                                    "LIMIT", "BY", "GET", "GROUP", "COUNT", "BLOCK", "", "k", "0", "1", "2", "3", "-1",
                                    "007", "2147483648", "9223372036854775807", "18446744073709551617"),
      rc::gen::arbitrary<std::string>());
}

void must_hold(const Command& command, const std::vector<std::string_view>& arguments) {
  const std::size_t first = find_first_key(command, arguments);
  RC_ASSERT(first == 0 || first < arguments.size());
  Indices keys;
  const bool fits = find_keys(command, arguments, keys);
  RC_ASSERT(fits || keys.empty());
  for (const std::size_t key : keys) RC_ASSERT(key >= 1 && key < arguments.size());
  const bool has_channels = std::ranges::any_of(command.key_specs, &KeySpec::not_key);
  if (fits && !has_channels) RC_ASSERT(first == (keys.empty() ? 0 : keys.front()));
}

RC_GTEST_PROP(KeyFinder, stays_in_range_whatever_the_arguments, ()) {
  const auto words = *rc::gen::container<std::vector<std::string>>(any_word());
  std::vector<std::string_view> arguments(words.begin(), words.end());
  for (const Command& command : builtin_commands()) must_hold(command, arguments);
}

RC_GTEST_PROP(KeyFinder, stays_in_range_whatever_the_specification, ()) {
  const auto position = rc::gen::oneOf(rc::gen::inRange<std::int32_t>(-6, 6), rc::gen::arbitrary<std::int32_t>());
  std::vector<KeySpec> specs(*rc::gen::inRange<std::size_t>(1, 4));
  for (KeySpec& spec : specs) {
    spec.begin = *rc::gen::element(KeySpec::Begin::kUnknown, KeySpec::Begin::kIndex, KeySpec::Begin::kKeyword);
    spec.find = *rc::gen::element(KeySpec::Find::kUnknown, KeySpec::Find::kRange, KeySpec::Find::kKeyNum);
    spec.begin_position = static_cast<std::int16_t>(*position);
    spec.keyword = "KEYS";
    spec.last_key = *position;
    spec.key_step = *position;
    spec.limit = *position;
    spec.key_num_index = *position;
    spec.first_key = *position;
  }
  const auto words = *rc::gen::container<std::vector<std::string>>(any_word());
  must_hold({.name = "odd", .arity = -1, .key_specs = specs}, {words.begin(), words.end()});
}

}  // namespace
}  // namespace resp
