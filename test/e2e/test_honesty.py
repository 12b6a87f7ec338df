"""Is the simulator honest? The same scenarios in the lab, for real, and in virtual time.

They are small, and what they take is set by the path, the database or a back-off, not by how fast this
machine is. The service's own time to start is the machine's, so the simulator is given what was
measured in the same run of the lab. Of the simulator it is the range that nine of ten seeds lie in: the
lab's run is one of many, too.
"""

import json
import re
import subprocess

import pytest

import harness

SCENARIOS = harness.ROOT / "scenarios"
LIMIT = 240  # a whole lab, with sanitizers on a busy machine
RUNS = "101"
APART = 0.15  # of the larger
ALWAYS = ("success_rate", "peak_connections", "ready", "died", "makespan_s")


def play(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode in (0, 1), done.stderr
    (arm,) = json.loads(done.stdout)["arms"].values()
    return arm


def seconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(ms|s)", text).groups()
    return float(number) / (1000 if unit == "ms" else 1)


def start_s(scenario, arm):
    """One instance's own time to start: as Standpipe saw it, or what the last of those that were started
    one after the other, with nothing in their way, took."""
    if arm["standpipe"]:
        return arm["phases"]["services"]["p50_s"]
    spread_s = seconds(re.search(r"spread: (\w+)", scenario).group(1))
    last_s = spread_s * (arm["instances"] - 1) / arm["instances"]
    return max(arm["bound_parts_s"]["unconstrained"] - last_s, 0.01)


def with_start(scenario, start):
    scenario, count = re.subn(r"\bstart_m(in|ax): \w+", rf"start_m\1: {start * 1000:.0f}ms", scenario)
    assert count == 2
    return scenario


def agrees(lab, low, high):
    if lab is None or low is None or high is None:
        return lab is None and low is None and high is None
    nearest = min(max(lab, low), high)
    return abs(lab - nearest) <= APART * max(abs(lab), abs(nearest))


def disagreement(standpipe, tmp_path, name, metrics):
    """What the lab gave and the simulator does not, with the range of that."""
    path = SCENARIOS / f"{name}.yaml"
    lab = play(standpipe, "lab", "--json", path)
    scenario = path.read_text()
    start = start_s(scenario, lab)
    simulated = tmp_path / path.name
    simulated.write_text(with_start(scenario, start))
    runs = play(standpipe, "sim", "--json", "--runs", RUNS, simulated)["runs"]
    both = {metric: (lab[metric], *(runs.get(metric, {}).get(q) for q in ("p5", "p95")))
            for metric in metrics}
    print(f"{name}: a start takes {start:.3f} s; (lab, sim from, to): {both}")
    return {metric: values for metric, values in both.items() if not agrees(*values)}


@pytest.mark.parametrize("name, more", [
    ("honest-rate", ()),
    ("honest-room", ("starts",)),
    ("honest-outage", ("recovered_s", "starts")),
])
def test_lab_and_simulator_agree(standpipe, tmp_path, name, more):
    """A machine that is busy with other things now and then takes its time: a model that is wrong is so
    three times in a row."""
    apart = {}
    for _ in range(3):
        apart = disagreement(standpipe, tmp_path, name, ALWAYS + more)
        if not apart:
            break
    assert apart == {}
