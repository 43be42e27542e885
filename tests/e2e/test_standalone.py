"""In front of one server that knows no cluster: databases are the client's own, no slot stands in the way."""
import os
import random
import time
import unittest

from cluster import Standalone, slot_of
from fixture import TestCase, shared_cluster, shared_standalone, shared_standalone_proxy
from process import reserve_port, temporary_folder, wait_until
from raw import encode
from server import HOST, Server


class Databases(TestCase):

    def setUp(self):
        super().setUp()
        shared_standalone().primary.command("FLUSHALL")
        self.raw = self.client(shared_standalone_proxy())
        self.other = self.client(shared_standalone_proxy())

    def test_each_client_has_its_own(self):
        self.assertEqual(self.raw.ask("SELECT", 3), "OK")
        self.raw.call("SET", "key", "three")
        self.assertIsNone(self.other.ask("GET", "key"))
        self.other.call("SET", "key", "zero")
        self.assertEqual(self.raw.ask("GET", "key"), b"three")
        self.assertEqual(shared_standalone().primary.client(db=3).get("key"), b"three")
        self.assertEqual(shared_standalone().primary.client(db=0).get("key"), b"zero")

    def test_interleaved_pipelines(self):
        generator = random.Random(3)
        clients = [(number, self.client(shared_standalone_proxy())) for number in range(16)]
        for number, client in clients:
            client.call("SELECT", number)
        for _ in range(50):
            for number, client in clients:
                count = generator.randrange(1, 10)
                client.send(b"".join(encode("SET", "k", "%d" % number) + encode("GET", "k") for _ in range(count)))
                client.count = count
            for number, client in clients:
                for _ in range(client.count):
                    self.assertEqual(client.read_reply(), b"+OK\r\n")
                    self.assertEqual(client.read_value(), b"%d" % number)

    def test_select_inside_a_pipeline(self):
        self.raw.send(b"".join(encode(*request) for request in (
            ("SET", "k", "a"), ("SELECT", 1), ("SET", "k", "b"), ("GET", "k"), ("SELECT", 0), ("GET", "k"),
            ("SELECT", 99), ("GET", "k"), ("SELECT", 1), ("GET", "k"))))
        replies = [self.raw.read_value() for _ in range(10)]
        self.assertEqual([reply for reply in replies if isinstance(reply, bytes)], [b"b", b"a", b"a", b"b"])
        self.assertEqual(replies[6].args[0], "ERR DB index is out of range")

    def test_flush_and_size_are_of_one_database(self):
        self.raw.call("SET", "a", 1)
        self.other.call("SELECT", 5)
        self.other.call("MSET", "b", 2, "c", 3)
        self.assertEqual((self.raw.ask("DBSIZE"), self.other.ask("DBSIZE")), (1, 2))
        self.assertEqual(sorted(self.other.ask("KEYS", "*")), [b"b", b"c"])
        self.other.call("FLUSHDB")
        self.assertEqual((self.raw.ask("DBSIZE"), self.other.ask("DBSIZE")), (1, 0))

    def test_a_new_client_begins_with_database_zero(self):
        self.raw.call("SELECT", 4)
        self.raw.call("SET", "k", 4)
        self.raw.close()
        self.assertIsNone(self.client(shared_standalone_proxy()).ask("GET", "k"))

    def test_the_two_protocols_in_two_databases(self):
        third = self.client(shared_standalone_proxy())
        third.call("HELLO", 3)
        third.call("SELECT", 2)
        third.call("HSET", "h", "f", "two")
        self.raw.call("HSET", "h", "f", "zero")
        for _ in range(20):
            self.assertEqual(third.call("HGETALL", "h"), b"%1\r\n$1\r\nf\r\n$3\r\ntwo\r\n")
            self.assertEqual(self.raw.call("HGETALL", "h"), b"*2\r\n$1\r\nf\r\n$4\r\nzero\r\n")


class Replicated(TestCase):

    def setUp(self):
        super().setUp()
        self.group = Standalone(2)
        self.addCleanup(self.group.stop)

    def test_reads_go_to_the_replicas(self):
        """Which are known from the primary alone, and read from by their databases too."""
        proxy = self.proxy(self.group.addresses[:1], backend="standalone", read_from="replica")
        clients = [self.client(proxy) for _ in range(8)]
        for number, client in enumerate(clients):
            self.assertEqual(client.ask("SELECT", number % 3), "OK")
            self.assertEqual(client.ask("SET", "key%d" % number, number), "OK")
        for replica in self.group.replicas:
            wait_until(lambda r=replica: r.client(db=1).get("key7") == b"7", 5, "%r to catch up" % replica)
        before = [node.calls("get") for node in self.group.nodes]
        for _ in range(20):
            for number, client in enumerate(clients):
                self.assertEqual(client.ask("GET", "key%d" % number), b"%d" % number)
        reads = [node.calls("get") - count for node, count in zip(self.group.nodes, before)]
        self.assertEqual((reads[0], sum(reads)), (0, 160))
        self.assertGreater(min(reads[1:]), 0)

    def test_a_replica_that_becomes_the_primary(self):
        proxy = self.proxy(self.group.addresses, backend="standalone", refresh_interval="1s")
        client = self.client(proxy)
        self.assertEqual(client.ask("SET", "key", "old"), "OK")
        old, new, other = self.group.nodes
        new.command("REPLICAOF", "NO", "ONE")
        for node in (old, other):
            node.command("REPLICAOF", HOST, new.port)
        wait_until(lambda: client.ask("SET", "key", "new") == "OK" and new.command("GET", "key") == b"new", 15,
                   "writes to reach the new primary")
        self.assertEqual(client.ask("GET", "key"), b"new")

    def test_a_primary_that_dies(self):
        proxy = self.proxy(self.group.addresses, backend="standalone")
        client = self.client(proxy)
        self.assertEqual(client.ask("SET", "key", "old"), "OK")
        old, new, other = self.group.nodes
        wait_until(lambda: new.command("GET", "key") == b"old", 5, "the replica to catch up")
        old.kill()
        new.command("REPLICAOF", "NO", "ONE")
        other.command("REPLICAOF", HOST, new.port)
        self.assertEqual(client.ask("GET", "key"), b"old")
        self.assertEqual(client.ask("SET", "key", "new"), "OK")
        self.assertEqual(new.command("GET", "key"), b"new")

    def test_a_replica_alone_is_told_of(self):
        """It is not taken for the primary; what is missing is said, once, and to whoever asks."""
        replica = self.group.replicas[0]
        proxy = self.proxy([replica.address], backend="standalone", workers=1, command_timeout="1s")
        client = self.client(proxy)
        for _ in range(2):
            self.assertIn(b"none of backend.nodes says it is the primary", client.call("SET", "key", 1))
        told = [line for line in proxy.log().splitlines() if "none of backend.nodes says" in line]
        self.assertEqual(len(told), 1, told)
        self.assertIn(replica.address, told[0])

    def test_a_second_primary_is_told_of(self):
        first, second, _ = self.group.nodes
        proxy = self.proxy([first.address, second.address], backend="standalone", workers=1, refresh_interval="1s")
        client = self.client(proxy)
        self.assertEqual(client.ask("SET", "key", 0), "OK")
        second.command("REPLICAOF", "NO", "ONE")
        told = "%s says that it is the primary too; %s stays it" % (second.address, first.address)
        wait_until(lambda: told in proxy.log(), 5, "the log to tell of the second primary")
        self.assertEqual(client.ask("SET", "key", 1), "OK")
        self.assertEqual(first.command("GET", "key"), b"1")
        time.sleep(2.5)  # two more refreshes
        self.assertEqual(proxy.log().count(told), 1)
        second.command("REPLICAOF", HOST, first.port)
        time.sleep(2.5)
        second.command("REPLICAOF", "NO", "ONE")
        wait_until(lambda: proxy.log().count(told) == 2, 5, "it to be news again")


class NoSlots(TestCase):

    def setUp(self):
        super().setUp()
        shared_standalone().primary.command("FLUSHALL")
        self.raw = self.client(shared_standalone_proxy())

    def test_commands_over_any_keys(self):
        self.assertEqual(self.raw.ask("MSETNX", "a", 1, "b", 2), 1)
        self.assertEqual(self.raw.ask("MSETNX", "b", 1, "c", 2), 0)
        self.assertEqual(self.raw.ask("MGET", "a", "b", "c"), [b"1", b"2", None])
        self.raw.call("SADD", "s1", "x")
        self.raw.call("SADD", "s2", "y")
        self.assertEqual(sorted(self.raw.ask("SUNION", "s1", "s2")), [b"x", b"y"])
        self.assertEqual(self.raw.ask("RENAME", "a", "z"), "OK")
        self.assertEqual(self.raw.ask("EVAL", "return redis.call('mget', KEYS[1], KEYS[2])", 2, "z", "b"), [b"1", b"2"])

    def test_scan(self):
        keys = {b"key:%d" % number for number in range(1000)}
        self.raw.call("MSET", *[part for key in keys for part in (key, 1)])
        cursor, found = b"0", set()
        for _ in range(1000):
            cursor, part = self.raw.ask("SCAN", cursor, "COUNT", 100)
            found.update(part)
            if cursor == b"0":
                break
        self.assertEqual(found, keys)

    def test_hello_says_standalone(self):
        self.assertEqual(dict(self.raw.ask("HELLO", 3))[b"mode"], b"standalone")

    def test_cluster_commands(self):
        self.assertTrue(self.raw.call("CLUSTER", "SLOTS").startswith(b"-ERR"))


class InFrontOfACluster(TestCase):
    """By mistake: who is not told so looks for slots that move."""

    def test_the_mistake_is_named_and_nothing_goes_elsewhere(self):
        node = shared_cluster().primaries()[0]
        raw = self.client(self.proxy([node.address], backend="standalone"))
        slots = shared_cluster().slots_of(node)
        own = next(key for key in map(str, range(1000)) if slot_of(key) in slots)
        foreign = next(key for key in map(str, range(1000)) if slot_of(key) not in slots)
        self.assertEqual(raw.ask("SET", own, 1), "OK")
        self.assertIn(b"use --backend cluster", raw.call("GET", foreign))
        self.assertIn(b"use --backend cluster", raw.call("SET", foreign, b"x" * 200_000))
        others = shared_cluster().primaries()[1]
        raw = self.client(self.proxy([others.address], backend="standalone"))
        of_slot_zero = next(key for key in map(str, range(1_000_000)) if slot_of(key) == 0)
        for value in (b"x", b"x" * 200_000):
            self.assertIn(b"use --backend cluster", raw.call("SET", of_slot_zero, value))
        own = next(key for key in map(str, range(1000)) if slot_of(key) in shared_cluster().slots_of(others))
        self.assertEqual(raw.ask("SET", own, 1), "OK")


class OlderThanHello(TestCase):
    """A server without RESP3."""

    def setUp(self):
        super().setUp()
        folder = temporary_folder()
        without_hello = os.path.join(folder, "without_hello.conf")
        with open(without_hello, "w") as file:
            file.write('rename-command HELLO ""\n')
        self.server = Server(folder, reserve_port(), {"include": without_hello})
        self.addCleanup(self.server.kill)

    def test_hello_3_is_refused_as_by_the_server(self):
        self.server.start()
        raw = self.client(self.proxy([self.server.address], backend="standalone"))
        self.assertEqual(raw.ask("SET", "k", 1), "OK")
        self.assertEqual(raw.call("HELLO", 3), b"-NOPROTO unsupported protocol version\r\n")
        self.assertEqual(raw.ask("HELLO", 2)[4:6], [b"proto", 2])
        self.assertEqual(raw.ask("GET", "k"), b"1")

    def test_who_said_it_before_that_was_known_does_not_wait_and_harms_nobody(self):
        proxy = self.proxy([self.server.address], backend="standalone")
        third = self.client(proxy)
        third.call("HELLO", 3)
        self.server.start()
        second = self.client(proxy)
        self.assertEqual(second.ask("SET", "k", 1), "OK")
        for _ in range(5):
            self.assertRegex(third.call("GET", "k"), b"unknown command 'HELLO'|the server has no RESP3")
        self.assertNotIn(b"state=failing", third.call("SLUICE", "INFO"))
        self.assertEqual(second.ask("GET", "k"), b"1")


class Restart(TestCase):

    def test_goes_on_after_the_server_was_restarted(self):
        client = self.client(shared_standalone_proxy())
        client.call("SELECT", 7)
        client.call("SET", "k", "seven")
        shared_standalone().primary.restart()
        self.assertEqual(client.ask("GET", "k"), b"seven")
        self.assertEqual(client.ask("SET", "k", "again"), "OK")
        self.assertEqual(shared_standalone().primary.client(db=7).get("k"), b"again")


if __name__ == "__main__":
    unittest.main()
