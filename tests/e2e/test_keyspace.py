"""Commands about the whole key space: they reach every node, and their answers become one."""
import re
import unittest

from cluster import slot_of
from fixture import TestCase, shared_cluster, shared_proxy
from process import wait_until
from raw import ReplyError


class KeySpace(TestCase):

    def setUp(self):
        super().setUp()
        self.raw = self.client(shared_proxy())
        self.assertEqual(self.raw.ask("FLUSHALL"), "OK")

    def fill(self, count, prefix="key"):
        keys = ["%s:%d" % (prefix, index) for index in range(count)]
        self.assertEqual(self.raw.ask("MSET", *[part for key in keys for part in (key, "x")]), "OK")
        return sorted(key.encode() for key in keys)

    def scan(self, client, *arguments):
        """All keys of a full scan; bounded, and every cursor of the wire's form."""
        found, cursor, rounds = [], b"0", 0
        while True:
            cursor, keys = client.ask("SCAN", cursor, *arguments)
            self.assertTrue(cursor.isdigit() and int(cursor) < 1 << 64, cursor)
            found += keys
            rounds += 1
            if cursor == b"0":
                return found
            self.assertLess(rounds, 20000)

    def test_dbsize(self):
        self.assertEqual(self.raw.ask("DBSIZE"), 0)
        self.fill(500)
        self.assertEqual(self.raw.ask("DBSIZE"), 500)

    def test_info_adds_up(self):
        nodes = shared_cluster().primaries()
        for node in nodes:
            node.command("CONFIG RESETSTAT")
        self.fill(300)
        for index in range(60):
            self.raw.call("SET", "volatile:%d" % index, "x", "EX", 1000)
            self.raw.call("LPUSH", "volatile:%d" % index, "x")
        for client in (self.raw, self.client(shared_proxy())):
            text = client.ask("INFO", "everything").decode()
            rows = dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)
            self.assertRegex(rows["db0"], "^keys=360,expires=60,avg_ttl=[0-9]+$")
            self.assertRegex(rows["cmdstat_set"], "^calls=60,usec=[0-9]+,usec_per_call=[0-9.]+,rejected_calls=0,failed_calls=0$")
            self.assertEqual(rows["errorstat_WRONGTYPE"], "count=60")
            self.assertEqual(rows["cmdstat_mset"].split(",")[0], "calls=%d" % sum(node.calls("mset") for node in nodes))
            counted = dict(item.split("=") for item in rows["cmdstat_set"].split(","))
            self.assertAlmostEqual(float(counted["usec_per_call"]), int(counted["usec"]) / 60, delta=0.01)
            self.assertEqual(int(rows["rdb_changes_since_last_save"]),
                             sum(node.command("INFO", "persistence")["rdb_changes_since_last_save"] for node in nodes))
            self.assertEqual(rows["used_memory_human"], "%.2fM" % (int(rows["used_memory"]) / 1024 / 1024))
            self.assertEqual(text.count("# Commandstats"), 1)
            client.call("HELLO", 3)

    def test_a_scan_goes_on_at_the_node_that_has_taken_over(self):
        """Also in a cluster of one shard: a cursor of one node means nothing to the other."""
        cluster = self.cluster(1, 1)
        proxy = self.proxy(cluster.addresses, workers=1)
        client = self.client(proxy)
        keys = ["walk:%d" % index for index in range(3000)]
        self.assertEqual(client.ask("MSET", *[part for key in keys for part in (key, "x")]), "OK")
        cluster.wait_replicated()
        cursor, found = client.ask("SCAN", 0, "COUNT", 1500)
        cluster.nodes[1].command("CLUSTER", "FAILOVER")
        cluster.wait_promoted(cluster.nodes[1])
        known = b"\r\nshards:1\r\n.*node:%s,state=connected,role=primary" % cluster.nodes[1].address.encode()
        wait_until(lambda: client.ask("SET", "walk:0", "y") == "OK" and re.search(known, client.ask("SLUICE", "INFO"), re.DOTALL),
                   10, "the proxy to know the new primary alone")
        while cursor != b"0":
            cursor, more = client.ask("SCAN", cursor, "COUNT", 1500)
            found += more
        self.assertEqual(set(found), {key.encode() for key in keys})

    def test_keys(self):
        keys = self.fill(300)
        self.fill(20, "other")
        self.assertEqual(sorted(self.raw.ask("KEYS", "key:*")), keys)
        self.assertEqual(self.raw.ask("KEYS", "nothing*"), [])
        self.raw.call("SET", "{tag}:1", "x")
        self.assertEqual(self.raw.ask("KEYS", "{tag}:*"), [b"{tag}:1"])

    def test_scan(self):
        keys = self.fill(3000)
        for options in ((), ("COUNT", 1000), ("COUNT", 7), ("MATCH", "key:*")):
            with self.subTest(options=options):
                self.assertEqual(sorted(set(self.scan(self.raw, *options))), keys)

    def test_scan_finds_nothing_in_nothing(self):
        self.assertEqual(self.scan(self.raw), [])

    def test_scan_match_and_type(self):
        self.fill(200)
        self.raw.call("RPUSH", "list:1", "x")
        self.raw.call("RPUSH", "list:2", "x")
        self.assertEqual(set(self.scan(self.raw, "MATCH", "list:*")), {b"list:1", b"list:2"})
        self.assertEqual(set(self.scan(self.raw, "TYPE", "list")), {b"list:1", b"list:2"})

    def test_scan_resp3(self):
        keys = self.fill(500)
        with shared_proxy().raw3() as client:
            self.assertEqual(sorted(set(self.scan(client, "COUNT", 100))), keys)

    def test_two_scans_at_once(self):
        keys = self.fill(1000)
        other = self.client(shared_proxy())
        cursors, found = [b"0", b"0"], [set(), set()]
        clients = [self.raw, other]
        for _ in range(1000):
            for index, client in enumerate(clients):
                if cursors[index] is not None:
                    cursor, part = client.ask("SCAN", cursors[index], "COUNT", 50)
                    found[index].update(part)
                    cursors[index] = None if cursor == b"0" else cursor
        self.assertEqual([sorted(each) for each in found], [keys, keys])

    def test_scan_goes_on_on_another_connection(self):
        keys = self.fill(1000)
        cursor, found = b"0", set()
        for _ in range(1000):
            with shared_proxy().raw() as client:
                cursor, part = client.ask("SCAN", cursor, "COUNT", 100)
            found.update(part)
            if cursor == b"0":
                break
        self.assertEqual(sorted(found), keys)

    def test_scan_refuses_a_bad_cursor(self):
        self.assertEqual(self.raw.call("SCAN", "abc"), b"-ERR invalid cursor\r\n")
        self.assertEqual(self.raw.call("SCAN"), b"-ERR wrong number of arguments for 'scan' command\r\n")

    def test_flush(self):
        for command in (("FLUSHALL",), ("FLUSHDB",), ("FLUSHALL", "ASYNC"), ("FLUSHDB", "SYNC")):
            with self.subTest(command=command):
                self.fill(100)
                self.assertEqual(self.raw.ask(*command), "OK")
                self.assertEqual([node.command("DBSIZE") for node in shared_cluster().primaries()], [0, 0, 0])

    def test_randomkey(self):
        self.assertIsNone(self.raw.ask("RANDOMKEY"))
        self.raw.call("SET", "lonely", "x")
        for _ in range(10):
            self.assertEqual(self.raw.ask("RANDOMKEY"), b"lonely")
        keys = self.fill(100)
        seen = {self.raw.ask("RANDOMKEY") for _ in range(100)}
        self.assertLessEqual(seen, set(keys) | {b"lonely"})
        self.assertGreater(len(seen), 10)
        nodes = {shared_cluster().primary_of(slot_of(key)).port for key in seen}
        self.assertEqual(len(nodes), 3, "of every node")


class Scripts(TestCase):

    def setUp(self):
        super().setUp()
        self.raw = self.client(shared_proxy())

    def test_a_loaded_script_runs_on_every_node(self):
        digest = self.raw.ask("SCRIPT", "LOAD", "return redis.call('incrby', KEYS[1], ARGV[1])")
        self.assertEqual(len(digest), 40)
        for index in range(60):
            self.assertEqual(self.raw.ask("EVALSHA", digest, 1, "{script:%d}" % index, 5) % 5, 0)
        for node in shared_cluster().primaries():
            self.assertEqual(node.command("SCRIPT EXISTS", digest), [True])
        self.assertEqual(self.raw.ask("SCRIPT", "EXISTS", digest, "f" * 40), [1, 0])

    def test_exists_means_on_every_node(self):
        digest = self.raw.ask("SCRIPT", "LOAD", "return 'everywhere'")
        shared_cluster().primaries()[1].command("SCRIPT FLUSH")
        self.assertEqual(self.raw.ask("SCRIPT", "EXISTS", digest), [0])

    def test_flush(self):
        digest = self.raw.ask("SCRIPT", "LOAD", "return 'flush me'")
        self.assertEqual(self.raw.ask("SCRIPT", "FLUSH"), "OK")
        self.assertEqual(self.raw.ask("SCRIPT", "EXISTS", digest), [0])
        self.assertTrue(self.raw.call("EVALSHA", digest, 1, "a").startswith(b"-NOSCRIPT"))

    def test_functions(self):
        code = "#!lua name=e2e\nredis.register_function('e2e_get', function(keys) return redis.call('get', keys[1]) end)"
        self.assertEqual(self.raw.ask("FUNCTION", "LOAD", "REPLACE", code), b"e2e")
        for index in range(30):
            key = "function:%d" % index
            self.raw.call("SET", key, key)
            self.assertEqual(self.raw.ask("FCALL", "e2e_get", 1, key), key.encode())
        self.assertEqual(self.raw.ask("FUNCTION", "DELETE", "e2e"), "OK")
        self.assertTrue(self.raw.call("FCALL", "e2e_get", 1, "a").startswith(b"-ERR Function not found"))


class Server(TestCase):

    def setUp(self):
        super().setUp()
        self.raw = self.client(shared_proxy())

    def test_ping_and_echo(self):
        self.assertEqual(self.raw.call("PING"), b"+PONG\r\n")
        self.assertEqual(self.raw.call("PING", "hello"), b"$5\r\nhello\r\n")
        self.assertEqual(self.raw.call("ECHO", "a\r\nb"), b"$4\r\na\r\nb\r\n")

    def test_info(self):
        info = shared_proxy().client().info()
        self.assertIn("redis_version", info)
        self.assertEqual(int(info["cluster_enabled"]), 1)
        self.assertIn("redis_version", shared_proxy().client().info("server"))

    def test_time(self):
        seconds, microseconds = self.raw.ask("TIME")
        self.assertTrue(seconds.isdigit() and microseconds.isdigit())

    def test_command(self):
        node = shared_cluster().nodes[0]
        self.assertEqual(self.raw.ask("COMMAND", "COUNT"), node.command("COMMAND COUNT"))
        self.assertEqual(self.raw.ask("COMMAND", "INFO", "get", "nosuch")[0][:2], [b"get", 2])
        self.assertEqual(self.raw.ask("COMMAND", "GETKEYS", "MSET", "a", 1, "b", 2), [b"a", b"b"])
        self.assertEqual(len(self.raw.ask("COMMAND")), node.command("COMMAND COUNT"))

    def test_what_is_about_every_server(self):
        """Though servers give no tip that says so. A replica may not be ready to save while it synchronizes."""
        nodes = shared_cluster().primaries()
        before = [node.calls("save") for node in nodes]
        shared_cluster().wait_healthy()
        self.assertEqual(self.raw.ask("SAVE"), "OK")
        self.assertEqual([node.calls("save") - count for node, count in zip(nodes, before)], [1] * len(nodes))
        oldest = min(int(node.command("LASTSAVE").timestamp()) for node in nodes)
        self.assertEqual(self.raw.ask("LASTSAVE"), oldest)

    def test_the_slow_log(self):
        """One log of all nodes, the latest first."""
        nodes = shared_cluster().nodes
        client = self.client(shared_proxy())
        try:
            for node in nodes:
                node.command("CONFIG", "SET", "slowlog-log-slower-than", 0)
            for index in range(40):
                client.ask("SET", "slow:%d" % index, index)
        finally:
            for node in nodes:
                node.command("CONFIG", "SET", "slowlog-log-slower-than", 10_000)
        self.assertEqual(len(client.ask("SLOWLOG", "GET")), 10)
        self.assertEqual(client.ask("SLOWLOG", "GET", 0), [])
        self.assertIsInstance(client.ask("SLOWLOG", "GET", "many"), ReplyError)
        entries = client.ask("SLOWLOG", "GET", -1)
        self.assertEqual(len(entries), client.ask("SLOWLOG", "LEN"))
        times = [entry[1] for entry in entries]
        self.assertEqual(times, sorted(times, reverse=True))
        logged = {entry[3][1] for entry in entries if entry[3][0] == b"SET"}
        self.assertLessEqual({b"slow:%d" % index for index in range(40)}, logged)
        self.assertEqual(client.ask("SLOWLOG", "RESET"), "OK")

    def test_publish(self):
        self.assertIsInstance(self.raw.ask("PUBLISH", "channel", "hello"), int)


if __name__ == "__main__":
    unittest.main()
