"""What becomes of the output where it can't be written, or is closed."""

import os
import subprocess

import pytest

import harness


@pytest.mark.parametrize("command", [
    ["version"], ["check"], ["sim", str(harness.ROOT / "scenarios/smoke.yaml")]])
def test_output_that_cannot_be_written_is_told(standpipe, command):
    env = {"DATABASE_URL": "postgresql://app@127.0.0.1/app", "PATH": os.environ["PATH"]}
    argv = [os.fspath(standpipe), *command]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(argv, env=env, stdout=full, stderr=subprocess.PIPE, text=True, timeout=harness.LIMIT)
    assert done.returncode == 1
    assert "cannot write to the standard output" in done.stderr

    # The shell closes it: there is no such descriptor at all.
    done = subprocess.run(["/bin/sh", "-c", '"$@" >&-', "sh", *argv], env=env, stderr=subprocess.PIPE,
                          text=True, timeout=harness.LIMIT)
    assert done.returncode == 1
    assert "cannot write to the standard output" in done.stderr


def test_a_closed_standard_stream_is_no_socket(standpipe):
    """libuv refuses to close a descriptor that is one of the standard three, and aborts."""
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@" <&- >&-', "sh", os.fspath(standpipe), "probe", "--count", "0",
         f"postgresql://app@127.0.0.1:{harness.free_port()}/app"],
        env={"PATH": os.environ["PATH"]}, stderr=subprocess.PIPE, text=True, timeout=harness.LIMIT)
    assert done.returncode == 3
