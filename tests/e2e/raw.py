"""A RESP client of bytes: sends what it is told to, reads exactly one reply at a time, keeps what it was on the wire."""
import socket
import struct
import time


class ReplyError(Exception):
    """An error reply, its text without the leading '-'. A value like others: it is returned, not raised."""

    def __eq__(self, other):
        return isinstance(other, ReplyError) and self.args == other.args

    __hash__ = Exception.__hash__


class Push(list):
    """An out-of-band value of RESP3."""


class Pairs(list):
    """A map of RESP3, as (key, value) pairs in the order sent."""


class Incomplete(Exception):
    """The buffer ends inside a value; at least `needed` bytes in all are wanted."""

    def __init__(self, needed):
        super().__init__(needed)
        self.needed = needed


class Malformed(Exception):
    """Not RESP."""


def encode(*arguments):
    """A request, as an array of bulk strings."""
    parts = [b"*%d\r\n" % len(arguments)]
    for argument in arguments:
        if not isinstance(argument, bytes):
            argument = str(argument).encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(argument), argument))
    return b"".join(parts)


def decode(buffer, position=0):
    """The value at `position` and where the next one begins. Strings are bytes, simple strings str, nulls None."""
    end = buffer.find(b"\r\n", position)
    if end < 0:
        raise Incomplete(len(buffer) + 1)
    kind = buffer[position]
    line = bytes(buffer[position + 1:end])
    after = end + 2
    try:
        if kind in b"$=!":
            return _decode_blob(buffer, kind, int(line), after)
        if kind == 0x3a:  # ':'
            return int(line), after
        if kind == 0x2b:  # '+'
            return line.decode("latin-1"), after
        if kind in b"*~>":
            return _decode_list(buffer, kind, int(line), after)
        if kind == 0x2d:  # '-'
            return ReplyError(line.decode("latin-1")), after
        if kind == 0x25:  # '%'
            flat, after = _decode_list(buffer, 0x2a, 2 * int(line), after)
            return Pairs(zip(flat[::2], flat[1::2])), after
        if kind == 0x5f:  # '_'
            return None, after
        if kind == 0x23:  # '#'
            return {b"t": True, b"f": False}[line], after
        if kind == 0x2c:  # ','
            return float(line), after
        if kind == 0x28:  # '('
            return int(line), after
    except (ValueError, KeyError) as error:
        raise Malformed("%r" % bytes(buffer[position:end])) from error
    raise Malformed("%r" % bytes(buffer[position:position + 80]))


def _decode_blob(buffer, kind, length, start):
    if length < 0:
        return None, start
    end = start + length
    if len(buffer) < end + 2:
        raise Incomplete(end + 2)
    if buffer[end:end + 2] != b"\r\n":
        raise Malformed("a string of %d bytes that goes on: %r" % (length, bytes(buffer[end - 20:end + 20])))
    blob = bytes(buffer[start:end])
    if kind == 0x3d:  # '='
        return blob[4:], end + 2
    return (ReplyError(blob.decode("latin-1")) if kind == 0x21 else blob), end + 2


def _decode_list(buffer, kind, count, position):
    if count < 0:
        return None, position
    items = Push() if kind == 0x3e else []
    for _ in range(count):
        item, position = decode(buffer, position)
        items.append(item)
    return items, position


class RawClient:
    """`address`: (host, port), or the path of a unix socket. Every read is bounded by `timeout` seconds."""

    def __init__(self, address, timeout=5):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.timeout = timeout
        self.socket = socket.socket(family)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(address)
        except OSError:
            self.socket.close()
            raise
        self._buffer = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Ends the connection at once, whatever is under way: with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def send(self, data):
        self.socket.sendall(data)

    def read_reply(self, timeout=None):
        """The next reply, as the bytes it was on the wire."""
        return self._read(timeout)[0]

    def read_value(self, timeout=None):
        """The next reply, decoded."""
        return self._read(timeout)[1]

    def call(self, *arguments, timeout=None):
        """Sends one request and returns its reply as bytes."""
        self.send(encode(*arguments))
        return self.read_reply(timeout)

    def ask(self, *arguments, timeout=None):
        """Sends one request and returns its reply decoded."""
        self.send(encode(*arguments))
        return self.read_value(timeout)

    def _read(self, timeout):
        deadline = time.monotonic() + (timeout or self.timeout)
        while True:
            try:
                value, length = decode(self._buffer)
                reply = bytes(self._buffer[:length])
                del self._buffer[:length]
                return reply, value
            except Incomplete as incomplete:
                self._receive(incomplete.needed, deadline)

    def _receive(self, needed, deadline):
        while len(self._buffer) < needed:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("no whole reply in time; have %r" % bytes(self._buffer[:200]))
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(1 << 20)
            except socket.timeout:
                continue
            finally:
                self.socket.settimeout(self.timeout)
            if not data:
                raise ConnectionError("closed by the server; have %r" % bytes(self._buffer[:200]))
            self._buffer += data

    def read_until_closed(self, timeout=None):
        """All bytes up to the server's close; raises when it does not close in time. A reset counts as a close."""
        deadline = time.monotonic() + (timeout or self.timeout)
        try:
            while True:
                self._receive(len(self._buffer) + 1, deadline)
        except ConnectionError:
            return bytes(self._buffer)

    def has_nothing_to_read(self, seconds=0.1):
        """True when the server stays silent that long."""
        if self._buffer:
            return False
        self.socket.settimeout(seconds)
        try:
            self._buffer += self.socket.recv(1 << 16)
            return False
        except socket.timeout:
            return True
        finally:
            self.socket.settimeout(self.timeout)
