"""Fixtures for the end-to-end tests; what they give is described in harness.py."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

import harness  # noqa: E402


@pytest.fixture(scope="session")
def standpipe():
    """The path of the program."""
    return harness.binary()


@pytest.fixture
def free_port():
    return harness.free_port


@pytest.fixture
def run_standpipe(standpipe):
    """run_standpipe("run", command=[...], env={...}, config="...") starts the program."""
    runner = harness.Runner(standpipe)
    try:
        yield runner
    finally:
        runner.close()


@pytest.fixture(scope="session")
def postgres_template():
    template = harness.PostgresTemplate()
    try:
        yield template
    finally:
        template.remove()


@pytest.fixture(scope="module")
def postgres(postgres_template):
    """A server that runs, shared by a module's tests: leave it running and as it was."""
    server = harness.Postgres(postgres_template)
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture
def make_postgres(postgres_template):
    """make_postgres(max_connections=20, tls=True, settings={...}) gives a server, not started."""
    servers = []

    def make(**kwargs):
        servers.append(harness.Postgres(postgres_template, **kwargs))
        return servers[-1]

    try:
        yield make
    finally:
        for server in servers:
            server.remove()


@pytest.fixture(scope="module")
def redis():
    """A server that runs, shared by a module's tests."""
    server = harness.Redis()
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture
def make_redis():
    """make_redis(password="x", tls=True) gives a server, not started."""
    servers = []

    def make(**kwargs):
        servers.append(harness.Redis(**kwargs))
        return servers[-1]

    try:
        yield make
    finally:
        for server in servers:
            server.remove()


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter):
    """The counts, in one line that ./dev test can pick up."""
    stats = terminalreporter.stats
    counts = {name: len(stats.get(name, [])) for name in ("passed", "failed", "error", "skipped")}
    terminalreporter.write_line("end-to-end: " + ", ".join(f"{n} {name}" for name, n in counts.items()))
