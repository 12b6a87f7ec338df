"""The gate in the hands of those who run it: its end, its user, its configuration anew, its successor."""

import contextlib
import os
import pwd
import resource
import shutil
import signal
import threading

import psycopg2
import psycopg2.errors
import pytest

import harness
import raw
from harness import HOST, wait_until


class Gate:
    """`standpipe serve`, started, and how to reach it."""

    def __init__(self, standpipe, port, server, directory):
        self.standpipe = standpipe
        self.port = port
        self.server = server
        self.directory = directory

    def connect(self, **kwargs):
        connection = psycopg2.connect(host=HOST, port=self.port, user="app", dbname="app", **kwargs)
        connection.autocommit = True
        return connection

    def raw(self, **kwargs):
        return raw.Raw(self.port, **kwargs)

    def one(self, sql):
        """A fresh client's answer."""
        with contextlib.closing(self.connect()) as connection:
            return ask(connection, sql)


def ask(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0] if cursor.description else None


@pytest.fixture
def gate(run_standpipe, postgres):
    """gate(NAME=value...): a gate that has started."""
    directory = harness.short_dir()
    os.chmod(directory, 0o777)

    def run(config=None, size=3, started=True, program=None, **env):
        port = harness.free_port()
        given = {
            "DATABASE_URL": postgres.url(), "STANDPIPE_LISTEN_PORT": port, "DB_POOL_SIZE": size,
            "DB_MAX_OVERFLOW": 0, "STANDPIPE_LISTEN_SOCKET_DIR": directory, "STANDPIPE_RETRY_BASE": "0.05",
            "STANDPIPE_RETRY_CAP": "0.2", "CIRCUIT_BREAKER_TIMEOUT": "0.3s", **env}
        given = {k: v for k, v in given.items() if v is not None}
        standpipe = run_standpipe("serve", env=given, config=config, **(program or {}))
        if started:
            standpipe.wait_get("/startup")
        return Gate(standpipe, port, postgres, directory)

    yield run
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(autouse=True)
def table(postgres):
    postgres.query("create table if not exists t (i int primary key, s text)", user="app")
    postgres.query("truncate t", user="app")


def refuses(port):
    with contextlib.suppress(OSError), raw.socket.create_connection((HOST, port), timeout=1):
        return False
    return True


# ---- the end ----


def test_a_drain_tells_the_idle_and_lets_transactions_finish(gate):
    g = gate(STANDPIPE_SHUTDOWN_GRACE="0", STANDPIPE_SHUTDOWN_DRAIN="600s")
    idle, busy = g.raw(), g.raw()
    busy.ask("begin")
    busy.ask("insert into t values (1, 'kept')")
    g.standpipe.send_signal(signal.SIGTERM)
    told = raw.error(idle.until_end())
    assert told["C"] == "57P01" and told["S"] == "FATAL"
    wait_until(lambda: refuses(g.port), "the port to be closed")
    assert busy.ask("select s from t") == [("kept",)]
    busy.send(raw.query("commit"))
    seen = busy.until_end()
    assert [kind for kind, _ in seen][:2] == ["C", "Z"], "the commit is answered before the end"
    assert raw.error(seen)["C"] == "57P01"
    assert g.standpipe.wait() == 0
    assert g.server.query("select s from t") == [("kept",)]
    wait_until(lambda: g.server.sessions() == 0, "the server connections' ends")


def test_within_the_grace_the_idle_are_served_on(gate):
    g = gate(STANDPIPE_SHUTDOWN_GRACE="600s", STANDPIPE_SHUTDOWN_DRAIN="600s")
    idle = g.raw()
    g.standpipe.send_signal(signal.SIGTERM)
    wait_until(lambda: refuses(g.port), "the port to be closed")
    assert idle.ask("select 1") == [("1",)]
    idle.close()
    assert g.standpipe.wait() == 0, "the last client has gone: nothing to wait for"


def test_who_waits_for_a_server_is_served_before_the_end(gate):
    g = gate(size=1, STANDPIPE_SHUTDOWN_GRACE="0", STANDPIPE_SHUTDOWN_DRAIN="600s")
    holder, waiter = g.raw(), g.raw()
    holder.ask("begin")
    waiter.send(raw.query("select 7"))
    wait_until(lambda: g.standpipe.get("/health").json["pool"]["waiting"] == 1, "the second to wait")
    g.standpipe.send_signal(signal.SIGTERM)
    wait_until(lambda: refuses(g.port), "the port to be closed")
    holder.ask("commit")
    rows = [raw.row(body) for kind, body in waiter.until_end() if kind == "D"]
    assert rows == [("7",)]
    assert g.standpipe.wait() == 0


def test_when_the_time_is_up_transactions_are_ended_too(gate):
    g = gate(STANDPIPE_SHUTDOWN_GRACE="0", STANDPIPE_SHUTDOWN_DRAIN="0")
    busy = g.raw()
    busy.ask("begin")
    busy.ask("insert into t values (1, 'lost')")
    g.standpipe.send_signal(signal.SIGTERM)
    assert raw.error(busy.until_end())["C"] == "57P01"
    assert g.standpipe.wait() == 0
    wait_until(lambda: g.server.sessions() == 0, "the server connections' ends")
    assert g.server.query("select count(*) from t") == [(0,)]


def test_a_second_sigterm_ends_at_once(gate):
    g = gate(STANDPIPE_SHUTDOWN_GRACE="600s", STANDPIPE_SHUTDOWN_DRAIN="600s")
    busy = g.raw()
    busy.ask("begin")
    g.standpipe.send_signal(signal.SIGTERM)
    wait_until(lambda: refuses(g.port), "the port to be closed")
    g.standpipe.send_signal(signal.SIGTERM)
    busy.until_end()
    assert g.standpipe.wait() == 0


# ---- its user, and what it may open ----


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_is_given_up_once_the_sockets_are_bound(gate):
    # A process that has changed its user can't be traced, which the leak sanitizer does.
    g = gate(STANDPIPE_USER="nobody", ASAN_OPTIONS="detect_leaks=0")
    status = dict(line.split(":\t", 1) for line in
                  open(f"/proc/{g.standpipe.pid}/status", encoding="ascii").read().splitlines() if ":\t" in line)
    nobody = pwd.getpwnam("nobody")
    assert status["Uid"].split() == [str(nobody.pw_uid)] * 4
    assert status["Gid"].split() == [str(nobody.pw_gid)] * 4
    assert "0" not in status["Groups"].split()
    assert status["NoNewPrivs"] == "1"
    assert int(status["CapEff"], 16) == 0
    assert g.one("select 42") == 42
    assert "runs as root" not in g.standpipe.text


@pytest.mark.skipif(os.geteuid() != 0, reason="runs as somebody else anyway")
def test_who_runs_as_root_is_warned(gate):
    g = gate()
    assert [e for e in g.standpipe.log() if e["severity"] == "WARNING" and "runs as root" in e["message"]]


def test_a_user_that_is_not_there_is_an_error(gate):
    g = gate(STANDPIPE_USER="nobody-of-that-name", started=False)
    assert g.standpipe.wait() == 2
    assert "there is no user nobody-of-that-name" in g.standpipe.text


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user to be")
def test_who_is_not_root_can_not_become_another(gate):
    g = gate(STANDPIPE_USER="root", started=False, program={"user": "nobody"})
    assert g.standpipe.wait() == 2
    assert "only root can" in g.standpipe.text


def test_descriptors_for_all_clients_are_seen_to(gate):
    g = gate(STANDPIPE_POOL_CLIENTS=3000, program={"soft_files": 500})
    soft, _ = resource.prlimit(g.standpipe.pid, resource.RLIMIT_NOFILE)
    assert soft >= 3000
    assert "too few file descriptors" not in g.standpipe.text


def test_too_few_descriptors_are_warned_of(gate):
    user = {"user": "nobody"} if os.geteuid() == 0 else {}
    g = gate(STANDPIPE_POOL_CLIENTS=3000, program={"soft_files": 500, "hard_files": 600, **user})
    warned = [e for e in g.standpipe.log() if "too few file descriptors" in e["message"]]
    assert len(warned) == 1 and warned[0]["limit"] == 600
    assert g.one("select 42") == 42
