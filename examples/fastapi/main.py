#!/usr/bin/python3
"""A small web service with the habits of the incident's: it opens its whole pool when it starts.

FastAPI, uvicorn, SQLAlchemy's async engine and asyncpg. Its lifespan opens DB_POOL_WARM connections
all at once, asks each of them something, and checks the schema, all within one static timeout. When
that fails, uvicorn exits with code 3, and the platform starts it again.
"""

import asyncio
import contextlib
import logging
import os
import sys
import time

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

CLEANUP_S = 1
LISTEN_FDS_START = 3  # systemd's protocol: the first inherited socket

log = logging.getLogger("service")


class Settings:
    """All from the environment; DATABASE_URL alone is enough."""

    def __init__(self, environment):
        self.database_url = environment["DATABASE_URL"]
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


async def warm_pool(engine, count):
    """Opens `count` connections at once and holds them until all are open, so that they are
    `count` different ones. No transaction stays open meanwhile."""
    opened = 0
    all_open = asyncio.Event()

    async def open_one():
        nonlocal opened
        async with engine.connect() as connection:
            await connection.execute(text("select 1"))
            await connection.rollback()
            opened += 1
            if opened == count:
                all_open.set()
            await all_open.wait()

    tasks = [asyncio.ensure_future(open_one()) for _ in range(count)]
    try:
        await asyncio.gather(*tasks)
    finally:
        # A task may lose its cancellation inside the driver: it must not wait for ever then.
        all_open.set()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=CLEANUP_S)
        for task in tasks:
            if task.done() and not task.cancelled():
                task.exception()  # seen; only the first one is told


async def check_schema(engine):
    """The table is there; the first instance of all makes it."""
    async with engine.begin() as connection:
        if await connection.scalar(text("select to_regclass('items')")) is None:
            await connection.execute(text("select pg_advisory_xact_lock(4711)"))
            await connection.execute(
                text("create table if not exists items (id serial primary key, name text)")
            )


async def initialize(engine, settings):
    await warm_pool(engine, settings.pool_warm)
    await check_schema(engine)


def why(error):
    """One line; never the URL, which holds the password."""
    if isinstance(error, asyncio.TimeoutError):
        return "timed out"
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def make_app(settings):
    engine = create_async_engine(
        settings.database_url,
        pool_size=settings.pool_size,
        max_overflow=settings.max_overflow,
        pool_timeout=settings.pool_timeout_s,
        pool_pre_ping=True,
    )

    @contextlib.asynccontextmanager
    async def lifespan(_app):
        begun = time.monotonic()
        try:
            await asyncio.wait_for(initialize(engine, settings), settings.timeout_s)
        except Exception as error:
            log.error(
                "startup failed in the database phase after %.1f s (static timeout %g s): %s",
                time.monotonic() - begun,
                settings.timeout_s,
                why(error),
            )
            raise  # uvicorn ends with its STARTUP_FAILURE, which is 3
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        log.info("%d connections open after %.1f s", settings.pool_warm, time.monotonic() - begun)
        yield
        await engine.dispose()

    app = FastAPI()
    app.router.lifespan_context = lifespan  # FastAPI takes it as an argument from 0.93 on

    @app.get("/health")
    async def health():
        return {"status": "ok"}

    @app.get("/health/database")
    async def health_database():
        """Is the database there? As a liveness probe this is a trap: see README.md."""

        async def ask():
            async with engine.connect() as connection:
                await connection.execute(text("select 1"))

        try:
            await asyncio.wait_for(ask(), settings.health_timeout_s)
        except Exception as error:
            return JSONResponse({"error": why(error)}, status_code=503)
        return {"status": "ok"}

    @app.get("/items")
    async def items():
        async with engine.connect() as connection:
            rows = await connection.execute(text("select id, name from items order by id limit 100"))
            await connection.rollback()
            await asyncio.sleep(settings.hold_s)
            return [{"id": row.id, "name": row.name} for row in rows]

    @app.websocket("/ws")
    async def echo(websocket: WebSocket):
        await websocket.accept()
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                await websocket.send_text(await websocket.receive_text())

    return app


def inherited_socket():
    """The listening socket that a parent handed over (LISTEN_FDS), or None."""
    if os.environ.get("LISTEN_PID") in (None, str(os.getpid())):
        if int(os.environ.get("LISTEN_FDS", "0")) >= 1:
            return LISTEN_FDS_START
    return None


def main():
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    # The driver leaves aborted logins to asyncio, which logs a traceback for each.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    try:
        settings = Settings(os.environ)
    except (KeyError, ValueError) as error:
        print(f"configuration: {error}", file=sys.stderr)
        return 2
    # Critical only, until the lifespan is through: it says in one line what went wrong, and uvicorn
    # would add the whole traceback.
    config = {"log_level": "critical", "access_log": False, "lifespan": "on", "ws": "websockets"}
    fd = inherited_socket()
    if fd is not None:
        uvicorn.run(make_app(settings), fd=fd, **config)
    else:
        uvicorn.run(make_app(settings), host="127.0.0.1", port=settings.port, **config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
