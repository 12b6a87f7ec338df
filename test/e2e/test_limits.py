"""Clients that take too long: each is told by which limit, in PostgreSQL's form, and what it held is
the next one's."""

import contextlib
import socket
import struct
import threading

import psycopg2
import psycopg2.errors
import pytest

import harness
import raw
from gating import ask
from harness import HOST, wait_until

FOR_EVER = "select pg_sleep(600)"


def told(messages, sqlstate, key, severity="FATAL"):
    """The error with which it ended, which names its limit."""
    fields = raw.error([m for m in messages if m[0] == "E"][-1:])
    assert (fields["S"], fields["C"]) == (severity, sqlstate), fields
    assert key in fields["D"], fields
    return fields


@pytest.fixture(autouse=True)
def table(postgres):
    """A table of the app's own, empty."""
    postgres.query("create table if not exists t (i int primary key, s text)", user="app")
    postgres.query("truncate t", user="app")


def backend(client):
    return client.ask("select pg_backend_pid()")[0][0]


# --- a query ----------------------------------------------------------------------------------------


def test_a_query_is_cancelled_when_its_time_is_over(gate):
    g = gate(1, STANDPIPE_TIMEOUTS_QUERY="0.3s")
    with contextlib.closing(g.connect()) as a, contextlib.closing(g.connect()) as b:
        pid = ask(b, "select pg_backend_pid()")
        with pytest.raises(psycopg2.errors.QueryCanceled) as caught:
            ask(a, FOR_EVER)
        assert "query timeout" in caught.value.diag.message_primary
        assert "timeouts.query (0.3 s)" in caught.value.diag.message_detail
        # It goes on, on the same server, and so does everyone else.
        assert ask(a, "select pg_backend_pid()") == pid
        assert ask(b, "select 7") == 7


def test_a_query_in_a_transaction_ends_only_that(gate):
    g = gate(1, STANDPIPE_TIMEOUTS_QUERY="0.3s")
    with contextlib.closing(g.connect(autocommit=False)) as a:
        ask(a, "insert into t values (1, 'kept')")
        ask(a, "savepoint here")
        for _ in range(3):
            with pytest.raises(psycopg2.errors.QueryCanceled):
                ask(a, FOR_EVER)
            ask(a, "rollback to here")
        a.commit()
    assert g.one("select s from t") == "kept"


def test_each_query_of_a_pipeline_has_its_own_time(gate):
    g = gate(1, STANDPIPE_TIMEOUTS_QUERY="2s")
    with contextlib.closing(g.raw()) as c:
        nap = (raw.parse("", "select pg_sleep(0.5)"), raw.bind(""), raw.EXECUTE, raw.SYNC)
        c.send(*nap * 6)  # 3 s in all
        for _ in range(6):
            assert not [m for m in c.until_ready() if m[0] == "E"]
        # By the extended protocol, too, with what is behind it skipped to Sync.
        c.send(raw.parse("", FOR_EVER), raw.bind(""), raw.EXECUTE, raw.parse("", "select 1"), raw.SYNC)
        told(c.until_ready(), "57014", "timeouts.query", "ERROR")
        assert c.ask("select 1") == [("1",)]


def test_a_query_that_resists_its_cancel_loses_its_client(gate, postgres):
    """The server then goes the way of every dead client's."""
    g = gate(1, STANDPIPE_TIMEOUTS_QUERY="0.2s")
    with contextlib.closing(g.raw()) as c:
        pid = backend(c)
        # It catches the cancel, and goes on.
        c.send(raw.query("do $$ begin loop begin perform pg_sleep(600); "
                         "exception when query_canceled then null; end; end loop; end $$"))
        told(c.until_end(), "57014", "timeouts.query")
    assert g.one("select pg_backend_pid()::text") != pid
    postgres.query(f"select pg_terminate_backend({pid})")


def test_a_copy_counts_as_a_query(gate):
    g = gate(1, STANDPIPE_TIMEOUTS_QUERY="0.3s")
    with contextlib.closing(g.raw()) as c:
        c.send(raw.query("copy t from stdin"))
        told(c.until_ready(), "57014", "timeouts.query", "ERROR")
        assert c.ask("select count(*) from t") == [("0",)]


# --- a transaction ----------------------------------------------------------------------------------


@pytest.mark.parametrize("begin", [
    raw.query("begin; insert into t values (1, 'never')"),
    raw.query("begin; insert into t values (1, 'never'); select 1/0"),
    raw.parse("", "insert into t values (1, 'never')") + raw.bind("") + raw.EXECUTE + raw.message("H"),
], ids=["open", "failed", "without a Sync"])
def test_one_that_pauses_in_a_transaction(gate, begin):
    g = gate(1, STANDPIPE_TIMEOUTS_IDLE_IN_TRANSACTION="0.3s")
    pid = g.one("select pg_backend_pid()")
    with contextlib.closing(g.raw()) as c:
        c.send(begin)
        told(c.until_end(), "25P03", "timeouts.idle_in_transaction")
    # Rolled back, and the next one's.
    assert g.one("select count(*) from t") == 0
    assert g.one("select pg_backend_pid()") == pid


def test_work_in_a_transaction_is_no_pause(gate):
    g = gate(1, STANDPIPE_TIMEOUTS_IDLE_IN_TRANSACTION="1s")
    with contextlib.closing(g.connect(autocommit=False)) as a:
        for _ in range(3):
            ask(a, "select pg_sleep(0.6)")
        ask(a, "select pg_sleep(1.6)")
        a.commit()


@pytest.mark.parametrize("then", [None, FOR_EVER], ids=["idle", "busy"])
def test_a_transaction_that_lasts_too_long(gate, then):
    g = gate(1, STANDPIPE_TIMEOUTS_TRANSACTION="0.5s")
    pid = g.one("select pg_backend_pid()")
    with contextlib.closing(g.raw()) as c:
        c.ask("begin")
        c.ask("insert into t values (1, 'never')")
        if then:
            c.send(raw.query(then))
        told(c.until_end(), "25P04", "timeouts.transaction")
    assert g.one("select count(*) from t") == 0
    assert g.one("select pg_backend_pid()") == pid


def test_many_short_transactions_are_not_one_long(gate):
    g = gate(1, STANDPIPE_TIMEOUTS_TRANSACTION="1s")
    with contextlib.closing(g.connect()) as a:
        for _ in range(8):
            ask(a, "select pg_sleep(0.2)")


# --- a client ---------------------------------------------------------------------------------------


def test_a_client_that_asks_for_nothing(gate):
    g = gate(1, STANDPIPE_TIMEOUTS_CLIENT_IDLE="1s")
    with contextlib.closing(g.raw()) as fresh, contextlib.closing(g.raw()) as used, \
            contextlib.closing(g.raw()) as busy:
        used.ask("select 1")
        busy.ask("select pg_sleep(3)")  # longer than the limit, but not idle
        assert busy.ask("select 1") == [("1",)]
        told(fresh.until_end(), "57P05", "timeouts.client_idle")
        told(used.until_end(), "57P05", "timeouts.client_idle")


def test_a_client_that_does_not_say_who_it_is(gate):
    g = gate(1, STANDPIPE_TIMEOUTS_LOGIN="1s")
    silent = raw.Raw(g.port, login=False)
    half = raw.Raw(g.port, login=False)
    half.send(b"\0\0\0\x40\0\3\0\0user\0")
    for c in (silent, half):
        told(c.until_end(), "57014", "timeouts.login")
        c.close()
    assert g.one("select 7") == 7


def narrow(port):
    """A client with little room for what it does not read."""
    c = raw.Raw.__new__(raw.Raw)
    c.socket = socket.socket()
    c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    c.socket.settimeout(harness.LIMIT)
    c.socket.connect((HOST, port))
    c.buffer = b""
    return c


def log_in(c):
    body = raw.text("user", "app", "database", "app") + b"\0"
    c.send((len(body) + 8).to_bytes(4, "big") + b"\0\3\0\0" + body)
    c.until_ready()


def test_a_client_that_does_not_read_its_answer_holds_no_server_for_long(gate):
    g = gate(1, STANDPIPE_TIMEOUTS_CLIENT_STALL="1s")
    with contextlib.closing(narrow(g.port)) as c:
        log_in(c)
        pid = backend(c)
        c.send(raw.query("select repeat('x', 1000) from generate_series(1, 20000)"))
        # The only server is the next one's, the result's rest read and dropped.
        assert str(g.one("select pg_backend_pid()")) == pid
        assert not [m for m in c.until_end() if m[0] == "E"]


def test_a_client_that_reads_slowly_is_let_be(gate):
    g = gate(1, STANDPIPE_TIMEOUTS_CLIENT_STALL="2s")
    with contextlib.closing(narrow(g.port)) as c:
        log_in(c)
        rows = 30_000
        c.send(raw.query(f"select repeat('x', 1000) from generate_series(1, {rows})"))
        paused = threading.Event()
        found = 0
        while (one := c.receive())[0] != "Z":
            found += one[0] == "D"
            if found and found % 2000 == 0:
                paused.wait(0.5)  # in all, several times the limit
        assert found == rows


def test_a_message_that_does_not_end_holds_no_server_for_long(gate):
    g = gate(1, STANDPIPE_TIMEOUTS_CLIENT_STALL="1s")
    with contextlib.closing(g.raw()) as c:
        c.send(raw.query("select '" + "x" * 100_000 + "'")[:50_000])
        told(c.until_end(), "57P05", "timeouts.client_stall")
        assert g.one("select 7") == 7


def test_limits_are_off_by_default(gate):
    g = gate(1)
    with contextlib.closing(g.raw()) as c:
        c.ask("begin")
        ticks = []

        def second_passed():
            ticks.append(g.health())
            return len(ticks) > 100
        wait_until(second_passed, "some housekeeping")
        assert c.ask("commit") == []


# --- what they cost ----------------------------------------------------------------------------------


def metric(g, name):
    lines = g.standpipe.get("/metrics").body.splitlines()
    return float(next(line.split()[-1] for line in lines if line.startswith(f"standpipe_{name} ")))


def over(g):
    """{key of a limit: clients that ran into it}, of those that any did; the same from the console."""
    console = psycopg2.connect(host=str(g.directory), port=g.port, dbname="standpipe", user="pgbouncer")
    with contextlib.closing(console):
        console.autocommit = True
        with console.cursor() as cursor:
            cursor.execute("SHOW LIMITS")
            shown = {name: count for name, _, count in cursor.fetchall()}
    for name, count in shown.items():
        assert metric(g, f'clients_over_limit_total{{limit="{name}"}}') == count
    return {name: count for name, count in shown.items() if count}


def test_who_ran_into_a_limit_is_counted(gate):
    g = gate(1, config="databases: {app: {clients: 2}}", STANDPIPE_TIMEOUTS_QUERY="0.3s", DB_POOL_TIMEOUT="0.2s")
    assert over(g) == {}
    with contextlib.closing(g.connect()) as a, contextlib.closing(g.raw()) as b:
        with pytest.raises(psycopg2.errors.QueryCanceled):
            ask(a, FOR_EVER)
        with pytest.raises(psycopg2.OperationalError):
            g.connect()
        b.ask("begin")
        with pytest.raises(psycopg2.Error):
            ask(a, "select 1")
    assert over(g) == {"timeouts.query": 1, "databases.clients": 1, "timeouts.pool": 1}


def test_when_there_are_too_many_clients_the_console_and_cancels_still_get_in(gate):
    g = gate(2, STANDPIPE_POOL_CLIENTS=3)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(contextlib.closing(g.raw())) for _ in range(3)]
        assert [c.ask("select 1") for c in clients] == [[("1",)]] * 3
        for _ in range(2):
            with contextlib.closing(g.raw(login=False)) as c:
                body = raw.text("user", "app", "database", "app") + b"\0"
                c.send(struct.pack("!ii", len(body) + 8, 196608) + body)
                assert raw.error(c.until_end())["C"] == "53300"
        assert over(g) == {"pool.clients": 2}
        clients[0].send(raw.query(FOR_EVER))
        wait_until(lambda: g.health()["pool"]["holding"] == 1, "the query")
        with contextlib.closing(g.raw(login=False)) as c:
            c.send(struct.pack("!iiii", 16, 80877102, *clients[0].key))
            assert c.until_end() == []
        assert raw.error(clients[0].until_ready())["C"] == "57014"
        # Who is silent takes no more than a few places, and not those of the clients.
        silent = [stack.enter_context(contextlib.closing(g.raw(login=False))) for _ in range(20)]
        wait_until(lambda: any(is_answered(s) for s in silent), "those that are too many to be refused")
    wait_until(lambda: metric(g, "clients_connected") == 0, "all to be gone")
    assert g.one("select 2") == 2


def is_answered(session):
    session.socket.setblocking(False)
    try:
        return session.socket.recv(1, socket.MSG_PEEK) != b"never"
    except BlockingIOError:
        return False
