"""The console: what PgBouncer's users, exporters and dashboards do with it."""

import asyncio
import contextlib
import os
import pathlib
import pwd
import shutil
import struct
import subprocess
import threading
import urllib.request

import asyncpg
import psycopg
import psycopg2
import psycopg2.errors
import pytest

import gating
import harness
import raw
from harness import HOST, wait_until

JDBC = pathlib.Path("/usr/share/java/postgresql.jar")

TEXT, INT4, INT8, FLOAT8, NUMERIC = 25, 23, 20, 701, 1700

FIGURES = ("{}server_assignment_count {}xact_count {}query_count {} {} {}xact_time {}query_time {}wait_time "
           "{}client_parse_count {}server_parse_count {}bind_count")
SOCKET = ("type user database replication state addr port# local_addr local_port# connect_time request_time wait# "
          "wait_us# close_needed# ptr link remote_pid# tls application_name prepared_statements# id#")

# The columns that PgBouncer 1.25 has, in its order, from its manual; # is int4, ## int8.
PGBOUNCER_1_25 = {
    "version": "version",
    "config": "key value default changeable",
    "databases": "name host port# database force_user pool_size# min_pool_size# reserve_pool_size# server_lifetime# "
                 "pool_mode load_balance_hosts max_connections# current_connections# max_client_connections# "
                 "current_client_connections# paused# disabled#",
    "pools": "database user cl_active# cl_waiting# cl_active_cancel_req# cl_waiting_cancel_req# sv_active# "
             "sv_active_cancel# sv_being_canceled# sv_idle# sv_used# sv_tested# sv_login# maxwait# maxwait_us# "
             "pool_mode load_balance_hosts",
    "clients": SOCKET,
    "servers": SOCKET,
    "sockets": SOCKET + " recv_pos# pkt_pos# pkt_remain# send_pos# send_remain# pkt_avail# send_avail#",
    "active_sockets": SOCKET + " recv_pos# pkt_pos# pkt_remain# send_pos# send_remain# pkt_avail# send_avail#",
    "users": "name pool_size reserve_pool_size pool_mode max_user_connections# current_connections# "
             "max_user_client_connections# current_client_connections#",
    "stats": "database " + FIGURES.format(*["total_"] * 3, "total_received", "total_sent", *["total_"] * 6) + " "
             + FIGURES.format(*["avg_"] * 3, "avg_recv", "avg_sent", *["avg_"] * 6),
    "stats_totals": "database " + FIGURES.format("", "", "", "bytes_received", "bytes_sent", *[""] * 6),
    "stats_averages": "database " + FIGURES.format("", "", "", "bytes_received", "bytes_sent", "", "", "",
                                                   "avg_", "avg_", "avg_"),
    "totals": "name value",
    "lists": "list items#",
    "mem": "name size# used# free# memtotal#",
    "state": "key value",
    "dns_hosts": "hostname ttl## addrs",
    "dns_zones": "zonename serial## count#",
    "peers": "peer_id# host port# pool_size#",
    "peer_pools": "peer_id# cl_active_cancel_req# cl_waiting_cancel_req# sv_active_cancel# sv_login#",
}
OURS = ("breaker", "path", "stages", "budget", "limits", "startup", "connects", "queues")


class Rows(list):
    """The rows of an answer as dicts; `columns` are (name, type) pairs."""

    def __init__(self, cursor):
        self.columns = [(c.name, c.type_code) for c in cursor.description or ()]
        names = [name for name, _ in self.columns]
        super().__init__(dict(zip(names, row)) for row in (cursor.fetchall() if cursor.description else ()))


class Console:
    """A session of the console."""

    def __init__(self, connection):
        self.connection = connection
        connection.autocommit = True

    def __call__(self, command):
        with self.connection.cursor() as cursor:
            cursor.execute(command)
            self.tag = cursor.statusmessage
            return Rows(cursor)

    def one(self, command):
        rows = self(command)
        assert len(rows) == 1, rows
        return rows[0]

    def value(self, command):
        return next(iter(self.one(command).values()))


def own_name():
    return pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def console():
    """console(gate): a session over the Unix socket, as whom the gate runs as; or as `user` over TCP."""
    with contextlib.ExitStack() as stack:
        def connect(gate, user=None, dbname="pgbouncer", **kwargs):
            host = HOST if user else os.fspath(gate.directory)
            session = Console(psycopg2.connect(host=host, port=gate.port, user=user or "pgbouncer", dbname=dbname,
                                               **kwargs))
            stack.callback(session.connection.close)
            return session
        yield connect


def expected(show):
    """(name, type) pairs."""
    numeric = show.startswith(("stats", "totals"))
    return [(c.rstrip("#"), {0: NUMERIC if numeric and i > 0 else TEXT, 1: INT4, 2: INT8}[c.count("#")])
            for i, c in enumerate(PGBOUNCER_1_25[show].split())]


# --- shows ---------------------------------------------------------------------------------------


def test_every_show_has_the_columns_of_pgbouncer(gate, console):
    session = console(gate())
    for show in PGBOUNCER_1_25:
        rows = session(f"SHOW {show.upper()};")
        wanted = expected(show)
        assert rows.columns[:len(wanted)] == wanted, show
        assert session.tag == "SHOW"


@pytest.fixture
def pgbouncer(postgres):
    """Debian's PgBouncer in front of the server; gives its port."""
    program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
    directory = harness.short_dir("sp-pgb-")
    port = harness.free_port()
    (directory / "ini").write_text(
        f"[databases]\napp = host={HOST} port={postgres.port}\n[pgbouncer]\nlisten_addr = {HOST}\n"
        f"listen_port = {port}\nunix_socket_dir =\nauth_type = any\nadmin_users = pgbouncer\n")
    os.chmod(directory / "ini", 0o644)
    running = harness.Program([program, directory / "ini"], user=harness.unprivileged_user())
    try:
        running.wait_line("process up")
        yield port
    finally:
        running.stop()
        shutil.rmtree(directory, ignore_errors=True)


def test_what_pgbouncer_answers_is_answered_alike(gate, console, pgbouncer):
    """Every column of the real one's is there, of its type and in its order."""
    session = console(gate())
    real = Console(psycopg2.connect(host=HOST, port=pgbouncer, user="pgbouncer", dbname="pgbouncer"))
    compared = 0
    with contextlib.closing(real.connection):
        for show in PGBOUNCER_1_25:
            try:
                theirs = real(f"SHOW {show}")
            except psycopg2.Error:
                continue  # this PgBouncer is older than that
            ours = session(f"SHOW {show}")
            assert set(theirs.columns) <= set(ours.columns), show
            if show in ("lists", "totals"):  # whose rows are what others have as columns
                key = next(iter(theirs[0]))
                assert {r[key] for r in theirs} <= {r[key] for r in ours}, show
            # The one column whose name has changed since is at the end.
            moved = {("reserve_pool", INT4)}
            order = [c for c in ours.columns if c in theirs.columns and c not in moved]
            assert order == [c for c in theirs.columns if c not in moved], show
            compared += 1
        for parameter in ("client_encoding", "server_encoding", "DateStyle", "TimeZone", "standard_conforming_strings",
                          "is_superuser"):
            assert session.connection.get_parameter_status(parameter) == real.connection.get_parameter_status(parameter)
        for command in ("SHOW client_encoding", "SHOW datestyle", "SHOW standard_conforming_strings"):
            assert real(command)[0].keys() == session(command)[0].keys()
    assert compared >= 15


def test_shows_what_is(gate, console):
    g = gate(size=2)
    session = console(g)
    with contextlib.closing(g.connect(application_name="teller")) as client:
        with client.cursor() as cursor:
            cursor.execute("begin")
            cursor.execute("select pg_backend_pid()")
            backend = cursor.fetchone()[0]
            mine = [r for r in session("SHOW CLIENTS") if r["application_name"] == "teller"]
            assert [(r["type"], r["user"], r["database"], r["state"]) for r in mine] == [("C", "app", "app", "active")]
            local = client.cursor()
            local.execute("select 1")
            assert mine[0]["addr"] == HOST and mine[0]["local_port"] == g.port
            servers = {r["remote_pid"]: r for r in session("SHOW SERVERS")}
            assert servers[backend]["state"] == "active"
            assert servers[backend]["link"] == mine[0]["ptr"] and mine[0]["link"] == servers[backend]["ptr"]
            assert servers[backend]["port"] == g.server.port
            pool = session.one("SHOW POOLS")
            assert (pool["database"], pool["user"], pool["cl_active"], pool["sv_active"]) == ("app", "app", 1, 1)
            database = session.one("SHOW DATABASES")
            assert (database["name"], database["host"], database["port"]) == ("app", HOST, g.server.port)
            assert (database["pool_size"], database["current_client_connections"]) == (2, 1)
            cursor.execute("commit")
        idle = [r for r in session("SHOW CLIENTS") if r["application_name"] == "teller"]
        assert idle[0]["state"] == "idle" and idle[0]["link"] == ""
    asker = [r for r in session("SHOW CLIENTS") if r["database"] == "pgbouncer"]
    assert asker[0]["remote_pid"] == os.getpid() and asker[0]["addr"] == "unix"
    lists = {r["list"]: r["items"] for r in session("SHOW LISTS")}
    assert lists["databases"] == lists["pools"] == lists["users"] == 1
    config = {r["key"]: r["value"] for r in session("SHOW CONFIG")}
    assert config["pool.size"] == "2" and config["default_pool_size"] == "2" and config["max_client_conn"] == "10000"
    assert g.server.template.PASSWORD not in str(config)
    assert {r["key"]: r["value"] for r in session("SHOW STATE")} == {"active": "yes", "paused": "no", "suspended": "no"}
    assert "Standpipe" in session.value("SHOW VERSION")
    session("SHOW HELP")
    assert "KILL_CLIENT" in session.connection.notices[-1]
    # A little more than PgBouncer's.
    assert session.one("SHOW BREAKER")["state"] == "closed"
    assert session.one("SHOW PATH")["attempts"] >= 1
    assert session.one("SHOW BUDGET")["share"] == 2
    connects = session.one("SHOW CONNECTS")
    assert connects["rule"] == "gradient" and connects["window"] >= 1 and connects["throttled"] == 0
    assert session.one("SHOW QUEUES")["overloaded"] == "no"
    phases = {r["phase"]: r["status"] for r in session("SHOW STARTUP")}
    assert phases["database"] == "completed" and phases["websocket"] == "skipped"


def test_who_waits_is_shown(gate, console):
    g = gate(size=1)
    session = console(g)
    holder, waiter = g.raw(), g.raw()
    with contextlib.closing(holder), contextlib.closing(waiter):
        holder.ask("begin")
        waiter.send(raw.query("select 1"))
        wait_until(lambda: session.one("SHOW POOLS")["cl_waiting"] == 1, "the client that waits")
        first = session.one("SHOW POOLS")
        states = sorted(r["state"] for r in session("SHOW CLIENTS") if r["database"] == "app")
        assert states == ["active", "waiting"]
        wait_until(lambda: session.one("SHOW POOLS")["maxwait_us"] > first["maxwait_us"], "its wait to be longer")
        holder.ask("commit")
        waiter.until_ready()
    assert session.one("SHOW STATS")["total_wait_time"] > 0


def test_statistics_count_what_is_done(gate, console):
    g = gate(size=1)
    session = console(g)
    before = session.one("SHOW STATS")
    with contextlib.closing(g.connect()) as client, client.cursor() as cursor:
        for _ in range(5):
            cursor.execute("select 1")
        cursor.execute("begin")
        cursor.execute("select pg_sleep(0.2)")
        cursor.execute("select pg_sleep(0.1)")
        cursor.execute("commit")
    stats = session.one("SHOW STATS")
    new = {k: stats[k] - before[k] for k in stats if k != "database"}
    assert new["total_xact_count"] == 6 and new["total_query_count"] == new["total_requests"] == 9
    assert new["total_server_assignment_count"] == 6
    assert 300_000 <= new["total_query_time"] <= new["total_xact_time"] < 60_000_000
    assert new["total_received"] > 100 and new["total_sent"] > 500
    assert stats["avg_query_time"] > 10_000
    totals = {r["name"]: r["value"] for r in session("SHOW TOTALS")}
    assert totals["total_xact_count"] == stats["total_xact_count"]
    assert session.one("SHOW STATS_TOTALS")["query_count"] == stats["total_query_count"]
    assert session.one("SHOW STATS_AVERAGES").keys() == {c for c, _ in expected("stats_averages")}
    metrics = g.standpipe.get("/metrics").body
    assert f"standpipe_transactions_total {stats['total_xact_count']}" in metrics
    labels = '{database="app",user="app"}'
    assert f"standpipe_pool_transactions_total{labels} {stats['total_xact_count']}" in metrics
    assert f"standpipe_pool_queries_total{labels} {stats['total_query_count']}" in metrics


def test_statistics_count_the_extended_protocol(gate, console):
    g = gate(size=1)
    session = console(g)
    before = session.one("SHOW STATS")
    with contextlib.closing(g.raw()) as client:
        client.send(raw.parse("a", "select 1"), raw.bind("a"), raw.EXECUTE, raw.SYNC, raw.bind("a"), raw.EXECUTE,
                    raw.SYNC)
        client.until_ready()
        client.until_ready()
    with contextlib.closing(g.raw()) as client:
        client.send(raw.parse("b", "select 1"), raw.bind("b"), raw.EXECUTE, raw.SYNC)
        client.until_ready()
    stats = session.one("SHOW STATS")
    new = {k: stats[k] - before[k] for k in stats if k != "database"}
    assert (new["total_query_count"], new["total_xact_count"], new["total_bind_count"]) == (3, 3, 3)
    assert (new["total_client_parse_count"], new["total_server_parse_count"]) == (2, 1)


# --- who may -------------------------------------------------------------------------------------

COMMANDS = ("PAUSE", "PAUSE app", "RESUME", "DISABLE app", "ENABLE app", "RECONNECT", "WAIT_CLOSE", "KILL app", "KILL",
            "KILL_CLIENT 1", "SUSPEND", "RELOAD", "SHUTDOWN", "SHUTDOWN WAIT_FOR_CLIENTS", "SET pool.size = 3")


def test_others_may_not_enter(gate, console):
    g = gate(STANDPIPE_ADMIN_USERS="boss", STANDPIPE_ADMIN_STATS_USERS="watcher")
    for dbname in ("pgbouncer", "standpipe"):
        for user in ("app", "pgbouncer", own_name(), "postgres", "bos", "boss2", ""):
            with pytest.raises(psycopg2.OperationalError, match="may not use the console|no PostgreSQL user"):
                console(g, user=user or " ", dbname=dbname)
    with contextlib.closing(raw.Raw(g.port, login=False)) as stranger:
        body = raw.text("user", "app", "database", "pgbouncer") + b"\0"
        stranger.send(struct.pack("!ii", len(body) + 8, 196608) + body)
        kind, error = stranger.receive()
        assert kind == "E" and b"C28000\0" in error
        assert stranger.receive() is None


def test_an_unlisted_user_of_the_machine_may_not_enter(gate, console):
    """The Unix socket is open to all; the console is not."""
    user = harness.unprivileged_user()
    if not user:
        pytest.skip("needs root, to be someone else")
    g = gate()
    for name in ("pgbouncer", "standpipe", user, own_name()):
        out = subprocess.run(["psql", "-X", "-h", g.directory, "-p", str(g.port), "-U", name, "-c", "SHOW POOLS",
                              "pgbouncer"], user=user, group=harness.user_group(user), capture_output=True, text=True,
                             cwd="/", check=False)
        assert out.returncode and "may not use the console" in out.stderr, out


def test_stats_users_may_only_look(gate, console):
    g = gate(STANDPIPE_ADMIN_STATS_USERS="watcher,other")
    session = console(g, user="watcher")
    for show in [*PGBOUNCER_1_25, *OURS, "client_encoding"]:
        session(f"SHOW {show}")
    for command in COMMANDS:
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            session(command)
    assert g.one("select 1") == 1
    state = {r["key"]: r["value"] for r in session("SHOW STATE")}
    assert state["active"] == "yes"


def test_admin_users_may_do_everything(gate, console):
    g = gate(STANDPIPE_ADMIN_USERS="boss")
    session = console(g, user="boss")
    session("SHOW POOLS")
    with pytest.raises(psycopg2.errors.UndefinedObject):
        session("KILL_CLIENT 123456")


def test_names_of_the_socket_owner(gate):
    g = gate()
    for user in ("pgbouncer", "standpipe", own_name()):
        out = subprocess.run(["psql", "-X", "-At", "-h", g.directory, "-p", str(g.port), "-U", user, "-c",
                              "SHOW VERSION", "standpipe"], capture_output=True, text=True, check=True)
        assert out.stdout.startswith("Standpipe ")


def test_a_listed_user_must_prove_to_be_it(gate, console):
    directory = harness.short_dir()
    (directory / "users").write_text('"boss" "right"\n"watcher" "right"\n')
    try:
        g = gate(STANDPIPE_ADMIN_USERS="boss", STANDPIPE_ADMIN_STATS_USERS="watcher",
                 STANDPIPE_AUTH_LOCAL="scram-sha-256", STANDPIPE_AUTH_FILE=directory / "users")
        for user in ("boss", "watcher", "pgbouncer", "app"):
            with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
                console(g, user=user, password="wrong")
        console(g, user="boss", password="right")("RECONNECT")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            console(g, user="watcher", password="right")("RECONNECT")
        with pytest.raises(psycopg2.OperationalError, match="may not use the console"):
            console(g, user="app", password=g.server.template.PASSWORD)
        console(g)("RECONNECT")  # over the Unix socket, as whom the gate runs as
    finally:
        shutil.rmtree(directory, ignore_errors=True)


# --- protocol ------------------------------------------------------------------------------------


def test_nonsense_is_an_error_and_the_session_goes_on(gate, console):
    session = console(gate())
    for command in ("SHOW", "SHOW nothing", "DANCE", "select * from t", "SHOW POOLS extra", "'x", '"', "SHOW 'x'",
                    "SET", "SET x", "SET x =", "SET x = 1 2", "KILL_CLIENT", "KILL_CLIENT x", "SHOW FDS", "; DANCE",
                    "SHOW " + "x" * 5000, "KILL_CLIENT 99999999999999999999999"):
        with pytest.raises(psycopg2.Error) as raised:
            session(command)
        assert raised.value.pgcode, command
        assert session.value("SELECT 1") == 1


def test_several_commands_and_comments(gate, console):
    g = gate()
    psql = subprocess.run(
        ["psql", "-X", "-At", "-h", g.directory, "-p", str(g.port), "-U", "pgbouncer", "pgbouncer", "-c",
         "/* one */ SHOW LISTS; -- two\n SHOW STATE;;", "-c", ";", "-c", "BEGIN; SHOW VERSION; COMMIT",
         "-c", "SET client_encoding TO 'utf-8'"],
        capture_output=True, text=True, check=True)
    assert "databases|1\n" in psql.stdout and "active|yes\n" in psql.stdout and "Standpipe" in psql.stdout
    assert "SET is ignored" in psql.stderr


def test_asyncpg_asks_in_binary(gate):
    g = gate(size=2)

    async def ask():
        session = await asyncpg.connect(host=os.fspath(g.directory), port=g.port, user="pgbouncer",
                                        database="pgbouncer", ssl=False)
        try:
            for _ in range(2):  # the second by the statement that was prepared
                for show in [*PGBOUNCER_1_25, *OURS]:
                    await session.fetch(f"SHOW {show}")
            stats = await session.fetchrow("SHOW STATS")
            pools = await session.fetch("SHOW POOLS")
            path = await session.fetchrow("SHOW PATH")
            assert await session.fetchval("SELECT 1") == 1
            with pytest.raises(asyncpg.PostgresError):
                await session.fetch("SHOW nothing")
            lists = await session.fetchrow("SHOW LISTS")  # one of many rows
            assert await session.fetchval("SHOW STATE") == "active"
            return stats, pools, path, lists
        finally:
            await session.close()

    g.one("select 1")
    stats, pools, path, lists = asyncio.run(ask())
    assert stats["database"] == "app" and stats["total_xact_count"] >= 1
    assert pools[0]["user"] == "app" and pools[0]["maxwait"] == 0
    assert 0 <= path["utilisation"] <= 1
    assert lists["list"] == "databases" and lists["items"] == 1


def test_psycopg_3(gate):
    g = gate(STANDPIPE_ADMIN_USERS="boss")
    g.one("select 1")
    where = psycopg.conninfo.make_conninfo(host=HOST, port=g.port, user="boss", dbname="standpipe")
    with psycopg.connect(where) as session:  # not in autocommit: BEGIN comes first
        for binary in (False, True):
            with session.cursor(binary=binary, row_factory=psycopg.rows.dict_row) as cursor:
                for _ in range(7):  # more often than it takes for a name of its own
                    for show in [*PGBOUNCER_1_25, *OURS]:
                        cursor.execute(f"SHOW {show}")
                        cursor.fetchall()
                stats = cursor.execute("SHOW STATS").fetchone()
                assert stats["total_xact_count"] >= 1
        session.commit()
        with pytest.raises(psycopg.errors.UndefinedObject):
            session.execute("SHOW nothing")
        session.rollback()
        with session.pipeline():
            cursors = [session.execute("SHOW STATE") for _ in range(3)]
        assert [c.fetchone()[0] for c in cursors] == ["active"] * 3


@pytest.mark.skipif(not JDBC.exists(), reason="the package libpostgresql-jdbc-java is not installed")
def test_jdbc(gate):
    g = gate(STANDPIPE_ADMIN_USERS="boss")
    g.one("select 1")
    out = subprocess.run(["java", "-cp", JDBC, harness.ROOT / "test/drivers/java/Console.java", str(g.port)],
                         capture_output=True, text=True, check=False)
    assert out.returncode == 0, out
    told = [line.split() for line in out.stdout.splitlines()]
    assert told[0] == ["pool", "0"] and [t[0] for t in told[1:11]] == ["transactions"] * 10
    assert all(int(t[1]) >= 1 for t in told[1:11])
    assert told[11:] == [["lists", "14"], ["state", "42704"], ["valid", "true"], ["done"]]


def test_extended_protocol_by_hand(gate):
    g = gate(STANDPIPE_ADMIN_USERS="boss")
    with contextlib.closing(raw.Raw(g.port, user="boss", database="standpipe")) as c:
        def ask(*messages):
            c.send(*messages, raw.SYNC)
            return c.until_ready()

        def kinds(*messages):
            return "".join(kind for kind, _ in ask(*messages))

        describe = raw.message("D", b"P\0")
        assert kinds(raw.parse("", "SHOW STATE"), raw.message("D", b"S\0"), raw.bind(""), describe,
                     raw.EXECUTE) == "1tT2TDDDCZ"
        assert kinds(raw.parse("a", "SHOW LISTS")) == "1Z"
        assert kinds(raw.parse("a", "SHOW LISTS")) == "EZ"  # the name is taken
        two = raw.message("E", raw.text("") + struct.pack("!i", 2))
        assert kinds(raw.bind("a"), two, two, raw.EXECUTE) == "2DDsDDs" + "D" * 10 + "CZ"
        assert kinds(raw.EXECUTE) == "EZ"  # the portal has gone with its Sync
        assert kinds(raw.bind("a", "argument"), raw.EXECUTE) == "EZ"
        assert kinds(raw.bind("b")) == "EZ"
        assert kinds(raw.message("C", b"Sa\0"), raw.bind("a")) == "3EZ"
        assert kinds(raw.parse("", "")) == "1Z"
        assert kinds(raw.bind(""), describe, raw.EXECUTE) == "2nIZ"
        assert kinds(raw.parse("", "SHOW STATE; SHOW LISTS")) == "EZ"
        assert kinds(raw.parse("", "KILL_CLIENT 123456"), raw.bind(""), describe, raw.EXECUTE, raw.EXECUTE) == "12nEZ"
        assert kinds(raw.message("F", b"\0\0\0\0")) == "EZ"
        assert c.receive()[0] == "Z"
        c.send(raw.message("P", b"no zero"), raw.SYNC)
        assert [k for k, _ in c.until_ready()] == ["E", "Z"]
        c.send(raw.message("d", b"copy"))
        assert c.receive()[0] == "E" and c.receive() is None


def test_too_much_is_refused(gate):
    g = gate(STANDPIPE_ADMIN_USERS="boss")
    with contextlib.closing(raw.Raw(g.port, user="boss", database="standpipe")) as c:
        c.send(raw.query("SHOW CONFIG;" * 5000))
        kinds = [k for k, _ in c.until_ready()]
        assert kinds.count("E") == 1 and kinds[-2] == "E" and kinds.count("C") < 1000
        c.send(struct.pack("!ci", b"Q", 1 << 20))
        assert c.receive()[0] == "E" and c.receive() is None
    for n in range(70):  # more statements, and portals, than it keeps
        with contextlib.closing(raw.Raw(g.port, user="boss", database="standpipe")) as c:
            c.send(*(raw.parse(f"s{i}", "SHOW LISTS") for i in range(70)), raw.SYNC)
            assert [k for k, _ in c.until_ready()].count("E") == 1
            break


# --- acts ----------------------------------------------------------------------------------------


class Load:
    """Clients that work without a pause; `failures` is what went wrong for them."""

    def __init__(self, gate, clients=4):
        self.gate = gate
        self.stopping = threading.Event()
        self.failures = []
        self.done = [0] * clients
        self.threads = [threading.Thread(target=self._work, args=(n,)) for n in range(clients)]
        for thread in self.threads:
            thread.start()
        wait_until(lambda: all(self.done) or self.failures, "the load to begin")

    def _work(self, number):
        try:
            with contextlib.closing(self.gate.connect()) as connection, connection.cursor() as cursor:
                while not self.stopping.is_set():
                    cursor.execute("select %s + 1", (number,))
                    assert cursor.fetchone()[0] == number + 1
                    cursor.execute("begin; select 1; select 2; commit")
                    self.done[number] += 1
        except BaseException as e:  # pylint: disable=broad-except
            self.failures.append(e)

    def goes_on(self):
        before = list(self.done)
        wait_until(lambda: self.failures or all(d > b for d, b in zip(self.done, before)), "the load to go on")
        assert not self.failures

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        assert not self.failures


@pytest.fixture
def load():
    """load(gate): clients at work until the test's end, which must not meet an error."""
    loads = []

    def begin(gate, **kwargs):
        loads.append(Load(gate, **kwargs))
        return loads[-1]

    yield begin
    for each in loads:
        each.stop()


def in_background(session, command):
    """The thread in which the command runs; `error` is what came of it."""
    def run():
        thread.error = None
        try:
            session(command)
        except psycopg2.Error as e:
            thread.error = e
    thread = threading.Thread(target=run)
    thread.start()
    return thread


def state(session):
    return next(r["key"] for r in session("SHOW STATE") if r["value"] == "yes")


@pytest.mark.parametrize("about", ["", " app", ' "app"'])
def test_pause_and_resume_under_load(gate, console, load, about):
    g = gate(size=2)
    session = console(g)
    working = load(g)
    for _ in range(3):
        session(f"PAUSE{about}")
        assert session.tag == "PAUSE"
        assert not session("SHOW SERVERS")
        wait_until(lambda: not g.backends(), "PostgreSQL to see the connections go")
        assert session.one("SHOW DATABASES")["paused"] == 1
        assert state(session) == ("active" if about else "paused")
        wait_until(lambda: session.one("SHOW POOLS")["cl_waiting"] == 4, "all clients to wait")
        assert not g.backends()
        session(f"RESUME{about}")
        assert session.one("SHOW DATABASES")["paused"] == 0
        working.goes_on()


def test_a_database_may_be_restarted_while_it_is_paused(make_postgres, gate, console, load):
    server = make_postgres().start()
    g = gate(size=2, server=server)
    session = console(g)
    working = load(g)
    session("PAUSE")
    server.restart()
    session("RESUME")
    working.goes_on()
    assert session.one("SHOW BREAKER")["opened_total"] == 0


def test_pause_waits_for_transactions(gate, console):
    g = gate(size=2)
    session, other = console(g), console(g)
    with contextlib.closing(g.raw()) as client, contextlib.closing(g.raw()) as newcomer:
        client.ask("begin")
        pausing = in_background(session, "PAUSE")
        wait_until(lambda: state(other) == "paused", "the pause")
        newcomer.send(raw.query("select 1"))
        assert client.ask("select 2")  # its transaction goes on
        wait_until(lambda: other.one("SHOW POOLS")["cl_waiting"] == 1, "the newcomer to wait")
        assert pausing.is_alive()
        client.ask("commit")
        pausing.join()
        assert pausing.error is None
        assert not g.backends()
        for command in ("PAUSE", "PAUSE app", "SUSPEND", "RESUME app"):
            with pytest.raises(psycopg2.errors.ObjectNotInPrerequisiteState):
                other(command)
        other("RESUME")
        newcomer.until_ready()
        with pytest.raises(psycopg2.errors.ObjectNotInPrerequisiteState):
            other("RESUME")


def test_a_pause_can_be_cancelled_or_overtaken(gate, console):
    g = gate(size=1)
    session, other = console(g), console(g)
    with contextlib.closing(g.raw()) as client:
        client.ask("begin")
        for about in ("", " app"):
            pausing = in_background(session, f"PAUSE{about}")
            wait_until(lambda: other.one("SHOW DATABASES")["paused"], "the pause")
            session.connection.cancel()
            pausing.join()
            assert pausing.error.pgcode == "57014"
            assert not other.one("SHOW DATABASES")["paused"] and state(other) == "active"
        pausing = in_background(session, "PAUSE")
        wait_until(lambda: state(other) == "paused", "the pause")
        other("RESUME")
        pausing.join()
        assert pausing.error.pgcode == "57014"
        client.ask("commit")
    assert session.value("SELECT 1") == 1
    assert g.one("select 1") == 1


def test_a_pause_stays_when_its_console_goes(gate, console):
    g = gate(size=1, STANDPIPE_ADMIN_USERS="boss")
    other = console(g)
    with contextlib.closing(g.raw()) as client:
        client.ask("begin")
        with contextlib.closing(raw.Raw(g.port, user="boss", database="pgbouncer")) as session:
            session.send(raw.query("PAUSE"))
            wait_until(lambda: state(other) == "paused", "the pause")
        wait_until(lambda: len(other("SHOW CLIENTS")) == 2, "the session's end")
        assert state(other) == "paused"
        client.ask("commit")
        wait_until(lambda: not g.backends(), "the servers to be closed")
        other("RESUME")
        client.ask("select 1")


def test_a_pause_by_the_extended_protocol_holds_what_comes_behind_it(gate, console):
    g = gate(size=1, STANDPIPE_ADMIN_USERS="boss")
    other = console(g)
    with contextlib.closing(g.raw()) as client, \
            contextlib.closing(raw.Raw(g.port, user="boss", database="standpipe")) as session:
        client.ask("begin")
        session.send(raw.parse("", "PAUSE"), raw.bind(""), raw.EXECUTE, raw.SYNC, raw.query("SHOW STATE; RESUME"))
        wait_until(lambda: state(other) == "paused", "the pause")
        client.ask("commit")
        assert [k for k, _ in session.until_ready()] == list("12CZ")
        assert [k for k, _ in session.until_ready()] == list("TDDDCCZ")
        client.ask("select 1")


def test_wait_of_a_paused_client_is_explained(gate, console):
    g = gate(size=1, DB_POOL_TIMEOUT="0.3")
    session = console(g)
    g.one("select 1")
    with contextlib.closing(g.raw()) as client:
        session("PAUSE app")
        client.send(raw.query("select 1"))
        kind, error = client.receive()
        assert kind == "E" and b"paused" in error and b"RESUME" in error


def test_disabled_databases_take_nobody_new(gate, console, load):
    g = gate(size=2)
    session = console(g)
    working = load(g)
    session("DISABLE app")
    assert session.one("SHOW DATABASES")["disabled"] == 1
    with pytest.raises(psycopg2.OperationalError, match="not currently accepting connections"):
        g.connect()
    working.goes_on()
    session("ENABLE app")
    assert g.one("select 1") == 1
    for command in ("DISABLE nowhere", "ENABLE nowhere", "PAUSE nowhere", "RESUME nowhere", "RECONNECT nowhere",
                    "KILL nowhere", "WAIT_CLOSE nowhere"):
        with pytest.raises(psycopg2.errors.InvalidCatalogName):
            session(command)
    for command in ("DISABLE pgbouncer", "PAUSE standpipe", "KILL pgbouncer"):
        with pytest.raises(psycopg2.errors.FeatureNotSupported):
            session(command)


@pytest.mark.parametrize("about", ["", " app"])
def test_reconnect_replaces_servers_as_they_become_free(gate, console, load, about):
    g = gate(size=3)
    session = console(g)
    g.open_all(3)
    old = g.backends()
    with contextlib.closing(g.raw()) as client:
        client.ask("begin")
        working = load(g)
        session(f"RECONNECT{about}")
        wait_until(lambda: len(g.backends() & old) == 1, "the free ones to be replaced")
        busy = [r for r in session("SHOW SERVERS") if r["close_needed"]]
        assert [r["remote_pid"] for r in busy] == list(g.backends() & old)
        waiting = in_background(console(g), f"WAIT_CLOSE{about}")
        working.goes_on()
        assert waiting.is_alive()
        client.ask("commit")
        waiting.join()
        assert waiting.error is None
    assert not g.backends() & old
    working.goes_on()


@pytest.mark.parametrize("about", ["", " app"])
def test_kill_ends_all_at_once(gate, console, about):
    g = gate(size=2)
    session = console(g)
    with contextlib.closing(g.raw()) as busy, contextlib.closing(g.raw()) as idle, \
            contextlib.closing(g.raw()) as open_transaction:
        idle.ask("select 1")
        open_transaction.ask("begin")
        busy.send(raw.query("select pg_sleep(1000)"))
        wait_until(lambda: session.one("SHOW POOLS")["sv_active"] == 2, "the query to run")
        session(f"KILL{about}")
        for client in (busy, idle, open_transaction):
            kind, error = client.receive()
            assert kind == "E" and b"C57P01\0" in error
            assert client.receive() is None
    wait_until(lambda: not g.backends(), "the queries' ends")
    assert not session("SHOW SERVERS")
    assert session.one("SHOW DATABASES")["paused"] == 1
    session("RESUME")
    assert g.one("select 1") == 1


def test_kill_client(gate, console):
    g = gate(size=2)
    session = console(g)
    with contextlib.closing(g.raw(application_name="one")) as one, contextlib.closing(g.raw()) as two:
        one.ask("begin")
        two.ask("select 1")
        victim = next(r for r in session("SHOW CLIENTS") if r["application_name"] == "one")
        session(f"KILL_CLIENT {victim['id']}")
        kind, error = one.receive()
        assert kind == "E" and b"C57P01\0" in error and one.receive() is None
        two.ask("select 1")
        wait_until(lambda: session.one("SHOW POOLS")["sv_active"] == 0, "its server to be free")
        assert victim["id"] not in {r["id"] for r in session("SHOW CLIENTS")}
        mine = next(r for r in session("SHOW CLIENTS") if r["database"] == "pgbouncer")
        for wrong in (victim["id"], mine["id"], 0):
            with pytest.raises(psycopg2.Error):
                session(f"KILL_CLIENT {wrong}")


def test_suspend_lasts_as_long_as_its_session(gate, console, load):
    g = gate(size=2)
    other = console(g)
    session = Console(psycopg2.connect(host=os.fspath(g.directory), port=g.port, user="pgbouncer", dbname="pgbouncer"))
    working = load(g)
    session("SUSPEND")
    assert session.tag == "SUSPEND" and state(other) == "suspended"
    assert g.backends()  # they stay
    wait_until(lambda: other.one("SHOW POOLS")["cl_waiting"] == 4, "all clients to wait")
    other("RESUME")
    working.goes_on()
    session("SUSPEND")
    session.connection.close()
    wait_until(lambda: state(other) == "active", "the end of the suspension")
    working.goes_on()


def test_reload(run_standpipe, postgres, console):
    directory = harness.short_dir()
    try:
        port = harness.free_port()
        standpipe = run_standpipe("serve", env={"DATABASE_URL": postgres.url(), "STANDPIPE_LISTEN_PORT": port,
                                                "STANDPIPE_LISTEN_SOCKET_DIR": directory},
                                  config="pool: {idle: 100s}\n")
        standpipe.wait_get("/startup")
        g = gating.Gate(standpipe, port, postgres)
        g.directory = directory
        session = console(g)
        file = pathlib.Path(standpipe.argv[standpipe.argv.index("-c") + 1])

        def value():
            return next(r["value"] for r in session("SHOW CONFIG") if r["key"] == "pool.idle")

        assert value() == "100s"
        file.write_text("pool: {idle: 200s}\n")
        session("RELOAD")
        assert session.tag == "RELOAD" and value() == "200s"
        file.write_text("pool: {idle: never}\n")
        with pytest.raises(psycopg2.Error, match="pool.idle") as raised:
            session("RELOAD")
        assert raised.value.pgcode == "F0000" and value() == "200s"
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def test_settings_can_be_set_while_it_runs(gate, console):
    g = gate(size=2, STANDPIPE_POOL_IDLE="70s")
    session = console(g)

    def config(key):
        return next(r for r in session("SHOW CONFIG") if r["key"] == key)

    assert config("pool.idle")["value"] == "70s" and config("pool.idle")["changeable"] == "yes"
    session("SET pool.idle = '80 s'")
    assert session.tag == "SET" and config("pool.idle")["value"] == "80s"
    session("SET pool.recycle TO 90s")
    for command, state in (("SET pool.idle = never", "22023"), ("SET pool.idel = 1s", "42704"),
                           ("SET pool.keep = 1000", "22023"), ("SET listen.port = 1", "55P02"),
                           ("SET database.url = 'postgresql://x'", "55P02")):
        with pytest.raises(psycopg2.Error) as raised:
            session(command)
        assert raised.value.pgcode == state, command
    session("RELOAD")
    assert config("pool.idle")["value"] == "80s" and config("pool.recycle")["value"] == "90s"
    assert config("listen.port")["changeable"] == "no"
    session("SET pool.idle = ''")
    assert config("pool.idle")["value"] == "70s"
    g.open_all(2)
    session("SET pool.size = 1")
    wait_until(lambda: len(g.backends()) == 1, "the one server too many to be closed")
    session("SET log.level = debug")
    assert g.one("select 1") == 1


@pytest.mark.parametrize("how", ["", " WAIT_FOR_SERVERS", " WAIT_FOR_CLIENTS"])
def test_shutdown(gate, console, how):
    g = gate(size=1)
    session = console(g)
    with contextlib.closing(g.raw()) as client:
        client.ask("begin")
        session(f"SHUTDOWN{how}")
        if how:
            assert g.standpipe.running()
            client.ask("select 1")
            client.ask("commit")
        if how == " WAIT_FOR_CLIENTS":
            client.ask("select 1")
            client.socket.close()
    session.connection.close()
    assert g.standpipe.wait() == 0


# --- several databases and users -----------------------------------------------------------------


@pytest.fixture
def several(gate, postgres):
    """A gate for two databases, one of them for all users as one, and for whatever else is asked for."""
    postgres.query("drop database if exists other")
    postgres.query("create database other owner app")
    g = gate(size=4, STANDPIPE_ADMIN_USERS="boss", config=f"""
databases:
  other: {{login: shared, url: "{postgres.url(database='other')}", mode: session, pool_size: 3}}
  "*": {{}}
users:
  app: {{pool_size: 2}}
""")
    yield g
    g.standpipe.stop()
    postgres.query("drop database if exists other with (force)")


def test_each_database_pool_and_user_has_its_row(several, console):
    session = console(several)
    rows = {r["name"]: r for r in session("SHOW DATABASES")}
    assert set(rows) == {"app", "other"}
    assert (rows["other"]["pool_mode"], rows["other"]["force_user"], rows["other"]["pool_size"]) == ("session", "app", 3)
    assert (rows["app"]["pool_mode"], rows["app"]["force_user"]) == ("transaction", None)
    with contextlib.closing(several.raw(database="other", user="ann")) as ann, contextlib.closing(several.raw()) as app:
        ann.ask("begin")
        app.ask("select 1")
        pools = {(r["database"], r["user"]): r for r in session("SHOW POOLS")}
        assert pools["other", "app"]["pool_mode"] == "session" and pools["other", "app"]["sv_active"] == 1
        assert pools["app", "app"]["cl_active"] == 1
        assert {r["user"] for r in session("SHOW CLIENTS")} == {"ann", "app", "pgbouncer"}
        users = {r["name"]: r for r in session("SHOW USERS")}
        assert users["ann"]["current_client_connections"] == users["app"]["current_client_connections"] == 1
        assert users["app"]["pool_size"] == "2" and users["app"]["current_connections"] >= 2
        stats = {r["database"]: r for r in session("SHOW STATS")}
        assert stats["other"]["total_query_count"] == 1 and stats["other"]["total_xact_count"] == 0
    lists = {r["list"]: r["items"] for r in session("SHOW LISTS")}
    assert lists["databases"] == 2 and lists["pools"] == 2


def test_births_are_one_pool(several, console):
    """What can be set only at login has servers of its own, and no row."""
    session = console(several)
    with contextlib.closing(several.raw(database="other")) as one, \
            contextlib.closing(several.raw(database="other", options="-c ignore_system_indexes=on")) as two:
        one.ask("select 1")
        two.ask("select 1")
        pool = [r for r in session("SHOW POOLS") if r["database"] == "other"]
        assert len(pool) == 1 and pool[0]["cl_active"] == 2
    metrics = several.standpipe.get("/metrics").body
    assert metrics.count('standpipe_pool_queries_total{database="other"') == 1


def test_one_database_is_paused_alone(several, console):
    session = console(several)
    with contextlib.closing(several.raw(database="other")) as other, contextlib.closing(several.raw()) as app:
        other.ask("begin")
        pausing = in_background(session, "PAUSE other")
        watcher = console(several)
        wait_until(lambda: {r["name"]: r["paused"] for r in watcher("SHOW DATABASES")} == {"app": 0, "other": 1},
                   "the pause")
        app.ask("select 1")
        assert pausing.is_alive()
        other.ask("select 1")
    pausing.join()
    assert pausing.error is None
    with contextlib.closing(several.raw(database="other", user="bob", login=False)) as late:
        body = raw.text("user", "bob", "database", "other", "DateStyle", "German") + b"\0"
        late.send(struct.pack("!ii", len(body) + 8, 196608) + body)
        wait_until(lambda: any(r["cl_waiting"] for r in watcher("SHOW POOLS")), "a new client to wait, too")
        session("RESUME other")
        late.until_ready()
        late.ask("select 1")


def test_a_pool_that_is_made_while_all_is_paused_is_paused(several, console):
    session = console(several)
    session("PAUSE")
    with contextlib.closing(several.raw(login=False)) as late:
        body = raw.text("user", "app", "database", "postgres") + b"\0"
        late.send(struct.pack("!ii", len(body) + 8, 196608) + body)
        wait_until(lambda: any(r["cl_waiting"] and r["database"] == "postgres" for r in session("SHOW POOLS")),
                   "the client to wait")
        assert not session("SHOW SERVERS")
        session("RESUME")
        late.until_ready()


# --- exporters -----------------------------------------------------------------------------------


def test_prometheus_exporter_of_debian(gate, postgres):
    """It asks for columns that PgBouncer has dropped long ago; both the old and the new are here."""
    program = pathlib.Path("/usr/bin/prometheus-pgbouncer-exporter")
    g = gate(size=2)
    for _ in range(3):
        g.one("select 1")
    port = harness.free_port()
    exporter = harness.Program([program, "--host", HOST, "--port", str(port), "--pgbouncer-port", str(g.port),
                                "--pgbouncer-host", g.directory, "--pgbouncer-user", "pgbouncer"],
                               env={"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"})

    def scrape():
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(f"http://{HOST}:{port}/metrics", timeout=harness.LIMIT) as answer:
                return answer.read().decode()
        assert exporter.running(), exporter.text
        return None

    try:
        text = wait_until(scrape, "the exporter's metrics")
        metrics = dict(line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
        assert float(metrics['pgbouncer_requests_total{database="app"}']) >= 3
        assert float(metrics['pgbouncer_received_bytes_total{database="app"}']) > 0
        assert float(metrics['pgbouncer_query_microseconds_total{database="app"}']) > 0
        assert 'pgbouncer_active_clients{database="app",user="app"}' in metrics
        assert metrics["pgbouncer_pools"] == "1.0" and metrics["pgbouncer_used_servers"] >= "1.0"
    finally:
        exporter.stop()
