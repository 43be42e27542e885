// What is made of the requests that go by: a fair sample of their keys, and the values that are large.
#include "src/key_watch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "resp/writer.h"

namespace sluice {
namespace {

/// A request as the parser gives it.
class Parsed {
 public:
  explicit Parsed(const std::vector<std::string>& words) {
    const std::vector<std::string_view> views(words.begin(), words.end());
    resp::write_request(bytes_, views);
    resp::RequestParser parser;
    EXPECT_EQ(parser.parse(bytes_, {}, request_), resp::ParseStatus::kComplete);
  }
  operator const resp::Request&() const { return request_; }  // NOLINT

 private:
  std::string bytes_;
  resp::Request request_;
};

class KeyWatchTest : public testing::Test {
 protected:
  KeyWatchTest() { watch_.start(1); }

  std::map<std::string, double> hot_keys() const {
    std::map<std::string, double> found;
    const auto& sketch = watch_.hot_keys().younger().sketch;
    for (std::size_t i = 0; i < sketch.size(); ++i) found[std::string(sketch.key(i).shown())] = sketch.most(i);
    return found;
  }
  std::map<std::string, std::uint64_t> big_keys() const {
    std::map<std::string, std::uint64_t> found;
    for (const BigKey& each : watch_.big_keys().younger().keys()) found[std::string(each.key.shown())] = each.bytes;
    return found;
  }

  resp::CommandTable commands_;
  resp::RequestLimits limits_;
  KeyWatch watch_{commands_, limits_, 0};
};

/// With a fixed stride of 64, one of 64 keys in turn would get all of the sample.
TEST_F(KeyWatchTest, ARhythmDoesNotDeceiveTheSample) {
  for (const int period : {2, 63, 64, 65, 128}) {
    watch_.clear_hot_keys();
    std::vector<Parsed> requests;
    for (int i = 0; i < period; ++i) requests.emplace_back(std::vector<std::string>{"GET", "key" + std::to_string(i)});
    const int rounds = 1'000'000 / period;
    for (int round = 0; round < rounds; ++round) {
      for (const Parsed& request : requests) watch_.see(request);
    }
    const double expected = static_cast<double>(rounds) / limits::kSampledEvery;
    const auto found = hot_keys();
    ASSERT_EQ(found.size(), static_cast<std::size_t>(period));
    for (const auto& [key, times] : found) {
      EXPECT_NEAR(times, expected, 5 * std::sqrt(expected)) << key << " of " << period;
    }
    const auto sampled = static_cast<double>(watch_.hot_keys().younger().requests);
    EXPECT_NEAR(sampled, 1'000'000.0 / limits::kSampledEvery, 500);
  }
}

TEST_F(KeyWatchTest, KeysOfOneRequestCountAlike) {
  std::vector<std::string> words{"MGET"};
  for (int i = 0; i < 100; ++i) words.push_back("key" + std::to_string(i));
  const Parsed request(words);
  for (int i = 0; i < 640'000; ++i) watch_.see(request);
  const auto found = hot_keys();
  ASSERT_EQ(found.size(), 100U);
  for (const auto& [key, times] : found) EXPECT_NEAR(times, 10'000, 1'500) << key;
}

TEST_F(KeyWatchTest, OfWhatHasNoKeysNothingIsCounted) {
  const Parsed request({"DBSIZE"});
  for (int i = 0; i < 1000; ++i) watch_.see(request);
  EXPECT_EQ(watch_.hot_keys().younger().requests, 0U);
  EXPECT_EQ(watch_.counters().sampled, 0U);
}

TEST_F(KeyWatchTest, LargeArgumentsAreTheirKeys) {
  const std::string large(limits::kBigValueBytes, 'x');
  watch_.see(Parsed({"SET", "set", large}));
  watch_.see(Parsed({"SET", "small", large.substr(1)}));
  watch_.see(Parsed({"MSET", "mset1", "1", "mset2", large + "22", "mset3", large.substr(1), "mset4", large + "4444"}));
  watch_.see(Parsed({"RPUSH", "list", large.substr(10), "123456", "789012"}));
  watch_.see(Parsed({"EVAL", large, "1", "script"}));
  const std::uint64_t size = large.size();
  const std::map<std::string, std::uint64_t> expected{
      {"set", size}, {"mset2", size + 2}, {"mset4", size + 4}, {"list", size + 2}, {"script", size + 1}};
  EXPECT_EQ(big_keys(), expected);
  EXPECT_EQ(watch_.counters().big_requests, 5U);
}

TEST_F(KeyWatchTest, AnUploadIsSeenByItsHeader) {
  watch_.see_upload(*commands_.find_name("set"), "upload", 12'345'678);
  EXPECT_EQ(big_keys(), (std::map<std::string, std::uint64_t>{{"upload", 12'345'678}}));
  for (int i = 0; i < 64'000; ++i) watch_.see_upload(*commands_.find_name("set"), "upload", 12'345'678);
  EXPECT_NEAR(hot_keys()["upload"], 1000, 100);
}

/// A reply to a request that is kept, whole or in pieces.
class Replies : public KeyWatchTest {
 protected:
  Replies() : pending_(pool_.take()) {}
  ~Replies() override { pool_.release(pending_); }

  void ask(const std::vector<std::string>& words) {
    std::string bytes;
    resp::write_request(bytes, std::vector<std::string_view>(words.begin(), words.end()));
    pool_.drop_request(pending_);
    uring::SendQueue queue;
    pending_.waiting.request = queue.append(chunks_, bytes);
    ++pending_.waiting.request.chunk->references;
    queue.clear(chunks_);
  }
  static std::string bulk(std::uint64_t size) {
    return "$" + std::to_string(size) + "\r\n" + std::string(size, 'x') + "\r\n";
  }

  uring::ChunkPool chunks_{1 << 16, 1 << 20};
  pool::PendingReplies pool_{chunks_};
  pool::PendingReply& pending_;
};

TEST_F(Replies, AreTheirKeys) {
  for (const std::uint64_t size : {20'000UL, 99'990UL, 99'999UL, 100'000UL, 9'999'999UL, 10'000'000UL}) {
    const std::string key = std::to_string(size);
    ask({"GET", key});
    watch_.see_reply(pending_, bulk(size));
    EXPECT_EQ(big_keys()[key], size);
    ask({"GET", key + "in pieces"});
    watch_.see_download(pending_, {.mark = '$', .bytes = bulk(size).size() - 2});
    EXPECT_EQ(big_keys()[key + "in pieces"], size);
  }
  ask({"GET", "small"});
  watch_.see_reply(pending_, bulk(limits::kBigValueBytes - 1));
  watch_.see_download(pending_, {.mark = '$', .bytes = bulk(limits::kBigValueBytes - 1).size() - 2});
  EXPECT_FALSE(big_keys().contains("small"));
  ask({"LRANGE", "list", "0", "-1"});
  const std::string list = "*2\r\n" + bulk(10'000) + bulk(10'000);
  watch_.see_reply(pending_, list);
  EXPECT_EQ(big_keys()["list"], list.size());
}

TEST_F(Replies, ToSeveralKeysAreTaken) {
  ask({"MGET", "a", "b", "none", "c"});
  watch_.see_reply(pending_, "*4\r\n" + bulk(20'000) + bulk(5) + "$-1\r\n" + bulk(30'000));
  EXPECT_EQ(big_keys(), (std::map<std::string, std::uint64_t>{{"a", 20'000}, {"c", 30'000}}));
}

TEST_F(Replies, WithoutKeysOrRequestAreNobodys) {
  watch_.see_reply(pending_, bulk(20'000));
  ask({"INFO"});
  watch_.see_reply(pending_, bulk(20'000));
  EXPECT_TRUE(big_keys().empty());
}

}  // namespace
}  // namespace sluice
