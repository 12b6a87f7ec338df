"""The gate as applications use it: their drivers, many of them over few server connections."""

import asyncio
import contextlib
import io
import random
import socket
import struct
import threading

import asyncpg
import psycopg2
import psycopg2.errors
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine

import harness
import raw
from faults import Proxy, Watch
from gating import ask, in_threads, program
from harness import HOST, wait_until


@pytest.fixture(autouse=True)
def table(postgres):
    """A table of the app's own, empty."""
    postgres.query("create table if not exists t (i int primary key, s text)", user="app")
    postgres.query("truncate t", user="app")


# --- psycopg2: the simple protocol ------------------------------------------------------------------


def test_transactions(gate):
    g = gate(2)
    with contextlib.closing(g.connect(autocommit=False)) as a, contextlib.closing(g.connect()) as b:
        ask(a, "insert into t values (1, 'a')")
        assert ask(b, "select count(*) from t") == 0
        a.rollback()
        ask(a, "insert into t values (2, 'b')")
        a.commit()
        assert ask(b, "select sum(i) from t") == 2
        ask(a, "savepoint one")
        with pytest.raises(psycopg2.errors.UniqueViolation):
            ask(a, "insert into t values (2, 'again')")
        with pytest.raises(psycopg2.errors.InFailedSqlTransaction):
            ask(a, "select 1")
        ask(a, "rollback to savepoint one")
        ask(a, "insert into t values (3, 'c')")
        a.commit()
        assert ask(b, "select sum(i) from t") == 5


def test_errors_end_nothing(gate):
    g = gate(1)
    with contextlib.closing(g.connect()) as a, contextlib.closing(g.connect()) as b:
        for sql, sqlstate in (("select 1 from nowhere", "42P01"), ("selec", "42601"), ("select 1/0", "22012"),
                              ("select 1; select 1/0; select 2", "22012")):
            with pytest.raises(psycopg2.Error) as caught:
                ask(a, sql)
            assert caught.value.pgcode == sqlstate
            assert ask(b, "select 7") == 7
        assert ask(a, "select 1; select 2") == 2


def test_copy(gate):
    g = gate(1)
    lines = "".join(f"{i}\t{'x' * 300}\n" for i in range(20_000))
    with contextlib.closing(g.connect()) as a, contextlib.closing(g.connect()) as b:
        with a.cursor() as cursor:
            cursor.copy_expert("copy t from stdin", io.StringIO(lines))
            assert cursor.rowcount == 20_000
            assert ask(b, "select count(*) from t") == 20_000
            out = io.StringIO()
            cursor.copy_expert("copy (select * from t order by i) to stdout", out)
            assert out.getvalue() == lines
            for bad in ("20001\n", "1\tagain\n"):
                with pytest.raises(psycopg2.Error):
                    cursor.copy_expert("copy t from stdin", io.StringIO(bad + lines))
                assert ask(b, "select count(*) from t") == 20_000

        def broken(size):
            raise ValueError("the client's own")
        reader = io.StringIO()
        reader.read = broken
        with a.cursor() as cursor, pytest.raises(psycopg2.Error):
            cursor.copy_expert("copy t from stdin", reader)
        assert ask(a, "select count(*) from t") == 20_000


def test_big_results_and_big_queries(gate):
    g = gate(2)
    with contextlib.closing(g.connect()) as a:
        with a.cursor() as cursor:
            cursor.execute("select i, repeat(md5(i::text), 100) from generate_series(1, 3000) i")  # 9.6 MB
            for i, s in cursor:
                assert len(s) == 3200
        assert ask(a, "select repeat('abcd', 5000000)") == "abcd" * 5_000_000  # one row of 20 MB
        long = "z" * 10_000_000
        assert ask(a, f"select length('{long}')") == 10_000_000
        assert ask(a, "select %s", long) == long


def test_a_named_cursor_in_a_transaction(gate):
    g = gate(2)
    with contextlib.closing(g.connect(autocommit=False)) as a, contextlib.closing(g.connect()) as b:
        with a.cursor(name="one") as cursor:
            cursor.itersize = 100
            cursor.execute("select generate_series(1, 1000)")
            for expected, (i,) in enumerate(cursor, 1):
                assert i == expected
                if i % 100 == 0:
                    assert ask(b, "select 5") == 5
        a.commit()


def test_notices(gate):
    g = gate(1)
    with contextlib.closing(g.connect()) as a, contextlib.closing(g.connect()) as b:
        ask(a, "do $$ begin for i in 1..3 loop raise notice 'number %', i; end loop; end $$")
        ask(b, "select 1")
        assert [n.strip() for n in a.notices] == [f"NOTICE:  number {i}" for i in (1, 2, 3)]
        assert b.notices == []


SHOWN = ("application_name", "client_encoding", "DateStyle", "TimeZone", "statement_timeout", "work_mem")


def test_each_client_keeps_its_own_settings(gate):
    """On whatever server it gets: those of its startup packet, and those it SETs that the server reports."""
    g = gate(2)
    g.open_all(2)
    zones = ["UTC", "Europe/Zurich", "Asia/Tokyo"]
    styles = ["ISO, DMY", "German, DMY", "SQL, MDY"]

    def work(number):
        dice = random.Random(number)
        encoding = ("UTF8", "LATIN1")[number % 2]
        name = f"client '{number}' \\ \""
        timeout = 600_001 + number
        zone, style = dice.choice(zones), "ISO, MDY"
        with contextlib.closing(g.connect(
                application_name=name, client_encoding=encoding,
                options=f"-c statement_timeout={timeout} -c work_mem={64 + number}kB -c TimeZone={zone}")) as c:
            for turn in range(30):
                if turn % 10 == 5:
                    zone, style, name = dice.choice(zones), dice.choice(styles), f"again {number} {turn}"
                    ask(c, "set timezone to %s", zone)
                    ask(c, "set datestyle to %s", style)
                    ask(c, "set application_name to %s", name)
                with c.cursor() as cursor:
                    cursor.execute("select " + ", ".join(f"current_setting('{s}')" for s in SHOWN)
                                   + ", 'é', '2001-02-03'::date::text")
                    row = cursor.fetchone()
                assert row[:4] == (name, encoding, style, zone), (number, turn, row)
                assert row[4:6] == (f"{timeout}ms", f"{64 + number}kB")
                assert row[6] == "é"
                assert row[7] == {"ISO": "2001-02-03", "Ger": "03.02.2001", "SQL": "02/03/2001"}[style[:3]]

    in_threads(8, work)
    assert len(g.backends()) == 2


def test_a_setting_of_one_is_never_anothers(gate):
    g = gate(1)
    with contextlib.closing(g.connect()) as a, contextlib.closing(g.connect()) as b:
        usual = ask(b, "show statement_timeout")
        ask(a, "set statement_timeout to '7min'")
        assert ask(a, "show statement_timeout") == "7min"
        assert ask(b, "show statement_timeout") == usual
        ask(a, "set session characteristics as transaction read only")
        assert ask(b, "show transaction_read_only") == "off"
        ask(b, "insert into t values (1, '')")


# --- asyncpg and SQLAlchemy: prepared statements, pipelines -------------------------------------------


def test_asyncpg_prepared_statements(gate):
    """Every client names its statements alike, with texts of its own."""
    async def client(number, g):
        c = await g.asyncpg()
        try:
            for turn in range(25):
                text = f"select $1::int + {number * 1000 + turn % 7} as n, $2::text as s"
                row = await c.fetchrow(text, turn, f"{number}/{turn}")
                assert (row["n"], row["s"]) == (turn + number * 1000 + turn % 7, f"{number}/{turn}")
            held = await c.prepare("select $1::int * 3")
            async with c.transaction():
                assert await held.fetchval(number) == number * 3
                await c.execute("insert into t values ($1, $2)", number, "x")
            assert await held.fetchval(5) == 15
        finally:
            await c.close()

    async def all_of_them(g):
        await asyncio.gather(*(client(n, g) for n in range(20)))

    g = gate(3)
    g.open_all(3)
    asyncio.run(all_of_them(g))
    assert g.one("select count(*) from t") == 20
    assert len(g.backends()) <= 3


def test_asyncpg_batches_errors_and_copy(gate):
    async def work(g):
        c, other = await g.asyncpg(), await g.asyncpg()
        await c.executemany("insert into t values ($1, $2)", [(i, f"row {i}") for i in range(5000)])
        assert await other.fetchval("select count(*) from t") == 5000
        with pytest.raises(asyncpg.UniqueViolationError):
            await c.executemany("insert into t values ($1, $2)", [(i, "again") for i in range(6000, 3000, -1)])
        assert await c.fetchval("select count(*) from t") == 5000
        for _ in range(3):
            with pytest.raises(asyncpg.DivisionByZeroError):
                await c.fetchval("select 1 / $1::int", 0)
            assert await c.fetchval("select 8 / $1::int", 2) == 4
            with pytest.raises(asyncpg.UndefinedTableError):
                await c.fetch("select * from nowhere where i = $1", 1)
            assert await other.fetchval("select 8 / $1::int", 2) == 4
        await c.copy_records_to_table("t", records=[(i, "copied") for i in range(10_000, 30_000)])
        out = io.BytesIO()
        await c.copy_from_query("select i from t where i >= $1 order by i", 10_000, output=out)
        assert out.getvalue().split() == [b"%d" % i for i in range(10_000, 30_000)]
        with pytest.raises(asyncpg.PostgresError):
            await c.copy_records_to_table("t", records=[(10_000, "again")])
        async with c.transaction():
            cursor = await c.cursor("select generate_series(1, 1000)")
            assert len(await cursor.fetch(400)) == 400
            assert [r[0] for r in await cursor.fetch(3)] == [401, 402, 403]
        await c.close()
        await other.close()

    asyncio.run(work(gate(2)))


def test_asyncpg_long_texts_without_a_name(gate):
    """asyncpg sends what it will not cache without a name, and its values a round trip later."""
    async def client(number, g):
        c = await g.asyncpg()
        for size in (14_000, 20_000, 300_000):
            text = f"select $1::int + {number} /* {'x' * size} */"
            for turn in range(5):
                assert await c.fetchval(text, turn) == number + turn
        await c.close()

    async def all_of_them(g):
        await asyncio.gather(*(client(n, g) for n in range(6)))

    g = gate(2)
    g.open_all(2)
    asyncio.run(all_of_them(g))


def test_asyncpg_timeouts_cancel(gate):
    async def work(g):
        c, other = await g.asyncpg(), await g.asyncpg()
        for _ in range(3):
            slow = asyncio.ensure_future(other.fetchval("select 4 from pg_sleep(0.3)"))
            with pytest.raises(asyncio.TimeoutError):
                await c.fetchval("select pg_sleep(600)", timeout=0.1)
            assert await c.fetchval("select 3") == 3
            assert await slow == 4  # not what was meant
        await c.close()
        await other.close()

    asyncio.run(work(gate(2)))


def test_sqlalchemy(gate):
    metadata = sqlalchemy.MetaData()
    items = sqlalchemy.Table("t", metadata, sqlalchemy.Column("i", sqlalchemy.Integer, primary_key=True),
                             sqlalchemy.Column("s", sqlalchemy.Text))

    async def worker(engine, number):
        for turn in range(5):
            async with engine.begin() as connection:
                await connection.execute(items.insert(), [
                    {"i": number * 1000 + turn * 10 + k, "s": f"{number}"} for k in range(10)])
            async with engine.connect() as connection:
                rows = await connection.execute(items.select().where(items.c.s == f"{number}"))
                assert len(rows.all()) == (turn + 1) * 10
            with pytest.raises(sqlalchemy.exc.IntegrityError):
                async with engine.begin() as connection:
                    await connection.execute(items.insert(), {"i": number * 1000, "s": "again"})

    async def work(g):
        engine = create_async_engine(g.url("postgresql+asyncpg"), pool_size=20, max_overflow=30,
                                     pool_pre_ping=True)
        await asyncio.gather(*(worker(engine, n) for n in range(24)))
        await engine.dispose()

    g = gate(3)
    asyncio.run(work(g))
    assert g.one("select count(*) from t") == 24 * 50
    assert len(g.backends()) <= 3


# --- psql and pgbench ---------------------------------------------------------------------------------


def test_psql(gate):
    g = gate(2)
    psql = ["psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
    assert program(g, *psql, "-c", "select 1; select 2")[0] == "1\n2\n"
    assert program(g, *psql, "-c", "select 3", host=g.directory)[0] == "3\n"
    script = "begin;\ninsert into t values (1, 'é');\n\\copy t from stdin\n2\ttwo\n\\.\ncommit;\n\\copy t to stdout\n"
    out = program(g, *psql, stdin=script)[0]
    assert out.splitlines()[-2:] == ["1\té", "2\ttwo"]
    out, err = program(g, *psql, "-c", "\\set VERBOSITY verbose", "-c", "select nowhere", code=1)
    assert "42703" in err
    assert "t" in program(g, *psql, "-c", "\\dt")[0]


@pytest.fixture
def pgbench(gate, postgres_template):
    tool = postgres_template.bin / "pgbench"
    g = gate(3)
    program(g, tool, "-i", "-q", "-s", "1")

    def run(*options):
        out, err = program(g, tool, "-n", *options)
        assert "number of failed transactions: 0 " in out + err, out + err
        return out

    yield run
    assert len(g.backends()) <= 3
    g.standpipe.stop()


def test_pgbench(pgbench):
    for mode in ("simple", "extended", "prepared"):
        out = pgbench("-S", "-M", mode, "-c", "16", "-j", "2", "-t", "100")
        assert "1600/1600" in out
        out = pgbench("-M", mode, "-c", "3", "-j", "1", "-t", "50")  # transactions of seven queries
        assert "150/150" in out


# --- many clients, few servers ------------------------------------------------------------------------


def test_every_answer_is_the_askers_own(gate):
    async def client(number, g):
        c = await g.asyncpg(server_settings={"application_name": f"n{number % 4}"})
        dice = random.Random(number)
        for turn in range(30):
            token = f"{number}.{turn}.{dice.random()}"
            size = dice.choice((1, 100, 70_000))
            kind = dice.randrange(4)
            if kind == 0:
                assert await c.fetchval("select $1::text", token) == token
            elif kind == 1:
                assert await c.fetchval(f"select '{token}' || repeat('x', {size})") == token + "x" * size
            elif kind == 2:
                with pytest.raises(asyncpg.RaiseError, match=token):
                    await c.execute(f"do $$ begin raise '{token}'; end $$")
            else:
                async with c.transaction():
                    mine = await c.fetchval("select pg_backend_pid()")
                    assert await c.fetchval("select $1::text", token) == token
                    assert await c.fetchval("select pg_backend_pid()") == mine
        await c.close()

    def simple(number, g):
        with contextlib.closing(g.connect(application_name=f"n{number % 4}")) as c:
            for turn in range(30):
                assert ask(c, "select %s", f"{number}.{turn}") == f"{number}.{turn}"

    async def all_of_them(g):
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(client(n, g) for n in range(56)),
                             loop.run_in_executor(None, in_threads, 8, lambda n: simple(n, g)))

    g = gate(5)
    g.open_all(5)
    asyncio.run(all_of_them(g))
    assert len(g.backends()) <= 5
    assert g.health()["pool"]["servers"]["busy"] == 0


# --- clients that die ---------------------------------------------------------------------------------


def in_transaction(c):
    c.ask("begin")
    c.ask("insert into t values (1, 'lost')")


def in_failed_transaction(c):
    c.ask("begin")
    c.send(raw.query("select 1/0"))
    c.until_ready()


def in_copy_in(c):
    c.send(raw.query("copy t from stdin"))
    c.until("G")
    c.send(raw.message("d", b"1\tlost\n"), raw.message("d", b"2\tlo")[:9])


def in_copy_in_between_messages(c):
    c.send(raw.query("copy t from stdin"))
    c.until("G")
    c.send(raw.message("d", b"1\tlost\n"))


def in_copy_out(c):
    c.send(raw.query("copy (select repeat('x', 1000) from generate_series(1, 100000)) to stdout"))
    c.until("H")


def in_a_big_answer(c):
    c.send(raw.query("select repeat('x', 1000) from generate_series(1, 100000)"))
    c.until("T")


def in_a_query_that_runs(c):
    c.send(raw.query("select pg_sleep(0.2); insert into t values (2, 'may be')"))


def in_half_a_query(c):
    c.send(raw.query("insert into t values (1, 'lost')")[:-4])


def in_half_a_header(c):
    c.send(raw.query("select 1")[:3])


def in_half_a_bind(c):
    c.send(raw.parse("s", "insert into t values (1, $1)"), raw.bind("s", "x" * 100_000)[:50_000])


def in_half_a_query_in_a_transaction(c):
    in_transaction(c)
    c.send(raw.query("select 2" + " " * 100_000)[:50_000])


def in_a_pipeline_without_sync(c):
    c.send(raw.parse("", "insert into t values (1, 'lost')"), raw.bind(""), raw.EXECUTE)


def in_a_failed_pipeline(c):
    c.send(raw.parse("", "select 1/0"), raw.bind(""), raw.EXECUTE, raw.message("H"))
    c.until("E")


def in_a_transaction_with_a_cursor(c):
    c.ask("begin")
    c.ask("declare one cursor for select generate_series(1, 10)")
    c.ask("fetch 3 from one")
    c.ask("select pg_advisory_xact_lock(77)")


@pytest.mark.parametrize("how", [
    in_transaction, in_failed_transaction, in_copy_in, in_copy_in_between_messages, in_copy_out,
    in_a_big_answer, in_a_query_that_runs, in_half_a_query, in_half_a_header, in_half_a_bind,
    in_half_a_query_in_a_transaction, in_a_pipeline_without_sync, in_a_failed_pipeline,
    in_a_transaction_with_a_cursor], ids=lambda f: f.__name__)
@pytest.mark.parametrize("end", ["reset", "close"])
def test_a_client_that_dies_leaves_nothing_behind(gate, how, end):
    g = gate(1)
    for turn in range(3):
        victim = g.raw()
        how(victim)
        if end == "reset":
            victim.reset()
        else:
            victim.socket.close()
        with contextlib.closing(g.raw()) as c:
            assert c.ask("select 'mine', pg_current_xact_id_if_assigned(), now() = statement_timestamp()") == [
                ("mine", None, "t")]
            assert c.ask("select count(*) from t where s = 'lost'") == [("0",)]
            assert c.ask("select count(*) from pg_cursors") == [("0",)]
            assert c.ask("select count(*) from pg_locks where locktype = 'advisory'") == [("0",)]
            c.send(raw.parse("", f"select $1::text || {turn}"), raw.bind("", "yes "), raw.EXECUTE, raw.SYNC)
            assert [raw.row(b) for k, b in c.until_ready() if k == "D"] == [(f"yes {turn}",)]
    wait_until(lambda: g.health()["pool"]["holding"] == 0, "all to be given back")
    assert len(g.backends()) <= 1


# --- servers that die ---------------------------------------------------------------------------------


COPY = raw.query("select 1; copy t from stdin")
COPY_EXTENDED = raw.parse("", "copy t from stdin") + raw.bind("") + raw.EXECUTE + raw.SYNC


@pytest.mark.parametrize("copy", [COPY, COPY_EXTENDED])
@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("last, told", [(raw.message("X"), None), (raw.query("select 2"), "08P01")])
def test_a_client_that_ends_amid_its_copy(gate, copy, waits, last, told):
    """PostgreSQL cuts the connection: there is no other end of it."""
    g = gate(1)
    with contextlib.closing(g.raw()) as c, contextlib.closing(g.raw()) as other:
        c.send(copy)
        if waits:
            c.until("G")
            c.send(raw.message("d", b"1\tlost\n"))
        c.send(last)
        errors = [m for m in c.until_end() if m[0] == "E"]
        assert (raw.error(errors)["C"] if errors else None) == told
        assert other.ask("select count(*) from t") == [("0",)]


@pytest.mark.parametrize("ping_after", ["0s", "30s"])
def test_an_idle_server_that_is_killed_is_not_noticed(gate, postgres, ping_after):
    g = gate(2, STANDPIPE_POOL_PING_AFTER=ping_after)
    with contextlib.closing(g.connect()) as a:
        for _ in range(3):
            before = g.backends()
            assert before
            for pid in before:
                postgres.query("select pg_terminate_backend(%s)", pid)
            wait_until(lambda b=before: not b & g.backends(), "the backends' ends")
            assert ask(a, "select 6") == 6
    assert g.health()["breaker"]["opened"] == 0


def test_a_busy_server_that_is_killed_is_told(gate, postgres):
    g = gate(2)
    with contextlib.closing(g.raw()) as a, contextlib.closing(g.raw()) as b:
        a.send(raw.query("select pg_sleep(600)"))
        pid = wait_until(lambda: postgres.query("select pid from pg_stat_activity where query like %s "
                                                "and usename = 'app'", "%pg_sleep(600)%"), "the query")[0][0]
        postgres.query("select pg_terminate_backend(%s)", pid)
        seen = a.until_end()
        assert [kind for kind, _ in seen].count("E") == 1  # the server's own word, and no other behind it
        assert raw.error(seen)["S"] == "FATAL" and raw.error(seen)["C"] == "57P01"
        assert b.ask("select 1") == [("1",)]
    assert g.one("select 2") == 2


def test_a_server_that_vanishes_is_told(gate, make_postgres):
    """A crash: the server says nothing itself."""
    server = make_postgres().start()
    g = gate(1, server=server)
    with contextlib.closing(g.raw()) as c:
        c.ask("begin")
        server.kill()
        told = raw.error(c.until_end())
        assert told["S"] == "FATAL" and told["C"] == "08006"
        assert "connection to the database was lost" in told["M"] and told["D"]
    server.start()
    wait_until(lambda: g.health()["database"]["up"], "the database again")
    assert g.one("select 3") == 3


def test_a_server_killed_in_a_transaction_is_told(gate, postgres):
    g = gate(2)
    with contextlib.closing(g.raw()) as c:
        c.ask("begin")
        pid = c.ask("select pg_backend_pid()")[0][0]
        postgres.query("select pg_terminate_backend(%s)", int(pid))
        told = raw.error(c.until_end())
        assert told["S"] == "FATAL" and told["C"] == "57P01"
    assert g.one("select 2") == 2


# --- cancel, timeouts, refusals -----------------------------------------------------------------------


def test_cancel_reaches_the_right_query(gate, postgres):
    g = gate(2)
    a, b = g.connect(), g.connect()
    with contextlib.closing(a), contextlib.closing(b):
        ends = {}

        def run(name, connection):
            try:
                ask(connection, f"select pg_sleep(600) /* {name} */")
                ends[name] = None
            except psycopg2.Error as e:
                ends[name] = e.pgcode

        def running(name):
            return postgres.query("select 1 from pg_stat_activity where query like %s and state = 'active' "
                                  "and usename = 'app'", f"%/* {name} */%")

        threads = {n: threading.Thread(target=run, args=(n, c)) for n, c in (("a", a), ("b", b))}
        for name, thread in threads.items():
            thread.start()
            wait_until(lambda n=name: running(n), f"query {name}")
        a.cancel()
        threads["a"].join()
        assert ends == {"a": "57014"} and running("b")
        a.cancel()  # it runs nothing now: nobody is hit
        assert ask(a, "select 1") == 1
        assert running("b")
        b.cancel()
        threads["b"].join()
        assert ends["b"] == "57014"


def test_a_cancel_with_a_wrong_key_does_nothing(gate):
    g = gate(1)
    with contextlib.closing(g.raw()) as c:
        c.send(raw.query("select 5 from pg_sleep(0.3)"))
        wait_until(lambda: g.health()["pool"]["holding"] == 1, "the query")
        for pid, key in ((c.key[0], c.key[1] ^ 1), (c.key[0] + 1, c.key[1]), (0, 0), (-1, 0), (2**31 - 1, 0)):
            with contextlib.closing(g.raw(login=False)) as other:
                other.send(struct.pack("!iiii", 16, 80877102, pid, key))
                assert other.until_end() == []
        assert [raw.row(b) for k, b in c.until_ready() if k == "D"] == [("5",)]


def cancel(g, session):
    with contextlib.closing(g.raw(login=False)) as asker:
        asker.send(struct.pack("!iiii", 16, 80877102, *session.key))
        assert asker.until_end() == []


def test_a_cancel_ends_the_wait_for_a_server(gate):
    """What was asked for fails as in PostgreSQL, what comes behind it does not, and nobody is hit."""
    g = gate(1)
    with contextlib.closing(g.raw()) as holder, contextlib.closing(g.raw()) as c:
        def cancel_waiting(*messages):
            c.send(*messages)
            wait_until(lambda: g.health()["pool"]["waiting"] == 1, "the wait")
            cancel(g, c)
            assert raw.error([c.receive()])["C"] == "57014"

        holder.ask("begin")
        cancel_waiting(raw.query("select 1"))
        assert c.receive() == ("Z", b"I")
        cancel_waiting(raw.parse("a", "select 2"), raw.bind("a"), raw.EXECUTE)
        cancel(g, c)  # once more, while it skips: that is nothing
        c.send(raw.bind("a"), raw.SYNC)
        assert c.receive() == ("Z", b"I")
        cancel_waiting(raw.query("select 3"), raw.query("select 4"))
        assert c.receive() == ("Z", b"I")
        wait_until(lambda: g.health()["pool"]["waiting"] == 1, "the wait of what came behind")
        assert holder.ask("select 5") == [("5",)]
        holder.ask("commit")
        assert [raw.row(b) for k, b in c.until_ready() if k == "D"] == [("4",)]
        c.send(raw.bind("a"), raw.SYNC)
        assert raw.error(c.until_ready())["C"] == "26000"  # it was not prepared
        c.send(raw.parse("a", "select 6"), raw.bind("a"), raw.EXECUTE, raw.SYNC)
        assert [raw.row(b) for k, b in c.until_ready() if k == "D"] == [("6",)]
        holder.ask("begin")
        cancel_waiting(raw.parse("", "select 7"))  # and it goes without its Sync
        c.send(raw.message("X"))
        assert c.until_end() == []
        wait_until(lambda: g.health()["pool"]["waiting"] == 0, "nobody waiting")


def test_a_late_cancel_does_not_meet_the_next_query(gate, postgres):
    """What it was meant for is over meanwhile."""
    cancel = struct.pack("!ii", 16, 80877102)
    seen, go_on = threading.Event(), threading.Event()

    def rule(_proxy, _connection, from_client, data):
        if from_client and data.startswith(cancel):
            seen.set()
            go_on.wait(harness.LIMIT)
        return data

    proxy = Proxy(postgres.port, rule=rule)
    g = gate(2, DATABASE_URL=postgres.url(port=proxy.port))
    g.open_all(2)
    with contextlib.closing(proxy), contextlib.closing(g.raw()) as c, contextlib.closing(g.raw()) as other:
        c.send(raw.query("select 5 from pg_sleep(0.5)"))
        wait_until(lambda: g.health()["pool"]["holding"] == 1, "the query")
        with contextlib.closing(g.raw(login=False)) as asker:
            asker.send(cancel + struct.pack("!ii", *c.key))
            assert asker.until_end() == []
        assert seen.wait(harness.LIMIT)
        assert [raw.row(b) for k, b in c.until_ready() if k == "D"] == [("5",)]
        c.send(raw.query("select 6 from pg_sleep(0.5)"))
        assert other.ask("select 7") == [("7",)]
        go_on.set()
        assert [raw.row(b) for k, b in c.until_ready() if k == "D"] == [("6",)]


def test_a_wait_that_is_too_long_is_explained(gate):
    g = gate(1, DB_POOL_TIMEOUT="0.3s")
    with contextlib.closing(g.raw()) as holder, contextlib.closing(g.raw()) as c:
        holder.ask("begin")
        c.send(raw.query("select 1"))
        told = raw.error(c.until_end())
        assert told["S"] == "FATAL" and told["C"] == "53300"
        assert "no server connection became free" in told["M"]
        assert "share 1" in told["D"] and "breaker closed" in told["D"]
        assert "Try again" in told["H"]
        with pytest.raises(psycopg2.OperationalError, match="no server connection became free"):
            g.connect(application_name="not seen before")
        holder.ask("commit")
        assert g.one("select 1") == 1


@pytest.mark.parametrize("change, sqlstate, part", [
    ({"user": "mallory"}, "28000", "mallory"), ({"database": "other"}, "3D000", "other"),
    ({"replication": "true"}, "0A000", "replication"), ({"options": "-x nonsense"}, "08P01", "options")])
def test_who_is_not_served_is_told_so(gate, change, sqlstate, part):
    g = gate(1)
    with contextlib.closing(g.raw(login=False)) as c:
        pairs = {"user": "app", "database": "app", **change}
        body = raw.text(*(w for pair in pairs.items() for w in pair)) + b"\0"
        c.send(struct.pack("!ii", len(body) + 8, 196608) + body)
        told = raw.error(c.until_end())
        assert told["S"] == "FATAL" and told["C"] == sqlstate and part in told["M"]
    assert g.one("select 1") == 1


def test_a_setting_that_the_server_refuses_is_told(gate):
    g = gate(1)
    with pytest.raises(psycopg2.OperationalError, match="Nowhere/Land"):
        g.connect(options="-c TimeZone=Nowhere/Land")
    with pytest.raises(psycopg2.OperationalError, match="no_such_setting"):
        g.connect(options="-c no_such_setting=1")
    assert g.one("select 1") == 1


def test_encryption_is_declined_and_the_session_goes_on(gate):
    g = gate(1)
    for request in (80877103, 80877104):  # SSL, GSS
        with contextlib.closing(g.raw(login=False)) as c:
            c.send(struct.pack("!ii", 8, request))
            assert c.socket.recv(1) == b"N"
            body = raw.text("user", "app") + b"\0"
            c.send(struct.pack("!ii", len(body) + 8, 196608) + body)
            c.until_ready()
            assert c.ask("select 9") == [("9",)]
    with contextlib.closing(g.connect(sslmode="prefer")) as c:
        assert ask(c, "select 9") == 9
    with pytest.raises(psycopg2.OperationalError, match="does not support SSL"):
        g.connect(sslmode="require")


# --- the database goes and comes ------------------------------------------------------------------------


def test_the_database_restarts_under_load(gate, make_postgres):
    server = make_postgres().start()
    server.query("create table t (i serial, s text)", user="app")
    g = gate(3, server=server, DB_POOL_TIMEOUT="5s")
    g.open_all(3)
    over = threading.Event()
    done = [0] * 12
    unknown = [0] * 12
    seen = set()

    def work(number):
        connection = None
        while not over.is_set():
            try:
                connection = connection or g.connect()
                ask(connection, f"insert into t (s) values ('{number}')")
                done[number] += 1
            except psycopg2.Error as e:
                unknown[number] += 1
                seen.add(e.pgcode or str(e).split(":")[-1].strip()[:60])
                if connection:
                    connection.close()
                connection = None

    with Watch(g.standpipe):
        threads = [threading.Thread(target=work, args=(n,)) for n in range(12)]
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: all(done), "everyone's first insert")
            server.stop()
            wait_until(lambda: g.health()["breaker"]["opened"] >= 1, "the breaker to open")
            assert g.standpipe.get("/ready").status == 200  # the fleet stays in rotation
            assert g.health()["database"]["up"] is False
            assert g.health()["database"]["last_error"]["text"]
            server.start()
            before = list(done)
            wait_until(lambda: all(d > b for d, b in zip(done, before)), "everyone's next insert")
        finally:
            over.set()
            for thread in threads:
                thread.join()
        wait_until(lambda: g.health()["availability"] == "full", "all to be well again")
    assert g.health()["breaker"]["state"] == "closed" and all(unknown), seen
    rows = server.query("select count(*) from t")[0][0]
    assert sum(done) <= rows <= sum(done) + sum(unknown)


def test_a_database_that_hangs_is_given_up_in_the_end(gate, make_postgres):
    """Nothing comes any more, not even an end: the ping notices before a client's query is lost."""
    server = make_postgres().start()
    g = gate(1, server=server, STANDPIPE_POOL_PING_AFTER="0s", DB_HEALTH_CHECK_TIMEOUT="0.5s",
             DB_CONNECTION_TIMEOUT="2s", DB_POOL_TIMEOUT="30s")
    with contextlib.closing(g.raw()) as c:
        c.ask("select 1")
        server.pause()
        c.send(raw.query("select 2"))
        wait_until(lambda: (g.health()["database"]["last_error"] or {}).get("text"), "the loss to be noticed")
        server.resume()
        assert [raw.row(b) for k, b in c.until_ready() if k == "D"] == [("2",)]


@pytest.mark.parametrize("errand", ["setup", "ask"])
def test_what_the_gate_itself_asks_on_a_dead_path_is_given_up(gate, postgres, errand):
    """No ping goes before it, and nothing comes back: neither an answer nor an end."""
    dead = threading.Event()

    def rule(proxy, connection, from_client, data):
        if from_client and connection == proxy.last and dead.is_set():
            return b""
        if from_client and b"app.x" in data:  # what is asked behind it is lost
            proxy.last = connection
            dead.set()
        return data

    proxy = Proxy(postgres.port, rule=rule)
    proxy.last = -1
    try:
        g = gate(1, DATABASE_URL=postgres.url(port=proxy.port, query="sslmode=disable"),
                 DB_HEALTH_CHECK_TIMEOUT="0.5s")
        with contextlib.closing(g.raw()) as c, contextlib.closing(g.raw(TimeZone="Asia/Tokyo")) as other:
            if errand == "ask":
                assert c.ask("select set_config('app.x', 'mine', false)") == [("mine",)]
                c.send(raw.query("select 1"))
                assert raw.error(c.until_end())["C"] == "08006"
            else:
                c.ask("select 1")
                proxy.last = proxy.connections - 1
                dead.set()
            assert other.ask("show timezone") == [("Asia/Tokyo",)]
    finally:
        proxy.close()


def test_sigterm_lets_clients_finish(gate):
    g = gate(2)
    with contextlib.closing(g.raw()) as c:
        c.ask("begin")
        c.ask("insert into t values (1, 'kept')")
        g.standpipe.send_signal(15)
        g.standpipe.wait_line("draining")
        with pytest.raises(OSError):
            wait_until(lambda: socket.create_connection((HOST, g.port)).close(), "a refusal", limit=10)
        c.ask("commit")
    assert g.standpipe.wait() == 0
    assert g.server.query("select s from t") == [("kept",)]


def test_asyncpg_pool_resets_to_the_clients_own(gate):
    """asyncpg's pool says RESET ALL for each connection given back: the startup packet's settings stay."""
    async def work(g):
        pool = await asyncpg.create_pool(g.url(), min_size=4, max_size=4, server_settings={
            "application_name": "pooled", "TimeZone": "Asia/Tokyo", "statement_timeout": "77777"})
        plain = await g.asyncpg()
        for turn in range(5):
            async def one():
                async with pool.acquire() as c:
                    await c.execute("set datestyle to 'German'")
                    return await c.fetchrow("select current_setting('application_name'), current_setting('TimeZone'),"
                                            " current_setting('statement_timeout'), current_setting('DateStyle')")
            for row in await asyncio.gather(*(one() for _ in range(8))):
                assert tuple(row)[:3] == ("pooled", "Asia/Tokyo", "77777ms"), (turn, row)
                assert row[3].startswith("German")
            assert await plain.fetchval("show application_name") == ""
            assert (await plain.fetchval("show datestyle")).startswith("ISO")
        await plain.close()
        await pool.close()

    g = gate(2)
    g.open_all(2)
    asyncio.run(work(g))


def test_more_statements_than_a_server_keeps(gate):
    async def client(number, g):
        c = await g.asyncpg(statement_cache_size=0)
        held = [await c.prepare(f"select {n} + $1::int + {number % 2}") for n in range(400)]
        for turn in range(0, 1200, 7):
            n = turn % 400
            assert await held[n].fetchval(1000) == 1000 + n + number % 2
        await c.close()

    async def all_of_them(g):
        await asyncio.gather(*(client(n, g) for n in range(4)))

    g = gate(2)
    g.open_all(2)
    asyncio.run(all_of_them(g))
    assert int(g.one("select count(*) from pg_prepared_statements")) <= 1000


def test_deallocate_and_discard(gate):
    g = gate(1)
    with contextlib.closing(g.raw(TimeZone="Asia/Tokyo")) as a, contextlib.closing(g.raw()) as b:
        def run(c, expected):
            c.send(raw.bind("s"), raw.EXECUTE, raw.SYNC)
            messages = c.until_ready()
            if expected is None:
                assert raw.error(messages)["C"] == "26000"
            else:
                assert [raw.row(body) for kind, body in messages if kind == "D"] == [(expected,)]
        for c, text in ((a, "select 'a'"), (b, "select 'b'")):
            c.send(raw.parse("s", text), raw.SYNC)
            c.until_ready()
        run(a, "a")
        run(b, "b")
        a.ask("deallocate all")
        run(a, None)
        run(b, "b")
        a.ask("discard all")
        assert a.ask("show timezone") == [("Asia/Tokyo",)]
        run(b, "b")
