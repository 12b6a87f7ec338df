#!/usr/bin/python3
"""The include check: who may include whom.

The rule is the indented table under "## Layers" in ARCHITECTURE.md, and only there:

    core/      base                 what it is for

A file in src/core/ (or test/core/) may include "core/..." and "base/...", nothing else of the
project. `-` names nobody, `all` everybody. Tests of a layer follow the layer's line, and may
include helpers that lie beside them. Prints one line for each rule broken: file:line: what, why.

Usage: includes.py [ROOT]      exit code 0: all well, 1: rules broken, 2: no table to check against
"""

import re
import sys
from pathlib import Path

HEADING = "## Layers"
ROW = re.compile(r"^ {4}(?P<layer>[a-z]+)/ +(?P<names>-|[a-z]+(?: [a-z]+)*)(?: {2,}.*)?$")
INCLUDE = re.compile(r'^\s*#\s*include\s*(?P<open>["<])(?P<path>[^">]+)[">]')


class TableError(Exception):
    """ARCHITECTURE.md has no table that can be read."""


def read_table(page: Path) -> dict[str, set[str]]:
    """The layers and, for each one, those that it may include; itself always among them."""
    if not page.is_file():
        raise TableError(f"{page}: not found; the layers' table belongs there, under '{HEADING}'")
    rows, inside, begun = {}, False, False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.startswith("## "):
            inside = line.startswith(HEADING)
        if not inside:
            continue
        if not line.startswith("    ") or not line.strip():
            inside = inside and not begun  # the first indented block is the table
            continue
        begun = True
        row = ROW.match(line)
        if not row:
            raise TableError(f"{page}:{number}: not a row like '    core/   base   what it is for'")
        rows[row["layer"]] = (number, row["names"].split())
    if not rows:
        raise TableError(f"{page}: no indented table of layers under a heading '{HEADING}'")
    table = {}
    for layer, (number, names) in rows.items():
        if names == ["all"]:
            names = list(rows)
        unknown = [name for name in names if name != "-" and name not in rows]
        if unknown:
            raise TableError(f"{page}:{number}: {layer}/ names {unknown[0]}/, which has no row")
        table[layer] = {layer, *names} - {"-"}
    return table


def check_file(root: Path, file: Path, layer: str, table: dict[str, set[str]]) -> list[str]:
    """What one file of `layer` includes that it may not."""
    broken = []
    is_test = file.relative_to(root).parts[0] == "test"
    for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1):
        include = INCLUDE.match(line)
        if not include:
            continue
        path, place = include["path"], f"{file.relative_to(root)}:{number}"
        other = path.split("/")[0] if "/" in path else None
        if include["open"] == "<":
            if other in table and (root / "src" / path).is_file():
                broken.append(f'{place}: <{path}> is ours: write "{path}"')
        elif other not in table:
            if not (is_test and (file.parent / path).is_file()):
                broken.append(f'{place}: "{path}" is not written from src, as "layer/file.h"')
        elif other not in table[layer]:
            allowed = " ".join(sorted(table[layer] - {layer})) or "nothing"
            broken.append(f'{place}: {layer}/ may not include "{path}": its line in '
                          f"ARCHITECTURE.md allows {allowed}")
        elif not (root / "src" / path).is_file():
            broken.append(f'{place}: "{path}" does not exist in src')
    return broken


def check(root: Path) -> list[str]:
    """Every rule broken in the tree at `root`."""
    table = read_table(root / "ARCHITECTURE.md")
    broken = []
    for top in ("src", "test"):
        for folder in sorted(path for path in (root / top).glob("*") if path.is_dir()):
            files = sorted(file for file in folder.rglob("*") if file.suffix in (".c", ".h"))
            if folder.name in table:
                for file in files:
                    broken += check_file(root, file, folder.name, table)
            elif top == "src" and files:
                broken.append(f"{folder.relative_to(root)}: has no row in ARCHITECTURE.md's table")
    return broken


def main() -> int:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2]
    try:
        broken = check(root)
    except TableError as error:
        print(error, file=sys.stderr)
        return 2
    for line in broken:
        print(line)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
