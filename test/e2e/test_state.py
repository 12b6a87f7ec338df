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
from pgwire import Session, query

SERVERS = 2


def serve(run_standpipe, postgres, **env):
    port = harness.free_port()
    gate = run_standpipe("serve", env={
        "DATABASE_URL": postgres.url(), "ENVIRONMENT": "test", "STANDPIPE_LISTEN_PORT": port,
        "STANDPIPE_LISTEN_SOCKET_DIR": "", "DB_POOL_SIZE": SERVERS, "DB_MAX_OVERFLOW": 0, **env})
    gate.wait_get("/ready")
    gate.gate_port = port
    return gate


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
            " (select count(*) from pg_listening_channels()), (select count(*) from pg_prepared_statements),"
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
        one.run("notify news, 'to itself'")
        assert [n.payload for n in one.connection.notifies] == ["to itself"]
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
