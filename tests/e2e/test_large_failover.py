"""Large requests whose node dies, or whose slot moves, at each point of their way: what the client is told is true, no value
is ever a mix, and the same client goes on."""
import unittest

from cluster import Cluster, slot_of
from fixture import TestCase, value_of
from process import wait_until
from raw import ReplyError, encode

SIZES = (70_000, 3 << 20)
# The last bytes of a request that are kept back to the end; a number that nobody else sends at once.
REST = 1003


def wait_for_upload(node, size, come=0, count=1):
    """Until the node has the headers of `count` values of `size` bytes, and `come` bytes of each, but not all."""
    def are_there():
        return sum(int(client["argv-mem"]) > 0 and int(client["qbuf"]) >= come and
                   int(client["qbuf"]) + int(client["qbuf-free"]) >= size for client in node.command("CLIENT LIST")) >= count
    wait_until(are_there, 10, "%d bytes of %d values at %r" % (come, count, node))


def wait_for_unread(node, size):
    """Until `size` bytes have come over one connection that the node has not read: it is paused."""
    def is_there():
        with open("/proc/net/tcp", encoding="ascii") as table:
            rows = [line.split() for line in table][1:]
        return any(int(row[1].split(":")[1], 16) == node.port and int(row[4].split(":")[1], 16) == size for row in rows)
    wait_until(is_there, 10, "%d bytes for %r" % (size, node))


class Upload:
    """A SET of a large value over an older one, sent step by step, with a GET behind it."""

    def __init__(self, test, proxy, key, size):
        self.test, self.key = test, key
        self.client = test.client(proxy)
        self.old, self.new = value_of(key, size), value_of(key + "new", size)
        self._request = encode("SET", key, self.new)
        self.header = len(self._request) - size - 2
        self._sent = 0

    def write_old(self):
        self.test.assertEqual(self.client.ask("SET", self.key, self.old), "OK")

    def send(self, end=None):
        """What is not sent yet, up to there."""
        self.client.send(self._request[self._sent:end])
        self._sent = len(self._request) if end is None else len(self._request[:end])

    def finish(self, expected, old=True):
        """The rest, and the reply: "OK", or an error with that text in it. `old` is whether there was a value."""
        self.send()
        self.client.send(encode("GET", self.key))
        reply, read = self.client.read_value(20), self.client.read_value(20)
        self.check(reply, read, self.old if old else None)
        self.test.assertIn(expected, str(reply), self.key)
        self.test.assertTrue(self.client.ask("GET", self.key) == read, "the value changes later")
        again = value_of(self.key + "again", len(self.new))
        self.test.assertEqual(self.client.ask("SET", self.key, again, timeout=20), "OK")
        self.test.assertTrue(self.client.ask("GET", self.key) == again)

    def check(self, reply, read, old):
        """The reply is true."""
        if reply == "OK":
            possible = (self.new,)
        elif "whether the command has run is unknown" in str(reply):
            possible = (self.new, old)
        else:
            self.test.assertIsInstance(reply, ReplyError)
            self.test.assertIn("the command has not run", str(reply))
            possible = (old,)
        self.test.assertTrue(any(read == value for value in possible), "%s: %s, and then %s" % (
            self.key, reply, str(read)[:60]))


class Failover(TestCase):

    time_limit_s = 100

    def test_a_primary_that_dies(self):
        """kill -9, and its replica takes over; each upload has come to another point."""
        cluster = self.cluster(3, 1)
        for size in SIZES:
            # One worker: a client that went to another would not find the connections that its first value has made.
            self.run_failover(cluster, self.proxy(cluster.addresses, workers=1, backend_command_timeout="20s"), size)

    def run_failover(self, cluster, proxy, size):
        names = ("header", "middle", "last", "probe", "dead")
        uploads = [Upload(self, proxy, "{failover}" + name, size) for name in names]
        header, middle, last, probe, dead = uploads
        primary = cluster.primary_of(slot_of("{failover}"))
        replica = cluster.replicas_of(primary)[0]
        # At once, so that each has its connection later.
        old = [encode("SET", upload.key, upload.old) for upload in uploads]
        for upload, request in zip(uploads, old):
            upload.client.send(request[:upload.header])
        wait_for_upload(primary, size, count=len(uploads))
        for upload, request in zip(uploads, old):
            upload.client.send(request[upload.header:])
            self.assertEqual(upload.client.read_value(), "OK")
        cluster.wait_replicated()
        header.send(header.header)
        wait_for_upload(primary, size)
        middle.send(size // 2)
        wait_for_upload(primary, size, size // 2 - middle.header)
        last.send(-REST)
        wait_for_upload(primary, size, size + 2 - REST)
        primary.pause()
        last.send()
        wait_for_unread(primary, REST)
        probe.send(probe.header)
        wait_for_unread(primary, len(encode("EXISTS", probe.key)))
        primary.kill()
        dead.send(dead.header + 1)
        not_run = "the command has not run: the connection to its node is down"
        header.finish(not_run)
        middle.finish(not_run)
        last.finish("the connection to the node broke before the reply came")
        probe.finish("OK")
        dead.finish("OK")
        self.assertEqual(replica.role(), "master")
        primary.restart()
        cluster.wait_healthy()


class Moves(TestCase):

    @classmethod
    def setUpClass(cls):
        cls.nodes = Cluster(3, 0)
        cls.addClassCleanup(cls.nodes.stop)

    def begin(self, size, tag, old=True, **options):
        """An upload, and the ends of its slot's move. The proxy knows the slots as they are."""
        self.key = "{%s%d}" % (tag, size)
        upload = Upload(self, self.proxy(self.nodes.addresses, **options), self.key, size)
        if old:
            upload.write_old()
        else:
            self.assertIsNone(upload.client.ask("GET", self.key))
        self.slot = slot_of(self.key)
        self.source = self.nodes.primary_of(self.slot)
        self.target = next(node for node in self.nodes.primaries() if node is not self.source)
        return upload

    def begin_move(self):
        self.target.command("CLUSTER", "SETSLOT", self.slot, "IMPORTING", self.source.id)
        self.source.command("CLUSTER", "SETSLOT", self.slot, "MIGRATING", self.target.id)

    def end_move(self):
        self.nodes.move_slot(self.slot, self.source, self.target)

    def move_key(self):
        reply = self.source.command("MIGRATE", "127.0.0.1", self.target.port, self.key, 0, 5000)
        self.assertIn(reply, (b"OK", "OK", True))

    def for_sizes(self, scenario):
        for size in SIZES:
            with self.subTest(size=size):
                scenario(size)

    def test_moved_before(self):
        def scenario(size):
            upload = self.begin(size, "moved")
            self.end_move()
            upload.finish("OK")
        self.for_sizes(scenario)

    def test_moved_at_the_first_byte(self):
        def scenario(size):
            upload = self.begin(size, "first")
            upload.send(upload.header)
            wait_for_upload(self.source, size)
            self.end_move()
            upload.finish("while a large value was on the way; send it again")
        self.for_sizes(scenario)

    def test_moved_in_the_middle(self):
        def scenario(size):
            upload = self.begin(size, "middle")
            upload.send(size // 2)
            wait_for_upload(self.source, size, size // 2 - upload.header)
            self.end_move()
            upload.finish("while a large value was on the way; send it again")
        self.for_sizes(scenario)

    def test_asked_before(self):
        """An old key that has gone ahead of its slot, and a new one."""
        def scenario(size):
            for old in (True, False):
                upload = self.begin(size, "asked%d" % old, old)
                self.begin_move()
                if old:
                    self.move_key()
                upload.finish("OK", old)
                self.end_move()
        self.for_sizes(scenario)

    def test_a_key_that_goes_ahead_in_the_middle(self):
        def scenario(size):
            for come in (0, size // 2):
                upload = self.begin(size, "ahead%d" % come)
                self.begin_move()
                upload.send(upload.header + come)
                wait_for_upload(self.source, size, come)
                self.move_key()
                upload.finish("while a large value was on the way; send it again")
                self.end_move()
        self.for_sizes(scenario)

    def test_a_move_that_ends_in_the_middle(self):
        """The value is on its way to where its slot goes."""
        def scenario(size):
            for come in (0, size // 2):
                upload = self.begin(size, "ends%d" % come)
                self.begin_move()
                self.move_key()
                upload.send(upload.header + come)
                wait_for_upload(self.target, size, come)
                self.end_move()
                upload.finish("OK")
        self.for_sizes(scenario)

    def test_a_move_that_is_given_up_in_the_middle(self):
        """The value is on its way to where its slot does not go after all."""
        def scenario(size):
            for come in (0, size // 2):
                upload = self.begin(size, "given_up%d" % come, old=False)
                self.begin_move()
                upload.send(upload.header + come)
                wait_for_upload(self.target, size, come)
                for node in (self.source, self.target):
                    node.command("CLUSTER", "SETSLOT", self.slot, "STABLE")
                upload.finish("while a large value was on the way; send it again", old=False)
        self.for_sizes(scenario)

    def test_what_waits_for_the_move_is_not_overtaken(self):
        """A request over keys at both ends waits until the move is over, and so does the large one behind it."""
        upload = self.begin(SIZES[0], "waits")
        there = self.key + "there"
        self.assertEqual(upload.client.ask("SET", there, "x"), "OK")
        self.begin_move()
        self.source.command("MIGRATE", "127.0.0.1", self.target.port, there, 0, 5000)
        upload.client.send(encode("DEL", self.key, there))
        upload.send()
        upload.client.send(encode("GET", self.key))
        self.assertTrue(upload.client.has_nothing_to_read(0.3))
        self.end_move()
        self.assertEqual([upload.client.read_value(), upload.client.read_value()], [2, "OK"])
        self.assertTrue(upload.client.read_value() == upload.new)

    def test_redirects_that_are_the_clients(self):
        def scenario(size):
            upload = self.begin(size, "clients", backend_auto_redirect="false", backend_refresh_interval="1h")
            self.end_move()
            upload.send()
            upload.client.send(encode("PING"))
            self.assertEqual(upload.client.read_reply(), b"-MOVED %d %s\r\n" % (self.slot, self.target.address.encode()))
            self.assertEqual(upload.client.read_value(), "PONG")
            self.assertTrue(self.target.command("GET", self.key) == upload.old)
        self.for_sizes(scenario)


if __name__ == "__main__":
    unittest.main()
