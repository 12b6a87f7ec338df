"""The gate answers as PostgreSQL does: the same bytes sent to both must give the same messages.

Scripts of protocol messages, some fixed and many random (from seeds that a failure prints), go to
the database directly and through a gate whose few server connections many clients share.
"""

import contextlib
import random
import struct
import threading

import pytest

import harness
from pgwire import (
    SSL_REQUEST, Session, assert_same, bind, close_portal, close_statement, copy_data, copy_done,
    copy_fail, describe_portal, describe_statement, execute, flush, message, parse, query, startup, sync, terminate)

CLIENTS = 8  # at a time, over SERVERS server connections
SERVERS = 2
SCRIPTS = 48
BATCHES = 6


def serve(run_standpipe, postgres, servers=SERVERS, **env):
    """A gate in front of the database, ready, with few server connections; its port is `gate_port`."""
    port = harness.free_port()
    gate = run_standpipe("serve", env={
        "DATABASE_URL": postgres.url(), "ENVIRONMENT": "test", "STANDPIPE_LISTEN_PORT": port,
        "STANDPIPE_LISTEN_SOCKET_DIR": "", "DB_POOL_SIZE": servers, "DB_MAX_OVERFLOW": 0, **env})
    gate.wait_get("/ready")
    gate.gate_port = port
    return gate


@pytest.fixture(scope="module")
def gate(standpipe, postgres):
    runner = harness.Runner(standpipe)
    try:
        yield serve(runner, postgres)
    finally:
        runner.close()


def both(postgres, gate, script, **parameters):
    """Runs script(session) on a direct and on a pooled session; what it returns must be the same."""
    with Session(postgres.port, **parameters) as session:
        direct = script(session)
    with Session(gate.gate_port, **parameters) as session:
        through = script(session)
    assert_same(direct, through)
    return through


def kinds(messages):
    return "".join(kind for kind, _ in messages)


# --- fixed scripts -------------------------------------------------------------------------------


def test_a_session_begins_as_with_postgresql(postgres, gate):
    def begin(port):
        with Session(port, login=False) as s:
            no = s.ask_byte(SSL_REQUEST)
            s.send(startup({"user": "app", "database": "app", "application_name": "here", "DateStyle": "German"}))
            s.log_in("app", "app-secret")
            return no, s.parameters
    assert begin(gate.gate_port) == begin(postgres.port)


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_what_is_noticed_at_login_is_told_to_each_that_logs_in(run_standpipe, postgres, mode):
    gate = serve(run_standpipe, postgres, STANDPIPE_POOL_MODE=mode)

    def notices(port, **parameters):
        with Session(port, **parameters) as s:
            return [n["M"] for n in s.notices]

    for parameters, count in (({}, 0), ({"application_name": "x" * 65}, 1), ({
            "application_name": "x" * 65, "options": "-c client_min_messages=warning"}, 0)):
        expected = notices(postgres.port, **parameters)
        assert len(expected) == count
        for _ in range(SERVERS + 1):  # what one server said is told from memory, too
            assert notices(gate.gate_port, **parameters) == expected


def test_what_the_database_has_to_say_at_each_login_is_told_and_logged(run_standpipe, make_postgres):
    """As of PostgreSQL 15: that its collations are not those that its indexes were made with."""
    own = make_postgres().start()
    own.query("update pg_database set datcollversion = '1' where datname = 'app'")
    gate = serve(run_standpipe, own)
    with Session(own.port) as s:
        (expected,) = s.notices
    for name in ("a", "b"):
        with Session(gate.gate_port, application_name=name) as s:
            assert s.notices == [expected]
    told = [e for e in gate.log() if expected["M"] in e.values()]
    assert [e["severity"] for e in told] == ["WARNING"]
    assert expected["M"] not in "".join(line for line in gate.lines if not line.startswith("{"))


def test_the_process_id_that_a_client_is_told_is_not_soon_anothers(gate):
    seen = []
    for _ in range(5):
        with Session(gate.gate_port) as s, contextlib.ExitStack() as others:
            seen.append(s.key[0])
            for _ in range(5):  # who else comes and goes
                others.enter_context(Session(gate.gate_port))
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("version, options", [
    (196608, {"_pq_.novelty": "on"}), (196610, {}), (196610, {"_pq_.a": "1", "_pq_.b": "2"})])
def test_a_newer_protocol_is_negotiated_down(postgres, gate, version, options):
    def first(port):
        with Session(port, login=False) as s:
            s.send(startup({"user": "app", "database": "app", **options}, version))
            return s.read()
    kind, body = first(gate.gate_port)
    assert (kind, body) == first(postgres.port)
    assert kind == "v"


# One batch each: all of it is sent before anything is read. T is the table.
SCRIPTS_FIXED = {
    "simple": [query("select 1; select 2"), query(""), query("nonsense"), query("select 1/0; select 3"),
               query("begin; select 1"), query("nonsense"), query("select 1"), query("rollback")],
    "extended": [parse("a", "select $1::int"), bind("", "a", [7]), describe_portal(""), execute(), sync(),
                 describe_statement("a"), bind("", "a", [8], binary=True), execute(), sync(),
                 close_statement("a"), bind("", "a", [9]), sync()],
    "an error ends the pipeline up to its Sync": [
        parse("", "select 1"), bind("", ""), execute(), parse("", "nonsense"), bind("", ""), execute(), sync(),
        parse("", "select 2"), bind("", ""), execute(), sync()],
    "a simple query in a pipeline that failed is skipped": [
        parse("", "nonsense"), query("select 1"), bind("", ""), sync(), query("select 2")],
    "a name that is taken": [parse("b", "select 1"), parse("b", "select 2"), sync(), bind("", "b"), execute(), sync()],
    "what was skipped has not happened": [
        parse("", "select 'kept'"), parse("c", "select 'kept too'"), sync(),
        parse("", "select 'kept'"), bind("", "nobody"),
        parse("", "select 'skipped'"), close_statement("c"), parse("d", "select 'skipped'"), sync(),
        bind("", ""), execute(), bind("", "c"), execute(), sync(), bind("", "d"), sync()],
    "a Parse without name that fails leaves none": [
        parse("", "select 1"), sync(), parse("", "nonsense"), sync(), bind("", ""), execute(), sync()],
    "the same statement under two names": [
        parse("e", "select 5"), parse("f", "select 5"), close_statement("e"), bind("", "f"), execute(),
        bind("", "e"), sync()],
    "rows in portions": [
        parse("", "select generate_series(1, 5)"), bind("p", ""), execute("p", 2), execute("p", 2), execute("p", 2),
        execute("p", 2), close_portal("p"), execute("p"), sync()],
    "notices": [query("do $$ begin raise notice 'to the client'; end $$")],
    "parameters": [query("set application_name = 'one'"), query("begin; set timezone = 'Asia/Tokyo'; rollback"),
                   query("show application_name"), query("show timezone")],
    "a failed transaction takes no statement": [
        parse("g", "select 6"), sync(), query("begin"), query("nonsense"), parse("h", "select 6"), sync(),
        parse("", "rollback"), bind("", ""), execute(), sync(), parse("h", "select 6"), sync()],
    "copy in": [query("begin; create temp table t (n int, v text) on commit drop"), query("copy t from stdin"),
                copy_data(b"1\tone\n2\ttw"), copy_data(b"o\n"), copy_done(), query("select n + 1, v || '' from t"), query("commit")],
    "copy in, refused by the client": [
        query("begin; create temp table t (n int)"), query("copy t from stdin"), copy_data(b"1\n"),
        copy_fail("changed my mind"), query("rollback")],
    "copy in, refused by the server": [
        query("begin; create temp table t (n int)"), query("copy t from stdin; select 1"), copy_data(b"no number\n"),
        copy_data(b"2\n"), copy_done(), query("rollback"), query("select 1")],
    "copy in that does not begin": [query("copy nowhere from stdin"), copy_data(b"1\n"), copy_done(), query("select 1")],
    "copies, one after the other": [
        query("begin; create temp table t (n int)"), query("copy t from stdin; copy t from stdin; select count(*) from t"),
        copy_data(b"1\n"), copy_done(), sync(), copy_data(b"2\n"), copy_done(), sync(), query("rollback")],
    "copy in by the extended protocol, Sync sent early": [
        query("begin; create temp table t (n int)"), parse("", "copy t from stdin"), bind("", ""), execute(), sync(),
        sync(), copy_data(b"1\n"), copy_done(), sync(), query("select n + 1 from t"), query("rollback")],
    "copy in by the extended protocol, refused": [
        query("begin; create temp table t (n int)"), parse("", "copy t from stdin"), bind("", ""), execute(),
        copy_data(b"no number\n"), copy_data(b"1\n"), copy_done(), sync(), query("rollback")],
    "copy out": [query("copy (select generate_series(1, 3)) to stdout"),
                 parse("", "copy (select 1) to stdout"), bind("", ""), execute(), sync()],
    "the ends of copies that never were": [
        copy_done(), query("select 1"), copy_data(b"x"), copy_fail(), query("begin"), copy_done(), copy_data(b"y"),
        query("commit"), copy_done(), sync()],
    "a function call": [message("F", struct.pack("!IHHHiiiiH", 177, 1, 1, 2, 4, 20, 4, 22, 1)), query("select 1"),
                        message("F", struct.pack("!IHHH", 0, 0, 0, 0))],
    "messages that are malformed inside": [
        message("S", b"x"), message("E", b"no end"), sync(), message("H", b"x"), parse("", "select 1"), sync(),
        query("select 1"), message("B", b"\0\0\0\1"), sync()],
}


@pytest.mark.parametrize("name", SCRIPTS_FIXED)
def test_answers_are_the_same(postgres, gate, name):
    batch = SCRIPTS_FIXED[name]

    def at_once(session):
        session.send(*batch)
        return finish(session)

    def one_by_one(session):
        for m in batch:
            session.send(m)
        return finish(session)

    def byte_by_byte(session):
        session.send_in_pieces(b"".join(batch))
        return finish(session)

    messages = both(postgres, gate, at_once)
    assert kinds(messages).endswith("ZIZIZIZIZIZ")
    both(postgres, gate, one_by_one)
    both(postgres, gate, byte_by_byte)


def test_what_is_asked_before_the_goodbye_is_answered(postgres, gate):
    def script(session):
        session.send(query("select generate_series(1, 3)"), parse("", "select 1"), bind("", ""), execute(), sync(),
                     query("begin"), query("select 2"), terminate())
        return session.read_to_end()
    assert kinds(both(postgres, gate, script)).count("Z") == 4


def test_deallocate_all_is_understood(postgres, gate):
    def script(session):
        found = session.ask(parse("a", "select 1"), parse("", "select 2"), sync())
        found += session.ask(query("deallocate all"))
        found += session.ask(bind("", "a"), execute(), sync())
        found += session.ask(parse("a", "select 3"), bind("", "a"), execute(), sync())
        found += session.ask(query("discard all"))
        return found + session.ask(bind("", "a"), execute(), sync())
    for _ in range(3):
        both(postgres, gate, script)


def test_large_things_pass_unchanged(postgres, gate):
    size = 3_000_000

    def script(session):
        found = session.ask(query(f"select '{'x' * size}' as big, length('{'y' * size}')"))
        found += session.ask(parse("", f"select length('{'z' * size}')"), bind("", ""), execute(), sync())
        found += session.ask(parse("", "select length($1)"), bind("", "", ["w" * size]), execute(), sync())
        found += session.ask(parse("n", f"select length('{'z' * size}')"), bind("", "n"), execute(), sync())
        return found
    both(postgres, gate, script)


# --- random scripts ------------------------------------------------------------------------------

NAMES = ("", "", "a", "b", "c")
PORTALS = ("", "", "p", "q")
# With how many parameters; {t} is the client's own table.
STATEMENTS = [
    ("select 1", 0), ("select $1::int + 1", 1), ("select n, v from {t} order by n, v", 0),
    ("insert into {t} values ($1, $2)", 2), ("insert into {t} values ($1, $2) returning n", 2),
    ("select 10 / $1::int", 1), ("select nothing from nowhere", 0), ("nonsense", 0), ("", 0),
    ("select generate_series(1, $1::int)", 1), ("select current_setting('application_name')", 0),
    ("update {t} set v = v || $1", 1), ("copy (select 1) to stdout", 0)]
QUERIES = [
    "select 1", "select 1; select 2", "nonsense", "select 1/0", "begin", "begin", "commit", "commit",
    "rollback", "insert into {t} values (1, 'one')", "select count(*) from {t}", "delete from {t}",
    "insert into {t} values (2, 'x'); select 1/0", "set application_name = '{x}'",
    "select current_setting('application_name')", "begin; select 1; commit", "savepoint s", "rollback to s",
    "do $$ begin raise notice 'hello {x}'; end $$", "select generate_series(1, 50)", "set timezone = '{z}'",
    "set local timezone = '{z}'", "show timezone", "copy (select generate_series(1, 5)) to stdout",
    "declare c cursor for select generate_series(1, 9)", "fetch 3 from c", "select repeat('{x}', 20000)"]


class Author:
    """Writes random batches of messages; the same for the same seed."""

    def __init__(self, seed, table):
        self.random = random.Random(seed)
        self.table = table
        self.copies = 0

    def fill_in(self, sql):
        return (sql.replace("{t}", self.table).replace("{x}", self.random.choice("abcdef"))
                .replace("{z}", self.random.choice(["UTC", "Asia/Tokyo", "America/New_York"])))

    def statement(self):
        """A name, a text and its number of parameters. Nonsense gets no name: in a failed
        transaction, under a name that is taken, it would fail for another reason than directly."""
        sql, count = self.random.choice(STATEMENTS)
        return "" if sql == "nonsense" else self.random.choice(NAMES), self.fill_in(sql), count

    def parse(self):
        name, sql, _ = self.statement()
        return [parse(name, sql)]

    def bind(self):
        count = self.random.choice([0, 0, 1, 1, 2])
        values = [self.random.choice([1, 2, 0, 3, None]) for _ in range(count)]
        return [bind(self.random.choice(PORTALS), self.random.choice(NAMES), values)]

    def run(self):
        """A whole sensible use of a statement."""
        name, sql, count = self.statement()
        portal = self.random.choice(PORTALS)
        values = [self.random.choice([1, 2, 0, 3]) for _ in range(count)]
        steps = [parse(name, sql), bind(portal, name, values), execute(portal)]
        if self.random.random() < 0.4:
            steps.insert(2, describe_portal(portal))
        return steps + [sync()] * (self.random.random() < 0.7)

    def describe(self):
        # Not of statements: in a failed transaction PostgreSQL describes those that give no rows,
        # which a server that has not met them can't.
        return [describe_portal(self.random.choice(PORTALS))]

    def execute(self):
        return [execute(self.random.choice(PORTALS), self.random.choice([0, 0, 1, 3]))]

    def close(self):
        if self.random.random() < 0.5:
            return [close_portal(self.random.choice(PORTALS))]
        return [close_statement(self.random.choice(NAMES))]

    def query(self):
        return [query(self.fill_in(self.random.choice(QUERIES)))]

    def copy_in(self):
        data = [copy_data(b"5\tfive\n6\t"), copy_data(b"six\n")]
        if self.random.random() < 0.3:
            data.insert(self.random.randrange(3), copy_data(b"no number\n"))
        end = [copy_done() if self.random.random() < 0.7 else copy_fail()]
        sql = f"copy {self.table} from stdin"
        if self.random.random() < 0.5:
            return [query(sql + self.random.choice(["", "; select 1", "; nonsense"])), *data, *end]
        self.copies += 1
        name = f"copy{self.copies}"
        early = [sync()] * self.random.choice([0, 0, 1, 2])
        return [parse(name, sql), bind(name, name), execute(name), *early, *data, *end, sync()]

    def step(self):
        return self.random.choices(
            [self.run, self.parse, self.bind, self.describe, self.execute, self.close, self.query, self.copy_in,
             lambda: [sync()], lambda: [flush()], lambda: [copy_done()]],
            [20, 10, 10, 4, 8, 8, 14, 5, 14, 4, 1])[0]()

    def batch(self):
        return [m for _ in range(self.random.randrange(1, 12)) for m in self.step()]

    def pieces(self, data):
        """The data in sends of random sizes, most of them all at once."""
        size = self.random.choice([1 << 20, 1 << 20, 1000, 100, 7])
        return [data[i:i + size] for i in range(0, len(data), size)]


def finish(session):
    """All messages up to here: even a failed transaction answers empty queries, and five of them
    in a row are in no script."""
    session.send(sync(), *[query("")] * 5)
    found = []
    while kinds(found[-10:]) != "IZ" * 5:
        found += session.read_until("Z")
    return found


def play(port, seed, table, results, cut):
    author = Author(seed, table)
    cutter = Author(-seed, table)
    found = []
    with Session(port, application_name=f"app{seed % 3}") as session:
        for _ in range(BATCHES):
            data = b"".join(author.batch())
            for piece in (cutter.pieces(data) if cut else [data]):
                session.send(piece)
            found.append(finish(session))
        session.send(terminate())
        found.append(session.read_to_end())
    results[seed] = found


def play_all(port, seeds, cut):
    """All scripts, CLIENTS at a time."""
    results, waiting, failures = {}, list(seeds), []
    lock = threading.Lock()

    def work():
        while True:
            with lock:
                if not waiting or failures:
                    return
                seed = waiting.pop(0)
            try:
                play(port, seed, f"random{seed % 1000}", results, cut)
            except Exception as e:  # pylint: disable=broad-except
                failures.append(f"seed {seed}: {type(e).__name__} {e}")

    threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures, failures
    return results


def empty_tables(postgres, seeds):
    postgres.query("".join(f"create table if not exists random{s % 1000} (n int, v text);"
                           f"alter table random{s % 1000} owner to app; truncate random{s % 1000};" for s in seeds))


@contextlib.contextmanager
def explained(seed, batch):
    """Adds what was sent to a failure."""
    try:
        yield
    except AssertionError as e:
        author = Author(seed, f"random{seed % 1000}")
        sent = [author.batch() for _ in range(batch + 1)]
        lines = [f"  {i}: {m[:1].decode()} {m[5:80]!r}" for i, b in enumerate(sent) for m in b]
        raise AssertionError(f"seed {seed}, batch {batch}: {e}\nsent by then:\n" + "\n".join(lines)) from None


@pytest.mark.parametrize("first", [1, 1001, 2001])
def test_random_pipelines_are_answered_the_same(postgres, gate, first):
    seeds = range(first, first + SCRIPTS // 3)
    empty_tables(postgres, seeds)
    direct = play_all(postgres.port, seeds, cut=False)
    empty_tables(postgres, seeds)
    through = play_all(gate.gate_port, seeds, cut=True)
    for seed in seeds:
        for i, (a, b) in enumerate(zip(direct[seed], through[seed])):
            with explained(seed, i):
                assert_same(a, b)
    with contextlib.closing(Session(gate.gate_port)) as session:
        assert session.rows("select 1") == [["1"]]
