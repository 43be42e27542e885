// Commands for every shard, sent before the shards are known: they wait, and count all of them.
#include <gtest/gtest.h>

#include <chrono>
#include <string>

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
