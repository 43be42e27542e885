"""Bounds: memory does not grow with a slow client or a large value; values arrive as they were sent."""
import itertools
import random
import re
import threading
import time
import unittest

from cluster import slot_of
from fixture import TestCase, shared_cluster, shared_proxy, shared_standalone
from process import wait_until
from proxy import is_sanitized
from raw import encode

MB = 1 << 20
# AddressSanitizer keeps 256 MB of freed memory from being used again.
ALLOWED_GROWTH_MB = 96 if not is_sanitized() else 700


class BackPressure(TestCase):

    KEYS = 1000
    REQUESTS = 1_000_000
    VALUE_BYTES = 300

    def test_a_client_that_does_not_read(self):
        """A million requests are sent before the first reply is read. Memory stays bounded; all replies come, in order."""
        proxy = self.proxy(shared_cluster().addresses)
        keys = ["pressure:%d" % index for index in range(self.KEYS)]
        values = [(b"%d:" % index).ljust(self.VALUE_BYTES, b".") for index in range(self.KEYS)]
        client = self.client(proxy)
        self.assertEqual(client.ask("MSET", *[part for pair in zip(keys, values) for part in pair]), "OK")
        before = proxy.resident_kb()
        requests = b"".join(encode("GET", key) for key in keys)
        writer = threading.Thread(target=self.write, args=(client, requests), daemon=True)
        writer.start()
        peak = self.peak_memory(proxy, seconds=3)
        neighbour = self.client(proxy)
        self.assertEqual(neighbour.ask("GET", keys[7]), values[7])
        self.read(client, b"".join(b"$%d\r\n%s\r\n" % (len(value), value) for value in values))
        peak = max(peak, proxy.resident_kb())
        writer.join(10)
        self.assertLess((peak - before) / 1024, ALLOWED_GROWTH_MB, "MB")

    def write(self, client, requests):
        # A duplicate, so that the timeouts of the reading side do not apply here.
        sender = client.socket.dup()
        sender.settimeout(50)
        for _ in range(self.REQUESTS // self.KEYS):
            sender.sendall(requests)
        sender.close()

    @staticmethod
    def peak_memory(proxy, seconds):
        deadline, peak = time.monotonic() + seconds, 0
        while time.monotonic() < deadline:
            peak = max(peak, proxy.resident_kb())
            time.sleep(0.02)
        return peak

    def read(self, client, cycle):
        """Expects `cycle` again and again: that the replies of the requests come, all of them, in their order."""
        expected = memoryview(cycle + cycle)
        client.socket.settimeout(10)
        left, place = len(cycle) * (self.REQUESTS // self.KEYS), 0
        while left:
            data = client.socket.recv(min(left, len(cycle)))
            self.assertTrue(data, "closed with %d bytes to come" % left)
            if expected[place:place + len(data)] != data:
                self.fail("a wrong reply, %d bytes before the end" % left)
            place = (place + len(data)) % len(cycle)
            left -= len(data)


class LargeValues(TestCase):

    def check_value(self, size, protocol=2):
        client = self.client(shared_proxy())
        client.call("HELLO", protocol)
        value = random.Random(size).randbytes(size)
        key = "large:%d" % size
        self.assertEqual(client.call("SET", key, value), b"+OK\r\n")
        self.assertEqual(client.ask("STRLEN", key), size)
        reply = client.call("GET", key)
        self.assertTrue(reply == b"$%d\r\n%s\r\n" % (size, value), "another value")

    def test_sizes(self):
        for size in (4095, 4096, 16384, 65535, 65536, 65537, 200_000, 512 * 1024, MB, 10 * MB):
            with self.subTest(size=size):
                self.check_value(size)

    def test_resp3(self):
        for size in (65536, 512 * 1024, 10 * MB):
            with self.subTest(size=size):
                self.check_value(size, protocol=3)

    def test_100_mb(self):
        self.check_value(100 * MB)
        self.client(shared_proxy()).call("DEL", "large:%d" % (100 * MB))

    def test_among_small_requests(self):
        client = self.client(shared_proxy())
        generator = random.Random(11)
        values = [generator.randbytes(size) for size in (10, 700_000, 3, 0, 5 * MB, 65536, 12, 512 * 1024)]
        stream = b""
        for index, value in enumerate(values):
            stream += encode("SET", "among:%d" % index, value) + encode("INCR", "among:count") + encode("GET", "among:%d" % index)
        client.call("DEL", "among:count")
        sender = threading.Thread(target=client.socket.dup().sendall, args=(stream,), daemon=True)
        sender.start()
        for index, value in enumerate(values):
            self.assertEqual(client.read_value(), "OK")
            self.assertEqual(client.read_value(), index + 1)
            self.assertTrue(client.read_value() == value, index)
        sender.join()

    def test_in_other_commands(self):
        client = self.client(shared_proxy())
        value = random.Random(12).randbytes(2 * MB)
        client.call("DEL", "other:h", "other:l")
        self.assertEqual(client.ask("HSET", "other:h", "f", value), 1)
        self.assertTrue(client.ask("HGET", "other:h", "f") == value)
        self.assertTrue(client.ask("HGETALL", "other:h") == [b"f", value])
        self.assertEqual(client.ask("RPUSH", "other:l", value, value), 2)
        self.assertTrue(client.ask("LRANGE", "other:l", 0, -1) == [value, value])
        self.assertEqual(client.ask("SET", "other:s", value), "OK")
        self.assertEqual(client.ask("APPEND", "other:s", value), 4 * MB)
        self.assertTrue(client.ask("SET", "other:s", "x", "GET") == value + value)

    def test_many_clients_with_large_values(self):
        clients = [self.client(shared_proxy()) for _ in range(20)]
        values = [random.Random(seed).randbytes(MB) for seed in range(20)]
        senders = [threading.Thread(target=client.send, daemon=True,
                                    args=(encode("SET", "crowd:%d" % index, value) + encode("GET", "crowd:%d" % index),))
                   for index, (client, value) in enumerate(zip(clients, values))]
        for sender in senders:
            sender.start()
        for client, value in zip(clients, values):
            self.assertEqual(client.read_value(), "OK")
            self.assertTrue(client.read_value() == value)
        for sender in senders:
            sender.join()

    def test_a_slow_reader_stalls_itself_alone(self):
        slow, quick = self.client(shared_proxy()), self.client(shared_proxy())
        value = random.Random(13).randbytes(10 * MB)
        self.assertEqual(slow.ask("SET", "slow:value", value), "OK")
        self.assertEqual(quick.ask("SET", "{slow:value}near", "x"), "OK")
        before = shared_proxy().resident_kb()
        slow.send(encode("GET", "slow:value") * 20)
        time.sleep(0.5)
        for _ in range(50):
            started = time.monotonic()
            self.assertEqual(quick.ask("GET", "{slow:value}near"), b"x")
            self.assertLess(time.monotonic() - started, 0.5)
        # What a client has asked for and does not read is kept up to limits.output_buffer.
        self.assertLess((shared_proxy().resident_kb() - before) / 1024, 256 + ALLOWED_GROWTH_MB, "MB")
        for _ in range(20):
            self.assertTrue(slow.read_value() == value)

    def test_a_writer_that_stops_half_way(self):
        half, other = self.client(shared_proxy()), self.client(shared_proxy())
        request = encode("SET", "half:value", b"x" * (4 * MB))
        half.send(request[:len(request) // 2])
        time.sleep(0.2)
        for index in range(100):
            self.assertEqual(other.ask("SET", "{half:value}%d" % index, index), "OK")
        half.close()
        self.assertIsNone(other.ask("GET", "half:value"))
        for index in range(100):
            self.assertEqual(other.ask("GET", "{half:value}%d" % index), b"%d" % index)

    def test_a_reader_that_leaves_half_way(self):
        other = self.client(shared_proxy())
        other.call("SET", "leave:value", b"x" * (8 * MB))
        for _ in range(20):
            client = shared_proxy().raw()
            client.send(encode("GET", "leave:value"))
            client.socket.recv(10000)
            client.close()
        self.assertEqual(other.ask("STRLEN", "leave:value"), 8 * MB)


class Output(TestCase):

    def test_who_has_said_quit_is_bounded_as_well(self):
        proxy = self.proxy(shared_cluster().addresses, limits_output_buffer="8mb")
        client = self.client(proxy)
        self.assertEqual(client.ask("RPUSH", "quit:list", *[b"x" * 1000] * 4000), 4000)
        before = proxy.resident_kb()
        client.send(encode("LRANGE", "quit:list", 0, -1) * 60 + encode("QUIT"))
        self.assertLess((BackPressure.peak_memory(proxy, 2) - before) / 1024, ALLOWED_GROWTH_MB, "MB")
        self.assertLess(len(client.read_until_closed(10)), 60 * 4_000_000)

    def test_who_has_said_quit_may_read_slowly(self):
        """All that a steady reader is owed comes, however long it takes; who reads nothing is not waited for."""
        proxy = self.proxy(shared_cluster().addresses, command_timeout="1s", workers=1)
        client, silent, other = (self.client(proxy) for _ in range(3))
        self.assertEqual(client.ask("RPUSH", "slow:list", *[b"x" * 1000] * 10000), 10000)
        for each in (silent, client):
            each.send(encode("LRANGE", "slow:list", 0, -1) + encode("QUIT"))
        taken = 0
        while part := client.socket.recv(64 * 1024):
            taken += len(part)
            time.sleep(0.04)
        self.assertGreater(taken, 10_000_000)
        wait_until(lambda: b"\r\nclients:1\r\n" in other.ask("SLUICE", "INFO"), 5, "the silent one to be closed")

    def test_replies_nobody_asked_for_take_no_room(self):
        """A client that wants none may send more than would fit."""
        client = self.client(shared_proxy())
        here = shared_cluster().primary_of(slot_of("silent:a"))
        other = next(key for key in ("silent:%d" % index for index in range(1000))
                     if shared_cluster().primary_of(slot_of(key)) is not here)
        self.assertEqual(client.ask("SET", other, b"x" * 60_000), "OK")
        here.pause()
        self.addCleanup(here.resume)
        client.send(encode("CLIENT", "REPLY", "OFF") + encode("GET", "silent:a") + encode("GET", other) * 30)
        time.sleep(0.5)
        client.send(encode("APPEND", other, "y"))
        time.sleep(0.2)
        here.resume()
        client.send(encode("CLIENT", "REPLY", "ON") + encode("STRLEN", other))
        self.assertEqual([client.read_value(5), client.read_value(5)], ["OK", 60_001])


class Unwanted(TestCase):
    """Large replies for nobody: whoever asked has gone, or wants none."""

    def setUp(self):
        super().setUp()
        self.proxy_ = self.proxy(shared_cluster().addresses, workers=1)
        self.writer = self.client(shared_proxy())
        self.other = self.client(self.proxy_)

    def key(self, number):
        """Of a value that the proxy has not seen."""
        key = "{unwanted}%d" % number
        self.assertEqual(self.writer.ask("SET", key, b"x" * (50 * MB)), "OK")
        return key

    def check(self, before):
        self.assertEqual(self.other.ask("SET", "{unwanted}other", 1), "OK")
        self.assertLess((self.proxy_.peak_kb() - before) / 1024, 30, "MB")

    def test_a_client_that_does_not_stay(self):
        before = self.proxy_.peak_kb()
        for number in range(4):
            client = self.proxy_.raw()
            client.send(encode("GET", self.key(number)))
            client.reset()
            self.check(before)
        time.sleep(0.5)
        self.check(before)

    def test_a_client_that_wants_no_replies(self):
        keys = [self.key(number) for number in range(2)]
        before = self.proxy_.peak_kb()
        client = self.client(self.proxy_)
        client.send(encode("CLIENT", "REPLY", "OFF") + b"".join(encode("GET", key) for key in keys)
                    + encode("SET", "{unwanted}last", 1) + encode("CLIENT", "REPLY", "ON"))
        self.assertEqual(client.read_value(), "OK")
        self.assertEqual(client.ask("GET", "{unwanted}last"), b"1")
        self.check(before)


class MaxClients(TestCase):

    def test_one_too_many(self):
        for workers in (1, 2):
            with self.subTest(workers=workers):
                proxy = self.proxy(shared_cluster().addresses, max_clients=3, workers=workers)
                clients = [proxy.raw()]
                wait_until(lambda: sum(int(count) for count in re.findall(
                    rb"\nclients:(\d+)", clients[0].ask("SLUICE", "INFO"))) == 1, 5, "the one that waited for the start to be gone")
                clients += [proxy.raw() for _ in range(2)]
                for client in clients:
                    self.assertEqual(client.call("PING"), b"+PONG\r\n")
                with proxy.raw() as refused:
                    self.assertEqual(refused.read_until_closed(), b"-ERR max number of clients reached\r\n")
                with proxy.raw() as refused:
                    refused.read_until_closed()
                self.assertEqual(proxy.log().count("max_clients (3) reached"), 1, "told of once a minute")
                for client in clients:
                    self.assertEqual(client.call("PING"), b"+PONG\r\n")
                clients.pop().close()
                wait_until(lambda: self.is_welcome(proxy), 5, "room for another client")
                for client in clients:
                    client.close()

    @staticmethod
    def is_welcome(proxy):
        with proxy.raw() as client:
            return client.call("PING") == b"+PONG\r\n"

    def test_requests_under_way(self):
        """So many of one client's go to a server that answers none of them, and no more; in the end all are answered."""
        backend = shared_standalone()
        proxy = self.proxy(backend.addresses, backend="standalone", workers=1, limits_max_pipeline=5)
        client, other = self.client(proxy), self.client(proxy)
        self.assertEqual(client.call("SET", "max:pipeline", 0), b"+OK\r\n")

        questions = itertools.count()  # each SLUICE INFO counts itself

        def begun():
            return int(re.search(rb"\ncommands:(\d+)", other.ask("SLUICE", "INFO")).group(1)) - next(questions)
        before = begun()
        backend.primary.pause()
        try:
            client.send(encode("INCR", "max:pipeline") * 20)
            wait_until(lambda: begun() > before, 5, "the first under way")
            client.send(encode("INCR", "max:pipeline") * 20)
            time.sleep(0.2)
            self.assertEqual(begun() - before, 5)
        finally:
            backend.primary.resume()
        self.assertEqual([client.read_value() for _ in range(40)], list(range(1, 41)))

    def test_a_request_that_is_too_large(self):
        proxy = self.proxy(shared_cluster().addresses, limits_max_request="1mb")
        with proxy.raw() as client:
            self.assertEqual(client.call("SET", "max:request", b"x" * 900_000), b"+OK\r\n")
        with proxy.raw() as client:
            client.send(b"*3\r\n$3\r\nSET\r\n$11\r\nmax:request\r\n$2000000\r\n")
            self.assertTrue(client.read_until_closed().startswith(b"-ERR "))

    def test_what_has_gone_on_counts(self):
        """Whole or in pieces, a request of two large arguments is the same request."""
        proxy = self.proxy(shared_cluster().addresses, limits_max_request="300kb")
        too_large = encode("RPUSH", "max:list", b"x" * 200_000, b"y" * 200_000)
        for pieces in ((len(too_large),), (100, 150_000, 250_000), (150_000, 250_000)):
            with proxy.raw() as client:
                begin = 0
                for end in pieces:
                    client.send(too_large[begin:end])
                    time.sleep(0.1)
                    begin = end
                self.assertEqual(client.read_until_closed(), b"-ERR sluice: the request is larger than limits.max_request\r\n")
        with proxy.raw() as client:
            self.assertEqual(client.call("SET", "max:list", b"x" * 300 * 1024), b"+OK\r\n")

    def test_idle_clients_are_closed(self):
        proxy = self.proxy(shared_cluster().addresses, pool_session_timeout="1s")
        with proxy.raw() as idle, proxy.raw() as busy:
            for client in (idle, busy):
                self.assertEqual(client.call("PING"), b"+PONG\r\n")
            deadline = time.monotonic() + 3
            while time.monotonic() < deadline:
                self.assertEqual(busy.call("PING"), b"+PONG\r\n")
                time.sleep(0.1)
            self.assertEqual(idle.read_until_closed(1), b"")

    def test_one_that_stops_in_the_middle_of_a_large_request_is_idle(self):
        """One that goes on, however slowly, is not."""
        proxy = self.proxy(shared_cluster().addresses, pool_session_timeout="1s")
        request = encode("SET", "max:slow", b"x" * 500_000)
        with proxy.raw() as idle, proxy.raw() as slow:
            idle.send(request[:300_000])
            for begin in range(0, 30):
                slow.send(request[begin * 10_000:begin * 10_000 + 10_000])
                time.sleep(0.1)
            self.assertEqual(idle.read_until_closed(5), b"")
            slow.send(request[300_000:])
            self.assertEqual(slow.read_reply(), b"+OK\r\n")


class Log(TestCase):

    def test_who_leaves_in_the_middle_of_a_large_reply_is_no_lost_node(self):
        proxy = self.proxy(shared_cluster().addresses, workers=1)
        client = self.client(proxy)
        self.assertEqual(client.ask("SET", "log:large", b"x" * (20 * MB)), "OK")
        for _ in range(3):
            leaver = proxy.raw()
            leaver.send(encode("GET", "log:large"))
            self.assertTrue(leaver.socket.recv(1000))
            leaver.reset()
        wait_until(lambda: b"\nclients:1\r" in client.ask("SLUICE", "INFO"), 10, "the clients to be gone")
        self.assertNotIn("closes client", proxy.log())
        self.assertEqual(client.ask("STRLEN", "log:large"), 20 * MB)

    def test_it_tells_why_a_client_was_closed(self):
        proxy = self.proxy(shared_cluster().addresses, workers=1, log_level="debug", limits_output_buffer="8mb",
                           pool_session_timeout="3s")
        client = self.client(proxy)
        self.assertEqual(client.ask("RPUSH", "log:list", *[b"x" * 1000] * 4000), 4000)
        idle, broken, browser = clients = [self.client(proxy) for _ in range(3)]
        broken.send(b"*x\r\n")
        self.assertEqual(broken.read_until_closed(), b"-ERR Protocol error: invalid multibulk length\r\n")
        browser.send(b"POST / HTTP/1.1\r\n\r\n")
        self.assertEqual(browser.read_until_closed(), b"")
        for number in (1, 2):
            clients.append(self.client(proxy))
            clients[-1].send(encode("LRANGE", "log:list", 0, -1) * 60)
            wait_until(lambda: b"\nclients_too_slow:%d\r" % number in client.ask("SLUICE", "INFO"), 10, "it to be too slow")
        self.assertEqual(idle.read_until_closed(10), b"")
        addresses = ["%s:%d" % each.socket.getsockname() for each in clients]
        found = re.findall(r" (\w+) worker 0: closes client id=\d+ addr=(\S+): (.*)", proxy.log())
        told = {address: (level, why) for level, address, why in found}
        too_slow = "more replies wait for it than limits.output_buffer"
        self.assertEqual([told.get(address) for address in addresses], [
            ("debug", "idle for pool.session_timeout"),
            ("debug", "Protocol error: invalid multibulk length"),
            ("warning", "it speaks HTTP"),
            ("debug", too_slow),
            ("debug", too_slow),
        ], proxy.log())


if __name__ == "__main__":
    unittest.main()
