"""Dead and hanging nodes: a clear error in time for what concerns them, nothing for the rest."""
import re
import signal
import time
import unittest

from cluster import Cluster, Standalone, slot_of
from fixture import TestCase
from process import wait_until
from proxy import Proxy
from raw import ReplyError, encode

TIMEOUT_S = 2
# What the proxy adds to a command's time budget when it is slow itself: a sanitizer build on a busy machine.
SLACK_S = 1.5


def setUpModule():
    global cluster
    cluster = Cluster(3, 0)
    unittest.addModuleCleanup(cluster.stop)


def key_of(node, prefix, of=None):
    """A key whose slot the node serves, of this module's cluster or of another."""
    slots = (of or cluster).slots_of(node)
    return next(key for key in (prefix + ":%d" % index for index in range(100000)) if slot_of(key) in slots)


class Dead(TestCase):

    @classmethod
    def setUpClass(cls):
        cls.shared = Proxy(cluster.addresses, command_timeout="%ds" % TIMEOUT_S)
        cls.addClassCleanup(cls.shared.stop)

    def setUp(self):
        super().setUp()
        cluster.wait_healthy()
        self.raw = self.client(self.shared)
        self.other = self.client(self.shared)
        self.victim, self.alive = cluster.primaries()[:2]
        self.dead_key, self.live_key = key_of(self.victim, "dead"), key_of(self.alive, "live")
        self.dead_slots = len(cluster.slots_of(self.victim))
        for key in (self.dead_key, self.live_key):
            self.assertEqual(self.raw.ask("SET", key, "value"), "OK")

    def assert_clear_error(self, reply):
        self.assertRegex(reply, re.compile(rb"^-(ERR sluice: |CLUSTERDOWN )"))

    def assert_in_time(self, started):
        self.assertLess(time.monotonic() - started, TIMEOUT_S + SLACK_S)

    def check_the_rest(self):
        """While the victim is dead: others are served at once, requests for it fail in time, in their order."""
        started = time.monotonic()
        self.raw.send(encode("GET", self.live_key) + encode("GET", self.dead_key) + encode("GET", self.live_key))
        for _ in range(20):
            asked = time.monotonic()
            self.assertEqual(self.other.ask("GET", self.live_key), b"value")
            self.assertLess(time.monotonic() - asked, 0.5)
        self.assertEqual(self.raw.read_value(), b"value")
        self.assert_clear_error(self.raw.read_reply())
        self.assert_in_time(started)
        self.assertEqual(self.raw.read_value(), b"value")

    def check_splits(self):
        """A failed part is an error of the whole: never nil, zero or a smaller count."""
        for request in (("MGET", self.live_key, self.dead_key), ("EXISTS", self.dead_key, self.live_key),
                        ("TOUCH", self.live_key, self.dead_key),
                        ("MSET", self.live_key, "value", self.dead_key, "value")):
            with self.subTest(request=request):
                started = time.monotonic()
                self.assert_clear_error(self.raw.call(*request))
                self.assert_in_time(started)
        started = time.monotonic()
        self.assert_clear_error(self.raw.call("DBSIZE"))
        self.assert_in_time(started)
        told = b"cluster_state:fail\r\ncluster_slots_assigned:16384\r\ncluster_slots_ok:%d\r\n" % (16384 - self.dead_slots)
        self.assertIn(told, self.raw.ask("CLUSTER", "INFO"))

    def check_it_is_back(self):
        cluster.wait_healthy()
        wait_until(lambda: self.raw.ask("GET", self.dead_key) == b"value", 5, "the proxy to find the node again")
        self.assertEqual(self.raw.ask("MGET", self.live_key, self.dead_key), [b"value", b"value"])
        wait_until(lambda: b"cluster_state:ok\r\n" in self.raw.ask("CLUSTER", "INFO"), 5, "all slots to be served")

    def test_hanging(self):
        self.victim.pause()
        self.addCleanup(self.victim.resume)
        self.check_the_rest()
        self.check_splits()
        self.victim.resume()
        self.check_it_is_back()

    def test_killed(self):
        self.victim.kill()
        self.check_the_rest()
        self.check_splits()
        self.victim.restart()
        self.check_it_is_back()

    def test_a_short_absence_is_waited_for(self):
        """A request that was not sent yet waits for the node, within its budget."""
        self.victim.kill()
        self.victim.restart(wait=False)
        reply = self.raw.call("GET", self.dead_key)
        if not reply.startswith(b"$"):  # the node answers CLUSTERDOWN for two seconds after its start
            self.assert_clear_error(reply)
        self.check_it_is_back()

    def test_hanging_in_the_middle_of_a_large_reply(self):
        """Whose client was slow before, and is not any more."""
        key, size = key_of(self.victim, "large"), 50_000_000
        self.victim.command("SET", key, b"x" * size)
        client = self.client(self.shared)
        client.send(encode("GET", key))
        time.sleep(1)
        self.victim.pause()
        self.addCleanup(self.victim.resume)
        started = time.monotonic()
        self.assertLess(len(client.read_until_closed(30)), size)
        self.assert_in_time(started)
        self.victim.resume()
        self.check_it_is_back()

    def test_cut_connections(self):
        """An idle connection that was cut is not an error of the next request."""
        for _ in range(5):
            cluster.kill_connections()
            time.sleep(0.1)
            self.assertEqual(self.raw.ask("GET", self.dead_key), b"value")
            self.assertEqual(self.raw.ask("SET", self.live_key, "value"), "OK")

    def test_many_requests_for_a_hanging_node_all_get_an_answer(self):
        self.victim.pause()
        self.addCleanup(self.victim.resume)
        clients = [self.client(self.shared) for _ in range(50)]
        started = time.monotonic()
        for client in clients:
            client.send(encode("GET", self.dead_key) * 20)
        for client in clients:
            for _ in range(20):
                self.assertIsInstance(client.read_value(), ReplyError)
        self.assert_in_time(started)
        self.victim.resume()
        self.check_it_is_back()


    def test_a_large_request_behind_what_is_given_up(self):
        """It begins in the turn in which the request before it fails, and with that the one that waited for that."""
        proxy = self.proxy(cluster.addresses, command_timeout="%ds" % TIMEOUT_S, workers=1)
        raw, other = self.client(proxy), self.client(proxy)
        for client in (raw, other):
            self.assertEqual(client.ask("GET", self.dead_key), b"value")
        other_dead_key = key_of(self.victim, "other")
        self.victim.pause()
        self.addCleanup(self.victim.resume)
        loading = "LOADING Redis is loading the dataset in memory"
        large = encode("SET", self.live_key, b"x" * 1_000_000)
        raw.send(encode("EVAL", "return redis.error_reply(ARGV[1])", 1, self.live_key, loading) +
                 encode("MSET", self.dead_key, 1, other_dead_key, 2) + large[:2000])
        self.assertEqual(raw.read_value(timeout=10), ReplyError(loading))
        self.assert_clear_error(raw.read_reply(timeout=10))
        self.assertEqual(other.ask("GET", self.live_key), b"value")
        raw.send(large[2000:])
        self.assertEqual(raw.read_value(timeout=10), "OK")
        self.assertEqual(other.ask("STRLEN", self.live_key), 1_000_000)


class News(TestCase):

    def test_the_log_tells_of_a_node_that_hangs_and_of_its_return(self):
        backend = Standalone()
        self.addCleanup(backend.stop)
        proxy = self.proxy(backend.addresses, backend="standalone", workers=1, command_timeout="500ms")
        client = self.client(proxy)
        self.assertEqual(client.call("SET", "news", 1), b"+OK\r\n")
        backend.primary.pause()
        try:
            for _ in range(3):
                self.assertTrue(client.call("SET", "news", 2).startswith(b"-ERR sluice: "))
        finally:
            backend.primary.resume()
        wait_until(lambda: client.call("SET", "news", 3) == b"+OK\r\n", 10, "its return")
        lines = [line for line in proxy.log().splitlines() if backend.addresses[0] in line]
        self.assertEqual([re.search(r" (warning|info) .*(no connection|connected) to", line).groups() for line in lines],
                         [("warning", "no connection"), ("info", "connected")], lines)


class NoShard(TestCase):

    def test_an_unknown_command(self):
        """Nobody is there to say what it is: its client is told so, and goes on."""
        proxy = self.proxy(["127.0.0.1:1"], command_timeout="1s")
        client = self.client(proxy)
        started = time.monotonic()
        client.send(encode("TOY.UNHEARD", "of") + encode("PING"))
        self.assertIn(b"no backend node could be asked", client.read_reply())
        self.assertEqual(client.read_reply(), b"+PONG\r\n")
        self.assertLess(time.monotonic() - started, 1 + SLACK_S)
        self.assertIn(b"cluster_state:fail\r\ncluster_slots_assigned:0\r\n", client.ask("CLUSTER", "INFO"))


class OneShard(TestCase):
    """What is not about a dead shard's slots goes on."""

    def test_the_end_with_a_part_that_waits_for_it(self):
        """Its client is gone, the nodes are let go of; the part is not sent any more (Proxy.stop() sees a crash)."""
        lame = self.cluster(3, 0, node_timeout_ms=20000)
        proxy = self.proxy(lame.addresses, command_timeout="8s", workers=1)
        client = self.client(proxy)
        keys = [key_of(node, "end", lame) for node in lame.nodes]
        self.assertEqual(client.ask("MSET", *[word for key in keys for word in (key, 1)]), "OK")
        lame.nodes[2].kill()
        time.sleep(0.5)
        client.send(encode("MGET", *keys))
        time.sleep(0.5)
        client.close()
        time.sleep(0.2)
        proxy.stop()

    def test_the_end_while_a_node_hangs(self):
        """Replies are waited for, not for ever; the log says for how many clients in vain."""
        proxy = self.proxy(cluster.addresses, command_timeout="30s", workers=1)
        clients = [self.client(proxy) for _ in range(3)]
        for client in clients:
            self.assertIsNone(client.ask("GET", "{end}none"))
        node = cluster.primary_of(slot_of("{end}"))
        node.pause()
        try:
            for client in clients[:2]:
                client.send(encode("GET", "{end}none"))
            time.sleep(0.2)
            proxy.signal(signal.SIGTERM)
            wait_until(lambda: not proxy.is_running(), 15, "the proxy to end")
        finally:
            node.resume()
        self.assertEqual(re.findall(r"closes (\d+) clients that are still owed replies", proxy.log()), ["2"])

    def test_parts_that_pile_up_are_bounded(self):
        """Those of the living nodes are kept until the last has come: no more than limits.output_buffer of a client's."""
        half = self.cluster(3, 0, node_timeout_ms=20000)
        proxy = self.proxy(half.addresses, command_timeout="20s", limits_output_buffer="4mb")
        client, other = self.client(proxy), self.client(proxy)
        large, silent = (key_of(node, "pile", half) for node in half.nodes[:2])
        self.assertEqual(client.ask("SET", large, "x" * 50_000), "OK")
        self.assertIsNone(client.ask("GET", silent))
        half.nodes[1].pause()
        self.addCleanup(half.nodes[1].resume)
        started = time.monotonic()
        client.send(encode("MGET", large, silent) * 500)
        client.read_until_closed(15)
        self.assertLess(time.monotonic() - started, 10)
        self.assertEqual(len(other.ask("GET", large)), 50_000)

    def test_info_is_that_of_the_others(self):
        """Many clients ask for it on each new connection, and take an error for the end of all."""
        lame = self.cluster(3, 0, node_timeout_ms=20000)
        client = self.client(self.proxy(lame.addresses, refresh_interval="60s"))
        alive, victim = lame.nodes[0], lame.nodes[2]
        for index in range(300):
            self.assertEqual(client.ask("SET", "lame:%d" % index, 1), "OK")
        keys = sum(len(node.command("KEYS", "*")) for node in lame.nodes[:2])
        victim.kill()
        started = time.monotonic()
        client.send(encode("INFO") + encode("GET", key_of(alive, "lame:none", lame)))
        text = client.read_value()
        self.assertIn(b"db0:keys=%d," % keys, text)
        self.assertIn(b"\r\nsluice_nodes_missing:1\r\n", text)
        self.assertIsNone(client.read_value())
        self.assertLess(time.monotonic() - started, 5)
        for node in lame.nodes[:2]:
            node.kill()
        self.assertIsInstance(client.ask("INFO"), ReplyError)

    def test_a_silent_primary_is_not_waited_for_when_another_serves_its_slots(self):
        silent = self.cluster(3, 1, node_timeout_ms=1500)
        proxy = self.proxy(silent.addresses, workers=1, refresh_interval="60s", command_timeout="20s")
        first, other = self.client(proxy), self.client(proxy)
        victim = silent.nodes[0]
        key = key_of(victim, "silent", silent)
        for client in (first, other):
            self.assertEqual(client.ask("SET", key, 1), "OK")
        victim.pause()
        self.addCleanup(victim.resume)
        first.send(encode("SET", key, 2))  # may have run, so it waits
        silent.wait_promoted(silent.nodes[3])
        wait_until(lambda: self.knows(other, silent.nodes[3]), 5, "the proxy to have heard of the new primary")
        self.assertEqual(other.ask("SET", key, 3), "OK")

    @staticmethod
    def knows(client, primary):
        return b"node:%s,state=connected,role=primary" % primary.address.encode() in client.ask("SLUICE", "INFO")


class Start(TestCase):

    def setUp(self):
        super().setUp()
        cluster.wait_healthy()

    def test_with_one_node_down(self):
        victim = cluster.nodes[0]
        victim.kill()
        self.addCleanup(victim.restart)
        proxy = self.proxy(cluster.addresses, command_timeout="2s")
        key = key_of(cluster.primaries()[0], "start")
        self.assertEqual(self.client(proxy).ask("SET", key, "x"), "OK")

    def test_with_a_node_that_is_not_there(self):
        proxy = self.proxy(["127.0.0.1:1", "nosuchhost.invalid:7001", cluster.addresses[2]])
        client = self.client(proxy)
        for node in cluster.primaries():
            self.assertEqual(client.ask("SET", key_of(node, "start"), "x"), "OK")

    def test_one_node_is_enough(self):
        client = self.client(self.proxy(cluster.addresses[1:2]))
        for node in cluster.primaries():
            self.assertEqual(client.ask("SET", key_of(node, "start"), "x"), "OK")

    def test_who_goes_on_sending_is_told_in_time(self):
        """What is meant for all nodes waits for the shards: its own time, not until its client falls silent."""
        proxy = self.proxy(["127.0.0.1:1"], command_timeout="1s")
        client = self.client(proxy)
        client.send(encode("DBSIZE") * 10)
        for _ in range(15):
            time.sleep(0.2)
            client.send(encode("PING"))
        for _ in range(10):  # the others have waited beside the first
            self.assertIn(b"no backend node could be reached", client.read_reply(timeout=0.1))
        self.assertEqual([client.read_value(timeout=1) for _ in range(15)], ["PONG"] * 15)

    def test_with_all_down(self):
        late = Cluster(3, 0, start=False)
        self.addCleanup(late.stop)
        proxy = self.proxy(late.addresses, command_timeout="2s")
        client = self.client(proxy)
        started = time.monotonic()
        self.assertRegex(client.call("GET", "a"), re.compile(rb"^-(ERR sluice: |CLUSTERDOWN )"))
        self.assertLess(time.monotonic() - started, 2 + SLACK_S)
        late.start()
        wait_until(lambda: client.ask("SET", "a", 1) == "OK", 8, "the proxy to find the cluster")
        for index in range(50):
            self.assertEqual(client.ask("SET", "late:%d" % index, 1), "OK")


if __name__ == "__main__":
    unittest.main()
