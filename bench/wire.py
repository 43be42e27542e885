"""A minimal RESP connection: enough to set servers up, to ask them questions and to hold clients open."""

import socket


class ErrorReply(Exception):
    """The server answered, and the answer is an error."""


def endpoint_of(address):
    host, port = address.rsplit(":", 1)
    return host, int(port)


def accepts(address):
    try:
        with socket.create_connection(endpoint_of(address), timeout=1):
            return True
    except OSError:
        return False


def ask(address, *words, timeout=5):
    """One command over a connection of its own."""
    with Wire(address, timeout) as wire:
        return wire.ask(*words)


class Wire:
    """Blocking; an operation that takes longer than the timeout raises OSError."""

    def __init__(self, address, timeout=5):
        self._socket = socket.create_connection(endpoint_of(address), timeout)
        self._replies = self._socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._replies.close()
        self._socket.close()

    def ask(self, *words):
        self.send(*words)
        return self.read()

    def send(self, *words):
        parts = [f"*{len(words)}\r\n".encode()]
        for word in words:
            text = str(word).encode()
            parts.append(b"$%d\r\n%s\r\n" % (len(text), text))
        self._socket.sendall(b"".join(parts))

    def read(self):
        line = self._replies.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        kind, rest = line[:1], line[1:-2].decode(errors="replace")
        if kind == b"-":
            raise ErrorReply(rest)
        if kind == b":":
            return int(rest)
        if kind in b"$=":
            return self._read_bulk(int(rest))
        if kind == b"*":
            return [self.read() for _ in range(int(rest))]
        return rest

    def _read_bulk(self, length):
        if length < 0:
            return None
        return self._replies.read(length + 2)[:-2].decode(errors="replace")
