// The tree of a value: what each wire form becomes, what is refused, and that what the writer writes is read again.
#include "resp/value.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <string>
#include <string_view>

#include "resp/writer.h"

namespace resp {
namespace {

Value parsed(std::string_view bytes) {
  std::optional<Value> value = parse_value(bytes);
  EXPECT_TRUE(value) << bytes;
  return value ? *value : Value{};
}

void expect_text(std::string_view bytes, Type type, std::string_view text) {
  const Value value = parsed(bytes);
  EXPECT_EQ(value.type, type) << bytes;
  EXPECT_EQ(value.text, text) << bytes;
}

TEST(Value, ReadsTexts) {
  expect_text("+OK\r\n", Type::kSimpleString, "OK");
  expect_text("-ERR no\r\n", Type::kError, "ERR no");
  expect_text("$5\r\na\r\nb\n\r\n", Type::kBulkString, "a\r\nb\n");
  expect_text("$0\r\n\r\n", Type::kBulkString, "");
  expect_text("!5\r\nERR x\r\n", Type::kBlobError, "ERR x");
  expect_text("=7\r\ntxt:abc\r\n", Type::kVerbatimString, "abc");
  expect_text(",1.5e3\r\n", Type::kDouble, "1.5e3");
  expect_text(",inf\r\n", Type::kDouble, "inf");
  expect_text(",-inf\r\n", Type::kDouble, "-inf");
  expect_text(",nan\r\n", Type::kDouble, "nan");
  expect_text("(-123456789012345678901\r\n", Type::kBigNumber, "-123456789012345678901");
  expect_text("$?\r\n;4\r\nHell\r\n;1\r\no\r\n;0\r\n", Type::kBulkString, "Hello");
}

TEST(Value, ReadsIntegersAndBooleans) {
  EXPECT_EQ(parsed(":-9223372036854775808\r\n").integer, INT64_MIN);
  EXPECT_EQ(parsed(":+12\r\n").integer, 12);
  EXPECT_EQ(parsed("#t\r\n").integer, 1);
  EXPECT_EQ(parsed("#f\r\n").integer, 0);
  EXPECT_EQ(parsed("#f\r\n").type, Type::kBoolean);
}

TEST(Value, ReadsEveryNull) {
  for (const std::string_view bytes : {"_\r\n", "$-1\r\n", "*-1\r\n"}) EXPECT_TRUE(parsed(bytes).is_null()) << bytes;
  EXPECT_FALSE(parsed("*0\r\n").is_null());
}

TEST(Value, ReadsAggregates) {
  const Value value = parsed("*4\r\n%1\r\n+a\r\n:1\r\n~1\r\n:2\r\n>1\r\n+p\r\n*?\r\n:3\r\n:4\r\n.\r\n");
  ASSERT_EQ(value.elements.size(), 4U);
  EXPECT_EQ(value.elements[0].type, Type::kMap);
  EXPECT_EQ(value.elements[0].elements.size(), 2U);
  EXPECT_EQ(value.elements[1].type, Type::kSet);
  EXPECT_EQ(value.elements[2].type, Type::kPush);
  EXPECT_EQ(value.elements[3].type, Type::kArray);
  EXPECT_EQ(value.elements[3].elements[1].integer, 4);
}

TEST(Value, DropsAttributes) {
  EXPECT_EQ(parsed("|1\r\n+ttl\r\n:1\r\n|0\r\n:5\r\n").integer, 5);
  const Value value = parsed("*2\r\n|1\r\n+a\r\n*1\r\n+b\r\n:1\r\n:2\r\n");
  ASSERT_EQ(value.elements.size(), 2U);
  EXPECT_EQ(value.elements[0].integer, 1);
}

TEST(Value, FindsFieldsInMapsAndFlatArrays) {
  for (const std::string_view bytes : {"%2\r\n+a\r\n:1\r\n$1\r\nb\r\n:2\r\n", "*4\r\n+a\r\n:1\r\n$1\r\nb\r\n:2\r\n"}) {
    const Value value = parsed(bytes);
    ASSERT_NE(value.find("b"), nullptr);
    EXPECT_EQ(value.find("b")->integer, 2);
    EXPECT_EQ(value.find("c"), nullptr);
  }
  EXPECT_EQ(parsed("*3\r\n:1\r\n+a\r\n+a\r\n").find("a"), nullptr);  // a value, and a key without one
}

TEST(Value, RefusesWhatIsNotExactlyOneValue) {
  for (const std::string_view bytes : {"",
                                       "+OK",
                                       "+OK\r",
                                       "+OK\n",
                                       "+OK\r\nx",
                                       "+a\rb\r\n",
                                       ":\r\n",
                                       ":x\r\n",
                                       ":9223372036854775808\r\n",
                                       ":+-1\r\n",
                                       "#\r\n",
                                       "#x\r\n",
                                       "_x\r\n",
                                       ",\r\n",
                                       ",1.5x\r\n",
                                       ",+-1\r\n",
                                       "(\r\n",
                                       "(12x\r\n",
                                       "$\r\n",
                                       "$5\r\nabc\r\n",
                                       "$1\r\nabcd",
                                       "$01\r\na\r\n",
                                       "$-2\r\n",
                                       "!-1\r\n",
                                       "=3\r\nabc\r\n",
                                       "=4\r\nabcd\r\n",
                                       "*1\r\n",
                                       "*-2\r\n",
                                       "~-1\r\n",
                                       "%1\r\n+a\r\n",
                                       "|1\r\n+a\r\n+b\r\n",
                                       "$?\r\n;1\r\na\r\n",
                                       "$?\r\n+a\r\n",
                                       "*?\r\n:1\r\n",
                                       "%?\r\n+a\r\n.\r\n",
                                       ">?\r\n.\r\n",
                                       "x\r\n",
                                       "*1000000000000\r\n:1\r\n",
                                       "$9223372036854775807\r\na\r\n"}) {
    EXPECT_FALSE(parse_value(bytes)) << bytes;
  }
}

std::string nested(std::string_view header, std::size_t depth) {
  std::string bytes;
  for (std::size_t i = 0; i < depth; ++i) bytes += header;
  return bytes + ":1\r\n";
}

TEST(Value, BoundsItsDepth) {
  EXPECT_TRUE(parse_value(nested("*1\r\n", 63)));
  EXPECT_FALSE(parse_value(nested("*1\r\n", 64)));
  EXPECT_FALSE(parse_value(nested("*1\r\n", 1000000)));
  EXPECT_FALSE(parse_value(nested("*?\r\n", 1000000)));
  EXPECT_FALSE(parse_value(nested("|1\r\n", 1000000)));
}

RC_GTEST_PROP(ValueLaws, BulksAndIntegersComeBack, (const std::vector<std::string>& texts, std::int64_t number)) {
  std::string bytes;
  Writer writer(bytes, Protocol::kResp3);
  writer.array(texts.size() + 1);
  for (const std::string& text : texts) writer.bulk(text);
  writer.integer(number);
  const auto value = parse_value(bytes);
  RC_ASSERT(value.has_value());
  RC_ASSERT(value->elements.size() == texts.size() + 1);
  for (std::size_t i = 0; i < texts.size(); ++i) RC_ASSERT(value->elements[i].text == texts[i]);
  RC_ASSERT(value->elements.back().integer == number);
}

RC_GTEST_PROP(ValueLaws, RealsComeBackToTheLastBit, (double number)) {
  std::string bytes;
  Writer(bytes, Protocol::kResp3).real(number);
  const auto value = parse_value(bytes);
  RC_ASSERT(value.has_value());
  RC_ASSERT(std::stod(value->text) == number || std::isnan(number) || std::fpclassify(number) == FP_SUBNORMAL);
}

RC_GTEST_PROP(ValueLaws, NoPrefixIsAValue, (const std::vector<std::string>& texts)) {
  std::string bytes;
  Writer writer(bytes, Protocol::kResp3);
  writer.set(texts.size());
  for (const std::string& text : texts) writer.verbatim(text);
  for (std::size_t size = 0; size < bytes.size(); ++size) RC_ASSERT(!parse_value(bytes.substr(0, size)));
}

}  // namespace
}  // namespace resp
