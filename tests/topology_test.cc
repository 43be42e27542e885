// CLUSTER SLOTS and CLUSTER SHARDS as Redis 7.0 and Valkey 8 send them, in both protocols, and as nobody should.
#include "cluster/topology.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "resp/writer.h"

namespace {

using cluster::Address;
using cluster::Node;
using cluster::read_topology;
using cluster::Shard;
using cluster::Topology;
using resp::Protocol;
using resp::Writer;

const std::string kIdA(40, 'a');
const std::string kIdB(40, 'b');
const std::string kIdC(40, 'c');
const Address kAsked{"asked.example", 7001};

using Pairs = std::vector<std::pair<std::string, std::string>>;

/// One node of a SLOTS entry; a missing endpoint is written as null.
struct SlotsNode {
  std::optional<std::string> endpoint;
  int port;
  std::string id;
  Pairs metadata = {};
};

struct SlotsEntry {
  int first;
  int last;
  std::vector<SlotsNode> nodes;
};

std::string slots_reply(Protocol protocol, const std::vector<SlotsEntry>& entries) {
  std::string out;
  Writer writer(out, protocol);
  writer.array(entries.size());
  for (const auto& entry : entries) {
    writer.array(2 + entry.nodes.size());
    writer.integer(entry.first);
    writer.integer(entry.last);
    for (const auto& node : entry.nodes) {
      writer.array(4);
      if (node.endpoint) writer.bulk(*node.endpoint);
      if (!node.endpoint) writer.null();
      writer.integer(node.port);
      writer.bulk(node.id);
      writer.map(node.metadata.size());
      for (const auto& [key, value] : node.metadata) {
        writer.bulk(key);
        writer.bulk(value);
      }
    }
  }
  return out;
}

/// One node of a SHARDS entry; ports that are 0 are not written, as a server does.
struct ShardsNode {
  std::string id;
  int port;
  int tls_port;
  std::string ip;
  std::string endpoint;
  std::string role;
  std::string health = "online";
  Pairs more = {};
};

struct ShardsEntry {
  std::vector<int> slots;
  std::vector<ShardsNode> nodes;
};

void write_shards_node(Writer& writer, const ShardsNode& node) {
  Pairs texts{
      {"id", node.id}, {"ip", node.ip}, {"endpoint", node.endpoint}, {"role", node.role}, {"health", node.health}};
  texts.insert(texts.end(), node.more.begin(), node.more.end());
  writer.map(texts.size() + (node.port != 0) + (node.tls_port != 0) + 1);
  for (const auto& [key, value] : texts) {
    writer.bulk(key);
    writer.bulk(value);
  }
  for (const auto& [key, port] : {std::pair{"port", node.port}, std::pair{"tls-port", node.tls_port}}) {
    if (port == 0) continue;
    writer.bulk(key);
    writer.integer(port);
  }
  writer.bulk("replication-offset");
  writer.integer(14);
}

std::string shards_reply(Protocol protocol, const std::vector<ShardsEntry>& entries) {
  std::string out;
  Writer writer(out, protocol);
  writer.array(entries.size());
  for (const auto& entry : entries) {
    writer.map(2);
    writer.bulk("slots");
    writer.array(entry.slots.size());
    for (const int slot : entry.slots) writer.integer(slot);
    writer.bulk("nodes");
    writer.array(entry.nodes.size());
    for (const auto& node : entry.nodes) write_shards_node(writer, node);
  }
  return out;
}

std::optional<Topology> read(const std::string& bytes, bool tls = false) {
  const auto value = resp::parse_value(bytes);
  EXPECT_TRUE(value) << bytes;
  return value ? read_topology(*value, kAsked, tls) : std::nullopt;
}

Topology one_shard(Node primary, std::vector<Node> replicas = {}) {
  return {{Shard{.primary = std::move(primary), .replicas = std::move(replicas), .ranges = {{0, 16383}}}}};
}

class TopologyIn : public testing::TestWithParam<Protocol> {
 protected:
  [[nodiscard]] std::optional<Topology> slots(const std::vector<SlotsEntry>& entries) const {
    return read(slots_reply(GetParam(), entries));
  }
  [[nodiscard]] std::optional<Topology> shards(const std::vector<ShardsEntry>& entries, bool tls = false) const {
    return read(shards_reply(GetParam(), entries), tls);
  }
};

INSTANTIATE_TEST_SUITE_P(Protocols, TopologyIn, testing::Values(Protocol::kResp2, Protocol::kResp3),
                         [](const auto& given) { return given.param == Protocol::kResp2 ? "Resp2" : "Resp3"; });

TEST_P(TopologyIn, SlotsGathersTheRangesOfAPrimary) {
  const auto topology = slots({{0, 99, {{"10.0.0.2", 1, kIdB}, {"10.0.0.9", 1, kIdC}}},
                               {100, 199, {{"10.0.0.1", 1, kIdA}}},
                               {300, 399, {{"10.0.0.2", 1, kIdB}}},
                               {200, 299, {{"10.0.0.2", 1, kIdB}, {"10.0.0.3", 1, ""}}}});
  const Topology expected{{Shard{.primary = {{"10.0.0.2", 1}, kIdB, ""},
                                 .replicas = {{{"10.0.0.3", 1}, "", ""}, {{"10.0.0.9", 1}, kIdC, ""}},
                                 .ranges = {{0, 99}, {200, 399}}},
                           Shard{.primary = {{"10.0.0.1", 1}, kIdA, ""}, .replicas = {}, .ranges = {{100, 199}}}}};
  EXPECT_EQ(topology, expected);
  EXPECT_EQ(topology->slots_covered(), 400U);
}

TEST_P(TopologyIn, SlotsTakesTheHostThatWasAskedForAMissingOne) {
  const auto expected = one_shard({{"asked.example", 7001}, kIdA, ""}, {{{"asked.example", 7002}, kIdB, ""}});
  const Pairs ip{{"ip", "10.0.0.1"}};
  EXPECT_EQ(slots({{0, 16383, {{std::nullopt, 7001, kIdA, ip}, {std::nullopt, 7002, kIdB, ip}}}}), expected);
  EXPECT_EQ(slots({{0, 16383, {{"", 7001, kIdA}, {"", 7002, kIdB}}}}), expected);
  EXPECT_EQ(slots({{0, 16383, {{"?", 7001, kIdA}, {"?", 7002, kIdB}}}}), expected);
}

TEST_P(TopologyIn, SlotsKeepsAHostNameAndPrefersAnAddressToAQuestionMark) {
  const Pairs ip{{"ip", "10.0.0.2"}};
  EXPECT_EQ(slots({{0, 16383, {{"a.example", 7001, kIdA, ip}, {"?", 7002, kIdB, ip}}}}),
            one_shard({{"a.example", 7001}, kIdA, ""}, {{{"10.0.0.2", 7002}, kIdB, ""}}));
}

TEST_P(TopologyIn, SlotsTellsZones) {
  const Pairs metadata{{"hostname", "a.example"}, {"availability-zone", "eu-1a"}};
  EXPECT_EQ(slots({{0, 16383, {{"10.0.0.1", 7001, kIdA, metadata}}}}), one_shard({{"10.0.0.1", 7001}, kIdA, "eu-1a"}));
}

TEST_P(TopologyIn, SlotsLeavesOutNodesWithoutAPort) {
  EXPECT_EQ(slots({{0, 16383, {{"10.0.0.1", 1, kIdA}, {"10.0.0.2", 0, kIdB}, {"10.0.0.3", 65536, kIdC}}}}),
            one_shard({{"10.0.0.1", 1}, kIdA, ""}));
  EXPECT_EQ(slots({{0, 16383, {{"10.0.0.1", 0, kIdA}, {"10.0.0.2", 1, kIdB}}}}), Topology{});
  EXPECT_EQ(slots({{0, 16383, {{"10.0.0.1\r\n", 1, kIdA}}}}), Topology{});
}

TEST_P(TopologyIn, SlotsGivesASlotToItsFirstClaim) {
  const auto topology = slots({{0, 10, {{"10.0.0.1", 1, kIdA}}}, {5, 15, {{"10.0.0.2", 1, kIdB}}}});
  ASSERT_TRUE(topology);
  ASSERT_EQ(topology->shards.size(), 2U);
  EXPECT_EQ(topology->shards[0].ranges, (std::vector<cluster::SlotRange>{{0, 10}}));
  EXPECT_EQ(topology->shards[1].ranges, (std::vector<cluster::SlotRange>{{11, 15}}));
}

TEST_P(TopologyIn, SlotsRefusesImpossibleRanges) {
  EXPECT_FALSE(slots({{0, 16384, {{"10.0.0.1", 1, kIdA}}}}));
  EXPECT_FALSE(slots({{-1, 10, {{"10.0.0.1", 1, kIdA}}}}));
  EXPECT_FALSE(slots({{11, 10, {{"10.0.0.1", 1, kIdA}}}}));
  EXPECT_FALSE(slots({{0, 10, {}}}));
}

TEST_P(TopologyIn, ShardsReadsPrimariesAndReplicas) {
  const auto topology =
      shards({{{8192, 16383},
               {{kIdB, 7004, 0, "10.0.0.4", "10.0.0.4", "replica"},
                {kIdA, 7001, 0, "10.0.0.1", "10.0.0.1", "master", "online", {{"availability-zone", "z"}}},
                {kIdC, 7003, 0, "10.0.0.3", "10.0.0.3", "replica"}}},
              {{0, 5, 7, 8191}, {{kIdC, 7009, 0, "10.0.0.9", "10.0.0.9", "master"}}},
              {{}, {{kIdB, 7010, 0, "10.0.0.10", "10.0.0.10", "master"}}}});
  const Topology expected{
      {Shard{.primary = {{"10.0.0.9", 7009}, kIdC, ""}, .replicas = {}, .ranges = {{0, 5}, {7, 8191}}},
       Shard{.primary = {{"10.0.0.1", 7001}, kIdA, "z"},
             .replicas = {{{"10.0.0.3", 7003}, kIdC, ""}, {{"10.0.0.4", 7004}, kIdB, ""}},
             .ranges = {{8192, 16383}}}}};
  EXPECT_EQ(topology, expected);
}

TEST_P(TopologyIn, ShardsLeavesOutReplicasThatAreNotOnline) {
  EXPECT_EQ(shards({{{0, 16383},
                     {{kIdA, 7001, 0, "10.0.0.1", "10.0.0.1", "master"},
                      {kIdB, 7002, 0, "10.0.0.2", "10.0.0.2", "replica", "loading"},
                      {kIdC, 7003, 0, "10.0.0.3", "10.0.0.3", "replica", "fail"}}}}),
            one_shard({{"10.0.0.1", 7001}, kIdA, ""}));
}

TEST_P(TopologyIn, ShardsLeavesAFailedPrimaryItsSlotsUntilASuccessorIsThere) {
  const ShardsNode failed{kIdA, 7001, 0, "10.0.0.1", "10.0.0.1", "master", "fail"};
  const ShardsNode replica{kIdB, 7002, 0, "10.0.0.2", "10.0.0.2", "replica"};
  const ShardsNode successor{kIdB, 7002, 0, "10.0.0.2", "10.0.0.2", "master"};
  const Node a{{"10.0.0.1", 7001}, kIdA, ""};
  const Node b{{"10.0.0.2", 7002}, kIdB, ""};
  EXPECT_EQ(shards({{{0, 16383}, {failed, replica}}}), one_shard(a, {b}));
  EXPECT_EQ(shards({{{0, 16383}, {failed, successor}}}), one_shard(b));
}

TEST_P(TopologyIn, ShardsPicksThePortOfTheConnection) {
  const std::vector<ShardsEntry> both{{{0, 16383}, {{kIdA, 7001, 8001, "10.0.0.1", "10.0.0.1", "master"}}}};
  EXPECT_EQ(shards(both, true), one_shard({{"10.0.0.1", 8001}, kIdA, ""}));
  EXPECT_EQ(shards(both, false), one_shard({{"10.0.0.1", 7001}, kIdA, ""}));
  const std::vector<ShardsEntry> tls_only{{{0, 16383}, {{kIdA, 0, 8001, "10.0.0.1", "10.0.0.1", "master"}}}};
  EXPECT_EQ(shards(tls_only, true), one_shard({{"10.0.0.1", 8001}, kIdA, ""}));
  EXPECT_EQ(shards(tls_only, false), one_shard({{"10.0.0.1", 8001}, kIdA, ""}));
}

TEST_P(TopologyIn, ShardsChoosesHostsAsSlotsDoes) {
  const auto host_of = [&](const std::string& ip, const std::string& endpoint) {
    const auto topology = shards({{{0, 16383}, {{kIdA, 7001, 0, ip, endpoint, "master"}}}});
    return topology && topology->shards.size() == 1 ? topology->shards[0].primary.address.host : "none";
  };
  EXPECT_EQ(host_of("10.0.0.1", "a.example"), "a.example");
  EXPECT_EQ(host_of("10.0.0.1", ""), "asked.example");
  EXPECT_EQ(host_of("10.0.0.1", "?"), "10.0.0.1");
  EXPECT_EQ(host_of("", "?"), "asked.example");
  EXPECT_EQ(host_of("", ""), "asked.example");
  EXPECT_EQ(host_of("2001:db8::1", "2001:db8::1"), "2001:db8::1");
}

TEST_P(TopologyIn, ShardsRefusesImpossibleRanges) {
  const std::vector<ShardsNode> nodes{{kIdA, 7001, 0, "10.0.0.1", "10.0.0.1", "master"}};
  EXPECT_FALSE(shards({{{0, 16384}, nodes}}));
  EXPECT_FALSE(shards({{{0}, nodes}}));
  EXPECT_FALSE(shards({{{5, 4}, nodes}}));
}

TEST(ReadTopology, AServerWithoutSlotsKnowsNone) {
  EXPECT_EQ(read("*0\r\n"), Topology{});
}

TEST(ReadTopology, RefusesWhatIsNoTopology) {
  for (const char* bytes :
       {"-ERR This instance has cluster support disabled\r\n", "+OK\r\n", "$-1\r\n", ":1\r\n", "*1\r\n*0\r\n",
        "*1\r\n$1\r\nx\r\n", "*1\r\n%0\r\n", "*1\r\n*3\r\n:0\r\n:1\r\n$1\r\nx\r\n",
        "*1\r\n*3\r\n:0\r\n:1\r\n*1\r\n$1\r\nx\r\n", "*1\r\n%2\r\n$5\r\nslots\r\n*0\r\n$5\r\nnodes\r\n:1\r\n",
        "*1\r\n%1\r\n$5\r\nslots\r\n*0\r\n", "*1\r\n%2\r\n$5\r\nslots\r\n*0\r\n$5\r\nnodes\r\n*1\r\n%0\r\n"}) {
    EXPECT_FALSE(read(bytes)) << bytes;
  }
}

TEST(ReadTopology, RefusesAMixtureOfBothForms) {
  EXPECT_FALSE(read("*2\r\n*3\r\n:0\r\n:1\r\n*2\r\n$1\r\na\r\n:1\r\n%2\r\n$5\r\nslots\r\n*0\r\n$5\r\nnodes\r\n*0\r\n"));
}

TEST(ReadTopology, RefusesMoreEntriesThanSlots) {
  std::vector<SlotsEntry> entries(16384, SlotsEntry{0, 0, {{"10.0.0.1", 1, kIdA}}});
  EXPECT_TRUE(read(slots_reply(Protocol::kResp3, entries)));
  entries.push_back(entries.front());
  EXPECT_FALSE(read(slots_reply(Protocol::kResp3, entries)));
}

TEST(ReadTopology, TheOldestServersTellNoIds) {
  EXPECT_EQ(read("*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:7000\r\n"),
            one_shard({{"127.0.0.1", 7000}, "", ""}));
}

}  // namespace
