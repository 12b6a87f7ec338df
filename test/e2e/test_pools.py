"""Several databases and users, in three modes, under one budget."""

import contextlib
import re
import signal
import struct

import psycopg2
import pytest

import gating
import harness
import pgwire
import raw
from harness import wait_until

ANN = "ann's secret"


@pytest.fixture(autouse=True, scope="module")
def more(postgres):
    """A second database, and two users besides `app`."""
    for sql in (f"create role ann login password '{ANN.replace(chr(39), chr(39) * 2)}'",
                "create role bob login password 'of bob'", "alter role ann set DateStyle = 'German'",
                "alter role app createdb", "create database other"):
        postgres.query(sql)
    postgres.query("create table of_other as select 'other' s; grant all on of_other to public", database="other")


USERS = f"""
users:
  ann: {{password: "{ANN}"}}
"""


def login(g, **parameters):
    """The first answer to a startup packet, up to ReadyForQuery or the end."""
    c = g.raw(login=False)
    pairs = {"user": "app", "database": "app", **parameters}
    body = raw.text(*(w for pair in pairs.items() for w in pair)) + b"\0"
    c.send(struct.pack("!ii", len(body) + 8, 196608) + body)
    messages = []
    while (one := c.receive()) and one[0] != "Z":
        messages.append(one)
    return c, messages


def refusal(g, **parameters):
    c, messages = login(g, **parameters)
    c.socket.close()
    return raw.error(messages)


@contextlib.contextmanager
def client(g, **parameters):
    with contextlib.closing(g.raw(**parameters)) as c:
        yield c


def one(c, sql):
    rows = c.ask(sql)
    assert len(rows) == 1, rows
    return rows[0][0]


def servers(g):
    """{(database, user): server connections}"""
    rows = g.server.query("select datname, usename, count(*) from pg_stat_activity "
                          "where usename in ('app', 'ann', 'bob') group by 1, 2", database="postgres")
    return {(r[0], r[1]): r[2] for r in rows}


# --- databases and users ------------------------------------------------------------------------------


def test_each_database_and_user_has_its_own(gate):
    g = gate(4, config="databases: {other: {}}" + USERS)
    who = "select current_user || ' ' || current_database()"
    with client(g) as a, client(g, database="other") as b, client(g, user="ann") as c:
        for turn in range(3):
            assert one(a, who) == "app app"
            assert one(b, who) == "app other"
            assert one(b, "select s from of_other") == "other"
            assert one(c, who) == "ann app"
    assert servers(g) == {("app", "app"): 1, ("other", "app"): 1, ("app", "ann"): 1}


def test_each_reports_what_its_user_has(gate):
    g = gate(4, config=USERS)
    for _ in range(2):  # the second is answered from memory
        for user, style in (("app", b"ISO, MDY"), ("ann", b"German, DMY")):
            c, messages = login(g, user=user)
            c.close()
            reported = dict(body.split(b"\0")[:2] for kind, body in messages if kind == "S")
            assert reported[b"DateStyle"] == style
            assert reported[b"session_authorization"] == user.encode()


def test_prepared_statements_of_two_databases_do_not_meet(gate):
    g = gate(2, config="databases: {other: {}}")
    with client(g) as a, client(g, database="other") as b:
        for turn in range(4):
            for c, database in ((a, "app"), (b, "other")):
                if turn == 0:
                    c.send(raw.parse("s", "select current_database()"))
                c.send(raw.bind("s"), raw.EXECUTE, raw.SYNC)
                rows = [raw.row(body) for kind, body in c.until_ready() if kind == "D"]
                assert rows == [(database,)]


def test_who_is_not_known_is_told_what_to_set(gate):
    g = gate(2, config="databases: {other: {}}" + USERS)
    error = refusal(g, user="bob")
    assert error["C"] == "28000" and "bob" in error["M"]
    assert "users.bob.password" in error["H"] and "databases.app.login" in error["H"]
    error = refusal(g, database="nowhere")
    assert error["C"] == "3D000" and "databases" in error["H"]


def test_a_shared_login_serves_everyone_as_the_urls_user(gate):
    g = gate(1, config="databases: {app: {login: shared}}")
    with client(g, user="bob") as a, client(g, user="whoever") as b, client(g) as c:
        pids = {one(x, "select pg_backend_pid() || current_user") for x in (a, b, c)}
        assert len(pids) == 1 and pids.pop().endswith("app")


def test_any_database_by_a_star(gate):
    g = gate(3, config='databases: {"*": {}}')
    with client(g, database="other") as c:
        assert one(c, "select s from of_other") == "other"
    error = refusal(g, database="nowhere")
    assert error["C"] == "3D000" and error["M"] == 'database "nowhere" does not exist', error
    with client(g, database="other") as c:  # which is not held against others
        assert one(c, "select s from of_other") == "other"


def ends_well(c, tag):
    """The command that was sent is done."""
    answer = c.until_ready()
    assert [body for kind, body in answer if kind == "C"] == [raw.text(tag)], answer


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_a_database_can_be_dropped_that_clients_were_connected_to(gate, mode):
    g = gate(3, config='databases: {"*": {}, kept: {keep: 1}}', STANDPIPE_POOL_MODE=mode)
    with client(g) as c:
        for name, quoted in (("Scratch", '"Scratch"'), ("kept", "kept")):
            for _ in range(2):
                c.ask(f"create database {quoted}")
                with client(g, database=name) as other:
                    assert one(other, "select current_database()") == name
                c.send(raw.query(f"drop database {quoted}"))
                ends_well(c, "DROP DATABASE")


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_a_database_can_be_copied_and_renamed_that_clients_were_connected_to(gate, mode):
    g = gate(3, config='databases: {"*": {}}', STANDPIPE_POOL_MODE=mode)
    with client(g) as c:
        c.ask("create database first")
        for sql, tag in (("create database second template first", "CREATE DATABASE"),
                         ("alter database first rename to third", "ALTER DATABASE")):
            with client(g, database="first") as other:
                other.ask("select 1")
            c.send(raw.parse("", sql), raw.bind(""), raw.EXECUTE, raw.SYNC)
            ends_well(c, tag)
        c.ask("drop database second")
        c.ask("drop database third")


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_a_database_that_was_missed_is_there_once_it_is_created(gate, mode):
    g = gate(3, config='databases: {"*": {}}', STANDPIPE_POOL_MODE=mode)
    with client(g) as c:
        assert refusal(g, database="missed")["C"] == "3D000"
        c.ask("create database missed")
        with client(g, database="missed") as other:
            assert one(other, "select current_database()") == "missed"
        c.ask("drop database missed")


def test_a_database_that_has_gone_is_missed_at_login(gate, postgres):
    postgres.query("create database gone owner app")
    g = gate(3, config='databases: {"*": {}}')
    with client(g) as c, client(g, database="gone") as late:
        late.ask("select 1")
        c.send(raw.query("drop database gone"))
        ends_well(c, "DROP DATABASE")
        late.send(raw.query("select 1"))
        assert raw.error(late.until_end())["C"] == "3D000"
        assert refusal(g, database="gone")["C"] == "3D000"
        c.ask("create database gone")
        with client(g, database="gone") as back:
            assert one(back, "select current_database()") == "gone"
        c.ask("drop database gone")


def test_who_may_not_drop_a_database_costs_nobody_a_connection(gate):
    g = gate(3, config="databases: {other: {}}")
    with client(g, database="other") as other, client(g) as c:
        pid = one(other, "select pg_backend_pid()")
        c.send(raw.query("drop database other"))
        assert raw.error(c.until_ready())["C"] == "42501"
        c.ask("select pg_sleep(0.1)")  # it had its time
        assert one(other, "select pg_backend_pid()") == pid


def test_a_wrong_password_of_one_user_is_that_users_alone(gate):
    g = gate(3, config="users: {ann: {password: wrong}}")
    error = refusal(g, user="ann")
    assert error["C"] == "28P01", error
    with client(g) as c:
        assert one(c, "select 1") == "1"
    assert refusal(g, user="ann")["C"] == "28P01"
    assert g.health()["breaker"]["state"] == "closed"
    assert g.health()["availability"] == "full"


@pytest.fixture(scope="module")
def closed_doors(postgres):
    """What PostgreSQL refuses logins for, each for a reason of its own."""
    for sql in ("create role banned nologin password 'x'", "create database locked",
                "revoke connect on database locked from public", "create database shut allow_connections false"):
        postgres.query(sql)


REFUSED = {
    "no such database": {"database": "nowhere"},
    "no right to connect": {"database": "locked"},  # which has a DETAIL
    "a database that takes no connections": {"database": "shut"},
    "a role that may not log in": {"user": "banned"},
    "a setting's value": {"options": "-c client_min_messages=loud"},  # which has a HINT
    "a setting's name": {"options": "-c no_such_thing=1"},
}


def heard(port, who):
    """The error that ends a login, which comes behind AuthenticationOk."""
    password = "x" if "user" in who else harness.PostgresTemplate.PASSWORD
    with pgwire.Session(port, login=False) as s:
        s.send(pgwire.startup({"user": "app", "database": "app", **who}))
        with pytest.raises(pgwire.Refused) as refused:
            s.log_in("app", password)
        assert s.authenticated
    return {k: v for k, v in refused.value.fields.items() if k in "SVCMDH"}


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_who_is_refused_at_login_hears_what_postgres_says(gate, postgres, closed_doors, mode):
    g = gate(3, config=f'pool: {{mode: {mode}}}\ndatabases: {{"*": {{}}, locked: {{}}}}\n'
                       'users: {"banned": {password: x}}')
    for name, who in REFUSED.items():
        told, said = heard(postgres.port, who), heard(g.port, who)
        assert said == told, name
        assert set(told) >= set("SVCM"), name
    with client(g) as c:  # which is not held against others
        assert one(c, "select 1") == "1"


def test_a_password_in_a_file_and_a_url_of_its_own(gate):
    g = gate(1)  # for its directory
    secret = g.directory / "secret"
    secret.write_text(ANN + "\n")
    config = f"""
databases:
  reports: {{url: "postgresql://bob:of%20bob@{harness.HOST}:{g.server.port}/other"}}
users:
  ann: {{password: "file:{secret}"}}
"""
    g = gate(3, config=config)
    with client(g, user="ann") as a, client(g, user="bob", database="reports") as b:
        assert one(a, "select current_user") == "ann"
        assert one(b, "select current_user || current_database()") == "bobother"
    assert ANN not in g.standpipe.text and "of bob" not in g.standpipe.text


# --- one budget ---------------------------------------------------------------------------------------


def test_who_has_none_is_given_another_ones_idle_connection(gate):
    g = gate(2, config="databases: {other: {}}" + USERS, DB_POOL_SIZE=2)
    with client(g) as a, client(g, database="other") as b, client(g, user="ann") as c:
        for _ in range(3):
            for x, expected in ((a, "appapp"), (b, "appother"), (c, "annapp")):
                assert one(x, "select current_user || current_database()") == expected
                assert sum(servers(g).values()) <= 2


def test_one_that_is_busy_all_the_time_does_not_starve_another(gate):
    g = gate(1, config="databases: {other: {}}")
    done = []

    def work(number):
        with client(g, database="other" if number == 0 else "app") as c:
            if number == 0:
                for _ in range(3):
                    assert one(c, "select current_database()") == "other"
                done.append(True)
            while not done:
                assert one(c, "select current_database() || pg_sleep(0.01)") == "app"

    gating.in_threads(4, work)


def test_warm_connections_are_there_before_a_client_is(gate):
    g = gate(4, config="databases: {other: {keep: 2}, app: {keep: 1}}")
    wait_until(lambda: servers(g) == {("app", "app"): 1, ("other", "app"): 2}, "the warm connections")


def test_the_size_of_a_pool(gate):
    g = gate(5, config="databases: {app: {pool_size: 1}, other: {pool_size: 2}}\nusers: {ann: {password: \"%s\", pool_size: 1}}"
             % ANN, STANDPIPE_POOL_GROW_INTERVAL="0")
    with client(g) as a, client(g) as b:
        a.ask("begin")
        b.send(raw.query("select 1"))
        with client(g, database="other") as c, client(g, database="other") as d, client(g, user="ann") as e:
            for x in (c, d, e):
                x.ask("begin")
            assert servers(g) == {("app", "app"): 1, ("other", "app"): 2, ("app", "ann"): 1}
        a.ask("commit")
        b.until_ready()


def test_too_many_clients(gate):
    g = gate(2, config="databases: {app: {clients: 2}, other: {}}\nusers: {app: {clients: 3}}")
    with client(g), client(g):
        error = refusal(g)
        assert error["C"] == "53300" and "databases.app.clients" in error["H"]
        with client(g, database="other"):
            error = refusal(g, database="other")
            assert error["C"] == "53300" and "users.app.clients" in error["H"]
    with client(g) as c:  # they have gone
        assert one(c, "select 1") == "1"


def test_who_waits_in_vain_is_told_why(gate):
    g = gate(3, config="databases: {app: {pool_size: 1}}", DB_POOL_TIMEOUT="0.3")
    with client(g) as a, client(g) as b:
        a.ask("begin")
        b.send(raw.query("select 1"))
        error = raw.error(b.until_end())
    assert error["C"] == "53300"
    for part in ("pool app/app", "transaction", "1 of 1", "share 3", "breaker closed", "path normal"):
        assert part in error["D"], error
    assert "databases.app.pool_size" in error["H"]


def test_who_comes_too_late_to_be_served_in_time_is_told_at_once(gate):
    g = gate(1, DB_POOL_TIMEOUT="2", STANDPIPE_POOL_QUEUE="fifo")
    with contextlib.ExitStack() as stack:
        shop = [stack.enter_context(client(g)) for _ in range(3)]
        rate = re.compile(r'standpipe_pool_expected_wait_seconds [0-9.]*[1-9]')

        def rate_is_known():  # two wait for each one that is served
            for c in shop:
                c.send(raw.query("select pg_sleep(0.1)"))
            known = rate.search(g.standpipe.get("/metrics").body)
            for c in shop:
                c.until_ready()
            return known

        wait_until(rate_is_known, "enough to be served to know the rate")
        crowd = [stack.enter_context(client(g)) for _ in range(60)]
        for c in crowd:
            c.send(raw.query("select pg_sleep(0.1)"))
        answers = [c.until("ZE") for c in crowd]
        errors = [raw.error(a) for a in answers if a[-1][0] == "E"]
        early = [e for e in errors if e["M"].startswith("overloaded:")]
        assert len(answers) - len(errors) >= 5 and len(early) >= 20
        assert re.fullmatch(r"[0-9]+ wait in the queue, [0-9.]+ a second are served: that takes [0-9.]+ s, and "
                            r"timeouts.pool is 2 s. Try again in [0-9]+ s.", early[0]["H"]), early[0]
        assert early[0]["C"] == "53300" and "share 1" in early[0]["D"]
    assert f'standpipe_pool_rejects_by_total{{reason="overloaded"}} {len(early)}' in g.standpipe.get("/metrics").body


# --- other settings -----------------------------------------------------------------------------------


def test_a_reload_changes_pools(gate):
    g = gate(4, config="databases: {other: {pool_size: 1}, gone: {}}" + USERS)
    file = next(g.standpipe.directory.glob("standpipe-*.yaml"))
    with client(g, user="ann") as a, client(g) as b:
        assert one(a, "select 1") == one(b, "select 1") == "1"
        pid = one(b, "select pg_backend_pid()")
        file.write_text("databases: {other: {pool_size: 2}, third: {url: 'postgresql:///other'}, app: {clients: 3}}\n"
                        "users: {bob: {password: of bob}}")
        g.standpipe.send_signal(signal.SIGHUP)
        g.standpipe.wait_line("has been read anew")
        assert one(a, "select current_user") == "ann"  # who is there stays
        assert refusal(g, user="ann")["C"] == "28000"
        assert refusal(g, database="gone")["C"] == "3D000"
        with client(g, user="bob") as c, client(g, database="third") as d:
            assert one(c, "select current_user") == "bob"
            assert one(d, "select current_database()") == "other"
            assert refusal(g)["C"] == "53300"
        assert one(b, "select pg_backend_pid()") == pid  # and what is as it was


# --- session mode -------------------------------------------------------------------------------------

SESSION = {"STANDPIPE_POOL_MODE": "session"}


def test_in_session_mode_a_client_is_told_its_backend_as_long_as_there_is_one(gate):
    g = gate(2, **SESSION)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(contextlib.closing(g.raw())) for _ in range(3)]
        told = [c.key[0] for c in clients]
        assert [int(c.ask("select pg_backend_pid()")[0][0]) for c in clients[:2]] == told[:2]
        # The third one has none, and asks for nothing yet.
        clients[2].send(raw.query("select pg_backend_pid()"))
        wait_until(lambda: g.health()["pool"]["waiting"] == 1, "its wait")
        clients[1].send(raw.query("select pg_sleep(600)"))
        backends = "select count(*) from pg_stat_activity where state = 'active' and query like '%pg_sleep(600)%'"
        wait_until(lambda: clients[0].ask(f"{backends} and pid = {told[1]}") == [("1",)], "the sleep")
        for pid, key in (told[1], clients[0].key[1]), (told[0], clients[1].key[1]), clients[1].key:
            with contextlib.closing(g.raw(login=False)) as asker:
                asker.send(struct.pack("!iiii", 16, 80877102, pid, key))
                assert asker.until_end() == []
        assert raw.error(clients[1].until_ready())["C"] == "57014"
        assert clients[0].ask(f"select pg_terminate_backend({told[1]})") == [("t",)]
        assert raw.error(clients[1].until_end())["C"] == "57P01"
        clients[0].close()
        assert [k for k, _ in clients[2].until_ready()] == ["T", "D", "C", "Z"]


def test_a_session_whose_backend_is_ended_ends_and_nobody_else_waits_for_that(gate):
    g = gate(3, **SESSION)
    with contextlib.closing(g.raw()) as other:
        assert other.ask("select 1") == [("1",)]
        for asks in [False, True] * 10:
            with contextlib.closing(g.raw()) as one_:
                if asks:
                    assert one_.ask("select 2") == [("2",)]
                assert other.ask(f"select pg_terminate_backend({one_.key[0]})") == [("t",)]
                # Told once, and not left to wait for the answer to what it asks then.
                told = one_.until_end()
                assert [kind for kind, _ in told] == ["E"] and raw.error(told)["C"] == "57P01"
            assert g.health()["database"]["retry_after_s"] is None
        assert other.ask("select 3") == [("3",)]


def test_a_session_keeps_its_server_with_all_that_is_in_it(gate):
    g = gate(3, **SESSION)
    with client(g) as a, client(g) as b:
        pid = one(a, "select pg_backend_pid()")
        a.ask("create temp table mine (i int); insert into mine values (1)")
        a.ask("prepare p as select 'prepared'")
        a.ask("select pg_advisory_lock(7)")
        a.ask("listen news")
        a.ask("set work_mem = '5MB'")
        a.send(raw.parse("my name", "select 'by protocol'"), raw.SYNC)
        a.until_ready()
        for _ in range(3):
            assert one(a, "select pg_backend_pid()") == pid != one(b, "select pg_backend_pid()")
            assert one(a, "select count(*) from mine") == "1"
            assert one(a, "execute p") == "prepared"
            assert one(a, "show work_mem") == "5MB"
            assert [r[0] for r in a.ask("select name from pg_prepared_statements order by 1")] == ["my name", "p"]
            assert one(b, "select pg_try_advisory_lock(7)") == "f"
        b.ask("notify news, 'hello'")
        assert any(b"hello" in body for kind, body in a.until("A"))


def test_the_next_one_finds_nothing_of_a_session(gate):
    g = gate(1, **SESSION)
    with client(g) as a:
        pid = one(a, "select pg_backend_pid()")
        a.ask("create temp table mine (i int)")
        a.ask("prepare p as select 1")
        a.ask("select pg_advisory_lock(7)")
        a.ask("listen news")
        a.ask("set DateStyle = 'German'")
        a.send(raw.parse("s", "select 2"), raw.SYNC)
        a.until_ready()
        a.ask("begin; create table never (i int)")  # and in the middle of a transaction
    with client(g) as b:
        assert one(b, "select pg_backend_pid()") == pid
        assert b.ask("select * from pg_prepared_statements") == b.ask("select pg_listening_channels()") == []
        assert one(b, "select to_regclass('mine') is null and to_regclass('never') is null") == "t"
        assert one(b, "select count(*) from pg_locks where locktype = 'advisory'") == "0"
        assert one(b, "show datestyle") == "ISO, MDY"


def test_a_reset_goes_back_to_what_the_startup_packet_said(gate):
    g = gate(2, **SESSION)
    startup = {"DateStyle": "SQL, DMY", "TimeZone": "Asia/Tokyo", "application_name": "mine",
               "options": r"-c search_path=a,\ public -c work_mem=7MB --extra-float-digits=1"}
    expected = {"datestyle": "SQL, DMY", "timezone": "Asia/Tokyo", "work_mem": "7MB",
                "search_path": "a, public", "extra_float_digits": "1"}
    for _ in range(2):
        with client(g, **startup) as c:
            assert one(c, "show application_name") == "mine"
            for reset in ("select 1", "discard all", "reset all", *(f"reset {name}" for name in expected)):
                c.ask("set DateStyle = 'ISO'; set TimeZone = 'UTC'; set work_mem = '1MB'; set search_path = x; "
                      "set extra_float_digits = 0")
                name = reset.split()[-1]
                c.ask(reset)
                for setting, value in expected.items():
                    if name in ("all", setting):
                        assert one(c, f"show {setting}") == value, reset
                assert one(c, "show application_name") == "mine", reset
            c.send(raw.query("set application_name = 'other'; reset application_name"))
            told = [body for kind, body in c.until_ready() if kind == "S"]
            assert told and told[-1] == raw.text("application_name", "mine")
    with client(g) as c:  # of another birth
        assert one(c, "show datestyle") == "ISO, MDY"
    assert sum(servers(g).values()) == 2


def test_births_make_room_for_each_other_within_a_pools_size(gate):
    g = gate(5, config="databases: {app: {pool_size: 1, mode: session}}")
    for zone in ("UTC", "Asia/Tokyo", "UTC"):
        with client(g, TimeZone=zone) as c:
            assert one(c, "show timezone") == zone
        assert servers(g) == {("app", "app"): 1}


def test_a_bad_setting_is_told_as_postgres_says_it_and_hurts_nobody_else(gate):
    g = gate(2, **SESSION)
    for _ in range(4):
        error = refusal(g, TimeZone="Nowhere/Land")
        assert error["C"] == "22023" and error["S"] == "FATAL"
        assert error["M"] == 'invalid value for parameter "TimeZone": "Nowhere/Land"'
        error = refusal(g, options="-c no_such_thing=1")
        assert error["C"] == "42704" and error["M"] == 'unrecognized configuration parameter "no_such_thing"'
    with client(g) as c:
        assert one(c, "select 1") == "1"
    assert g.health()["breaker"]["state"] == "closed"


def test_each_session_has_a_backend_of_its_own_where_that_is_asked_for(gate):
    """What nothing takes away is not there for the next one: a library, a schema for temporary tables."""
    g = gate(1, STANDPIPE_POOL_SESSION_END="close", **SESSION)
    backends = []
    for _ in range(3):
        with client(g) as c:
            backends.append(one(c, "select pg_backend_pid()"))
            assert one(c, "select pg_my_temp_schema()") == "0"
            c.ask("set plpgsql.no_such_thing = 1")  # an error once the library is there
            c.ask("do 'begin end'")
            c.ask("begin; create temp table t ()")  # and it goes without a word
    assert len(set(backends)) == 3
    with client(g) as a:
        first = one(a, "select 1")
        with client(g) as b:  # waits for the only place
            b.send(raw.query("select 2"))
            a.socket.close()
            assert [raw.row(body) for kind, body in b.until_ready() if kind == "D"] == [("2",)] and first == "1"
    assert g.health()["breaker"]["state"] == "closed"
    assert not [e for e in g.standpipe.log() if e["severity"] in ("WARNING", "ERROR") and "root" not in e["message"]]


def test_pipelines_copy_and_errors_of_a_session(gate):
    g = gate(1, **SESSION)
    with client(g) as c:
        c.send(raw.parse("a", "select 1"), raw.parse("a", "select 2"), raw.bind("a"), raw.EXECUTE, raw.SYNC,
               raw.bind("a"), raw.EXECUTE, raw.SYNC)
        messages = c.until_ready()
        assert raw.error(messages)["M"] == 'prepared statement "a" already exists'
        messages = c.until_ready()  # which PostgreSQL rolls back no Parse for
        assert [raw.row(body) for kind, body in messages if kind == "D"] == [("1",)]
        c.send(raw.query("copy (select generate_series(1, 1000)) to stdout"))
        assert len([m for m in c.until_ready() if m[0] == "d"]) == 1000
        c.ask("create temp table t2 (i int)")
        c.send(raw.query("copy t2 from stdin"))
        c.until("G")
        c.send(raw.message("d", b"1\n2\n"), raw.message("c"))
        c.until_ready()
        assert one(c, "select sum(i) from t2") == "3"
        c.send(raw.query("copy t2 from stdin"))
        c.until("G")
        c.send(raw.message("d", b"3\n"))
        c.reset()  # in the middle of it
    with client(g) as c:
        assert one(c, "select 1") == "1"


def test_many_sessions_wait_for_few_servers(gate):
    g = gate(2, **SESSION)

    def work(number):
        for turn in range(5):
            with client(g, TimeZone=("UTC", "Asia/Tokyo")[number % 2]) as c:
                c.ask(f"create temp table mine as select {number} n")
                assert one(c, "select n from mine") == str(number)
                assert one(c, "show timezone") == ("UTC", "Asia/Tokyo")[number % 2]

    gating.in_threads(8, work)


def test_modes_of_databases_and_users(gate):
    g = gate(4, config="databases: {app: {mode: session}, other: {}}\n"
                       f"users: {{ann: {{mode: transaction, password: \"{ANN}\"}}}}")
    with client(g) as a, client(g) as b, client(g, database="other") as c, client(g, database="other") as d:
        assert one(a, "select pg_backend_pid()") != one(b, "select pg_backend_pid()")
        assert one(c, "select pg_backend_pid()") == one(d, "select pg_backend_pid()")
    with client(g, user="ann") as a, client(g, user="ann") as b:
        assert one(a, "select pg_backend_pid()") == one(b, "select pg_backend_pid()")


# --- statement mode -----------------------------------------------------------------------------------


def test_transaction_blocks_have_no_place_in_statement_mode(gate):
    g = gate(1, STANDPIPE_POOL_MODE="statement")
    with client(g) as b:
        b.ask("create table kept (i int)")
        for block in ((raw.query("begin"),), (raw.query("insert into kept values (1); begin; insert into kept values (2)"),),
                      (raw.parse("", "begin"), raw.bind(""), raw.EXECUTE, raw.SYNC),
                      (raw.query("begin"), raw.query("insert into kept values (3)"), raw.query("commit"))):
            with client(g) as a:
                assert one(a, "select 1") == "1"
                a.send(*block)
                messages = a.until_end()
                error = raw.error(messages)
                assert error["C"] == "0A000" and error["S"] == "FATAL"
                assert error["M"] == "transaction blocks not allowed in statement pooling mode"
                assert not [m for m in messages if m[0] == "Z"]
        # What was done before `begin` in the same query is part of the block, and is gone.
        assert one(b, "select count(*) from kept") == "0"
        b.ask("begin; insert into kept values (4); commit")  # over before the next query
        b.ask("insert into kept values (5); insert into kept values (6)")
        assert one(b, "select count(*) from kept") == "3"
        b.ask("drop table kept")


def test_a_long_query_has_its_place_in_statement_mode(gate):
    g = gate(1, STANDPIPE_POOL_MODE="statement")
    with client(g) as a:
        text = "x" * (3 << 20)  # more than is read at a time
        assert one(a, f"select length('{text}')") == str(3 << 20)


# --- what is shown ------------------------------------------------------------------------------------


def test_status_and_metrics_show_pools(gate):
    g = gate(3, config="databases: {other: {mode: session, pool_size: 2}}")
    with client(g, database="other", TimeZone="UTC") as c:
        c.ask("begin")
        pools = {p["database"]: p for p in g.standpipe.get("/status").json["pools"]}
        assert pools["app"]["mode"] == "transaction" and pools["app"]["user"] == "app"
        assert pools["other"]["mode"] == "session" and pools["other"]["servers_max"] == 2
        assert pools["other"]["servers"]["busy"] == 1 and pools["other"]["births"] == 1
        metrics = g.standpipe.get("/metrics").body
        assert 'standpipe_pool_assignments_total{database="other",user="app"} 1' in metrics
