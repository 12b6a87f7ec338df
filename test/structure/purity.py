#!/usr/bin/python3
"""The purity check: core decides and does nothing else.

Looks at every symbol that an archive of objects leaves undefined (nm). Allowed are

  - mem*, str* and the assert that catches bugs,
  - what compilers put in by themselves (stack protector, sanitizers, coverage, fortified mem*),
  - what the archive defines itself,
  - what an object of the other archives defines that is pure by the same rule: core may use
    base's random numbers, but not its buffers, which allocate.

Everything else is I/O, a clock, memory, a log or a library. Prints file:line for each use.

Usage: purity.py ARCHIVE [OTHER...]      exit code 0: pure, 1: not, 2: nothing to look at
"""

import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

ALLOWED = re.compile(
    r"""mem(cpy|move|set|cmp|chr|rchr|mem)|
        str(len|nlen|cmp|ncmp|chr|rchr|spn|cspn|str|pbrk)|
        __mem(cpy|move|set)_chk|
        __assert_fail|
        _GLOBAL_OFFSET_TABLE_|__tls_get_addr|__stack_chk_(fail|guard)|
        __(asan|ubsan|sanitizer|sancov|tsan|msan|hwasan)_\w+|
        __gcov_\w+|__llvm_(profile|gcov)\w*""",
    re.VERBOSE)

# "archive:object.o:                 U symbol\tfile:line", the last only with debug information.
NM_LINE = re.compile(r"^(?P<object>.+):(?P<value>[0-9a-f]*) +(?P<type>\S) (?P<name>\S+)"
                     r"(?:\t(?P<place>.+))?$")


class Symbols:
    """What the objects of an archive define, and what they leave to others."""

    def __init__(self, archive: str):
        self.defined: dict[str, str] = {}  # symbol -> object
        self.undefined: dict[str, dict[str, str]] = defaultdict(dict)  # object -> symbol -> place
        listing = subprocess.run(["nm", "-A", "-l", archive], capture_output=True, text=True)
        if listing.returncode != 0:
            raise SystemExit(f"{archive}: nm cannot read it: {listing.stderr.strip()}")
        for line in listing.stdout.splitlines():
            row = NM_LINE.match(line)
            if not row:
                continue
            kind, name, where = row["type"], row["name"], row["object"]
            if kind in "Uw":
                self.undefined[where][name] = row["place"] or where
            elif kind.isupper():
                self.defined[name] = where


def impure_uses(where: str, archives: list[Symbols], visiting: frozenset = frozenset()) -> dict:
    """The symbols that object `where` uses and should not -> why. The first archive is the one
    under check: what it defines itself is looked at on its own account."""
    uses = {}
    home_archive = next(archive for archive in archives if where in archive.undefined)
    for name in home_archive.undefined[where]:
        if ALLOWED.fullmatch(name):
            continue
        owner = next((archive for archive in archives if name in archive.defined), None)
        if not owner:
            uses[name] = "not one of mem*, str*, assert"
            continue
        home = owner.defined[name]
        if owner is archives[0] or home in visiting or home not in owner.undefined:
            continue
        deeper = impure_uses(home, archives, visiting | {home})
        if deeper:
            uses[name] = f"{home.rsplit(':', 1)[-1]} uses {', '.join(sorted(deeper))}"
    return uses


def readable(place: str) -> str:
    """A place as one would type it from the project's root, where it lies inside."""
    place = os.path.normpath(place)
    return os.path.relpath(place, ROOT) if place.startswith(f"{ROOT}{os.sep}") else place


def check(archive: str, others: list[str]) -> list[str]:
    """One line for each impure use in `archive`."""
    archives = [Symbols(path) for path in (archive, *others)]
    symbols = archives[0]
    if not symbols.defined:
        raise SystemExit(f"{archive}: defines nothing; is it the right archive?")
    broken = []
    for where in sorted(symbols.undefined):
        for name, why in sorted(impure_uses(where, archives).items()):
            broken.append(f"{readable(symbols.undefined[where][name])}: uses {name}: {why}")
    return broken


def main() -> int:
    if len(sys.argv) < 2:
        print(__doc__.strip().splitlines()[-1], file=sys.stderr)
        return 2
    try:
        broken = check(sys.argv[1], sys.argv[2:])
    except SystemExit as error:
        print(error, file=sys.stderr)
        return 2
    for line in broken:
        print(line)
    if broken:
        print("core decides only: no I/O, no clock, no allocation, no logging")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
