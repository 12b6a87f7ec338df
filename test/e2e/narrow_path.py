"""Loopback as a narrow path: packets wait, and then are dropped, as in a connector that is too small.

For a network namespace of its own (test_path.py runs it there): what it does to loopback is done to all.
Clients come by the Unix socket, so that only what goes to the database is narrow.
"""

import contextlib
import subprocess
import threading

import psycopg2

from harness import wait_until


def tc(*arguments):
    subprocess.run(["tc", "qdisc", *arguments], check=True, capture_output=True)


@contextlib.contextmanager
def narrow(rate, queue):
    """So many bits a second, and so many bytes may wait."""
    tc("add", "dev", "lo", "root", "tbf", "rate", rate, "burst", "20kb", "limit", queue)
    try:
        yield
    finally:
        tc("del", "dev", "lo", "root")


def path_of(g):
    return g.health()["path"]


@contextlib.contextmanager
def busy(g, sql, *arguments, clients=3):
    """Clients that ask that all the while."""
    done = threading.Event()

    def work():
        connection = psycopg2.connect(host=str(g.directory), port=g.port, user="app", dbname="app")
        with contextlib.closing(connection), connection.cursor() as cursor:
            while not done.is_set():
                cursor.execute(sql, arguments)
                cursor.fetchall()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join(60)


def test_a_queue_that_stands_is_pressure_until_it_has_gone(gate):
    g = gate(size=3, VPC_MONITORING_ENABLED="on")
    g.open_all(3)
    assert path_of(g)["state"] == "normal"
    # So narrow that the first round trip of each connection shows in its smoothed one, which takes in an
    # eighth of it: the least of all is what counts.
    with narrow("1mbit", "1mb"):
        with busy(g, "select repeat('x', 60000)"):
            path = wait_until(lambda: (p := path_of(g))["tcp"]["inflation"] > 3 and p, "the queue to show")
        assert path["state"] in ("capacity_pressure", "overloaded"), path
        assert path["tcp"]["rtt_s"] > 0.02 > path["tcp"]["min_rtt_s"], path
    with busy(g, "select 1", clients=1):
        wait_until(lambda: path_of(g)["state"] == "normal", "calm")


def test_packets_that_are_dropped_show_as_retransmits(gate):
    g = gate(size=3, VPC_MONITORING_ENABLED="on")
    g.open_all(3)
    with narrow("8mbit", "30kb"), busy(g, "select length(%s)", "x" * 300000):
        path = wait_until(lambda: (p := path_of(g))["tcp"]["retransmit_ratio"] > 0.02 and p, "retransmits")
        wait_until(lambda: path_of(g)["state"] in ("capacity_pressure", "overloaded"), "the state to follow")
    assert path["tcp"]["retransmits"] > 0, path
