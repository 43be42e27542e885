"""Values that are relayed: requests and replies cut anywhere, by either side, and slots that move under them."""
import random
import re
import socket
import threading
import time
import unittest

from cluster import slot_of
from fixture import TestCase, shared_cluster, shared_proxy, value_of
from proxy import is_sanitized
from raw import ReplyError, encode

MB = 1 << 20


class Held(TestCase):
    """Requests below the threshold, which are held until they are whole; their rest is received straight into place."""

    def setUp(self):
        super().setUp()
        self.raw = self.client_after(20)

    def client_after(self, pings):
        """A new client's first receives are short ones."""
        client = self.client(shared_proxy())
        for _ in range(pings):
            client.ask("PING")
        return client

    def test_in_any_pieces_and_pipelines(self):
        generator = random.Random(11)
        for round_number in range(12):
            self.raw = self.client_after(20 * (round_number % 3))
            values = {"held:%d" % index: value_of(index, generator.choice((5, 3_000, 33_000, 40_000, 65_000, 65_535)))
                      for index in range(10)}
            requests = [encode("SET", key, value) + encode("STRLEN", key) for key, value in values.items()]
            requests.append(encode("MSET", *[part for item in values.items() for part in item]))
            stream = b"".join(requests)
            while stream:
                length = generator.choice((1, 100, 31_000, 32_768, 36_000, 70_000, 200_000)) + generator.randrange(200)
                self.raw.send(stream[:length])
                stream = stream[length:]
                if round_number % 2:
                    time.sleep(generator.choice((0, 0.001)))
            for value in values.values():
                self.assertEqual([self.raw.read_value(), self.raw.read_value()], ["OK", len(value)])
            self.assertEqual(self.raw.read_value(), "OK")
            for key, value in values.items():
                self.assertTrue(self.raw.ask("GET", key) == value)

    def test_a_large_script(self):
        """Its key comes behind its large argument: all of it is held."""
        script = "return redis.call('get', KEYS[1]) --" + "x" * (2 * MB)
        self.raw.ask("SET", "script:key", "found")
        self.assertEqual(self.raw.ask("EVAL", script, 1, "script:key"), b"found")

    def test_a_client_that_goes_in_the_middle(self):
        self.raw.ask("SET", "held:cut", "whole")
        request = encode("SET", "held:cut", value_of(1, 60_000))
        for length in (33_000, 40_000, 59_000, len(request) - 1):
            with self.subTest(length=length), self.client_after(20) as other:
                other.send(request[:length])
                time.sleep(0.05)
        for _ in range(20):
            self.assertEqual(self.raw.ask("GET", "held:cut"), b"whole")


class Lent(TestCase):
    """Values that go out of the buffers they came in, which are kept from the kernel as long: while a reader stands
    still, and while a node owes its reply."""

    def setUp(self):
        super().setUp()
        self.proxy_under_test = self.proxy(shared_cluster().addresses, workers=1)
        self.busy = [self.client(self.proxy_under_test) for _ in range(4)]
        generator = random.Random(23)
        self.values = {"{lent}%d" % index: value_of(index, generator.randrange(17_000, 97_000)) for index in range(40)}

    def keep_busy(self, seconds, tag):
        """Others' values fill every buffer that the kernel has, many times."""
        end = time.monotonic() + seconds
        number = 0
        while time.monotonic() < end:
            number += 1
            sent = [value_of(number * 10 + index, 17_000 + number * 4_001 % 80_000) for index in range(len(self.busy))]
            for index, client in enumerate(self.busy):
                key = "%s:%d" % (tag, index)
                client.send(encode("SET", key, sent[index]) + encode("GET", key) + encode("GET", "{%s}none" % key))
            for client, value in zip(self.busy, sent):
                self.assertEqual(client.read_value(), "OK")
                self.assertTrue(client.read_value() == value)
                self.assertIsNone(client.read_value())
        self.assertGreater(number, 20)

    def test_while_readers_stand_still(self):
        for key, value in self.values.items():
            self.assertEqual(self.busy[0].ask("SET", key, value), "OK")
        keys = list(self.values) * 2  # more than the sockets on the way hold
        readers = [self.client(self.proxy_under_test) for _ in range(24)]
        for reader in readers:
            reader.send(b"".join(encode("GET", key) for key in keys))
            self.assertEqual(self.busy[0].ask("EXISTS", keys[0]), 1)
        self.keep_busy(1.5, "lent:busy")
        for reader in readers:
            for key in keys:
                self.assertTrue(reader.read_value() == self.values[key])

    def test_while_a_node_owes_its_reply(self):
        node = shared_cluster().primary_of(slot_of("{lent}"))
        tag = next("{busy%d}" % index for index in range(100)
                   if shared_cluster().primary_of(slot_of("busy%d" % index)) is not node)
        writers = [self.client(self.proxy_under_test) for _ in range(len(self.values))]
        for writer in writers * 20:  # a new client's first receives are short ones
            self.assertEqual(writer.ask("PING"), "PONG")
        node.pause()
        for writer, (key, value) in zip(writers, self.values.items()):  # more than the sockets on the way hold
            writer.send(b"".join(encode("SET", "%s:%d" % (key, copy), value) for copy in range(8)))
        self.keep_busy(1.5, tag)
        node.resume()
        for writer in writers:
            self.assertEqual([writer.read_value() for _ in range(8)], ["OK"] * 8)
        for key, value in self.values.items():
            for copy in range(8):
                self.assertTrue(self.busy[0].ask("GET", "%s:%d" % (key, copy)) == value)


class Uploads(TestCase):

    def test_a_client_that_goes_in_the_middle(self):
        """The key stays as it was, and its neighbours on the node hear nothing."""
        client = self.client(shared_proxy())
        self.assertEqual(client.ask("SET", "cut", "whole"), "OK")
        request = encode("SET", "cut", value_of(1, 3 * MB))
        for length in (20, 60, 4096, 70_000, MB, len(request) - 2, len(request) - 1):
            with self.subTest(length=length):
                other = shared_proxy().raw()
                other.send(request[:length])
                time.sleep(0.05)
                other.close()
                self.assertEqual(client.ask("GET", "cut"), b"whole")
                self.assertEqual(client.ask("INCR", "{cut}count") > 0, True)

    def test_a_client_that_has_sent_all_it_will(self):
        client = self.client(shared_proxy())
        value = value_of(2, 2 * MB)
        client.send(encode("SET", "half", value) + encode("GET", "half"))
        client.socket.shutdown(socket.SHUT_WR)
        self.assertEqual(client.read_value(), "OK")
        self.assertTrue(client.read_value() == value)
        self.assertEqual(client.read_until_closed(), b"")

    def test_what_is_no_request_behind_a_large_argument(self):
        client = self.client(shared_proxy())
        self.assertEqual(client.ask("SET", "bad", "good"), "OK")
        body = b"x" * 100_000
        wrong = ((b"\r\nfoo\r\n", b"expected '$', got 'f'"), (b"xx", b"expected CRLF"),
                 (b"\r\n$-3\r\n", b"invalid bulk length"))
        for rest, error in wrong:
            other = self.client(shared_proxy())
            other.send(b"*4\r\n$3\r\nSET\r\n$3\r\nbad\r\n$100000\r\n" + body + rest)
            self.assertEqual(other.read_until_closed(), b"-ERR Protocol error: " + error + b"\r\n")
            self.assertEqual(client.ask("GET", "bad"), b"good")

    def test_an_urgent_byte(self):
        """splice(2) does not pass it; the proxy must not go round and round before it."""
        proxy = self.proxy(shared_cluster().addresses)
        with proxy.raw() as client:
            client.send(encode("SET", "urgent", b"x" * 500_000)[:200_000])
            time.sleep(0.2)
            client.socket.send(b"!", socket.MSG_OOB)
            client.send(b"x" * 1000)
            self.assertEqual(client.read_until_closed(10), b"")
        self.assertIsNone(self.client(proxy).ask("GET", "urgent"))

    def test_many_large_arguments(self):
        client = self.client(shared_proxy())
        values = [value_of(seed, random.Random(seed).choice((0, 5, 65536, 300_000, 2 * MB))) for seed in range(30)]
        self.assertIn(client.ask("DEL", "many"), (0, 1))
        self.assertEqual(client.ask("RPUSH", "many", *values), len(values))
        self.assertTrue(client.ask("LRANGE", "many", 0, -1) == values)

    def test_in_any_pieces(self):
        client = self.client(shared_proxy())
        generator = random.Random(3)
        for size in (65_535, 65_536, 65_537, 250_000):
            value = value_of(size, size)
            request = encode("SET", "pieces", value, "GET") + encode("GET", "pieces")
            while request:
                length = generator.choice((1, 2, 100, 5000, 70_000))
                client.send(request[:length])
                request = request[length:]
                if generator.random() < 0.2:
                    time.sleep(0.002)
            client.read_value()
            self.assertTrue(client.read_value() == value, size)

    def test_a_backend_that_goes_in_the_middle(self):
        cluster = self.cluster(3, 0)
        proxy = self.proxy(cluster.addresses, backend_command_timeout="2s")
        client = self.client(proxy)
        self.assertEqual(client.ask("SET", "gone", "before"), "OK")
        value = value_of(4, 4 * MB)
        request = encode("SET", "gone", value)
        client.send(request[:MB])
        time.sleep(0.1)
        cluster.primary_of(slot_of("gone")).kill()
        client.send(request[MB:] + encode("PING"))
        self.assertTrue(client.read_reply().startswith(b"-ERR sluice: "), "an error")
        self.assertEqual(client.read_value(), "PONG")


class Downloads(TestCase):

    def test_clients_that_go_in_the_middle(self):
        value = value_of(5, 5 * MB)
        client = self.client(shared_proxy())
        self.assertEqual(client.ask("SET", "left", value), "OK")
        for length in (1, 100, 100_000, MB):
            other = shared_proxy().raw()
            other.send(encode("GET", "left"))
            other.socket.recv(length, socket.MSG_WAITALL)
            other.close()
        self.assertTrue(client.ask("GET", "left") == value)

    def test_a_pipeline_that_is_read_late(self):
        """Large values that nobody has seen before, several on each connection, while the client takes nothing."""
        values = [value_of(seed, 10 * MB) for seed in range(6)]
        writer = self.client(shared_proxy())
        for index, value in enumerate(values):
            self.assertEqual(writer.ask("SET", "late:%d" % index, value), "OK")
        proxy = self.proxy(shared_cluster().addresses, workers=1)
        client = self.client(proxy)
        for _ in range(2):
            client.send(b"".join(encode("GET", "late:%d" % index) for index in range(len(values))))
            time.sleep(0.5)
            for value in values:
                self.assertTrue(client.read_value() == value)
        for index in range(len(values)):
            writer.call("DEL", "late:%d" % index)

    def test_a_reader_that_is_late_before_the_large_value(self):
        """Small replies that it has not taken stand before the large one; others' requests behind it are answered."""
        proxy = self.proxy(shared_cluster().addresses, workers=1, backend_command_timeout="2s")
        late, other, writer = self.client(proxy), self.client(proxy), self.client(shared_proxy())
        value = value_of(8, 8 * MB)
        writer.ask("MSET", "{before}small", b"s" * 60_000, "{before}large", value)
        self.assertEqual(other.ask("SET", "{before}other", 0), "OK")
        late.send(encode("GET", "{before}small") * 300 + encode("GET", "{before}large"))
        end = time.monotonic() + 3
        while time.monotonic() < end:
            other.send(encode("SET", "{before}other", 1) * 3)
            self.assertEqual([other.read_value() for _ in range(3)], ["OK"] * 3)
            time.sleep(0.001)
        for _ in range(300):
            self.assertEqual(len(late.read_value()), 60_000)
        self.assertTrue(late.read_value() == value)

    def test_a_reader_whose_socket_is_nearly_full(self):
        """The beginning of a large value is what fills it, before the first byte is relayed: others' requests go on."""
        proxy = self.proxy(shared_cluster().addresses, workers=1, backend_command_timeout="2s")
        other, node = self.client(proxy), shared_cluster().primary_of(slot_of("{nearly}"))
        value = value_of(11, 4 * MB)
        self.assertEqual(other.ask("SET", "{nearly}small", b"s" * 60_000), "OK")

        def unsent():
            return int(re.search(rb"client_chunk_bytes_in_use:(\d+)", other.ask("SLUICE", "INFO")).group(1))

        def fill(client, count):
            for _ in range(count):
                client.send(encode("GET", "{nearly}small"))
                time.sleep(0.003)

        full = self.client(proxy)
        count = 0
        while unsent() < 50_000:
            fill(full, 1)
            count += 1
            self.assertLess(count, 2000)
        full.close()
        for step in range(4):
            late, key = self.client(proxy), "{nearly}large:%d" % step
            with shared_proxy().raw() as writer:
                self.assertEqual(writer.ask("SET", key, value), "OK")
            fill(late, count - step)
            node.pause()
            late.send(encode("GET", key))
            other.send(encode("SET", "{nearly}other", step))
            time.sleep(0.05)
            node.resume()
            self.assertEqual(other.read_value(timeout=4), "OK")
            for _ in range(count - step):
                self.assertEqual(len(late.read_value()), 60_000)
            self.assertTrue(late.read_value() == value)

    def test_a_backend_that_goes_in_the_middle(self):
        """What has come is a part of the value; then the connection ends, and no error is mixed into it."""
        cluster = self.cluster(3, 0)
        proxy = self.proxy(cluster.addresses, backend_command_timeout="2s")
        value = value_of(6, 40 * MB)
        client = self.client(proxy)
        self.assertEqual(client.ask("SET", "broken", value), "OK")
        client.send(encode("GET", "broken"))
        begin = client.socket.recv(1000, socket.MSG_WAITALL)
        cluster.primary_of(slot_of("broken")).kill()
        whole = begin + client.read_until_closed()
        expected = b"$%d\r\n%s\r\n" % (len(value), value)
        self.assertLess(len(whole), len(expected))
        self.assertTrue(expected.startswith(whole))

    def test_a_backend_that_goes_while_it_answers_an_upload(self):
        """SET with GET: a large request, and a large reply that breaks. Others go on as if nothing had been."""
        cluster = self.cluster(3, 0)
        proxy = self.proxy(cluster.addresses, workers=1, backend_command_timeout="2s")
        value = value_of(9, 40 * MB)
        client = self.client(proxy)
        self.assertEqual(client.ask("SET", "both", value), "OK")
        client.send(encode("SET", "both", value_of(10, MB), "GET"))
        begin = client.socket.recv(1000, socket.MSG_WAITALL)
        primary = cluster.primary_of(slot_of("both"))
        primary.kill()
        self.assertTrue((b"$%d\r\n%s\r\n" % (len(value), value)).startswith(begin + client.read_until_closed()))
        primary.restart()
        cluster.wait_healthy()
        others = [self.client(proxy) for _ in range(4)]
        for index, other in enumerate(others):
            other.send(b"".join(encode("SET", "b%d:%d" % (index, number), number, "GET") for number in range(200)))
        for _ in range(200):
            for other in others:
                self.assertIsNone(other.read_value())
        for index, other in enumerate(others):
            other.send(b"".join(encode("GET", "b%d:%d" % (index, number)) for number in range(200)))
        for number in range(200):
            for other in others:
                self.assertEqual(other.read_value(), b"%d" % number)

    def test_a_slow_reader_costs_nobody_else(self):
        proxy = self.proxy(shared_cluster().addresses)
        client = self.client(proxy)
        value = value_of(7, 20 * MB)
        self.assertEqual(client.ask("SET", "slow", value), "OK")
        self.assertTrue(client.ask("GET", "slow") == value)
        readers = [self.client(proxy) for _ in range(10)]
        for reader in readers:  # so that each worker knows the key to be large
            self.assertTrue(reader.ask("GET", "slow") == value)
        before = proxy.resident_kb()
        for reader in readers:
            reader.send(encode("GET", "slow"))
        begin = time.monotonic()
        for index in range(200):
            self.assertEqual(client.ask("SET", "{slow}%d" % index, index), "OK")
        self.assertLess(time.monotonic() - begin, 5, "small requests wait for slow readers")
        allowed = 16 if not is_sanitized() else 400
        self.assertLess((proxy.resident_kb() - before) / 1024, allowed, "MB")
        self.assertTrue(readers[5].read_value(timeout=20) == value)


class Stalled(TestCase):
    """Clients that stop in the middle keep their connection to the node, until there are too many of them."""

    LANES = 64  # src/limits.h

    def setUp(self):
        super().setUp()
        self.own = self.proxy(shared_cluster().addresses, workers=1, command_timeout="2s")
        self.node = shared_cluster().primary_of(slot_of("{s}"))
        self.before = 0
        self.before = self.connections()

    def connections(self):
        """How many there are to the node since the test began."""
        listed = self.node.client().execute_command("CLIENT LIST")
        return len([each for each in listed if each["name"] == "sluice"]) - self.before

    def test_uploads(self):
        checker = self.client(self.own)
        self.assertEqual(checker.ask("SET", "{s}0", "before"), "OK")
        request = encode("SET", "{s}0", value_of(5, MB))
        stalled = [self.client(self.own) for _ in range(self.LANES)]
        for client in stalled:
            client.send(request[:200_000])
        time.sleep(2.3)
        for index in range(3):
            value = value_of(index, MB)
            self.assertEqual(checker.ask("SET", "{s}new", value), "OK")
            self.assertTrue(checker.ask("GET", "{s}new") == value)
        self.assertLessEqual(self.connections(), self.LANES + 2)
        # All others may go on as if nothing had been.
        replies = []
        for client in stalled:
            client.send(request[200_000:])
            replies.append(client.read_reply())
        given_up = [reply for reply in replies if reply != b"+OK\r\n"]
        self.assertTrue(1 <= len(given_up) <= 4, given_up)
        for reply in given_up:
            self.assertTrue(reply.startswith(b"-ERR sluice: the command has not run"), reply)

    def test_downloads(self):
        checker = self.client(self.own)
        value = value_of(6, 8 * MB)
        self.assertEqual(checker.ask("SET", "{s}0", value), "OK")
        for _ in range(2):
            for _ in range(self.LANES // 2 + 8):
                self.client(self.own).send(encode("GET", "{s}0"))
            time.sleep(2.3)
        for _ in range(3):
            got = checker.ask("GET", "{s}0")
            self.assertTrue(got == value, got[:100] if isinstance(got, bytes) else got)
            self.assertEqual(checker.ask("SET", "{s}1", value), "OK")
        self.assertLessEqual(self.connections(), self.LANES + 4)

    def test_one_that_stands_still_while_others_are_free(self):
        value, short = value_of(7, 8 * MB), value_of(12, MB)
        self.node.command("MSET", "{s}0", value, "{s}crowd", short)
        for key, expected in (("{s}0", value), ("{s}crowd", short)):
            self.assertTrue(self.client(self.own).ask("GET", key) == expected)
        # Not of 8 MB: the server prepares all these replies before it sends any, and has two seconds.
        crowd = [self.client(self.own) for _ in range(self.LANES + 8)]
        for client in crowd:
            client.send(encode("GET", "{s}crowd"))
        for client in crowd:
            self.assertTrue(client.read_value() == short)
        still = self.client(self.own)
        still.send(encode("GET", "{s}0"))
        time.sleep(2.3)
        self.node.command("SET", "{s}fresh", value)
        self.assertTrue(self.client(self.own).ask("GET", "{s}fresh") == value)
        self.assertTrue(still.read_value() == value)


class Mixed(TestCase):

    time_limit_s = 120
    SECONDS = 6

    def run_clients(self, proxies, allowed=()):
        """Clients write keys of their own, and read them: every reply is what the client wrote last. Each pipeline goes to
        one of the proxies, which does not know what was written through the others; some are read late."""
        stop = time.monotonic() + self.SECONDS
        problems, done = [], [0]

        def run(number):
            generator = random.Random(number)
            clients = [proxy.raw3() if number % 2 else proxy.raw() for proxy in proxies]
            known = {}
            while time.monotonic() < stop and not problems:
                client = generator.choice(clients)
                expected, stream = [], b""
                for _ in range(generator.randrange(1, 6)):
                    key = "mix%d:%d" % (number, generator.randrange(6))
                    if generator.random() < 0.5 or key not in known:
                        size = generator.choice((10, 5000, 60_000, 65_536, 100_000, 700_000, 3_000_000))
                        known[key] = generator.randbytes(size)
                        stream += encode("SET", key, known[key])
                        expected.append((key, "OK"))
                    else:
                        stream += encode("GET", key)
                        expected.append((key, known[key]))
                sender = threading.Thread(target=client.send, args=(stream,))
                sender.start()
                time.sleep(generator.choice((0, 0, 0, 0.2)))
                for key, wanted in expected:
                    reply = client.read_value()
                    done[0] += 1
                    if isinstance(reply, ReplyError) and any(word in str(reply) for word in allowed):
                        known.pop(key, None)
                    elif reply != wanted and key in known:
                        problems.append("client %d, %s: %r instead of %r" % (number, key, str(reply)[:90], str(wanted)[:50]))
                        break
                sender.join()
            for client in clients:
                client.close()

        threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        return threads, problems, done

    def finish(self, threads, problems, done):
        for thread in threads:
            thread.join(60)
        self.assertEqual(problems, [])
        self.assertGreater(done[0], 200)

    def test_what_each_client_wrote(self):
        self.finish(*self.run_clients([shared_proxy(), self.proxy(shared_cluster().addresses, workers=1)]))

    def test_while_slots_move(self):
        cluster = self.cluster(3, 0)
        proxies = [self.proxy(cluster.addresses, workers=workers) for workers in (1, 2)]
        running = self.run_clients(proxies, allowed=("send it again",))
        slots = [slot_of("mix%d:%d" % (number, key)) for number in range(6) for key in range(6)]
        generator = random.Random(8)
        moved = 0
        while running[0][0].is_alive():
            source, target = generator.sample(cluster.primaries(), 2)
            mine = [slot for slot in slots if slot in cluster.slots_of(source)]
            if mine:
                cluster.move_slots(generator.sample(mine, min(3, len(mine))), source, target)
                moved += 1
        self.finish(*running)
        self.assertGreater(moved, 3)


if __name__ == "__main__":
    unittest.main()
