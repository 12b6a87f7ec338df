"""What a client is told through the gate is what PostgreSQL tells it: random messages, to both.

A script is random messages in random pieces: extended and simple queries, pipelines with and
without Sync, errors, copies, portals, names that are taken or unknown. Every answer, to the last
field, is to be that of a direct connection, while another client talks at random to the same one
server in between. The number of a script that differs is its seed.
"""

import contextlib
import random
import re
import struct

import pytest

import raw
from raw import message, parse, query, text

SCRIPTS = 200  # in all

TEXTS = [
    "select 1", "select $1::int", "select $1::text, 2", "select 1/$1::int", "selec", "insert into items values ($1::int)",
    "select i from generate_series(1,5) i", "copy (select 1) to stdout", "begin", "commit", "rollback", "", "savepoint x",
    "rollback to x", "do $$ begin raise notice 'n'; end $$", "declare c cursor for select i from generate_series(1,9) i",
    "fetch 2 from c", "update items set i = i + 1 where i < $1::int returning i", "values ($1::int, $2::text)",
    "delete from items", "close c", "select * from nowhere", "show work_mem", "release x", "set local work_mem = '77kB'"]
QUERIES = [
    "select 1", "select 1; select 2", "select 1; select 1/0; select 2", "begin; select 1", "commit", "rollback", "begin", "",
    ";", "insert into items values (1); select 3", "selec", "do $$ begin raise warning 'w'; end $$", "savepoint x",
    "rollback to x", "declare c cursor for select i from generate_series(1,9) i", "fetch 2 from c", "abort", "end",
    "copy (select 7) to stdout", "start transaction isolation level serializable", "begin; copy items to stdout; commit",
    "select repeat('x', 20000)", "truncate items", "select 1; begin", "select count(*) from items"]
STATEMENTS = ["", "", "a", "b"]
PORTALS = ["", "", "p", "q"]
SYNC, FLUSH, COPY_DONE = message("S"), message("H"), message("c")


def bind(dice):
    values = [dice.choice([b"1", b"0", b"7", b"x"]) for _ in range(dice.choice([0, 1, 1, 1, 2]))]
    return message("B", text(dice.choice(PORTALS), dice.choice(STATEMENTS)) + struct.pack("!hh", 0, len(values))
                   + b"".join(struct.pack("!i", len(v)) + v for v in values) + b"\0\0")


def execute(dice):
    return message("E", text(dice.choice(PORTALS)) + struct.pack("!i", dice.choice([0, 0, 1, 3])))


def target(dice):
    return dice.choice([b"S" + text(dice.choice(STATEMENTS)), b"P" + text(dice.choice(PORTALS))])


def copy(dice):
    data = [message("d", b"5\n"), message("d", b"6\n7\n")]
    end = dice.choice([COPY_DONE, message("f", text("no")), message("d", b"bad\n") + COPY_DONE])
    if dice.random() < 0.5:
        return [query(dice.choice(["copy items from stdin", "select 1; copy items from stdin; select 2"])), *data, end]
    ignored = [SYNC, FLUSH] if dice.random() < 0.3 else []  # as it is while a copy's data is taken
    return [SYNC, parse("", "copy items from stdin"), raw.bind(""), raw.EXECUTE,
            *(data if dice.random() < 0.7 else []), *ignored, end, SYNC]


def function_call(dice):
    function = dice.choice([77, 1598, 1])  # int4(char), random(), none
    return [SYNC, message("F", struct.pack("!ihhhi", function, 0, 1, 1, 1) + b"A" + struct.pack("!h", 0))]


def whole(dice):
    """A prepared statement as drivers use one."""
    return [parse("a", dice.choice(TEXTS[:4])), raw.bind("a", "3"), message("D", b"P\0"), raw.EXECUTE, SYNC]


ATOMS = [(18, lambda d: [parse(d.choice(STATEMENTS), d.choice(TEXTS))]), (18, lambda d: [bind(d)]),
         (16, lambda d: [execute(d)]), (10, lambda d: [message("D", target(d))]), (6, lambda d: [message("C", target(d))]),
         (12, lambda d: [SYNC]), (3, lambda d: [FLUSH]), (10, lambda d: [query(d.choice(QUERIES))]), (4, copy),
         (1, function_call), (2, whole)]


def script_of(dice, longest):
    made = []
    for _ in range(dice.randint(1, longest)):
        _, atom = dice.choices(ATOMS, [weight for weight, _ in ATOMS])[0]
        made += atom(dice)
    return [*made, SYNC, query("rollback")]  # or the mark at the end would not be answered


def comparable(kind, body):
    if kind == "E":
        # The gate's name for a statement, a place in the source, and who finds a transaction failed.
        body = re.sub(rb'prepared statement "[^"]*"', b"prepared statement X", body)
        body = re.sub(rb"\0L\d+", b"", body)
        if b"C25P02\0" in body:
            body = re.sub(rb"\0R\w+", b"", body)
    return kind, body


def play(connection, script, pieces=(), mark="the end"):
    """All that is told, up to the mark's answer."""
    data = b"".join(script) + query(f"select '{mark}'")
    for size in pieces:
        connection.send(data[:size])
        data = data[size:]
    connection.send(data)
    told = []
    while True:
        one = connection.receive()
        assert one, f"the end of the connection, after {told[-5:]}"
        told.append(comparable(*one))
        if one[0] == "Z" and any(mark.encode() in body for kind, body in told[-4:] if kind == "D"):
            return told


@pytest.mark.parametrize("servers", [1, 2])
def test_answers_are_those_of_postgres(gate, make_postgres, servers):
    server = make_postgres()
    (server.data / "pg_hba.conf").write_text("host all all 127.0.0.1/32 trust\n")
    server.start()
    server.query("create table items (i int)", user="app")
    g = gate(servers, server=server)
    if servers > 1:
        g.open_all(servers)
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(contextlib.closing(g.raw()))
        direct = through = None
        for seed in range(servers * 1000, servers * 1000 + SCRIPTS // 2):
            dice = random.Random(seed)
            if seed % 10 == 0:
                direct = stack.enter_context(contextlib.closing(raw.Raw(server.port)))
                through = stack.enter_context(contextlib.closing(g.raw()))
            script = script_of(dice, 14)
            pieces = [dice.choice([1, 3, 7, 50, 10_000]) for _ in range(dice.randint(0, 30))]
            play(other, script_of(random.Random(seed + 1_000_000), 6))
            told = []
            for connection in (direct, through):
                connection.ask("truncate items")
                told.append(play(connection, script, pieces))
            assert told[1] == told[0], f"script {seed}: {script}"
