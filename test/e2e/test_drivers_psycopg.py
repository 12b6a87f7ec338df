"""psycopg 3 and psycopg 2 through the gate, as applications use them."""

import asyncio
import contextlib
import datetime
import decimal
import ipaddress
import os
import random
import threading
import uuid

import psycopg
import psycopg2
import psycopg2.extensions
import psycopg2.extras
import pytest
from psycopg.types.json import Jsonb

from harness import HOST, wait_until


@pytest.fixture(autouse=True)
def table(postgres):
    postgres.query("drop table if exists items; create table items (i int primary key, s text)", user="app")


def info(g, **parameters):
    pairs = {"host": HOST, "port": g.port, "user": "app", "dbname": "app", **parameters}
    return psycopg.conninfo.make_conninfo(**pairs)


def connect(g, autocommit=False, **parameters):
    return psycopg.connect(info(g, **parameters), autocommit=autocommit)


def one(connection, sql, *arguments):
    return connection.execute(sql, arguments or None).fetchone()[0]


def test_transactions_within_transactions(gate):
    g = gate(2)
    with connect(g) as a, connect(g, autocommit=True) as b:
        with a.transaction():
            a.execute("insert into items values (1, 'kept')")
            with pytest.raises(psycopg.errors.UniqueViolation) as caught:
                with a.transaction():
                    a.execute("insert into items values (2, 'lost')")
                    a.execute("insert into items values (1, 'again')")
            with a.transaction() as inner:
                a.execute("insert into items values (3, 'taken back')")
                raise psycopg.Rollback(inner)
            assert one(b, "select count(*) from items") == 0
        assert b.execute("select * from items").fetchall() == [(1, "kept")]
        told = caught.value.diag
        assert (told.sqlstate, told.severity_nonlocalized) == ("23505", "ERROR")
        assert (told.schema_name, told.table_name, told.constraint_name) == ("public", "items", "items_pkey")
        assert told.message_detail and told.source_file and told.source_line and told.source_function
        assert a.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_statements_are_prepared_and_dropped(gate):
    """psycopg prepares at the fifth time, and keeps a hundred: more than that, it deallocates."""
    g = gate(2)
    g.open_all(2)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(g, autocommit=True)) for _ in range(4)]
        for c in clients:
            c.prepared_max = 10
        for turn in range(40):
            for number, c in enumerate(clients):
                text = f"select %s::int + {turn % 20 * 10 + number}"
                for i in range(7 if turn < 20 else 1):
                    assert one(c, text, i) == i + turn % 20 * 10 + number
        a, b = clients[:2]
        for _ in range(8):
            with pytest.raises(psycopg.errors.DivisionByZero):
                a.execute("select 1 / %s::int", [0])
            assert one(b, "select 10 / %s::int", 2) == 5


def test_a_table_that_changes_under_a_prepared_statement(gate):
    g = gate(2)
    g.open_all(2)
    with connect(g, autocommit=True) as a, connect(g, autocommit=True) as b:
        b.execute("insert into items values (1, 'a')")
        for _ in range(8):
            assert a.execute("select * from items where i = %s", [1]).fetchone() == (1, "a")
        b.execute("alter table items add column more int default 7")
        # PostgreSQL's own rule: the statement's result may not change. What comes next is new.
        with contextlib.suppress(psycopg.errors.FeatureNotSupported):
            assert a.execute("select * from items where i = %s", [1]).fetchone() == (1, "a", 7)
        assert a.execute("select  * from items where i = %s", [1]).fetchone() == (1, "a", 7)


def test_pipelines(gate):
    g = gate(2)
    g.open_all(2)
    with connect(g, autocommit=True) as a, connect(g, autocommit=True) as b:
        with a.pipeline():
            answers = [a.execute("select %s::int * 2", [n]) for n in range(300)]
        assert [c.fetchone()[0] for c in answers] == [n * 2 for n in range(300)]
        with a.pipeline(), a.transaction():
            a.execute("insert into items values (1, 'one')")
            with a.cursor() as cursor:
                cursor.executemany("insert into items values (%s, %s)", [(n, "many") for n in range(2, 500)])
        assert one(b, "select count(*) from items") == 499


def test_errors_inside_pipelines(gate):
    g = gate(2)
    g.open_all(2)
    with connect(g, autocommit=True) as a, connect(g, autocommit=True) as b:
        for turn in range(10):
            answers = []
            with pytest.raises(psycopg.errors.DivisionByZero):
                with a.pipeline() as pipeline:
                    for divisor in (1, 2, 0, 4, 5):
                        answers.append(a.execute("select 20 / %s::int", [divisor], prepare=True))
                    pipeline.sync()
            assert [c.fetchone()[0] for c in answers[:2]] == [20, 10]
            assert one(b, "select %s::text", "b") == "b"
            with pytest.raises(psycopg.errors.UniqueViolation):
                with a.pipeline() as pipeline:
                    a.execute("insert into items values (%s, 'kept')", [turn], prepare=True)
                    pipeline.sync()
                    a.execute("insert into items values (%s, 'lost')", [turn + 1000], prepare=True)
                    a.execute("insert into items values (%s, 'refused')", [turn], prepare=True)
                    a.execute("insert into items values (%s, 'skipped')", [turn + 2000], prepare=True)
            with a.pipeline():
                answers = [a.execute("select count(*) + %s::int from items", [n], prepare=True) for n in range(5)]
            assert [c.fetchone()[0] for c in answers] == [turn + 1 + n for n in range(5)]


def test_copy(gate):
    g = gate(2)
    with connect(g) as a, connect(g, autocommit=True) as b:
        rows = [(n, "é\t\\\n" * (n % 50)) for n in range(20_000)]
        with a.cursor() as cursor:
            with cursor.copy("copy items from stdin") as copy:
                for row in rows:
                    copy.write_row(row)
            a.commit()
            with cursor.copy("copy (select * from items order by i) to stdout") as copy:
                copy.set_types(["int4", "text"])
                assert list(copy.rows()) == rows
            with cursor.copy("copy (select * from items order by i) to stdout (format binary)") as copy:
                data = b"".join(copy)
            a.execute("truncate items")
            with cursor.copy("copy items from stdin (format binary)") as copy:
                copy.write(data)
            assert a.execute("select * from items order by i").fetchall() == rows
            a.rollback()
            with pytest.raises((ZeroDivisionError, psycopg.errors.QueryCanceled)), cursor.copy("copy items from stdin") as copy:
                copy.write_row((1_000_000, "lost"))
                raise ZeroDivisionError
            a.rollback()
            with pytest.raises(psycopg.errors.UniqueViolation), cursor.copy("copy items from stdin") as copy:
                for n in range(100_000, -1, -1):
                    copy.write_row((n, "again"))
            a.rollback()
            # Left in the middle of an answer: psycopg cancels.
            with pytest.raises((ZeroDivisionError, psycopg.errors.QueryCanceled)), cursor.copy(
                    "copy (select repeat('x', 1000) from generate_series(1, 200000)) to stdout") as copy:
                for _ in copy:
                    raise ZeroDivisionError
            a.rollback()
            assert one(a, "select count(*) from items") == one(b, "select count(*) from items") == 20_000


def test_cursors_on_the_server(gate):
    g = gate(2)
    with connect(g) as a, connect(g, autocommit=True) as b:
        with a.cursor("first", scrollable=True) as first, a.cursor("second") as second:
            first.execute("select generate_series(1, %s)", [5000])
            second.execute("select repeat('x', 10000) || i from generate_series(1, 500) i", binary=True)
            for n, (text,) in enumerate(second, 1):
                assert text == "x" * 10000 + str(n)
                if n % 100 == 0:
                    assert one(b, "select 5") == 5
                    assert first.fetchone() == (n // 100,)
            first.scroll(4000, mode="absolute")
            assert first.fetchone() == (4001,)
            first.scroll(-3)
            assert first.fetchmany(2) == [(3999,), (4000,)]
        a.commit()
        with pytest.raises(psycopg.errors.InvalidCursorName):
            b.execute("fetch all from first")


def test_big_rows_both_ways(gate):
    g = gate(2)
    with connect(g, autocommit=True) as a, connect(g, autocommit=True) as b:
        data = os.urandom(1 << 20) * 30
        back = a.execute("select %b::bytea, length(%b::bytea)", [data, data], binary=True).fetchone()
        assert back == (data, len(data))
        assert one(b, "select %s::text", "y" * 30_000_000) == "y" * 30_000_000
        with a.cursor() as cursor:
            total = sum(1 for _ in cursor.stream("select repeat('z', 100000) from generate_series(1, 300)"))
        assert total == 300


def test_types(gate):
    g = gate(1)
    values = [
        (True, "bool"), (2**62, "int8"), (1.5, "float8"), (decimal.Decimal("12345678901234567890.123"), "numeric"),
        ("é€😀\\'\"", "text"), (b"\0\xff\\'", "bytea"), (uuid.UUID(int=7), "uuid"),
        (datetime.date(2001, 2, 3), "date"), (datetime.timedelta(days=3, seconds=7), "interval"),
        (datetime.datetime(2001, 2, 3, 4, 5, 6, 789, tzinfo=datetime.timezone.utc), "timestamptz"),
        ([1, None, 3], "int4[]"), (["a,b", '"', None], "text[]"), (ipaddress.ip_address("::1"), "inet"),
        (None, "int4"), (psycopg.types.range.Range(1, 5, "[)"), "int4range")]
    with connect(g, autocommit=True, options="-c timezone=UTC") as a, connect(g, autocommit=True) as b:
        for binary in (False, True):
            for value, kind in values:
                for _ in range(7):  # prepared at the end
                    got = a.execute(f"select %s::{kind}", [value], binary=binary).fetchone()[0]
                    assert got == value, kind
        assert a.execute("select %s::jsonb", [Jsonb({"a": [1, "é"]})]).fetchone()[0] == {"a": [1, "é"]}
        a.execute("create type pair as (x int, y text)")
        try:
            psycopg.types.composite.register_composite(psycopg.types.composite.CompositeInfo.fetch(b, "pair"), b)
            assert tuple(one(b, "select (1, 'two')::pair")) == (1, "two")
        finally:
            a.execute("drop type pair")


def test_notices(gate):
    g = gate(1)
    with connect(g, autocommit=True) as a, connect(g, autocommit=True) as b:
        seen = {"a": [], "b": []}
        a.add_notice_handler(lambda d: seen["a"].append((d.severity, d.message_primary, d.message_hint)))
        b.add_notice_handler(lambda d: seen["b"].append(d.message_primary))
        a.execute("do $$ begin raise warning 'careful' using hint = 'slowly'; raise notice 'so'; end $$")
        b.execute("select 1")
        assert seen == {"a": [("WARNING", "careful", "slowly"), ("NOTICE", "so", None)], "b": []}


def test_cancel(gate, postgres):
    g = gate(3)
    with connect(g, autocommit=True) as a, connect(g, autocommit=True) as b:
        ends = {}

        def sleep(name, connection):
            try:
                connection.execute(f"select pg_sleep(600) /* {name} */")
            except psycopg.Error as e:
                ends[name] = e.sqlstate

        threads = {}
        for name, c in (("first", a), ("second", b)):
            threads[name] = threading.Thread(target=sleep, args=(name, c))
            threads[name].start()
            wait_until(lambda n=name: postgres.query(
                "select 1 from pg_stat_activity where query like %s and state = 'active' and usename = 'app'",
                f"%/* {n} */%"), f"query {name}")
        b.cancel()
        threads["second"].join()
        assert ends == {"second": "57014"}
        assert one(b, "select 1") == 1
        a.cancel()
        threads["first"].join()
        assert ends["first"] == "57014"


def test_sixty_four_clients_on_five_servers(gate):
    """Whatever is asked, in whatever way: the answer is the asker's own."""
    async def client(number, g):
        dice = random.Random(number)
        c = await psycopg.AsyncConnection.connect(info(g, application_name=f"n{number}"), autocommit=True)
        async with c:
            for turn in range(15):
                token = f"{number}.{turn}.{dice.random()}"
                kind = dice.randrange(5)
                if kind == 0:
                    cursor = await c.execute("select %s::text", [token], prepare=True)
                    assert (await cursor.fetchone())[0] == token
                elif kind == 1:
                    async with c.pipeline():
                        cursors = [await c.execute("select %s::text, %s::int", [token, i]) for i in range(20)]
                    for i, cursor in enumerate(cursors):
                        assert await cursor.fetchone() == (token, i)
                elif kind == 2:
                    async with c.transaction():
                        await c.execute("select set_config('application_name', %s, true)", [token[:60]])
                        cursor = await c.execute("show application_name")
                        assert (await cursor.fetchone())[0] == token[:60]
                    cursor = await c.execute("show application_name")
                    assert (await cursor.fetchone())[0] == f"n{number}"
                elif kind == 3:
                    async with c.cursor() as cursor:
                        async with cursor.copy(
                                f"copy (select '{token}', i from generate_series(1, 3000) i) to stdout") as copy:
                            async for name, i in copy.rows():
                                assert name == token
                        assert i == "3000"
                else:
                    with pytest.raises(psycopg.errors.RaiseException, match=token):
                        await c.execute(f"do $$ begin raise '{token}'; end $$")

    async def all_of_them(g):
        await asyncio.gather(*(client(n, g) for n in range(64)))

    g = gate(5)
    g.open_all(5)
    asyncio.run(all_of_them(g))
    assert len(g.backends()) <= 5
    assert g.health()["pool"]["servers"]["busy"] == 0


# --- psycopg 2: what test_gate.py has not ---------------------------------------------------------------


def test_large_objects(gate):
    """libpq works on them by function calls, a part of the protocol that nobody else uses."""
    g = gate(2)
    data = os.urandom(3_000_000)
    with contextlib.closing(g.connect(autocommit=False)) as a, contextlib.closing(g.connect(autocommit=False)) as b:
        big = a.lobject(0, "wb")
        assert big.write(data) == len(data)
        oid = big.oid
        assert big.tell() == len(data)
        big.close()
        a.commit()
        again = b.lobject(oid, "rb")
        assert again.read() == data
        assert again.seek(1000) == 1000 and again.read(50) == data[1000:1050]
        again.close()
        b.rollback()
        with pytest.raises(psycopg2.OperationalError, match="does not exist"):
            a.lobject(oid + 1, "rb")
        a.rollback()
        a.lobject(oid, "rw").unlink()
        a.commit()
        with pytest.raises(psycopg2.OperationalError):
            b.lobject(oid, "rb")


def test_psycopg2_batches_and_cursors(gate):
    g = gate(2)
    with contextlib.closing(g.connect(autocommit=False)) as a, contextlib.closing(g.connect()) as b:
        with a.cursor() as cursor:
            psycopg2.extras.execute_values(cursor, "insert into items values %s",
                                           [(n, f"it's {n}") for n in range(5000)], page_size=700)
            psycopg2.extras.execute_batch(cursor, "update items set s = %s where i = %s",
                                          [("changed", n) for n in range(100)])
        a.commit()
        with a.cursor("some", cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
            cursor.execute("select * from items order by i")
            assert cursor.fetchone() == {"i": 0, "s": "changed"}
            with b.cursor() as other:
                other.execute("select count(*) from items where s = 'changed'")
                assert other.fetchone() == (100,)
            assert len(cursor.fetchall()) == 4999
        a.commit()


def test_psycopg2_isolation_levels(gate):
    g = gate(1)
    with contextlib.closing(g.connect(autocommit=False)) as a, contextlib.closing(g.connect()) as b:
        def level(c):
            with c.cursor() as cursor:
                cursor.execute("show transaction_isolation")
                return cursor.fetchone()[0]

        a.set_session(isolation_level="SERIALIZABLE", readonly=True, deferrable=True)
        assert level(a) == "serializable"
        with a.cursor() as cursor, pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
            cursor.execute("insert into items values (1, '')")
        a.rollback()
        assert level(b) == "read committed"
        a.set_session(isolation_level="DEFAULT", readonly="DEFAULT", deferrable="DEFAULT")
        assert level(a) == "read committed"
        a.rollback()


def test_psycopg2_asks_without_waiting(gate):
    """An asynchronous connection, as event loops use it."""
    g = gate(1)
    a = psycopg2.connect(host=HOST, port=g.port, user="app", dbname="app", async_=True)
    with contextlib.closing(a):
        psycopg2.extras.wait_select(a)
        with a.cursor() as cursor:
            for n in range(20):
                cursor.execute("select %s, repeat('x', 100000)", (n,))
                psycopg2.extras.wait_select(a)
                assert cursor.fetchone() == (n, "x" * 100_000)
        assert a.get_transaction_status() == psycopg2.extensions.TRANSACTION_STATUS_IDLE
