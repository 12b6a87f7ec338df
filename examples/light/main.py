#!/usr/bin/python3
"""The service of examples/fastapi, with the same habits and settings, on little more than the
standard library: a threaded HTTP server and psycopg2. It is up in a fraction of the time, so that
many of them can be started on a small machine.

At its start it opens DB_POOL_WARM connections all at once, asks each of them something, and checks
the schema, all within one static timeout. When that fails it exits with code 3.
"""

import http.server
import json
import os
import re
import sys
import threading
import time

import psycopg2

SCHEMA_LOCK = 4711  # so that one instance alone makes the table
BACKLOG = 128  # connects that may wait to be accepted


class Settings:
    """All from the environment; DATABASE_URL alone is enough."""

    def __init__(self, environment):
        # The driver's suffix is SQLAlchemy's; libpq knows none.
        self.database_url = re.sub(r"^(\w+)\+\w+://", r"\1://", environment["DATABASE_URL"])
        self.pool_size = int(environment.get("DB_POOL_SIZE", "20"))
        self.max_overflow = int(environment.get("DB_MAX_OVERFLOW", "30"))
        self.pool_warm = int(environment.get("DB_POOL_WARM", self.pool_size))
        self.pool_timeout_s = float(environment.get("DB_POOL_TIMEOUT", "30"))
        self.timeout_s = float(environment.get("DB_INITIALIZATION_TIMEOUT", "20"))
        self.health_timeout_s = float(environment.get("DB_HEALTH_CHECK_TIMEOUT", "5"))
        self.hold_s = float(environment.get("DB_HOLD", "0"))
        self.port = int(environment.get("PORT", "8080"))
        if self.pool_warm > self.pool_size + self.max_overflow:
            raise ValueError("DB_POOL_WARM is more than DB_POOL_SIZE + DB_MAX_OVERFLOW")


class PoolTimeout(Exception):
    """No connection came free in time."""


class Pool:
    """At most `size` connections are kept, and `overflow` more opened on demand. One that waited is
    asked before it is used again, and replaced if it does not answer."""

    def __init__(self, url, size, overflow):
        self.url = url
        self.size = size
        self.idle = []
        self.places = threading.Semaphore(size + overflow)
        self.lock = threading.Lock()

    def connect(self):
        connection = psycopg2.connect(self.url)
        connection.autocommit = True
        return connection

    def take(self, timeout_s):
        if not self.places.acquire(timeout=max(timeout_s, 0)):
            raise PoolTimeout("no connection of the pool came free")
        try:
            with self.lock:
                connection = self.idle.pop() if self.idle else None
            if connection:
                try:
                    ask(connection, "select 1")
                except psycopg2.Error:
                    connection.close()
                    connection = None
            return connection or self.connect()
        except BaseException:
            self.places.release()
            raise

    def give_back(self, connection):
        with self.lock:
            if not connection.closed and len(self.idle) < self.size:
                self.idle.append(connection)
                connection = None
        if connection:
            connection.close()
        self.places.release()

    def ask(self, sql, timeout_s, hold_s=0):
        connection = self.take(timeout_s)
        try:
            rows = ask(connection, sql)
            time.sleep(hold_s)
            return rows
        finally:
            self.give_back(connection)


def ask(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []


def within(timeout_s, work):
    """What `work` gives, or its exception; TimeoutError when it takes longer, and then its thread
    is left behind: a thread that waits for the network cannot be ended."""
    outcome = []

    def run():
        try:
            outcome.append((work(), None))
        except Exception as error:  # whatever it is, the waiting one raises it
            outcome.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(timeout_s)
    if not outcome:
        raise TimeoutError("timed out")
    result, error = outcome[0]
    if error:
        raise error
    return result


def warm_pool(pool, count, timeout_s):
    """Opens `count` connections at once and holds them until all are open, so that they are
    `count` different ones."""
    opened, failures = [], []
    done = threading.Semaphore(0)
    until = time.monotonic() + timeout_s

    def open_one():
        try:
            connection = pool.take(timeout_s)
            ask(connection, "select 1")
            opened.append(connection)
        except Exception as error:
            failures.append(error)
        done.release()

    for _ in range(count):
        threading.Thread(target=open_one, daemon=True).start()
    for _ in range(count):
        if not done.acquire(timeout=max(until - time.monotonic(), 0)):
            raise TimeoutError("timed out")
        if failures:
            raise failures[0]
    for connection in opened:
        pool.give_back(connection)


def check_schema(pool, timeout_s):
    """The table is there; the first instance of all makes it."""
    if pool.ask("select to_regclass('items')", timeout_s)[0][0] is None:
        pool.ask(
            f"begin; select pg_advisory_xact_lock({SCHEMA_LOCK});"
            " create table if not exists items (id serial primary key, name text); commit",
            timeout_s,
        )


def initialize(pool, settings):
    begun = time.monotonic()
    warm_pool(pool, settings.pool_warm, settings.timeout_s)
    left_s = settings.timeout_s - (time.monotonic() - begun)
    within(left_s, lambda: check_schema(pool, left_s))


def why(error):
    """One line; never the URL, which holds the password."""
    if isinstance(error, TimeoutError):
        return "timed out"
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def make_handler(pool, settings):
    def health():
        return {"status": "ok"}

    def health_database():
        """Is the database there? As a liveness probe this is a trap: see README.md."""
        within(
            settings.health_timeout_s,
            lambda: pool.ask("select 1", settings.health_timeout_s),
        )
        return {"status": "ok"}

    def items():
        rows = pool.ask(
            "select id, name from items order by id limit 100",
            settings.pool_timeout_s,
            settings.hold_s,
        )
        return [{"id": row[0], "name": row[1]} for row in rows]

    routes = {"/health": health, "/health/database": health_database, "/items": items}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            route = routes.get(self.path)
            status, answer = 404, {"error": "no such page"}
            if route:
                try:
                    status, answer = 200, route()
                except Exception as error:
                    status, answer = 503, {"error": why(error)}
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Handler


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = BACKLOG

    def server_bind(self):
        # HTTPServer's looks up the host's name, which may take long.
        http.server.socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address

    def handle_error(self, *_):
        pass  # the client went away


def main():
    try:
        settings = Settings(os.environ)
    except (KeyError, ValueError) as error:
        print(f"configuration: {error}", file=sys.stderr)
        return 2
    pool = Pool(settings.database_url, settings.pool_size, settings.max_overflow)
    begun = time.monotonic()
    try:
        initialize(pool, settings)
    except Exception as error:
        print(
            "startup failed in the database phase after"
            f" {time.monotonic() - begun:.1f} s (static timeout {settings.timeout_s:g} s):"
            f" {why(error)}",
            file=sys.stderr,
            flush=True,
        )
        os._exit(3)  # threads that wait for the network would keep it
    print(
        f"{settings.pool_warm} connections open after {time.monotonic() - begun:.1f} s",
        file=sys.stderr,
        flush=True,
    )
    try:
        Server(("127.0.0.1", settings.port), make_handler(pool, settings)).serve_forever()
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
