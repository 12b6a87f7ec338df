"""The admin pages and the front door on a real loop: a C driver runs them, real sockets meet them."""

import contextlib
import hashlib
import html.parser
import http.client
import json
import os
import queue
import random
import re
import resource
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

import harness
from harness import HOST, LIMIT, wait_until

# As src/io/http.h and src/gate/tunnel.h have them.
CONNECTIONS_MAX = 256
BODY_MAX = 1024 * 1024


class Driver:
    """test/gate/door_driver.c with its ports."""

    def __init__(self, mode, command_port, listen_fd=None):
        argv = [harness.test_program("gate/door_driver", "STANDPIPE_DOOR_DRIVER"), mode, str(command_port)]
        if listen_fd is not None:
            argv.append(str(listen_fd))
        self.program = harness.Program(argv, stdin=subprocess.PIPE, pass_fds=() if listen_fd is None else (listen_fd,))
        ports = self._answer()
        self.admin, self.door = ports["admin"], ports["door"]

    def _answer(self):
        seen = getattr(self, "_seen", 0)
        wait_until(lambda: len(self.program.stdout_lines) > seen or not self.program.running(), "the driver's answer")
        assert len(self.program.stdout_lines) > seen, self.program.text
        self._seen = seen + 1
        return json.loads(self.program.stdout_lines[seen])

    def tell(self, line):
        self.program.process.stdin.write(line + "\n")
        self.program.process.stdin.flush()
        return self._answer()

    def count(self, what):
        return self.tell("count")[what]

    def wait_count(self, what, value):
        wait_until(lambda: self.count(what) == value, f"{what} to be {value}")

    def end(self):
        """Frees all in it: code 0 when nothing was left on the loop, and nothing leaked."""
        self.program.process.stdin.close()
        code = self.program.wait()
        self.program.check_sanitizers()
        assert code == 0, self.program.text


@contextlib.contextmanager
def running(*args, **kwargs):
    driver = Driver(*args, **kwargs)
    try:
        yield driver
        driver.end()
    finally:
        driver.program.stop(signal.SIGKILL)


@pytest.fixture
def driver():
    """A relaying door to a port on which nobody listens."""
    with running("relay", harness.free_port()) as d:
        yield d


class Command:
    """The service behind the door: answers 200 with a hash of what was posted, or as it is told."""

    def __init__(self, serve=None, listener=None):
        self.listener = listener or socket.create_server((HOST, 0))
        self.port = self.listener.getsockname()[1]
        self.serve = serve or self.answer
        self.ended = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.setblocking(True)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError), connection:
            self.serve(connection)

    @staticmethod
    def answer(connection):
        stream = connection.makefile("rb")
        while True:
            line = stream.readline()
            if not line:
                return
            headers = http.client.parse_headers(stream)
            body = stream.read(int(headers.get("Content-Length", 0)))
            text = hashlib.sha256(body).hexdigest().encode()
            if line.split()[1].startswith(b"/big/"):
                text = random.Random(1).randbytes(int(line.split()[1][5:]))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text)

    def close(self):
        # close() alone leaves the thread in accept() with a socket that still listens.
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.fixture
def command():
    """Makes services, and ends them."""
    made = []

    def make(*args, **kwargs):
        made.append(Command(*args, **kwargs))
        return made[-1]

    yield make
    for c in made:
        c.close()


def ask(port, path="/", method="GET", body=None, headers=None):
    """(status, headers, body)"""
    connection = http.client.HTTPConnection(HOST, port, timeout=LIMIT)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def status_of(port, path="/"):
    return ask(port, path)[0]


def connect(port):
    return socket.create_connection((HOST, port), timeout=LIMIT)


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def read_to_end(s):
    """All that comes until the other end closes or resets; nothing is fine, a hang is not."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := s.recv(65536):
            data += chunk
    return data


# --- the admin pages -----------------------------------------------------------------------------


def test_pages_follow_the_startup(driver):
    assert status_of(driver.admin, "/live") == 200
    status, headers, body = ask(driver.admin, "/startup")
    assert (status, headers["Content-Type"], headers["Cache-Control"]) == (503, "application/json", "no-store")
    assert json.loads(body)["phase"] == "database"
    driver.tell("start")
    assert status_of(driver.admin, "/startup") == 200
    assert status_of(driver.admin, "/ready") == 200
    status, headers, body = ask(driver.admin, "/metrics")
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert b"\nstandpipe_startup_complete 1\n" in body


def test_head_is_get_without_the_body(driver):
    status, headers, body = ask(driver.admin, "/live", method="HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 0


def test_other_methods_and_paths_are_refused_with_reasons(driver):
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "BREW"):
        status, headers, body = ask(driver.admin, "/live", method=method)
        assert (status, headers["Allow"]) == (405, "GET, HEAD")
        assert "error" in json.loads(body)
    status, _, body = ask(driver.admin, "/nowhere?x=1")
    assert status == 404
    assert "/health" in json.loads(body)["paths"]


def test_keep_alive_serves_many(driver):
    connection = http.client.HTTPConnection(HOST, driver.admin, timeout=LIMIT)
    for _ in range(50):
        connection.request("GET", "/live")
        assert connection.getresponse().read().startswith(b'{"live":true')
    assert driver.count("admin") == 1
    connection.close()
    driver.wait_count("admin", 0)


def test_requests_that_do_not_wait_for_answers_are_not_all_answered(driver):
    """Thousands at once held up the loop, and with it every session."""
    with connect(driver.admin) as s:
        s.sendall(b"GET /live HTTP/1.1\r\nHost: a\r\n\r\n" * 1000)
        answers = read_to_end(s).split(b"HTTP/1.1 ")[1:]
    assert all(a.startswith(b"200") for a in answers)
    assert len(answers) < 100
    driver.wait_count("admin", 0)


def test_paused_newcomers_wait_and_those_who_are_there_go_on(driver):
    there = http.client.HTTPConnection(HOST, driver.admin, timeout=LIMIT)
    there.request("GET", "/live")
    there.getresponse().read()
    driver.tell("pause")
    with connect(driver.admin) as s:
        s.sendall(b"GET /live HTTP/1.0\r\n\r\n")
        there.request("GET", "/live")
        assert there.getresponse().read()
        assert driver.count("admin") == 1
        s.setblocking(False)
        with pytest.raises(BlockingIOError):
            s.recv(1)
        s.settimeout(LIMIT)
        driver.tell("resume")
        assert read_to_end(s).startswith(b"HTTP/1.")
    there.close()


MALFORMED = [
    b"\r\n\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /%00%ff%zz HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET / HTTP/1.1\r\nno colon here\r\n\r\n",
    b"GET / HTTP/1.1\r\n: empty\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nContent-Length: -1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\nHost: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: " + b"a" * 100000 + b"\r\n\r\n",
    b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % i for i in range(20000)) + b"\r\n",
    b"GET /?" + b"&".join(b"a%d=%%41" % i for i in range(2000)) + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,  # a TLS hello
    struct.pack("!ii", 8, 80877103),  # PostgreSQL's SSLRequest
    b"\xff" * 70000,
]


@pytest.mark.parametrize("where", ["admin", "door"])
def test_malformed_bytes_get_an_error_or_an_end(driver, where):
    port = getattr(driver, where)
    for bytes_ in MALFORMED:
        with connect(port) as s:
            with contextlib.suppress(OSError):
                s.sendall(bytes_)
                s.shutdown(socket.SHUT_WR)
            answer = read_to_end(s)
            assert answer == b"" or answer.startswith(b"HTTP/1."), (bytes_[:60], answer[:60])
    assert status_of(driver.admin, "/live") == 200
    driver.wait_count("admin", 0)


def test_a_zero_byte_does_not_end_the_path(driver):
    with connect(driver.admin) as s:
        s.sendall(b"GET /live%00/x HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 400 " in read_to_end(s).splitlines()[0]


def test_who_says_all_and_listens_is_answered_and_let_go(driver):
    with connect(driver.admin) as older, connect(driver.admin) as nothing, connect(driver.admin) as s:
        s.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
        s.shutdown(socket.SHUT_WR)
        nothing.sendall(b"\r\n\r\n")
        nothing.shutdown(socket.SHUT_WR)
        assert read_to_end(s).startswith(b"HTTP/1.1 200")
        assert read_to_end(nothing) == b""
        # And that at once, not when its time was over: the older one's is not yet.
        older.setblocking(False)
        with pytest.raises(BlockingIOError):
            older.recv(1)


@pytest.mark.parametrize("where", ["admin", "door"])
def test_random_bytes_do_no_harm(driver, where):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    dice = random.Random(seed)
    template = b"POST /status?a=b HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nContent-Length: 4\r\n\r\nabcd"
    for _ in range(300):
        data = bytearray(template * dice.randint(1, 3))
        for _ in range(dice.randint(1, 8)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        with connect(getattr(driver, where)) as s, contextlib.suppress(OSError):
            s.sendall(data[:dice.randrange(len(data))])
            if dice.random() < 0.3:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
                continue
            s.shutdown(socket.SHUT_WR)
            read_to_end(s)
    assert status_of(driver.admin, "/live") == 200


def test_those_who_hold_connections_keep_nobody_out(driver):
    """More than there is room for, each with half a request: the newcomer is answered all the same."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft > CONNECTIONS_MAX + 100
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connect(driver.admin)) for _ in range(CONNECTIONS_MAX + 50)]
        for s in slow:
            with contextlib.suppress(ConnectionError):
                s.sendall(b"GET /live HTTP/1.1\r\nX-Slow: ")
        for _ in range(5):
            assert status_of(driver.admin, "/live") == 200
        assert driver.count("admin") <= CONNECTIONS_MAX
        # The first to come were the first to go.
        assert read_to_end(slow[0]) == b""
    driver.wait_count("admin", 0)


def test_a_trickle_is_cut_in_the_end(driver):
    """Bytes that keep coming do not keep the connection: the request must be finished in time."""
    with connect(driver.admin) as s:
        s.sendall(b"GET /live HTTP/1.1\r\n")
        s.settimeout(0.2)

        def is_cut():
            try:
                s.sendall(b"X: y\r\n")
                return s.recv(100) == b""
            except socket.timeout:
                return False
            except ConnectionError:
                return True
        wait_until(is_cut, "the connection to be cut")
    assert status_of(driver.admin, "/live") == 200


def test_an_answer_that_is_not_read_is_cut_in_the_end(driver):
    with connect(driver.admin) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.settimeout(0.5)
        with contextlib.suppress(socket.timeout, ConnectionError):
            while True:
                s.sendall(b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
        assert status_of(driver.admin, "/live") == 200
        wait_until(lambda: driver.count("admin") == 0, "the connection to be cut")


def test_a_body_is_read_and_thrown_away_up_to_a_bound(driver):
    assert ask(driver.admin, "/live", "POST", body=b"x" * 200000)[0] == 405
    with connect(driver.admin) as s:
        s.sendall(b"POST /live HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (BODY_MAX + 1))
        assert b" 413 " in read_to_end(s).splitlines()[0]
    with connect(driver.admin) as s:
        s.sendall(b"POST /live HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(40):
                s.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        read_to_end(s)  # ended by the server: nothing was finished
    with connect(driver.admin) as s:
        s.sendall(b"POST /live HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n")
        assert b" 405 " in read_to_end(s).splitlines()[0]


# --- the front door ------------------------------------------------------------------------------


class Checker(html.parser.HTMLParser):
    """Tags that open are closed, in order."""

    VOID = {"meta", "link", "br", "hr", "input"}

    def __init__(self):
        super().__init__()
        self.open, self.refresh = [], None

    def handle_starttag(self, tag, attrs):
        if tag == "meta" and dict(attrs).get("http-equiv") == "refresh":
            self.refresh = int(dict(attrs)["content"])
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_closed_it_says_what_is_waited_for(driver):
    status, headers, body = ask(driver.door, "/any/path", "POST", body=b"x=1")
    assert (status, headers["Content-Type"]) == (503, "application/json")
    assert int(headers["Retry-After"]) >= 1
    assert headers["Connection"].lower() == "close"
    said = json.loads(body)
    assert (said["state"], said["phase"]) == ("starting", "database")
    assert "database" in said["waits_for"]


def test_closed_it_shows_browsers_a_page(driver):
    status, headers, body = ask(driver.door, headers={"Accept": "text/html,*/*;q=0.8"})
    assert (status, headers["Content-Type"]) == (503, "text/html; charset=utf-8")
    checker = Checker()
    checker.feed(body.decode())
    assert not checker.open
    assert checker.refresh == int(headers["Retry-After"])
    text = re.sub(r"<style>.*?</style>|<[^>]*>", " ", body.decode())
    assert "starting" in text and "a connection to its database" in text
    assert "db.internal" not in text and "s3cr3t" not in text
    assert len(body) < 8192


def test_503_then_open_then_200_then_503(command):
    service = command()
    with running("relay", service.port) as d:
        assert status_of(d.door) == 503
        d.tell("open")
        assert status_of(d.door) == 200
        d.tell("close")
        assert status_of(d.door) == 503
        d.tell("open")
        assert status_of(d.door) == 200
        assert d.count("refusals") == 2


def test_open_but_refused_is_503(driver):
    driver.tell("start")
    driver.tell("open")
    status, headers, body = ask(driver.door)
    assert status == 503
    assert headers["Retry-After"]
    assert json.loads(body)["state"] in ("busy", "down")
    driver.wait_count("tunnels", 0)


def test_who_has_asked_nothing_yet_is_not_kept_from_the_service(command):
    service = command()
    with running("relay", service.port) as d:
        with connect(d.admin) as older, connect(d.door) as early:
            assert status_of(d.door) == 503  # the early one has been accepted before
            d.tell("open")
            assert read_to_end(early) == b""
            # It was let go, not cut for being slow: the older one's time is not over yet.
            older.setblocking(False)
            with pytest.raises(BlockingIOError):
                older.recv(1)
        assert status_of(d.door) == 200


def test_big_bodies_arrive_whole_both_ways(command):
    service = command()
    body = random.Random(2).randbytes(8 * 1024 * 1024)
    with running("relay", service.port) as d:
        d.tell("open")
        assert ask(d.door, "/", "POST", body=body)[2].decode() == hashlib.sha256(body).hexdigest()
        big = ask(d.door, "/big/8388608")[2]
        assert big == random.Random(1).randbytes(8388608)
        d.wait_count("tunnels", 0)
        assert d.count("bytes") >= 2 * len(body)


def test_many_connections_at_once(command):
    service = command()
    results = queue.Queue()
    with running("relay", service.port) as d:
        d.tell("open")

        def work(size):
            results.put(len(ask(d.door, f"/big/{size}")[2]) == size)
        threads = [threading.Thread(target=work, args=(1000 * n,)) for n in range(100)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(LIMIT)
        assert [results.get(timeout=LIMIT) for _ in threads] == [True] * len(threads)
        d.wait_count("tunnels", 0)


def test_half_closed_goes_on_the_other_way(command):
    def count_then_answer(connection):
        total = len(read_to_end(connection))
        connection.sendall(b"%d" % total)
    service = command(count_then_answer)
    with running("relay", service.port) as d:
        d.tell("open")
        with connect(d.door) as s:
            s.sendall(b"x" * 100000)
            s.shutdown(socket.SHUT_WR)
            assert read_to_end(s) == b"100000"
        # And the other way: the service has said all, and still listens.
        got = queue.Queue()

        def say_all_then_count(connection):
            connection.sendall(b"all")
            connection.shutdown(socket.SHUT_WR)
            got.put(len(read_to_end(connection)))
        service.serve = say_all_then_count
        with connect(d.door) as s:
            assert read_to_end(s) == b"all"
            s.sendall(b"y" * 1000)
            s.shutdown(socket.SHUT_WR)
        assert got.get(timeout=LIMIT) == 1000
        d.wait_count("tunnels", 0)


def test_a_reader_that_stalls_holds_the_sender_up_and_not_the_memory(command):
    sent = [0]

    def send_for_ever(connection):
        while True:
            sent[0] += connection.send(b"x" * 65536)
    service = command(send_for_ever)
    with running("relay", service.port) as d:
        d.tell("open")
        with connect(d.door) as s:
            s.recv(1)
            state = {"last": -1, "same": 0}

            def has_stalled():
                state["same"] = state["same"] + 1 if sent[0] == state["last"] else 0
                state["last"] = sent[0]
                return state["same"] > 20
            wait_until(has_stalled, "the sender to be held up")
            # Nothing can be done, and nothing is: it does not spin.
            busy, began = cpu_s(d.program.pid), time.monotonic()
            wait_until(lambda: time.monotonic() - began > 0.5, "a while")
            assert cpu_s(d.program.pid) - busy < (time.monotonic() - began) / 2
            with open(f"/proc/{d.program.pid}/smaps_rollup", encoding="ascii") as f:
                before = int(re.search(r"Rss:\s+(\d+)", f.read()).group(1))
            assert before < 200 * 1024  # with the sanitizers' own
            # It goes on as soon as the reader does.
            stalled_at = sent[0]
            s.setblocking(True)
            got = 0
            while got < stalled_at:
                got += len(s.recv(1 << 20))
            wait_until(lambda: sent[0] > stalled_at, "the sender to go on")
        d.wait_count("tunnels", 0)


def test_resets_end_both_sides(command):
    gone = queue.Queue()

    def wait_for_end(connection):
        connection.sendall(b"hello")
        read_to_end(connection)
        gone.put(True)
    service = command(wait_for_end)
    with running("relay", service.port) as d:
        d.tell("open")
        for _ in range(20):
            s = connect(d.door)
            assert s.recv(5) == b"hello"
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()
            gone.get(timeout=LIMIT)
        # The service resets.
        def reset(connection):
            connection.recv(1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        service.serve = reset
        for _ in range(20):
            with connect(d.door) as s:
                s.sendall(b"x")
                assert read_to_end(s) == b""
        d.wait_count("tunnels", 0)


def test_an_early_answer_is_not_lost_while_the_client_still_sends(command):
    def refuse_early(connection):
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        read_to_end(connection)
    service = command(refuse_early)
    with running("relay", service.port) as d:
        d.tell("open")
        with connect(d.door) as s:
            s.sendall(b"POST / HTTP/1.1\r\nContent-Length: 4000000\r\n\r\n")
            assert s.recv(12) == b"HTTP/1.1 413"
            s.sendall(b"x" * 1000000)
        d.wait_count("tunnels", 0)


def test_freed_in_the_midst_of_everything(command):
    """Relays, requests half sent and answers half read: all are cut, nothing leaks."""
    service = command()
    with contextlib.ExitStack() as stack:
        with running("relay", service.port) as d:
            half = stack.enter_context(connect(d.admin))
            half.sendall(b"GET / HT")
            at_door = stack.enter_context(connect(d.door))
            at_door.sendall(b"GET / HTTP/1.1\r\n")
            d.tell("open")
            relayed = stack.enter_context(connect(d.door))
            relayed.sendall(b"GET /big/30000000 HTTP/1.1\r\n\r\n")
            assert relayed.recv(12) == b"HTTP/1.1 200"
        for s in (half, at_door, relayed):
            read_to_end(s)


def test_inherited_the_command_accepts_for_itself(command):
    with socket.create_server((HOST, 0)) as listener:
        with running("inherit", 0, listen_fd=listener.fileno()) as d:
            assert status_of(d.door) == 503
            d.tell("open")
            # In the real thing the command is another process with the same socket.
            listener.setblocking(True)
            service = command(listener=socket.socket(fileno=os.dup(listener.fileno())))
            for _ in range(20):
                assert status_of(d.door) == 200
            assert d.count("refusals") == 1
            # While the door is open the gate holds nobody.
            assert d.count("tunnels") == 0
            service.ended = True
