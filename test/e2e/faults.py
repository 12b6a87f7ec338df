"""Paths that fail in chosen ways, and somebody who asks for health all the while."""

import contextlib
import ctypes
import datetime
import socket
import struct
import threading
import time

from harness import HOST, LIMIT

_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27
_LINGER_0 = struct.pack("ii", 1, 0)

# What one request for health may need at most: the bound of a test on a loaded machine under
# sanitizers, not the promise, which is milliseconds.
HEALTH_LIMIT = 5


def go_deaf(s):
    """The kernel drops every packet for this socket from now on: nothing is acknowledged, as if the
    machine at this end had gone without a word."""
    code = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # ret 0
    s.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(code)))


class BlackHole:
    """A port whose kernel drops every packet, the SYN first, as an exhausted path does; until lifted,
    when it passes on to `target`."""

    def __init__(self, target=None):
        self.listener = socket.create_server((HOST, 0))
        self.port = self.listener.getsockname()[1]
        go_deaf(self.listener)
        self.target = target
        self.proxy = None

    def lift(self):
        self.listener.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
        self.proxy = Proxy(self.target, listener=self.listener)

    def close(self):
        if self.proxy:
            self.proxy.close()
        self.listener.close()


class Proxy:
    """Passes bytes between its port and `target`, but for what `rule` says.

    rule(proxy, connection, from_client, data) is called for each piece read, and gives the bytes to
    pass on, or None to reset both sides. `connection` counts from 0.
    """

    def __init__(self, target, rule=None, listener=None):
        self.target = target
        self.rule = rule or (lambda proxy, connection, from_client, data: data)
        self.listener = listener or socket.create_server((HOST, 0))
        self.port = self.listener.getsockname()[1]
        self.connections = 0
        self.sockets = []
        self.lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection((HOST, self.target), timeout=LIMIT)
            except OSError:
                reset(client)
                continue
            server.settimeout(None)
            with self.lock:
                number = self.connections
                self.connections += 1
                self.sockets += [client, server]
            for ends in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pass, args=(number, *ends), daemon=True).start()

    def _pass(self, number, source, to, from_client):
        with contextlib.suppress(OSError):
            while True:
                data = source.recv(65536)
                if data:
                    data = self.rule(self, number, from_client, data)
                    if data is None:
                        break
                    to.sendall(data)
                else:
                    to.shutdown(socket.SHUT_WR)
                    return
        reset(source)
        reset(to)

    def cut(self):
        """Resets all that is open; new connections pass."""
        with self.lock:
            sockets, self.sockets = self.sockets, []
        for s in sockets:
            reset(s)

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()


def reset(s):
    """Closes with RST, and wakes up whoever reads from it."""
    with contextlib.suppress(OSError):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
        s.shutdown(socket.SHUT_RDWR)
    s.close()


@contextlib.contextmanager
def silent_port():
    """A port that accepts, in the kernel, and never says a word."""
    with socket.create_server((HOST, 0), backlog=128) as s:
        yield s.getsockname()[1]


class Watch:
    """Asks /live, /startup and /health without a pause; each must answer until the program ends."""

    PATHS = ("/live", "/startup", "/health")

    def __init__(self, standpipe):
        self.standpipe = standpipe
        self.answers = 0
        self.failures = []  # (wall clock, path, what)
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._ask_all, daemon=True)

    def __enter__(self):
        # From here on: the socket is bound by PID 1 or the gate, a moment after the start.
        self.standpipe.wait_get("/live")
        self.answers += 1
        self.thread.start()
        return self

    def _ask_all(self):
        while not self.done.is_set():
            for path in self.PATHS:
                try:
                    answer = self.standpipe.get(path, limit=HEALTH_LIMIT)
                    assert path != "/live" or answer.status == 200, answer.body
                    assert answer.json is not None
                    self.answers += 1
                except Exception as e:  # pylint: disable=broad-except
                    self.failures.append((time.time(), path, f"{type(e).__name__}: {e}"))
            self.done.wait(0.02)

    def __exit__(self, kind, value, trace):
        self.done.set()
        self.thread.join(LIMIT)
        if kind is None:
            self.check()

    def check(self):
        ended = [e["time"] for e in self.standpipe.log() if e.get("message") in ("ends", "stopping")]
        until = datetime.datetime.fromisoformat(ended[0].replace("Z", "+00:00")).timestamp() if ended else None
        early = [f for f in self.failures if until is None or f[0] < until]
        assert not early, f"no answer: {early}\n{self.standpipe.text}"
