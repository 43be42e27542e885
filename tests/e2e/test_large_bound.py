"""The largest value that a server takes, 512 MB, there and back; and what the proxy keeps of it."""
import hashlib
import random
import threading
import unittest

from cluster import Standalone
from fixture import TestCase, shared_standalone, value_of
from proxy import has_feature, is_sanitized
from raw import encode

MB = 1 << 20
LARGEST = 512 * MB
# The server holds the value, and once more while it sends it.
NEEDED_MB = 2500


def available_mb():
    with open("/proc/meminfo", encoding="ascii") as lines:
        return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("MemAvailable:"))


def header_of(size):
    return encode("SET", "largest", "")[:-len(b"$0\r\n\r\n")] + b"$%d\r\n" % size


class Pieces:
    """A value of LARGEST bytes, piece by piece, none like another."""

    def __init__(self):
        self.noise = random.Random(11).randbytes(2 * MB)

    def __iter__(self):
        for index in range(LARGEST // MB):
            begin = index * 1021
            yield self.noise[begin:begin + MB]

    def digest(self):
        digest = hashlib.blake2b()
        for piece in self:
            digest.update(piece)
        return digest.hexdigest()


class Largest(TestCase):

    time_limit_s = 200

    def test_there_and_back(self):
        if available_mb() < NEEDED_MB:
            self.skipTest("a value of 512 MB needs %d MB of free memory, and there are %d" % (NEEDED_MB, available_mb()))
        backend = Standalone(options={"appendonly": "no"})
        self.addCleanup(backend.stop)
        proxy = self.proxy(backend.addresses, backend="standalone")
        client = self.client(proxy, 100)
        client.send(header_of(LARGEST))
        pieces = Pieces()
        for piece in pieces:
            client.send(piece)
        client.send(b"\r\n")
        self.assertEqual(client.read_value(), "OK")
        self.assertEqual(client.ask("STRLEN", "largest"), LARGEST)
        self.assertEqual(self.read_digest(client), pieces.digest())
        self.assertEqual(client.ask("PING"), "PONG")
        print("        %d MB at the most" % (proxy.peak_kb() // 1024))
        if not is_sanitized():
            self.assertLess(proxy.peak_kb() / 1024, 64, "MB")

    def test_one_byte_more(self):
        """Is refused as soon as its length is known."""
        proxy = self.proxy(shared_standalone().addresses, backend="standalone", limits_max_request="1gb")
        client = self.client(proxy)
        client.send(header_of(LARGEST + 1))
        self.assertEqual(client.read_until_closed(), b"-ERR Protocol error: invalid bulk length\r\n")

    def test_nothing_is_held_that_nobody_wants(self):
        proxy = self.proxy(shared_standalone().addresses, backend="standalone")
        client = self.client(proxy, 30)
        self.assertEqual(client.ask("SET", "unwanted", value_of(1, 1 * MB) * 100), "OK")
        client.send(encode("CLIENT", "REPLY", "OFF") + encode("SET", "unwanted", value_of(2, 1 * MB), "GET") +
                    encode("CLIENT", "REPLY", "ON"))
        self.assertEqual(client.read_value(), "OK")
        self.assertEqual(client.ask("STRLEN", "unwanted"), 1 * MB)
        if not is_sanitized():
            self.assertLess(proxy.peak_kb() / 1024, 64, "MB")

    def read_digest(self, client):
        """Of what a GET brings."""
        client.send(encode("GET", "largest"))
        header = b"$%d\r\n" % LARGEST
        self.assertEqual(self.read(client, len(header)), header)
        digest, left = hashlib.blake2b(), LARGEST
        while left > 0:
            piece = self.read(client, min(left, MB))
            digest.update(piece)
            left -= len(piece)
        self.assertEqual(self.read(client, 2), b"\r\n")
        return digest.hexdigest()

    def read(self, client, size):
        """That many bytes; fewer only where the connection ends."""
        received = bytearray()
        while len(received) < size:
            piece = client.socket.recv(size - len(received))
            if not piece:
                break
            received += piece
        return bytes(received)


class Crowd(TestCase):

    CLIENTS = 100

    def test_many_begin_at_once(self):
        """Clients known for small requests all begin a large value: of each, little is received before its turn comes."""
        if not has_feature("limited multishot receive"):
            self.skipTest("needs Linux 6.17")
        proxy = self.proxy(shared_standalone().addresses, backend="standalone")
        clients = [self.client(proxy) for _ in range(self.CLIENTS)]
        for index, client in enumerate(clients):
            for _ in range(20):
                self.assertEqual(client.ask("SET", "crowd:%d" % index, "small"), "OK")
        before = proxy.peak_kb()
        senders = [threading.Thread(target=client.send, args=(encode("SET", "crowd:%d" % index, value_of(index, 2 * MB)),))
                   for index, client in enumerate(clients)]
        for sender in senders:
            sender.start()
        for client in clients:
            self.assertEqual(client.read_value(), "OK")
        for sender in senders:
            sender.join()
        growth = (proxy.peak_kb() - before) / 1024
        for index, client in enumerate(clients):
            self.assertEqual(client.ask("GETRANGE", "crowd:%d" % index, MB, MB + 9), value_of(index, 2 * MB)[MB:MB + 10])
            self.assertEqual(client.ask("DEL", "crowd:%d" % index), 1)
        print("        %d MB more at the most" % growth)
        if not is_sanitized():
            self.assertLess(growth, 32, "MB")


if __name__ == "__main__":
    unittest.main()
