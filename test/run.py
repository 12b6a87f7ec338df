#!/usr/bin/python3
"""Runs all tests of a build: the unit and structure tests by meson, the end-to-end tests by pytest.

usage: test/run.py BUILD [WORD...]    WORDs: only tests whose names contain one of them

Ends with one line of counts, and with code 1 if anything failed.
"""

import os
import pathlib
import subprocess
import sys
import xml.etree.ElementTree as xml

ROOT = pathlib.Path(__file__).resolve().parent.parent


def count(report):
    """(passed, failed, skipped) of a JUnit file; a missing one is a failure."""
    if not report.exists():
        return 0, 1, 0
    passed = failed = skipped = 0
    for case in xml.parse(report).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


def unit_tests(build, words):
    """Each cmocka test function counts: the programs speak TAP."""
    report = build / "meson-logs" / "testlog.junit.xml"
    report.unlink(missing_ok=True)
    listed = subprocess.run(
        ["meson", "test", "-C", build, "--list"], capture_output=True, text=True, check=True
    ).stdout
    names = [line.split(" / ")[-1].strip() for line in listed.splitlines() if " / " in line]
    chosen = [name for name in names if not words or any(word in name for word in words)]
    if not chosen:
        return 0, 0, 0
    environment = dict(os.environ, CMOCKA_MESSAGE_OUTPUT="TAP")
    subprocess.run(
        ["meson", "test", "-C", build, "--no-rebuild", "--print-errorlogs", *chosen],
        env=environment,
        check=False,
    )
    return count(report)


def end_to_end_tests(build, words):
    report = build / "pytest.junit.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", ROOT / "test/e2e"]
    command += [f"--junitxml={report}"]
    if words:
        command += ["-k", " or ".join(word.replace("/", "_") for word in words)]
    environment = dict(
        os.environ, STANDPIPE_BIN=str(build / "standpipe"), STANDPIPE_BUILD=str(build)
    )
    code = subprocess.run(command, env=environment, check=False).returncode
    if code == 5:  # none of that name
        return 0, 0, 0
    passed, failed, skipped = count(report)
    return passed, failed or (1 if code else 0), skipped


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    words = sys.argv[2:]
    unit = unit_tests(build, words)
    whole = end_to_end_tests(build, words)
    print(f"unit and structure: {unit[0]} passed, {unit[1]} failed, {unit[2]} skipped")
    print(f"end to end: {whole[0]} passed, {whole[1]} failed, {whole[2]} skipped")
    passed, failed, skipped = (a + b for a, b in zip(unit, whole))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
