"""standpipe run -- COMMAND, alone: seven phases against a real PostgreSQL and a real service."""

import contextlib
import hashlib
import io
import json
import os
import shutil
import signal
import socket
import threading
import urllib.parse

import pytest

import harness
from faults import BlackHole, Proxy, Watch, silent_port
from harness import HOST, ROOT, http_get, process_exists, wait_until

PYTHON = "/usr/bin/python3"
SLEEPER = ["sleep", "3600"]
EXAMPLE = [PYTHON, ROOT / "examples" / "fastapi" / "main.py"]

# What BEHAVIOUR.md asks of an error context.
CONTEXT_KEYS = {
    "message", "phase", "stage", "timeout", "elapsed_s", "attempts", "sqlstate", "error", "path",
    "breaker", "budget", "lease", "hint"}

# A web service with no database: GET / tells its pid, /ready is 200 once the file $GO is there.
SERVICE = [PYTHON, "-c", """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ready = self.path != "/ready" or not os.environ.get("GO") or os.path.exists(os.environ["GO"])
        body = b"pid %d" % os.getpid()
        self.send_response(200 if ready else 500)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""]


def quick(directory, **more):
    """Short pauses, so that a test does not wait; every deadline stays as it is."""
    return {"STANDPIPE_RETRY_BASE": "0.05", "STANDPIPE_RETRY_CAP": "0.2", "CIRCUIT_BREAKER_TIMEOUT": "0.3s",
            "STANDPIPE_STARTUP_CHECK_INTERVAL": "0.05", "STANDPIPE_LISTEN_SOCKET_DIR": directory,
            "STANDPIPE_ERROR_FILE": directory / "error.json",
            "STANDPIPE_TERMINATION_LOG": directory / "termination", **more}


@pytest.fixture
def directory():
    path = harness.short_dir("sp-test-")
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def start(run_standpipe, directory):
    """start(url, command, NAME=value...): standpipe run, with short pauses and files for errors."""
    def run(url, command=None, config=None, **env):
        variables = quick(directory, DATABASE_URL=url, **env)
        return run_standpipe(command=command or SLEEPER, env=variables, config=config)
    return run


def secrets_of(url):
    password = urllib.parse.urlsplit(url).password
    return {password, urllib.parse.unquote(password)} if password else set()


def failed_start(standpipe, directory, phase, url):
    """Waits for the end: code 3, and the same context in log, file and termination log."""
    assert standpipe.wait() == 3, standpipe.text
    logged = [e["context"] for e in standpipe.log() if e.get("message") == "startup failed"]
    assert len(logged) == 1, standpipe.text
    context = logged[0]
    in_file = (directory / "error.json").read_text()
    terminated = (directory / "termination").read_bytes()
    assert json.loads(in_file) == context
    assert len(terminated) <= 4096
    assert json.loads(terminated)["message"] == context["message"]
    assert json.loads(terminated)["hint"] == context["hint"]

    assert CONTEXT_KEYS <= set(context), CONTEXT_KEYS - set(context)
    assert context["phase"] == phase and context["exit_code"] == 3
    assert context["timeout"]["used_s"] > 0 and context["timeout"]["rule"]
    assert context["elapsed_s"] >= 0
    assert {"state", "utilisation"} <= set(context["path"])
    assert context["breaker"]["state"] in ("closed", "open", "half_open")
    assert {"share", "fleet"} <= set(context["budget"])
    assert {"source", "share"} <= set(context["lease"])
    assert "\n" not in context["hint"] and len(context["hint"]) > 20
    for attempt in context["attempts"]["recent"]:
        assert {"stage", "took_s", "outcome", "stages_s"} <= set(attempt)
    after = [p["phase"] for p in context["phases"] if p["status"] not in ("completed", "skipped")]
    assert after[0] == phase  # and those behind it were not attempted
    assert all(p["status"] in ("pending", "skipped") for p in context["phases"]
               if p["phase"] in after[1:]), context["phases"]
    for secret in secrets_of(url):
        assert secret not in standpipe.text
        assert secret not in in_file and secret.encode() not in terminated
    return context


def ended(context):
    return context["attempts"]["ended"]


def phases_of(answer):
    startup = answer.json.get("startup", answer.json)
    return {p["phase"]: p for p in startup["phases"]}


def started(standpipe):
    """The /startup that says it is complete."""
    return standpipe.wait_get("/startup")


def health(standpipe):
    return standpipe.get("/health").json


def gate_of(standpipe):
    """The port for PostgreSQL's clients, as the log tells it."""
    def find():
        return next((e["gate_port"] for e in standpipe.log() if "gate_port" in e), None)
    return wait_until(find, "the gate's port")


def gate_pid(standpipe, command=SLEEPER[0]):
    """PID 1's child that is the gate."""
    for pid in harness.children_of(standpipe.pid):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if f.read().split(b"\0")[1:2] == [b"serve"]:
                    return pid
    return None


# --- the database phase: everything that can be wrong with the way there ---------------------------


def test_down(start, postgres, directory):
    url = postgres.url(port=harness.free_port())
    standpipe = start(url, DB_INITIALIZATION_TIMEOUT="1.5s")
    with Watch(standpipe):
        context = failed_start(standpipe, directory, "database", url)
    assert context["stage"] == "tcp" and context["sqlstate"] is None
    assert "refused" in context["error"]["text"]
    assert ended(context)["refused"] >= 3 and set(ended(context)) == {"refused"}
    assert context["timeout"]["used_s"] == 1.5
    assert "nothing listens" in context["hint"]


def test_comes_up_in_the_middle(start, make_postgres):
    server = make_postgres()
    standpipe = start(server.url(), DB_INITIALIZATION_TIMEOUT="16s", CIRCUIT_BREAKER_TIMEOUT="600s")
    with Watch(standpipe):
        standpipe.wait_line("connect to the database failed")
        standpipe.wait_line('"to":"open"')  # the breaker does not outlast the phase
        server.start()
        started(standpipe)
    assert health(standpipe)["database"]["up"] is True
    assert health(standpipe)["breaker"]["state"] == "closed"
    assert standpipe.stop() == 128 + signal.SIGTERM


def slowly(seconds):
    def rule(proxy, connection, from_client, data):
        threading.Event().wait(seconds)
        return data
    return rule


def test_slow(start, postgres):
    proxy = Proxy(postgres.port, rule=slowly(0.1))
    standpipe = start(postgres.url(port=proxy.port))
    with Watch(standpipe):
        started(standpipe)
    times = health(standpipe)["path"]["connect_s"]
    assert times["total"]["p50"] > 0.3  # measured: the login's round trips, each a tenth
    assert times["auth"]["p50"] > times["tcp"]["p50"]
    proxy.close()


@pytest.mark.parametrize("mode, stage", [("disable", "auth"), ("prefer", "tls")])
def test_accepts_and_says_nothing(start, postgres, directory, mode, stage):
    with silent_port() as port:
        url = postgres.url(port=port, query=f"sslmode={mode}")
        standpipe = start(url, DB_INITIALIZATION_TIMEOUT="2s", DB_CONNECTION_TIMEOUT="0.5s")
        with Watch(standpipe):
            context = failed_start(standpipe, directory, "database", url)
    assert context["stage"] == stage
    assert set(ended(context)) == {"timeout"}
    assert "no answer within 0.5 s" in context["error"]["text"]


def test_full(start, make_postgres, directory):
    server = make_postgres(max_connections=6).start()  # 3 of them for the superuser
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(contextlib.closing(server.connect()))
        url = server.url()
        standpipe = start(url, DB_INITIALIZATION_TIMEOUT="1.5s")
        with Watch(standpipe):
            context = failed_start(standpipe, directory, "database", url)
    assert context["sqlstate"] == "53300" and context["stage"] == "auth"
    assert ended(context)["full"] >= 2
    assert "slots" in context["hint"]


def test_full_for_a_while(start, make_postgres):
    server = make_postgres(max_connections=6).start()
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(contextlib.closing(server.connect()))
        standpipe = start(server.url())
        standpipe.wait_line("53300")
    started(standpipe)
    limits = health(standpipe)["database"]["limits"]
    assert limits["max_connections"] == 6 and limits["superuser_reserved"] == 3
    assert health(standpipe)["budget"]["usable"] == 3  # as the server said itself


@pytest.mark.parametrize("change, sqlstate, outcome, hint", [
    ({"password": "tell-n%2Fobody"}, "28P01", "auth", "password"),
    ({"database": "nowhere"}, "3D000", "database", "does not exist"),
    ({"user": "stranger", "password": "tell-nobody"}, "28P01", "auth", "role"),
])
def test_refused_for_good_fails_at_once(start, postgres, directory, change, sqlstate, outcome, hint):
    url = postgres.url(**change)
    standpipe = start(url)
    context = failed_start(standpipe, directory, "database", url)
    assert context["sqlstate"] == sqlstate and context["stage"] == "auth"
    assert ended(context) == {outcome: 1}  # not tried again
    assert context["breaker"]["failures"] == 0 and context["breaker"]["opened"] == 0
    assert context["elapsed_s"] < context["timeout"]["used_s"]
    assert hint in context["hint"]


def test_cut_in_the_login(start, postgres, directory):
    proxy = Proxy(postgres.port, rule=lambda p, n, from_client, data: data if from_client else None)
    url = postgres.url(port=proxy.port, query="sslmode=disable")
    standpipe = start(url, DB_INITIALIZATION_TIMEOUT="1.5s")
    with Watch(standpipe):
        context = failed_start(standpipe, directory, "database", url)
    assert context["stage"] == "auth" and context["sqlstate"] is None
    assert ended(context)["reset"] >= 3
    assert "cut" in context["hint"]
    proxy.close()


def cut_at(text, times=None):
    """Resets a connection when its client sends `text`; the first `times` of them."""
    count = [0]

    def rule(proxy, connection, from_client, data):
        if not from_client or text not in data or (times is not None and count[0] >= times):
            return data
        count[0] += 1
        return None
    rule.count = count
    return rule


def test_cut_at_the_check_query(start, postgres, directory):
    rule = cut_at(b"max_connections")
    proxy = Proxy(postgres.port, rule=rule)
    url = postgres.url(port=proxy.port, query="sslmode=disable")
    standpipe = start(url, DB_INITIALIZATION_TIMEOUT="2s")
    with Watch(standpipe):
        context = failed_start(standpipe, directory, "database", url)
    assert rule.count[0] >= 2  # tried again, with a pause
    assert "lost" in context["error"]["text"] or "closed" in context["error"]["text"]
    assert "cut" in context["hint"]
    proxy.close()


def test_cut_at_the_check_query_once(start, postgres):
    proxy = Proxy(postgres.port, rule=cut_at(b"max_connections", times=1))
    standpipe = start(postgres.url(port=proxy.port, query="sslmode=disable"))
    started(standpipe)
    proxy.close()


def test_a_host_that_does_not_resolve(start, directory):
    url = "postgresql://app:tell-nobody@no-such-host.invalid/app"
    standpipe = start(url, DB_INITIALIZATION_TIMEOUT="1.5s")
    with Watch(standpipe):
        context = failed_start(standpipe, directory, "database", url)
    assert context["stage"] == "dns"
    assert "resolve" in context["hint"] or "name server" in context["hint"]
    assert context["database"] == "no-such-host.invalid:5432"


def test_a_host_that_drops_packets(start, postgres, directory):
    hole = BlackHole()
    url = postgres.url(port=hole.port)
    standpipe = start(url, DB_INITIALIZATION_TIMEOUT="2s", STANDPIPE_PATH_DIAL_PATIENCE="100ms")
    with Watch(standpipe):
        context = failed_start(standpipe, directory, "database", url)
    assert context["stage"] == "tcp"
    assert context["attempts"]["redials"] >= 2
    assert "handshakes are being dropped" in context["hint"]
    hole.close()


def test_a_path_that_drops_packets_at_first(start, postgres):
    """A handshake that is sent afresh gets through as soon as the path carries anything."""
    hole = BlackHole(target=postgres.port)
    standpipe = start(postgres.url(port=hole.port), STANDPIPE_PATH_DIAL_PATIENCE="100ms")
    with Watch(standpipe):
        standpipe.wait_get("/status", lambda a: a.json["attempts"]["redials"] >= 3)
        assert standpipe.get("/health").json["path"]["state"] == "unknown"
        hole.lift()
        started(standpipe)
    assert health(standpipe)["database"]["up"] is True
    hole.close()


def test_tls_wanted_and_not_offered(start, postgres, directory):
    url = postgres.url(query="sslmode=require")
    standpipe = start(url)
    context = failed_start(standpipe, directory, "database", url)
    assert context["stage"] == "tls" and ended(context) == {"tls": 1}
    assert "SSL" in context["error"]["text"] and "TLS" in context["hint"]


@pytest.fixture(scope="module")
def tls_postgres(postgres_template):
    server = harness.Postgres(postgres_template, tls=True)
    try:
        server.start()
        hba = server.data / "pg_hba.conf"
        hba.write_text("local all all scram-sha-256\n"
                       "hostssl all app 127.0.0.1/32 scram-sha-256\n"
                       "host all postgres 127.0.0.1/32 scram-sha-256\n")
        server.query("select pg_reload_conf()")
        yield server
    finally:
        server.remove()


@pytest.mark.parametrize("query", ["sslmode=require", "sslmode=verify-full&sslrootcert={cert}"])
def test_tls_to_the_database(start, tls_postgres, query):
    import psycopg2
    url = tls_postgres.url(query=query.format(cert=tls_postgres.cert))
    standpipe = start(url)
    started(standpipe)
    with contextlib.closing(psycopg2.connect(
            host=HOST, port=gate_of(standpipe), user="app", dbname="app")) as connection:
        with connection.cursor() as cursor:
            cursor.execute("select ssl, version from pg_stat_ssl where pid = pg_backend_pid()")
            assert cursor.fetchone()[0] is True
            cursor.execute("select repeat(md5(i::text), 4096) from generate_series(1, 64) i")  # 8 MiB
            rows = cursor.fetchall()
            assert len(rows) == 64 and all(len(r[0]) == 131072 for r in rows)
            cursor.execute("select md5(%s)", ("x" * 3_000_000,))
            assert cursor.fetchone()[0] == hashlib.md5(b"x" * 3_000_000).hexdigest()
            cursor.execute("create temp table t (i int, s text) on commit drop")
            lines = "".join(f"{i}\t{'y' * 500}\n" for i in range(5000))
            cursor.copy_expert("copy t from stdin", io.StringIO(lines))
            out = io.StringIO()
            cursor.copy_expert("copy (select * from t order by i) to stdout", out)
            assert out.getvalue() == lines
    assert health(standpipe)["path"]["connect_s"]["tls"]["p50"] > 0


def test_a_certificate_that_is_not_trusted_fails_at_once(start, tls_postgres, directory):
    other, _ = harness.self_signed(directory)
    url = tls_postgres.url(query=f"sslmode=verify-full&sslrootcert={other}")
    standpipe = start(url)
    context = failed_start(standpipe, directory, "database", url)
    assert context["stage"] == "tls" and ended(context) == {"tls": 1}
    assert "certificate" in context["error"]["text"]


def test_tls_demanded_by_the_server_and_not_used(start, tls_postgres, directory):
    url = tls_postgres.url(query="sslmode=disable")
    standpipe = start(url)
    context = failed_start(standpipe, directory, "database", url)
    assert context["sqlstate"] == "28000" and "pg_hba" in context["hint"]


def test_degradable_starts_for_health_only_and_goes_on_trying(start, make_postgres, directory):
    server = make_postgres()
    standpipe = start(server.url(), DB_INITIALIZATION_TIMEOUT="1s", STANDPIPE_DATABASE_CRITICAL="off")
    with Watch(standpipe):
        started(standpipe)
        seen = phases_of(standpipe.get("/startup"))
        assert seen["database"]["status"] == "failed" and seen["services"]["status"] == "completed"
        assert health(standpipe)["availability"] in ("degraded", "minimal")
        assert health(standpipe)["database"]["up"] is False
        context = json.loads((directory / "error.json").read_text())
        assert context["phase"] == "database" and context["exit_code"] is None
        server.start()
        standpipe.wait_get("/health", lambda a: a.json["database"]["up"])
    with contextlib.closing(connect(standpipe)) as connection, connection.cursor() as cursor:
        cursor.execute("select 1")
    standpipe.stop()


def connect(standpipe, host=HOST, **kwargs):
    import psycopg2
    return psycopg2.connect(host=host, port=gate_of(standpipe), user="app", dbname="app", **kwargs)


# --- the other phases -------------------------------------------------------------------------------


def test_all_seven(start, postgres, redis, directory):
    """Dependencies of every kind, a cache, a migration, the service of the example, its WebSocket."""
    port = harness.free_port()
    with socket.create_server((HOST, 0)) as other:
        config = f"""
startup:
  required: [DATABASE_URL, GREETING]
  dependencies:
    - resolve:localhost
    - tcp://{HOST}:{other.getsockname()[1]}
    - exec:test -n "$GREETING"
    - {postgres.url(query="sslmode=disable")}
  cache: {redis.url()}
  ready: http://{HOST}:{port}/health
  websocket: ws://{HOST}:{port}/ws
database:
  schema_check: select 1 from pg_class where relname = 'pg_class'
  migrate: test "$PGPORT" != {postgres.port} && psql -X -c 'create table if not exists made (i int)'
door:
  command_port: {port}
"""
        standpipe = start(postgres.url(scheme="postgresql+asyncpg"), EXAMPLE, config, GREETING="hi",
                          PORT=harness.free_port(), DB_POOL_SIZE=3, DB_MAX_OVERFLOW=0)
        seen = phases_of(started(standpipe))
    assert {p["status"] for p in seen.values()} == {"completed"}
    assert health(standpipe)["availability"] == "full"
    assert standpipe.get("/ready").status == 200
    assert postgres.query("select count(*) from made")[0][0] == 0
    assert postgres.template.PASSWORD not in standpipe.text
    assert standpipe.stop() in (0, 128 + signal.SIGTERM)


def test_a_variable_that_is_missing(start, postgres, directory):
    url = postgres.url()
    standpipe = start(url, STANDPIPE_STARTUP_REQUIRED="DATABASE_URL,API_KEY,API_URL",
                      API_URL="")
    context = failed_start(standpipe, directory, "dependencies", url)
    assert "API_KEY (not set), API_URL (empty)" in context["error"]["text"]
    assert context["attempts"]["recent"] == []  # the database was not asked


@pytest.mark.parametrize("target, told", [
    (lambda: f"tcp://{HOST}:{harness.free_port()}", "refused"),
    (lambda: "exec:echo the queue is not there >&2; exit 4", "the queue is not there"),
    (lambda: "resolve:no-such-host.invalid", "no-such-host.invalid"),
])
def test_a_dependency_that_is_not_there(start, postgres, directory, target, told):
    url = postgres.url()
    standpipe = start(url, STANDPIPE_STARTUP_DEPENDENCIES=target(), STANDPIPE_TIMEOUTS_DEPENDENCIES="1s")
    with Watch(standpipe):
        context = failed_start(standpipe, directory, "dependencies", url)
    assert told in context["error"]["text"], context["error"]
    assert context["timeout"]["used_s"] == 1


def test_a_dependency_that_comes_up(start, postgres):
    port = harness.free_port()
    standpipe = start(postgres.url(), STANDPIPE_STARTUP_DEPENDENCIES=f"tcp://{HOST}:{port}",
                      STANDPIPE_LOG_LEVEL="debug")
    standpipe.wait_line("a check failed")
    with socket.create_server((HOST, port)):
        started(standpipe)


def test_a_cache_that_is_down_does_not_stop_the_start(start, postgres):
    standpipe = start(postgres.url(), REDIS_URL=f"redis://:tell-nobody@{HOST}:{harness.free_port()}/0",
                      STANDPIPE_TIMEOUTS_CACHE="0.5s")
    seen = phases_of(started(standpipe))
    assert seen["cache"]["status"] == "failed" and "refused" in seen["cache"]["error"]["text"]
    assert seen["finalize"]["status"] == "completed"
    assert health(standpipe)["availability"] == "degraded"
    assert standpipe.get("/ready").status == 200
    assert "tell-nobody" not in standpipe.text + standpipe.get("/status").body


def test_a_cache_that_is_critical(start, postgres, directory):
    url = postgres.url()
    standpipe = start(url, REDIS_URL=f"redis://{HOST}:{harness.free_port()}/0",
                      STANDPIPE_TIMEOUTS_CACHE="0.5s", STANDPIPE_STARTUP_CRITICAL_CACHE="on")
    assert "Redis" in failed_start(standpipe, directory, "cache", url)["hint"]


def test_a_schema_that_is_missing(start, postgres, directory):
    url = postgres.url()
    standpipe = start(url, STANDPIPE_DATABASE_SCHEMA_CHECK="select 1 from pg_class where relname = 'x1'")
    context = failed_start(standpipe, directory, "database", url)
    assert "schema" in context["error"]["text"]
    assert context["timeout"]["kind"] == "table_setup"
    assert "schema check" in context["hint"]


def test_a_schema_check_that_the_server_refuses(start, postgres, directory):
    url = postgres.url()
    standpipe = start(url, STANDPIPE_DATABASE_SCHEMA_CHECK="select 1 from no_such_table")
    context = failed_start(standpipe, directory, "database", url)
    assert context["sqlstate"] == "42P01" and "no_such_table" in context["error"]["text"]


def test_a_schema_that_the_migration_makes(start, postgres):
    standpipe = start(postgres.url(),
                      STANDPIPE_DATABASE_SCHEMA_CHECK="select 1 from pg_class where relname = 'x2'",
                      STANDPIPE_DATABASE_MIGRATE="psql -X -c 'create table x2 (i int)'")
    started(standpipe)
    assert postgres.query("select count(*) from x2") == [(0,)]


def test_a_migration_that_fails(start, postgres, directory):
    url = postgres.url()
    standpipe = start(url, STANDPIPE_DATABASE_MIGRATE="psql -X -v ON_ERROR_STOP=1 -c 'create nonsense'")
    context = failed_start(standpipe, directory, "database", url)
    assert "migration" in context["hint"]
    assert "exited with 1" in context["error"]["text"]


def test_a_migration_that_hangs(start, postgres, directory):
    url = postgres.url()
    standpipe = start(url, STANDPIPE_DATABASE_MIGRATE="echo begun; psql -X -c 'select pg_sleep(600)'",
                      DB_TABLE_SETUP_TIMEOUT="1s")
    with Watch(standpipe):
        context = failed_start(standpipe, directory, "database", url)
    assert context["timeout"]["kind"] == "table_setup" and context["timeout"]["used_s"] == 1
    assert "did not end in time" in context["hint"]


def python(text):
    return [PYTHON, "-c", text]


READY = """
import os, socket, time
while not os.path.exists(os.environ["GO"]):
    time.sleep(0.01)
path = os.environ["NOTIFY_SOCKET"]
path = "\\0" + path[1:] if path[0] == "@" else path
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.sendto(b"READY=1", path)
time.sleep(3600)
"""

LISTEN = """
import os, socket, time
while not os.path.exists(os.environ["GO"]):
    time.sleep(0.01)
s = socket.create_server(("127.0.0.1", int(os.environ["WHERE"])))
time.sleep(3600)
"""


@pytest.mark.parametrize("kind", ["http", "tcp", "notify", "exec"])
def test_the_command_is_ready_when_it_says_so(start, postgres, directory, kind):
    port = harness.free_port()
    go = directory / "go"
    ready = {"http": f"http://{HOST}:{port}/ready", "tcp": f"tcp://{HOST}:{port}", "notify": "notify",
             "exec": f"exec:test -e {go}"}[kind]
    command = {"http": SERVICE, "tcp": python(LISTEN), "notify": python(READY), "exec": SLEEPER}[kind]
    door = {"PORT": harness.free_port(), "STANDPIPE_DOOR_COMMAND_PORT": port} if kind == "http" else {}
    standpipe = start(postgres.url(), command, GO=go, WHERE=port, STANDPIPE_STARTUP_READY=ready, **door)
    with Watch(standpipe):
        standpipe.wait_line("the command runs")
        answer = standpipe.wait_get("/startup", lambda a: a.json["phase"] == "services")
        assert answer.status == 503 and phases_of(answer)["services"]["status"] == "in_progress"
        assert standpipe.get("/ready").status == 503
        go.touch()
        started(standpipe)
    assert standpipe.get("/ready").status == 200


def test_a_command_that_does_not_become_ready(start, postgres, directory):
    url = postgres.url()
    standpipe = start(url, STANDPIPE_STARTUP_READY="notify", STANDPIPE_TIMEOUTS_SERVICES="1s")
    context = failed_start(standpipe, directory, "services", url)
    assert "did not become ready" in context["hint"]
    assert context["command"]["state"] == "running"


@pytest.mark.parametrize("command, code", [(python("raise SystemExit(5)"), 5), (["/no/such/file"], 127)])
def test_a_command_that_dies_before_it_is_ready(start, postgres, directory, command, code):
    url = postgres.url()
    standpipe = start(url, command, STANDPIPE_STARTUP_READY=f"tcp://{HOST}:{harness.free_port()}")
    context = failed_start(standpipe, directory, "services", url)
    assert context["command"] == {"state": "ended", "exit_code": code, "ready": False}
    assert f"code {code}" in context["error"]["text"]


def test_a_command_that_may_die_leaves_the_pages(start, postgres):
    standpipe = start(postgres.url(), python("raise SystemExit(5)"), STANDPIPE_STARTUP_READY="notify",
                      STANDPIPE_STARTUP_CRITICAL_SERVICES="off")
    seen = phases_of(started(standpipe))
    assert seen["services"]["status"] == "failed"
    assert health(standpipe)["availability"] == "minimal"
    # Whoever made the phase degradable wants such a start: complete implies ready.
    assert standpipe.get("/ready").status == 200 and standpipe.get("/live").status == 200
    assert standpipe.stop() == 128 + signal.SIGTERM


def test_a_websocket_that_is_none(start, postgres):
    port = harness.free_port()
    standpipe = start(postgres.url(), SERVICE, PORT=harness.free_port(), STANDPIPE_DOOR_COMMAND_PORT=port,
                      STANDPIPE_STARTUP_READY=f"tcp://{HOST}:{port}", STANDPIPE_TIMEOUTS_WEBSOCKET="0.5s",
                      STANDPIPE_STARTUP_WEBSOCKET=f"ws://{HOST}:{port}/ws")
    seen = phases_of(started(standpipe))
    assert seen["websocket"]["status"] == "failed"
    assert health(standpipe)["availability"] == "degraded"


# --- after the start --------------------------------------------------------------------------------


@pytest.mark.parametrize("end, code", [("raise SystemExit(0)", 0), ("raise SystemExit(7)", 7),
                                       ("os.kill(os.getpid(), 9)", 137)])
def test_the_commands_own_end_is_ours(start, postgres, directory, end, code):
    go = directory / "go"
    command = python(f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)\n{end}")
    standpipe = start(postgres.url(), command)
    started(standpipe)
    go.touch()
    assert standpipe.wait() == code


def test_signals_reach_the_command(start, postgres):
    command = python("""
import signal, sys
def told(number, frame):
    print("told", number, flush=True)
    if number == signal.SIGTERM:
        sys.exit(9)
for number in (signal.SIGUSR1, signal.SIGTERM):
    signal.signal(number, told)
print("armed", flush=True)
while True:
    signal.pause()
""")
    standpipe = start(postgres.url(), command)
    started(standpipe)
    standpipe.wait_line("armed")
    standpipe.send_signal(signal.SIGUSR1)
    standpipe.wait_line(f"told {int(signal.SIGUSR1)}")
    assert standpipe.stop() == 9


def test_sigterm_before_the_command_runs(start, postgres):
    with silent_port() as port:
        standpipe = start(postgres.url(port=port))
        standpipe.wait_get("/startup", lambda a: a.json["phase"] == "database")
        assert standpipe.stop() == 128 + signal.SIGTERM


def test_the_command_is_led_to_the_gate(start, postgres):
    command = python("""
import os, time, psycopg2
url = os.environ["DATABASE_URL"]
c = psycopg2.connect(url)
k = c.cursor()
k.execute("select current_user, current_database(), inet_server_port()")
print("asked", os.environ["PGPORT"], url.split("@")[1], *k.fetchone(), flush=True)
time.sleep(3600)
""")
    standpipe = start(postgres.url(query="connect_timeout=7"), command)
    started(standpipe)
    words = standpipe.wait_line("asked").split()
    gate = gate_of(standpipe)
    assert words[1] == str(gate)
    assert words[2].startswith(f"{HOST}:{gate}/app?") and "connect_timeout=7" in words[2]
    assert words[3:] == ["app", "app", str(postgres.port)]


def test_the_gate_takes_several_addresses(start, postgres):
    standpipe = start(postgres.url(), python("import os, time; print('led', os.environ['PGHOST'], flush=True); "
                                             "time.sleep(3600)"), STANDPIPE_LISTEN_HOST=f"127.0.0.2, {HOST}")
    started(standpipe)
    assert standpipe.wait_line("led").split()[1] == "127.0.0.2"

    def served():
        for host in (HOST, "127.0.0.2"):
            with contextlib.closing(connect(standpipe, host)) as connection, connection.cursor() as cursor:
                cursor.execute("select 1")

    served()
    # All of them are PID 1's.
    os.kill(gate_pid(standpipe), signal.SIGKILL)
    served()


def door_says(port, accept):
    answer = http_get(f"http://{HOST}:{port}/some/page", headers={"Accept": accept})
    assert answer.status == 503 and int(answer.headers["Retry-After"]) >= 1, answer.body
    return answer


def test_the_front_door_relays(start, make_postgres, directory):
    server = make_postgres()
    door, port = harness.free_port(), harness.free_port()
    go = directory / "go"
    standpipe = start(server.url(), SERVICE, GO=go, PORT=door, STANDPIPE_DOOR_COMMAND_PORT=port,
                      STANDPIPE_STARTUP_READY=f"http://{HOST}:{port}/ready")
    standpipe.wait_line("connect to the database failed")
    assert door_says(door, "application/json").json["waits_for"] == "a connection to its database"
    assert "<html" in door_says(door, "text/html").body
    server.start()
    standpipe.wait_get("/startup", lambda a: a.json["phase"] == "services")
    assert door_says(door, "*/*").json["phase"] == "services"
    go.touch()
    started(standpipe)
    answer = http_get(f"http://{HOST}:{door}/")
    pid = health_command(standpipe)["pid"]
    assert (answer.status, answer.body) == (200, f"pid {pid}")
    server.stop()  # not the service's end
    assert http_get(f"http://{HOST}:{door}/").body == f"pid {pid}"


def health_command(standpipe):
    return standpipe.get("/status").json["command"]


def test_the_front_door_is_inherited(start, make_postgres):
    server = make_postgres()
    door = harness.free_port()
    standpipe = start(server.url(scheme="postgresql+asyncpg"), EXAMPLE, PORT=door,
                      STANDPIPE_DOOR_MODE="inherit", DB_POOL_SIZE=2, DB_MAX_OVERFLOW=0,
                      STANDPIPE_STARTUP_READY=f"http://{HOST}:{door}/health")
    standpipe.wait_line("connect to the database failed")
    door_says(door, "application/json")
    server.start()
    started(standpipe)
    for _ in range(20):
        assert http_get(f"http://{HOST}:{door}/health").json == {"status": "ok"}
    assert http_get(f"http://{HOST}:{door}/items").json == []


@pytest.mark.parametrize("mode", ["relay", "inherit"])
def test_a_killed_gate_comes_back_and_nothing_is_refused(start, postgres, mode):
    door = harness.free_port()
    standpipe = start(postgres.url(scheme="postgresql+asyncpg"), EXAMPLE, PORT=door,
                      STANDPIPE_DOOR_MODE=mode, DB_POOL_SIZE=2, DB_MAX_OVERFLOW=0,
                      STANDPIPE_STARTUP_READY=f"http://{HOST}:{'$PORT' if mode == 'relay' else door}/health")
    started(standpipe)
    assert http_get(f"http://{HOST}:{door}/items").status == 200
    pid = health_command(standpipe)["pid"]
    first = gate_pid(standpipe)
    held = connect(standpipe)
    os.kill(first, signal.SIGKILL)
    # All sockets are PID 1's: whoever comes now waits a moment, and is served.
    with contextlib.closing(connect(standpipe)) as connection, connection.cursor() as cursor:
        cursor.execute("select 1")
    assert standpipe.get("/live", limit=harness.LIMIT).status == 200
    assert http_get(f"http://{HOST}:{door}/health", limit=harness.LIMIT).status == 200
    started(standpipe)
    wait_until(lambda: http_get(f"http://{HOST}:{door}/items").status == 200, "the service again")
    assert gate_pid(standpipe) != first
    assert process_exists(pid) and pid in harness.children_of(standpipe.pid)
    held.close()
    assert standpipe.stop() in (0, 128 + signal.SIGTERM)


@pytest.mark.parametrize("mode", ["relay", "inherit"])
def test_a_gate_killed_while_the_database_is_down_leaves_the_command_alone(start, make_postgres, mode):
    server = make_postgres().start()
    door = harness.free_port()
    standpipe = start(server.url(scheme="postgresql+asyncpg"), EXAMPLE, PORT=door,
                      STANDPIPE_DOOR_MODE=mode, DB_POOL_SIZE=1, DB_MAX_OVERFLOW=0,
                      STANDPIPE_TIMEOUTS_INITIALIZATION="1s",
                      STANDPIPE_STARTUP_READY=f"http://{HOST}:{'$PORT' if mode == 'relay' else door}/health")
    started(standpipe)
    pid = health_command(standpipe)["pid"]
    server.stop()
    os.kill(gate_pid(standpipe), signal.SIGKILL)
    # The service answers for itself all the while, through every phase of the new gate.
    wait_until(lambda: len([e for e in standpipe.log() if e.get("message") == "standpipe"]) == 2, "a new gate")
    over = threading.Event()
    answers = []

    def ask():
        while not over.is_set():
            answers.append(http_get(f"http://{HOST}:{door}/health", limit=harness.LIMIT).status)
    asking = threading.Thread(target=ask)
    asking.start()
    standpipe.wait_get("/startup", lambda a: phases_of(a)["database"]["status"] == "failed")
    started(standpipe)
    over.set()
    asking.join()
    assert set(answers) == {200}
    assert process_exists(pid) and health_command(standpipe)["state"] == "running"
    server.start()
    wait_until(lambda: http_get(f"http://{HOST}:{door}/items").status == 200, "the service with its database")
    assert standpipe.stop() in (0, 128 + signal.SIGTERM)
