"""What belongs to one client stays with it; what shared mode cannot do is refused at once."""
import socket
import time
import unittest

from fixture import TestCase, shared_cluster, shared_proxy
from raw import RawClient, encode
from server import HOST


class Session(TestCase):

    def setUp(self):
        super().setUp()
        self.raw = self.client(shared_proxy())
        self.other = self.client(shared_proxy())

    def direct(self):
        client = RawClient((HOST, shared_cluster().nodes[0].port))
        self.addCleanup(client.close)
        return client

    def test_ids_are_unique_and_stay(self):
        clients = [self.client(shared_proxy()) for _ in range(20)]
        ids = [client.ask("CLIENT", "ID") for client in clients]
        self.assertEqual(len(set(ids)), 20)
        self.assertEqual([client.ask("CLIENT", "ID") for client in clients], ids)

    def test_names_are_not_shared(self):
        self.assertIsNone(self.raw.ask("CLIENT", "GETNAME"))
        self.assertEqual(self.raw.ask("CLIENT", "SETNAME", "anna"), "OK")
        self.assertIsNone(self.other.ask("CLIENT", "GETNAME"))
        self.assertEqual(self.other.ask("CLIENT", "SETNAME", "bert"), "OK")
        self.assertEqual(self.raw.ask("CLIENT", "GETNAME"), b"anna")
        self.assertEqual(self.raw.call("CLIENT", "SETNAME", "with space"), self.direct().call("CLIENT", "SETNAME", "with space"))
        self.assertEqual(self.raw.ask("CLIENT", "GETNAME"), b"anna")

    def test_what_skip_skips(self):
        """Compared with a server, by which replies come."""
        for between in (encode("RESET"), b"*0\r\n", b"\r\n", encode("PING", "skipped"), b""):
            stream = encode("CLIENT", "REPLY", "SKIP") + between + encode("PING", "first") + encode("PING", "last")
            replies = []
            for client in (self.client(shared_proxy()), self.direct()):
                client.send(stream)
                replies.append([])
                while not replies[-1] or replies[-1][-1] != b"last":
                    replies[-1].append(client.read_value())
            self.assertEqual(*replies)

    def test_info_is_about_the_client(self):
        self.raw.ask("CLIENT", "SETNAME", "carl")
        line = self.raw.ask("CLIENT", "INFO").decode()
        fields = dict(field.split("=", 1) for field in line.split())
        self.assertEqual(fields["name"], "carl")
        self.assertEqual(int(fields["id"]), self.raw.ask("CLIENT", "ID"))
        self.assertEqual(fields["addr"], "%s:%d" % self.raw.socket.getsockname())
        self.assertEqual(fields["laddr"], "%s:%d" % shared_proxy().address)
        self.assertEqual(fields["resp"], "2")
        servers = dict(field.split("=", 1) for field in self.direct().ask("CLIENT", "INFO").decode().split())
        self.assertEqual(set(servers) - set(fields), set())

    def test_setinfo(self):
        self.assertEqual(self.raw.ask("CLIENT", "SETINFO", "LIB-NAME", "e2e"), "OK")
        self.assertEqual(self.raw.ask("CLIENT", "SETINFO", "lib-ver", "1.0"), "OK")
        self.assertTrue(self.raw.call("CLIENT", "SETINFO", "nosuch", "x").startswith(b"-ERR"))

    def test_select_in_a_cluster(self):
        self.assertEqual(self.raw.ask("SELECT", 0), "OK")
        direct = self.direct()
        for index in ("1", "x", "-1"):
            self.assertEqual(self.raw.call("SELECT", index), direct.call("SELECT", index))

    def test_words_of_cluster_clients(self):
        for word in ("READONLY", "READWRITE", "ASKING"):
            self.assertEqual(self.raw.ask(word), "OK")
        self.assertEqual(self.raw.ask("SET", "session:a", 1), "OK")

    def test_auth_without_users(self):
        self.assertEqual(self.raw.call("AUTH", "secret"), self.direct().call("AUTH", "secret"))

    def test_quit(self):
        self.raw.send(encode("SET", "session:q", 1) + encode("QUIT") + encode("SET", "session:q", 2))
        self.assertEqual(self.raw.read_until_closed(), b"+OK\r\n+OK\r\n")
        self.assertEqual(self.other.ask("GET", "session:q"), b"1")

    def test_close_after_sending(self):
        """A client that sends, says that no more will come, and reads (as `echo | nc` does) gets all its replies."""
        self.raw.send(b"".join(encode("SET", "session:c%d" % index, index) for index in range(100)))
        self.raw.socket.shutdown(socket.SHUT_WR)
        self.assertEqual(self.raw.read_until_closed(), b"+OK\r\n" * 100)

    def test_inline_commands(self):
        self.raw.send(b"PING\r\nSET session:i \"a b\\x41\"\r\nGET session:i\r\n\r\n*0\r\n*-1\r\nget 'session:i'\nPING\r\n")
        self.assertEqual([self.raw.read_value() for _ in range(5)], ["PONG", "OK", b"a bA", b"a bA", "PONG"])

    def test_one_byte_at_a_time(self):
        for byte in encode("SET", "session:slow", "value") + encode("GET", "session:slow"):
            self.raw.send(bytes((byte,)))
        self.assertEqual([self.raw.read_value(), self.raw.read_value()], ["OK", b"value"])

    def test_any_case(self):
        self.assertEqual(self.raw.ask("sEt", "session:case", 1), "OK")
        self.assertEqual(self.raw.ask("client", "SeTnAmE", "x"), "OK")

    def test_an_unknown_command_is_redis_s_error(self):
        for request in (("NOSUCH",), ("NOSUCH", "a", "b b"), ("CLIENT", "NOSUCH"), ("CLUSTER", "NOSUCH"), ("GET",)):
            with self.subTest(request=request):
                self.assertEqual(self.raw.call(*request), self.direct().call(*request))


class Refused(TestCase):
    """What needs a connection of its own."""

    REQUESTS = [
        ("EXEC",), ("DISCARD",), ("WATCH", "a"), ("UNWATCH",), ("BLPOP", "a", 0), ("BRPOP", "a", "b", 0),
        ("BLMOVE", "a", "b", "LEFT", "LEFT", 0), ("BLMPOP", 0, 1, "a", "LEFT"), ("BZPOPMIN", "a", 0),
        ("XREAD", "BLOCK", 0, "STREAMS", "a", "$"), ("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "a", ">"),
        ("XREADGROUP", "BLOCK", 0, "GROUP", "g", "c", "STREAMS", "a", ">"),
        ("XREADGROUP", "COUNT", "group", "NOACK", "GROUP", "streams", "count", "block", 0, "STREAMS", "a", ">"),
        ("SUBSCRIBE", "c"), ("PSUBSCRIBE", "c*"), ("SSUBSCRIBE", "c"), ("MONITOR",),
        ("CLIENT", "TRACKING", "ON"), ("SYNC",), ("PSYNC", "?", -1), ("REPLICAOF", "NO", "ONE"), ("SHUTDOWN",),
        ("DEBUG", "SLEEP", 100), ("FAILOVER",),
        ("SCRIPT", "DEBUG", "YES"), ("SCRIPT", "DEBUG", "SYNC"),
    ]

    def test_refused_at_once_and_the_connection_goes_on(self):
        client = self.client(shared_proxy())
        for request in self.REQUESTS:
            with self.subTest(request=request):
                started = time.monotonic()
                self.assert_own_error(client.call(*request))
                self.assertLess(time.monotonic() - started, 1)
                self.assertEqual(client.call("SET", "refused", 1), b"+OK\r\n")

    def test_a_transaction_as_a_whole(self):
        client = self.client(shared_proxy())
        self.assertEqual(client.call("SET", "refused:t", "before"), b"+OK\r\n")
        for end in ("EXEC", "DISCARD"):
            client.send(encode("MULTI") + encode("SET", "refused:t", "after") + encode("GET", "refused:t") + encode(end))
            for _ in range(4):
                self.assert_own_error(client.read_reply())
            self.assertEqual(client.ask("GET", "refused:t"), b"before")

    def test_a_client_that_goes_on_after_the_refusal(self):
        """As pools of connections do: they never say DISCARD. What was sent behind MULTI at once is still refused."""
        client = self.client(shared_proxy())
        self.assert_own_error(client.call("MULTI"))
        self.assert_own_error(client.call("SET", "refused:g", "too soon"))
        time.sleep(1.1)
        client.send(encode("SET", "refused:g", "a block") * 2)
        for _ in range(2):
            self.assert_own_error(client.read_reply())
        self.assertIsNone(client.ask("GET", "refused:g"))
        self.assertEqual(client.ask("SET", "refused:g", "later"), "OK")

    def test_inside_a_pipeline(self):
        client = self.client(shared_proxy())
        client.send(encode("SET", "refused:p", 7) + encode("BLPOP", "x", 0) + encode("GET", "refused:p"))
        self.assertEqual(client.read_reply(), b"+OK\r\n")
        self.assert_own_error(client.read_reply())
        self.assertEqual(client.read_reply(), b"$1\r\n7\r\n")


if __name__ == "__main__":
    unittest.main()
