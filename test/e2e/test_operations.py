"""The gate in the hands of those who run it: its end, its user, its configuration anew, its successor."""

import contextlib
import os
import pwd
import resource
import select
import shutil
import signal
import socket
import struct
import threading

import psycopg2
import psycopg2.errors
import pytest

import harness
import raw
from harness import HOST, wait_until


class Gate:
    """`standpipe serve`, started, and how to reach it."""

    def __init__(self, standpipe, port, server, directory):
        self.standpipe = standpipe
        self.port = port
        self.server = server
        self.directory = directory

    def connect(self, **kwargs):
        connection = psycopg2.connect(host=HOST, port=self.port, user="app", dbname="app", **kwargs)
        connection.autocommit = True
        return connection

    def raw(self, **kwargs):
        return raw.Raw(self.port, **kwargs)

    def one(self, sql):
        """A fresh client's answer."""
        with contextlib.closing(self.connect()) as connection:
            return ask(connection, sql)


def ask(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0] if cursor.description else None


@pytest.fixture
def gate(run_standpipe, postgres):
    """gate(NAME=value...): a gate that has started."""
    directory = harness.short_dir()
    os.chmod(directory, 0o777)

    def run(config=None, size=3, started=True, program=None, **env):
        port = harness.free_port()
        given = {
            "DATABASE_URL": postgres.url(), "STANDPIPE_LISTEN_PORT": port, "DB_POOL_SIZE": size,
            "DB_MAX_OVERFLOW": 0, "STANDPIPE_LISTEN_SOCKET_DIR": directory, "STANDPIPE_RETRY_BASE": "0.05",
            "STANDPIPE_RETRY_CAP": "0.2", "CIRCUIT_BREAKER_TIMEOUT": "0.3s", **env}
        given = {k: v for k, v in given.items() if v is not None}
        standpipe = run_standpipe("serve", env=given, config=config, **(program or {}))
        if started:
            standpipe.wait_get("/startup")
        return Gate(standpipe, port, postgres, directory)

    yield run
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(autouse=True)
def table(postgres):
    postgres.query("create table if not exists t (i int primary key, s text)", user="app")
    postgres.query("truncate t", user="app")


def refuses(port):
    with contextlib.suppress(OSError), raw.socket.create_connection((HOST, port), timeout=1):
        return False
    return True


# ---- the end ----


def test_a_drain_tells_the_idle_and_lets_transactions_finish(gate):
    g = gate(STANDPIPE_SHUTDOWN_GRACE="0", STANDPIPE_SHUTDOWN_DRAIN="600s")
    idle, busy = g.raw(), g.raw()
    busy.ask("begin")
    busy.ask("insert into t values (1, 'kept')")
    g.standpipe.send_signal(signal.SIGTERM)
    told = raw.error(idle.until_end())
    assert told["C"] == "57P01" and told["S"] == "FATAL"
    wait_until(lambda: refuses(g.port), "the port to be closed")
    assert busy.ask("select s from t") == [("kept",)]
    busy.send(raw.query("commit"))
    seen = busy.until_end()
    assert [kind for kind, _ in seen][:2] == ["C", "Z"], "the commit is answered before the end"
    assert raw.error(seen)["C"] == "57P01"
    assert g.standpipe.wait() == 0
    assert g.server.query("select s from t") == [("kept",)]
    wait_until(lambda: g.server.sessions() == 0, "the server connections' ends")


def test_within_the_grace_the_idle_are_served_on(gate):
    g = gate(STANDPIPE_SHUTDOWN_GRACE="600s", STANDPIPE_SHUTDOWN_DRAIN="600s")
    idle = g.raw()
    g.standpipe.send_signal(signal.SIGTERM)
    wait_until(lambda: refuses(g.port), "the port to be closed")
    assert idle.ask("select 1") == [("1",)]
    idle.close()
    assert g.standpipe.wait() == 0, "the last client has gone: nothing to wait for"


def test_who_waits_for_a_server_is_served_before_the_end(gate):
    g = gate(size=1, STANDPIPE_SHUTDOWN_GRACE="0", STANDPIPE_SHUTDOWN_DRAIN="600s")
    holder, waiter = g.raw(), g.raw()
    holder.ask("begin")
    waiter.send(raw.query("select 7"))
    wait_until(lambda: g.standpipe.get("/health").json["pool"]["waiting"] == 1, "the second to wait")
    g.standpipe.send_signal(signal.SIGTERM)
    wait_until(lambda: refuses(g.port), "the port to be closed")
    holder.ask("commit")
    rows = [raw.row(body) for kind, body in waiter.until_end() if kind == "D"]
    assert rows == [("7",)]
    assert g.standpipe.wait() == 0


def test_when_the_time_is_up_transactions_are_ended_too(gate):
    g = gate(STANDPIPE_SHUTDOWN_GRACE="0", STANDPIPE_SHUTDOWN_DRAIN="0")
    busy = g.raw()
    busy.ask("begin")
    busy.ask("insert into t values (1, 'lost')")
    g.standpipe.send_signal(signal.SIGTERM)
    assert raw.error(busy.until_end())["C"] == "57P01"
    assert g.standpipe.wait() == 0
    wait_until(lambda: g.server.sessions() == 0, "the server connections' ends")
    assert g.server.query("select count(*) from t") == [(0,)]


def test_a_second_sigterm_ends_at_once(gate):
    g = gate(STANDPIPE_SHUTDOWN_GRACE="600s", STANDPIPE_SHUTDOWN_DRAIN="600s")
    busy = g.raw()
    busy.ask("begin")
    g.standpipe.send_signal(signal.SIGTERM)
    wait_until(lambda: refuses(g.port), "the port to be closed")
    g.standpipe.send_signal(signal.SIGTERM)
    busy.until_end()
    assert g.standpipe.wait() == 0


# ---- its user, and what it may open ----


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_is_given_up_once_the_sockets_are_bound(gate):
    # A process that has changed its user can't be traced, which the leak sanitizer does.
    g = gate(STANDPIPE_USER="nobody", ASAN_OPTIONS="detect_leaks=0")
    status = dict(line.split(":\t", 1) for line in
                  open(f"/proc/{g.standpipe.pid}/status", encoding="ascii").read().splitlines() if ":\t" in line)
    nobody = pwd.getpwnam("nobody")
    assert status["Uid"].split() == [str(nobody.pw_uid)] * 4
    assert status["Gid"].split() == [str(nobody.pw_gid)] * 4
    assert "0" not in status["Groups"].split()
    assert status["NoNewPrivs"] == "1"
    assert int(status["CapEff"], 16) == 0
    assert g.one("select 42") == 42
    assert "runs as root" not in g.standpipe.text


@pytest.mark.skipif(os.geteuid() != 0, reason="runs as somebody else anyway")
def test_who_runs_as_root_is_warned(gate):
    g = gate()
    assert [e for e in g.standpipe.log() if e["severity"] == "WARNING" and "runs as root" in e["message"]]


def test_a_user_that_is_not_there_is_an_error(gate):
    g = gate(STANDPIPE_USER="nobody-of-that-name", started=False)
    assert g.standpipe.wait() == 2
    assert "there is no user nobody-of-that-name" in g.standpipe.text


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user to be")
def test_who_is_not_root_can_not_become_another(gate):
    g = gate(STANDPIPE_USER="root", started=False, program={"user": "nobody"})
    assert g.standpipe.wait() == 2
    assert "only root can" in g.standpipe.text


def test_descriptors_for_all_clients_are_seen_to(gate):
    g = gate(STANDPIPE_POOL_CLIENTS=3000, program={"soft_files": 500})
    soft, _ = resource.prlimit(g.standpipe.pid, resource.RLIMIT_NOFILE)
    assert soft >= 3000
    assert "too few file descriptors" not in g.standpipe.text


def test_too_few_descriptors_are_warned_of(gate):
    user = {"user": "nobody"} if os.geteuid() == 0 else {}
    g = gate(STANDPIPE_POOL_CLIENTS=3000, program={"soft_files": 500, "hard_files": 600, **user})
    warned = [e for e in g.standpipe.log() if "too few file descriptors" in e["message"]]
    assert len(warned) == 1 and warned[0]["limit"] == 600
    assert g.one("select 42") == 42


# ---- another configuration ----


class Manager:
    """The service manager's end of sd_notify."""

    def __init__(self, directory):
        self.path = directory / "notify"
        self.socket = raw.socket.socket(raw.socket.AF_UNIX, raw.socket.SOCK_DGRAM)
        self.socket.bind(os.fspath(self.path))
        os.chmod(self.path, 0o777)
        self.socket.settimeout(harness.LIMIT)

    def hear(self):
        """One message: {NAME: value}."""
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())

    def until(self, name):
        while name not in (heard := self.hear()):
            pass
        return heard


class Configured:
    """A gate with a file that can be changed."""

    def __init__(self, gate, **env):
        self.gate = gate(config="log: {level: info}\n", **env)
        self.file = next(a for a in self.gate.standpipe.argv if a.endswith(".yaml"))
        self.reloads = 0

    def write(self, text):
        with open(self.file, "w", encoding="utf-8") as f:
            f.write(text)

    def reload(self, text):
        """Puts the text in force; gives the log's entry."""
        self.write(text)
        return self.hang_up("the configuration has been read anew")

    def refused(self, text):
        self.write(text)
        return self.hang_up("the configuration is wrong")

    def hang_up(self, message):
        def found():
            return [e for e in self.gate.standpipe.log() if e["message"].startswith(message)]
        before = len(found())
        self.gate.standpipe.send_signal(signal.SIGHUP)
        return wait_until(lambda: found()[before:], message)[0]


def test_a_reload_keeps_every_client_and_changes_the_pool(gate):
    c = Configured(gate, DB_POOL_SIZE=None, DB_MAX_OVERFLOW=None)
    g = c.gate
    assert c.reload("pool: {size: 1, overflow: 0, grow_interval: 0}\n")["changed"] == \
        "pool.size, pool.overflow, pool.grow_interval"
    first, second = g.raw(), g.raw()
    first.ask("begin")
    first.ask("set local work_mem = '77MB'")
    second.send(raw.query("select 2"))
    wait_until(lambda: g.standpipe.get("/health").json["pool"]["waiting"] == 1, "the second to wait")
    c.reload("pool: {size: 2, overflow: 0, grow_interval: 0}\n")
    assert [raw.row(b) for k, b in second.until_ready() if k == "D"] == [("2",)]
    assert first.ask("show work_mem") == [("77MB",)], "its transaction went on all the while"
    first.ask("commit")
    assert g.standpipe.get("/status").json["pool"]["servers_max"] == 2


def test_a_wrong_configuration_changes_nothing_and_names_the_place(gate):
    c = Configured(gate)
    g = c.gate
    client = g.raw()
    entry = c.refused("pool:\n  keep: 1\n  sise: 3\n")
    assert entry["severity"] == "ERROR"
    assert entry["error"]["origin"].endswith(".yaml:3") and "sise" in entry["error"]["text"]
    c.refused("log: {level: [\n")
    c.refused("breaker: {threshold: 0}\n")
    assert client.ask("select 1") == [("1",)]
    assert c.reload("retry: {cap: 7s}\n")["changed"]


def test_what_takes_a_restart_is_named_and_stays(gate):
    c = Configured(gate)
    g = c.gate
    other = harness.free_port()
    # What a variable says, a file does not change.
    c.reload(f"listen: {{port: {other}, host: 0.0.0.0}}\npool: {{clients: 77}}\nbreaker: {{timeout: 5s}}\n")
    entry = wait_until(lambda: [e for e in g.standpipe.log() if "needs a restart" in e["message"]], "the warning")[0]
    assert entry["severity"] == "WARNING" and entry["keys"] == "pool.clients, listen.host"
    assert refuses(other)
    # Nothing is new the second time: but it still differs from what is in force.
    c.reload("pool: {clients: 77}\n")
    wait_until(lambda: "pool.clients" == g.standpipe.log()[-1].get("keys"), "the warning again")
    with contextlib.ExitStack() as stack:
        for _ in range(80):
            stack.enter_context(contextlib.closing(g.raw()))


def test_the_log_follows_its_level(gate):
    c = Configured(gate, DB_POOL_SIZE=None)
    c.write("log: {level: error}\npool: {size: 9}\n")
    c.gate.standpipe.send_signal(signal.SIGHUP)
    c.gate.standpipe.wait_get("/status", lambda answer: answer.json["pool"]["servers_max"] == 9)
    assert "read anew" not in c.gate.standpipe.text
    assert c.reload("log: {level: info}\npool: {size: 9}\n")["changed"] == "log.level"


def test_a_rotated_password_is_used_by_new_server_connections(gate, make_postgres):
    server = make_postgres().start()
    directory = harness.short_dir()
    secret = directory / "url"
    secret.write_text(server.url())
    c = Configured(gate, DATABASE_URL=f"file:{secret}", STANDPIPE_POOL_KEEP=0)
    g = c.gate
    client = g.raw()
    held = client.ask("select pg_backend_pid()")[0][0]
    client.ask("begin")
    assert client.ask("select pg_backend_pid()")[0][0] == held
    server.query("alter role app password 'rotated-word'")
    secret.write_text(server.url(password="rotated-word"))
    assert c.hang_up("the configuration has been read anew")["changed"] == "database.url"
    # The old one serves its transaction to the end, and nobody afterwards.
    assert client.ask("select pg_backend_pid()")[0][0] == held
    client.ask("commit")
    assert client.ask("select pg_backend_pid()")[0][0] != held
    assert "rotated-word" not in g.standpipe.text
    client.close()
    shutil.rmtree(directory)


def test_a_wrong_password_is_mended_by_a_reload(gate, make_postgres):
    server = make_postgres().start()
    directory = harness.short_dir()
    secret = directory / "url"
    secret.write_text(server.url())
    c = Configured(gate, DATABASE_URL=f"file:{secret}", STANDPIPE_RETRY_CAP="600s", STANDPIPE_POOL_KEEP=0)
    server.query("alter role app password 'rotated-word'")
    server.query("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'")
    client = c.gate.raw(login=True)
    client.send(raw.query("select 1"))
    assert raw.error(client.until_end())["C"] == "28P01"
    secret.write_text(server.url(password="rotated-word"))
    c.hang_up("the configuration has been read anew")
    assert c.gate.one("select 5") == 5, "no back-off of the old password's is waited out"
    shutil.rmtree(directory)


def test_another_database_takes_a_restart(gate, make_postgres):
    server = make_postgres().start()
    directory = harness.short_dir()
    secret = directory / "url"
    secret.write_text(server.url())
    c = Configured(gate, DATABASE_URL=f"file:{secret}")
    secret.write_text(server.url(database="postgres"))
    c.hang_up("needs a restart")
    assert c.gate.one("select current_database()") == "app"
    shutil.rmtree(directory)


def test_a_reload_during_the_startup(gate, make_postgres):
    server = make_postgres()
    c = Configured(gate, DATABASE_URL=server.url(), started=False, STANDPIPE_TIMEOUTS_INITIALIZATION="600s",
                   STANDPIPE_TIMEOUTS_CAP="0", STANDPIPE_DATABASE_SCHEMA_CHECK="select 1 from pg_class")
    g = c.gate
    g.standpipe.wait_line("connect to the database failed")
    for n in range(12):
        c.write(f"retry: {{cap: {n + 1}s}}\n")
        g.standpipe.send_signal(signal.SIGHUP)
    server.start()
    g.standpipe.wait_get("/startup")
    c.reload("retry: {cap: 20s}\n")
    assert g.one("select 1") == 1


def test_the_manager_is_told_of_each_step(gate):
    directory = harness.short_dir()
    os.chmod(directory, 0o777)
    manager = Manager(directory)
    c = Configured(gate, NOTIFY_SOCKET=manager.path)
    assert manager.hear() == {"READY": "1"}
    c.reload("retry: {cap: 7s}\n")
    heard = manager.hear()
    assert heard["RELOADING"] == "1" and int(heard["MONOTONIC_USEC"]) > 0
    assert manager.hear() == {"READY": "1"}
    c.refused("nonsense\n")
    assert manager.hear()["RELOADING"] == "1"
    assert manager.hear() == {"READY": "1"}, "a refused reload is over, too"
    c.gate.standpipe.send_signal(signal.SIGTERM)
    assert manager.hear() == {"STOPPING": "1"}
    shutil.rmtree(directory)


def test_the_watchdog_is_fed(gate):
    directory = harness.short_dir()
    os.chmod(directory, 0o777)
    manager = Manager(directory)
    gate(NOTIFY_SOCKET=manager.path, WATCHDOG_USEC=200000)
    for _ in range(3):
        assert manager.until("WATCHDOG")["WATCHDOG"] == "1"
    shutil.rmtree(directory)


def test_pid_1_passes_the_reload_on_to_its_gate(run_standpipe, postgres):
    standpipe = run_standpipe("run", config="pool: {size: 3}\n", command=("sleep", "600"),
                              env={"DATABASE_URL": postgres.url()})
    standpipe.wait_get("/startup")
    (harness.pathlib.Path(standpipe.argv[standpipe.argv.index("-c") + 1])).write_text("pool: {size: 4}\n")
    standpipe.send_signal(signal.SIGHUP)
    standpipe.wait_line("read anew")
    assert standpipe.get("/status").json["pool"]["servers_max"] == 14
    assert standpipe.running()


# ---- one gate in the place of another ----


class Load:
    """Clients that connect, ask and go, again and again; and what went wrong."""

    def __init__(self, g, threads=4):
        self.g, self.failures, self.served = g, [], 0
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._work, args=(n,)) for n in range(threads)]
        for thread in self.threads:
            thread.start()

    def _work(self, number):
        try:
            while not self.over.is_set():
                with contextlib.closing(self.g.connect()) as connection:
                    for i in range(5):
                        assert ask(connection, f"select {number} + {i}") == number + i
                        self.served += 1
        except BaseException as e:  # pylint: disable=broad-except
            self.failures.append(e)

    def wait_for_more(self, count=20):
        want = self.served + count
        wait_until(lambda: self.served >= want or self.failures, "clients to be served")

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join(harness.LIMIT)
        assert not self.failures, self.failures


def entries(standpipe, message):
    return [e for e in standpipe.log() if e["message"].startswith(message)]


class Succession:
    """The processes of a gate that is replaced, and an end for the last of them."""

    def __init__(self, standpipe):
        self.standpipe = standpipe
        self.pid = standpipe.pid

    def replace(self):
        """Has the newest replaced; gives the new one's process id."""
        done = len(entries(self.standpipe, "replaced"))
        os.kill(self.pid, signal.SIGUSR2)
        wait_until(lambda: len(entries(self.standpipe, "replaced")) > done, "the hand-over")
        self.pid = entries(self.standpipe, "is to be replaced")[-1]["pid"]
        return self.pid

    def end(self):
        if harness.process_exists(self.pid):
            os.kill(self.pid, signal.SIGTERM)
        wait_until(lambda: not harness.process_exists(self.pid), "the last one's end")


@pytest.fixture
def succession():
    """succession(standpipe) follows its hand-overs, and ends the last process."""
    made = []

    def follow(standpipe):
        made.append(Succession(standpipe))
        return made[-1]

    yield follow
    for one in made:
        one.end()


def cancel(port, key):
    with raw.socket.create_connection((HOST, port), timeout=harness.LIMIT) as s:
        s.sendall(raw.struct.pack("!iiii", 16, 80877102, *key))
        s.recv(1)


def test_hand_overs_refuse_no_connect_and_fail_no_query(gate, succession):
    g = gate(size=4)
    s = succession(g.standpipe)
    stays = g.raw()
    stays.ask("begin")
    stays.ask("insert into t values (1, 'from the first')")
    load = Load(g)
    pids = [s.pid]
    for _ in range(3):
        load.wait_for_more()
        pids.append(s.replace())
        load.wait_for_more()
    load.end()
    assert len(set(pids)) == 4
    # Who has clients lives on, and the others have gone.
    for pid in pids[1:3]:
        wait_until(lambda p=pid: not harness.process_exists(p), f"the end of process {pid}")
    assert stays.ask("select s from t") == [("from the first",)]
    # A cancel request comes to the newest, and goes back to where the client is.
    stays.send(raw.query("select pg_sleep(600)"))
    wait_until(lambda: g.server.query("select count(*) from pg_stat_activity where query like '%pg_sleep(600)%' "
                                      "and pid <> pg_backend_pid() and state = 'active'")[0][0], "the sleep")
    cancel(g.port, stays.key)
    assert raw.error(stays.until_ready())["C"] == "57014"
    stays.ask("rollback")
    stays.close()
    assert g.standpipe.wait() == 0
    assert g.one("select 7") == 7
    socket_file = os.path.join(g.directory, f".s.PGSQL.{g.port}")
    with contextlib.closing(psycopg2.connect(host=os.fspath(g.directory), port=g.port, user="app", dbname="app")) as c:
        assert ask(c, "select 8") == 8
    s.end()
    assert not os.path.exists(socket_file), "the last one cleans up"


def test_a_gate_that_goes_keeps_nothing_open_that_is_idle(gate, succession):
    g = gate(size=4, STANDPIPE_POOL_GROW_INTERVAL="0", STANDPIPE_POOL_IDLE="0")
    s = succession(g.standpipe)
    clients = [g.raw() for _ in range(4)]
    for c in clients:
        c.ask("begin")
    for c in clients:
        c.ask("commit")
    assert g.server.sessions() == 4
    s.replace()
    wait_until(lambda: g.server.sessions() <= 2, "the idle server connections' ends")
    assert [c.ask("select 1") for c in clients] == [[("1",)]] * 4, "clients that stay are served"
    for c in clients:
        c.close()
    assert g.standpipe.wait() == 0
    wait_until(lambda: entries(g.standpipe, "the gate before this one has ended"), "the whole share")


def test_clients_of_a_gate_that_was_replaced_have_their_time(gate, succession):
    g = gate(STANDPIPE_SHUTDOWN_HANDOVER="0", STANDPIPE_SHUTDOWN_DRAIN="600s")
    s = succession(g.standpipe)
    idle, busy = g.raw(), g.raw()
    busy.ask("begin")
    s.replace()
    assert raw.error(idle.until_end())["C"] == "57P01"
    busy.ask("commit")
    assert raw.error(busy.until_end())["C"] == "57P01"
    assert g.standpipe.wait() == 0


def test_two_gates_share_from_the_seconds_start_on(gate, succession):
    with socket.create_server((HOST, 0)) as needed:
        port = needed.getsockname()[1]
    c = Configured(gate, size=4)
    g = c.gate
    s = succession(g.standpipe)

    def share():
        return g.standpipe.get("/status").json["budget"]["share"]

    assert share() == 4
    # It comes to nothing: all is the first one's again.
    c.write(f"startup: {{dependencies: ['tcp://{HOST}:{port}']}}\ntimeouts: {{dependencies: 600s}}\n")
    g.standpipe.send_signal(signal.SIGUSR2)
    pid = wait_until(lambda: entries(g.standpipe, "is to be replaced"), "the second")[-1]["pid"]
    wait_until(lambda: share() == 2, "the half")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: share() == 4, "the whole again")
    with socket.create_server((HOST, port)):
        s.replace()
        assert g.standpipe.wait() == 0
        wait_until(lambda: entries(g.standpipe, "the gate before this one has ended"), "the whole share")
        wait_until(lambda: share() == 4, "the whole share")


def test_a_successor_that_can_not_start_changes_nothing(gate, succession):
    c = Configured(gate)
    g = c.gate
    s = succession(g.standpipe)
    client = g.raw()
    c.write("pool: {sise: 3}\n")
    g.standpipe.send_signal(signal.SIGUSR2)
    wait_until(lambda: entries(g.standpipe, "goes on, and is not replaced"), "the failure to be told")
    assert client.ask("select 1") == [("1",)]
    assert g.one("select 2") == 2
    assert not entries(g.standpipe, "replaced")
    c.write("pool: {size: 3}\n")
    s.replace()
    assert g.one("select 3") == 3
    client.close()
    assert g.standpipe.wait() == 0


def test_the_manager_follows_the_hand_over(gate, succession):
    directory = harness.short_dir()
    os.chmod(directory, 0o777)
    manager = Manager(directory)
    g = gate(NOTIFY_SOCKET=manager.path, WATCHDOG_USEC=10000000)
    s = succession(g.standpipe)
    pid = s.replace()
    assert manager.until("MAINPID")["MAINPID"] == str(pid)
    assert g.standpipe.wait() == 0
    shutil.rmtree(directory)


def test_under_run_pid_1_stands_between_two_gates(run_standpipe, postgres):
    port = harness.free_port()
    standpipe = run_standpipe("run", command=("sleep", "600"), env={
        "DATABASE_URL": postgres.url(), "STANDPIPE_LISTEN_PORT": port, "DB_POOL_SIZE": 4, "DB_MAX_OVERFLOW": 0})
    standpipe.wait_get("/startup")
    g = Gate(standpipe, port, postgres, None)

    def gates():
        return {p for p in harness.children_of(standpipe.pid) if harness.process_exists(p)
                and b"serve" in open(f"/proc/{p}/cmdline", "rb").read().split(b"\0")}

    stays = g.raw()
    stays.ask("begin")
    load = Load(g)
    known = gates()
    first = newest = known.copy().pop()
    for n in range(3):
        load.wait_for_more()
        os.kill(newest, signal.SIGUSR2)
        wait_until(lambda k=n: len(entries(standpipe, "replaced")) == k + 1, "the hand-over")
        newest = (gates() - known).pop()
        known |= gates()
        load.wait_for_more()
    load.end()
    wait_until(lambda: gates() == {first, newest}, "the ends of those without clients")
    stays.send(raw.query("select pg_sleep(600)"))
    wait_until(lambda: postgres.query("select count(*) from pg_stat_activity where query like '%pg_sleep(600)%' "
                                      "and pid <> pg_backend_pid() and state = 'active'")[0][0], "the sleep")
    cancel(port, stays.key)
    assert raw.error(stays.until_ready())["C"] == "57014"
    stays.close()
    wait_until(lambda: gates() == {newest}, "the first one's end")
    # One that dies is started again as ever.
    os.kill(newest, signal.SIGKILL)
    wait_until(lambda: gates() - {newest}, "another gate")
    wait_until(lambda: g.one("select 9") == 9, "service")
    assert standpipe.running()


# ---- several addresses ----


def addresses():
    """Loopback's addresses here, of both families if there are."""
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return [HOST, "127.0.0.2", "::1"]
    return [HOST, "127.0.0.2"]


def reached_at(address, port):
    connection = psycopg2.connect(host=address, port=port, user="app", dbname="app")
    with contextlib.closing(connection):
        return ask(connection, "select 42") == 42


def test_each_of_the_addresses_is_served_and_handed_over(gate, succession):
    g = gate(STANDPIPE_LISTEN_HOST=", ".join(addresses()))
    s = succession(g.standpipe)
    assert all(reached_at(a, g.port) for a in addresses())
    assert refused_at("127.0.0.3", g.port)
    clients = [g.raw() for _ in range(2)]
    newest = s.replace()
    # The one before accepts no more: the sockets are the successor's.
    assert all(reached_at(a, g.port) for a in addresses())
    assert all(c.ask("select 1") == [("1",)] for c in clients)
    for c in clients:
        c.close()
    assert g.standpipe.wait() == 0
    assert all(reached_at(a, g.port) for a in addresses())
    assert harness.process_exists(newest)


def refused_at(address, port):
    try:
        socket.create_connection((address, port), timeout=harness.LIMIT).close()
    except ConnectionRefusedError:
        return True
    return False


# ---- several side by side ----


def workers_of(standpipe):
    return [p for p in harness.children_of(standpipe.pid) if harness.process_exists(p)]


def listeners_of(pid):
    """So many sockets does the process have that listen."""
    inodes = {os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")}
    rows = [line.split() for line in open("/proc/net/tcp", encoding="ascii").read().splitlines()[1:]]
    return {int(r[1].split(":")[1], 16) for r in rows if r[3] == "0A" and f"socket:[{r[9]}]" in inodes}


def worker_has(pid, client):
    """Is the other end of the client's socket the process's?"""
    inodes = {os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")}
    rows = [line.split() for line in open("/proc/net/tcp", encoding="ascii").read().splitlines()[1:]]
    port = client.getsockname()[1]
    return any(int(r[2].split(":")[1], 16) == port and f"socket:[{r[9]}]" in inodes for r in rows)


def one_of_each(g, count):
    """A client of each worker."""
    clients = {}
    while len(clients) < count:
        c = g.raw()
        if c.key[0] >> 16 in clients:
            c.close()
        else:
            clients[c.key[0] >> 16] = c
    return list(clients.values())


@pytest.fixture
def crew(gate):
    """crew(count, NAME=value...): a gate with so many workers, all of which serve."""
    def run(count=3, **env):
        # Their pages take ports from the first one's on.
        admin = harness.free_ports(count)
        g = gate(STANDPIPE_WORKERS=count, STANDPIPE_ADMIN_PORT=admin, started=False, **env)
        g.standpipe.wait_get("/startup")
        wait_until(lambda: len(entries(g.standpipe, "started")) == count, "all workers")
        return g
    return run


def test_workers_share_port_and_budget(crew):
    g = crew(3, size=7)
    assert len(workers_of(g.standpipe)) == 3
    assert all(g.port in listeners_of(p) for p in workers_of(g.standpipe))
    # The kernel spreads connects: each of these is some worker's, and all are served.
    clients = [g.raw() for _ in range(30)]
    slots = {c.key[0] >> 16 for c in clients}
    assert len(slots) == 3, slots
    load = Load(g, threads=8)
    load.wait_for_more(200)
    assert g.server.sessions() <= 6, "7 are 2 for each"
    load.end()
    for c in clients:
        assert c.ask("select 1") == [("1",)]
    # The Unix socket is all of theirs.
    with contextlib.closing(psycopg2.connect(host=os.fspath(g.directory), port=g.port, user="app", dbname="app")) as c:
        assert ask(c, "select 8") == 8
    for n in range(3):
        status = harness.http_get(f"http://{HOST}:{g.standpipe.admin_port + n}/status").json
        assert (status["worker"], status["workers"], status["budget"]["share"]) == (n, 3, 2)
        metrics = harness.http_get(f"http://{HOST}:{g.standpipe.admin_port + n}/metrics").body
        assert f'\nstandpipe_budget_share{{worker="{n}"}} 2\n' in metrics
    with contextlib.closing(psycopg2.connect(host=os.fspath(g.directory), port=g.port, user="pgbouncer",
                                             dbname="pgbouncer")) as c:
        c.autocommit = True
        with c.cursor() as cursor:
            cursor.execute("SHOW STATE")
            assert dict(cursor.fetchall())["worker"] in ("0 of 0 to 2", "1 of 0 to 2", "2 of 0 to 2")


def test_workers_share_each_of_the_addresses(crew):
    g = crew(2, STANDPIPE_LISTEN_HOST=", ".join(addresses()))
    assert all(reached_at(a, g.port) for a in addresses())
    slots = set()

    def both_came():
        c = raw.Raw(g.port, host="127.0.0.2")
        slots.add(c.key[0] >> 16)
        c.close()
        return len(slots) == 2
    wait_until(both_came, "clients of both workers at the second address")


def test_a_cancel_request_finds_the_worker_that_has_the_client(crew):
    g = crew(3)
    clients = one_of_each(g, 3)
    for c in clients:
        c.send(raw.query("select pg_sleep(600)"))
    wait_until(lambda: g.server.query("select count(*) from pg_stat_activity where query like '%pg_sleep(600)%' and "
                                      "pid <> pg_backend_pid() and state = 'active'")[0][0] == 3, "the sleeps")
    victim, *others = clients
    wrong = (victim.key[0], victim.key[1] ^ 1)
    for _ in range(10):
        cancel(g.port, wrong)
    for _ in range(10):  # to whichever worker each comes
        cancel(g.port, victim.key)
    assert raw.error(victim.until_ready())["C"] == "57014"
    for c in others:
        assert g.server.query("select count(*) from pg_stat_activity where query like '%pg_sleep(600)%' and "
                              "pid <> pg_backend_pid() and state = 'active'")[0][0] == 2
        cancel(g.port, c.key)
        assert raw.error(c.until_ready())["C"] == "57014"
        break


def test_a_cancel_request_for_another_worker_ends_when_it_is_carried_out(crew):
    """Drivers wait for that end, and then ask on: what they ask must not be what is cancelled."""
    g = crew(2)
    mine, other = one_of_each(g, 2)
    mine.send(raw.query("select pg_sleep(600)"))
    wait_until(lambda: g.server.query("select count(*) from pg_stat_activity where query like '%pg_sleep(600)%' and "
                                      "pid <> pg_backend_pid() and state = 'active'")[0][0], "the sleep")
    worker = next(p for p in workers_of(g.standpipe) if worker_has(p, mine.socket))
    os.kill(worker, signal.SIGSTOP)
    try:
        askers = []
        for _ in range(16):  # some of them come to the other one
            s = socket.create_connection((HOST, g.port), timeout=harness.LIMIT)
            s.sendall(struct.pack("!iiii", 16, 80877102, *mine.key))
            askers.append(s)
        for _ in range(20):  # which has seen to them by then
            other.ask("select 1")
        for s in askers:
            s.setblocking(False)
            with pytest.raises(BlockingIOError):
                s.recv(1)
    finally:
        os.kill(worker, signal.SIGCONT)
    for s in askers:
        s.settimeout(harness.LIMIT)
        assert s.recv(1) == b""
        s.close()
    assert raw.error(mine.until_ready())["C"] == "57014"
    assert mine.ask("select 1") == [("1",)]


class Crew:
    """A console's session with one of the workers, and what all of them say of themselves."""

    def __init__(self, g, count):
        self.g, self.count = g, count
        self.connection = self._connect()

    def _connect(self):
        c = psycopg2.connect(host=os.fspath(self.g.directory), port=self.g.port, user="pgbouncer", dbname="pgbouncer")
        c.autocommit = True
        return c

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def do(self, command):
        with self.connection.cursor() as cursor:
            cursor.execute(command)
            return cursor.fetchall() if cursor.description else cursor.statusmessage

    def refused(self, command):
        with pytest.raises(psycopg2.Error) as e:
            self.do(command)
        return e.value.pgcode, str(e.value)

    def each(self, page="/status"):
        return [harness.http_get(f"http://{HOST}:{self.g.standpipe.admin_port + n}{page}").json
                for n in range(self.count)]

    def waiting(self):
        return [status["pool"]["waiting"] for status in self.each()]

    def clients(self):
        """{the worker's number: {the ids of its clients of the database}}"""
        found = {}
        while len(found) < self.count:
            with contextlib.closing(self._connect()) as c, c.cursor() as cursor:
                cursor.execute("SHOW STATE")
                worker = int(dict(cursor.fetchall())["worker"].split()[0])
                cursor.execute("SHOW CLIENTS")
                names = [column.name for column in cursor.description]
                rows = [dict(zip(names, row)) for row in cursor.fetchall()]
                found[worker] = {row["id"] for row in rows if row["database"] == "app"}
        return found


@pytest.fixture
def console_of(crew):
    @contextlib.contextmanager
    def run(count=3, **env):
        g = crew(count, **env)
        with Crew(g, count) as console:
            yield g, console
    return run


def test_a_pause_in_the_console_is_of_all_workers(console_of):
    with console_of(3) as (g, console):
        clients = one_of_each(g, 3)
        for about in ("", " app"):
            assert console.do("PAUSE" + about) == "PAUSE"
            for c in clients:
                c.send(raw.query("select 1"))
            wait_until(lambda: console.waiting() == [1, 1, 1], "all to wait")
            if not about:
                assert console.refused("PAUSE")[0] == "55000"
            assert console.do("RESUME" + about) == "RESUME"
            for c in clients:
                assert [m[0] for m in c.until_ready()][-1] == "Z"
        assert console.refused("RESUME")[0] == "55000"
        assert console.refused("PAUSE nowhere")[0] == "3D000"
        assert g.one("select 2") == 2


def test_a_pause_waits_for_all_workers_and_can_be_given_up(console_of):
    with console_of(2) as (g, console):
        clients = one_of_each(g, 2)
        for busy, idle in (clients, clients[::-1]):
            busy.ask("begin")
            refusals = []
            pausing = threading.Thread(target=lambda to=refusals: to.append(console.refused("PAUSE")), daemon=True)
            pausing.start()

            def is_held(client=idle):
                """Does it wait, once the pause has come? What it asked before that is answered."""
                client.send(raw.query("select 1"))
                wait_until(lambda: sum(console.waiting()) == 1 or select.select([client.socket], [], [], 0)[0],
                           "it to be answered, or to wait")
                return sum(console.waiting()) == 1 or not client.until_ready()
            wait_until(is_held, "the other one to wait")
            console.connection.cancel()
            pausing.join()
            assert refusals[0][0] == "57014"
            assert idle.until_ready()[-1][0] == "Z"
            assert busy.ask("select 1") == [("1",)]
            busy.ask("commit")
        assert console.do("PAUSE") == "PAUSE"


def test_what_the_console_changes_is_changed_on_all_workers(console_of):
    with console_of(3, config="pool: {size: 6}\n", size=6) as (g, console):
        for mode in ("metrics", "auto"):
            assert console.do(f"BREAKER {mode}") == "BREAKER"
            assert [s["breaker"]["mode"] for s in console.each()] == [mode] * 3
        console.do("DISABLE app")
        for _ in range(12):
            c = raw.Raw(g.port, login=False)
            body = raw.text("user", "app", "database", "app") + b"\0"
            c.send(struct.pack("!ii", len(body) + 8, 196608) + body)
            assert raw.error(c.until_end())["C"] == "55000"
            c.socket.close()
        console.do("ENABLE app")
        clients = one_of_each(g, 3)
        before = {c.ask("select pg_backend_pid()")[0][0] for c in clients}
        console.do("RECONNECT")
        assert not before & {c.ask("select pg_backend_pid()")[0][0] for c in clients}
        console.do("SET timeouts.query = '9s'")
        console.do("RELOAD")
        wait_until(lambda: len(entries(g.standpipe, "the configuration has been read anew")) >= 6, "all to read it anew")
        console.do("KILL app")
        for c in clients:
            assert raw.error(c.until_end())["C"] == "57P01"
        console.do("RESUME app")
        assert g.one("select 3") == 3
        assert console.refused("SHUTDOWN WAIT_FOR_CLIENTS")[0] == "0A000"
        with contextlib.suppress(psycopg2.Error):
            console.do("SHUTDOWN")
        assert g.standpipe.wait() == 0


def test_a_client_is_killed_whosever_it_is(console_of):
    with console_of(2) as (g, console):
        clients = one_of_each(g, 2)
        ids = console.clients()
        assert len(ids[0]) == len(ids[1]) == 1 and not ids[0] & ids[1]
        for number in ids[0] | ids[1]:
            console.do(f"KILL_CLIENT {number}")
        for c in clients:
            assert raw.error(c.until_end())["C"] == "57P01"
        assert console.refused("KILL_CLIENT 999999")[0] == "42704"


def test_a_worker_that_is_not_there_is_named(console_of):
    with console_of(2) as (g, console):
        mine = int(dict(console.do("SHOW STATE"))["worker"].split()[0])
        assert f"this is worker {mine} of 0 to 1" in "".join(console.connection.notices)
        its_port = g.standpipe.admin_port + 1 - mine
        other = next(p for p in workers_of(g.standpipe) if its_port in listeners_of(p))
        os.kill(other, signal.SIGSTOP)
        refusals = []
        asking = threading.Thread(target=lambda: refusals.append(console.refused("BREAKER METRICS")), daemon=True)
        asking.start()
        wait_until(lambda: harness.http_get(f"http://{HOST}:{g.standpipe.admin_port + mine}/status").json["breaker"]
                   ["mode"] == "metrics", "it to be done here")
        os.kill(other, signal.SIGKILL)
        asking.join()
        assert refusals[0][0] == "57P03" and f"worker {1 - mine}" in refusals[0][1]
        wait_until(lambda: len(entries(g.standpipe, "started")) == 3, "another")
        assert console.do("BREAKER AUTO") == "BREAKER"


def test_a_worker_that_dies_is_started_again(crew):
    g = crew(2)
    first = workers_of(g.standpipe)
    for pid in first:
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda p=pid: p not in workers_of(g.standpipe) and len(workers_of(g.standpipe)) == 2, "another")
    wait_until(lambda: len(entries(g.standpipe, "started")) == 4, "both to serve again")
    assert not set(first) & set(workers_of(g.standpipe))
    for n in range(10):
        assert g.one(f"select {n}") == n


def test_workers_drain_and_end_together(crew):
    g = crew(3, STANDPIPE_SHUTDOWN_GRACE="0", STANDPIPE_SHUTDOWN_DRAIN="600s")
    clients = one_of_each(g, 3)
    for c in clients:
        c.ask("begin")
    g.standpipe.send_signal(signal.SIGTERM)
    wait_until(lambda: len(entries(g.standpipe, "draining")) == 3, "all to drain")
    for c in clients:
        assert c.ask("select 1") == [("1",)]
        c.send(raw.query("commit"))
        assert raw.error(c.until_end())["C"] == "57P01"
    assert g.standpipe.wait() == 0


def test_workers_are_replaced_one_by_one(crew):
    g = crew(2)
    before = workers_of(g.standpipe)
    load = Load(g)
    load.wait_for_more()
    g.standpipe.send_signal(signal.SIGUSR2)
    wait_until(lambda: len(entries(g.standpipe, "replaced")) == 2, "both hand-overs")
    load.wait_for_more()
    load.end()
    wait_until(lambda: not set(before) & set(workers_of(g.standpipe)), "the old ones' ends")
    assert len(workers_of(g.standpipe)) == 2
    g.standpipe.send_signal(signal.SIGHUP)
    wait_until(lambda: len(entries(g.standpipe, "the configuration has been read anew")) == 2, "the reloads")
    assert g.one("select 5") == 5


def test_the_manager_is_told_when_all_workers_serve(gate):
    directory = harness.short_dir()
    os.chmod(directory, 0o777)
    manager = Manager(directory)
    g = gate(STANDPIPE_WORKERS=2, STANDPIPE_ADMIN_PORT=harness.free_ports(2), NOTIFY_SOCKET=manager.path, WATCHDOG_USEC=200000)
    assert "READY" in manager.until("READY")
    wait_until(lambda: len(entries(g.standpipe, "started")) == 2, "what both have said by then")
    assert "WATCHDOG" in manager.until("WATCHDOG")
    g.standpipe.send_signal(signal.SIGTERM)
    assert "STOPPING" in manager.until("STOPPING")
    shutil.rmtree(directory)


def test_the_first_workers_failed_start_is_the_end(gate, make_postgres):
    server = make_postgres()
    g = gate(STANDPIPE_WORKERS=3, STANDPIPE_ADMIN_PORT=harness.free_ports(3), DATABASE_URL=server.url(),
             started=False, STANDPIPE_TIMEOUTS_INITIALIZATION="0.3s")
    assert g.standpipe.wait() == 3
    assert not workers_of(g.standpipe)


def test_a_port_of_another_program_is_not_joined(gate):
    g = gate()
    other = gate(STANDPIPE_WORKERS=2, STANDPIPE_ADMIN_PORT=harness.free_ports(2), STANDPIPE_LISTEN_PORT=g.port,
                 started=False)
    assert other.standpipe.wait() == 2
    assert "listen.port" in other.standpipe.text


def test_run_has_one_gate(run_standpipe, postgres):
    standpipe = run_standpipe("run", command=("true",), env={"DATABASE_URL": postgres.url(), "STANDPIPE_WORKERS": 2})
    assert standpipe.wait() == 2
    assert "`standpipe run` has one gate" in standpipe.text
