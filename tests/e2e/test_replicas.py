"""Read preferences: reads arrive where they should, as the nodes count them."""
import time
import unittest

from cluster import Cluster, slot_of
from fixture import TestCase
from process import wait_until
from raw import encode

KEYS = ["replica:%d" % index for index in range(120)]


def setUpModule():
    global cluster
    cluster = Cluster(3, 1, node_timeout_ms=5000)
    unittest.addModuleCleanup(cluster.stop)


class ReadFrom(TestCase):

    def reads(self, nodes):
        return sum(node.calls("get") for node in nodes)

    def read_all(self, client):
        client.send(b"".join(encode("GET", key) for key in KEYS))
        return [client.read_value() for _ in KEYS]

    def run_reads(self, read_from):
        """Writes all keys, reads them ten times; returns the reads that came to primaries and replicas."""
        proxy = self.proxy(cluster.addresses, read_from=read_from)
        client = self.client(proxy)
        self.assertEqual(client.ask("MSET", *[part for key in KEYS for part in (key, key)]), "OK")
        cluster.wait_replicated()
        primaries = cluster.primaries()
        replicas = [node for node in cluster.nodes if node not in primaries]
        before = self.reads(primaries), self.reads(replicas)
        for _ in range(10):  # as ten clients: one and the same stays with its nodes
            with proxy.raw() as reader:
                self.assertEqual(self.read_all(reader), [key.encode() for key in KEYS])
        return self.reads(primaries) - before[0], self.reads(replicas) - before[1]

    def test_primary(self):
        self.assertEqual(self.run_reads("primary"), (1200, 0))

    def test_replica(self):
        self.assertEqual(self.run_reads("replica"), (0, 1200))

    def test_prefer_replica(self):
        self.assertEqual(self.run_reads("prefer_replica"), (0, 1200))

    def test_any(self):
        primaries, replicas = self.run_reads("any")
        self.assertEqual(primaries + replicas, 1200)
        self.assertGreater(min(primaries, replicas), 200)

    def test_other_reads_go_there_and_writes_do_not(self):
        proxy = self.proxy(cluster.addresses, read_from="replica")
        client = self.client(proxy)
        replicas = [node for node in cluster.nodes if node not in cluster.primaries()]
        client.call("HSET", "replica:h", "f", "v")
        client.call("SET", "replica:0", "x")
        cluster.wait_replicated()
        before = [sum(node.calls(name) for node in replicas) for name in ("hgetall", "mget", "exists", "eval_ro")]
        self.assertEqual(client.ask("HGETALL", "replica:h"), [b"f", b"v"])
        self.assertEqual(client.ask("MGET", "replica:0", "replica:none"), [b"x", None])
        self.assertEqual(client.ask("EXISTS", "replica:0", "replica:none"), 1)
        self.assertEqual(client.ask("EVAL_RO", "return redis.call('get', KEYS[1])", 1, "replica:0"), b"x")
        after = [sum(node.calls(name) for node in replicas) for name in ("hgetall", "mget", "exists", "eval_ro")]
        for name, low, high in zip(("hgetall", "mget", "exists", "eval_ro"), before, after):
            self.assertGreater(high, low, name)

    def test_a_dead_replica_is_left_out_and_comes_back(self):
        proxy = self.proxy(cluster.addresses, read_from="prefer_replica", command_timeout="3s", refresh_interval="1s")
        client = self.client(proxy)
        client.call("MSET", *[part for key in KEYS for part in (key, key)])
        cluster.wait_replicated()
        replica = next(node for node in cluster.nodes if node.role() == "slave")
        self.read_all(client)
        replica.kill()
        wrong = 0

        def read_on(seconds, until=lambda: False):
            # The reads that were on their way may fail; those that come later are answered by the primary.
            nonlocal wrong
            end = time.monotonic() + seconds
            while time.monotonic() < end and not until():
                wrong += sum(1 for reply, key in zip(self.read_all(client), KEYS) if reply != key.encode())
                time.sleep(0.05)
        read_on(20, lambda: cluster.have_given_up(replica))
        self.assertTrue(cluster.have_given_up(replica))
        read_on(4)  # the proxy asks the nodes each second, and its connections rest for 2 s at most
        self.assertEqual(wrong, 0)
        replica.restart()
        cluster.wait_healthy()
        before = replica.calls("get")

        def serves_again():
            self.assertEqual(self.read_all(client), [key.encode() for key in KEYS])
            return replica.calls("get") > before
        wait_until(serves_again, 10, "the replica to be read from again", interval=0.1)

    def test_a_hanging_replica_is_left_out(self):
        proxy = self.proxy(cluster.addresses, read_from="prefer_replica", command_timeout="1s")
        client = self.client(proxy)
        client.call("MSET", *[part for key in KEYS for part in (key, key)])
        cluster.wait_replicated()
        replica = next(node for node in cluster.nodes if node.role() == "slave")
        replica.pause()
        self.addCleanup(replica.resume)
        values = [key.encode() for key in KEYS]
        self.assertNotEqual(self.read_all(client), values)  # what was sent to it gets no reply in time, thus an error
        for _ in range(5):
            self.assertEqual(self.read_all(client), values)


class Promoted(TestCase):

    def test_nothing_overtakes_what_clears_everything(self):
        """A primary has become a replica and the proxy has not heard: it takes no FLUSHALL, and redirects a SET."""
        proxy = self.proxy(cluster.addresses, refresh_interval="60s", workers=1)
        client = self.client(proxy)
        for old in cluster.primaries():  # each once: the others do not vote twice in a row about the same
            new, slots = cluster.replicas_of(old)[0], cluster.slots_of(old)
            key = next(key for key in KEYS if slot_of(key) in slots)
            self.assertEqual(client.ask("SET", key, "before"), "OK")
            cluster.wait_replicated()
            new.command("CLUSTER", "FAILOVER")
            wait_until(lambda node=old: node.role() == "slave", 15, "%r to step down" % old, interval=0.005)
            client.send(encode("FLUSHALL") + encode("SET", key, "after") + encode("GET", key))
            self.assertEqual([client.read_value() for _ in range(3)], ["OK", "OK", b"after"])
            cluster.wait_healthy()
            self.assertEqual(client.ask("GET", key), b"after")


if __name__ == "__main__":
    unittest.main()
