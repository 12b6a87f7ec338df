#!/usr/bin/python3
"""Tests of the two structural checks: each one must fail on what it is there to find."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
COMPILER = os.environ.get("CC", "cc").split()

PAGE = """# Tour

## Layers

Who may include whom:

    base/      -           bytes
    core/      base        decisions
    io/        core base   waits
    app/       all         main

    Not a row: the table is over.

## After
"""


class Tree(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = Path(self.folder.name)

    def tearDown(self):
        self.folder.cleanup()

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def run_check(self, name: str, *arguments) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, HERE / name, *map(str, arguments)],
                              capture_output=True, text=True)


class Includes(Tree):
    def setUp(self):
        super().setUp()
        self.write("ARCHITECTURE.md", PAGE)
        for path in ("base/b.h", "core/c.h", "io/i.h", "app/a.h"):
            self.write(f"src/{path}", "")

    def expect(self, code: int, *lines: str):
        result = self.run_check("includes.py", self.root)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        for line in lines:
            self.assertIn(line, result.stdout + result.stderr)

    def test_what_the_table_allows_passes(self):
        self.write("src/io/i.c", '#include "io/i.h"\n#include <uv.h>\n#include "core/c.h"\n')
        self.write("src/app/a.c", '#include "io/i.h"\n#include "base/b.h"\n')
        self.write("test/core/c.c", '#include "core/c.h"\n#include "helper.h"\n')
        self.write("test/core/helper.h", "")
        self.write("test/e2e/probe.c", '#include "whatever.h"\n')
        self.expect(0)

    def test_an_include_against_the_direction_is_found(self):
        self.write("src/core/c.c", '#include "core/c.h"\n\n#include "io/i.h"\n')
        self.expect(1, 'src/core/c.c:3: core/ may not include "io/i.h"', "allows base")

    def test_a_test_may_not_reach_above_its_layer_either(self):
        self.write("test/base/b.c", '#  include "core/c.h"\n')
        self.expect(1, 'test/base/b.c:1: base/ may not include "core/c.h"', "allows nothing")

    def test_ways_around_the_table_are_found(self):
        self.write("src/core/c.c", '#include <io/i.h>\n#include "c.h"\n#include "../io/i.h"\n')
        self.expect(1, "src/core/c.c:1: <io/i.h> is ours", 'src/core/c.c:2: "c.h" is not',
                    'src/core/c.c:3: "../io/i.h" is not')

    def test_a_header_that_does_not_exist_is_found(self):
        self.write("src/core/c.c", '#include "base/gone.h"\n')
        self.expect(1, 'src/core/c.c:1: "base/gone.h" does not exist')

    def test_a_folder_without_a_row_is_found(self):
        self.write("src/util/u.h", "")
        self.expect(1, "src/util: has no row")

    def test_without_a_table_nothing_passes(self):
        self.write("ARCHITECTURE.md", "# Tour\n\n## Layers\n\nNone.\n")
        self.expect(2, "no indented table of layers under a heading '## Layers'")
        (self.root / "ARCHITECTURE.md").unlink()
        self.expect(2, "ARCHITECTURE.md: not found")

    def test_a_table_that_cannot_be_read_says_where(self):
        self.write("ARCHITECTURE.md", "## Layers\n\n    core/ lib  text\n")
        self.expect(2, "ARCHITECTURE.md:3: core/ names lib/, which has no row")
        self.write("ARCHITECTURE.md", "## Layers\n\n    base/      -  text\n    what is this\n")
        self.expect(2, "ARCHITECTURE.md:4: not a row")


class Purity(Tree):
    def archive(self, name: str, **sources: str) -> Path:
        """A static library of one object for each source, named by it."""
        objects = []
        for stem, text in sources.items():
            source = self.write(f"{name}/{stem}.c", text)
            objects.append(source.with_suffix(".o"))
            subprocess.run([*COMPILER, "-g", "-O1", "-c", source, "-o", objects[-1]], check=True)
        library = self.root / f"lib{name}.a"
        subprocess.run(["ar", "rcs", library, *objects], check=True)
        return library

    def test_memory_strings_and_asserts_are_pure(self):
        core = self.archive("core", a='''
#include <assert.h>
#include <string.h>
int helper(const char *, unsigned long);
int helper(const char *text, unsigned long len) { assert(text); return memchr(text, 0, len) != 0; }
''', b='''
int helper(const char *, unsigned long);
int user(const char *);
int user(const char *text) { return helper(text, 5); }
''')
        result = self.run_check("purity.py", core)
        self.assertEqual((result.returncode, result.stdout), (0, ""))

    def test_a_clock_memory_and_a_log_are_found_with_their_line(self):
        core = self.archive("core", bad='''
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
long bad(void);
long bad(void)
{
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        printf("%ld", now.tv_nsec);
        char *memory = malloc((unsigned long)now.tv_sec);
        return (long)memory;
}
''')
        result = self.run_check("purity.py", core)
        self.assertEqual(result.returncode, 1)
        for line, name in ((9, "clock_gettime"), (10, "printf"), (11, "malloc")):
            self.assertRegex(result.stdout, rf"bad\.c:{line}: uses \w*{name}")

    def test_only_what_is_pure_of_another_layer_may_be_used(self):
        base = self.archive("base", pure='''
int pure(int); int pure(int a) { return a + 1; }
''', buffer='''
#include <stdlib.h>
void *buffer(void); void *buffer(void) { return malloc(5); }
''', wrapper='''
void *buffer(void); void *wrapper(void); void *wrapper(void) { return buffer(); }
''')
        core = self.archive("core", good='''
int pure(int); int good(void); int good(void) { return pure(1); }
''', bad='''
void *wrapper(void); void *bad(void);
void *bad(void) { return wrapper(); }
''')
        result = self.run_check("purity.py", core, base)
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stdout, r"bad\.c:3: uses wrapper: wrapper\.o uses buffer")
        self.assertNotIn("good", result.stdout)

    def test_an_archive_that_is_not_there_or_empty_is_an_error(self):
        self.assertEqual(self.run_check("purity.py", self.root / "none.a").returncode, 2)
        self.assertEqual(self.run_check("purity.py", self.archive("empty")).returncode, 2)
        self.assertEqual(self.run_check("purity.py").returncode, 2)


if __name__ == "__main__":
    unittest.main()
