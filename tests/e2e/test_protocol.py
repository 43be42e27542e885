"""RESP2 and RESP3 side by side: each client gets the shapes of its own version, whatever its neighbours speak."""
import unittest

from cluster import slot_of
from fixture import TestCase, shared_cluster, shared_proxy
from raw import Pairs, RawClient, encode
from server import HOST

TAG = "{shape}"
SETUP = [
    ("DEL", TAG + "h", TAG + "z", TAG + "s", TAG + "x", TAG + "str", TAG + "g"),
    ("HSET", TAG + "h", "f1", "v1", "f2", "v2"),
    ("ZADD", TAG + "z", 1, "a", 2.5, "b"),
    ("SADD", TAG + "s", "m"),
    ("XADD", TAG + "x", "1-1", "f", "v"),
    ("SET", TAG + "str", "text"),
    ("GEOADD", TAG + "g", 13.361389, 38.115556, "p"),
]
SHAPES = [
    ("HGETALL", TAG + "h"), ("HGETALL", TAG + "none"), ("HRANDFIELD", TAG + "h", 2, "WITHVALUES"),
    ("ZRANGE", TAG + "z", 0, -1, "WITHSCORES"), ("ZRANGE", TAG + "z", 0, -1), ("ZSCORE", TAG + "z", "b"),
    ("ZPOPMIN", TAG + "none"), ("ZMSCORE", TAG + "z", "a", "none"), ("ZADD", TAG + "z", "INCR", 0, "a"),
    ("SMEMBERS", TAG + "s"), ("SINTER", TAG + "s", TAG + "none"), ("SMISMEMBER", TAG + "s", "m", "n"),
    ("GET", TAG + "none"), ("GET", TAG + "str"), ("LPOP", TAG + "none", 2), ("MGET", TAG + "str", TAG + "none"),
    ("XREAD", "STREAMS", TAG + "x", 0), ("XREAD", "STREAMS", TAG + "none", 0), ("XINFO", "STREAM", TAG + "x"),
    ("GEOPOS", TAG + "g", "p", "none"), ("LCS", TAG + "str", TAG + "str", "IDX"),
    ("EVAL", "redis.setresp(3) return {true, false, {double=2.5}, {map={a=1}}, {set={b=true}}}", 1, TAG + "str"),
    ("EVAL", "return redis.call('hgetall', KEYS[1])", 1, TAG + "h"),
    ("OBJECT", "FREQ", TAG + "none"), ("GET", TAG + "h"),
    ("COMMAND", "INFO", "get"), ("COMMAND", "INFO", "nosuch"), ("COMMAND", "GETKEYS", "GET", "a"),
    ("PING",), ("PING", "x"), ("ECHO", "x"),
]


class Shapes(TestCase):

    def setUp(self):
        super().setUp()
        client = self.client(shared_proxy())
        for request in SETUP:
            client.call(*request)
        self.owner = shared_cluster().primary_of(slot_of(TAG))

    def direct(self, protocol):
        client = RawClient((HOST, self.owner.port))
        self.addCleanup(client.close)
        client.call("HELLO", protocol)
        return client

    def through(self, protocol):
        client = self.client(shared_proxy())
        client.call("HELLO", protocol)
        return client

    def test_shapes_are_the_node_s_own(self):
        for protocol in (2, 3):
            client, direct = self.through(protocol), self.direct(protocol)
            for request in SHAPES:
                with self.subTest(request=request, protocol=protocol):
                    self.assertEqual(client.call(*request), direct.call(*request))

    def test_the_two_versions_do_not_mix(self):
        direct = {protocol: self.direct(protocol) for protocol in (2, 3)}
        expected = {protocol: [direct[protocol].call(*request) for request in SHAPES] for protocol in (2, 3)}
        self.assertNotEqual(expected[2], expected[3])
        clients = [(protocol, self.through(protocol)) for protocol in (2, 3) * 8]
        stream = b"".join(encode(*request) for request in SHAPES)
        for _ in range(20):
            for _, client in clients:
                client.send(stream)
            for protocol, client in clients:
                for request, reply in zip(SHAPES, expected[protocol]):
                    self.assertEqual(client.read_reply(), reply, (protocol, request))

    def test_a_client_changes_its_version_inside_a_pipeline(self):
        client = self.client(shared_proxy())
        question = encode("HGETALL", TAG + "h")
        client.send(question + encode("HELLO", 3) + question + encode("HELLO", 2) + question)
        flat, pairs = [b"f1", b"v1", b"f2", b"v2"], [(b"f1", b"v1"), (b"f2", b"v2")]
        self.assertEqual(client.read_value(), flat)
        self.assertIsInstance(client.read_value(), Pairs)
        self.assertEqual(client.read_value(), pairs)
        self.assertIsInstance(client.read_value(), list)
        self.assertEqual(client.read_value(), flat)


class Hello(TestCase):

    def setUp(self):
        super().setUp()
        self.raw = self.client(shared_proxy())

    def test_hello_tells_about_the_proxy_as_about_a_server(self):
        for request, protocol in ((("HELLO",), 2), (("HELLO", 3), 3), (("HELLO",), 3), (("HELLO", 2), 2)):
            reply = self.raw.ask(*request)
            fields = dict(reply if protocol == 3 else zip(reply[::2], reply[1::2]))
            self.assertEqual(fields[b"proto"], protocol)
            self.assertLessEqual({b"server", b"version", b"id", b"mode", b"role", b"modules"}, set(fields))
            self.assertEqual(fields[b"mode"], b"cluster")
            self.assertEqual(fields[b"role"], b"master")

    def test_the_id_is_the_client_s(self):
        reply = dict(self.raw.ask("HELLO", 3))
        self.assertEqual(reply[b"id"], self.raw.ask("CLIENT", "ID"))

    def test_bad_versions(self):
        self.assertEqual(self.raw.call("HELLO", 4), b"-NOPROTO unsupported protocol version\r\n")
        self.assertEqual(self.raw.call("HELLO", 1), b"-NOPROTO unsupported protocol version\r\n")
        self.assertTrue(self.raw.call("HELLO", "x").startswith(b"-ERR Protocol version is not an integer or out of range"))
        self.assertTrue(self.raw.call("HELLO", 3, "NOSUCH").startswith(b"-ERR Syntax error in HELLO option"))
        self.assertEqual(self.raw.call("HELLO", 3, "A\r\n+OK"), b"-ERR Syntax error in HELLO option 'A  +OK'\r\n")
        self.assertEqual(self.raw.call("CLIENT", "SETINFO", "A\r\n+OK", 1), b"-ERR Unrecognized option 'A  +OK'\r\n")
        self.assertEqual(self.raw.call("GET", "hello:none"), b"$-1\r\n")

    def test_setname(self):
        self.raw.call("HELLO", 3, "SETNAME", "fred")
        self.assertEqual(self.raw.call("CLIENT", "GETNAME"), b"$4\r\nfred\r\n")

    def test_reset_goes_back_to_resp2(self):
        self.raw.call("HELLO", 3, "SETNAME", "fred")
        self.assertEqual(self.raw.call("RESET"), b"+RESET\r\n")
        self.assertEqual(self.raw.call("GET", "hello:none"), b"$-1\r\n")
        self.assertEqual(self.raw.call("CLIENT", "GETNAME"), b"$-1\r\n")


if __name__ == "__main__":
    unittest.main()
