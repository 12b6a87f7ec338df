"""Who may come in: passwords by SCRAM, certificates, trust where it is meant; and those who try to
come in otherwise."""

import asyncio
import base64
import contextlib
import fcntl
import os
import pwd
import re
import shutil
import signal
import socket
import struct
import subprocess

import asyncpg
import psycopg2
import pytest

import harness
from certs import Authority
from harness import HOST, wait_until
from pgwire import Scram, Session, error_fields, message, query, startup, terminate, text
from test_wire import serve

HELLO = startup({"user": "app", "database": "app"})
PASSWORD = "app-secret"
MD5 = "md5" + "0123456789abcdef" * 2


@pytest.fixture(scope="module")
def directory():
    made = harness.short_dir("sp-auth-")
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def authority(directory):
    return Authority(directory)


@pytest.fixture(scope="module")
def runner(standpipe):
    r = harness.Runner(standpipe)
    yield r
    r.close()


@pytest.fixture(scope="module")
def gate(runner, postgres):
    """One that asks for the password on loopback, too."""
    return serve(runner, postgres, STANDPIPE_AUTH_LOCAL="scram-sha-256")


@pytest.fixture(scope="module")
def tls_gate(runner, postgres, authority):
    cert, key = authority.server()
    return serve(runner, postgres, STANDPIPE_AUTH_LOCAL="scram-sha-256", STANDPIPE_TLS_CERT=cert,
                 STANDPIPE_TLS_KEY=key)


def sasl_initial(data, mechanism="SCRAM-SHA-256"):
    return message("p", text(mechanism) + struct.pack("!I", len(data)) + data)


def connect(gate, user="app", password=PASSWORD, **more):
    connection = psycopg2.connect(**{"host": "localhost", "hostaddr": HOST, "port": gate.gate_port, "user": user,
                                     "password": password, "dbname": "app", **more})
    connection.autocommit = True
    return connection


def works(*args, **kwargs):
    with contextlib.closing(connect(*args, **kwargs)) as c, c.cursor() as cursor:
        cursor.execute("select current_user, 41 + 1")
        return cursor.fetchone() == ("app", 42)


def refused(*args, **kwargs):
    """What a client is told that may not come in."""
    with pytest.raises(psycopg2.OperationalError) as e:
        connect(*args, **kwargs).close()
    return str(e.value)


def failures(gate):
    return int(re.search(r"^standpipe_login_failures_total (\d+)$", gate.get("/metrics").body, re.M).group(1))


# --- passwords -----------------------------------------------------------------------------------


def test_the_url_s_own_password_lets_in_and_no_other(gate):
    before = failures(gate)
    assert works(gate)
    for wrong in ("wrong", "", "app-secret ", "x" * 1000):
        if wrong:
            assert 'password authentication failed for user "app"' in refused(gate, password=wrong)
    assert "no password supplied" in refused(gate, password="")
    assert failures(gate) == before + 3
    line = gate.wait_line("wrong password")
    assert '"app"' in line and PASSWORD not in gate.text


def test_asyncpg_and_psql_give_their_passwords(gate):
    async def ask(password):
        c = await asyncpg.connect(host=HOST, port=gate.gate_port, user="app", password=password, database="app")
        try:
            return await c.fetchval("select 42")
        finally:
            await c.close()
    assert asyncio.run(ask(PASSWORD)) == 42
    with pytest.raises(asyncpg.InvalidPasswordError):
        asyncio.run(ask("wrong"))
    for password, code in ((PASSWORD, 0), ("wrong", 2)):
        done = subprocess.run(["psql", "-X", "-c", "select 1"], capture_output=True, text=True, check=False,
                              timeout=harness.LIMIT, env=harness.clean_environment(
                                  PGHOST=HOST, PGPORT=gate.gate_port, PGUSER="app", PGDATABASE="app",
                                  PGPASSWORD=password))
        assert done.returncode == code, done.stderr


def first_exchange(gate, user):
    """The challenge for a user: (salt, iterations)."""
    with Session(gate.gate_port, login=False) as s:
        s.send(startup({"user": user, "database": "app"}))
        kind, body = s.read()
        assert kind == "R" and struct.unpack("!I", body[:4]) == (10,)
        s.send(sasl_initial(b"n,,n=,r=abcdefghijklmnop"))
        kind, body = s.read()
        assert kind == "R" and struct.unpack("!I", body[:4]) == (11,)
        fields = dict(f.split(b"=", 1) for f in body[4:].split(b","))
        return fields[b"s"], fields[b"i"]


def test_nobody_learns_which_users_exist(gate):
    known, unknown = first_exchange(gate, "app"), first_exchange(gate, "nobody")
    assert len(base64.b64decode(known[0])) == len(base64.b64decode(unknown[0])) and known[1] == unknown[1]
    assert first_exchange(gate, "nobody") == unknown and first_exchange(gate, "app") == known
    assert first_exchange(gate, "nobody2") != unknown

    def told(user):
        with Session(gate.gate_port, login=False) as s:
            s.send(startup({"user": user, "database": "app"}))
            for _ in range(2):
                kind, body = s.read()
                s._authenticate(struct.unpack("!I", body[:4])[0], body[4:], "wrong")
            (kind, body), = s.read_to_end()
            assert kind == "E"
            return error_fields(body)
    one, other = told("app"), told("napp")
    assert one["C"] == other["C"] == "28P01"
    assert one["M"].replace('"app"', "") == other["M"].replace('"napp"', "")
    gate.wait_line("there is no such user")


def test_a_user_who_is_let_in_gets_only_what_is_served(gate):
    assert 'database "other"' in refused(gate, dbname="other")


# --- the file ------------------------------------------------------------------------------------


def stored(postgres, user="app"):
    return postgres.query("select rolpassword from pg_authid where rolname = %s", user)[0][0]


def test_verifiers_and_passwords_in_a_file(run_standpipe, postgres, directory):
    users = directory / "users-1"

    def write(lines):
        users.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        users.chmod(0o644)

    write([f'"app" "{stored(postgres)}"', f'"old" "{MD5}"'])
    gate = serve(run_standpipe, postgres, STANDPIPE_AUTH_LOCAL="scram-sha-256", STANDPIPE_AUTH_FILE=users)
    assert '"users":1' in gate.wait_line("store SCRAM-SHA-256 verifiers").replace(" ", "")
    assert works(gate)
    assert "password authentication failed" in refused(gate, password="wrong")
    assert "password authentication failed" in refused(gate, user="old", password="any")
    gate.wait_line("an MD5 hash, which SCRAM can't be checked against")

    def reload(told):
        count = len(gate.lines)
        gate.send_signal(signal.SIGHUP)
        return wait_until(lambda: next((l for l in gate.lines[count:] if told in l), None), told)

    # Passwords that clients normalise (SASLprep), that have quotes, that are not UTF-8 for them.
    for password in ("other", "Stra\u00dfe \u2168 \u00bd", 'with "quotes"', "\u212b\u00aa"):
        quoted = password.replace('"', '""')
        write([f'"app" "{quoted}"'])
        reload("has been read anew")
        with contextlib.closing(connect(gate, password=password)) as staying:
            assert "password authentication failed" in refused(gate)
            write([f'"app" "{stored(postgres)}"'])
            reload("has been read anew")
            assert works(gate)
            with staying.cursor() as cursor:
                cursor.execute("select 1")

    write([f'"app" "{stored(postgres)}"', '"broken'])
    assert "users-1:2" in reload("what was read before stays in force")
    assert works(gate)


def test_a_file_with_a_mistake_is_told_at_the_start(run_standpipe, postgres, directory):
    users = directory / "users-2"
    users.write_text('"app" "x"\nnonsense\n')
    users.chmod(0o644)
    gate = run_standpipe("serve", env={"DATABASE_URL": postgres.url(), "STANDPIPE_AUTH_FILE": users,
                                       "STANDPIPE_LISTEN_PORT": harness.free_port()})
    assert gate.wait() == 2
    assert "users-2:2" in gate.text and "double quotes" in gate.text


def test_users_of_the_configuration_have_their_passwords(run_standpipe, postgres):
    postgres.query("create role report login password 'report-secret'")
    try:
        port = harness.free_port()
        gate = run_standpipe("serve", config="users: {report: {password: report-secret}, '*': {password: any}}", env={
            "DATABASE_URL": postgres.url(), "STANDPIPE_LISTEN_PORT": port, "STANDPIPE_LISTEN_SOCKET_DIR": "",
            "STANDPIPE_AUTH_LOCAL": "scram-sha-256"})
        gate.gate_port = port
        gate.wait_get("/ready")
        assert works(gate)
        with contextlib.closing(connect(gate, user="report", password="report-secret")) as c, c.cursor() as cursor:
            cursor.execute("select current_user")
            assert cursor.fetchone()[0] == "report"
        for user, password in (("report", PASSWORD), ("report", "any"), ("*", "any"), ("other", "any")):
            assert "password authentication failed" in refused(gate, user=user, password=password)
        gate.stop()
    finally:
        postgres.query("drop role report")


# --- channel binding -----------------------------------------------------------------------------


def test_the_password_s_proof_can_be_bound_to_the_connection(tls_gate, gate, authority):
    tls = {"sslmode": "verify-full", "sslrootcert": authority.cert}
    for binding in ("require", "prefer", "disable"):
        assert works(tls_gate, channel_binding=binding, **tls)
        if binding != "disable":
            assert "password authentication failed" in refused(
                tls_gate, password="wrong", channel_binding=binding, **tls)
    assert "channel binding" in refused(gate, channel_binding="require")


# --- where from ----------------------------------------------------------------------------------


def own_address():
    """An address of this machine that is not loopback's."""
    for _, name in socket.if_nameindex():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            with contextlib.suppress(OSError):
                found = fcntl.ioctl(s, 0x8915, struct.pack("256s", name.encode()))  # SIOCGIFADDR
                address = socket.inet_ntoa(found[20:24])
                if not address.startswith("127."):
                    return address
    pytest.skip("this machine has no address but loopback's")


def test_loopback_is_trusted_and_others_are_not(run_standpipe, postgres, directory):
    address = own_address()
    gate = serve(run_standpipe, postgres, STANDPIPE_LISTEN_HOST="0.0.0.0", STANDPIPE_LISTEN_SOCKET_DIR=directory)
    assert works(gate, password=None)
    assert works(gate, password=None, host=os.fspath(directory), hostaddr=None)
    assert "no password supplied" in refused(gate, password=None, hostaddr=address)
    assert "password authentication failed" in refused(gate, password="wrong", hostaddr=address)
    assert works(gate, hostaddr=address)


def test_tls_may_be_a_must_for_others(run_standpipe, postgres, authority):
    address = own_address()
    cert, key = authority.issue("localhost", f"DNS:localhost,IP:127.0.0.1,IP:{address}")
    gate = serve(run_standpipe, postgres, STANDPIPE_LISTEN_HOST="0.0.0.0", STANDPIPE_TLS_CERT=cert,
                 STANDPIPE_TLS_KEY=key, STANDPIPE_TLS_MODE="require")
    assert works(gate, password=None, sslmode="disable")
    assert "asks for TLS" in refused(gate, sslmode="disable", hostaddr=address)
    assert works(gate, sslmode="require", hostaddr=address)
    assert works(gate, sslmode="verify-full", sslrootcert=authority.cert, host=address, hostaddr=address)


def test_trust_for_other_machines_is_warned_about_and_reject_rejects(run_standpipe, postgres):
    gate = serve(run_standpipe, postgres, STANDPIPE_LISTEN_HOST="0.0.0.0", STANDPIPE_AUTH_REMOTE="trust",
                 STANDPIPE_AUTH_LOCAL="reject")
    gate.wait_line("auth.remote is trust")
    assert "lets nobody in" in refused(gate)
    assert works(gate, password=None, hostaddr=own_address())


# --- certificates --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cert_gate(runner, postgres, authority):
    cert, key = authority.server()
    return serve(runner, postgres, STANDPIPE_AUTH_LOCAL="cert", STANDPIPE_TLS_CERT=cert, STANDPIPE_TLS_KEY=key,
                 STANDPIPE_TLS_CLIENT_CA=authority.cert)


def shown(pair, mode="require"):
    return {"sslmode": mode, "sslcert": pair[0], "sslkey": pair[1], "password": None}


def test_a_certificate_that_names_the_user_lets_in(cert_gate, authority):
    assert works(cert_gate, **shown(authority.issue("app")))
    assert works(cert_gate, **shown(authority.issue("somebody", "DNS:app")))
    assert works(cert_gate, **shown(authority.issue("somebody", "email:app")))


def test_other_certificates_do_not(cert_gate, authority, directory):
    for pair in (authority.issue("application"), authority.issue("ap"), authority.issue("APP"),
                 authority.issue("x", "DNS:app.example")):
        assert 'certificate authentication failed for user "app"' in refused(cert_gate, **shown(pair))
    cert_gate.wait_line("the certificate names another user")
    assert 'certificate authentication failed for user "app"' in refused(cert_gate, sslmode="require", sslcert="/none")
    assert 'certificate authentication failed for user "app"' in refused(cert_gate, sslmode="disable")
    stranger = Authority(directory, "stranger").issue("app")
    assert "unknown ca" in refused(cert_gate, **shown(stranger))
    cert_gate.wait_line("TLS handshake failed")


def test_a_certificate_that_was_revoked_does_not(runner, postgres, authority, directory):
    cert, key = authority.server()
    good, bad = authority.issue("app"), authority.issue("app")
    gate = serve(runner, postgres, STANDPIPE_AUTH_LOCAL="cert", STANDPIPE_TLS_CERT=cert, STANDPIPE_TLS_KEY=key,
                 STANDPIPE_TLS_CLIENT_CA=authority.cert, STANDPIPE_TLS_CRL=authority.revoke())
    assert works(gate, **shown(good)) and works(gate, **shown(bad))
    authority.revoke(bad[0])
    gate.send_signal(signal.SIGHUP)
    gate.wait_line("the configuration has been read anew")
    assert "revoked" in refused(gate, **shown(bad))
    assert works(gate, **shown(good))


@pytest.mark.parametrize("setting, told", [
    ({"STANDPIPE_TLS_CRL": "/dev/null"}, "set tls.client_ca"),
    ({"STANDPIPE_AUTH_REMOTE": "cert"}, "cert needs to know whose certificates to trust"),
    ({"STANDPIPE_TLS_MODE": "require"}, "require needs a certificate"),
    ({"STANDPIPE_TLS_CERT": "/nonexistent.crt"}, "/nonexistent.crt can't be read"),
    ({"STANDPIPE_AUTH_FILE": "/nonexistent.txt"}, "/nonexistent.txt can't be read"),
    ({"STANDPIPE_AUTH_LOCAL": "md5"}, "scram-sha-256"),
])
def test_what_can_not_work_is_told_by_check(run_standpipe, setting, told):
    check = run_standpipe("check", env={"DATABASE_URL": "postgresql://app@localhost/app", **setting})
    assert check.wait() == 2 and told in check.text


# --- users who are looked up ---------------------------------------------------------------------

LOOKUP = """
create table if not exists calls(name text);
create or replace function public.user_lookup(inout name text, out secret text) language plpgsql security definer
  set search_path = pg_catalog, pg_temp as $$
begin
  insert into public.calls values (name);
  select rolname, rolpassword into name, secret from pg_authid where rolname = name and rolcanlogin;
end $$;
"""
QUERY = "select name, secret from public.user_lookup($1) where name is not null"


@pytest.fixture(scope="module")
def lookup_environment(postgres, directory):
    """A gate whose URL has no password, so that its own user is looked up, too."""
    postgres.query(LOOKUP)
    passwords = directory / "pgpass"
    passwords.write_text(f"*:*:*:app:{PASSWORD}\n")
    passwords.chmod(0o600)
    return {"DATABASE_URL": f"postgresql://app@{HOST}:{postgres.port}/app", "PGPASSFILE": passwords,
            "STANDPIPE_AUTH_LOCAL": "scram-sha-256", "STANDPIPE_AUTH_QUERY": QUERY}


def calls(postgres, name):
    return postgres.query("select count(*) from calls where name = %s", name)[0][0]


def forget_calls(postgres):
    postgres.query("truncate calls")


@pytest.fixture(scope="module")
def lookup_gate(runner, postgres, lookup_environment):
    return serve(runner, postgres, STANDPIPE_AUTH_CACHE="1h", **lookup_environment)


def test_who_is_in_no_file_is_looked_up_once(lookup_gate, postgres):
    forget_calls(postgres)
    for _ in range(3):
        assert works(lookup_gate)
    assert calls(postgres, "app") == 1
    for _ in range(3):
        assert "password authentication failed" in refused(lookup_gate, user="nobody")
    assert calls(postgres, "nobody") == 1
    assert "password authentication failed" in refused(lookup_gate, password="wrong")
    lookup_gate.send_signal(signal.SIGHUP)
    wait_until(lambda: works(lookup_gate) and calls(postgres, "app") > 1, "another question after a reload")


def test_a_changed_password_is_found_out(lookup_gate, postgres):
    assert works(lookup_gate)
    try:
        postgres.query("alter role app password 'changed'")
        wait_until(lambda: tries(lookup_gate, "changed"), "the new password")
        assert not tries(lookup_gate, PASSWORD)
    finally:
        postgres.query(f"alter role app password '{PASSWORD}'")
    wait_until(lambda: tries(lookup_gate, PASSWORD), "the old password")


def tries(gate, password):
    try:
        return works(gate, password=password)
    except psycopg2.OperationalError:
        return False


def test_clients_that_come_together_share_an_answer(run_standpipe, postgres, lookup_environment):
    gate = serve(run_standpipe, postgres, **lookup_environment)
    forget_calls(postgres)
    blocker = postgres.connect(user="postgres")
    blocker.autocommit = False
    with blocker.cursor() as cursor:
        cursor.execute("lock table calls")
    with contextlib.ExitStack() as stack:
        sessions = [stack.enter_context(Session(gate.gate_port, login=False)) for _ in range(20)]
        scrams = [Scram(PASSWORD) for _ in sessions]
        for s, scram in zip(sessions, scrams):
            # Half of them say more than they are asked for yet.
            s.send(HELLO, sasl_initial(scram.first()) if s is sessions[0] or len(sessions) % 2 else b"")
        wait_until(lambda: postgres.query("select count(*) from pg_locks where not granted")[0][0], "the question")
        blocker.rollback()
        blocker.close()
        for s, scram in zip(sessions, scrams):
            s.read()
            if s is not sessions[0]:
                s.send(sasl_initial(scram.first()))
            s.send(message("p", scram.final(s.read()[1][4:])))
            s.read_until("Z")
    assert calls(postgres, "app") == 1


def test_a_question_that_is_not_answered_holds_up_nobody_for_ever(run_standpipe, postgres, lookup_environment):
    gate = serve(run_standpipe, postgres, servers=4, STANDPIPE_TIMEOUTS_LOGIN="2s", **lookup_environment)
    with contextlib.closing(postgres.connect(user="postgres")) as blocker, blocker.cursor() as cursor:
        blocker.autocommit = False
        cursor.execute("lock table calls")
        with contextlib.ExitStack() as stack:
            sessions = [stack.enter_context(Session(gate.gate_port, login=False)) for _ in range(6)]
            for n, s in enumerate(sessions):
                s.send(startup({"user": f"user{n}", "database": "app"}))
            for s in sessions[3:]:
                s.close()
            for s in sessions[:3]:
                s.read_to_end()
        blocker.rollback()
    wait_until(lambda: tries(gate, PASSWORD), "the next ones")


def test_names_are_never_a_part_of_the_question(lookup_gate, postgres):
    forget_calls(postgres)
    names = ["x' or '1'='1", "app'--", "$1", "app\\", "'; drop table calls; --", "E'\\x61pp'", 'app"', "app\n", " app",
             "\u00e4pp", "a" * 63, "a" * 64, "a" * 5000, "%s", "{}", "NULL", "app;", "APP", "$$app$$"]
    for name in names:
        with Session(lookup_gate.gate_port, login=False) as s:
            s.send(startup({"user": name, "database": "app"}))
            scram = Scram(PASSWORD)
            kind, body = s.read()
            assert kind == "R" and body[:4] == b"\0\0\0\x0a", (name, body)
            s.send(sasl_initial(scram.first()))
            s.send(message("p", scram.final(s.read()[1][4:])))
            kind, body = s.read()
            assert kind == "E" and error_fields(body)["C"] == "28P01", name
    assert {row[0] for row in postgres.query("select name from calls")} == set(names)
    with Session(lookup_gate.gate_port, login=False) as s:  # not UTF-8
        s.send(startup({"database": "app", "user": b"app\xff"}))
        (kind, body), = s.read_to_end()
        assert kind == "E" and error_fields(body)["C"] == "57P03"


def test_nobody_s_search_path_is_in_force_for_the_question(run_standpipe, postgres, lookup_environment):
    """CVE-2025-12819 of PgBouncer: what a client asks for in its startup packet, what one before it left
    behind on the server, and even what the role's own default is."""
    evil = "evil, public, pg_catalog"
    postgres.query("""
        create schema evil;
        create table evil.hits(what text);
        create function evil.lower(text) returns text language plpgsql as
          $$ begin insert into evil.hits values ('lower'); return $1; end $$;
        create view evil.pg_roles as select 'app'::text as rolname, evil.lower('x') as trap;
        grant all on schema evil to public; grant all on all tables in schema evil to public;
        alter role app set search_path = evil, public, pg_catalog""")
    try:
        query = ("select l.name, l.secret from public.user_lookup(lower($1)) l, pg_roles r "
                 "where r.rolname = l.name")
        gate = serve(run_standpipe, postgres, servers=1, **{
            **lookup_environment, "STANDPIPE_AUTH_QUERY": query, "STANDPIPE_AUTH_CACHE": "0",
            "STANDPIPE_POOL_PIN": "off"})
        with contextlib.closing(connect(gate, options=f"-c search_path={evil.replace(' ', '')}")) as c, \
                c.cursor() as cursor:
            cursor.execute("create temp table pg_roles as select 'trapped'::text as rolname")
            assert works(gate)  # there would be no such user
            cursor.execute(f"set search_path = pg_temp, {evil}")
            assert works(gate, options="-c search_path=evil,pg_catalog")
            cursor.execute("select 1")
        assert works(gate)
        assert postgres.query("select count(*) from evil.hits")[0][0] == 0
        # The clients' own is what they asked for, of course.
        with contextlib.closing(connect(gate, options="-c search_path=public")) as c, c.cursor() as cursor:
            cursor.execute("show search_path")
            assert cursor.fetchone()[0] == "public"
    finally:
        postgres.query("alter role app reset search_path; drop schema evil cascade")


@pytest.mark.parametrize("query, told", [
    ("select no_such_function($1)", "auth.query failed"),
    ("select 'other', rolpassword from pg_roles where rolname = $1", "the row of another user"),
    ("select null::text where $1 <> ''", "no password is stored"),
    ("select 'SCRAM-SHA-256$nonsense' where $1 <> ''", "begins like a SCRAM verifier and is none"),
    (f"select '{MD5}' where $1 <> ''", "an MD5 hash"),
    ("select repeat('x', 2000) where $1 <> ''", "begins like a SCRAM verifier and is none"),
])
def test_answers_that_are_good_for_nothing(run_standpipe, postgres, lookup_environment, query, told):
    gate = serve(run_standpipe, postgres, **{**lookup_environment, "STANDPIPE_AUTH_QUERY": query})
    expected = "can't look up the user" if "failed" in told else "password authentication failed"
    assert expected in refused(gate)
    gate.wait_line(told)


def test_a_database_has_its_own_question(run_standpipe, postgres, lookup_environment, directory):
    config = directory / "own-questions.yaml"
    config.write_text("""
databases:
  second: {auth_query: "select secret from public.people where name = $1"}
  third: {}
""")
    for database in ("second", "third"):
        postgres.query(f"create database {database} owner app")
    postgres.query("create table people as select 'app' as name, 'of the second'::text as secret; "
                   "grant select on people to public", database="second")
    gate = serve(run_standpipe, postgres, STANDPIPE_CONFIG=config, STANDPIPE_AUTH_CACHE="1h", **lookup_environment)
    for _ in range(2):  # the second time from what is kept: not one database's answer for another's
        assert works(gate, dbname="second", password="of the second")
        assert "password authentication failed" in refused(gate, dbname="second")
        for database in ("app", "third"):
            assert works(gate, dbname=database)
            assert "password authentication failed" in refused(gate, dbname=database, password="of the second")
    # That it is not served any more is known before anybody is asked.
    config.write_text("databases: {third: {}}\n")
    gate.send_signal(signal.SIGHUP)
    gate.wait_line("the configuration has been read anew")
    assert "password authentication failed" in refused(gate, dbname="second", password="of the second")
    assert "does not serve" in refused(gate, dbname="second")


@pytest.mark.parametrize("database, query, told", [
    ("second", "select 1", "write $1"), ('"*"', "select $1", "an entry of their own")])
def test_a_databases_question_that_can_not_be(run_standpipe, database, query, told):
    check = run_standpipe("check", env={"DATABASE_URL": "postgresql://app@localhost/app"},
                          config=f"databases:\n  {database}: {{auth_query: {query}}}\n")
    assert check.wait() == 2 and told in check.text


def test_a_flood_of_names_is_bounded(lookup_gate, postgres):
    forget_calls(postgres)
    with contextlib.ExitStack() as stack:
        sessions = [stack.enter_context(Session(lookup_gate.gate_port, login=False)) for _ in range(150)]
        for round_number in range(10):
            for n, s in enumerate(sessions):
                if round_number:
                    s.close()
                    s.__init__(lookup_gate.gate_port, login=False)
                s.send(startup({"user": f"flood-{round_number}-{n}", "database": "app"}))
            for s in sessions:
                assert s.read()[0] == "R"
    assert works(lookup_gate)


def test_a_query_without_a_place_for_the_user_is_told_by_check(run_standpipe):
    check = run_standpipe("check", env={"DATABASE_URL": "postgresql://app@localhost/app",
                                        "STANDPIPE_AUTH_QUERY": "select 1"})
    assert check.wait() == 2 and "write $1" in check.text


# --- the console ---------------------------------------------------------------------------------


def test_the_console_is_for_those_who_have_proved_to_be_its_users(run_standpipe, postgres, directory):
    """An admin command by somebody who only says that it is its user."""
    users = directory / "users-3"
    users.write_text('"admin" "admin-secret"\n"other" "other-secret"\n')
    users.chmod(0o644)
    gate = serve(run_standpipe, postgres, STANDPIPE_AUTH_LOCAL="scram-sha-256", STANDPIPE_AUTH_FILE=users,
                 STANDPIPE_ADMIN_USERS="admin", STANDPIPE_LISTEN_SOCKET_DIR=directory)
    for console in ("standpipe", "pgbouncer"):
        with contextlib.closing(connect(gate, user="admin", password="admin-secret", dbname=console)) as c, \
                c.cursor() as cursor:
            cursor.execute("show version")
        assert "password authentication failed" in refused(gate, user="admin", password="x", dbname=console)
        assert "password authentication failed" in refused(gate, user="nobody", password="x", dbname=console)
        assert "may not use the console" in refused(gate, user="other", password="other-secret", dbname=console)
        # Nothing of it is done for somebody who has not got in yet.
        with Session(gate.gate_port, login=False) as s:
            s.send(startup({"user": "admin", "database": console}), query("shutdown"))
            assert error_fields(s.read_to_end()[-1][1])["C"] == "08P01"
    assert gate.running()
    # The system's user that the gate runs as may, over the Unix socket.
    with contextlib.closing(connect(gate, user=pwd.getpwuid(os.geteuid()).pw_name, password=None, dbname="standpipe", hostaddr=None,
                                    host=os.fspath(directory))) as c, c.cursor() as cursor:
        cursor.execute("show version")
    assert "no password supplied" in refused(gate, password=None, hostaddr=None, host=os.fspath(directory))


def test_files_that_can_not_be_used_are_told_by_check(run_standpipe, directory, authority):
    cert, key = authority.server()
    _, other_key = authority.server()
    users = directory / "users-4"
    users.write_text('"app" "x"\n"app" "y"\n')
    for setting, told in (({"STANDPIPE_TLS_CERT": cert, "STANDPIPE_TLS_KEY": key}, None),
                          ({"STANDPIPE_TLS_CERT": cert, "STANDPIPE_TLS_KEY": other_key}, "key values mismatch"),
                          ({"STANDPIPE_TLS_CERT": key}, "the certificate can't be used"),
                          ({"STANDPIPE_TLS_CERT": cert, "STANDPIPE_TLS_KEY": key, "STANDPIPE_TLS_CLIENT_CA": users},
                           "certificate authorities can't be used"),
                          ({"STANDPIPE_AUTH_FILE": users}, "users-4:2")):
        check = run_standpipe("check", env={"DATABASE_URL": "postgresql://app@localhost/app", **setting})
        assert check.wait() == (2 if told else 0), check.text
        assert not told or told in check.text


# --- hostile -------------------------------------------------------------------------------------


def last_words(gate, *messages):
    """The error for messages that follow a startup packet; all come at once."""
    with Session(gate.gate_port, login=False) as s:
        s.send(HELLO, *messages)
        found = s.read_to_end()
    assert found and found[-1][0] == "E", found
    assert all(kind == "R" for kind, _ in found[:-1]), found
    return error_fields(found[-1][1])["C"]


@pytest.mark.parametrize("first", ids=range(16), argvalues=[
    b"", b"n", b"n,,", b"n,,n=", b"n,,n=,r", b"n,,n=,r=", b"n,,r=abc", b"y,,n=,r=\0", b"n,,n=,r=" + b"a" * 1016,
    b"n,,n=,r=" + b"a" * 9000, b"n,,n=,r=a,b" + b"\0" * 20, b"p=tls-unique,,n=,r=abc", b"n,,n=,r=\xff\xfe",
    b"," * 900, b"n,a=root,n=,r=abc", b"n" * 1000])
def test_a_first_message_that_is_none(gate, first):
    assert last_words(gate, sasl_initial(first)) in ("08P01", "0A000")


@pytest.mark.parametrize("whole", ids=range(20), argvalues=[
    message("p"), message("p", b"SCRAM-SHA-256"), message("p", text("SCRAM-SHA-256")),
    message("p", text("SCRAM-SHA-256") + b"\xff\xff\xff\xff"), message("p", text("SCRAM-SHA-256") + b"\0\0\xff\xffn,,"),
    message("p", text("SCRAM-SHA-256") + b"\x7f\xff\xff\xffn,,n=,r=abc"),
    message("p", text("SCRAM-SHA-256-PLUS") + b"\0\0\0\x0bn,,n=,r=abc"), message("p", text("PLAIN") + b"\0\0\0\0"),
    message("p", text("x" * 2000) + b"\0\0\0\0"), b"p\xff\xff\xff\xff", b"p\0\0\0\0", b"p\0\0\0\3", b"p\x3f\xff\xff\xff",
    b"p\0\0\x10\0", query("select 1"), terminate(), message("S"), HELLO, b"\0" * 64, message("p", text(PASSWORD))])
def test_a_message_that_is_no_proof(gate, whole):
    assert last_words(gate, whole) == "08P01"


def test_a_second_message_that_is_none(gate):
    first = sasl_initial(b"n,,n=,r=abc")
    for final in (b"", b"c=biws", b"c=biws,r=abc", b"c=biws,r=abc,p=", b"p=" + b"A" * 44, b"c=" + b"A" * 5000,
                  b"c=biws,r=" + b"a" * 1000, b"c=biws,r=abc,p=" + b"A" * 900):
        assert last_words(gate, first, message("p", final)) == "08P01"
    assert last_words(gate, first, query("select 1")) == "08P01"


def test_nothing_is_done_for_a_client_that_has_not_proved_itself(gate, postgres):
    """Queries that come along with, or in place of, the proof."""
    assert last_words(gate, sasl_initial(b"n,,n=,r=abc"), query("create table sneaked()")) == "08P01"
    with Session(gate.gate_port, login=False) as s:
        s.send(HELLO, sasl_initial(b"n,,n=,r=abc"))
        (_, _), (_, challenge) = s.read(), s.read()
        wrong = Scram("wrong")
        wrong.bare = b"n=,r=abc"
        s.send(message("p", wrong.final(challenge[4:])), query("create table sneaked()"))
        found = s.read_to_end()
        assert [kind for kind, _ in found] == ["E"]
    assert postgres.query("select to_regclass('sneaked')")[0][0] is None


def test_a_proof_can_not_be_used_again(gate):
    """What was seen of one login opens no other: our nonce is another each time."""
    with Session(gate.gate_port, login=False) as s:
        s.send(HELLO)
        s.read()
        scram = Scram(PASSWORD)
        first = sasl_initial(scram.first())
        s.send(first)
        final = message("p", scram.final(s.read()[1][4:]))
        s.send(final)
        s.read_until("Z")
    assert last_words(gate, first, final) == "08P01"


def test_bytes_one_at_a_time(gate):
    with Session(gate.gate_port, login=False) as s:
        s.send_in_pieces(HELLO)
        s.read()
        scram = Scram(PASSWORD)
        s.send_in_pieces(sasl_initial(scram.first()))
        s.send_in_pieces(message("p", scram.final(s.read()[1][4:])))
        s.read_until("Z")
        assert s.rows("select 1") == [["1"]]


def test_users_that_are_empty_or_missing(gate):
    for parameters in ({"database": "app"}, {"user": "", "database": "app"}):
        with Session(gate.gate_port, login=False) as s:
            s.send(startup(parameters))
            kind, body = s.read()
            assert kind == "E" and error_fields(body)["C"] in ("28000", "08P01")


def test_a_client_that_stays_silent_costs_the_login_s_time_and_no_more(run_standpipe, postgres):
    gate = serve(run_standpipe, postgres, STANDPIPE_AUTH_LOCAL="scram-sha-256", STANDPIPE_TIMEOUTS_LOGIN="1s")
    with contextlib.ExitStack() as stack:
        sessions = [stack.enter_context(Session(gate.gate_port, login=False)) for _ in range(4)]
        for s, said in zip(sessions, (b"", HELLO[:20], HELLO, HELLO + sasl_initial(b"n,,n=,r=abc"))):
            s.send(said)
        for s in sessions:
            s.read_to_end()
        assert works(gate)


def test_a_scanner_does_not_fill_the_log(run_standpipe, postgres):
    gate = serve(run_standpipe, postgres, STANDPIPE_AUTH_LOCAL="reject")
    tries = 300
    for number in range(tries):
        with contextlib.closing(Session(gate.gate_port, login=False)) as s:
            s.send(startup({"user": f"user{number}", "database": "app"}))
            assert error_fields(s.read_to_end()[-1][1])["C"] == "28000"

    def counted():
        log = gate.log()
        written = sum(entry["message"] == "a client may not come in" for entry in log)
        held_back = sum(entry.get("held_back", 0) for entry in log)
        return written + held_back == tries and held_back > 0
    wait_until(counted, "all of them to be written or counted")
