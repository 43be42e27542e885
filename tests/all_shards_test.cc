// Commands for every shard, sent before the shards are known: they wait, and count all of them.
#include <gtest/gtest.h>

#include <chrono>
#include <initializer_list>
#include <string>
#include <string_view>
#include <thread>

#include "resp/writer.h"
#include "src/config.h"
#include "tests/support/fake_cluster.h"
#include "tests/support/proxy.h"

namespace sluice {
namespace {

using tests::BlockingClient;

Config config_for(const tests::FakeCluster& cluster) {
  Config config;
  config.workers = 1;
  config.backend.nodes = {{"127.0.0.1", cluster.port(0)}};
  config.backend.command_timeout = std::chrono::seconds(2);
  return config;
}

TEST(AllShards, ACountIsNeverThatOfOneShard) {
  tests::FakeCluster cluster({.silence = std::chrono::milliseconds(500)});
  {
    const tests::Proxy proxy(config_for(cluster));
    BlockingClient client = proxy.connect();
    for (int i = 0; i < 100; ++i) ASSERT_EQ(client.command({"SET", "key" + std::to_string(i), "value"}).text, "OK");
  }
  const tests::Proxy proxy(config_for(cluster));
  EXPECT_EQ(proxy.connect().command({"DBSIZE"}).integer, 100);
}

/// To a request for all shards whose part for one waits for its node; meanwhile that one's slots may move.
std::string reply_after_wait(std::initializer_list<std::string_view> request, bool slots_move) {
  tests::FakeCluster cluster({});
  const tests::Proxy proxy(config_for(cluster));
  BlockingClient client = proxy.connect();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(client.command({"SET", "key" + std::to_string(i), "value"}).text, "OK");
  cluster.keyspace().set_down(0, true);
  std::string bytes;
  resp::write_request(bytes, request);
  client.send(bytes);
  while (cluster.keyspace().refusals() < 3) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  if (slots_move) cluster.keyspace().give(0, 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  cluster.keyspace().set_down(0, false);
  return client.read().text;
}

// The part for a shard goes by one of its slots. When that moves while the part waits for its node, the shard would be
// left out, and another one cleared twice.
TEST(AllShards, NoShardIsLeftOutUnnoticed) {
  EXPECT_EQ(reply_after_wait({"FLUSHALL"}, false), "OK");
  const std::string reply = reply_after_wait({"FLUSHALL"}, true);
  EXPECT_TRUE(reply.starts_with("ERR sluice: slots moved")) << reply;
}

TEST(AllShards, NoNodeIsLeftOutOfALog) {
  const std::string reply = reply_after_wait({"SLOWLOG", "GET"}, true);
  EXPECT_TRUE(reply.starts_with("ERR sluice: slots moved")) << reply;
}

// A MOVED names a new primary before it is known that the old one has none of its slots any more.
TEST(AllShards, NoShardIsCountedTwice) {
  tests::FakeCluster cluster({});
  const tests::Proxy proxy(config_for(cluster));
  BlockingClient client = proxy.connect();
  for (int i = 0; i < 100; ++i) ASSERT_EQ(client.command({"SET", "key" + std::to_string(i), "value"}).text, "OK");
  cluster.keyspace().promote(0, 1);
  std::string request;
  for (int i = 0; i < 100; ++i) resp::write_request(request, {"SET", "key" + std::to_string(i), "again"});
  resp::write_request(request, {"DBSIZE"});
  client.send(request);
  for (int i = 0; i < 100; ++i) ASSERT_EQ(client.read().text, "OK");
  EXPECT_EQ(client.read().integer, 100);
}

TEST(AllShards, TheWaitIsBounded) {
  Config config;
  config.workers = 1;
  config.backend.nodes = {{"127.0.0.1", 1}};
  config.backend.command_timeout = std::chrono::milliseconds(500);
  const tests::Proxy proxy(config);
  EXPECT_TRUE(proxy.connect().command({"DBSIZE"}).text.starts_with("ERR sluice: the command has not run"));
}

}  // namespace
}  // namespace sluice
