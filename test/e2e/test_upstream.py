"""How the gate logs in: several hosts, IPv6, TLS with certificates on both sides, silence on the way."""

import contextlib
import os
import shutil

import psycopg2
import psycopg2.errors
import pytest

import faults
import harness
import raw
from gating import ask
from harness import HOST, wait_until


def url(*places, query="", user="app", password="app-secret"):
    """For several places, each host:port or a port of loopback."""
    hosts = ",".join(p if isinstance(p, str) else f"{HOST}:{p}" for p in places)
    return f"postgresql://{user}:{password}@{hosts}/app" + (f"?{query}" if query else "")


def failures(standpipe):
    return [e for e in standpipe.log() if e["message"].startswith("connect to the database")]


# --- several hosts ------------------------------------------------------------------------------------


@pytest.fixture
def make_standby(make_postgres):
    """make_standby(primary): a server that follows it, started."""

    def make(primary):
        standby = make_postgres()
        shutil.rmtree(standby.data)
        harness.run_as(standby.template.user, [
            standby.template.bin / "pg_basebackup", "-h", HOST, "-p", str(primary.port), "-U", "postgres", "-R",
            "-D", standby.data, "-X", "stream", "-c", "fast"], env=os.environ | {
                "PGPASSWORD": standby.template.SUPER})
        standby.start()
        wait_until(lambda: standby.query("select pg_is_in_recovery()")[0][0], "the standby")
        return standby

    return make


def test_the_primary_dies_and_the_standby_becomes_it(gate, make_postgres, make_standby):
    primary = make_postgres().start()
    standby = make_standby(primary)
    # The standby first: only the one that can be written to is right.
    g = gate(2, primary, DATABASE_URL=url(standby.port, primary.port, query="target_session_attrs=read-write"))

    def where():
        return g.one("select current_setting('port')")

    assert where() == str(primary.port)
    with contextlib.closing(g.connect()) as c:
        ask(c, "create table kept (i int)")
        ask(c, "insert into kept values (1)")
        wait_until(lambda: standby.query("select to_regclass('kept')")[0][0], "the standby to have it")
        primary.kill()
        with pytest.raises(psycopg2.Error):
            ask(c, "insert into kept values (2)")
    # Nobody can be written to: each host is named, with what is wrong with it.
    said = wait_until(lambda: failures(g.standpipe), "an attempt that fails")[-1]
    assert f'port {standby.port}: session is read-only' in said["error"]["text"], said
    assert f'port {primary.port}: Connection refused' in said["error"]["text"], said
    assert str(standby.port) in said["error"]["origin"] and str(primary.port) in said["error"]["origin"], said
    standby.query("select pg_promote()", database="postgres")

    def served():
        with contextlib.suppress(psycopg2.Error):
            return where()
        return None

    assert wait_until(served, "the new primary") == str(standby.port)
    assert g.one("insert into kept values (3) returning i") == 3


def test_a_host_that_drops_every_packet_is_passed_over(gate, postgres):
    """libpq would wait for it as long as the kernel tries; each fresh dial begins with the next host."""
    hole = faults.BlackHole()
    try:
        g = gate(1, DATABASE_URL=url(hole.port, postgres.port), STANDPIPE_PATH_DIAL_PATIENCE="0.2s")
        assert g.one("select current_setting('port')") == str(postgres.port)
        attempts = g.standpipe.get("/status").json["attempts"]["recent"]
        assert attempts[0]["dials"] > 1 and attempts[0]["outcome"] == "ok", attempts
    finally:
        hole.close()


def test_a_host_that_lets_a_whole_attempt_wait_is_not_the_first_of_the_next(gate, postgres):
    """It takes the connection and never answers: a frozen machine."""
    with faults.silent_port() as silent:
        g = gate(1, DATABASE_URL=url(silent, postgres.port), DB_CONNECTION_TIMEOUT="0.5s")
        assert g.one("select current_setting('port')") == str(postgres.port)
        assert [e["error"]["stage"] for e in failures(g.standpipe)] == ["tls"]


def test_hosts_that_refuse_a_login_for_good_fail_it_at_once(run_standpipe, postgres):
    standpipe = run_standpipe("serve", env={
        "DATABASE_URL": url(postgres.port, f"localhost:{postgres.port}", password="wrong"),
        "STANDPIPE_LISTEN_PORT": 0, "STANDPIPE_LISTEN_SOCKET_DIR": ""})
    assert standpipe.wait() == 3
    assert [e["outcome"] for e in failures(standpipe)] == ["auth"]


# --- TLS ----------------------------------------------------------------------------------------------


def refused(run_standpipe, database_url):
    """A start that fails at once, for TLS's sake; gives its error context."""
    standpipe = run_standpipe("serve", env={
        "DATABASE_URL": database_url, "STANDPIPE_LISTEN_PORT": 0, "STANDPIPE_LISTEN_SOCKET_DIR": ""})
    assert standpipe.wait() == 3
    context = next(e for e in standpipe.log() if e["message"] == "startup failed")["context"]
    assert context["attempts"]["ended"] == {"tls": 1} and context["breaker"]["state"] == "closed", context
    return context


def test_a_certificate_is_verified_in_full(gate, run_standpipe, make_postgres, tmp_path):
    server = make_postgres(tls=True).start()
    verified = f"sslmode=verify-full&sslrootcert={server.cert}"
    with contextlib.closing(faults.BlackHole()) as hole:
        # By its name, wherever the dial begins.
        g = gate(1, server, DATABASE_URL=url(f"localhost:{hole.port}", f"localhost:{server.port}", query=verified),
                 STANDPIPE_PATH_DIAL_PATIENCE="0.2s")
        assert g.one("select ssl from pg_stat_ssl where pid = pg_backend_pid()") is True
    other, _ = harness.self_signed(tmp_path)
    context = refused(run_standpipe, url(f"localhost:{server.port}", query=f"sslmode=verify-full&sslrootcert={other}"))
    assert "certificate verify failed" in context["error"]["text"] and "sslrootcert" in context["hint"], context
    context = refused(run_standpipe, url(f"db.example:{server.port}", query=f"hostaddr=127.0.0.1&{verified}"))
    assert 'does not match host name "db.example"' in context["error"]["text"] and "name" in context["hint"], context
    context = refused(run_standpipe, url(f"localhost:{server.port}", query="sslmode=verify-full&sslrootcert=/nowhere"))
    assert "/nowhere" in context["error"]["text"], context


def test_a_server_without_tls_is_refused_where_tls_is_a_must(run_standpipe, postgres):
    context = refused(run_standpipe, url(postgres.port, query="sslmode=require"))
    assert "does not support SSL" in context["error"]["text"], context


def test_the_gate_shows_a_certificate_of_its_own(gate, run_standpipe, make_postgres, tmp_path):
    """In place of a password."""
    server = make_postgres(tls=True)
    cert, key = harness.self_signed(tmp_path, names=("app",))
    authority = server.base / "clients.crt"
    shutil.copy(cert, authority)
    os.chmod(authority, 0o644)
    hba = server.data / "pg_hba.conf"
    hba.write_text("hostssl all app 127.0.0.1/32 cert\n" + hba.read_text())
    server.start(ssl_ca_file=authority)
    there = f"postgresql://app@localhost:{server.port}/app?sslmode=verify-full&sslrootcert={server.cert}"
    g = gate(1, server, DATABASE_URL=f"{there}&sslcert={cert}&sslkey={key}")
    assert g.one("select client_dn from pg_stat_ssl where pid = pg_backend_pid()") == "/CN=app"
    with_nothing = run_standpipe("serve", env={
        "DATABASE_URL": f"{there}&sslcert=/nowhere", "STANDPIPE_LISTEN_PORT": 0, "STANDPIPE_LISTEN_SOCKET_DIR": ""})
    assert with_nothing.wait() == 3
    assert failures(with_nothing)[-1]["outcome"] == "auth"
    context = refused(run_standpipe, f"{there}&sslcert={cert}&sslkey=/nowhere")
    assert "/nowhere" in context["error"]["text"], context


# --- IPv6 ---------------------------------------------------------------------------------------------


def test_the_database_is_on_ipv6(gate, make_postgres):
    server = make_postgres(settings={"listen_addresses": "127.0.0.1,::1"}).start()
    g = gate(1, server, DATABASE_URL=url(f"[::1]:{server.port}"))
    assert g.one("select inet_server_addr()::text") == "::1/128"
    assert g.health()["database"]["host"] == f"[::1]:{server.port}"


def test_both_addresses_of_a_name_are_tried(gate, postgres):
    """`localhost` may be ::1 first; the server listens on 127.0.0.1 alone."""
    g = gate(1, DATABASE_URL=url(f"localhost:{postgres.port}"))
    assert g.one("select inet_server_addr()::text") == "127.0.0.1/32"


@pytest.mark.parametrize("host, reached", [
    ("::1", ["::1"]), ("[::1]", ["::1"]), ("::", ["::1", HOST]), ("*", ["::1", HOST]), ("127.0.0.1", [HOST]),
])
def test_clients_come_over_ipv6(gate, postgres, host, reached):
    g = gate(1, STANDPIPE_LISTEN_HOST=host)
    for address in ("::1", HOST):
        if address in reached:
            with contextlib.closing(psycopg2.connect(
                    host=address, port=g.port, user="app", dbname="app", connect_timeout=10)) as c:
                assert ask(c, "select 7") == 7
        else:
            with pytest.raises(psycopg2.OperationalError):
                psycopg2.connect(host=address, port=g.port, user="app", dbname="app", connect_timeout=10)


# --- silence ------------------------------------------------------------------------------------------


def keepalive_timers(pid, port):
    """Seconds to the next keepalive of each of a process's established connections to or from a port; None
    while one of them waits for something else."""
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            inodes.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
    seconds = []
    with open("/proc/net/tcp", encoding="ascii") as f:
        for line in list(f)[1:]:
            _, local, remote, state, _, timer, _, _, _, inode = line.split()[:10]
            ours = f"socket:[{inode}]" in inodes and f"{port:04X}" in (local[-4:], remote[-4:])
            if ours and state == "01":
                kind, _, left = timer.partition(":")
                if kind != "02":  # keepalive
                    return None
                seconds.append(int(left, 16) / os.sysconf("SC_CLK_TCK"))
    return seconds


def test_a_silent_end_is_found_out_on_both_sides(gate, postgres):
    """What the URL says of it wins."""
    env = {"STANDPIPE_DATABASE_KEEPALIVE": "40s", "STANDPIPE_LISTEN_KEEPALIVE": "50s"}
    for query, most in (("", 40), ("keepalives_idle=20", 20)):
        g = gate(1, DATABASE_URL=url(postgres.port, query=query), **env)
        with contextlib.closing(g.connect()) as c:
            ask(c, "select 1")
            for port, span in ((postgres.port, most), (g.port, 50)):
                timers = wait_until(lambda p=port: keepalive_timers(g.standpipe.pid, p), "all to be acknowledged")
                assert all(span - 15 < s <= span for s in timers), (port, timers)


def test_a_client_that_is_gone_without_a_word_leaves_its_transaction(gate):
    g = gate(1, STANDPIPE_LISTEN_KEEPALIVE="1s", STANDPIPE_LISTEN_KEEPALIVE_INTERVAL="1s",
             STANDPIPE_LISTEN_KEEPALIVE_COUNT="2")
    with contextlib.closing(g.raw()) as c:
        c.ask("begin")
        pid = c.ask("select pg_backend_pid()")[0][0]
        faults.go_deaf(c.socket)
        assert str(g.one("select pg_backend_pid()")) == pid  # rolled back, and the next one's


def test_what_a_client_does_not_acknowledge_holds_nothing_for_long(gate):
    g = gate(1, STANDPIPE_LISTEN_USER_TIMEOUT="1s", STANDPIPE_LISTEN_KEEPALIVE="0")
    with contextlib.closing(g.raw()) as c:
        c.ask("begin")
        pid = c.ask("select pg_backend_pid()")[0][0]
        faults.go_deaf(c.socket)
        c.send(raw.query("select 1"))  # whose answer is on its way for ever
        assert str(g.one("select pg_backend_pid()")) == pid


@pytest.mark.parametrize("env", [
    {"KEEPALIVE": "1s", "KEEPALIVE_INTERVAL": "1s", "KEEPALIVE_COUNT": "2"},
    {"KEEPALIVE": "0", "USER_TIMEOUT": "1s"},
], ids=["idle", "amid a query"])
def test_a_server_that_is_gone_without_a_word_is_replaced(gate, postgres, env):
    with contextlib.closing(faults.Proxy(postgres.port)) as path:
        g = gate(1, DATABASE_URL=url(path.port), **{f"STANDPIPE_DATABASE_{k}": v for k, v in env.items()})
        seen = path.connections
        with contextlib.closing(g.connect()) as c:
            ask(c, "select 1")
            for s in path.sockets[::2]:  # the gate's side of each
                faults.go_deaf(s)
            if "USER_TIMEOUT" in env:
                with pytest.raises(psycopg2.Error):
                    ask(c, "select 1")
        wait_until(lambda: path.connections > seen, "a fresh login")
        assert g.one("select 7") == 7


def test_servers_are_recycled_without_a_word(gate):
    """Between transactions only."""
    g = gate(1, STANDPIPE_POOL_RECYCLE="1s")
    with contextlib.closing(g.connect()) as c, contextlib.closing(g.connect(autocommit=False)) as slow:
        pids = {ask(c, "select pg_backend_pid()")}
        wait_until(lambda: pids.add(ask(c, "select pg_backend_pid()")) or len(pids) > 2, "two of them to be too old")
        began = ask(slow, "select pg_backend_pid()")
        ask(slow, "select pg_sleep(1.5)")
        assert ask(slow, "select pg_backend_pid()") == began
        slow.commit()
        assert ask(c, "select pg_backend_pid()") != began


# --- a command that gives the password -------------------------------------------------------------------


class Tokens:
    """A server whose role has another password now and then, and the command that knows it."""

    def __init__(self, server, directory):
        self.server = server
        self.file = directory / "token"
        self.calls = directory / "calls"
        self.calls.touch()
        self.serial = 0
        self.env = {
            "DATABASE_URL": f"postgresql://app@{HOST}:{server.port}/app", "STANDPIPE_POOL_RECYCLE": "0",
            "DATABASE_PASSWORD_COMMAND": f"echo $PGUSER@$PGHOST:$PGPORT/$PGDATABASE >>{self.calls}; cat {self.file}"}
        self.change()

    def change(self, told=True):
        """The role's password is another; `told`: the command knows it."""
        self.serial += 1
        self.server.query(f"alter role app password 'token-{self.serial}-0123456789'")
        if told:
            self.tell()

    def tell(self):
        self.file.write_text(f"token-{self.serial}-0123456789\nnot the first line\n")

    def count(self):
        return len(self.calls.read_text().splitlines())


@pytest.fixture
def tokens(make_postgres, tmp_path):
    return Tokens(make_postgres().start(), tmp_path)


def cut(g):
    """All of its server connections end: whoever comes next needs a fresh login."""
    before = g.backends()
    g.server.query("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'")
    wait_until(lambda: not before & g.backends(), "the end of all server connections")


def test_a_command_gives_the_password_for_several_logins(gate, tokens):
    g = gate(3, tokens.server, **tokens.env)
    g.open_all(3)
    assert tokens.calls.read_text().splitlines() == [f"app@{HOST}:{tokens.server.port}/app"]
    assert "0123456789" not in g.standpipe.text


def test_a_password_that_is_refused_is_fetched_again_at_once(gate, tokens):
    g = gate(1, tokens.server, **tokens.env)
    tokens.change()
    cut(g)
    assert g.one("select 7") == 7
    assert tokens.count() == 2 and not failures(g.standpipe)
    # Once for each attempt: a fresh one that is refused is a failure for good.
    tokens.change(told=False)
    cut(g)
    with pytest.raises(psycopg2.OperationalError):
        g.one("select 7")
    wait_until(lambda: failures(g.standpipe), "the attempt that fails")
    assert failures(g.standpipe)[0]["outcome"] == "auth"
    tokens.tell()

    def served():
        with contextlib.suppress(psycopg2.Error):
            return g.one("select 7") == 7
        return False

    wait_until(served, "the gate to come back by itself")


def test_a_password_is_fetched_again_before_its_life_is_over(gate, tokens):
    g = gate(1, tokens.server, **tokens.env, STANDPIPE_DATABASE_PASSWORD_LIFE="1s")
    wait_until(lambda: tokens.count() >= 3, "two refreshes that nobody asked for")
    tokens.change()
    seen = tokens.count()
    wait_until(lambda: tokens.count() > seen + 1, "the next but one")
    cut(g)
    assert g.one("select 7") == 7
    assert not failures(g.standpipe)


def test_the_password_at_hand_is_used_while_the_command_fails(gate, tokens):
    g = gate(1, tokens.server, **tokens.env, STANDPIPE_DATABASE_PASSWORD_LIFE="4s")
    tokens.file.unlink()
    g.standpipe.wait_line("no password for the database")
    cut(g)
    assert g.one("select 7") == 7
    assert not failures(g.standpipe)
    # ... as long as it lives, and then it is told what the command said.
    said = wait_until(lambda: cut(g) or failures(g.standpipe), "its life to be over")[0]
    assert said["outcome"] == "token" and "No such file" in said["error"]["text"], said
    assert "database.password_command: exited with 1" in said["error"]["text"], said
    tokens.tell()

    def served():
        with contextlib.suppress(psycopg2.Error):
            return g.one("select 7") == 7
        return False

    wait_until(served, "the gate to come back by itself")


@pytest.mark.parametrize("command, why", [
    ("echo nothing to be had >&2; exit 4", "exited with 4: nothing to be had"),
    ("true", "said nothing"),
    ("/nowhere/token", "exited with 127"),
    ("sleep 600", "did not end in time"),
    ("kill -9 $$", "was ended by signal 9"),
    ("head -c 20000 /dev/zero | tr '\\0' x", "more than 16384 bytes"),
])
def test_a_start_without_a_password_says_why(run_standpipe, postgres, command, why):
    standpipe = run_standpipe("serve", env={
        "DATABASE_URL": f"postgresql://app@{HOST}:{postgres.port}/app", "STANDPIPE_LISTEN_PORT": 0,
        "STANDPIPE_LISTEN_SOCKET_DIR": "", "DATABASE_PASSWORD_COMMAND": command, "STANDPIPE_RETRY_CAP": "0.1",
        "STANDPIPE_RETRY_BASE": "0.1", "DB_INITIALIZATION_TIMEOUT": "1s", "DB_HEALTH_CHECK_TIMEOUT": "0.2s"})
    assert standpipe.wait() == 3
    # It is tried on until the phase is over: a metadata server may need its time as well.
    assert {e["outcome"] for e in failures(standpipe)} == {"token"}
    context = next(e for e in standpipe.log() if e["message"] == "startup failed")["context"]
    assert why in context["error"]["text"] and context["breaker"]["state"] == "closed", context
    assert "password_command" in context["hint"], context


def test_a_password_is_taken_as_it_is(gate, make_postgres, tmp_path):
    server = make_postgres().start()
    odd = "a b'c\\d=e&f%20g host=nowhere"
    server.query("alter role app password '" + odd.replace("'", "''") + "'")
    (tmp_path / "odd").write_text(odd)  # without a line's end
    g = gate(1, server, DATABASE_URL=f"postgresql://app:wrong@{HOST}:{server.port}/app",
             DATABASE_PASSWORD_COMMAND=f"cat {tmp_path}/odd")
    assert g.one("select 7") == 7
