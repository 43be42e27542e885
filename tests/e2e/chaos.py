"""Load with a model: many connections, each the only writer of its keys, every reply checked (see model.py).

    chaos.py --port PORT [--connections N] [--seed N] [--rate N] [--groups 0-8191,8192-16383] ...

Runs until it reads "stop" on its standard input, or for --seconds; then reads every key once more and prints a report as
one line of JSON. Other words on the standard input, each answered by "ok": "lossy 0-5460,9000-9000" declares that
acknowledged writes to these slots may be lost from now on; "strict" ends that for keys used later.
Exit code 1 when a reply was wrong; the report names the seed.
"""
import argparse
import json
import random
import selectors
import socket
import sys
import time

from cluster import slot_of
from model import Counter, Register, Sequence
from raw import Incomplete, Malformed, ReplyError, decode, encode

TAGS = [b"t%d" % index for index in range(256)]
SLOT_OF_TAG = {tag: slot_of(tag) for tag in TAGS}
_REGISTERS, _COUNTERS, _SEQUENCES = 24, 6, 4
_MAX_ERRORS_LISTED = 400


def parse_ranges(text):
    """"0-5460,9000-9000" as a set of slots."""
    slots = set()
    for part in text.split(","):
        first, last = part.split("-")
        slots.update(range(int(first), int(last) + 1))
    return slots


class Wrong(Exception):
    """A reply that cannot be right."""


class Operation:
    """One request on its way. `check(reply)`: what is wrong, or None; `unknown()`: it may have happened, or still may."""

    __slots__ = ("request", "keys", "check", "unknown", "sent_at")

    def __init__(self, request, keys, check, unknown):
        self.request, self.keys, self.check, self.unknown = request, keys, check, unknown
        self.sent_at = 0.0


class Keys:
    """The keys of one connection, and the operations on them."""

    def __init__(self, number, generator, tags, lossy_slots):
        self._number, self._generator, self._tags = number, generator, tags
        self._lossy_slots = lossy_slots
        self._created = 0
        self.retired = []
        self._live = {Register: [self._create(Register) for _ in range(_REGISTERS)],
                      Counter: [self._create(Counter) for _ in range(_COUNTERS)],
                      Sequence: [self._create(Sequence) for _ in range(_SEQUENCES)]}
        self._kinds = [self._set, self._get, self._get, self._incr, self._push, self._range, self._counter,
                       self._mget, self._mset, self._delete, self._exists]

    def _create(self, kind):
        tag = self._generator.choice(self._tags)
        self._created += 1
        key = kind(b"{%s}:%s:%d:%d" % (tag, kind.__name__.lower().encode(), self._number, self._created), SLOT_OF_TAG[tag])
        key.lossy = key.slot in self._lossy_slots
        return key

    def all(self):
        return [key for keys in self._live.values() for key in keys] + self.retired

    def retire(self, keys):
        """Keys that a write may still reach are written no more: what they hold is checked at the end."""
        for key in keys:
            live = self._live[type(key)]
            if key in live:
                live[live.index(key)] = self._create(type(key))
                self.retired.append(key)

    def declare_lossy(self, slots):
        for key in self.all():
            key.lossy = key.lossy or key.slot in slots

    def retire_lossy(self):
        self.retire([key for keys in self._live.values() for key in list(keys) if key.lossy])

    def next_operation(self):
        return self._generator.choice(self._kinds)()

    def _one(self, kind):
        return self._generator.choice(self._live[kind])

    def _some(self):
        """Different registers, often of one slot."""
        keys = self._generator.sample(self._live[Register], self._generator.randrange(1, 8))
        if self._generator.random() < 0.3:
            keys = [key for key in self._live[Register] if key.slot == keys[0].slot]
        return keys

    # The operations

    def _set(self):
        key = self._one(Register)
        value = key.next_value()

        def check(reply):
            key.wrote(value)
            return None if reply == "OK" else "SET was answered by %r" % (reply,)
        return Operation(encode(b"SET", key.name, value), [key], check, lambda: key.may_write(value))

    def _get(self):
        key = self._one(Register)
        return Operation(encode(b"GET", key.name), [key], lambda reply: _read(key, reply), None)

    def _incr(self):
        key = self._one(Counter)
        return Operation(encode(b"INCR", key.name), [key], key.incremented, key.may_increment)

    def _counter(self):
        key = self._one(Counter)
        return Operation(encode(b"GET", key.name), [key], lambda reply: _read(key, reply), None)

    def _push(self):
        key = self._one(Sequence)
        if key.is_long():
            self.retire([key])
            key = self._one(Sequence)
        element = key.next_element()
        return Operation(encode(b"RPUSH", key.name, element), [key], lambda reply: key.pushed(element, reply),
                         lambda: key.may_push(element))

    def _range(self):
        key = self._one(Sequence)
        return Operation(encode(b"LRANGE", key.name, 0, -1), [key], lambda reply: _read(key, reply), None)

    def _mget(self):
        keys = self._some()

        def check(reply):
            if not isinstance(reply, list) or len(reply) != len(keys):
                return "MGET of %d keys was answered by %r" % (len(keys), reply)
            return next(filter(None, (_read(key, value) for key, value in zip(keys, reply))), None)
        return Operation(encode(b"MGET", *[key.name for key in keys]), keys, check, None)

    def _mset(self):
        keys = self._some()
        values = [key.next_value() for key in keys]

        def check(reply):
            for key, value in zip(keys, values):
                key.wrote(value)
            return None if reply == "OK" else "MSET was answered by %r" % (reply,)

        def unknown():
            for key, value in zip(keys, values):
                key.may_write(value)
        pairs = [part for key, value in zip(keys, values) for part in (key.name, value)]
        return Operation(encode(b"MSET", *pairs), keys, check, unknown)

    def _delete(self):
        keys = self._some()[:3]

        def check(reply):
            wrong = _count(keys, reply)
            for key in keys:
                key.wrote(None)
            return wrong

        def unknown():
            for key in keys:
                key.may_write(None)
        command = self._generator.choice((b"DEL", b"UNLINK"))
        return Operation(encode(command, *[key.name for key in keys]), keys, check, unknown)

    def _exists(self):
        keys = self._some()
        return Operation(encode(b"EXISTS", *[key.name for key in keys]), keys, lambda reply: _count(keys, reply), None)


def _read(key, reply):
    expected = list if isinstance(key, Sequence) else (bytes, type(None))
    if not isinstance(reply, expected):
        return "reading %r was answered by %r" % (key.name, reply)
    return key.read(reply)


def _count(keys, reply):
    """DEL, UNLINK and EXISTS say how many of the keys there were."""
    least = sum(1 for key in keys if not key.may_exist()[0])
    most = sum(1 for key in keys if key.may_exist()[1])
    if isinstance(reply, int) and least <= reply <= most:
        return None
    return "a count of %r for %r; possible: %d to %d" % (reply, [key.name for key in keys], least, most)


class Connection:
    """One client: sends batches, checks the replies in their order."""

    def __init__(self, address, number, keys, generator, report):
        self.number, self.keys = number, keys
        self._address, self._generator, self._report = address, generator, report
        self._depth = generator.choice((1, 4, 16, 64))
        self._connect()

    def _connect(self):
        self.socket = socket.create_connection(self._address, 5)
        self.socket.setblocking(False)
        self.waiting, self._next = [], 0
        self._received, self._unsent = bytearray(), b""

    def outstanding(self):
        return len(self.waiting) - self._next

    def oldest_sent_at(self):
        return self.waiting[self._next].sent_at if self.outstanding() else None

    def wants_more(self):
        return self.outstanding() <= self._depth // 4 and not self._unsent

    def has_unsent(self):
        return bool(self._unsent)

    def send_batch(self):
        del self.waiting[:self._next]
        self._next = 0
        batch = [self.keys.next_operation() for _ in range(self._generator.randrange(1, self._depth + 1))]
        now = time.monotonic()
        for operation in batch:
            operation.sent_at = now
        self.waiting += batch
        self._unsent = b"".join(operation.request for operation in batch)
        self.flush()
        return len(batch)

    def flush(self):
        try:
            self._unsent = self._unsent[self.socket.send(self._unsent):]
        except BlockingIOError:
            pass

    def receive(self):
        try:
            data = self.socket.recv(1 << 18)
        except BlockingIOError:
            return
        if not data:
            raise Wrong("the proxy closed connection %d" % self.number)
        self._received += data
        position = 0
        try:
            while position < len(self._received):
                reply, position = decode(self._received, position)
                self._take(reply)
        except Incomplete:
            pass
        del self._received[:position]

    def _take(self, reply):
        if not self.outstanding():
            raise Wrong("a reply nobody asked for: %r" % (reply,))
        operation = self.waiting[self._next]
        self._next += 1
        self._report.replied(self.number, operation)
        if isinstance(reply, ReplyError):
            self._report.failed(operation, reply.args[0])
            self._doubt(operation)
            return
        wrong = operation.check(reply)
        if wrong:
            raise Wrong("%s (connection %d, request %r)" % (wrong, self.number, operation.request[:120]))

    def _doubt(self, operation):
        if operation.unknown is not None:
            operation.unknown()
            self.keys.retire(operation.keys)

    def cut(self):
        """Closes in the middle of everything, and comes back."""
        self.socket.close()
        doubtful = self.waiting[self._next:]
        for operation in doubtful:
            self._doubt(operation)
        self._connect()


class Report:
    """What is told in the end."""

    def __init__(self, seed):
        self.seed = seed
        self.operations = 0
        self.error_count = 0
        self.errors = []
        self.wrong = None
        self.slowest = {}
        self.slots_used = {}
        self.final = []

    def replied(self, number, operation):
        self.operations += 1
        taken = time.monotonic() - operation.sent_at
        if taken > self.slowest.get(number, 0):
            self.slowest[number] = taken

    def failed(self, operation, text):
        self.error_count += 1
        if len(self.errors) < _MAX_ERRORS_LISTED:
            self.errors.append({"sent_at": operation.sent_at, "at": time.monotonic(), "text": text,
                                "command": operation.request.split(b"\r\n", 3)[2].decode(),
                                "slots": sorted({key.slot for key in operation.keys})})

    def write(self, out):
        out.write(json.dumps(self.__dict__) + "\n")
        out.flush()


class Load:

    def __init__(self, options):
        self._options = options
        self._address = (options.host, options.port)
        self.report = Report(options.seed)
        self._lossy_slots = set()
        self._stopping = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(sys.stdin, selectors.EVENT_READ)
        groups = [parse_ranges(group) for group in options.groups.split(";")] if options.groups else []
        self._connections = []
        for number in range(options.connections):
            # The first half keeps to the slots of one group each; the other half uses all.
            group = groups[number % len(groups)] if groups and number < options.connections // 2 else None
            tags = [tag for tag in TAGS if group is None or SLOT_OF_TAG[tag] in group]
            generator = random.Random("%d/%d" % (options.seed, number))
            keys = Keys(number, generator, tags, self._lossy_slots)
            connection = Connection(self._address, number, keys, generator, self.report)
            self.report.slots_used[number] = sorted({SLOT_OF_TAG[tag] for tag in tags})
            self._connections.append(connection)
            self._selector.register(connection.socket, selectors.EVENT_READ, connection)
        self._generator = random.Random(options.seed)

    def run(self):
        try:
            self._run_until_stopped()
            self._read_everything()
        except (Wrong, Malformed, OSError) as error:
            self.report.wrong = "%s: %s" % (type(error).__name__, error)

    def _run_until_stopped(self):
        started = time.monotonic()
        sent = 0
        next_cut = started + self._options.cut_every if self._options.cut_every else None
        while not self._stopping or any(connection.outstanding() for connection in self._connections):
            now = time.monotonic()
            self._stopping = self._stopping or now - started > self._options.seconds
            if not self._stopping:
                sent += self._send_more((now - started) * self._options.rate - sent)
            if next_cut and now > next_cut and not self._stopping:
                self._cut_one()
                next_cut = now + self._options.cut_every
            self._turn()
            self._check_hang()

    def _send_more(self, allowance):
        sent = 0
        for connection in self._generator.sample(self._connections, len(self._connections)):
            if sent >= allowance:
                break
            if connection.wants_more():
                sent += connection.send_batch()
        return sent

    def _turn(self):
        for ready, _ in self._selector.select(0.002):
            if ready.data is None:
                self._obey(sys.stdin.readline().split())
            else:
                ready.data.receive()
        for connection in self._connections:
            if connection.has_unsent():
                connection.flush()

    def _obey(self, words):
        if not words or words[0] == "stop":
            self._selector.unregister(sys.stdin)
            self._stopping = True
            return
        if words[0] == "lossy":
            slots = parse_ranges(words[1])
            self._lossy_slots |= slots
            for connection in self._connections:
                connection.keys.declare_lossy(slots)
        elif words[0] == "strict":
            self._lossy_slots.clear()
            for connection in self._connections:
                connection.keys.retire_lossy()
        print("ok", flush=True)

    def _check_hang(self):
        now = time.monotonic()
        for connection in self._connections:
            oldest = connection.oldest_sent_at()
            if oldest is not None and now - oldest > self._options.hang_after:
                raise Wrong("no reply for %.1f s on connection %d to %r"
                            % (now - oldest, connection.number, connection.waiting[connection._next].request[:120]))

    def _cut_one(self):
        connection = self._generator.choice(self._connections)
        self._selector.unregister(connection.socket)
        connection.cut()
        self._selector.register(connection.socket, selectors.EVENT_READ, connection)

    def _read_everything(self):
        """Each key once more, on a connection of its own; what it holds goes into the report too."""
        keys = [key for connection in self._connections for key in connection.keys.all()]
        with socket.create_connection(self._address, 5) as reader:
            reader.settimeout(self._options.hang_after)
            for start in range(0, len(keys), 200):
                self._read_some(reader, keys[start:start + 200])

    def _read_some(self, reader, keys):
        reader.sendall(b"".join(read_request(key.read_command, key.name) for key in keys))
        received = bytearray()
        position = 0
        for key in keys:
            while True:
                try:
                    reply, position = decode(received, position)
                    break
                except Incomplete:
                    data = reader.recv(1 << 18)
                    if not data:
                        raise Wrong("the proxy closed the connection of the last reads")
                    received += data
            wrong = _read(key, reply)
            if wrong:
                raise Wrong("at the end: " + wrong)
            self.report.final.append([key.read_command.decode(), key.name.decode(), _text(reply)])


def read_request(command, name):
    return encode(command, name) if command == b"GET" else encode(command, name, 0, -1)


def _text(reply):
    return [element.decode() for element in reply] if isinstance(reply, list) else reply and reply.decode()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rate", type=float, default=10000, help="requests per second, all connections")
    parser.add_argument("--groups", default="", help="slot ranges; sets of them parted by ';'")
    parser.add_argument("--cut-every", type=float, default=0, help="close a connection and reopen it that often (s)")
    parser.add_argument("--hang-after", type=float, default=20, help="seconds without a reply that are a bug")
    load = Load(parser.parse_args())
    load.run()
    load.report.write(sys.stdout)
    sys.exit(load.report.wrong is not None)


if __name__ == "__main__":
    main()
