"""PostgreSQL's protocol 3 from the client's side, message by message, for tests that want every byte.

Nothing is hidden: a Session sends the bytes it is given and gives back the messages that come, as
(type, body). Builders make messages; `describe` makes one readable in a failed assertion.
"""

import base64
import hashlib
import hmac
import os
import re
import socket
import struct

from harness import HOST, LIMIT

PROTOCOL = 196608
SSL_REQUEST = struct.pack("!II", 8, 80877103)


def message(kind, body=b""):
    return kind.encode() + struct.pack("!I", len(body) + 4) + body


def text(value):
    return (value if isinstance(value, bytes) else value.encode()) + b"\0"


def startup(parameters, version=PROTOCOL):
    body = struct.pack("!I", version)
    for name, value in parameters.items():
        body += text(name) + text(value)
    body += b"\0"
    return struct.pack("!I", len(body) + 4) + body


def cancel_request(pid, key):
    return struct.pack("!IIII", 16, 80877102, pid, key)


def query(sql):
    return message("Q", text(sql))


def parse(name, sql, types=()):
    return message("P", text(name) + text(sql) + struct.pack(f"!H{len(types)}I", len(types), *types))


def bind(portal, statement, parameters=(), binary=False):
    body = text(portal) + text(statement) + struct.pack("!HH", 0, len(parameters))
    for p in parameters:
        raw = None if p is None else p if isinstance(p, bytes) else str(p).encode()
        body += struct.pack("!i", -1) if raw is None else struct.pack("!i", len(raw)) + raw
    return message("B", body + (struct.pack("!HH", 1, 1) if binary else struct.pack("!H", 0)))


def describe_statement(name):
    return message("D", b"S" + text(name))


def describe_portal(name):
    return message("D", b"P" + text(name))


def close_statement(name):
    return message("C", b"S" + text(name))


def close_portal(name):
    return message("C", b"P" + text(name))


def execute(portal="", rows=0):
    return message("E", text(portal) + struct.pack("!I", rows))


def sync():
    return message("S")


def flush():
    return message("H")


def copy_data(data):
    return message("d", data)


def copy_done():
    return message("c")


def copy_fail(why="no more"):
    return message("f", text(why))


def terminate():
    return message("X")


def error_fields(body):
    """{'S': 'ERROR', 'C': '42601', ...} of an ErrorResponse or NoticeResponse."""
    return {f[:1].decode(): f[1:].decode("utf-8", "replace") for f in body.split(b"\0") if f}


def show(message_read):
    """For people: one message."""
    kind, body = message_read
    if kind in "EN":
        fields = error_fields(body)
        return f"{kind} {fields.get('S')} {fields.get('C')}: {fields.get('M')}"
    return f"{kind} {body[:60]!r}"


class Closed(Exception):
    """The other side closed the connection."""


class Refused(AssertionError):
    """An error at login."""

    def __init__(self, body):
        self.fields = error_fields(body)
        super().__init__(f"at login: {show(('E', body))}")


class Session:
    """A connection; logged in unless told otherwise."""

    def __init__(self, port, user="app", password="app-secret", database="app", login=True, limit=LIMIT, **parameters):
        self.socket = socket.create_connection((HOST, port), limit)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pending = b""
        self.parameters = {}
        self.notices = []  # at login
        self.key = None
        self.authenticated = False
        if login:
            self.send(startup({"user": user, "database": database, **parameters}))
            self.log_in(user, password)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, *messages):
        self.socket.sendall(b"".join(messages))

    def send_in_pieces(self, data, size=1):
        """So that the other side's reads may end anywhere."""
        for at in range(0, len(data), size):
            self.socket.sendall(data[at:at + size])

    def _receive(self):
        try:
            got = self.socket.recv(1 << 18)
        except ConnectionError:
            got = b""
        if not got:
            raise Closed(f"closed with {self.pending!r} unread")
        self.pending += got

    def ask_byte(self, data):
        """What answers a request for encryption."""
        self.send(data)
        self._receive()
        answer, self.pending = self.pending, b""
        return answer

    def read(self):
        """The next message."""
        while len(self.pending) < 5:
            self._receive()
        kind, length = chr(self.pending[0]), struct.unpack("!I", self.pending[1:5])[0]
        while len(self.pending) < 1 + length:
            self._receive()
        body, self.pending = self.pending[5:1 + length], self.pending[1 + length:]
        return kind, body

    def read_until(self, kind="Z", times=1):
        """All messages up to the `times`th of the kind."""
        found = []
        while times:
            try:
                found.append(self.read())
            except Closed as e:
                raise Closed(f"{e}; before that {[show(m) for m in found[-3:]]}") from None
            times -= found[-1][0] == kind
        return found

    def read_to_end(self):
        """All messages until the other side closes."""
        found = []
        try:
            while True:
                found.append(self.read())
        except Closed:
            return found

    def ask(self, *messages, ready=1):
        """Sends, and gives all messages up to that many ReadyForQuery."""
        self.send(*messages)
        return self.read_until("Z", ready)

    def rows(self, sql):
        """A simple query's rows as lists of texts; AssertionError for an error."""
        return rows_of(self.ask(query(sql)))

    # -- login --

    def log_in(self, user, password):
        while True:
            kind, body = self.read()
            if kind == "R":
                self._authenticate(struct.unpack("!I", body[:4])[0], body[4:], password)
            elif kind == "S":
                name, value = body.split(b"\0")[:2]
                self.parameters[name.decode()] = value.decode()
            elif kind == "K":
                self.key = struct.unpack("!II", body)
            elif kind == "Z":
                return
            elif kind == "E":
                raise Refused(body)
            elif kind == "N":
                self.notices.append(error_fields(body))
            else:
                assert kind in "v", f"at login: {show((kind, body))}"

    def _authenticate(self, what, body, password):
        if what == 0:
            self.authenticated = True
            return
        if what == 10:
            assert b"SCRAM-SHA-256" in body.split(b"\0")
            self.scram = Scram(password)
            first = self.scram.first()
            self.send(message("p", text("SCRAM-SHA-256") + struct.pack("!I", len(first)) + first))
        elif what == 11:
            self.send(message("p", self.scram.final(body)))
        else:
            assert what == 12, f"authentication {what}"


class Scram:
    """SCRAM-SHA-256 (RFC 7677), without checking the server."""

    def __init__(self, password):
        self.password = password.encode()
        self.nonce = base64.b64encode(os.urandom(18))

    def first(self):
        self.bare = b"n=,r=" + self.nonce
        return b"n,," + self.bare

    def final(self, challenge):
        fields = dict(f.split(b"=", 1) for f in challenge.split(b","))
        salted = hashlib.pbkdf2_hmac("sha256", self.password, base64.b64decode(fields[b"s"]), int(fields[b"i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        without_proof = b"c=biws,r=" + fields[b"r"]
        signed = self.bare + b"," + challenge + b"," + without_proof
        signature = hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")
        proof = bytes(a ^ b for a, b in zip(key, signature))
        return without_proof + b",p=" + base64.b64encode(proof)


def row(body):
    """A DataRow's columns as texts."""
    columns, at = [], 2
    for _ in range(struct.unpack("!H", body[:2])[0]):
        length = struct.unpack("!i", body[at:at + 4])[0]
        at += 4
        columns.append(None if length < 0 else body[at:at + length].decode())
        at += max(length, 0)
    return columns


def rows_of(messages):
    errors = [show(m) for m in messages if m[0] == "E"]
    assert not errors, errors
    return [row(body) for kind, body in messages if kind == "D"]


_OUR_NAMES = re.compile(rb'prepared statement "[^"]*"')
_PLACE = re.compile(rb"(?<=\0)[FLR][^\0]*\0")


def comparable(messages):
    """Without what must differ from connection to connection: the key; in errors the names under
    which a pooler's server knows a client's statements, and the place in PostgreSQL's source (a
    statement that is prepared again fails there instead of where it is bound)."""
    def body_of(kind, body):
        if kind == "K":
            return b""
        return _PLACE.sub(b"", _OUR_NAMES.sub(b"prepared statement", body)) if kind in "EN" else body

    return [(kind, body_of(kind, body)) for kind, body in messages]


FAILED_TRANSACTION = "25P02"


def assert_same(direct, through, what=""):
    """Message by message, with a useful difference. In a failed transaction nothing can be prepared:
    what fails anyway may fail for that reason."""
    direct, through = comparable(direct), comparable(through)
    for i, (a, b) in enumerate(zip(direct, through)):
        if a != b and not (a[0] == b[0] == "E" and error_fields(b[1])["C"] == FAILED_TRANSACTION):
            around = "\n".join("    " + show(m) for m in direct[max(0, i - 5):i])
            raise AssertionError(f"{what}\nmessage {i} differs; before it:\n{around}\n"
                                 f"  direct:  {show(a)}\n  through: {show(b)}")
    assert len(direct) == len(through), (
        f"{what}\n{len(direct)} messages direct, {len(through)} through the gate; the rest:\n"
        + "\n".join("    " + show(m) for m in (direct[len(through):] or through[len(direct):])[:10]))
