"""Bad input gets Redis's protocol error and a close, and touches nobody else."""
import os
import random
import unittest

from fixture import TestCase, shared_proxy
from raw import encode


class Hostile(TestCase):

    def setUp(self):
        super().setUp()
        self.neighbour = self.client(shared_proxy())
        self.neighbour.call("SET", "hostile:key", "unharmed")
        self.addCleanup(self.check_neighbour)

    def check_neighbour(self):
        self.assertEqual(self.neighbour.call("GET", "hostile:key"), b"$8\r\nunharmed\r\n")
        with shared_proxy().raw() as fresh:
            self.assertEqual(fresh.call("PING"), b"+PONG\r\n")

    def after(self, data):
        """What the proxy says to `data` before it closes."""
        with shared_proxy().raw() as client:
            client.send(data)
            return client.read_until_closed(5)

    def test_broken_headers(self):
        cases = {
            b"*abc\r\n": b"invalid multibulk length",
            b"*99999999999999999999\r\n": b"invalid multibulk length",
            b"*2147483648\r\n": b"invalid multibulk length",
            b"*1\r\n+OK\r\n": b"expected '$', got '+'",
            b"*1\r\n:1\r\n": b"expected '$', got ':'",
            b"*2\r\n$3\r\nGET\r\n*1\r\n": b"expected '$', got '*'",
            b"*1\r\n$abc\r\n": b"invalid bulk length",
            b"*1\r\n$-1\r\n": b"invalid bulk length",
            b"*1\r\n$-5\r\n": b"invalid bulk length",
            b"*2\r\n$3\r\nGET\r\n$9999999999\r\n": b"invalid bulk length",
            b"*1\r\n$99999999999999999999999\r\n": b"invalid bulk length",
            b"SET \"unbalanced\r\n": b"unbalanced quotes in request",
            b"x" * 70000: b"too big inline request",
            b"*" + b"1" * 70000: b"too big mbulk count string",
            b"*1\r\n$" + b"1" * 70000: b"too big bulk count string",
        }
        for data, message in cases.items():
            with self.subTest(data=data[:40]):
                self.assertEqual(self.after(data), b"-ERR Protocol error: " + message + b"\r\n")

    def test_requests_before_the_broken_one_are_answered(self):
        reply = self.after(encode("SET", "hostile:before", 1) + encode("GET", "hostile:before") + b"*x\r\n" + encode("PING"))
        self.assertEqual(reply, b"+OK\r\n$1\r\n1\r\n-ERR Protocol error: invalid multibulk length\r\n")

    def test_a_web_browser_runs_nothing(self):
        body = b"Content-Length: 30\r\n\r\nSET hostile:web 1\r\n"
        self.assertEqual(self.after(b"POST / HTTP/1.1\r\n" + body), b"")
        self.assertNotIn(b"+OK", self.after(b"PUT / HTTP/1.1\r\nHOST: h\r\n" + body))
        with shared_proxy().raw() as client:
            self.assertEqual(client.call("EXISTS", "hostile:web"), b":0\r\n")

    def test_huge_counts_take_no_memory(self):
        before = shared_proxy().resident_kb()
        clients = []
        for header in (b"*1000000\r\n", b"*2147483647\r\n", b"*2\r\n$3\r\nGET\r\n$500000000\r\n"):
            for _ in range(20):
                client = self.client(shared_proxy())
                client.send(header + b"$1\r\nx")
                clients.append(client)
        self.check_neighbour()
        self.assertLess(shared_proxy().resident_kb() - before, 50_000)

    def test_random_bytes(self):
        seed = int(os.environ.get("SLUICE_E2E_SEED", "1"))
        generator = random.Random(seed)
        alphabets = [bytes(range(256)), b"*$+-:0123456789\r\n", b"*1\r\n$3\r\nGET \"'x\0"]
        for round_number in range(300):
            alphabet = generator.choice(alphabets)
            data = bytes(generator.choice(alphabet) for _ in range(generator.randrange(1, 2000)))
            with shared_proxy().raw() as client:
                try:
                    client.send(data)
                    client.socket.shutdown(1)
                    client.read_until_closed(10)
                except (BrokenPipeError, ConnectionResetError, OSError) as error:
                    self.assertNotIsInstance(error, TimeoutError, (seed, round_number))
            if round_number % 50 == 0:
                self.check_neighbour()

    def test_mutated_requests(self):
        generator = random.Random(2)
        good = b"".join(encode("MSET", *[b"hostile:%d" % generator.randrange(100), b"v" * 20] * 5) + encode("GET", "a")
                        for _ in range(20))
        for _ in range(300):
            data = bytearray(good)
            for _ in range(generator.randrange(1, 5)):
                data[generator.randrange(len(data))] = generator.randrange(256)
            with shared_proxy().raw() as client:
                try:
                    client.send(data)
                    client.socket.shutdown(1)
                    client.read_until_closed(10)
                except (BrokenPipeError, ConnectionResetError):
                    pass
        self.check_neighbour()

    def test_half_requests_and_gone(self):
        for _ in range(200):
            client = shared_proxy().raw()
            client.send(encode("SET", "hostile:half", "x" * 100)[:-5])
            client.close()
        self.check_neighbour()
        self.assertIsNone(self.neighbour.ask("GET", "hostile:half"))

    def test_gone_before_the_replies(self):
        for _ in range(100):
            client = shared_proxy().raw()
            client.send(encode("GET", "hostile:key") * 500)
            client.close()
        self.check_neighbour()


if __name__ == "__main__":
    unittest.main()
