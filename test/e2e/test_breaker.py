"""The circuit breaker at run time: who is served while it is open, how it finds out that the path is back, and
what an operator can do."""

import contextlib
import re
import signal

import psycopg2
import psycopg2.errors
import pytest

import harness
import raw
from faults import Proxy, Watch
from gating import ask
from harness import HOST, wait_until

# A time open that no test outlasts: what ends it is something else.
LONG = {"CIRCUIT_BREAKER_TIMEOUT": "1h", "STANDPIPE_BREAKER_PROBE_INTERVAL": "0.2s",
        "STANDPIPE_BREAKER_PROBE_INTERVAL_MAX": "0.5s", "DB_POOL_TIMEOUT": "20s"}


class Path:
    """A way to the server that can be shut for what is new: what is connected goes on."""

    def __init__(self, server):
        self.shut = False
        self.passed = set()
        self.proxy = Proxy(server.port, self._rule)

    def _rule(self, _, connection, __, data):
        if not self.shut:
            self.passed.add(connection)
        return data if connection in self.passed else None

    def close(self):
        self.proxy.close()


@pytest.fixture
def path(postgres):
    with contextlib.closing(Path(postgres)) as made:
        yield made


@pytest.fixture
def console():
    with contextlib.ExitStack() as stack:
        def connect(g):
            session = psycopg2.connect(host=g.directory, port=g.port, user="standpipe", dbname="standpipe")
            session.autocommit = True
            stack.callback(session.close)
            return session
        yield connect


def show(session):
    with session.cursor() as cursor:
        cursor.execute("SHOW BREAKER")
        return dict(zip([c.name for c in cursor.description], cursor.fetchone()))


def metrics(g):
    lines = g.standpipe.get("/metrics").body.splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


def breaker(g):
    return g.health()["breaker"]


def changes(g):
    return [(c["from"], c["to"], c["cause"]) for c in breaker(g)["changes"]]


def wait_state(g, state):
    wait_until(lambda: breaker(g)["state"] == state, f"the breaker to be {state}")


def refused(g):
    """The error that a new client is told when it asks for something."""
    with contextlib.closing(g.raw()) as c:
        c.send(raw.query("select 1"))
        return raw.error(c.until_end())


def shut_until_open(g, path):
    """Its one server goes, and no other can be had."""
    path.shut = True
    path.passed.clear()
    path.proxy.cut()
    wait_state(g, "open")


def through(path, postgres):
    return {"DATABASE_URL": postgres.url(port=path.proxy.port)}


def test_a_light_probe_finds_out_that_the_path_is_back(gate, path, postgres):
    g = gate(1, **LONG, **through(path, postgres))
    assert g.one("select 1") == 1
    with Watch(g.standpipe):  # health answers all the while
        shut_until_open(g, path)
        told = refused(g)
        assert (told["S"], told["C"]) == ("FATAL", "57P03") and "the circuit breaker is open" in told["M"], told
        assert re.fullmatch(r"Try again in [1-5] s\.", told["H"]), told  # the probe's time, not the hour
        wait_until(lambda: metrics(g)['standpipe_probes_total{outcome="reset"}'] >= 2, "probes that fail")
        assert breaker(g)["state"] == "open" and g.health()["availability"] == "degraded"
        path.shut = False
        wait_state(g, "closed")
        assert g.one("select 2") == 2
    assert changes(g) == [("closed", "open", "count"), ("open", "half_open", "probe"),
                          ("half_open", "closed", "success")]
    counts = metrics(g)
    assert counts['standpipe_probes_total{outcome="ok"}'] == 1
    assert counts['standpipe_breaker_transitions_total{from="open",to="half_open"}'] == 1
    assert counts['standpipe_breaker_transitions_total{from="half_open",to="open"}'] == 0
    probe = breaker(g)["probe"]
    assert probe["last"]["outcome"] == "ok" and probe["last"]["stage"] == "tls" and not probe["under_way"]
    logged = [(e["from"], e["to"], e["cause"], e["severity"]) for e in g.standpipe.log()
              if e["message"] == "circuit breaker"]
    assert logged == [(*change, level) for change, level in zip(changes(g), ("WARNING", "INFO", "INFO"))]


def test_a_server_that_is_down_and_comes_back_is_found_by_the_probe(gate, make_postgres):
    server = make_postgres(tls=True).start()
    g = gate(1, server=server, **LONG)
    server.stop()
    wait_state(g, "open")
    server.start()
    wait_state(g, "closed")
    assert g.one("select 1") == 1
    assert ("open", "half_open", "probe") in changes(g)


def test_servers_that_work_go_on_being_used_while_no_other_can_be_had(gate, path, postgres):
    g = gate(3, **{**LONG, "STANDPIPE_BREAKER_PROBE_INTERVAL": "0"}, **through(path, postgres))
    with contextlib.closing(g.connect()) as first:
        pid = ask(first, "select pg_backend_pid()")
        path.shut = True
        # A second at a time asks for another server, which can't be had.
        with contextlib.closing(g.connect()) as holder, contextlib.closing(g.raw()) as waiter:
            ask(holder, "begin")
            waiter.send(b"Q\0\0\0\rselect 1\0")
            wait_state(g, "open")
            ask(holder, "commit")
            waiter.until_ready()
        for _ in range(50):
            assert ask(first, "select pg_backend_pid()") == pid
        assert g.one("select pg_backend_pid()") == pid  # new clients share it
        assert breaker(g)["state"] == "open"


def test_by_hand_it_is_held_open_and_let_go(gate, console):
    g = gate(2, **LONG)
    session = console(g)
    with contextlib.closing(g.connect()) as client:
        ask(client, "select 1")
        ask(session, "BREAKER OPEN")
        row = show(session)
        assert (row["state"], row["mode"], row["open_for_ms"]) == ("open", "open", None)
        assert row["last_change"] == "closed -> open (hand)"
        assert ask(client, "select 2") == 2  # its server works
        assert g.one("select 3") == 3
        assert metrics(g)['standpipe_breaker_mode{mode="open"}'] == 1
        # Without a server nobody is served, and is told why.
        g.server.query("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'")
        wait_until(lambda: g.health()["pool"]["servers"]["idle"] == 0, "the loss of the server")
        hint = refused(g)["H"]
        assert "held open by hand" in hint and "BREAKER AUTO" in hint
    assert metrics(g)["standpipe_connect_attempts_under_way"] == 0
    ask(session, "breaker auto")
    wait_state(g, "closed")
    assert g.one("select 5") == 5
    assert changes(g) == [("closed", "open", "hand"), ("open", "half_open", "hand"),
                          ("half_open", "closed", "success")]


def test_held_closed_and_metrics_only_nobody_is_refused(gate, console, path, postgres):
    g = gate(1, **{**LONG, "DB_POOL_TIMEOUT": "1s"}, **through(path, postgres))
    session = console(g)
    ask(session, "BREAKER CLOSE")
    path.shut = True
    path.passed.clear()
    path.proxy.cut()
    wait_until(lambda: g.health()["path"]["failures"] >= 5, "attempts that fail")
    assert show(session)["failures"] == 0
    assert "no server connection became free in time" in refused(g)["M"]
    ask(session, "BREAKER METRICS")
    wait_until(lambda: show(session)["judged"] == "open" and show(session)["spared_total"] > 3, "its judgement")
    row = show(session)
    assert (row["state"], row["mode"]) == ("closed", "metrics")
    assert "no server connection became free in time" in refused(g)["M"]
    assert any(e["message"] == "circuit breaker, metrics only" and e["severity"] == "INFO" for e in g.standpipe.log())
    assert metrics(g)["standpipe_breaker_spared_total"] > 3
    assert metrics(g)['standpipe_breaker_state{state="closed"}'] == 1
    ask(session, "BREAKER AUTO")  # what it would have done, it does
    assert show(session)["state"] == "open"
    assert "the circuit breaker is open" in refused(g)["M"]
    path.shut = False
    wait_state(g, "closed")


def test_a_word_that_is_none_and_a_user_who_may_not(gate, console):
    g = gate(1, STANDPIPE_ADMIN_STATS_USERS="looker", STANDPIPE_AUTH_LOCAL="trust")
    session = console(g)
    with pytest.raises(psycopg2.errors.SyntaxError, match="BREAKER can OPEN, CLOSE, AUTO or METRICS, not ajar"):
        ask(session, "BREAKER AJAR".lower())
    with pytest.raises(psycopg2.errors.SyntaxError):
        ask(session, "BREAKER")
    with contextlib.closing(psycopg2.connect(host=HOST, port=g.port, user="looker", dbname="standpipe")) as looker:
        looker.autocommit = True
        assert show(looker)["state"] == "closed"
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            ask(looker, "BREAKER OPEN")


def test_a_reload_changes_its_rules_and_leaves_the_hand_alone(gate, console):
    config = "breaker: {mode: %s, timeout: 30s, failures: [refused, full]}\n"
    g = gate(1, config=config % "auto", CIRCUIT_BREAKER_TIMEOUT="")
    file = next(g.standpipe.directory.glob("*.yaml"))
    session = console(g)
    ask(session, "BREAKER OPEN")
    file.write_text("breaker: {mode: auto, threshold: 7, failure_rate: 0.5}\n")
    g.standpipe.send_signal(signal.SIGHUP)
    wait_until(lambda: show(session)["threshold"] == 7, "the reload")
    assert show(session)["mode"] == "open"
    file.write_text("breaker: {mode: metrics}\n")
    g.standpipe.send_signal(signal.SIGHUP)
    wait_until(lambda: show(session)["mode"] == "metrics", "the other mode")
    assert show(session)["state"] == "closed"


@pytest.mark.parametrize("yaml, text", [
    ("{failures: [timeout, auth]}", "breaker.failures: auth can't count: it says nothing of the path"),
    ("{failures: [late]}", 'breaker.failures: "late" is no way to fail: use timeout, refused'),
    ("{failures: [ok]}", 'breaker.failures: "ok" is no way to fail'),
    ("{minimum: 30}", "breaker.minimum: breaker.minimum (30) is more than breaker.window (20)"),
    ("{window: 65}", 'breaker.window: "65": must be a whole number from 1 to 64'),
    ("{timeout_max: 30s}", "breaker.timeout_max: breaker.timeout_max (30s) is less than breaker.timeout (60s)"),
    ("{probe_interval: 20s}", "breaker.probe_interval: breaker.probe_interval_max (15s) is less than"),
    ("{mode: half}", 'breaker.mode: "half": must be one of auto, open, closed, metrics'),
])
def test_what_contradicts_itself_is_told_with_the_mend(run_standpipe, yaml, text):
    program = run_standpipe("check", config=f"breaker: {yaml}\n", env={"DATABASE_URL": "postgresql://u@h/d"})
    assert program.wait() == 2
    assert text in program.text, program.text


def test_a_path_on_which_nothing_connects_is_asked_by_tcp(gate, make_postgres):
    server = make_postgres(tls=True).start()
    g = gate(1, server=server, STANDPIPE_PATH_PROBE_IDLE="0.2s", VPC_MONITORING_ENABLED="true")
    wait_until(lambda: metrics(g)['standpipe_probes_total{outcome="ok"}'] >= 3, "probes")
    last = breaker(g)["probe"]["last"]
    assert last["stage"] == "tcp" and last["tcp_s"] > 0 and last["answer_s"] == 0
    assert metrics(g)["standpipe_breaker_opened_total"] == 0
    assert "could not accept SSL" not in server.log.read_text()


def test_the_front_door_says_when_to_come_back(run_standpipe, path, postgres):
    port = harness.free_port()
    path.shut = True
    standpipe = run_standpipe(command=["sleep", "1000"], env={
        **through(path, postgres), "PORT": port, "DB_INITIALIZATION_TIMEOUT": "60s"})
    standpipe.wait_get("/health", lambda answer: answer.json["breaker"]["state"] == "open")
    answer = harness.http_get(f"http://{HOST}:{port}/")
    assert answer.status == 503 and 1 <= int(answer.headers["Retry-After"]) <= 30
    assert standpipe.get("/live").status == 200
