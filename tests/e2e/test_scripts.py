"""A script that does not end: whoever shares the node with it can still end it."""
import re
import time
import unittest

from cluster import slot_of
from fixture import TestCase, shared_cluster, shared_standalone
from raw import encode

ENDLESS = "while true do end"
# Nobody is served until a server has found that its script is slow; by default after five seconds.
NOTICED_MS = 100


class ScriptsOwnWords(TestCase):

    def test_of_a_move_nobody_else_believes_them(self):
        proxy = self.proxy(shared_cluster().addresses, workers=1)
        caller, neighbour = self.client(proxy), self.client(proxy)
        slot = slot_of("{forged}")
        owner = shared_cluster().primary_of(slot)
        other = next(node for node in shared_cluster().primaries() if node is not owner)
        script = "redis.call('INCR', KEYS[1]) return redis.error_reply(ARGV[1])"
        for runs, redirect in ((1, "MOVED"), (2, "ASK")):
            before = int(re.search(rb"topology_changes:(\d+)", neighbour.call("SLUICE", "INFO"))[1])
            caller.send(encode("EVAL", script, 1, "{forged}n", "%s %d %s" % (redirect, slot, other.address)))
            self.assertIn(b"whether it has run is unknown", caller.read_reply(timeout=5))
            self.assertLessEqual(int(neighbour.ask("GET", "{forged}n")), 3 * runs)
            after = int(re.search(rb"topology_changes:(\d+)", neighbour.call("SLUICE", "INFO"))[1])
            self.assertEqual(after, before)
        self.assertEqual(neighbour.ask("DEL", "{forged}n"), 1)


class Endless(TestCase):

    def start(self, servers, nodes, database=0, **flags):
        for node in nodes:
            node.command("CONFIG SET", "lua-time-limit", NOTICED_MS)
            self.addCleanup(node.command, "CONFIG SET", "lua-time-limit", 5000)
        # Far beyond the test: only the script's end ends the wait for it.
        proxy = self.proxy(servers.addresses, command_timeout="40s", workers=1, **flags)
        self.caller, self.neighbour = self.client(proxy), self.client(proxy)
        for client in (self.caller, self.neighbour):
            self.assertEqual(client.ask("SELECT", database), "OK")
        self.caller.send(encode("EVAL", ENDLESS, 1, "key"))
        time.sleep(3 * NOTICED_MS / 1000)

    def check_kill(self):
        self.assertEqual(self.neighbour.ask("SCRIPT", "KILL", timeout=5), "OK")
        self.assertIn(b"killed by user", self.caller.read_reply(timeout=5))
        self.assertEqual(self.neighbour.call("SCRIPT", "KILL")[:8], b"-NOTBUSY")
        self.assertEqual(self.caller.ask("SET", "key", "value"), "OK")

    def test_script_kill(self):
        self.start(shared_standalone(), [shared_standalone().primary], backend="standalone")
        self.check_kill()

    def test_script_kill_in_a_database(self):
        """Where a connection of its own could not say SELECT."""
        self.start(shared_standalone(), [shared_standalone().primary], backend="standalone", database=3)
        self.check_kill()

    def test_script_kill_in_a_cluster(self):
        self.start(shared_cluster(), shared_cluster().primaries())
        self.check_kill()

    def test_a_pipeline_keeps_its_order(self):
        self.start(shared_standalone(), [shared_standalone().primary], backend="standalone")
        self.neighbour.send(encode("SCRIPT", "KILL") + encode("SET", "after", "1") + encode("FUNCTION", "STATS")
                            + encode("GET", "after"))
        self.assertEqual(self.neighbour.read_value(timeout=5), "OK")
        self.assertEqual(self.neighbour.read_value(timeout=5), "OK")
        self.assertEqual(self.neighbour.read_value(timeout=5)[:2], [b"running_script", None])
        self.assertEqual(self.neighbour.read_value(timeout=5), b"1")

    def test_function_stats_is_answered_meanwhile(self):
        self.start(shared_standalone(), [shared_standalone().primary], backend="standalone")
        # Of an EVAL a server tells no more than that; behind the script nothing would be told at all.
        self.assertEqual(self.neighbour.call("FUNCTION", "STATS", timeout=5)[:5], b"-BUSY")
        self.check_kill()


class Loading(TestCase):

    def test_a_replica_that_is_down_is_left_out(self):
        cluster = self.cluster(3, 1, node_timeout_ms=20000)
        client = self.client(self.proxy(cluster.addresses))
        self.assertEqual(client.ask("DBSIZE"), 0)
        cluster.nodes[-1].kill()
        digest = client.ask("SCRIPT", "LOAD", "return 7")
        for index in range(20):
            self.assertEqual(client.ask("EVALSHA", digest, 1, "script:%d" % index), 7)
        self.assertIn("1 of 6 parts failed", str(client.ask("SCRIPT", "FLUSH")))  # the replica has it still


if __name__ == "__main__":
    unittest.main()
