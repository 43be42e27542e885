// The promises of the tables behind SLUICE HOTKEYS and BIGKEYS, held against models that remember everything.
#include "src/key_sketch.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "src/big_keys.h"
#include "src/key_window.h"

namespace sluice {
namespace {

constexpr std::size_t kPlaces = 8;
using Sketch = KeySketch<kPlaces>;

/// One key in so many takes half of the draws, so that some are frequent and most are not.
std::string any_key() {
  const int among = *rc::gen::element(1, 2, 5, 20, 200);
  return "key" + std::to_string(*rc::gen::inRange(0, among));
}

std::optional<std::size_t> place_of(const Sketch& sketch, const std::string& key) {
  std::optional<std::size_t> found;
  for (std::size_t i = 0; i < sketch.size(); ++i) {
    if (!sketch.key(i).is(key, ShownKey::hash_of(key))) continue;
    RC_ASSERT(!found);  // one place for one key
    found = i;
  }
  return found;
}

RC_GTEST_PROP(KeySketch, EveryFrequentKeyHasAPlaceAndEveryCountItsBound, ()) {
  Sketch sketch;
  std::map<std::string, std::uint64_t> model;
  std::uint64_t total = 0;
  const int steps = *rc::gen::inRange(0, 600);
  for (int i = 0; i < steps; ++i) {
    if (*rc::gen::inRange(0, 300) == 0) {
      sketch.clear();
      model.clear();
      total = 0;
    }
    const std::string key = any_key();
    const auto weight = *rc::gen::element<std::uint32_t>(1, 1, 1, 1, 2, 7);
    sketch.count(key, weight);
    model[key] += weight;
    total += weight;
  }
  RC_ASSERT(sketch.total() == total);
  RC_ASSERT(sketch.size() == std::min(model.size(), kPlaces));
  for (std::size_t i = 0; i < sketch.size(); ++i) {
    RC_ASSERT(sketch.most(i) - sketch.least(i) <= total / kPlaces);
  }
  for (const auto& [key, times] : model) {
    const auto place = place_of(sketch, key);
    if (!place) {
      RC_ASSERT(times <= total / kPlaces);
      continue;
    }
    RC_ASSERT(sketch.least(*place) <= times);
    RC_ASSERT(times <= sketch.most(*place));
  }
}

TEST(KeySketch, FewKeysAreCountedExactly) {
  Sketch sketch;
  for (int round = 0; round < 100; ++round) {
    for (std::uint32_t key = 0; key < kPlaces; ++key) sketch.count("key" + std::to_string(key), key + 1);
  }
  for (std::size_t key = 0; key < kPlaces; ++key) {
    const auto place = place_of(sketch, "key" + std::to_string(key));
    ASSERT_TRUE(place);
    EXPECT_EQ(sketch.least(*place), 100 * (key + 1));
    EXPECT_EQ(sketch.most(*place), 100 * (key + 1));
  }
}

TEST(KeySketch, LongKeysTakeNoMoreThanTheirPlace) {
  Sketch sketch;
  std::string key(1'000'000, 'x');
  sketch.count(key, 1);
  key.back() = 'y';
  sketch.count(key, 2);
  sketch.count(key.substr(1), 3);
  ASSERT_EQ(sketch.size(), 3U);
  EXPECT_EQ(sketch.key(1).shown(), std::string(limits::kShownKeyBytes, 'x'));
  EXPECT_EQ(sketch.key(1).length(), 1'000'000U);
  EXPECT_EQ(sketch.least(1), 2U);
}

TEST(KeySketch, KeysAreAnyBytes) {
  Sketch sketch;
  const std::string keys[] = {"", std::string(1, '\0'), std::string(2, '\0'), "\r\n\xff"};
  for (const std::string& key : keys) sketch.count(key, 1);
  ASSERT_EQ(sketch.size(), std::size(keys));
  for (std::size_t i = 0; i < std::size(keys); ++i) EXPECT_EQ(sketch.key(i).shown(), keys[i]);
}

RC_GTEST_PROP(BigKeys, TheLargestAndNoOthers, ()) {
  struct Seen {
    std::uint64_t bytes = 0;
    std::uint64_t times = 0;
    std::uint32_t last_ms = 0;
  };
  BigKeys<kPlaces> table;
  std::map<std::pair<std::string, Direction>, Seen> model;
  const int steps = *rc::gen::inRange(0, 200);
  for (int i = 1; i <= steps; ++i) {
    const std::string key = any_key();
    const auto direction = *rc::gen::element(Direction::kRequest, Direction::kReply);
    // Different for each, so that which are the largest is never a matter of taste.
    const std::uint64_t bytes = *rc::gen::inRange<std::uint64_t>(1, 50) * 1000 + static_cast<std::uint64_t>(i);
    const auto now_ms = static_cast<std::uint32_t>(i);
    table.note(key, bytes, direction, "set", now_ms);
    Seen& seen = model[{key, direction}];
    seen = {std::max(seen.bytes, bytes), seen.times + 1, now_ms};
  }
  std::vector<std::uint64_t> expected;
  for (const auto& [key, seen] : model) expected.push_back(seen.bytes);
  std::ranges::sort(expected, std::greater());
  expected.resize(std::min(expected.size(), kPlaces));
  std::vector<std::uint64_t> shown;
  for (const BigKey& each : table.keys()) {
    shown.push_back(each.bytes);
    const Seen& seen = model[{std::string(each.key.shown()), each.direction}];
    RC_ASSERT(each.bytes == seen.bytes);
    RC_ASSERT(each.times <= seen.times);
    RC_ASSERT(model.size() > kPlaces || (each.times == seen.times && each.last_ms == seen.last_ms));
  }
  std::ranges::sort(shown, std::greater());
  RC_ASSERT(shown == expected);
}

/// Remembers when things were seen.
struct Times {
  std::vector<std::uint32_t> seen_ms;
  void clear() { seen_ms.clear(); }
};

RC_GTEST_PROP(KeyWindow, ShowsThisHalfAndTheOneBefore, ()) {
  constexpr std::uint32_t kHalf = limits::kKeyWindowMs / 2;
  KeyWindow<Times> window;
  std::uint32_t now_ms = *rc::gen::inRange<std::uint32_t>(0, 10 * kHalf);
  std::uint32_t begin_ms = now_ms;
  std::vector<std::uint32_t> model;
  window.clear(now_ms);
  const int steps = *rc::gen::inRange(0, 100);
  for (int i = 0; i < steps; ++i) {
    now_ms += *rc::gen::element<std::uint32_t>(0, 100, 7'000, kHalf);
    window.turn(now_ms);
    if (*rc::gen::inRange(0, 30) == 0) {
      window.clear(now_ms);
      model.clear();
      begin_ms = now_ms;
    }
    window.younger().seen_ms.push_back(now_ms);
    model.push_back(now_ms);

    std::vector<std::uint32_t> shown = window.elder().seen_ms;
    shown.insert(shown.end(), window.younger().seen_ms.begin(), window.younger().seen_ms.end());
    std::erase_if(model, [&](std::uint32_t seen) { return now_ms / kHalf - seen / kHalf > 1; });
    RC_ASSERT(shown == model);
    RC_ASSERT(window.age_ms(now_ms) < limits::kKeyWindowMs + kHalf);
    RC_ASSERT(window.age_ms(now_ms) <= now_ms - begin_ms);
    RC_ASSERT(window.age_ms(now_ms) >= now_ms - shown.front());
  }
}

}  // namespace
}  // namespace sluice
