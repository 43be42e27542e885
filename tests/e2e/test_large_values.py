"""Values around every size at which the way they take changes, byte for byte what a server without a proxy gives."""
import os
import random
import socket
import threading
import unittest

from cluster import slot_of
from fixture import TestCase, reference_server, shared_cluster, shared_proxy
from raw import RawClient, encode
from server import HOST

KB = 1 << 10
# The threshold and the first pipe, receive buffers of a backend, a relay's share of a turn, a grown pipe.
MARKS = (64 * KB, 128 * KB, 512 * KB, 1024 * KB)
# Around the mark itself, and where headers of requests and replies bring the whole to it.
SIZES = [0, 1] + [mark + offset for mark in MARKS for offset in (-40, -30, -10, -8, -2, -1, 0, 1, 2)]
NOISE = random.Random(0).randbytes(4 << 20)


def value_of(seed, size):
    begin = random.Random(seed).randrange(len(NOISE) - size)
    return NOISE[begin:begin + size]


def requests_of(size):
    """Requests that carry a value of that size there, and bring it back. Hashes with several fields have no order."""
    value, other = value_of(size, size), value_of(size + 1, size)
    key, more, items, fields = "{edge}string", "{edge}more", "{edge}list", "{edge}hash"
    verbatim = "redis.setresp(3); return {verbatim_string = {format = 'txt', string = ARGV[1]}}"
    return (
        ("SET", key, value), ("GET", key), ("STRLEN", key), ("GETSET", key, other), ("SETEX", key, 1000, value),
        ("SET", key, other, "GET"), ("SET", key, value, "NX"), ("GET", key),
        ("SET", more, "abc"), ("APPEND", more, value), ("GET", more), ("SETRANGE", more, 2, other),
        ("GETRANGE", more, 1, -1), ("MSET", more, value), ("MSET", key, other, more, value),
        ("MGET", key, more, "{edge}none"), ("MSET", "a" + key, value, "b", other), ("MGET", "b", "a" + key, "b"),
        ("DEL", items, fields), ("RPUSH", items, value, "", other, "x", value), ("LRANGE", items, 0, -1),
        ("LINDEX", items, 2), ("LPOP", items), ("LREM", items, 0, value), ("LRANGE", items, 0, -1),
        ("HSET", fields, "field", value), ("HGETALL", fields), ("HSET", fields, other, value, "third", ""),
        ("HMGET", fields, other, "third", "none", "field"), ("HEXISTS", fields, other),
        ("EVAL", "return ARGV[1]", 1, key, value), ("EVAL", "return redis.call('get', KEYS[1])", 1, key),
        ("EVAL", verbatim, 1, key, value), ("EVAL", "return {ARGV[1], {1, {ARGV[2]}}, false}", 1, key, value, other),
        ("EVAL", "return redis.error_reply('ERR ' .. #ARGV[1])", 1, key, value), ("ECHO", value),
        ("LPUSH", key, value), ("GETDEL", key), ("GET", key),
    )


def reads():
    return (("GET", "{edge}more"), ("GET", "b"), ("GET", "a{edge}string"), ("GET", "{edge}string"),
            ("LRANGE", "{edge}list", 0, -1), ("HGET", "{edge}hash", "field"))


def shortened(reply):
    return reply if len(reply) < 200 else b"%s ... (%d bytes)" % (reply[:60], len(reply))


class Reference(TestCase):
    """The same requests through the proxy and to a server nobody stands in front of."""

    time_limit_s = 120

    def clients(self, proxy, protocol):
        pair = self.client(proxy), RawClient((HOST, reference_server().port), timeout=15)
        self.addCleanup(pair[1].close)
        pair[1].call("FLUSHALL")
        for node in shared_cluster().primaries():
            node.command("FLUSHALL")
        if protocol == 3:
            for client in pair:
                client.call("HELLO", 3)
        return pair

    def assert_same(self, reply, expected, what):
        if reply != expected:
            self.fail("%s: %r instead of %r" % (what, shortened(reply), shortened(expected)))


class Sizes(Reference):

    def test_each_size(self):
        for protocol in (2, 3):
            client, reference = self.clients(shared_proxy(), protocol)
            for size in SIZES[::1 if protocol == 2 else 2]:
                for request in requests_of(size):
                    what = "RESP%d, %d bytes, %s" % (protocol, size, " ".join(str(word)[:20] for word in request[:3]))
                    self.assert_same(client.call(*request), reference.call(*request), what)
                self.check_directly(reference, size)

    def check_directly(self, reference, size):
        """What the nodes hold is what the reference holds: both ways through the proxy could be wrong alike."""
        for request in reads():
            node = shared_cluster().primary_of(slot_of(request[1]))
            with RawClient((HOST, node.port)) as direct:
                self.assertTrue(direct.ask(*request) == reference.ask(*request), "%d bytes, %s" % (size, request))

    def test_dump_and_restore(self):
        client = self.client(shared_proxy())
        for size in SIZES:
            value = value_of(size, size)
            self.assertEqual(client.ask("SET", "{dump}a", value), "OK")
            dumped = client.ask("DUMP", "{dump}a")
            self.assertEqual(client.ask("RESTORE", "{dump}b", 0, dumped, "REPLACE"), "OK")
            self.assertTrue(client.ask("GET", "{dump}b") == value, size)
            node = shared_cluster().primary_of(slot_of("{dump}"))
            self.assertTrue(node.command("GET", "{dump}b") == value, size)

    def test_cut_in_two(self):
        """A pipeline cut once at each byte of its headers, and around each end of a value."""
        client, reference = self.clients(shared_proxy(), 2)
        size = 64 * KB + 3
        one, two = value_of("one", size), value_of("two", size)
        parts = (encode("GET", "cut"), encode("SET", "cut", one), encode("RPUSH", "{cut}list", "", two, one, "x"),
                 encode("GET", "cut"), encode("LPOP", "{cut}list", 5), encode("DEL", "cut"))
        stream = b"".join(parts)
        places = {len(b"".join(parts[:count])) + offset for count in range(6) for offset in range(-8, 9)}
        for value in (one, two):
            begin = stream.find(value)
            while begin >= 0:
                places |= {begin + offset for offset in range(-45, 4)} | {begin + size + offset for offset in range(-4, 10)}
                begin = stream.find(value, begin + 1)
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for place in sorted(places):
            if not 0 < place < len(stream):
                continue
            client.send(stream[:place])
            # Whatever is whole already is answered: so the rest comes when the beginning has been looked at.
            whole = sum(len(b"".join(parts[:count + 1])) <= place for count in range(len(parts)))
            replies = [client.read_reply() for _ in range(whole)]
            client.send(stream[place:])
            replies += [client.read_reply() for _ in range(len(parts) - whole)]
            reference.send(stream)
            for index, reply in enumerate(replies):
                self.assert_same(reply, reference.read_reply(), "cut at %d, reply %d" % (place, index))


class SentBeforeRead(TestCase):
    """Clients that send a whole pipeline before they read anything, as most libraries do."""

    def check(self, requests, replies, protocol=2):
        client = self.client(shared_proxy(), 20)
        client.call("HELLO", protocol)
        client.send(b"".join(encode(*request) for request in requests))
        for expected in replies:
            self.assertEqual(client.read_value(), expected)

    def test_large_there_and_back(self):
        old, new = value_of(1, 3 << 20) * 3, value_of(2, 3 << 20) * 3
        self.client(shared_proxy()).call("SET", "{sbr}k", old)
        for protocol in (2, 3):
            requests = [("GET", "{sbr}k"), ("SET", "{sbr}k", new), ("GET", "{sbr}k"), ("SET", "{sbr}k", old)]
            self.check(requests, [old, "OK", new, "OK"], protocol)

    def test_many_small(self):
        value = value_of(3, 10 * KB)
        self.client(shared_proxy()).call("SET", "{sbr}s", value)
        self.check([("GET", "{sbr}s")] * 3000 + [("SET", "{sbr}t", value)] * 3000, [value] * 3000 + ["OK"] * 3000)


class Mixtures(Reference):
    """Random pipelines, sent in random pieces. SLUICE_LARGE_SEED chooses them, SLUICE_LARGE_ROUNDS their number."""

    SEED = int(os.environ.get("SLUICE_LARGE_SEED", "1"))
    ROUNDS = int(os.environ.get("SLUICE_LARGE_ROUNDS", "40"))

    def request(self, generator):
        key = generator.choice(("a", "b", "{a}c", "{a}d", "e"))
        size = generator.choice((0, 3, 1000, 4096, 20_000, *SIZES))
        value = value_of(generator.random(), max(0, size + generator.randrange(-3, 4)))
        items, fields = key + "list", key + "hash"
        script = generator.choice(("return redis.call('append', KEYS[1], ARGV[1])", "return {ARGV[1], KEYS[1]}",
                                   "redis.call('set', KEYS[1], ARGV[1]); return redis.call('get', KEYS[1])"))
        return generator.choice((
            ("GET", key), ("GET", key), ("GET", key), ("SET", key, value), ("SET", key, value), ("SET", key, value),
            ("SET", key, value, "GET"), ("GETSET", key, value), ("SETRANGE", key, generator.randrange(5), value),
            ("SETEX", key, 1000, value), ("DEL", key, items), ("STRLEN", key), ("GETRANGE", key, 1, -2), ("GETDEL", key),
            ("MGET", key, "b", "{a}c"), ("MGET", key), ("MSET", key, value, "b", value[:10]), ("MSET", key, value),
            ("RPUSH", items, value, b"x", value[:100]), ("LRANGE", items, 0, 4), ("LPOP", items), ("LTRIM", items, 0, 3),
            ("HSET", fields, "f", value), ("HGETALL", fields), ("HGET", fields, "f"), ("EVAL", script, 1, key, value),
            ("PING",), ("ECHO", value[:100]), ("INCR", "count"), ("LPUSH", key, value), ("EXISTS", key, "b"),
            ("NOTHING", value),
        ))

    def send_in_pieces(self, client, stream, generator):
        sizes = generator.choice(((1 << 20,), (100, 5000, 70_000), (1, 2, 65_536), (30_000, 64 * KB, 128 * KB)))
        at = 0
        while at < len(stream):
            size = generator.choice(sizes)
            client.send(stream[at:at + size])
            at += size

    def run_rounds(self, proxy, protocol):
        generator = random.Random("%d %d" % (self.SEED, protocol))
        client, reference = self.clients(proxy, protocol)
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for turn in range(self.ROUNDS):
            requests = [self.request(generator) for _ in range(generator.randrange(1, 12))]
            stream = b"".join(encode(*request) for request in requests)
            sender = threading.Thread(target=self.send_in_pieces, args=(client, stream, random.Random(turn)))
            sender.start()
            for index, request in enumerate(requests):
                expected = reference.call(*request)
                self.assert_same(client.read_reply(), expected, "seed %d, RESP%d, turn %d, request %d of %s" % (
                    self.SEED, protocol, turn, index, [" ".join(str(word)[:12] for word in each) for each in requests]))
            sender.join()

    def test_as_configured(self):
        for protocol in (2, 3):
            self.run_rounds(shared_proxy(), protocol)

    def test_with_a_small_threshold(self):
        """More of each pipeline goes in phases."""
        for protocol in (2, 3):
            proxy = self.proxy(shared_cluster().addresses, workers=1, large_values_threshold="4kb")
            self.run_rounds(proxy, protocol)


if __name__ == "__main__":
    unittest.main()
