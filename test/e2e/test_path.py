"""What is measured of the way to the database, and where it is shown."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

import faults
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
