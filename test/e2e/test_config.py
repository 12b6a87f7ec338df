"""standpipe check: what is in force and why, whether it fits, and what a mistake is answered by."""

import json
import re
import subprocess

import pytest
from sqlalchemy.engine import make_url

URL = "postgresql+asyncpg://shop:hush@db.internal/orders"


class Checked:
    def __init__(self, done):
        self.code = done.returncode
        self.out = done.stdout
        self.err = done.stderr
        assert "Sanitizer" not in self.err, self.err
        assert "hush" not in self.out + self.err

    @property
    def json(self):
        return json.loads(self.out)

    def value(self, key):
        return self.json["settings"][key]["value"]

    def origin(self, key):
        return self.json["settings"][key]["origin"]


@pytest.fixture
def check(standpipe, tmp_path):
    """check("--json", yaml="...", PORT=8080): nothing but what is given, in an empty directory."""

    def run(*arguments, yaml=None, command="check", **variables):
        variables.setdefault("DATABASE_URL", URL)
        if yaml is not None:
            (tmp_path / "standpipe.yaml").write_bytes(yaml if isinstance(yaml, bytes) else yaml.encode())
        done = subprocess.run(
            [standpipe, command, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60,
            env={k: str(v) for k, v in variables.items() if v is not None})
        return Checked(done)

    return run


# What is in force, and why.


def test_database_url_alone_is_enough(check):
    checked = check()
    assert checked.code == 0
    assert re.search(r"^pool\.size +5 +development$", checked.out, re.M)
    assert re.search(r"^database\.url +postgresql\+asyncpg://shop:\*\*\*@db\.internal/orders +DATABASE_URL$",
                     checked.out, re.M)
    assert "It fits: 1 instance of 15 connections" in checked.out
    assert checked.err == ""


TIMEOUTS = {
    "development": [30, 15, 20, 30, 10],
    "test": [20, 10, 15, 20, 5],
    "staging": [75, 25, 35, 90, 20],
    "production": [90, 45, 60, 90, 30],
}
SMALL = {
    "pool.size": 5, "pool.overflow": 10, "pool.recycle": 3600, "pool.pre_ping": True,
    "database.connection_limit": 100, "budget.margin": 0.8, "budget.buffer": 0,
    "path.monitoring": False, "path.capacity_aware": False, "path.threshold": 1.0, "path.connections": 1000,
    "path.baseline": 0, "path.scaling_delay": 0, "path.scaling_buffer": 0,
    "retry.retries": 3, "retry.base": 1, "retry.cap": 10, "retry.factor": 2,
    "breaker.enabled": True, "breaker.threshold": 3, "breaker.timeout": 60,
}
LARGE = SMALL | {
    "pool.size": 10, "pool.overflow": 15, "budget.buffer": 5,
    "path.monitoring": True, "path.capacity_aware": True, "path.threshold": 0.7, "path.connections": 50,
    "path.baseline": 2e9, "path.scaling_delay": 30, "path.scaling_buffer": 20,
    "retry.retries": 5, "retry.base": 2, "retry.cap": 30,
}


@pytest.mark.parametrize("environment", TIMEOUTS)
def test_each_environment_has_its_table(check, environment):
    checked = check("--json", ENVIRONMENT=environment)
    assert checked.code == 0
    kinds = ["initialization", "table_setup", "connection", "pool", "health_check"]
    assert [checked.value(f"timeouts.{kind}") for kind in kinds] == TIMEOUTS[environment]
    expected = LARGE if environment in ("staging", "production") else SMALL
    assert {key: checked.value(key) for key in expected} == expected
    assert checked.origin("timeouts.pool") == environment


def test_variables_win_over_the_file_and_the_file_over_the_table(check):
    yaml = "environment: staging\npool:\n  size: 3\n  overflow: 3\n"
    checked = check("--json", yaml=yaml, DB_POOL_SIZE=4)
    assert (checked.value("pool.size"), checked.origin("pool.size")) == (4, "DB_POOL_SIZE")
    assert (checked.value("pool.overflow"), checked.origin("pool.overflow")) == (3, "standpipe.yaml:4")
    assert (checked.value("timeouts.pool"), checked.origin("timeouts.pool")) == (90, "staging")
    assert checked.origin("breaker.jitter") == "default"
    assert checked.json["file"] == "standpipe.yaml"


def test_a_file_is_named_by_an_option_or_a_variable(check, tmp_path):
    (tmp_path / "a.yaml").write_text("pool: {size: 6}\n")
    (tmp_path / "b.yaml").write_text("pool: {size: 7}\n")
    assert check("--json", "-c", "a.yaml", STANDPIPE_CONFIG="b.yaml").value("pool.size") == 6
    assert check("--json", STANDPIPE_CONFIG="b.yaml").value("pool.size") == 7
    assert check("--json", yaml="pool: {size: 8}\n").value("pool.size") == 8


def test_serve_shows_what_serve_would_use(check):
    assert check("--json").value("listen.port") == 0
    assert check("--json", "--serve").value("listen.port") == 6432
    assert check("--json", PORT=8080).value("door.mode") == "relay"
    assert check("--json", "--serve", PORT=8080).value("door.mode") == "off"


def test_secrets_are_hidden_everywhere(check):
    # Checked itself looks for the password in all that is printed.
    yaml = "startup:\n  dependencies: ['http://u:hush@h/', 'exec:psql postgresql://u:hush@h/d']\n"
    for arguments in ([], ["--json"]):
        checked = check(*arguments, yaml=yaml, REDIS_URL="redis://:hush@cache:6379/0")
        assert checked.code == 0
        assert "redis://:***@cache:6379/0" in checked.out
        assert "http://u:***@h/" in checked.out


@pytest.mark.parametrize("url", [
    "postgresql+asyncpg://u:p@db.internal:5433/orders",
    "postgresql+psycopg2://u@db/orders?sslmode=require&application_name=a+b",
    "postgresql+asyncpg://u:a%40b@[::1]:6000/orders?ssl=require",
    "postgresql+asyncpg://u:a/b?c@db:1/orders",
    "postgresql+psycopg2://db/orders",
])
def test_urls_mean_what_they_mean_to_sqlalchemy(check, url):
    theirs = make_url(url)
    host = f"[{theirs.host}]" if ":" in theirs.host else theirs.host
    checked = check("--json", DATABASE_URL=url, PGUSER="from_variable")
    assert checked.code == 0
    assert checked.json["address"] == f"{host}:{theirs.port or 5432}"
    assert checked.json["database"] == theirs.database


# Whether it fits.


def test_the_arithmetic_of_production(check):
    capacity = check("--json", ENVIRONMENT="production", STANDPIPE_BUDGET_INSTANCES=20).json["capacity"]
    assert capacity["usable"] == 100 - 3 - 5
    assert capacity["by_database"] == int(92 * 0.8) - 5
    assert capacity["by_path"] == int(50 * 0.7)
    assert capacity["fleet"] == 35
    assert (capacity["instances"], capacity["share"], capacity["needed"]) == (20, 1, 20)
    assert capacity["wanted"] == 500
    assert capacity["fits"] is True
    assert [(p["instances"], p["connections"], p["fits"]) for p in capacity["pools"]] == [
        (1, 25, True), (2, 17, True), (5, 7, True), (10, 3, True), (20, 1, True), (50, 0, False)]
    assert all(p["size"] + p["overflow"] == p["connections"] for p in capacity["pools"])


def test_a_plan_that_cannot_fit_is_said_so_and_exits_1(check):
    checked = check(ENVIRONMENT="production", STANDPIPE_BUDGET_INSTANCES=50)
    assert checked.code == 1
    assert "IT DOES NOT FIT: 50 instances need at least 50 connections, but the fleet may use 35" in checked.out
    checked = check("--json", ENVIRONMENT="production", STANDPIPE_BUDGET_INSTANCES=50)
    assert checked.code == 1
    assert checked.json["valid"] is True
    assert checked.json["capacity"]["fits"] is False


# Mistakes: place, key, what is allowed, exit code 2.

MISTAKES = [
    ("pool:\n  size: five\n", 2, 'pool.size: "five": must be a whole number from 0 to 10000'),
    ("pool:\n  size: 10001\n", 2, 'pool.size: "10001": must be a whole number from 0 to 10000'),
    ("pool:\n  pre_ping: perhaps\n", 2, 'pool.pre_ping: "perhaps": must be true or false'),
    ("\n\nbudget: {margin: 2}\n", 3, 'budget.margin: "2": must be a number from 0.01 to 1'),
    ("timeouts:\n  pool: 10 days\n", 2, 'timeouts.pool: "10 days": must be a duration'),
    ("path:\n  baseline: fast\n", 2, 'path.baseline: "fast": must be a bit rate'),
    ("environment: prod\n", 1, 'environment: "prod": must be one of development, test, staging, production'),
    ("door: {mode: open}\n", 1, 'door.mode: "open": must be one of off, relay, inherit'),
    ("startup:\n  required: {A: b}\n", 2, "startup.required: must be a list"),
    ("pool: 5\n", 1, "pool: must be a mapping"),
    ("pool:\n  sise: 5\n", 2, 'unknown key "pool.sise": did you mean "pool.size"?'),
    ("databse:\n  agents: 5\n", 1, 'unknown key "databse": did you mean "database"?'),
    ("observability: {}\n", 1, 'unknown key "observability": known here are environment, instance'),
    ("pool:\n  size: 1\n  size: 2\n", 3, "size: is there twice (first in line 2)"),
    ("pool:\n\tsize: 1\n", 2, "not YAML: found character that cannot start any token"),
    ("pool: [1\n", 2, "not YAML: did not find expected"),
    (b"pool: {size: 5}\nx: \xff\n", 2, "not YAML: invalid leading UTF-8 octet"),
    ("a: &a [1]\nb: *a\n", 2, "aliases"),
    ("- pool\n", 1, "the file: must be a mapping"),
    ("database:\n  url: mysql://u:hush@h/d\n", None, ""),  # DATABASE_URL wins: no mistake
    ("pool:\n  size: 0\n  overflow: 0\n", 2, "pool.size: pool.size + pool.overflow is 0"),
    ("retry:\n  cap: 100ms\n", 2, "retry.cap: retry.cap (0.1s) is less than retry.base (1s)"),
    ("breaker:\n  threshold: 0\n", 2, "breaker.threshold: 0 failures would hold the breaker open"),
    ("path:\n  threshold: 0\n", 2, 'path.threshold: "0": must be a number from 0.05 to 1'),
    ("timeouts:\n  cap: 5s\n", 2, "timeouts.cap: timeouts.cap (5s) is less than timeouts.initialization (30s)"),
    ("door:\n  mode: inherit\n", 2, "door.mode: inherit needs the service's port: set PORT or door.port"),
    ("startup:\n  cache: memcached://h\n", 2, "startup.cache: must be a URL that begins with redis://"),
    ("startup:\n  dependencies: ['gopher://h']\n", 2, "startup.dependencies: "),
]


@pytest.mark.parametrize("yaml, line, text", MISTAKES)
def test_a_mistake_in_the_file_names_line_key_and_what_is_allowed(check, yaml, line, text):
    checked = check(yaml=yaml)
    if line is None:
        assert checked.code == 0
        return
    assert checked.code == 2
    assert checked.out == ""
    assert checked.err.startswith(f"standpipe: standpipe.yaml:{line}: {text}"), checked.err


@pytest.mark.parametrize("parameters", [
    "sslmode=verify-full", "sslmode=prefer&connect_timeout=10", "target_session_attrs=prefer-standby&keepalives=1",
    "channel_binding=require&gssencmode=disable&ssl_min_protocol_version=TLSv1.2&tcp_user_timeout=0", "sslmode="])
def test_what_libpq_takes_is_taken(check, parameters):
    assert check(DATABASE_URL=f"postgresql://u@h/d?{parameters}").code == 0


@pytest.mark.parametrize("variables, origin, text", [
    ({"DB_POOL_TIMEOUT": "soon"}, "DB_POOL_TIMEOUT", 'timeouts.pool: "soon": must be a duration'),
    ({"PORT": "80000"}, "PORT", 'door.port: "80000": must be a whole number from 0 to 65535'),
    ({"VPC_CAPACITY_THRESHOLD": "70%"}, "VPC_CAPACITY_THRESHOLD", 'path.threshold: "70%": must be a number'),
    ({"CIRCUIT_BREAKER_ENABLED": "2"}, "CIRCUIT_BREAKER_ENABLED", 'breaker.enabled: "2": must be true or false'),
    ({"ENVIRONMENT": "live"}, "ENVIRONMENT", 'environment: "live": must be one of development'),
    ({"STANDPIPE_BUDGET_INSTANCES": "0"}, "STANDPIPE_BUDGET_INSTANCES", 'budget.instances: "0"'),
    ({"DATABASE_URL": "mysql://u:hush@h/d"}, "DATABASE_URL", 'database.url: scheme "mysql" is not PostgreSQL'),
    ({"DATABASE_URL": "postgresql://u:hush/x@h/d"}, "DATABASE_URL", "database.url: the port must be a number"),
    ({"DATABASE_URL": "file:/nowhere/url"}, "DATABASE_URL", "database.url: the file /nowhere/url can't be read"),
    ({"DATABASE_URL": "postgresql://u@h/d?sslmode=nonsense"}, "DATABASE_URL",
     'database.url: its parameter sslmode is "nonsense": libpq knows disable, allow, prefer, require, verify-ca, '
     'verify-full'),
    ({"DATABASE_URL": "postgresql://u@h/d?sslmode=verify"}, "DATABASE_URL", "database.url: its parameter sslmode"),
    ({"DATABASE_URL": "postgresql://u@h,i/d?target_session_attrs=master"}, "DATABASE_URL",
     'database.url: its parameter target_session_attrs is "master": libpq knows any, read-write'),
    ({"DATABASE_URL": "postgresql://u@h/d?keepalives_idle=5m"}, "DATABASE_URL",
     'database.url: its parameter keepalives_idle is "5m": libpq wants a whole number'),
    ({"PGSSLMODE": "on"}, "DATABASE_URL", 'database.url: the variable PGSSLMODE is "on": libpq knows disable'),
    ({"DB_INITIALIZATION_TIMEOUT": "600"}, "DB_INITIALIZATION_TIMEOUT",
     "timeouts.initialization: timeouts.cap (240s) is less than"),
])
def test_a_mistake_in_a_variable_names_it(check, variables, origin, text):
    checked = check(**variables)
    assert checked.code == 2
    assert checked.err.startswith(f"standpipe: {origin}: {text}"), checked.err
    checked = check("--json", **variables)
    assert checked.code == 2
    assert checked.json["valid"] is False
    assert checked.json["error"]["origin"] == origin
    assert checked.json["error"]["text"].startswith(text)


def test_without_any_database_the_mend_is_told(check):
    checked = check(DATABASE_URL=None)
    assert checked.code == 2
    assert "set DATABASE_URL" in checked.err


def test_a_file_that_is_not_there_is_told(check):
    checked = check("-c", "missing.yaml")
    assert checked.code == 2
    assert checked.err.startswith("standpipe: missing.yaml: can't be opened: No such file")


def test_a_misspelt_variable_is_noted(check):
    notes = check("--json", STANDPIPE_POL_SIZE=3, STANDPIPE_SERVICE_HOST="10.0.0.1").json["notes"]
    assert notes == ["STANDPIPE_POL_SIZE: no such variable; did you mean STANDPIPE_POOL_SIZE?"]


@pytest.mark.parametrize("command, arguments, told", [
    *((command, *mistake) for command in ("check", "run", "serve", "lab")
      for mistake in ((["-x"], "unknown option -x"), (["--jsn"], "unknown option --jsn"))),
    ("check", ["--config"], "--config needs a value"),
    ("run", ["-c"], "-c needs a value"),
    ("serve", ["--config"], "--config needs a value"),
    ("lab", ["--output"], "--output needs a value"),
    ("check", ["more"], "unexpected argument more"),
    ("serve", ["more"], "unexpected argument more"),
    ("run", [], "what is to be run?"),
    ("lab", [], "one scenario is needed"),
])
def test_a_usage_error_names_the_mistake_and_shows_the_usage(check, command, arguments, told):
    checked = check(*arguments, command=command)
    assert checked.code == 2
    assert checked.err.startswith(f"standpipe {command}: {told}")
    assert checked.err.splitlines()[1].startswith(f"usage: standpipe {command}")


@pytest.mark.parametrize("command", ["check", "run", "serve"])
def test_a_file_that_is_named_is_read(check, command):
    checked = check("--config", "missing.yaml", *(["--", "true"] if command == "run" else []), command=command)
    assert checked.code == 2
    assert checked.err.startswith("standpipe: missing.yaml: can't be opened")


def test_an_unknown_command_names_the_nearest(check):
    checked = check(command="chekc")
    assert checked.code == 2
    assert "did you mean check?" in checked.err


def test_help_and_version(check):
    assert "usage: standpipe COMMAND" in check(command="help").out
    assert re.match(r"standpipe \d+\.\d+\.\d+\n$", check(command="version").out)
