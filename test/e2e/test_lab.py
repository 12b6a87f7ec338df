"""`standpipe lab`: real PostgreSQL, real processes, and nothing left behind."""

import json
import os
import pathlib
import shutil
import signal
import textwrap
import uuid

import pytest

import harness

SCENARIOS = harness.ROOT / "scenarios"
LAB_LIMIT = 180  # a whole lab, with sanitizers on a busy machine

# What every arm must say; other programs read these.
ARM_KEYS = {
    "starts", "succeeded", "success_rate", "ready", "instances", "exit_codes", "refused_53300",
    "peak_connections", "budget", "makespan_s", "bound_s", "ready_p50_s", "ready_p95_s",
}

# A service that is up at once and needs no database.
SERVICE = "exec /usr/bin/python3 -m http.server --bind 127.0.0.1 $PORT"


class Lab:
    """One run of it, with a temporary directory and a mark in every process's environment."""

    def __init__(self, standpipe, *arguments):
        self.mark = f"LAB_TEST_MARK={uuid.uuid4()}"
        self.temp = harness.short_dir("sp-lab-")
        name, _, value = self.mark.partition("=")
        env = {**os.environ, name: value, "TMPDIR": os.fspath(self.temp)}
        self.program = harness.Program([standpipe, "lab", *arguments], env=env)

    def wait(self):
        return self.program.wait(LAB_LIMIT)

    @property
    def out(self):
        return "\n".join(self.program.stdout_lines)

    @property
    def err(self):
        return "\n".join(self.program.stderr_lines)

    def processes(self):
        """The pids of all processes that this run started, itself included."""
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
            try:
                if self.mark.encode() in path.read_bytes().split(b"\0"):
                    found.append(int(path.parent.name))
            except OSError:
                continue
        return [pid for pid in found if harness.process_exists(pid)]

    def assert_nothing_is_left(self):
        assert not self.program.running()
        assert self.processes() == []
        assert list(self.temp.iterdir()) == []
        self.program.check_sanitizers()

    def close(self):
        if self.program.running():
            self.program.stop()
        shutil.rmtree(self.temp, ignore_errors=True)


@pytest.fixture(name="lab")
def lab_fixture(standpipe):
    labs = []

    def start(*arguments):
        labs.append(Lab(standpipe, *arguments))
        return labs[-1]

    yield start
    for one in labs:
        one.close()


@pytest.fixture(name="scenario")
def scenario_fixture(tmp_path):
    """scenario(service, more): a file with three instances of a shell command."""

    def write(service=SERVICE, more="", duration="60s"):
        path = tmp_path / "scenario.yaml"
        path.write_text(textwrap.dedent(f"""\
            name: small
            instances: 3
            duration: {duration}
            settle: 200ms
            command: [sh, -c, {json.dumps(service)}]
            platform: {{probe_path: /, restart_delay: 100ms, restart_max: 500ms}}
            arms:
              - {{name: plain, path: none}}
            """) + more)
        return path

    return write


@pytest.fixture(name="smoke", scope="module")
def smoke_fixture(standpipe, tmp_path_factory):
    """The smoke scenario, run once: the lab and its JSON."""
    output = tmp_path_factory.mktemp("smoke") / "smoke.json"
    lab = Lab(standpipe, SCENARIOS / "smoke.yaml", "--output", output)
    try:
        code = lab.wait()
        assert code in (0, 1), lab.program.text
        yield lab, json.loads(output.read_text())
    finally:
        lab.close()


def test_every_arm_says_what_was_measured(smoke):
    _, report = smoke
    assert report["scenario"] == "smoke"
    assert report["time_scale"] == 0.1
    assert list(report["arms"]) == ["unconstrained", "direct", "standpipe"]
    for name, arm in report["arms"].items():
        assert ARM_KEYS <= arm.keys(), name
        assert arm["instances"] == 4
        assert 0 <= arm["ready"] <= arm["instances"]
        assert arm["starts"] >= arm["instances"]
        assert arm["success_rate"] == pytest.approx(arm["succeeded"] / arm["starts"], abs=0.001)
        assert sum(arm["exit_codes"].values()) + arm["unfinished"] + arm["ready"] <= arm["starts"]
        assert arm["samples"] > 0
        assert (arm["makespan_s"] is None) == (arm["ready"] < arm["instances"])


def test_without_a_path_all_come_up_and_that_is_the_bound(smoke):
    arm = smoke[1]["arms"]["unconstrained"]
    assert arm["success_rate"] == 1
    assert arm["ready"] == 4
    assert arm["exit_codes"] == {}
    assert arm["peak_connections"] == 4 * arm["warm"] == 24
    assert arm["bound_s"] == arm["makespan_s"]
    assert arm["ready_p50_s"] <= arm["ready_p95_s"] <= arm["makespan_s"]


def test_the_path_is_too_narrow_for_all_pools(smoke):
    arm = smoke[1]["arms"]["direct"]
    assert arm["exit_codes"].get("3", 0) > 0
    assert arm["ready"] < 4
    assert arm["connector"]["dropped_syns"] > 0
    # Two machines for eight at most.
    assert arm["connector"]["peak_flows"] <= 16
    assert arm["peak_connections"] <= 16
    assert "static timeout" in arm["last_words"]
    assert arm["bound_s"] == smoke[1]["arms"]["unconstrained"]["makespan_s"]


def test_standpipe_brings_all_up_within_the_budget(smoke):
    lab, report = smoke
    arm = report["arms"]["standpipe"]
    assert arm["success_rate"] == 1, lab.out
    assert arm["ready"] == 4
    assert arm["refused_53300"] == 0
    assert arm["peak_connections"] <= arm["budget"]
    assert {"init", "database", "services"} <= arm["phases"].keys()
    assert arm["phases"]["database"]["instances"] == 4


def test_the_table_tells_what_is_real(smoke):
    lab, report = smoke
    for part in ("Real: PostgreSQL", "Emulated:", "Time scale", "starts tried", "unconstrained", "bound"):
        assert part in lab.out
    for expectation in report["expect"]:
        assert expectation["expect"] in lab.out
    assert lab.program.process.returncode == (0 if all(e["holds"] for e in report["expect"]) else 1)


def test_smoke_leaves_nothing(smoke):
    smoke[0].assert_nothing_is_left()


def test_json_takes_the_tables_place(lab, scenario):
    run = lab("--json", "--time-scale", "0.5", scenario(more="  - {name: other}\n"), "--arm", "plain")
    assert run.wait() == 0
    report = json.loads(run.out)
    assert report["time_scale"] == 0.5
    assert list(report["arms"]) == ["plain"]
    assert report["arms"]["plain"]["ready"] == 3
    run.assert_nothing_is_left()


def test_a_bound_is_measured_for_an_arm_alone(lab, scenario):
    run = lab("--json", scenario(more="  - {name: other}\n"), "--arm", "other")
    assert run.wait() == 0
    arm = json.loads(run.out)["arms"]["other"]
    assert arm["bound_parts_s"]["unconstrained"] > 0
    assert arm["bound_s"] > 0


def test_an_expectation_that_does_not_hold_is_an_error(lab, scenario):
    run = lab(scenario(more="expect: [plain.ready == 3, plain.ready > instances]\n"))
    assert run.wait() == 1
    assert "plain.ready == 3: yes" in run.out
    assert "plain.ready > instances: NO" in run.out


def test_exit_codes_and_restarts_are_counted(lab, scenario):
    run = lab("--json", scenario(service="exit 7", duration="2s"))
    assert run.wait() == 0
    arm = json.loads(run.out)["arms"]["plain"]
    assert list(arm["exit_codes"]) == ["7"]
    assert arm["starts"] > 3
    assert arm["ready"] == arm["succeeded"] == 0
    assert arm["makespan_s"] is None and arm["ready_p50_s"] is None


def test_a_start_that_the_probe_never_sees_ready_is_killed(lab, scenario):
    path = scenario(service="sleep 1000", duration="3s")
    path.write_text(path.read_text().replace("probe_path: /", "probe_path: /, probe_timeout: 1s"))
    run = lab("--json", path)
    assert run.wait() == 0
    assert json.loads(run.out)["arms"]["plain"]["exit_codes"].get("137", 0) >= 3
    run.assert_nothing_is_left()


def test_faults_come_and_go(lab, scenario):
    run = lab("--json", scenario(service="sleep 1; " + SERVICE, more=(
        "faults:\n"
        "  - {at: 100ms, kind: database_restart, for: 200ms}\n"
        "  - {at: 200ms, kind: partition, for: 300ms}\n")))
    assert run.wait() == 0, run.err
    assert json.loads(run.out)["arms"]["plain"]["ready"] == 3
    run.assert_nothing_is_left()


def test_instances_are_started_one_by_one_and_killed_when_they_are_not_alive(lab, scenario):
    path = scenario(duration="6s", more="service: {spread: 1500ms}\n")
    path.write_text(path.read_text().replace(
        "probe_path: /", "probe_path: /, liveness_path: /none, liveness_interval: 100ms"))
    run = lab("--json", path)
    assert run.wait() == 0, run.err
    arm = json.loads(run.out)["arms"]["plain"]
    assert arm["died"] >= 1
    assert arm["exit_codes"].get("137", 0) >= arm["died"]
    assert arm["succeeded"] >= arm["died"]
    assert arm["ready_p95_s"] >= 1  # the third begins after a second
    run.assert_nothing_is_left()


def test_a_new_revision_and_more_instances_take_over_under_load(lab, scenario):
    run = lab("--json", scenario(more=(
        "load: {rate: 20, path: /, retries: 5}\n"
        "faults:\n"
        "  - {at: 1200ms, kind: scale_out, instances: 2}\n"
        "  - {at: 1s, kind: deploy, instances: 1}\n"
        "  - {at: 1s, kind: slow, for: 200ms}\n"
        "  - {at: 1s, kind: connector_restart, for: 300ms}\n")))
    assert run.wait() == 0, run.err
    arm = json.loads(run.out)["arms"]["plain"]
    assert arm["instances"] == arm["ready"] == 5
    assert arm["starts"] == arm["succeeded"] == 3 + 3 + 2
    assert arm["died"] == 0 and arm["exit_codes"] == {}
    assert arm["makespan_s"] is not None and arm["fit_s"] <= arm["makespan_s"]
    assert arm["requests"] > 0 and arm["served_rate"] > 0
    assert arm["recovered_s"] > 0
    run.assert_nothing_is_left()


def test_an_outage_is_lived_through_and_its_end_is_seen(lab, tmp_path):
    path = tmp_path / "outage.yaml"
    path.write_text(textwrap.dedent(f"""\
        name: outage
        instances: 2
        duration: 90s
        settle: 200ms
        database: {{setup: ["create table items (id serial primary key, name text)"]}}
        path: {{rtt: 4ms}}
        load: {{rate: 20, timeout: 5s, retries: 0}}
        faults: [{{at: 3s, kind: database_restart, for: 1s}}]
        platform: {{restart_delay: 100ms, liveness_path: /health/database, liveness_interval: 300ms,
                   liveness_failures: 2}}
        directory: {harness.ROOT}/examples/light
        command: [/usr/bin/python3, main.py]
        env: {{DB_POOL_SIZE: 2, DB_MAX_OVERFLOW: 1}}
        arms: [{{name: direct}}]
        expect: [direct.recovered_s >= recovery_bound_s, direct.served_rate < 1]
        """))
    picture = tmp_path / "outage.svg"
    run = lab("--json", path, "--picture", picture)
    assert run.wait() == 0, run.out + run.err
    arm = json.loads(run.out)["arms"]["direct"]
    assert arm["died"] > 0
    assert arm["ready"] == arm["instances"] == arm["fitting"] == 2
    assert arm["recovery_bound_s"] == 1
    assert arm["elapsed_s"] > 3 + arm["recovered_s"]
    assert "<svg" in picture.read_text()
    run.assert_nothing_is_left()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_nothing_behind(lab, scenario, number):
    # Each start leaves an orphan in a session of its own, and one that ignores SIGTERM.
    service = "setsid sleep 1000 & trap '' TERM; echo here; sleep 1000; sleep 1000"
    run = lab(scenario(service=service))
    harness.wait_until(
        lambda: len(list(run.temp.glob("*/logs/plain-*.log"))) == 3
        and all(p.read_text() for p in run.temp.glob("*/logs/plain-*.log")),
        "all instances to run")
    assert len(run.processes()) > 3
    run.program.send_signal(number)
    assert run.wait() == 128 + number
    run.assert_nothing_is_left()


def test_a_signal_at_once_leaves_nothing_behind(lab, scenario):
    run = lab(scenario())
    harness.wait_until(lambda: list(run.temp.iterdir()), "the directory")
    run.program.send_signal(signal.SIGINT)
    assert run.wait() == 128 + signal.SIGINT
    run.assert_nothing_is_left()


def test_a_command_that_cannot_run_is_said(lab, scenario):
    path = scenario()
    path.write_text(path.read_text().replace("[sh,", "[/no/such/program,"))
    run = lab(path)
    assert run.wait() == 1
    assert "/no/such/program" in run.err and "No such file" in run.err
    run.assert_nothing_is_left()


def test_bad_input_is_named(lab, scenario, tmp_path):
    path = scenario(more="  - {name: plain}\n")
    run = lab(path)
    assert run.wait() == 2
    assert f"{path}:9: " in run.err and "two arms" in run.err
    busy = scenario(more="load: {rate: 300}\n")
    for arguments, part in (
        ([busy, "--time-scale", "0.1"], "load.rate is 3000"),
        ([], "scenario"),
        ([tmp_path / "none.yaml"], "none.yaml"),
        ([SCENARIOS / "smoke.yaml", "--arm", "nobody"], "nobody"),
        ([SCENARIOS / "smoke.yaml", "--time-scale", "fast"], "fast"),
        ([SCENARIOS / "smoke.yaml", "--bogus"], "unknown"),
    ):
        run = lab(*arguments)
        assert run.wait() == 2
        assert part in run.err
