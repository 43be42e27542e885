"""Resharding behind the proxy's back: followed inside, or, when the operator wants it so, told to the client."""
import time
import unittest

from cluster import Cluster, slot_of
from fixture import TestCase
from process import wait_until
from proxy import Proxy
from raw import encode


def setUpModule():
    global cluster
    cluster = Cluster(3, 0)
    unittest.addModuleCleanup(cluster.stop)


class Followed(TestCase):

    @classmethod
    def setUpClass(cls):
        cls.shared = Proxy(cluster.addresses, refresh_interval="60s")
        cls.addClassCleanup(cls.shared.stop)

    def setUp(self):
        super().setUp()
        self.raw = self.client(self.shared)

    def ends_of(self, tag):
        """The slot of a tag, the node that serves it and another one."""
        slot = slot_of(tag)
        source = cluster.primary_of(slot)
        target = next(node for node in cluster.primaries() if node is not source)
        return slot, source, target

    def test_moved(self):
        for index in range(20):
            key = "{moved%d}" % index
            slot, source, target = self.ends_of(key)
            self.raw.call("SET", key, index)
            cluster.move_slot(slot, source, target)
            self.assertEqual(self.raw.ask("GET", key), b"%d" % index)
            self.assertEqual(self.raw.ask("INCR", key), index + 1)

    def test_what_goes_to_all_nodes_does_not_overtake_a_moved_write(self):
        for index, (request, reply, value) in enumerate((
                (("FLUSHALL",), "OK", None), (("DBSIZE",), 1, b"1"), (("KEYS", "*"), [b"{all2}"], b"1"))):
            key = "{all%d}" % index
            slot, source, target = self.ends_of(key)
            self.raw.ask("FLUSHALL")
            cluster.move_slot(slot, source, target)
            self.raw.send(encode("SET", key, 1) + encode(*request) + encode("GET", key))
            self.assertEqual([self.raw.read_value() for _ in range(3)], ["OK", reply, value], request)

    def test_a_storm_of_moved_asks_for_the_topology_few_times(self):
        source, target = cluster.primaries()[:2]
        slots = sorted(cluster.slots_of(source))[:50]
        keys = {}
        index = 0
        while len(keys) < len(slots):
            key = "storm:%d" % index
            if slot_of(key) in slots:
                keys.setdefault(slot_of(key), key)
            index += 1
        for slot in slots:
            cluster.move_slot(slot, source, target)
        before = sum(self.topology_questions(node) for node in cluster.nodes)
        clients = [self.client(self.shared) for _ in range(10)]
        for client in clients:
            client.send(b"".join(encode("GET", key) for key in keys.values()))
        for client in clients:
            for _ in keys:
                self.assertIsNone(client.read_value())
        asked = sum(self.topology_questions(node) for node in cluster.nodes) - before
        # Each worker may ask each node, and once more when the first answers were on their way already.
        self.assertLessEqual(asked, 2 * 2 * len(cluster.nodes))

    @staticmethod
    def topology_questions(node):
        return sum(node.calls("cluster|" + name) for name in ("slots", "shards", "nodes"))

    def test_asked(self):
        slot, source, target = self.ends_of("{asked}")
        keys = ["{asked}%d" % index for index in range(10)]
        self.raw.call("MSET", *[part for key in keys for part in (key, key)])
        target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
        source.command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys[:5])
        self.assertEqual([self.raw.ask("GET", key) for key in keys], [key.encode() for key in keys])
        self.assertEqual(self.raw.ask("SET", "{asked}new", "x"), "OK")
        self.assertEqual(self.raw.ask("GET", "{asked}new"), b"x")
        self.assertEqual(self.raw.ask("MGET", *keys[:5]), [key.encode() for key in keys[:5]])
        cluster.move_slot(slot, source, target)
        self.assertEqual(self.raw.ask("MGET", *keys, "{asked}new"), [key.encode() for key in keys] + [b"x"])

    def test_try_again_waits_for_the_move(self):
        """A request over keys at both ends of a move is answered when the move is done."""
        slot, source, target = self.ends_of("{again}")
        keys = ["{again}%d" % index for index in range(4)]
        self.raw.call("MSET", *[part for key in keys for part in (key, key)])
        target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
        source.command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys[:2])
        self.raw.send(encode("SUNION", "{again}n1", "{again}n2") + encode("MGET", *keys) + encode("PING"))
        self.assertTrue(self.raw.has_nothing_to_read(0.3))
        cluster.move_slot(slot, source, target)
        self.assertEqual(self.raw.read_value(), [])
        self.assertEqual(self.raw.read_value(), [key.encode() for key in keys])
        self.assertEqual(self.raw.read_value(), "PONG")

    def test_what_follows_a_waiting_request_does_not_overtake_it(self):
        """A write over keys at both ends of a move waits for its end; the same client's later requests for these keys wait
        behind it, whether they were sent together with it or after it."""
        for together in (True, False):
            with self.subTest(together=together):
                tag = "{behind%d}" % together
                slot, source, target = self.ends_of(tag)
                here, there = tag + "a", tag + "b"
                self.raw.call("MSET", here, "old", there, "old")
                target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
                source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
                source.command("MIGRATE", "127.0.0.1", target.port, there, 0, 5000)
                first, rest = encode("DEL", here, there), encode("GET", here) + encode("SET", here, "new") + encode("GET", there)
                if together:
                    self.raw.send(first + rest)
                else:
                    self.raw.send(first)
                    time.sleep(0.1)
                    self.raw.send(rest)
                time.sleep(0.1)
                cluster.move_slot(slot, source, target)
                self.assertEqual([self.raw.read_value() for _ in range(4)], [2, None, "OK", None])
                self.assertEqual(self.raw.ask("GET", here), b"new")

    def test_order_of_one_key_over_a_move(self):
        """Requests on their way when the slot moves stay in their order: some are sent again, none overtakes."""
        key = "{overtake}"
        for _ in range(10):
            slot, source, target = self.ends_of(key)
            self.raw.call("DEL", key)
            for index in range(100):
                self.raw.send(encode("RPUSH", key, index))
                if index == 50:
                    cluster.move_slot(slot, source, target)
            self.assertEqual([self.raw.read_value() for _ in range(100)], list(range(1, 101)))
            self.assertEqual(self.raw.ask("LRANGE", key, 0, -1), [b"%d" % index for index in range(100)])

    def test_a_read_is_not_overtaken_by_what_clears_everything(self):
        for number in range(3):
            key = "{cleared:%d}" % number
            self.assertEqual(self.raw.ask("SET", key, "value"), "OK")
            cluster.move_slot(*self.ends_of(key))
            self.raw.send(encode("GET", key) + encode("FLUSHALL") + encode("SET", key, "new") + encode("GET", key))
            self.assertEqual([self.raw.read_value() for _ in range(4)], [b"value", "OK", "OK", b"new"])


class Told(TestCase):
    """auto_redirect: false."""

    @classmethod
    def setUpClass(cls):
        cls.public = {node.address: "public%d.example.com:%d" % (index, 7000 + index)
                      for index, node in enumerate(cluster.nodes)}
        lines = "".join('    "%s": "%s"\n' % pair for pair in cls.public.items())
        cls.shared = Proxy(cluster.addresses, auto_redirect="false", refresh_interval="60s",
                           config="announce:\n  map:\n" + lines)
        cls.addClassCleanup(cls.shared.stop)

    def setUp(self):
        super().setUp()
        self.raw = self.client(self.shared)

    def test_moved_is_told_with_the_public_address(self):
        slot = slot_of("{told}")
        source = cluster.primary_of(slot)
        target = next(node for node in cluster.primaries() if node is not source)
        self.assertEqual(self.raw.ask("SET", "{told}", 1), "OK")
        cluster.move_slot(slot, source, target)
        expected = "-MOVED %d %s\r\n" % (slot, self.public[target.address])
        self.assertEqual(self.raw.call("GET", "{told}"), expected.encode())
        # Whoever is told the way by others learns it as well.
        wait_until(lambda: self.raw.ask("GET", "{told}") == b"1", 5, "the proxy to know the new way")

    def test_ask_is_told_with_the_public_address(self):
        slot = slot_of("{toldask}")
        source = cluster.primary_of(slot)
        target = next(node for node in cluster.primaries() if node is not source)
        target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
        reply = self.raw.call("GET", "{toldask}none")
        for node in (source, target):
            node.command("CLUSTER", "SETSLOT", slot, "STABLE")
        self.assertEqual(reply, b"-ASK %d %s\r\n" % (slot, self.public[target.address].encode()))
        self.assertEqual(self.raw.ask("SET", "{toldask}none", "x"), "OK")


if __name__ == "__main__":
    unittest.main()
