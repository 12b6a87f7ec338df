"""What is measured of the way to the database, and where it is shown."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys

import psycopg2
import pytest

import faults
import gating
import harness
from harness import HOST, wait_until


def path_of(standpipe):
    return standpipe.get("/health").json["path"]


def metric(standpipe, name):
    lines = standpipe.get("/metrics").body.splitlines()
    return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.rsplit(" ", 1)[0] == f"standpipe_{name}"), None)


def test_the_stages_of_connects_and_their_history_are_shown(gate):
    g = gate(size=3)
    g.open_all(3)
    path = wait_until(lambda: (p := path_of(g.standpipe))["attempts"] >= 3 and p, "three connects")
    assert path["history"] == "." * path["attempts"]
    assert path["stage_history"]["tcp"] == path["stage_history"]["auth"] == path["history"]
    for stage in ("dns", "tcp", "tls", "auth", "total"):
        times = path["connect_s"][stage]
        assert 0 <= times["min"] <= times["p50"] <= times["p95"] < harness.LIMIT, (stage, times)
    assert path["connect_s"]["samples"] == path["attempts"]
    assert path["handshakes"] == {"syn_lost": 0, "history": path["history"]}
    assert path["scaling"] == [] and path["scaling_events"] == 0
    assert metric(g.standpipe, 'path_connect_seconds{stage="total",quantile="0.95"}') > 0
    assert metric(g.standpipe, 'path_stage_failures{stage="auth"}') == 0


def test_tcp_tells_of_live_connections(gate):
    g = gate(size=1)
    first = path_of(g.standpipe)["tcp"]  # the login's own
    assert 0 < first["min_rtt_s"] and first["retransmit_ratio"] == 0 and first["inflation"] == 1
    with contextlib.closing(g.connect()) as client, client.cursor() as cursor:
        def sampled():
            cursor.execute("select repeat('x', 100000)")
            return (tcp := path_of(g.standpipe)["tcp"])["segments"] > first["segments"] and tcp
        tcp = wait_until(sampled, "a later sample")
    assert tcp["sampled"] > first["sampled"] and tcp["delivery_bit_s"] > 0
    assert metric(g.standpipe, "path_segments_total") >= tcp["segments"]


def test_both_directions_are_told_apart(gate):
    g = gate(size=1)
    with contextlib.closing(g.connect()) as client, client.cursor() as cursor:
        def received():
            cursor.execute("select repeat('x', 1000000)")
            return (p := path_of(g.standpipe))["received_bytes_s"] > 100 * p["sent_bytes_s"] > 0
        wait_until(received, "more received than sent")

        def sent():
            cursor.execute("select length(%s)", ["x" * 1000000])
            return (p := path_of(g.standpipe))["sent_bytes_s"] > 100 * p["received_bytes_s"] > 0
        wait_until(sent, "more sent than received")


def through_a_hole(run_standpipe, postgres, hole, **env):
    return run_standpipe("serve", env={
        "DATABASE_URL": f"postgresql://app:{postgres.template.PASSWORD}@{HOST}:{hole.port}/app",
        "STANDPIPE_LISTEN_PORT": 0, "STANDPIPE_LISTEN_SOCKET_DIR": "", "VPC_MONITORING_ENABLED": "on", **env})


def test_dropped_handshakes_are_counted_when_they_are_dialled_afresh(run_standpipe, postgres):
    with contextlib.closing(faults.BlackHole(target=postgres.port)) as hole:
        standpipe = through_a_hole(run_standpipe, postgres, hole, STANDPIPE_PATH_DIAL_PATIENCE="1s")
        standpipe.wait_get("/status", lambda a: a.json["attempts"]["redials"] >= 2)
        hole.lift()
        standpipe.wait_get("/startup")
        path = path_of(standpipe)
        assert path["history"][0] == "." and path["handshakes"]["history"][0] == "s", path
        assert path["handshakes"]["syn_lost"] >= 2
        assert metric(standpipe, "path_syn_lost_total") == path["handshakes"]["syn_lost"]


def test_dropped_handshakes_are_counted_by_the_kernel(run_standpipe, postgres):
    """Nothing is dialled afresh: the SYN that the kernel sent again is the one that was answered."""
    with contextlib.closing(faults.BlackHole(target=postgres.port)) as hole:
        standpipe = through_a_hole(run_standpipe, postgres, hole, STANDPIPE_PATH_DIAL_PATIENCE="0")

        standpipe.wait_get("/status", lambda a: any(
            attempt["stages_s"].get("tcp", 0) > 0.2 for attempt in a.json["attempts"]["recent"]))
        hole.lift()
        standpipe.wait_get("/startup")
        attempts = standpipe.get("/status").json["attempts"]
        assert attempts["redials"] == 0
        path = path_of(standpipe)
        assert path["handshakes"]["syn_lost"] >= 1 and path["handshakes"]["history"][0] == "s", path


def can_narrow():
    """May a network of one's own be made, and made narrow?"""
    if not (shutil.which("unshare") and shutil.which("tc") and shutil.which("ip")):
        return False
    return subprocess.run(["unshare", "-n", "sh", "-c", "ip link set lo up && tc qdisc add dev lo root tbf rate 1mbit "
                           "burst 10kb latency 100ms"], capture_output=True, check=False).returncode == 0


def test_a_narrow_path_shows_in_round_trips_and_retransmits():
    """Runs the tests of narrow_path.py in a network of their own, whose loopback is narrow."""
    if not can_narrow():
        pytest.skip("no network namespace of its own, or no tc with tbf: takes root and iproute2")
    here = pathlib.Path(__file__).parent
    done = subprocess.run(["unshare", "-n", "sh", "-c", 'ip link set lo mtu 1500 up && exec "$@"', "sh", sys.executable, "-m",
                           "pytest", "-q", "-p", "no:cacheprovider", os.fspath(here / "narrow_path.py")],
                          capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# --- the server ---


def database(standpipe):
    return standpipe.get("/health").json["database"]


def test_the_server_is_asked_for_its_limits_again(gate, make_postgres):
    """Whoever counts: the connections of others, too, whatever their role."""
    server = make_postgres(max_connections=20).start()
    g = gate(size=1, server=server, STANDPIPE_DATABASE_WATCH="1s", STANDPIPE_POOL_KEEP=1)
    before = database(g.standpipe)
    assert before["limits"]["max_connections"] == 20 and before["in_recovery"] is False and before["state"] == "up"
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(contextlib.closing(server.connect(user="postgres", database="postgres")))
        wait_until(lambda: database(g.standpipe)["limits"]["backends"] >= 5, "all backends to be counted")
    wait_until(lambda: database(g.standpipe)["limits"]["backends"] <= 2, "the others' ends")
    server.restart(max_connections=30)
    wait_until(lambda: database(g.standpipe)["limits"]["max_connections"] == 30, "the new limit")
    g.standpipe.wait_line("the server's limits have changed")
    assert metric(g.standpipe, "database_max_connections") == 30


def test_no_connection_is_kept_open_to_ask_on(gate):
    """With nothing kept warm and nobody there, the last one goes when it has idled long enough."""
    g = gate(size=1, STANDPIPE_DATABASE_WATCH="1s", STANDPIPE_POOL_KEEP=0, STANDPIPE_POOL_IDLE="2.5s")
    assert g.one("select 1") == 1
    wait_until(lambda: g.health()["pool"]["servers"]["idle"] == 0, "it to be closed")
    told = database(g.standpipe)["limits"]["told"]
    with contextlib.closing(g.connect()) as client, client.cursor() as cursor:
        def asked():
            cursor.execute("select 1")
            return database(g.standpipe)["limits"]["told"] > told
        wait_until(asked, "it to be asked while somebody is there")


def test_a_busy_server_is_asked_all_the_same(gate):
    """All connections are taken, with a queue before them: it waits among the others."""
    g = gate(size=1, STANDPIPE_DATABASE_WATCH="1s")
    told = database(g.standpipe)["limits"]["told"]
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(contextlib.closing(g.connect())) for _ in range(3)]

        def work(number):
            with clients[number].cursor() as cursor:
                while database(g.standpipe)["limits"]["told"] == told:
                    cursor.execute("select pg_sleep(0.2)")
        gating.in_threads(3, work)


def test_what_the_server_is_at_is_shown(gate, make_postgres):
    server = make_postgres(max_connections=20).start()
    g = gate(size=1, server=server)
    server.stop()
    with contextlib.suppress(psycopg2.Error), contextlib.closing(g.connect()) as client, client.cursor() as cursor:
        cursor.execute("select 1")
    wait_until(lambda: database(g.standpipe)["state"] == "unreachable", "the server's end to show")
    assert metric(g.standpipe, 'database_state{state="unreachable"}') == 1
    (server.data / "standby.signal").touch()
    if server.template.user:
        shutil.chown(server.data / "standby.signal", server.template.user)
    server.start()

    def look():
        with contextlib.suppress(psycopg2.Error):
            assert g.one("select pg_is_in_recovery()") is True
        return database(g.standpipe)["state"] == "recovery"
    wait_until(look, "the standby to show")
    states = [(e["from"], e["to"]) for e in g.standpipe.log() if e["message"] == "database server"]
    assert states[0] == ("unknown", "up") and states[-1][1] == "recovery", states
    server.query("select pg_promote()", database="postgres")
    wait_until(lambda: g.one("select pg_is_in_recovery()") is False, "the promotion")


def test_a_server_that_is_full_says_so(gate, make_postgres):
    server = make_postgres(max_connections=8).start()
    with contextlib.ExitStack() as stack:
        for _ in range(5):  # 8 less 3 for superusers
            stack.enter_context(contextlib.closing(server.connect()))
        g = gate(size=1, server=server, STANDPIPE_DATABASE_CRITICAL="false", DB_INITIALIZATION_TIMEOUT="1s")
        wait_until(lambda: database(g.standpipe)["state"] == "full", "it to be full")

    def served():
        with contextlib.suppress(psycopg2.Error):
            return g.one("select 1") == 1
    wait_until(served, "room")
    assert database(g.standpipe)["state"] == "up"
