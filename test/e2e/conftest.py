"""Fixtures for the end-to-end tests; what they give is described in harness.py."""

import os
import shutil
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

import gating  # noqa: E402
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


@pytest.fixture
def gate(run_standpipe, postgres):
    """gate(servers, config="...", NAME=value...): a gate with so many server connections at most."""
    directory = harness.short_dir()

    def run(size=3, server=None, config=None, **env):
        server = server or postgres
        port = harness.free_port()
        standpipe = run_standpipe("serve", config=config, env={
            "DATABASE_URL": server.url(), "STANDPIPE_LISTEN_PORT": port, "DB_POOL_SIZE": size,
            "DB_MAX_OVERFLOW": 0, "STANDPIPE_LISTEN_SOCKET_DIR": directory, "STANDPIPE_RETRY_BASE": "0.05",
            "STANDPIPE_RETRY_CAP": "0.2", "CIRCUIT_BREAKER_TIMEOUT": "0.3s", **env})
        standpipe.wait_get("/startup")
        made = gating.Gate(standpipe, port, server)
        made.directory = directory
        return made

    yield run
    shutil.rmtree(directory, ignore_errors=True)


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
