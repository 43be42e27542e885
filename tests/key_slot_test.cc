// key_slot against the specification's own examples and against a checksum taken bit by bit.
#include "cluster/key_slot.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>

namespace {

using cluster::hash_tag;
using cluster::key_slot;

std::uint16_t slow_crc16(std::string_view bytes) {
  std::uint32_t crc = 0;
  for (const char byte : bytes) {
    for (int bit = 7; bit >= 0; --bit) {
      const bool in = ((static_cast<unsigned char>(byte) >> bit) & 1) != 0;
      const bool out = (crc & 0x8000U) != 0;
      crc = (crc << 1) & 0xffffU;
      if (in != out) crc ^= 0x1021U;
    }
  }
  return static_cast<std::uint16_t>(crc);
}

/// The rule of the specification, spelt out byte by byte.
std::string slow_hash_tag(const std::string& key) {
  std::size_t open = 0;
  while (open < key.size() && key[open] != '{') ++open;
  if (open == key.size()) return key;
  std::size_t close = open + 1;
  while (close < key.size() && key[close] != '}') ++close;
  if (close == key.size() || close == open + 1) return key;
  return key.substr(open + 1, close - open - 1);
}

TEST(KeySlot, AgreesWithKnownChecksums) {
  EXPECT_EQ(key_slot("123456789"), 0x31C3 % 16384);
  EXPECT_EQ(key_slot(""), 0);
  EXPECT_EQ(key_slot("foo"), 12182);
  EXPECT_EQ(key_slot("bar"), 5061);
  EXPECT_EQ(key_slot("hello"), 866);
}

TEST(KeySlot, HashTagIsTheFirstNonEmptyBracePair) {
  EXPECT_EQ(hash_tag("{user1000}.following"), "user1000");
  EXPECT_EQ(hash_tag("foo{}{bar}"), "foo{}{bar}");
  EXPECT_EQ(hash_tag("foo{{bar}}zap"), "{bar");
  EXPECT_EQ(hash_tag("foo{bar}{zap}"), "bar");
  EXPECT_EQ(hash_tag("{}"), "{}");
  EXPECT_EQ(hash_tag("{a}{b}"), "a");
  EXPECT_EQ(hash_tag("a{}{b}"), "a{}{b}");
  EXPECT_EQ(hash_tag("{{x}}"), "{x");
  EXPECT_EQ(hash_tag("}a{b}"), "b");
  EXPECT_EQ(hash_tag("a{b"), "a{b");
  EXPECT_EQ(hash_tag("a}b"), "a}b");
  EXPECT_EQ(hash_tag("{"), "{");
  EXPECT_EQ(hash_tag(""), "");
  EXPECT_EQ(key_slot("{user1000}.following"), key_slot("{user1000}.followers"));
}

TEST(KeySlot, EveryLengthAgreesWithTheSlowChecksum) {
  std::string key;
  for (int length = 0; length < 200; ++length) {
    EXPECT_EQ(key_slot(key), slow_crc16(key) % 16384) << length;
    key.push_back(static_cast<char>('a' + length * 7 % 26));
  }
}

RC_GTEST_PROP(KeySlot, AnyBytesAgreeWithTheSlowChecksum, (const std::string& key)) {
  RC_ASSERT(key_slot(key) == slow_crc16(slow_hash_tag(key)) % 16384);
}

RC_GTEST_PROP(KeySlot, BracesAnywhereAgreeWithTheSlowRule, ()) {
  const auto key = *rc::gen::container<std::string>(rc::gen::element('{', '}', 'a', 'b', '\0', '\xff'));
  RC_ASSERT(hash_tag(key) == slow_hash_tag(key));
  RC_ASSERT(key_slot(key) == slow_crc16(slow_hash_tag(key)) % 16384);
}

}  // namespace
