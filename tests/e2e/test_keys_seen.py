"""SLUICE HOTKEYS and BIGKEYS: what clients of all workers did, told to any of them."""
import random
import unittest

from fixture import TestCase, shared_cluster, shared_standalone_proxy
from raw import Pairs, ReplyError, encode

MB = 1 << 20


def pairs(flat):
    """A reply of RESP2 as what RESP3 would have made of it."""
    return dict(zip(flat[::2], flat[1::2]))


class KeysSeen(TestCase):

    def setUp(self):
        super().setUp()
        self.served = self.proxy(shared_cluster().addresses, workers=2)
        # One after the other, so that they are shared out evenly: two to each worker.
        self.clients = [self.client(self.served) for _ in range(4)]
        for client in self.clients:
            self.assertEqual(client.ask("PING"), "PONG")

    def hot_keys(self, *options, client=None):
        report = pairs((client or self.clients[0]).ask("SLUICE", "HOTKEYS", *options))
        return report, [pairs(line) for line in report[b"keys"]]

    def big_keys(self, *options, client=None):
        report = pairs((client or self.clients[0]).ask("SLUICE", "BIGKEYS", *options))
        return report, [pairs(line) for line in report[b"keys"]]

    def load(self, clients, requests, rounds=10):
        """Each client sends what `requests` gives it, in pipelines."""
        for _ in range(rounds):
            for client in clients:
                client.send(b"".join(requests(client) for _ in range(500)))
            for client in clients:
                for _ in range(500):
                    self.assertNotIsInstance(client.read_value(), ReplyError)


class HotKeys(KeysSeen):

    def test_a_hot_key_among_many(self):
        generator = random.Random(1)

        def request(_):
            return encode("GET", "hot" if generator.random() < 0.3 else "cold%d" % generator.randrange(3000))
        self.load(self.clients, request, rounds=20)
        for client in self.clients:
            report, lines = self.hot_keys(client=client)
            self.assertEqual(lines[0][b"key"], b"hot")
            self.assertEqual(lines[0][b"key-length"], 3)
            self.assertAlmostEqual(float(lines[0][b"percent"]), 30, delta=8)
            self.assertLess(float(lines[1][b"percent"]), 3)
            self.assertEqual(len(lines), 10)
            # 40,000 requests were sent, by both workers.
            self.assertAlmostEqual(report[b"requests-sampled"] * 64, 40_000, delta=6_000)
            rate = report[b"requests-per-second"]
            self.assertAlmostEqual(lines[0][b"requests-per-second"] / rate, 0.3, delta=0.08)
            self.assertLessEqual(report[b"window-seconds"], 60)

    def test_each_worker_has_its_own(self):
        """A key that only one worker has seen is told by both, and the share is of both workers' requests."""
        self.load(self.clients[:1], lambda _: encode("GET", "first"))
        self.load(self.clients[1:2], lambda _: encode("GET", "second"))
        for client in self.clients:
            _, lines = self.hot_keys(client=client)
            self.assertEqual({line[b"key"] for line in lines}, {b"first", b"second"})
            for line in lines:
                self.assertAlmostEqual(float(line[b"percent"]), 50, delta=15)

    def test_keys_of_split_requests(self):
        generator = random.Random(2)
        self.load(self.clients, lambda _: encode("MGET", *("m%d" % generator.randrange(300) for _ in range(4)), "always"), 4)
        _, lines = self.hot_keys()
        self.assertEqual(lines[0][b"key"], b"always")
        self.assertEqual(float(lines[0][b"percent"]), 100)

    def test_every_kind_of_request(self):
        """Relayed, kept whole, inline, one key of several slots: one in 64 of each."""
        kinds = {b"upload": encode("SET", "upload", b"x" * 65_536), b"inline": b"GET inline\r\n",
                 b"plain": encode("INCR", "plain"), b"one": encode("DEL", "one")}
        stream = b"".join(kinds.values())
        for _ in range(20):
            self.clients[0].send(stream * 40)
            for _ in range(40 * len(kinds)):
                self.clients[0].read_value()
        _, lines = self.hot_keys()
        self.assertEqual({line[b"key"] for line in lines}, set(kinds))

    def test_long_and_binary_keys(self):
        long, binary = b"l" * 100_000, b"\x00\r\n\xff"
        self.load(self.clients[:1], lambda _: encode("EXISTS", binary), 4)
        self.load(self.clients[:1], lambda _: encode("EXISTS", long), 1)
        _, lines = self.hot_keys()
        self.assertEqual([(line[b"key"], line[b"key-length"]) for line in lines], [(binary, 4), (b"l" * 128, 100_000)])

    def test_count_and_reset(self):
        generator = random.Random(3)
        self.load(self.clients, lambda _: encode("GET", "k%d" % generator.randrange(20)))
        self.assertEqual(len(self.hot_keys("COUNT", 3)[1]), 3)
        self.assertEqual(len(self.hot_keys("count", 1000)[1]), 20)
        self.assertEqual(self.clients[1].ask("SLUICE", "HOTKEYS", "RESET"), "OK")
        for client in self.clients:
            report, lines = self.hot_keys(client=client)
            self.assertEqual((report[b"requests-sampled"], lines), (0, []))

    def test_maps(self):
        self.load(self.clients, lambda _: encode("GET", "mapped"), 1)
        client = self.served.raw3()
        self.addCleanup(client.close)
        report = client.ask("SLUICE", "HOTKEYS")
        self.assertIsInstance(report, Pairs)
        names = [b"window-seconds", b"requests-sampled", b"requests-per-second", b"keys"]
        self.assertEqual([name for name, _ in report], names)
        line = report[3][1][0]
        self.assertIsInstance(line, Pairs)
        self.assertEqual(dict(line)[b"percent"], 100.0)


class BigKeys(KeysSeen):

    def test_requests_and_replies(self):
        value = b"v" * (5 * MB)
        writer, reader, other = self.clients[:3]
        self.assertEqual(writer.ask("SET", "relayed", value), "OK")
        self.assertTrue(reader.ask("GET", "relayed") == value)
        self.assertTrue(other.ask("GET", "relayed") == value)
        self.assertEqual(writer.ask("SET", "kept", value[:20_000]), "OK")
        self.assertTrue(writer.ask("GET", "kept") == value[:20_000])
        self.assertEqual(writer.ask("SET", "small", value[:16_383]), "OK")
        self.assertTrue(writer.ask("GET", "small") == value[:16_383])
        for client in self.clients:
            report, lines = self.big_keys(client=client)
            seen = [(line[b"key"], line[b"bytes"], line[b"direction"], line[b"command"], line[b"times"]) for line in lines]
            self.assertEqual([line[1] for line in seen], [5 * MB, 5 * MB, 20_000, 20_000])
            self.assertEqual(set(seen), {(b"relayed", 5 * MB, b"request", b"set", 1), (b"relayed", 5 * MB, b"reply", b"get", 2),
                                         (b"kept", 20_000, b"request", b"set", 1), (b"kept", 20_000, b"reply", b"get", 1)})
            self.assertTrue(all(line[b"seconds-ago"] <= 60 for line in lines))
            self.assertLessEqual(report[b"window-seconds"], 60)

    def test_split_requests_and_their_replies(self):
        """Each key has its own bytes, be it alone in its slot or not."""
        sizes = {b"a": 30_000, b"b": 70_000, b"{b}c": 40_000, b"d": 10}
        client = self.clients[0]
        self.assertEqual(client.ask("MSET", *(part for key, size in sizes.items() for part in (key, b"x" * size))), "OK")
        self.assertEqual([len(value) for value in client.ask("MGET", *sizes)], list(sizes.values()))
        self.assertEqual(len(client.ask("MGET", "{b}c", "b")), 2)
        seen = {(line[b"key"], line[b"direction"], line[b"command"]): line[b"bytes"] for line in self.big_keys()[1]}
        expected = {}
        for key in (b"a", b"b", b"{b}c"):
            expected[(key, b"request", b"mset")] = expected[(key, b"reply", b"mget")] = sizes[key]
        self.assertEqual(seen, expected)

    def test_both_workers_have_seen_it(self):
        for key, sizes in (("rises", (20_000, 30_000)), ("falls", (30_000, 20_000))):
            for client, size in zip(self.clients, sizes):
                self.assertEqual(client.ask("SET", key, b"x" * size), "OK")
        for client in self.clients:
            seen = {line[b"key"]: (line[b"bytes"], line[b"times"]) for line in self.big_keys(client=client)[1]}
            self.assertEqual(seen, {b"rises": (30_000, 2), b"falls": (30_000, 2)})

    def test_a_list_of_small_values(self):
        client = self.clients[0]
        client.ask("DEL", "list")
        self.assertEqual(client.ask("RPUSH", "list", *(b"x" * 100 for _ in range(300))), 300)
        reply = client.call("LRANGE", "list", 0, -1)
        seen = {line[b"command"]: line[b"bytes"] for line in self.big_keys()[1]}
        self.assertEqual(seen, {b"rpush": 30_000, b"lrange": len(reply)})

    def test_count_and_reset(self):
        for index in range(15):
            self.assertEqual(self.clients[index % 2].ask("SET", "big%d" % index, b"x" * (20_000 + index)), "OK")
        _, lines = self.big_keys()
        self.assertEqual([line[b"key"] for line in lines], [b"big%d" % index for index in range(14, 4, -1)])
        self.assertEqual(len(self.big_keys("COUNT", 2)[1]), 2)
        self.assertEqual(len(self.big_keys("COUNT", 1 << 40)[1]), 15)
        self.assertEqual(self.clients[3].ask("SLUICE", "BIGKEYS", "RESET"), "OK")
        for client in self.clients:
            self.assertEqual(self.big_keys(client=client)[1], [])

    def test_maps(self):
        client = self.served.raw3()
        self.addCleanup(client.close)
        client.ask("SET", "mapped", b"x" * 20_000)
        report = client.ask("SLUICE", "BIGKEYS")
        self.assertIsInstance(report, Pairs)
        self.assertIsInstance(dict(report)[b"keys"][0], Pairs)
        self.assertEqual(dict(dict(report)[b"keys"][0])[b"bytes"], 20_000)


class Both(KeysSeen):

    def test_what_is_no_such_command(self):
        client = self.clients[0]
        for name in ("HOTKEYS", "BIGKEYS"):
            for words in (("COUNT",), ("NOSUCH",), ("RESET", "1"), ("COUNT", "1", "2"), ("LIMIT", "1")):
                self.assertEqual(client.call("SLUICE", name, *words), b"-ERR syntax error\r\n", words)
            for number in ("0", "-1", "x", "", "1.5", "99999999999999999999"):
                self.assertEqual(client.call("SLUICE", name, "COUNT", number),
                                 b"-ERR value is out of range, must be positive\r\n", number)

    def test_in_the_middle_of_a_pipeline(self):
        client = self.clients[1]
        stream = encode("SET", "p", "1") + encode("SLUICE", "HOTKEYS") + encode("GET", "p") + encode("SLUICE", "BIGKEYS")
        client.send(stream * 200)
        for _ in range(200):
            self.assertEqual(client.read_value(), "OK")
            self.assertEqual(client.read_value()[0], b"window-seconds")
            self.assertEqual(client.read_value(), b"1")
            self.assertEqual(client.read_value()[0], b"window-seconds")

    def test_clients_that_do_not_wait(self):
        for index in range(200):
            client = self.served.raw()
            client.send(encode("SLUICE", ("HOTKEYS", "BIGKEYS")[index % 2]) * 3)
            client.close()
        self.assertEqual(self.clients[0].ask("SLUICE", "HOTKEYS")[0], b"window-seconds")

    def totals(self, *counters):
        """Of all workers."""
        text = self.clients[0].ask("SLUICE", "INFO").decode()
        return {name: sum(int(line.split(":")[1]) for line in text.split("\r\n") if line.startswith(name + ":"))
                for name in counters}

    def test_counters(self):
        self.load(self.clients, lambda _: encode("GET", "counted"), 4)
        self.clients[0].ask("SET", "counted", b"x" * 20_000)
        self.clients[0].ask("GET", "counted")
        totals = self.totals("requests_sampled", "big_requests", "big_replies")
        self.assertAlmostEqual(totals.pop("requests_sampled") * 64, 8000, delta=2000)
        self.assertEqual(totals, {"big_requests": 1, "big_replies": 1})

    def test_each_large_reply_is_seen_once_whatever_cuts_it(self):
        sizes = {b"cut%d" % index: 60_000 + 3_000 * index for index in range(8)}
        for key, size in sizes.items():
            self.assertEqual(self.clients[0].ask("SET", key, b"x" * size), "OK")
        for _ in range(10):
            for client in self.clients:
                client.send(b"".join(encode("GET", key) for key in sizes))
            for client in self.clients:
                self.assertEqual([len(client.read_value()) for _ in sizes], list(sizes.values()))
        self.assertEqual(self.totals("big_replies"), {"big_replies": 10 * len(self.clients) * len(sizes)})
        seen = {line[b"key"]: line[b"bytes"] for line in self.big_keys("COUNT", 100)[1] if line[b"direction"] == b"reply"}
        self.assertEqual(seen, sizes)

    def test_in_front_of_a_standalone_server(self):
        client = self.client(shared_standalone_proxy())
        client.ask("SLUICE", "HOTKEYS", "RESET")
        client.ask("SLUICE", "BIGKEYS", "RESET")
        self.load([client], lambda _: encode("MGET", "alone1", "alone2"), 2)
        self.assertEqual(client.ask("MSET", "alone1", b"x" * 50_000, "alone2", b"y" * 20_000), "OK")
        self.assertEqual(len(client.ask("MGET", "alone1", "alone2")), 2)
        self.assertEqual({line[b"key"] for line in self.hot_keys(client=client)[1]}, {b"alone1", b"alone2"})
        seen = [(line[b"key"], line[b"bytes"]) for line in self.big_keys(client=client)[1]]
        self.assertEqual(sorted(seen), [(b"alone1", 50_000)] * 2 + [(b"alone2", 20_000)] * 2)


if __name__ == "__main__":
    unittest.main()
