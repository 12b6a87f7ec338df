"""`standpipe sim`: the same scenarios in virtual time, the same bytes for the same seed."""

import json
import subprocess
import textwrap

import pytest

import harness

INCIDENT = harness.ROOT / "scenarios" / "incident.yaml"
LIMIT = 120  # with sanitizers, on a busy machine


@pytest.fixture(name="sim")
def sim_fixture(standpipe):
    """sim(arguments...): what it gave; its stderr must be clean."""

    def run(*arguments, code=0):
        done = subprocess.run(
            [standpipe, "sim", *map(str, arguments)],
            capture_output=True, text=True, timeout=LIMIT, check=False,
        )
        assert done.returncode == code, done.stderr
        assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr
        return done

    return run


@pytest.fixture(name="scenario")
def scenario_fixture(tmp_path):
    """scenario(more): a small one with an arm `standpipe`, and more at its end."""

    def write(more=""):
        path = tmp_path / "scenario.yaml"
        path.write_text(textwrap.dedent("""\
            name: small
            instances: 10
            duration: 60s
            path: {instances_min: 1, instances_max: 2, flows: 8, connect_rate: 4}
            command: [nothing]
            env: {DB_POOL_SIZE: 4}
            """) + textwrap.dedent(more))
        return path

    return write


def arm_of(done, name):
    return json.loads(done.stdout)["arms"][name]


def test_the_incident_fails_without_standpipe_and_succeeds_with_it(sim):
    report = json.loads(sim(INCIDENT, "--json", "--runs", 20, "--jobs", 2).stdout)
    direct, standpipe = report["arms"]["direct-20s"], report["arms"]["standpipe"]
    assert direct["runs"]["success_rate"]["p95"] < 0.5
    assert direct["ready"] < 20 and direct["makespan_s"] is None
    assert direct["exit_codes"]["3"] > 20
    assert standpipe["runs"]["success_rate"]["p5"] == 1
    assert standpipe["ready"] == 20 and standpipe["refused_53300"] == 0
    assert standpipe["peak_connections"] <= standpipe["budget"]
    assert all(expected["holds"] for expected in report["expect"])


def test_the_same_seed_gives_the_same_bytes_in_any_number_of_jobs(sim):
    def output(*more):
        arguments = [INCIDENT, "--seed", "7", "--runs", 9, *more]
        return sim(*arguments).stdout + sim(*arguments, "--json").stdout

    alone = output("--jobs", 1)
    assert output("--jobs", 1) == alone
    assert output("--jobs", 2) == alone
    assert output("--jobs", 5) == alone
    assert sim(INCIDENT, "--seed", "8", "--runs", 9).stdout != alone


def test_any_text_is_a_seed_and_is_printed(sim):
    commit = "f09e5d6c0ffee0000000000000000000deadbeef"
    first = sim(INCIDENT, "--seed", commit).stdout
    assert f"Seed: {commit}" in first
    assert sim(INCIDENT, "--seed", commit).stdout == first
    assert "Seed: 1\n" in sim(INCIDENT).stdout  # the scenario's
    assert json.loads(sim(INCIDENT, "--seed", "0x10", "--json").stdout)["seed"] == "0x10 (0x10)"


def test_the_clock_is_not_in_the_report(sim):
    done = sim(INCIDENT)
    assert "events" in done.stderr and "million a second" in done.stderr
    assert "million" not in done.stdout


def test_the_report_can_be_had_as_a_file_and_a_picture(sim, tmp_path):
    output, picture = tmp_path / "out.json", tmp_path / "out.svg"
    done = sim(INCIDENT, "--json", "--output", output, "--picture", picture)
    assert json.loads(output.read_text()) == json.loads(done.stdout)
    assert picture.read_text().startswith("<") and "</svg>" in picture.read_text()
    done = sim(INCIDENT, "--output", tmp_path / "no" / "such.json", code=1)
    assert "cannot write" in done.stderr


def test_every_key_of_the_configuration_makes_an_arm(sim, scenario):
    """What Standpipe is told by an arm's variables decides: the rules can be switched off."""
    path = scenario("""\
        arms:
          - {name: all, standpipe: yes, env: {STANDPIPE_BUDGET_INSTANCES: 10}}
          - name: patient
            standpipe: yes
            env: {STANDPIPE_BUDGET_INSTANCES: 10, STANDPIPE_PATH_DIAL_PATIENCE: 0}
          - {name: greedy, standpipe: yes, env: {STANDPIPE_POOL_KEEP: 4, STANDPIPE_POOL_SIZE: 4}}
        """)
    arms = json.loads(sim(path, "--json").stdout)["arms"]
    assert arms["all"]["ready"] == 10
    # Without redials a dropped SYN waits for the kernel's next: fewer are sent.
    assert arms["patient"]["connector"]["dropped_syns"] < arms["all"]["connector"]["dropped_syns"]
    assert arms["greedy"]["peak_connections"] > arms["all"]["peak_connections"] == 10


def test_faults_load_and_platform_are_played(sim, scenario):
    path = scenario("""\
        load: {rate: 20, at: 20s}
        platform: {liveness_path: /health, liveness_interval: 2s}
        service: {health: database}
        faults:
          - {at: 30s, kind: partition, for: 15s}
        arms:
          - {name: direct, env: {DB_POOL_SIZE: 1, DB_MAX_OVERFLOW: 0}}
          - {name: standpipe, standpipe: yes, env: {STANDPIPE_BUDGET_INSTANCES: 10}}
        """)
    arms = json.loads(sim(path, "--json").stdout)["arms"]
    assert arms["direct"]["died"] == 10
    assert arms["standpipe"]["died"] == 0
    assert arms["standpipe"]["served_rate"] > arms["direct"]["served_rate"]
    assert arms["standpipe"]["recovered_s"] >= 15


def test_one_arm_can_be_played_alone(sim):
    arms = json.loads(sim(INCIDENT, "--json", "--arm", "standpipe").stdout)["arms"]
    assert list(arms) == ["standpipe"]
    whole = json.loads(sim(INCIDENT, "--json").stdout)["arms"]["standpipe"]
    assert arms["standpipe"] == whole


def test_an_expectation_that_does_not_hold_is_exit_code_1(sim, scenario):
    path = scenario("""\
        arms: [{name: direct, env: {DB_INITIALIZATION_TIMEOUT: 5}}]
        expect: [direct.ready == instances]
        """)
    assert "NO" in sim(path, code=1).stdout
    assert "NO (in 0 of 3 runs)" in sim(path, "--runs", 3, code=1).stdout


def test_what_is_wrong_is_told_with_its_place(sim, scenario):
    assert "has no arm nobody" in sim(INCIDENT, "--arm", "nobody", code=2).stderr
    for option in ("--runs", "--jobs"):
        for value in ("0", "many", "1.5"):
            assert f"{option} {value}" in sim(INCIDENT, option, value, code=2).stderr
    assert "one scenario is needed" in sim(code=2).stderr
    path = scenario("""\
        arms: [{name: odd, standpipe: yes, env: {STANDPIPE_CONNECTS_WINDOW: none}}]
        """)
    told = sim(path, code=2).stderr
    assert "odd" in told and "STANDPIPE_CONNECTS_WINDOW" in told


def test_two_hundred_random_scenarios_keep_what_is_promised(sim):
    done = sim("--swarm", 200, "--jobs", 2, "--json")
    assert json.loads(done.stdout) == {"seed": "0x1", "scenarios": 200, "failed": 0, "broken": []}


def test_a_swarm_is_the_same_however_many_share_it(sim):
    alone, shared = (sim("--swarm", 8, "--seed", "a1b2c3", "--jobs", jobs) for jobs in (1, 3))
    assert alone.stdout == shared.stdout


@pytest.mark.parametrize("more", (["scenario.yaml"], ["--arm", "a"], ["--runs", "3"], ["--picture", "p.svg"]))
def test_a_swarm_takes_nothing_that_it_draws_itself(sim, more):
    assert "--swarm" in sim("--swarm", 3, *more, code=2).stderr


def test_jobs_end_with_the_process_that_started_them(standpipe):
    program = harness.Program([standpipe, "sim", "--runs", "1000000", "--jobs", "3", INCIDENT])
    jobs = harness.wait_until(lambda: len(c := harness.children_of(program.pid)) == 2 and c, "the jobs")
    program.process.kill()
    program.process.wait(LIMIT)
    harness.wait_until(lambda: not any(map(harness.process_exists, jobs)), "the jobs' end")


@pytest.mark.parametrize("option", ["--output", "--picture"])
def test_a_file_that_cannot_be_written_is_told_before_anything_runs(sim, tmp_path, option):
    done = sim(INCIDENT, option, tmp_path / "none" / "file", code=1)
    assert "cannot write" in done.stderr and "events" not in done.stderr
    assert not done.stdout
