"""A PostgreSQL client in a few lines, for what no driver would do: half messages, sudden ends."""

import contextlib
import socket
import struct

import faults
from harness import HOST, LIMIT


def message(kind, body=b""):
    return kind.encode() + struct.pack("!i", len(body) + 4) + body


def text(*words):
    return b"".join(w.encode() + b"\0" for w in words)


def query(sql):
    return message("Q", text(sql))


def parse(name, sql):
    return message("P", text(name, sql) + b"\0\0")


def bind(name, *arguments, portal=""):
    values = b"".join(struct.pack("!i", len(a.encode())) + a.encode() for a in arguments)
    return message("B", text(portal, name) + struct.pack("!hh", 0, len(arguments)) + values + b"\0\0")


EXECUTE = message("E", text("") + b"\0\0\0\0")
SYNC = message("S")


class Raw:
    """One connection. Messages that come are (type, body)."""

    def __init__(self, port, login=True, user="app", database="app", host=HOST, **parameters):
        self.socket = socket.create_connection((host, port), timeout=LIMIT)
        self.buffer = b""
        self.key = None
        if login:
            pairs = {"user": user, "database": database, **parameters}
            body = text(*(w for pair in pairs.items() for w in pair)) + b"\0"
            self.send(struct.pack("!ii", len(body) + 8, 196608) + body)
            for kind, data in self.until_ready():
                if kind == "K":
                    self.key = struct.unpack("!ii", data)

    def send(self, *parts):
        self.socket.sendall(b"".join(parts))

    def receive(self):
        """One message, or None at the end."""
        while len(self.buffer) < 5 or len(self.buffer) < 1 + struct.unpack("!i", self.buffer[1:5])[0]:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self.buffer += data
        end = 1 + struct.unpack("!i", self.buffer[1:5])[0]
        kind, body, self.buffer = chr(self.buffer[0]), self.buffer[5:end], self.buffer[end:]
        return kind, body

    def until(self, kinds):
        """All messages up to one of these types; asserts that it comes."""
        seen = []
        while True:
            one = self.receive()
            assert one, f"the end instead of {kinds}, after {seen}"
            seen.append(one)
            if one[0] in kinds:
                return seen

    def until_ready(self):
        return self.until("Z")

    def until_end(self):
        seen = []
        while one := self.receive():
            seen.append(one)
        return seen

    def ask(self, sql):
        """The rows of a simple query, as tuples of texts."""
        self.send(query(sql))
        return [row(body) for kind, body in self.until_ready() if kind == "D"]

    def reset(self):
        faults.reset(self.socket)

    def close(self):
        with contextlib.suppress(OSError):
            self.send(message("X"))
        self.socket.close()


def row(body):
    values, at = [], 2
    for _ in range(struct.unpack("!h", body[:2])[0]):
        size = struct.unpack("!i", body[at:at + 4])[0]
        at += 4
        values.append(None if size < 0 else body[at:at + size].decode())
        at += max(size, 0)
    return tuple(values)


def error(messages):
    """{field letter: text} of the first ErrorResponse."""
    body = next(body for kind, body in messages if kind == "E")
    return {part[:1].decode(): part[1:].decode() for part in body.split(b"\0") if part}
