"""Drivers of other languages through the gate: programs in test/drivers, one a language.

Each takes a port and the pool's mode, uses its driver as an application does, and prints a line
"ok PART" or "not ok PART: why" for each of its parts.
"""

import os
import pathlib
import shutil
import subprocess

import pytest

import harness

DRIVERS = harness.ROOT / "test" / "drivers"
JDBC = pathlib.Path("/usr/share/java/postgresql.jar")
MODES = {"transaction": 5, "session": 80}  # and how many servers


@pytest.fixture(scope="session")
def node_modules():
    """node-postgres and its companions, from npm, of the versions in package-lock.json."""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    lock = DRIVERS / "node" / "package-lock.json"
    directory = harness.binary().parent / "drivers"
    if not (directory / "installed").exists() or (directory / "installed").read_text() != lock.read_text():
        directory.mkdir(exist_ok=True)
        for file in (lock, lock.with_name("package.json")):
            shutil.copy(file, directory)
        done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=directory, capture_output=True, text=True,
                              timeout=300, check=False)
        if done.returncode:
            pytest.skip(f"npm could not install node-postgres: {done.stderr.strip()[-300:]}")
        shutil.copy(lock, directory / "installed")
    return directory / "node_modules"


def drive(gate, mode, *argv, **env):
    g = gate(MODES[mode], STANDPIPE_POOL_MODE=mode)
    g.server.query("drop table if exists items; create table items (i int primary key, s text)", user="app")
    done = subprocess.run([*map(os.fspath, argv), str(g.port), mode], env=harness.clean_environment(**env),
                          capture_output=True, text=True, timeout=harness.LIMIT * 4, check=False)
    told = done.stdout + done.stderr
    assert done.returncode == 0 and "not ok" not in told and done.stdout.endswith("done\n"), told
    if mode == "transaction":
        assert len(g.backends()) <= 5
        harness.wait_until(lambda: g.health()["pool"]["servers"]["busy"] == 0, "all servers idle")


@pytest.mark.parametrize("mode", MODES)
def test_node_postgres(gate, node_modules, mode):
    drive(gate, mode, "node", "--no-deprecation", DRIVERS / "node" / "drive.js", NODE_PATH=node_modules)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.skipif(not JDBC.exists(), reason="the package libpostgresql-jdbc-java is not installed")
def test_jdbc(gate, mode):
    drive(gate, mode, "java", "-cp", JDBC, DRIVERS / "java" / "Drive.java")


@pytest.mark.parametrize("mode", MODES)
def test_perl_dbd_pg(gate, mode):
    drive(gate, mode, "perl", DRIVERS / "perl" / "drive.pl")
