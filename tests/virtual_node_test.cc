// The virtual node's answers, byte for byte as a server writes them, and read back by our own reader.
#include "cluster/virtual_node.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "resp/value.h"

namespace {

using cluster::Address;
using cluster::Node;
using cluster::VirtualNode;
using resp::Protocol;

const Address kFirst{"10.0.0.1", 6380};
const Address kSibling{"proxy-b.example", 60000};

template <typename Write>
std::string written(Protocol protocol, Write write) {
  std::string out;
  resp::Writer writer(out, protocol);
  write(writer);
  return out;
}

std::string slots(Protocol protocol, const VirtualNode& node) {
  return written(protocol, [&](auto& writer) { cluster::write_cluster_slots(writer, node); });
}

std::string shards(Protocol protocol, const VirtualNode& node) {
  return written(protocol, [&](auto& writer) { cluster::write_cluster_shards(writer, node); });
}

std::string nodes(Protocol protocol, const VirtualNode& node) {
  return written(protocol, [&](auto& writer) { cluster::write_cluster_nodes(writer, node); });
}

std::string info(Protocol protocol, const VirtualNode& node, cluster::SlotCounts slots = {cluster::kSlotCount, 0}) {
  return written(protocol, [&](auto& writer) { cluster::write_cluster_info(writer, node, slots); });
}

std::string text_of(const std::string& reply) {
  return resp::parse_value(reply).value().text;
}

const std::string kId = VirtualNode::id_of(kFirst);

TEST(VirtualNode, IdsAreFortyHexDigitsOfTheAddressAlone) {
  EXPECT_EQ(kId.size(), 40U);
  EXPECT_EQ(kId.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_EQ(VirtualNode::id_of(Address{"10.0.0.1", 6380}), kId);
  // Clients and siblings of another build know this node by the same id: the derivation must not change.
  EXPECT_EQ(kId, "992750d57d402b025bf85d4d4eb23fbe876b5803");
}

TEST(VirtualNode, IdsOfNearAddressesDiffer) {
  std::set<std::string> ids;
  for (int last = 0; last < 100; ++last) {
    for (std::uint16_t port = 6300; port < 6400; ++port) {
      ids.insert(VirtualNode::id_of({"10.0.0." + std::to_string(last), port}).substr(0, 16));
    }
  }
  EXPECT_EQ(ids.size(), 10000U);
}

TEST(VirtualNode, SlotsHasTheShapeOfAServers) {
  const VirtualNode node{{kFirst}};
  const std::string head = "*1\r\n*3\r\n:0\r\n:16383\r\n*4\r\n$8\r\n10.0.0.1\r\n:6380\r\n$40\r\n" + kId + "\r\n";
  EXPECT_EQ(slots(Protocol::kResp2, node), head + "*0\r\n");
  EXPECT_EQ(slots(Protocol::kResp3, node), head + "%0\r\n");
}

TEST(VirtualNode, ShardsHasTheShapeOfAServers) {
  const VirtualNode node{{kFirst}};
  const std::string fields =
      "$2\r\nid\r\n$40\r\n" + kId +
      "\r\n$4\r\nport\r\n:6380\r\n$2\r\nip\r\n$8\r\n10.0.0.1\r\n$8\r\nendpoint\r\n$8\r\n10.0.0.1\r\n"
      "$4\r\nrole\r\n$6\r\nmaster\r\n$18\r\nreplication-offset\r\n:1\r\n$6\r\nhealth\r\n$6\r\nonline\r\n";
  const std::string slots_field = "$5\r\nslots\r\n*2\r\n:0\r\n:16383\r\n$5\r\nnodes\r\n*1\r\n";
  EXPECT_EQ(shards(Protocol::kResp2, node), "*1\r\n*4\r\n" + slots_field + "*14\r\n" + fields);
  EXPECT_EQ(shards(Protocol::kResp3, node), "*1\r\n%2\r\n" + slots_field + "%7\r\n" + fields);
}

TEST(VirtualNode, BothFormsReadBackAsOneShardThatOwnsAllSlots) {
  const VirtualNode node{{kFirst, kSibling, {"2001:db8::1", 6380}}};
  const cluster::Topology expected{
      {cluster::Shard{.primary = {kFirst, kId, ""},
                      .replicas = {{{"2001:db8::1", 6380}, VirtualNode::id_of({"2001:db8::1", 6380}), ""},
                                   {kSibling, VirtualNode::id_of(kSibling), ""}},
                      .ranges = {{0, 16383}}}}};
  for (const auto protocol : {Protocol::kResp2, Protocol::kResp3}) {
    for (const auto& reply : {slots(protocol, node), shards(protocol, node)}) {
      const auto value = resp::parse_value(reply);
      ASSERT_TRUE(value) << reply;
      EXPECT_EQ(cluster::read_topology(*value, {"elsewhere", 1}, false), expected) << reply;
    }
  }
}

TEST(VirtualNode, NodesNamesThisProxyAsMyself) {
  const std::string line = kId + " 10.0.0.1:6380@16380 myself,master - 0 0 1 connected 0-16383\n";
  EXPECT_EQ(nodes(Protocol::kResp2, {{kFirst}}), "$" + std::to_string(line.size()) + "\r\n" + line + "\r\n");
  EXPECT_EQ(nodes(Protocol::kResp3, {{kFirst}}), "=" + std::to_string(line.size() + 4) + "\r\ntxt:" + line + "\r\n");
}

TEST(VirtualNode, NodesNamesSiblingsWithoutSlots) {
  EXPECT_EQ(text_of(nodes(Protocol::kResp2, {{kFirst, kSibling, {"::1", 55535}}})),
            kId + " 10.0.0.1:6380@16380 myself,master - 0 0 1 connected 0-16383\n" + VirtualNode::id_of(kSibling) +
                " proxy-b.example:60000@0,proxy-b.example master - 0 0 2 connected\n" +
                VirtualNode::id_of({"::1", 55535}) + " ::1:55535@65535 master - 0 0 3 connected\n");
}

TEST(VirtualNode, InfoTellsAHealthyCluster) {
  const auto text = text_of(info(Protocol::kResp2, {{kFirst, kSibling}}));
  EXPECT_EQ(text_of(info(Protocol::kResp3, {{kFirst, kSibling}})), text);
  EXPECT_TRUE(text.starts_with("cluster_state:ok\r\ncluster_slots_assigned:16384\r\ncluster_slots_ok:16384\r\n"));
  EXPECT_NE(text.find("\r\ncluster_known_nodes:2\r\ncluster_size:1\r\n"), std::string::npos);
  EXPECT_TRUE(text.ends_with("\r\n"));
  EXPECT_EQ(info(Protocol::kResp2, {{kFirst}}).front(), '$');
  EXPECT_EQ(info(Protocol::kResp3, {{kFirst}}).front(), '=');
}

TEST(VirtualNode, InfoTellsOfSlotsThatNobodyServes) {
  const auto begin_of = [](cluster::SlotCounts slots) {
    const std::string text = text_of(info(Protocol::kResp2, {{kFirst}}, slots));
    return text.substr(0, text.find("cluster_known_nodes"));
  };
  EXPECT_EQ(begin_of({0, 0}),
            "cluster_state:fail\r\ncluster_slots_assigned:0\r\ncluster_slots_ok:0\r\ncluster_slots_pfail:0\r\n"
            "cluster_slots_fail:0\r\n");
  EXPECT_EQ(begin_of({16384, 5461}),
            "cluster_state:fail\r\ncluster_slots_assigned:16384\r\ncluster_slots_ok:10923\r\ncluster_slots_pfail:0\r\n"
            "cluster_slots_fail:5461\r\n");
}

TEST(VirtualNode, LinksAreNone) {
  EXPECT_EQ(written(Protocol::kResp2, [](auto& writer) { cluster::write_cluster_links(writer); }), "*0\r\n");
}

}  // namespace
