"""A gate to test against: `standpipe serve` before a real server, and what clients of it share."""

import contextlib
import os
import subprocess
import threading

import asyncpg
import psycopg2

import harness
import raw
from harness import HOST, wait_until


class Gate:
    """`standpipe serve`, started, and how to reach it."""

    def __init__(self, standpipe, port, server):
        self.standpipe = standpipe
        self.port = port
        self.server = server

    def url(self, scheme="postgresql"):
        return f"{scheme}://app@{HOST}:{self.port}/app"

    def connect(self, autocommit=True, **kwargs):
        connection = psycopg2.connect(host=HOST, port=self.port, user="app", dbname="app", **kwargs)
        connection.autocommit = autocommit
        return connection

    def raw(self, **kwargs):
        return raw.Raw(self.port, **kwargs)

    async def asyncpg(self, **kwargs):
        return await asyncpg.connect(self.url(), ssl="prefer", **kwargs)

    def health(self):
        return self.standpipe.get("/health").json

    def backends(self):
        """The pids of its server connections."""
        rows = self.server.query("select pid from pg_stat_activity where usename = 'app'")
        return {r[0] for r in rows}

    def open_all(self, count):
        """Sees to it that all of its server connections are open."""
        with contextlib.ExitStack() as stack:
            for _ in range(count):
                c = stack.enter_context(contextlib.closing(self.raw()))
                c.ask("begin")
        wait_until(lambda: len(self.backends()) == count, "all server connections")

    def one(self, sql):
        """A fresh client's answer."""
        with contextlib.closing(self.connect()) as connection:
            return ask(connection, sql)


def ask(connection, sql, *arguments):
    with connection.cursor() as cursor:
        cursor.execute(sql, arguments or None)
        return cursor.fetchone()[0] if cursor.description else None


def program(g, *argv, stdin=None, code=0, host=HOST):
    env = harness.clean_environment(PGHOST=host, PGPORT=g.port, PGUSER="app", PGDATABASE="app")
    done = subprocess.run([os.fspath(a) for a in argv], env=env, input=stdin, capture_output=True, text=True,
                          timeout=harness.LIMIT, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout, done.stderr


def in_threads(count, work):
    """work(number) in so many threads; the first failure is raised."""
    failures = []

    def run(number):
        try:
            work(number)
        except BaseException as e:  # pylint: disable=broad-except
            failures.append(e)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
