"""Commands over many slots: split, put together again, in order; and those that Redis refuses to split."""
import random
import time
import unittest

from cluster import slot_of
from fixture import TestCase, reference_server, shared_cluster, shared_proxy
from raw import RawClient, encode
from server import HOST

CROSSSLOT = b"-CROSSSLOT Keys in request don't hash to the same slot\r\n"


def keys_of(prefix, count):
    return ["%s:%d" % (prefix, index) for index in range(count)]


class Split(TestCase):

    def setUp(self):
        super().setUp()
        self.raw = self.client(shared_proxy())

    def test_values_come_back_in_the_order_asked(self):
        keys = keys_of("order", 300)
        self.assertGreater(len({slot_of(key) for key in keys}), 250)
        pairs = [part for key in keys for part in (key, "value of " + key)]
        self.assertEqual(self.raw.call("MSET", *pairs), b"+OK\r\n")
        random.Random(1).shuffle(keys)
        self.assertEqual(self.raw.ask("MGET", *keys), [b"value of " + key.encode() for key in keys])

    def test_every_key_is_at_its_own_node(self):
        keys = keys_of("placed", 60)
        self.raw.call("MSET", *[part for key in keys for part in (key, key)])
        cluster = shared_cluster()
        owners = {node: cluster.slots_of(node) for node in cluster.primaries()}
        for key in keys:
            owner = next(node for node, slots in owners.items() if slot_of(key) in slots)
            self.assertEqual(owner.command("GET", key), key.encode())

    def test_ten_thousand_keys(self):
        keys = keys_of("many", 10000)
        self.assertEqual(self.raw.ask("MSET", *[part for key in keys for part in (key, key)]), "OK")
        self.assertEqual(self.raw.ask("MGET", *keys), [key.encode() for key in keys])
        self.assertEqual(self.raw.ask("EXISTS", *keys), 10000)
        self.assertEqual(self.raw.ask("TOUCH", *keys), 10000)
        self.assertEqual(self.raw.ask("DEL", *keys[:5000]), 5000)
        self.assertEqual(self.raw.ask("UNLINK", *keys), 5000)
        self.assertEqual(self.raw.ask("MGET", *keys), [None] * 10000)

    def test_duplicates_count_as_in_redis(self):
        self.raw.call("MSET", "dup:a", 1, "dup:b", 2, "dup:a", 3)
        self.assertEqual(self.raw.ask("MGET", "dup:a", "dup:b", "dup:a"), [b"3", b"2", b"3"])
        self.assertEqual(self.raw.ask("EXISTS", "dup:a", "dup:b", "dup:a", "dup:none"), 3)
        self.assertEqual(self.raw.ask("TOUCH", "dup:a", "dup:a"), 2)
        self.assertEqual(self.raw.ask("DEL", "dup:a", "dup:b", "dup:a"), 2)

    def test_entries_of_another_type_are_nil(self):
        self.raw.call("RPUSH", "type:list", "x")
        self.raw.call("SET", "type:string", "x")
        self.assertEqual(self.raw.ask("MGET", "type:string", "type:list", "type:none"), [b"x", None, None])

    def test_nulls_of_resp3(self):
        with shared_proxy().raw3() as client:
            client.call("SET", "null:a", "x")
            self.assertEqual(client.call("MGET", "null:a", "null:b", "null:c"), b"*3\r\n$1\r\nx\r\n_\r\n_\r\n")

    def test_empty_and_binary_values(self):
        values = [b"", b"\r\n", b"\0\xff$5\r\nfake\r\n", b"*1\r\n"]
        keys = keys_of("binary", len(values))
        self.raw.call("MSET", *[part for pair in zip(keys, values) for part in pair])
        self.assertEqual(self.raw.ask("MGET", *keys), values)

    def test_large_parts(self):
        generator = random.Random(5)
        values = [generator.randbytes(300_000) for _ in range(8)]
        keys = keys_of("largeparts", len(values))
        self.assertEqual(self.raw.ask("MSET", *[part for pair in zip(keys, values) for part in pair]), "OK")
        self.assertEqual(self.raw.ask("MGET", *keys), values)

    def test_across_slots_refused(self):
        requests = [
            ("MSETNX", "a", 1, "b", 2), ("SUNION", "a", "b"), ("SINTER", "a", "b"), ("SDIFFSTORE", "a", "b", "c"),
            ("PFCOUNT", "a", "b"), ("PFMERGE", "a", "b"), ("RENAME", "a", "b"), ("RENAMENX", "a", "b"),
            ("RPOPLPUSH", "a", "b"), ("LMOVE", "a", "b", "LEFT", "LEFT"), ("SMOVE", "a", "b", "m"),
            ("ZUNIONSTORE", "a", 2, "b", "c"), ("ZUNION", 2, "a", "b"), ("LMPOP", 2, "a", "b", "LEFT"),
            ("COPY", "a", "b"), ("BITOP", "AND", "a", "b"), ("EVAL", "return 1", 2, "a", "b"), ("LCS", "a", "b"),
            ("XREAD", "STREAMS", "a", "b", 0, 0), ("SINTERCARD", 2, "a", "b"), ("GEORADIUS", "a", 1, 1, 1, "m", "STORE", "b"),
            ("SORT", "a", "STORE", "b"),
        ]
        for request in requests:
            with self.subTest(request=request):
                self.assertEqual(self.raw.call(*request), CROSSSLOT)
        self.assertEqual(self.raw.call("MSETNX", "{x}a", 1, "{x}b", 2), b":1\r\n")


class RandomPrograms(TestCase):
    """A long random program gives the same replies as a plain server, however its bytes are cut on the way."""

    def test_same_replies_as_one_server(self):
        for seed in range(4):
            with self.subTest(seed=seed):
                self.compare(random.Random(seed), seed)

    def compare(self, generator, seed):
        requests = [self.request(generator, seed) for _ in range(1500)]
        stream = b"".join(encode(*request) for request in requests)
        reference = RawClient((HOST, reference_server().port))
        client = shared_proxy().raw()
        with reference, client:
            position = 0
            reference.send(stream)
            while position < len(stream):
                step = generator.choice((1, 7, 100, 5000, 40000))
                client.send(stream[position:position + step])
                position += step
            for request in requests:
                self.assertEqual(client.read_reply(), reference.read_reply(), request)

    @staticmethod
    def request(generator, seed):
        def key():
            return "random:%d:%d" % (seed, generator.randrange(60))

        def some_keys():
            return [key() for _ in range(generator.randrange(1, 12))]

        def value():
            return generator.randbytes(generator.choice((0, 1, 10, 100, 3000)))

        return generator.choice((
            lambda: ("SET", key(), value()),
            lambda: ("GET", key()),
            lambda: ("GET", key()),
            lambda: ("APPEND", key(), value()),
            lambda: ("STRLEN", key()),
            lambda: ("INCR", key()),
            lambda: ("RPUSH", key(), value()),
            lambda: ("LRANGE", key(), 0, -1),
            lambda: ("TYPE", key()),
            lambda: ("MGET", *some_keys()),
            lambda: ("MSET", *[part for one in some_keys() for part in (one, value())]),
            lambda: ("DEL", *some_keys()),
            lambda: ("EXISTS", *some_keys()),
            lambda: ("MSET", key()),
            lambda: ("ECHO", value()),
            lambda: ("PING",),
            lambda: ("NOSUCH", key()),
        ))()


class Pipelines(TestCase):

    def test_order_over_nodes(self):
        keys = keys_of("pipe", 2000)
        pipeline = shared_proxy().client().pipeline(transaction=False)
        for key in keys:
            pipeline.set(key, key)
            pipeline.get(key)
            pipeline.incr("pipe:counter:%d" % (slot_of(key) % 50))
            pipeline.ping()
        replies = pipeline.execute()
        self.assertEqual(replies[1::4], [key.encode() for key in keys])
        self.assertEqual(set(replies[0::4]), {True})
        self.assertEqual(sum(1 for reply in replies[2::4] if reply == 1), len({slot_of(key) % 50 for key in keys}))

    def test_errors_stay_in_place(self):
        with shared_proxy().raw() as client:
            client.send(encode("SET", "place:a", 1) + encode("NOSUCH") + encode("MSETNX", "place:a", 1, "place:b", 2)
                        + encode("GET", "place:a") + encode("PING"))
            self.assertEqual(client.read_reply(), b"+OK\r\n")
            self.assertTrue(client.read_reply().startswith(b"-ERR unknown command"))
            self.assertEqual(client.read_reply(), CROSSSLOT)
            self.assertEqual(client.read_reply(), b"$1\r\n1\r\n")
            self.assertEqual(client.read_reply(), b"+PONG\r\n")

    def test_many_clients_at_once(self):
        clients = [self.client(shared_proxy()) for _ in range(64)]
        for number, client in enumerate(clients):
            client.send(b"".join(encode("SET", "crowd:%d:%d" % (number, index), "%d.%d" % (number, index))
                                 + encode("GET", "crowd:%d:%d" % (number, index)) for index in range(50)))
        for number, client in enumerate(clients):
            for index in range(50):
                self.assertEqual(client.read_value(), "OK")
                self.assertEqual(client.read_value(), b"%d.%d" % (number, index))


class LargeKeys(TestCase):

    def test_a_large_key_behind_a_small_one(self):
        """Two keys of two slots, however the request arrives: the second is as long as a large value."""
        client = self.client(shared_proxy())
        large = b"k" * 300_000
        for command, reply in (("DEL", 1), ("EXISTS", 1), ("MGET", [b"1", None])):
            self.assertEqual(client.ask("SET", "small", 1), "OK")
            request = encode(command, "small", large)
            client.send(request[:1000])
            time.sleep(0.05)
            client.send(request[1000:])
            self.assertEqual(client.read_value(), reply)


if __name__ == "__main__":
    unittest.main()
