"""A cluster-aware client sees one node that owns all slots, and never a backend's address."""
import re
import unittest

import redis
from redis.cluster import ClusterNode, RedisCluster

from cluster import slot_of
from fixture import TestCase, shared_cluster, shared_proxy
from server import HOST


class View(TestCase):

    def setUp(self):
        super().setUp()
        self.raw = self.client(shared_proxy())

    def assert_no_backend(self, text):
        for node in shared_cluster().nodes:
            self.assertNotIn(str(node.port).encode(), text)
            self.assertNotIn(node.id.encode(), text)

    def test_slots(self):
        reply = self.raw.ask("CLUSTER", "SLOTS")
        self.assertEqual([entry[:2] for entry in reply], [[0, 16383]])
        self.assertEqual(reply[0][2][:3], [HOST.encode(), shared_proxy().port, self.raw.ask("CLUSTER", "MYID")])

    def test_shards(self):
        with shared_proxy().raw3() as client:
            shard, = client.ask("CLUSTER", "SHARDS")
        shard = dict(shard)
        self.assertEqual(shard[b"slots"], [0, 16383])
        node = dict(shard[b"nodes"][0])
        self.assertEqual((node[b"port"], node[b"role"], node[b"health"]), (shared_proxy().port, b"master", b"online"))
        self.assertEqual(node[b"id"], self.raw.ask("CLUSTER", "MYID"))

    def test_nodes(self):
        text = self.raw.ask("CLUSTER", "NODES").decode()
        lines = text.strip().split("\n")
        self.assertEqual(len(lines), 1)
        fields = lines[0].split()
        self.assertEqual(fields[0], self.raw.ask("CLUSTER", "MYID").decode())
        self.assertTrue(fields[1].startswith("%s:%d@" % shared_proxy().address), fields)
        self.assertEqual(fields[2:4] + fields[7:], ["myself,master", "-", "connected", "0-16383"])

    def test_info(self):
        info = dict(line.split(":") for line in self.raw.ask("CLUSTER", "INFO").decode().split())
        self.assertEqual(info["cluster_state"], "ok")
        self.assertEqual(info["cluster_slots_assigned"], "16384")
        self.assertEqual(info["cluster_slots_ok"], "16384")

    def test_no_address_of_a_backend_is_told(self):
        for protocol in (2, 3):
            self.raw.call("HELLO", protocol)
            for command in ("SLOTS", "SHARDS", "NODES", "INFO", "MYID", "LINKS"):
                with self.subTest(command=command, protocol=protocol):
                    self.assert_no_backend(self.raw.call("CLUSTER", command))

    def test_the_id_is_stable(self):
        identity = self.raw.ask("CLUSTER", "MYID")
        self.assertRegex(identity, re.compile(rb"^[0-9a-f]{40}$"))
        with shared_proxy().raw() as other:
            self.assertEqual(other.ask("CLUSTER", "MYID"), identity)

    def test_keyslot(self):
        for key in (b"a", b"{tag}x", b"foo{}bar", b"", b"\0\xff{\r\n}"):
            self.assertEqual(self.raw.ask("CLUSTER", "KEYSLOT", key), slot_of(key))

    def test_keys_in_a_slot(self):
        self.raw.call("FLUSHALL")
        keys = sorted(b"{inslot}%d" % index for index in range(20))
        for key in keys:
            self.raw.call("SET", key, "x")
        slot = slot_of("{inslot}")
        self.assertEqual(self.raw.ask("CLUSTER", "COUNTKEYSINSLOT", slot), 20)
        self.assertEqual(sorted(self.raw.ask("CLUSTER", "GETKEYSINSLOT", slot, 100)), keys)
        self.assertEqual(len(self.raw.ask("CLUSTER", "GETKEYSINSLOT", slot, 5)), 5)

    def test_nobody_changes_the_cluster_through_the_proxy(self):
        node = shared_cluster().nodes[0]
        before = node.command("CLUSTER INFO")["cluster_current_epoch"]
        for request in (("MEET", HOST, 1), ("FORGET", node.id), ("RESET", "HARD"), ("DELSLOTS", 0), ("FAILOVER",),
                        ("SETSLOT", 0, "STABLE"), ("FLUSHSLOTS",), ("BUMPEPOCH",)):
            with self.subTest(request=request):
                self.assertTrue(self.raw.call("CLUSTER", *request).startswith(b"-ERR"), request)
        self.assertEqual(node.command("CLUSTER INFO")["cluster_current_epoch"], before)
        self.assertEqual(len(shared_cluster().slots_of(node)), 5461)


class Announced(TestCase):

    def test_the_announced_address_is_told(self):
        proxy = self.proxy(shared_cluster().addresses, announce_address="proxy.example.com:7777")
        client = self.client(proxy)
        self.assertEqual(client.ask("CLUSTER", "SLOTS")[0][2][:2], [b"proxy.example.com", 7777])
        for command in ("SHARDS", "NODES"):
            reply = client.call("CLUSTER", command)
            self.assertIn(b"proxy.example.com", reply)
            self.assertIn(b"7777", reply)

    def test_siblings_are_told(self):
        proxy = self.proxy(shared_cluster().addresses, config="""
announce:
  address: "10.9.8.1:7001"
  proxies: ["10.9.8.1:7001", "10.9.8.2:7002"]
""")
        reply = self.client(proxy).call("CLUSTER", "NODES")
        self.assertIn(b"10.9.8.1:7001@", reply)
        self.assertIn(b"10.9.8.2:7002@", reply)


class ClusterClients(TestCase):

    def test_redis_cli_c(self):
        cli = ["redis-cli", "-c", "-p", shared_proxy().port]
        for index in range(10):
            self.assertEqual(self.run_program([*cli, "SET", "cli:%d" % index, index]).strip(), "OK")
            self.assertEqual(self.run_program([*cli, "GET", "cli:%d" % index]).strip(), str(index))

    def test_redis_py_cluster(self):
        client = RedisCluster(startup_nodes=[ClusterNode(HOST, shared_proxy().port)], socket_timeout=10)
        self.addCleanup(client.close)
        for index in range(100):
            self.assertTrue(client.set("py:%d" % index, index))
            self.assertEqual(client.get("py:%d" % index), b"%d" % index)
        self.assertEqual([node.port for node in client.get_nodes()], [shared_proxy().port])
        pipeline = client.pipeline()
        for index in range(100):
            pipeline.get("py:%d" % index)
        self.assertEqual(pipeline.execute(), [b"%d" % index for index in range(100)])
        self.assertEqual(client.mget_nonatomic("py:1", "py:2"), [b"1", b"2"])
        with self.assertRaises(redis.exceptions.RedisClusterException):
            client.mget("py:1", "py:2")  # refused by the client itself


if __name__ == "__main__":
    unittest.main()
