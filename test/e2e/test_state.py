"""In transaction mode a session's state is its client's: it follows to every server, or it keeps the client there.

Two clients take turns on two servers. What one of them sets or makes it finds again, as on a connection of
its own; nobody else ever meets it.
"""

import contextlib
import os
import select

import psycopg2
import pytest

import harness
from pgwire import (
    Session, assert_same, bind, close_statement, describe_portal, describe_statement, error_fields, execute, parse,
    query, rows_of, sync)
from test_wire import SERVERS, serve


@pytest.fixture(scope="module")
def gate(standpipe, postgres):
    runner = harness.Runner(standpipe)
    try:
        yield serve(runner, postgres)
    finally:
        runner.close()


class Client:
    """A psycopg2 session, in autocommit."""

    def __init__(self, postgres, port, **parameters):
        self.connection = postgres.connect(port=port, **parameters)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def run(self, sql, *values):
        """All rows of the last statement; its error's SQLSTATE."""
        with self.connection.cursor() as cursor:
            try:
                cursor.execute(sql, values or None)
                return cursor.fetchall() if cursor.description else []
            except psycopg2.Error as error:
                return error.pgcode

    def one(self, sql, *values):
        rows = self.run(sql, *values)
        return rows[0][0] if isinstance(rows, list) else rows

    def pid(self):
        return self.one("select pg_backend_pid()")


@contextlib.contextmanager
def sessions(postgres, gate, count=2, **parameters):
    """Clients of the gate."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Client(postgres, gate.gate_port, **parameters)) for _ in range(count)]


def on_each_server(postgres, gate, client, look):
    """What look() gives on every server that the client can be given, by the server's pid."""
    found = {}
    with sessions(postgres, gate, SERVERS - 1) as others:
        def again():
            pid = client.pid()
            found[pid] = look()
            if len(found) < SERVERS:
                for other in others:
                    other.run("begin")
                    if other.pid() != pid:
                        other.run("rollback")
            return len(found) == SERVERS
        harness.wait_until(again, "the client to be given each server")
    return found


def everywhere(postgres, gate, client, sql):
    """One value, which must be the same on every server."""
    found = on_each_server(postgres, gate, client, lambda: client.one(sql))
    assert len(set(found.values())) == 1, found
    return next(iter(found.values()))


def metric(gate, name):
    line = next(line for line in gate.get("/metrics").body.splitlines() if line.startswith(name + " "))
    return float(line.split()[-1])


# What a session runs, and what is looked at then. On a connection of its own it sees the same.
SETTINGS = {
    "statement_timeout": (["set statement_timeout = '31s'"], "show statement_timeout"),
    "work_mem": (["set work_mem = '7MB'"], "show work_mem"),
    "search_path": (["set search_path = pg_catalog, \"Odd, name\""], "show search_path"),
    "extra_float_digits": (["set extra_float_digits = 0"], "select 0.1::float4::float8::text"),
    "custom": (["set app.tenant = 'one''s'"], "select current_setting('app.tenant')"),
    "custom, emptied": (["set app.tenant = 'x'", "set app.tenant = ''"], "select current_setting('app.tenant')"),
    "custom, reset": (["set app.tenant = 'x'", "reset app.tenant"], "select current_setting('app.tenant')"),
    "custom, everything reset": (["set app.tenant = 'x'", "reset all"], "select current_setting('app.tenant')"),
    "set_config": (["select set_config('work_mem', '6MB', false)"], "show work_mem"),
    "set_config, custom": (["select set_config('app.user', 'eve', false)"], "select current_setting('app.user')"),
    "in a procedure": (["do $$ begin set app.deep = 'x'; perform set_config('app.deeper', 'y', false); end $$"],
                       "select current_setting('app.deep') || current_setting('app.deeper')"),
    "local": (["begin; set local work_mem = '9MB'; commit"], "show work_mem"),
    "a role": (["set role pg_monitor"], "select current_user"),
    "a role, left": (["set role pg_monitor", "reset role"], "select current_user"),
    "rolled back": (["begin", "set work_mem = '5MB'", "rollback"], "show work_mem"),
    "rolled back to a savepoint": (
        ["begin", "set work_mem = '5MB'", "savepoint a", "set work_mem = '6MB'", "rollback to a", "commit"],
        "show work_mem"),
    "committed": (["begin", "set work_mem = '5MB'", "commit"], "show work_mem"),
    "failed": (["begin", "set work_mem = '5MB'", "nonsense", "commit"], "show work_mem"),
    "one reset": (["set work_mem = '5MB'; set statement_timeout = 0", "reset work_mem"], "show work_mem"),
    "all reset": (["set work_mem = '5MB'", "reset all"], "show work_mem"),
    "discarded": (["set work_mem = '5MB'", "discard all"], "show work_mem"),
    "to default": (["set work_mem = '5MB'", "set work_mem to default"], "show work_mem"),
    "in other letters": (["set client_encoding = latin1", "set app.name = 'd\u00e9j\u00e0'"],
                         "select encode(convert_to(current_setting('app.name'), 'UTF8'), 'hex')"),
    "of transactions": (["set session characteristics as transaction isolation level serializable"],
                        "show transaction_isolation"),
}


@pytest.fixture(scope="module", autouse=True)
def roles(postgres):
    postgres.query("grant pg_monitor to app")


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_follow_their_client(postgres, gate, name):
    statements, look = SETTINGS[name]
    with Client(postgres, postgres.port) as direct, sessions(postgres, gate) as (one, other):
        before = everywhere(postgres, gate, other, look)
        for client in direct, one:
            for sql in statements:
                client.run(sql)
        assert everywhere(postgres, gate, one, look) == direct.one(look)
        assert everywhere(postgres, gate, other, look) in (before, "")  # a custom setting's name stays behind


STARTUP = {"options": "-c work_mem=3MB -c app.tenant=mine -c statement_timeout=77s", "application_name": "starter"}


@pytest.mark.parametrize("statements", [
    ["reset all"], ["discard all"], ["reset work_mem"], ["set work_mem = '5MB'", "reset all"],
    ["set app.tenant = 'x'; set application_name = 'x'", "reset all"], ["begin", "reset all", "commit"],
    ["begin", "set work_mem = '5MB'", "reset all", "rollback"], ["set work_mem = default"],
    ["begin", "set local work_mem to default", "commit"], ["begin", "set work_mem to default", "commit"],
    ["select pg_advisory_unlock_all(); close all; unlisten *; reset all"],
], ids=lambda statements: "; ".join(statements))
def test_a_reset_goes_back_to_what_the_startup_packet_asked_for(postgres, gate, statements):
    look = ("select string_agg(current_setting(n), ' ') from unnest("
            "array['work_mem', 'app.tenant', 'statement_timeout', 'application_name']) n")
    with Client(postgres, postgres.port, **STARTUP) as direct, sessions(postgres, gate, 1, **STARTUP) as (one,):
        for client in direct, one:
            for sql in statements:
                client.run(sql)
        assert everywhere(postgres, gate, one, look) == direct.one(look) == "3MB mine 77s starter"


BY_PROTOCOL = {
    "simple": lambda sql: (query(sql),),
    "extended": lambda sql: (parse("", sql), bind("", ""), execute(), sync()),
}


@pytest.mark.parametrize("protocol", BY_PROTOCOL)
@pytest.mark.parametrize("statements", [
    ["set local work_mem to default"], ["set local work_mem = '9MB'", "set local work_mem = default"],
    ["set work_mem to default"], ["reset work_mem"], ["set local timezone to default"], ["set local time zone local"],
    ["set timezone = default"], ["set local app.tenant to default"], ["set app.tenant to default"],
    ["savepoint a", "set local work_mem to default", "rollback to a"], ["set local statement_timeout = 0"],
    ["set local timezone = 'UTC'", "savepoint a", "set timezone to default", "release a"],
], ids=lambda statements: "; ".join(statements))
def test_a_default_is_the_startups_within_a_transaction_and_after_it(postgres, gate, statements, protocol):
    """What each statement shows, and reports, is what a connection of its own does."""
    look = ("select string_agg(current_setting(n), ' ') from unnest("
            "array['work_mem', 'app.tenant', 'statement_timeout', 'timezone']) n")
    with (Session(postgres.port, TimeZone="Asia/Tokyo", **STARTUP) as direct,
          Session(gate.gate_port, TimeZone="Asia/Tokyo", **STARTUP) as through):
        for sql in ("set work_mem = '5MB'; set app.tenant = 'other'; set timezone = 'Asia/Seoul'", "begin", *statements,
                    "commit"):
            ask = query if sql.startswith("set work_mem = '5MB'") else BY_PROTOCOL[protocol]
            told, said = [[m for m in s.ask(*([ask(sql)] if ask is query else ask(sql))) if m[0] in "SCZE"]
                          for s in (direct, through)]
            assert said == told, sql
            assert through.rows(look) == direct.rows(look), sql


def test_a_reset_does_so_within_its_transaction(postgres, gate):
    look = "select current_setting('work_mem') || current_setting('app.tenant')"
    with sessions(postgres, gate, 1, **STARTUP) as (one,):
        one.run("begin")
        one.run("set work_mem = '5MB'; set app.tenant = 'x'")
        one.run("reset all")
        assert one.one(look) == "3MBmine"
        one.run("set work_mem = '4MB'")
        one.run("reset statement_timeout")
        assert one.one(look) == "4MBmine"
        assert one.one("show statement_timeout") == "77s"
        one.run("rollback")
        assert everywhere(postgres, gate, one, look) == "3MBmine"


def test_what_leaves_nothing_behind_costs_no_question(postgres, gate):
    with sessions(postgres, gate, 1) as (one,):
        before = metric(gate, "standpipe_session_questions_total")
        for sql in ("select 1", "begin; set local work_mem = '9MB'; commit", "reset all", "close all; unlisten *",
                    "select set_config('app.x', 'y', true)", "update pg_class set relname = 'x' where false"):
            one.run(sql)
        assert metric(gate, "standpipe_session_questions_total") == before
        one.run("set work_mem = '8MB'")
        one.pid()
        assert metric(gate, "standpipe_session_questions_total") == before + 1


def test_a_setting_whose_name_is_a_parameter_follows_too(postgres, gate):
    import psycopg  # Debian's python3-psycopg: binds on the server
    with psycopg.connect(postgres.url(port=gate.gate_port), autocommit=True) as one, sessions(postgres, gate) as others:
        for n in range(3):
            one.execute("select set_config(%s, %s, %s)", ("app.bound", f"v{n}", False))
            for other in others:
                other.run("begin")
                assert one.execute("select current_setting('app.bound')").fetchone() == (f"v{n}",)
                other.run("rollback")
        assert other.one("select coalesce(current_setting('app.bound', true), '')") == ""


def test_a_limit_of_time_that_stops_the_question_itself_hangs_nobody(postgres, gate):
    with sessions(postgres, gate, 2) as (one, other):
        for _ in range(5):
            one.run("set statement_timeout = '1ms'; set app.hurried = 'yes'")
            assert one.run("select current_setting('app.hurried')") in ([("yes",)], "57014")
        while one.run("set statement_timeout = 0"):
            pass
        assert everywhere(postgres, gate, one, "select current_setting('app.hurried')") == "yes"
        assert metric(gate, "standpipe_clients_pinned") == 0
        assert everywhere(postgres, gate, other, "show statement_timeout") == "0"


# --- pins ----------------------------------------------------------------------------------------

# What pins, what can then be seen, what ends it; and what all others are to see.
PINS = {
    "temporary": (["create temp table mine (n int)", "insert into mine values (1)"], "select count(*) from mine",
                  "drop table mine", "select to_regclass('mine')"),
    "temporary, as": (["create temporary table mine as select 1"], "select count(*) from mine",
                      "discard temp", "select to_regclass('mine')"),
    "temporary, into": (["select 1 into temp mine"], "select count(*) from mine", "discard all",
                        "select to_regclass('mine')"),
    "temporary function": (["create function pg_temp.f() returns int as 'select 1' language sql"],
                           "select pg_temp.f()", "drop function pg_temp.f()", "select to_regproc('pg_temp.f')"),
    "cursor": (["declare c cursor with hold for select generate_series(1, 3)"], "fetch 0 from c", "close c",
               "select count(*) from pg_cursors where name = 'c'"),
    "lock": (["select pg_advisory_lock_shared(17)"], "select count(*) from pg_locks where locktype = 'advisory' "
             "and pid = pg_backend_pid()", "select pg_advisory_unlock_shared(17)",
             "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"),
    "prepared": (["prepare p (int) as select $1 + 1"], "execute p (1)", "deallocate p",
                 "select count(*) from pg_prepared_statements where from_sql"),
    "listen": (["listen ears"], "select pg_listening_channels()", "unlisten ears",
               "select count(*) from pg_listening_channels()"),
    "settings": (["do $$ begin for i in 1..70 loop perform set_config('many.x' || i, '1', false); end loop; end $$",
                  "; ".join(f"set many.x{i} = 1" for i in range(1, 71))],
                 "select current_setting('many.x70')", "discard all", "select ''"),
}


@pytest.mark.parametrize("name", PINS)
def test_what_lives_in_a_session_keeps_its_client_there(postgres, gate, name):
    make, look, end, look_of_others = PINS[name]
    with Client(postgres, postgres.port) as direct, sessions(postgres, gate, 3) as (one, two, three):
        nothing = everywhere(postgres, gate, two, look_of_others)
        for client in direct, one:
            for sql in make:
                assert isinstance(client.run(sql), list)
        mine = one.pid()  # answered once the server has been asked
        assert metric(gate, "standpipe_clients_pinned") == 1
        # The other server goes round among all others meanwhile.
        other = two.pid()
        for _ in range(3):
            assert one.run(look) == direct.run(look)
            assert one.pid() == mine != other
            for client in two, three:
                assert client.pid() == other
                assert client.one(look_of_others) == nothing
        assert isinstance(one.run(end), list)
        one.pid()
        assert metric(gate, "standpipe_clients_pinned") == 0
        assert set(on_each_server(postgres, gate, two, lambda: two.one(look_of_others)).values()) == {nothing}
        assert len(on_each_server(postgres, gate, one, lambda: None)) == SERVERS


@pytest.mark.parametrize("how", ["terminate", "cut", "in a transaction"])
def test_the_server_of_a_pinned_client_that_leaves_is_cleaned_at_once(postgres, gate, how):
    look = ("select concat_ws(',', current_setting('work_mem'), nullif(current_setting('app.gone', true), ''),"
            " (select count(*) from pg_locks where locktype = 'advisory'), (select count(*) from pg_cursors),"
            " (select count(*) from pg_listening_channels()), (select count(*) from pg_prepared_statements where from_sql),"
            " to_regclass('mine'))")
    with sessions(postgres, gate, 2) as (one, other):
        clean = everywhere(postgres, gate, other, look)
        for name in ("temporary", "cursor", "lock", "prepared", "listen"):
            for sql in PINS[name][0]:
                one.run(sql)
        one.run("set work_mem = '5MB'; set app.gone = 'x'")
        one.pid()
        assert metric(gate, "standpipe_clients_pinned") == 1
        if how == "in a transaction":
            one.run("begin")
            one.run("select pg_advisory_lock(18)")
        if how == "terminate":
            one.connection.close()
        else:
            os.close(one.connection.fileno())
        # Before anyone else is given the server.
        harness.wait_until(lambda: not postgres.query("select from pg_locks where locktype = 'advisory'"),
                           "the lock's end")
        harness.wait_until(lambda: metric(gate, "standpipe_clients_pinned") == 0, "the end of the pin")
        assert everywhere(postgres, gate, other, look) == clean


def test_notifications_reach_the_listener_while_it_is_idle(postgres, gate):
    with sessions(postgres, gate, 2) as (one, two):
        one.run("listen news")
        two.run("listen other_news")
        for n in range(3):
            one.run("select 1")
            postgres.query(f"notify news, 'number {n}'")
            harness.wait_until(lambda: select.select([one.connection], [], [], 0.1)[0], "the notification")
            one.connection.poll()
            assert one.connection.notifies.pop().payload == f"number {n}"
        assert not two.connection.notifies
        one.run("notify other_news, 'from one'")
        harness.wait_until(lambda: select.select([two.connection], [], [], 0.1)[0], "the notification")
        two.connection.poll()
        assert [n.payload for n in two.connection.notifies] == ["from one"]
        assert two.connection.notifies[0].pid != two.connection.info.backend_pid
        one.run("notify news, 'to itself'")
        (own,) = one.connection.notifies
        assert own.payload == "to itself"
        assert own.pid == one.connection.info.backend_pid  # as drivers tell their own from others'
        backend = one.run("select pg_backend_pid()")[0][0]
        one.run("notify news, 'to itself'")
        assert one.connection.notifies[-1].pid == int(backend)  # who asks SQL goes by that
        one.run("unlisten *")
        two.run("unlisten *")


def test_who_waits_in_vain_learns_of_the_pins(run_standpipe, postgres):
    gate = serve(run_standpipe, postgres, DB_POOL_TIMEOUT="1")
    with sessions(postgres, gate, 2) as (one, two), Session(gate.gate_port) as three:
        one.run("listen news")
        two.run("select pg_advisory_lock(5)")
        three.send(query("select 1"))
        _, body = three.read()
    assert b"2 of 2 server connections are pinned to their clients by LISTEN, an advisory lock" in body


def test_with_pin_off_it_is_lost_and_said_so(run_standpipe, postgres):
    gate = serve(run_standpipe, postgres, STANDPIPE_POOL_PIN="off")
    with sessions(postgres, gate, 2) as (one, other):
        one.run("set work_mem = '5MB'")
        for name in ("temporary", "cursor", "lock", "prepared", "listen"):
            make, _, _, look_of_others = PINS[name]
            nothing = other.one(look_of_others)
            for sql in make[:1]:
                assert isinstance(one.run(sql), list)
            assert everywhere(postgres, gate, one, look_of_others) == nothing, name
            assert everywhere(postgres, gate, other, look_of_others) == nothing, name
        assert metric(gate, "standpipe_clients_pinned") == 0
        assert everywhere(postgres, gate, one, "show work_mem") == "5MB"
        assert sum("pool.pin is off" in line for line in gate.lines) == 1


# --- prepared statements -------------------------------------------------------------------------


def statements_there(postgres, gate, client):
    """How many statements by the protocol each server has."""
    return on_each_server(postgres, gate, client, lambda: client.one(
        "select count(*) from pg_prepared_statements where not from_sql"))


def test_statements_that_were_not_used_for_longest_make_room(run_standpipe, postgres):
    gate = serve(run_standpipe, postgres, STANDPIPE_POOL_PREPARED_STATEMENTS="5")
    with Session(gate.gate_port) as one, sessions(postgres, gate, 1) as (other,):
        for n in range(12):
            one.ask(parse(f"s{n}", f"select {n}"), sync())
        # In one pipeline, and after an error in another: each gives its own.
        for order in range(12), reversed(range(12)), (0, 7, 0, 8, 0, 9, 0, 10, 0, 11):
            order = list(order)
            batch = [m for n in order for m in (bind("", f"s{n}"), execute())]
            rows = [b[6:] for kind, b in one.ask(*batch, sync()) if kind == "D"]
            assert rows == [str(n).encode() for n in order]
            kinds = "".join(k for k, _ in one.ask(bind("", "nobody"), *batch, sync()))
            assert kinds == "EZ"
        assert all(int(count) <= 5 for count in statements_there(postgres, gate, other).values())
        # The first is used all the time, and never prepared anew.
        pid_and_time = "select pg_backend_pid(), prepare_time from pg_prepared_statements where statement = 'select 0'"
        one.ask(query("begin"), bind("", "s0"), execute(), sync(), ready=2)
        before = one.rows(pid_and_time)
        for n in range(1, 12):
            one.ask(bind("", f"s{n}"), execute(), bind("", "s0"), execute(), sync())
        assert one.rows(pid_and_time) == before
        one.ask(query("commit"))


def test_texts_of_statements_have_a_bound_together(run_standpipe, postgres):
    gate = serve(run_standpipe, postgres, STANDPIPE_POOL_PREPARED_MEMORY="64KiB")
    with Session(gate.gate_port) as one, Session(gate.gate_port) as other:
        one.ask(parse("a", "select 1 /*" + 60000 * "x" + "*/"), sync())
        other.send(parse("b", "select 2 /*" + 60000 * "y" + "*/"), sync())
        kind, body = other.read()
        assert kind == "E" and b"53200" in body and b"pool.prepared_memory" in body
        # Without a name it need not be remembered.
        assert one.ask(parse("", "select 2 /*" + 60000 * "y" + "*/"), bind("", ""), execute(), sync())[2][1][6:] == b"2"
        assert one.ask(bind("", "a"), execute(), sync())[1][1][6:] == b"1"


def test_texts_that_nobody_names_any_more_make_room(run_standpipe, postgres):
    gate = serve(run_standpipe, postgres, STANDPIPE_POOL_PREPARED_MEMORY="64KiB")
    with Session(gate.gate_port) as one, sessions(postgres, gate, 1) as (other,):
        for n in range(20):
            text = f"select {n} /*" + 40000 * "x" + "*/"
            assert one.ask(parse("a", text), bind("", "a"), execute(), sync())[2][1][6:] == str(n).encode()
            # Closed in the same pipeline, behind what uses it.
            kinds = [k for k, _ in one.ask(bind("", "a"), execute(), close_statement("a"), sync())]
            assert kinds == ["2", "D", "C", "3", "Z"]
        # The servers are told.
        assert all(int(count) <= 2 for count in statements_there(postgres, gate, other).values())


BIG = 2 << 20


def test_a_big_text_without_a_name_is_bound_where_it_was_parsed(postgres, gate):
    with Session(gate.gate_port) as one, sessions(postgres, gate, 2) as (two, three):
        one.ask(parse("", "select 4 /*" + BIG * "x" + "*/"), sync())
        two.run("begin")
        assert one.ask(bind("", ""), execute(), sync())[1][1][6:] == b"4"
        two.run("rollback")
        # It has been bound: its server is anyone's again.
        assert len(on_each_server(postgres, gate, three, lambda: None)) == SERVERS


@pytest.mark.parametrize("script", [
    [query("deallocate a"), bind("", "a"), sync()],
    [query("DEALLOCATE PREPARE \"a\""), parse("a", "select 2"), bind("", "a"), execute(), sync()],
    [query("begin"), query("nonsense"), query("deallocate a"), query("rollback"), bind("", "a"), execute(), sync()],
    [query("begin"), query("deallocate a"), query("rollback"), bind("", "a"), execute(), sync()],
    [parse("", "deallocate a"), bind("", ""), describe_portal(""), execute(), sync(), bind("", "a"), sync()],
    [parse("d", "deallocate a"), bind("", "d"), execute(), parse("a", "select 3"), bind("", "a"), execute(), sync()],
    [bind("", "nobody"), parse("", "deallocate a"), bind("", ""), execute(), sync(), bind("", "a"), execute(), sync()],
    [parse("", "deallocate a"), bind("", ""), execute(), parse("", "nonsense"), sync(), bind("", "a"), execute(), sync()],
    [query("deallocate a"), query("deallocate a"), query("deallocate nobody"), query("deallocate b")],
    [query("deallocate all"), bind("", "a"), sync(), parse("a", "select 4"), bind("", "a"), execute(), sync()],
    [query("discard all"), bind("", "b"), sync(), parse("b", "select 4"), bind("", "b"), execute(), sync()],
    # As PostgreSQL's ODBC driver does within a transaction.
    [query("begin"), query('savepoint s;DEALLOCATE "a";release s'), parse("a", "select 5"), sync(),
     bind("", "a"), execute(), sync(), query("commit"), bind("", "a"), execute(), sync()],
    [query("savepoint s; deallocate a"), bind("", "a"), execute(), sync()],  # an error before it
    [query("deallocate a; select 1/0"), parse("a", "select 5"), bind("", "a"), execute(), sync()],  # and behind it
    [query("select 1; deallocate nobody; select 2"), query("select 'it''s; deallocate a'"), bind("", "a"), execute(), sync()],
], ids=str)
def test_deallocate_is_right_for_what_came_by_the_protocol(postgres, gate, script):
    def run(port, elsewhere):
        with Session(port) as s, Session(port) as sharer, Client(postgres, port) as blocker:
            for one in s, sharer:
                one.ask(parse("a", "select 'a'"), parse("b", "select 'b'"), sync())
            if elsewhere:  # what follows meets a server that has none of them
                blocker.run("begin")
            for batch in script:
                s.send(batch)
            told = s.read_until("Z", sum(m[:1] in (b"Q", b"S") for m in script))
            shared = sharer.ask(bind("", "a"), execute(), bind("", "b"), execute(), sync()) if not elsewhere else None
            return told, shared
    with Session(postgres.port) as direct:
        direct.ask(parse("a", "select 'a'"), parse("b", "select 'b'"), sync())
        for batch in script:
            direct.send(batch)
        expected = direct.read_until("Z", sum(m[:1] in (b"Q", b"S") for m in script))
    for elsewhere in False, True:
        told, shared = run(gate.gate_port, elsewhere)
        assert_same(expected, told)
        if shared:
            assert [b[6:] for k, b in shared if k == "D"] == [b"a", b"b"]


@pytest.mark.parametrize("script", [
    [query("execute a"), query('EXPLAIN (costs off) EXECUTE "A ""b"(2)'), query("execute c(1 + 1)")],
    [query("begin"), query("execute c(3)"), query("create temp table t on commit drop as execute a"),
     query("select count(*) from t"), query("rollback"), bind("", "a"), execute(), sync()],
    [query("begin"), query("nonsense"), query("execute a"), query("rollback"), query("execute a")],
    [query("deallocate a"), query("execute a"), parse("a", "select 4"), sync(), query("execute a; select 5")],
    [query("prepare d as select 6"), query("execute d"), query("execute nobody"), query("execute c(7)")],
    [query("set datestyle = german"), query("execute day"), query("reset datestyle"), query("execute day")],
], ids=str)
def test_sql_executes_what_came_by_the_protocol(postgres, gate, script):
    """As ecpg does, and who asks for a statement's plan."""
    before = [parse("a", "select 'a'"), parse('A "b', "select $1::int"), parse("c", "select $1 + 1"),
              parse("day", "select '2.3.2001'::date"), sync()]
    count = sum(m[:1] in (b"Q", b"S") for m in script)
    with Session(postgres.port) as direct:
        direct.ask(*before)
        for batch in script:
            direct.send(batch)
        expected = direct.read_until("Z", count)
    for elsewhere in False, True:
        with Session(gate.gate_port) as s, Client(postgres, gate.gate_port) as blocker:
            s.ask(*before)
            if elsewhere:  # what follows meets a server that has none of them
                blocker.run("begin")
            for batch in script:
                s.send(batch)
            assert_same(expected, s.read_until("Z", count))


def test_a_statement_that_can_not_be_prepared_any_more_is_no_end_for_who_executes_it(postgres, gate):
    with Session(gate.gate_port) as s, Client(postgres, gate.gate_port) as blocker:
        s.ask(query("create table passing (i int)"))
        s.ask(parse("a", "select * from passing"), sync())
        s.ask(query("drop table passing"))
        blocker.run("begin")
        codes = [m for kind, m in s.ask(query("execute a")) if kind == "E"]
        assert codes and b"C42P01" in codes[0]
        assert [m[6:] for kind, m in s.ask(query("select 1")) if kind == "D"] == [b"1"]


@pytest.mark.parametrize("ask", ["simple", "extended", "in a transaction"])
def test_sql_prepare_can_be_refused(run_standpipe, postgres, ask):
    gate = serve(run_standpipe, postgres, STANDPIPE_POOL_SQL_PREPARE="error")
    text = "prepare p as select 1"
    with Session(gate.gate_port) as s:
        if ask == "extended":
            messages = s.ask(parse("", text), bind("", ""), execute(), sync())
        elif ask == "simple":
            messages = s.ask(query(text))
        else:
            messages = s.ask(query("begin"), query(text), query("select 1"), query("rollback"), ready=4)
            assert sum(k == "E" for k, _ in messages) == 2  # the transaction has failed
        body = next(b for k, b in messages if k == "E")
        assert b"C0A000" in body and b"PREPARE" in body and b"Hpool" not in body and b"pool.sql_prepare" in body
        assert s.rows("select count(*) from pg_prepared_statements where from_sql") == [["0"]]


def rows_or_state(session, *messages):
    """The rows; or the SQLSTATE."""
    told = session.ask(*messages, sync())
    for kind, body in told:
        if kind == "E":
            return body[body.index(b"\0C") + 2:body.index(b"\0C") + 7].decode()
    return [body for kind, body in told if kind == "D"]


@pytest.mark.parametrize("who", ["a client of the gate", "someone else"])
def test_after_the_schema_changed_a_text_that_is_prepared_again_gives_what_is(postgres, gate, who):
    postgres.query("drop table if exists shape; create table shape (a int); alter table shape owner to app;"
                   "insert into shape values (1)")
    text = f"select * from shape -- {who}"
    with Session(gate.gate_port) as old, Session(gate.gate_port) as new, sessions(postgres, gate, 2) as (ddl, other):
        def prepare_everywhere():
            for blocker in None, other:
                if blocker:
                    blocker.run("begin")
                assert len(rows_or_state(old, bind("", "a"), execute())) == 1
                if blocker:
                    blocker.run("rollback")
        old.ask(parse("a", text), sync())
        prepare_everywhere()
        if who == "someone else":
            postgres.query("alter table shape add b text default 'new'")
        else:
            ddl.run("alter table shape add b text default 'new'")
        if who == "someone else":
            # Nobody knows before the server says so, once for each client that prepared it before.
            assert rows_or_state(old, bind("", "a"), execute()) == "0A000"
        assert b"new" in rows_or_state(new, parse("n", text), bind("", "n"), execute())[0]
        for _ in range(2):
            other.run("begin")
            assert b"new" in rows_or_state(new, bind("", "n"), execute())[0]
            other.run("rollback")
        # As on a connection of its own: an error, until it is prepared again.
        assert rows_or_state(old, bind("", "a"), execute()) == "0A000"
        old.ask(close_statement("a"), sync())
        assert b"new" in rows_or_state(old, parse("a", text), bind("", "a"), execute())[0]


def held_elsewhere(client, other):
    """`other` holds the server that the client was given last."""
    pid = int(client.rows("select pg_backend_pid()")[0][0])

    def hold():
        other.run("begin")
        if other.pid() == pid:
            return True
        other.run("rollback")
        client.rows("select pg_backend_pid()")
        return False
    harness.wait_until(hold, "the other client to be given that server")


@pytest.mark.parametrize("ask", ["bind", "describe"])
def test_a_server_that_never_had_a_statement_gives_nothing_else_than_was_prepared(postgres, gate, ask):
    """There PostgreSQL knows of no change; who goes by the columns it was told is told so nevertheless."""
    postgres.query(f"drop table if exists moved; create table moved (a int); alter table moved owner to app;"
                   f"insert into moved values (1) /* {ask} */")
    texts = {"r": f"select * from moved /* {ask} */", "w": f"insert into moved values (2) returning * /* {ask} */"}
    first = {"bind": bind("", "r") + execute(), "describe": describe_statement("r")}[ask]
    with Session(gate.gate_port) as old, Session(gate.gate_port) as new, sessions(postgres, gate, 1) as (other,):
        for name, text in texts.items():
            old.ask(parse(name, text), sync())
        postgres.query("alter table moved add b text default 'new'")
        held_elsewhere(old, other)
        told = old.ask(first, execute(), sync(), query("select 1"), ready=2)
        kinds = "".join(kind for kind, _ in told)
        assert kinds == "EZTDCZ"
        error = error_fields(told[0][1])
        assert (error["C"], error["R"], error["S"]) == ("0A000", "RevalidateCachedQuery", "ERROR")
        # It ends what an error ends, and has no effect.
        told = old.ask(query("begin"), bind("", "w"), execute(), sync(), query("select 1"), query("rollback"), ready=4)
        assert [error_fields(b)["C"] for k, b in told if k == "E"] == ["0A000", "25P02"], told
        assert [b for k, b in told if k == "Z"] == [b"T", b"E", b"E", b"I"]
        # Who prepares it again gets what there is, on every server, and so does who prepares it for the first time.
        for session, name in (old, "r2"), (new, "r"):
            assert b"new" in rows_or_state(session, parse(name, texts["r"]), bind("", name), execute())[0]
        other.run("rollback")
        for session, name in (old, "r2"), (new, "r"):
            for holds in False, True:
                if holds:
                    held_elsewhere(session, other)
                assert len(rows_or_state(session, bind("", name), execute())) == 1
            other.run("rollback")
        assert rows_or_state(old, bind("", "r"), execute()) == "0A000"
        assert old.rows("select count(*) from moved") == [["1"]]


def test_a_text_is_another_statement_where_settings_make_it_mean_something_else(postgres, gate):
    postgres.query("drop schema if exists one cascade; create schema one authorization app;"
                   "drop schema if exists two cascade; create schema two authorization app")
    postgres.query("create table one.t (a int); create table two.t (a text, b text);"
                   "insert into one.t values (1); insert into two.t values ('x', 'y');"
                   "grant select on one.t, two.t to app")
    with Session(gate.gate_port, options="-c search_path=one") as one, \
            Session(gate.gate_port, options="-c search_path=two -c datestyle=german") as two:
        for _ in range(3):
            for s, columns in (one, 1), (two, 2):
                if not _:
                    s.ask(parse("a", "select * from t"), parse("d", "select '01/02/2003'::date::text"), sync())
                row, = rows_or_state(s, bind("", "a"), execute())
                assert row[:2] == columns.to_bytes(2, "big")
        assert rows_or_state(one, bind("", "d"), execute())[0][6:] == b"2003-01-02"
        assert rows_or_state(two, bind("", "d"), execute())[0][6:] == b"01.02.2003"
        one.ask(query("set search_path = two"))
        rows_or_state(one, bind("", "a"), execute())  # what was prepared for others stays theirs
        row, = rows_or_state(two, bind("", "a"), execute())
        assert row[:2] == b"\0\2"


def test_after_a_reset_a_client_is_told_what_it_was_told_at_login(gate):
    """Not as its startup packet wrote it, but as the server says it."""
    with Session(gate.gate_port, DateStyle="german", client_encoding="latin1") as session:
        told = dict(session.parameters)
        assert told["DateStyle"] == "German, DMY"
        for kind, body in session.ask(query("set datestyle = iso; set client_encoding = utf8; reset all")):
            if kind == "S":
                told.update([body.decode().split("\0")[:2]])
        assert told["DateStyle"] == "German, DMY" and told["client_encoding"] == session.parameters["client_encoding"]


def test_psycopg_prepares_and_deallocates_on_its_own(postgres, gate):
    import psycopg
    with psycopg.connect(postgres.url(port=gate.gate_port), autocommit=True, prepare_threshold=0) as one, \
            psycopg.connect(postgres.url(port=gate.gate_port), autocommit=True, prepare_threshold=0) as two:
        one.prepared_max = two.prepared_max = 3
        for n in range(20):
            for connection in one, two:
                assert connection.execute(f"select %s::int + {n % 7}", (n,)).fetchone() == (n + n % 7,)
        with one.pipeline():
            cursors = [one.execute(f"select %s::int * {n}", (n,)) for n in range(9)]
            assert [c.fetchone()[0] for c in cursors] == [n * n for n in range(9)]


def test_asyncpg_sees_a_change_of_the_schema_as_it_does_directly(postgres, gate):
    import asyncio
    import asyncpg
    postgres.query("drop table if exists seen; create table seen (a int); alter table seen owner to app;"
                   "insert into seen values (1)")

    async def use():
        pool = await asyncpg.create_pool(postgres.url(port=gate.gate_port), min_size=3, max_size=3)
        for _ in range(6):
            assert dict(await pool.fetchrow("select * from seen")) == {"a": 1}
        await pool.execute("alter table seen add b int default 2")
        for _ in range(12):
            assert dict(await pool.fetchrow("select * from seen")) == {"a": 1, "b": 2}
        await pool.close()
    asyncio.run(use())


def test_what_was_prepared_for_one_temporary_table_is_not_used_for_another(gate, postgres):
    postgres.query("drop table if exists shadowed; create table shadowed (n text); grant all on shadowed to public;"
                   " insert into shadowed values ('of all')")

    def look(session):
        return rows_of(session.ask(
            parse("look", "select n from shadowed"), bind("", "look"), execute(), close_statement("look"), sync()))

    for kind, value in [("int", "1"), ("text", "'two'"), ("timestamp", "'2000-01-01 00:00:00'")]:
        with Session(gate.gate_port) as session:
            assert look(session) == [["of all"]]
            session.ask(query(f"create temp table shadowed as select {value}::{kind} as n"))
            assert look(session) == [[value.strip("'")]]
            session.ask(query("drop table shadowed"))
            assert look(session) == [["of all"]]
            session.ask(query(f"create temp table shadowed as select {value}::{kind} as n"))
            assert look(session) == [[value.strip("'")]]


@pytest.mark.parametrize("make, value", [
    ("create type tried.kind as enum ('a')", "a"),
    ("create materialized view tried.kind as select 'a'::text with no data", "(a)"),  # the longest tag
], ids=["type", "view"])
@pytest.mark.parametrize("end", ["rollback", "rollback to s", "an error"])
def test_what_was_prepared_for_a_type_that_was_rolled_back_is_not_used_for_the_next(gate, postgres, end, make, value):
    postgres.query("create schema if not exists tried authorization app")
    look = parse("look", "select $1::tried.kind"), bind("", "look", [value]), execute(), close_statement("look")
    with Session(gate.gate_port) as session:
        for _ in range(2):
            if end == "an error":
                session.ask(parse("", make), bind("", ""), execute(), *look, parse("", "select 1/0"), bind("", ""),
                            execute(), sync())
                continue
            session.ask(query("begin; savepoint s"))
            session.ask(query(make))
            assert rows_of(session.ask(*look, sync())) == [[value]]
            session.ask(query(end))
            session.ask(query("rollback" if end == "rollback" else "commit"))
        session.ask(query("begin"))
        session.ask(query(make))
        assert rows_of(session.ask(*look, sync())) == [[value]]
        session.ask(query("rollback"))
