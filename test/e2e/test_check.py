"""io/check against real servers: the C program test/io/probe asks one check on a real loop."""

import asyncio
import base64
import contextlib
import hashlib
import http.server
import os
import signal
import socket
import ssl
import threading

import pytest
import websockets

import harness
from harness import HOST, Program, process_exists, wait_until


class Result:
    def __init__(self, code, line):
        self.code = code
        self.ok = line == "ok"
        parts = line.split("\t")
        self.stage, self.number, self.sqlstate, self.origin, self.text = (
            (parts[0], int(parts[1]), parts[2], parts[3], parts[4]) if len(parts) == 5 else (line, 0, "", "", ""))

    def __repr__(self):
        return f"<{'ok' if self.ok else ''}{self.stage} {self.number} {self.sqlstate} {self.origin}: {self.text}>"


@pytest.fixture
def probe():
    programs = []
    path = harness.test_program("io/io_probe", "STANDPIPE_IO_PROBE")

    def ask(target, timeout_ms=20000, cancel_ms=None, env=None, wait=True):
        program = Program([path, str(timeout_ms), target, *([str(cancel_ms)] if cancel_ms is not None else [])],
                          env=harness.clean_environment(**(env or {})))
        programs.append(program)
        if not wait:
            return program
        code = program.wait()
        assert code in (0, 2), program.text
        program.check_sanitizers()
        return Result(code, program.stdout_lines[-1])

    yield ask
    for program in programs:
        program.stop(signal.SIGKILL)


@contextlib.contextmanager
def silent_port():
    """A port that accepts, in the kernel, and never says a word."""
    with socket.create_server((HOST, 0)) as s:
        yield s.getsockname()[1]


@contextlib.contextmanager
def full_port():
    """A port whose backlog is full: the kernel drops SYNs, as an exhausted path does."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind((HOST, 0))
        server.listen(0)
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield server.getsockname()[1]


@contextlib.contextmanager
def raw_server(answer, read_first=True):
    """Answers each connection with these bytes, then closes."""
    server = socket.create_server((HOST, 0))

    def serve():
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                if read_first:
                    connection.recv(65536)
                connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(5)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):  # pylint: disable=invalid-name
        if self.path.startswith("/auth"):
            good = "Basic " + base64.b64encode(b"user:p@ss").decode()
            self.send_response(200 if self.headers.get("Authorization") == good else 401)
        elif self.path.startswith("/big"):
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                for _ in range(64):
                    self.wfile.write(b"x" * 65536)
            return
        else:
            self.send_response(int(self.path.strip("/").split("?")[0]))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):  # pylint: disable=arguments-differ
        pass


@contextlib.contextmanager
def http_server(certificate=None):
    server = http.server.ThreadingHTTPServer((HOST, 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.fixture
def certificate(tmp_path):
    return harness.self_signed(tmp_path)


# --- names and TCP -------------------------------------------------------------------------------


def test_resolve(probe):
    assert probe("resolve:localhost").ok
    result = probe("resolve:no-such-host.invalid")
    assert result.stage == "dns"
    assert "resolve:no-such-host.invalid: " in result.text and "is the name right" in result.text


def test_tcp(probe):
    with silent_port() as port:
        assert probe(f"tcp://{HOST}:{port}").ok
        assert probe(f"tcp://localhost:{port}").ok
    result = probe(f"tcp://{HOST}:{port}")
    assert (result.stage, result.origin) == ("tcp", f"{HOST}:{port}")
    assert result.text == (f"tcp://{HOST}:{port}: Connection refused; nothing listens there: is it started, "
                           "and the port right?")
    assert probe("tcp://no-such-host.invalid:1").stage == "dns"


def test_tcp_handshakes_that_are_dropped_time_out(probe):
    with full_port() as port:
        result = probe(f"tcp://{HOST}:{port}", timeout_ms=300)
    assert result.stage == "tcp"
    assert "no connection in time" in result.text


# --- HTTP ----------------------------------------------------------------------------------------


def test_http_status(probe):
    with http_server() as port:
        base = f"http://{HOST}:{port}"
        for status in (200, 204, 302, 399):
            assert probe(f"{base}/{status}").ok
        assert probe(f"http+503://{HOST}:{port}/503").ok
        result = probe(f"{base}/503?token=secret")
        assert (result.stage, result.number) == ("http", 503)
        assert result.text == f"{base}/503: answered 503, expected 2xx or 3xx"
        assert "is the path right?" in probe(f"{base}/404").text
        assert probe(f"http+204://{HOST}:{port}/200").text.endswith("answered 200, expected 204")
        assert probe(f"{base}/big").ok
        assert probe(f"http://user:p%40ss@{HOST}:{port}/auth").ok
        result = probe(f"http://user:secret@{HOST}:{port}/auth")
        assert result.number == 401 and "secret" not in result.text


def test_http_proxies_of_the_environment_are_not_used(probe):
    with http_server() as port:
        assert probe(f"http://{HOST}:{port}/200", env={"http_proxy": f"http://{HOST}:1", "all_proxy": f"{HOST}:1"}).ok


def test_http_without_an_answer(probe):
    with silent_port() as port:
        result = probe(f"http://{HOST}:{port}/", timeout_ms=300)
    assert (result.stage, result.text) == ("http", f"http://{HOST}:{port}: no answer in time")
    assert "Connection refused" in probe(f"http://{HOST}:{port}/").text


def test_https_is_verified(probe, certificate):
    with http_server(certificate) as port:
        result = probe(f"https://localhost:{port}/200")
        assert result.stage == "tls" and "SSL_CERT_FILE" in result.text
        trusted = {"SSL_CERT_FILE": certificate[0]}
        assert probe(f"https://localhost:{port}/200", env=trusted).ok
        assert probe(f"https://127.0.0.1:{port}/200", env=trusted).ok
        result = probe(f"https://localhost.localdomain:{port}/200", env=trusted)
        assert not result.ok


def test_http_spoken_to_something_else(probe):
    with raw_server(b"\x00\x01garbage\r\n\r\n") as port:
        assert not probe(f"http://{HOST}:{port}/").ok
        assert not probe(f"redis://{HOST}:{port}/").ok
        assert not probe(f"ws://{HOST}:{port}/").ok
        assert not probe(f"postgresql://u:p@{HOST}:{port}/db").ok
        assert not probe(f"https://{HOST}:{port}/").ok


# --- exec ----------------------------------------------------------------------------------------


def test_exec(probe):
    assert probe("exec:true").ok
    assert probe("exec:echo fine; echo fine >&2; exit 0").ok
    result = probe("exec:echo starting; echo 'table users is missing' >&2; exit 4")
    assert (result.stage, result.number) == ("exec", 4)
    assert result.text == "exec:echo ...: exited with 4: table users is missing"
    assert probe("exec:kill -9 $$").number == 137
    result = probe("exec:/no/such/program --password secret")
    assert result.number == 127 and "is it installed" in result.text and "secret" not in result.text
    assert probe("exec:head -c 300000 /dev/zero | tr '\\0' x; echo; echo end; false").text.endswith(": end")


def test_exec_is_killed_with_its_children(probe, tmp_path):
    pids = tmp_path / "pids"
    command = f"sleep 600 & echo $$ $! > {pids}.new; mv {pids}.new {pids}; echo waiting; wait"
    result = probe("exec:" + command, timeout_ms=1500)
    assert result.text.startswith("exec:sleep ...: did not end in time and was killed: waiting")
    for pid in map(int, pids.read_text().split()):
        wait_until(lambda p=pid: not process_exists(p), f"the end of {pid}")


def test_exec_is_killed_when_cancelled(probe, tmp_path):
    pids = tmp_path / "pids"
    program = probe(f"exec:sleep 600 & echo $$ $! > {pids}.new; mv {pids}.new {pids}; wait",
                    timeout_ms=600000, cancel_ms=1500, wait=False)
    assert program.wait() == 0
    assert program.stdout_lines == ["cancelled"]
    for pid in map(int, pids.read_text().split()):
        wait_until(lambda p=pid: not process_exists(p), f"the end of {pid}")


def test_command_in_an_environment_of_its_own(probe):
    assert probe('!test "$ONLY" = this && test -z "$HOME"', env={"HOME": "/root"}).ok
    assert probe("!echo migration 7 failed; exit 1").text.endswith("exited with 1: migration 7 failed")


# --- Redis ---------------------------------------------------------------------------------------


def test_redis(probe, redis):
    assert probe(redis.url()).ok
    assert probe(redis.url(database=3)).ok
    result = probe(redis.url(database=99))
    assert result.stage == "redis" and "SELECT was answered by: ERR DB index is out of range" in result.text
    assert "AUTH was answered by" in probe(f"redis://:secret@{HOST}:{redis.port}").text
    with silent_port() as port:
        assert probe(f"redis://{HOST}:{port}", timeout_ms=300).text == f"redis://{HOST}:{port}: no reply in time"


def test_redis_with_password(probe, make_redis):
    server = make_redis(password="hunter2").start()
    assert probe(server.url()).ok
    assert probe(f"redis://default:hunter2@{HOST}:{server.port}").ok
    result = probe(f"redis://{HOST}:{server.port}")
    assert "redis://:PASSWORD@HOST" in result.text
    result = probe(f"redis://:wrong-secret@{HOST}:{server.port}")
    assert "WRONGPASS" in result.text and "wrong-secret" not in result.text


def test_redis_over_tls(probe, make_redis):
    server = make_redis(password="hunter2", tls=True).start()
    assert probe(server.url("rediss"), env={"SSL_CERT_FILE": server.cert}).ok
    assert probe(server.url("rediss")).stage == "tls"
    assert not probe(f"redis://:hunter2@{HOST}:{server.tls_port}").ok


# --- PostgreSQL ----------------------------------------------------------------------------------


def test_postgres(probe, postgres):
    assert probe(postgres.url()).ok
    assert probe(postgres.url(scheme="postgresql+asyncpg")).ok
    assert probe(f"postgresql:///app?host={postgres.socket_dir}&port={postgres.port}&user=app&password=app-secret").ok
    result = probe(postgres.url(password="wrong-secret"))
    assert (result.stage, result.sqlstate) == ("auth", "28P01")
    assert result.origin == f"{HOST}:{postgres.port}"
    assert "password authentication failed" in result.text and "wrong-secret" not in result.text
    result = probe(postgres.url(database="nowhere"))
    assert result.sqlstate == "3D000" and 'database "nowhere" does not exist' in result.text
    result = probe(f"postgresql://u:p@{HOST}:{harness.free_port()}/db")
    assert result.stage == "tcp" and "Connection refused" in result.text
    with silent_port() as port:
        result = probe(f"postgresql://u:p@{HOST}:{port}/db", timeout_ms=300)
    assert result.stage == "auth" and "no login in time" in result.text
    with full_port() as port:
        result = probe(f"postgresql://u:p@{HOST}:{port}/db", timeout_ms=300)
    assert result.stage == "tcp" and "no connection in time" in result.text


def test_postgres_that_is_full(probe, make_postgres):
    server = make_postgres(max_connections=5).start()
    held = [server.connect() for _ in range(2)]  # three are the superuser's
    result = probe(server.url())
    assert result.sqlstate == "53300"
    assert "every connection that it allows is taken" in result.text
    held.pop().close()
    wait_until(lambda: probe(server.url()).ok, "a connection to be free")


def test_postgres_over_tls(probe, make_postgres):
    server = make_postgres(tls=True).start()
    assert probe(server.url(query=f"sslmode=verify-full&sslrootcert={server.cert}")).ok
    assert not probe(server.url(host="localhost.localdomain",
                                query=f"sslmode=verify-full&sslrootcert={server.cert}")).ok


def test_postgres_restarts_under_the_harness(probe, make_postgres):
    """The fixture's own verbs, which other tests stand on."""
    server = make_postgres().start()
    assert server.sessions() == 0
    server.pause()
    assert probe(server.url(), timeout_ms=300).stage in ("auth", "tcp")
    server.resume()
    wait_until(lambda: probe(server.url()).ok, "the server to go on")
    server.kill()
    assert "Connection refused" in probe(server.url()).text
    server.start(max_connections=7)
    assert server.query("show max_connections")[0][0] == "7"
    server.restart()
    assert probe(server.url()).ok


# --- WebSocket -----------------------------------------------------------------------------------


class WebSocketServer:
    """python3-websockets on a thread; counts how its connections ended."""

    def __init__(self, certificate=None):
        self.loop = asyncio.new_event_loop()
        self.closed = []
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*certificate)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.ready = threading.Event()
        self.thread.start()
        assert self.ready.wait(harness.LIMIT)

    async def _on_connection(self, connection, path=None):
        await connection.wait_closed()
        self.closed.append(connection.close_code)

    @staticmethod
    async def _on_request(path, headers):
        return None if path.startswith("/ws") else (http.HTTPStatus.NOT_FOUND, [], b"")

    async def _serve(self):
        self.stop = asyncio.Event()
        async with websockets.serve(self._on_connection, HOST, 0, process_request=self._on_request,
                                    ssl=self.context) as server:
            self.port = server.sockets[0].getsockname()[1]
            self.ready.set()
            await self.stop.wait()

    def _run(self):
        self.loop.run_until_complete(self._serve())
        self.loop.close()

    def close(self):
        self.loop.call_soon_threadsafe(self.stop.set)
        self.thread.join(10)


def test_websocket(probe, certificate):
    server = WebSocketServer()
    try:
        assert probe(f"ws://{HOST}:{server.port}/ws?token=x").ok
        # The service sees a client that said goodbye, not one that vanished.
        wait_until(lambda: server.closed, "the close")
        assert server.closed == [1000]
        result = probe(f"ws://{HOST}:{server.port}/elsewhere")
        assert (result.stage, result.number) == ("websocket", 404)
        assert result.text.endswith("answered 404 instead of 101; is the path right?")
    finally:
        server.close()
    assert "Connection refused" in probe(f"ws://{HOST}:{server.port}/ws").text
    server = WebSocketServer(certificate)
    try:
        assert probe(f"wss://localhost:{server.port}/ws", env={"SSL_CERT_FILE": certificate[0]}).ok
        assert probe(f"wss://localhost:{server.port}/ws").stage == "tls"
    finally:
        server.close()


@pytest.mark.parametrize("answer, text", [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "answered 200 instead of 101"),
    (b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", "wrong Sec-WebSocket-Accept"),
    (b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n",
     "wrong Sec-WebSocket-Accept"),
    (b"HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", "without Upgrade: websocket"),
    (b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\n\r\n", "without Upgrade: websocket"),
    (b"SSH-2.0-OpenSSH\r\n\r\n", "not HTTP/1.1"),
    (b"", "closed the connection without an answer"),
    (b"HTTP/1.1 101 X\r\nA: " + b"x" * 20000, "over 16384 bytes"),
])
def test_websocket_answers_that_are_wrong(probe, answer, text):
    with raw_server(answer) as port:
        result = probe(f"ws://{HOST}:{port}/ws")
    assert result.stage in ("websocket", "tcp") and text in result.text


def test_websocket_accept_is_checked_by_the_rfcs_rule(probe):
    """A server of our own that follows RFC 6455's rule, with headers in another case and order."""
    server = socket.create_server((HOST, 0))

    def serve():
        connection, _ = server.accept()
        with connection:
            request = connection.recv(65536).decode()
            key = next(line.split(": ")[1] for line in request.split("\r\n") if line.startswith("Sec-WebSocket-Key"))
            accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
            connection.sendall(b"HTTP/1.1 101 OK\r\nsec-websocket-accept:" + accept +
                               b"\r\nCONNECTION: keep-alive, upgrade\r\nupgrade: WebSocket\r\n\r\n")
            connection.recv(100)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert probe(f"ws://{HOST}:{server.getsockname()[1]}/").ok
    thread.join(10)
    server.close()


# --- all kinds -----------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http", "redis", "postgresql", "ws"])
def test_cancelled_checks_end_soon_and_say_nothing(probe, scheme):
    with silent_port() as port:
        program = probe(f"{scheme}://u:p@{HOST}:{port}/1" if scheme != "ws" else f"ws://{HOST}:{port}/",
                        timeout_ms=600000, cancel_ms=50, wait=False)
        assert program.wait() == 0
    assert program.stdout_lines == ["cancelled"]
    program.check_sanitizers()


def test_bad_targets_are_refused(probe):
    result = probe("gopher://host/")
    assert (result.code, result.stage) == (2, "config")


if __name__ == "__main__":
    os._exit(pytest.main([__file__]))
