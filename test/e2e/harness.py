"""What the end-to-end tests stand on: real servers, real processes, and waiting for events.

Everything here is started by its pid and ended by its pid; each process also ends when the test
run does, however that ends. No test sleeps for a fixed time: it waits for an event, within LIMIT
seconds, which is only there so that a failure does not hang.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import pwd
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

LIMIT = float(os.environ.get("STANDPIPE_TEST_LIMIT", "60"))
ROOT = pathlib.Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"

# The variable with which the configuration sets the admin server's port.
ADMIN_PORT_VARIABLE = "STANDPIPE_ADMIN_PORT"

SANITIZER_MARKS = ("AddressSanitizer", "LeakSanitizer", "UndefinedBehaviorSanitizer", "runtime error:")

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def die_with_parent(signal_number=signal.SIGKILL):
    """For preexec_fn: the child gets the signal when the test run ends, even by SIGKILL."""
    return lambda: _libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0)


def prepare_child(soft_files=None, hard_files=None):
    """For preexec_fn: as die_with_parent, and with so many file descriptors at most."""
    die = die_with_parent()

    def prepare():
        if soft_files:
            _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft_files, hard_files or hard))
        die()
    return prepare


def wait_until(condition, what, limit=None, every=0.02):
    """Polls `condition` until it gives something true, and gives that back."""
    deadline = time.monotonic() + (limit or LIMIT)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {limit or LIMIT:.0f} s in vain for {what}")
        time.sleep(every)


_given_ports = set()


def free_port():
    """A TCP port on loopback that nobody has now, and that no other call got."""
    while True:
        with socket.socket() as s:
            s.bind((HOST, 0))
            port = s.getsockname()[1]
        if port not in _given_ports:
            _given_ports.add(port)
            return port


def free_ports(count):
    """The first of so many TCP ports in a row that nobody has now, and that no other call got."""
    while True:
        first = free_port()
        rest = range(first + 1, first + count)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError, OverflowError):
            for port in rest:
                stack.enter_context(socket.socket()).bind((HOST, port))
            if not _given_ports & set(rest):
                _given_ports.update(rest)
                return first


def short_dir(prefix="sp-"):
    """A directory that every user can reach, with a path short enough for Unix sockets (107 bytes)."""
    base = tempfile.gettempdir()
    if len(base) > 40 or not os.stat(base).st_mode & 0o001:
        base = "/tmp"
    path = tempfile.mkdtemp(prefix=prefix, dir=base)
    os.chmod(path, 0o755)
    return pathlib.Path(path)


def process_exists(pid):
    """Is there such a process that has not ended? (A zombie has.)"""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            return f.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def children_of(pid):
    """The pids of its children, zombies included."""
    try:
        return [int(p) for p in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


class Program:
    """A process with its output collected line by line."""

    def __init__(self, argv, *, env=None, cwd=None, pass_fds=(), stdin=subprocess.DEVNULL, user=None,
                 soft_files=None, hard_files=None):
        identity = {"user": user, "group": user_group(user), "extra_groups": []} if user else {}
        self.argv = [os.fspath(a) for a in argv]
        self.lines = []  # stdout and stderr, in the order in which they came
        self.stderr_lines = []
        self.stdout_lines = []
        self.process = subprocess.Popen(
            self.argv, env=env, cwd=cwd, pass_fds=pass_fds, stdin=stdin,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
            preexec_fn=prepare_child(soft_files, hard_files), **identity)
        self.pid = self.process.pid
        self._readers = []
        for stream, own in ((self.process.stdout, self.stdout_lines), (self.process.stderr, self.stderr_lines)):
            reader = threading.Thread(target=self._collect, args=(stream, own), daemon=True)
            reader.start()
            self._readers.append(reader)

    def _collect(self, stream, own):
        with contextlib.suppress(ValueError, OSError):
            for line in stream:
                own.append(line.rstrip("\n"))
                self.lines.append(line.rstrip("\n"))

    @property
    def text(self):
        return "\n".join(self.lines)

    def send_signal(self, number):
        self.process.send_signal(number)

    def running(self):
        return self.process.poll() is None

    def wait(self, limit=None):
        """Its exit code, 128 + signal if a signal ended it."""
        try:
            code = self.process.wait(limit or LIMIT)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.argv[0]} did not end; its output:\n{self.text}") from None
        for reader in self._readers:
            reader.join(2)  # a grandchild may hold the pipe
        return code if code >= 0 else 128 - code

    def wait_line(self, part, limit=None):
        """The first line of output that has `part` in it."""
        def find():
            return next((line for line in list(self.lines) if part in line), None)

        def look():
            found = find()
            if not found and not self.running():
                for reader in self._readers:
                    reader.join(2)
                found = find()
                assert found, f"{self.argv[0]} ended without saying {part!r}:\n{self.text}"
            return found
        return wait_until(look, f"{part!r} in the output of {self.argv[0]}:\n{self.text}", limit)

    def stop(self, number=signal.SIGTERM, limit=None):
        """Ends it, with SIGKILL if it must, and gives the exit code."""
        if self.running():
            self.send_signal(number)
            try:
                self.process.wait(limit or 15)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.wait()

    def check_sanitizers(self):
        marked = [line for line in self.lines if any(m in line for m in SANITIZER_MARKS)]
        assert not marked, f"a sanitizer found something:\n{self.text}"


# --- servers -------------------------------------------------------------------------------------


def unprivileged_user():
    """PostgreSQL refuses to run as root; None: we are not root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise RuntimeError("running as root, and there is neither a user postgres nor nobody")


def user_group(user):
    return pwd.getpwnam(user).pw_gid if user else None


def run_as(user, argv, **kwargs):
    identity = {"user": user, "group": user_group(user), "extra_groups": []} if user else {}
    done = subprocess.run([os.fspath(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, cwd="/", check=False, **identity, **kwargs)
    if done.returncode:
        raise RuntimeError(f"{argv[0]} failed with {done.returncode}:\n{done.stdout}")
    return done.stdout


def postgres_bin():
    """The newest PostgreSQL's programs."""
    homes = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[-3]))
    if homes:
        return homes[-1].parent
    found = shutil.which("postgres")
    if not found:
        raise RuntimeError("no PostgreSQL server found: install the package postgresql")
    return pathlib.Path(found).parent


def self_signed(directory, names=("localhost",), owner=None):
    """(certificate, key) files for the names and for 127.0.0.1."""
    cert, key = directory / "server.crt", directory / "server.key"
    alt = ",".join([f"DNS:{n}" for n in names] + ["IP:127.0.0.1"])
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                    "-nodes", "-days", "2", "-subj", f"/CN={names[0]}", "-addext", f"subjectAltName={alt}",
                    "-keyout", key, "-out", cert], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.chmod(key, 0o600)
    if owner:
        for f in (cert, key):
            shutil.chown(f, owner, user_group(owner))
    return cert, key


class PostgresTemplate:
    """A cluster made by initdb once, from which servers are copied.

    Superuser `postgres`, password SUPER; role `app`, password PASSWORD, owner of the database `app`.
    Passwords are scram-sha-256 on every way in.
    """

    SUPER = "super-secret"
    PASSWORD = "app-secret"

    def __init__(self):
        self.user = unprivileged_user()
        self.bin = postgres_bin()
        self.base = short_dir("sp-template-")
        if self.user:
            shutil.chown(self.base, self.user, user_group(self.user))
        self.data = self.base / "data"
        password = self.base / "password"
        password.write_text(self.SUPER)
        if self.user:
            shutil.chown(password, self.user)
        run_as(self.user, [self.bin / "initdb", "-D", self.data, "-U", "postgres", "-E", "UTF8", "--locale=C",
                           "-A", "scram-sha-256", "--pwfile", password, "--no-sync"])
        password.unlink()
        run_as(self.user, [self.bin / "postgres", "--single", "-D", self.data, "postgres"],
               input=f"create role app login password '{self.PASSWORD}'\ncreate database app owner app\n")

    def remove(self):
        shutil.rmtree(self.base, ignore_errors=True)


class Postgres:
    """A real PostgreSQL server of its own, on a TCP port of loopback and a Unix socket."""

    def __init__(self, template, *, max_connections=100, tls=False, settings=None):
        self.template = template
        self.base = short_dir("sp-pg-")
        self.data = self.base / "data"
        self.socket_dir = self.base
        self.port = free_port()
        self.log = self.base / "log"
        self.process = None
        run_as(None, ["cp", "-a", template.data, self.data])
        if template.user:
            shutil.chown(self.base, template.user, user_group(template.user))
        self.settings = {
            "listen_addresses": HOST, "port": self.port, "unix_socket_directories": self.socket_dir,
            "max_connections": max_connections, "fsync": "off", "log_connections": "on",
            "shared_buffers": "16MB", **(settings or {})}
        if tls:
            self.cert, key = self_signed(self.base, owner=template.user)
            self.settings.update(ssl="on", ssl_cert_file=self.cert, ssl_key_file=key)

    def start(self, **settings):
        """Starts it (again), with `settings` changed, and waits until it answers."""
        assert not self.process, "it runs already"
        self.settings.update(settings)
        argv = [os.fspath(self.template.bin / "postgres"), "-D", os.fspath(self.data)]
        for key, value in self.settings.items():
            argv += ["-c", f"{key}={value}"]
        user = self.template.user
        identity = {"user": user, "group": user_group(user), "extra_groups": []} if user else {}
        with open(self.log, "ab") as log:
            # SIGQUIT: an immediate shutdown of the server with all of its children.
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                                            start_new_session=True, preexec_fn=die_with_parent(signal.SIGQUIT),
                                            **identity)
        wait_until(self._answers, "PostgreSQL to answer")
        return self

    def _answers(self):
        assert self.process.poll() is None, f"PostgreSQL did not start:\n{self.log.read_text()}"
        try:
            self.connect(user="postgres", password=self.template.SUPER, database="postgres").close()
        except Exception:  # pylint: disable=broad-except
            return False
        return True

    def stop(self, how=signal.SIGINT):
        """SIGINT: fast (sessions cut), SIGQUIT: immediate, SIGTERM: waits for the sessions' ends."""
        if not self.process:
            return
        process, self.process = self.process, None
        process.send_signal(how)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _family(self):
        """The server's processes. (Each has a process group of its own.)"""
        return [self.process.pid, *descendants(self.process.pid)]

    def _signal(self, number):
        # The postmaster last: who is left without it says so to its client.
        for pid in reversed(self._family()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self):
        """SIGKILL for the server and every backend: a crash of the machine, but for the sockets."""
        self.process.send_signal(signal.SIGSTOP)  # no new ones
        family = self._family()
        self._signal(signal.SIGKILL)
        self.process.wait()
        self.process = None
        # Each backend holds a part of the shared memory that the next start asks about.
        wait_until(lambda: not any(process_exists(p) for p in family), "the backends' ends")

    def restart(self, **settings):
        self.stop()
        return self.start(**settings)

    def pause(self):
        """Every process stops: connections hang, as over a path that drops all."""
        self._signal(signal.SIGSTOP)

    def resume(self):
        self._signal(signal.SIGCONT)

    def url(self, user="app", password=None, database="app", scheme="postgresql", host=HOST, port=None, query=""):
        password = self._password(user) if password is None else password
        return f"{scheme}://{user}:{password}@{host}:{port or self.port}/{database}" + (f"?{query}" if query else "")

    def _password(self, user):
        return self.template.SUPER if user == "postgres" else self.template.PASSWORD

    def connect(self, user="app", password=None, database="app", **kwargs):
        """A psycopg2 connection, in autocommit."""
        import psycopg2  # Debian's python3-psycopg2
        parameters = {"host": HOST, "port": self.port, "user": user, "dbname": database, "connect_timeout": 10,
                      "password": self._password(user) if password is None else password, **kwargs}
        connection = psycopg2.connect(**parameters)
        connection.autocommit = True
        return connection

    def query(self, sql, *parameters, user="postgres", database="app"):
        """All rows of one statement, by the superuser."""
        connection = self.connect(user=user, database=database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, parameters or None)
                return cursor.fetchall() if cursor.description else None
        finally:
            connection.close()

    def sessions(self, user="app"):
        """How many server connections the role has now."""
        return self.query("select count(*) from pg_stat_activity where usename = %s", user)[0][0]

    def remove(self):
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                self.resume()
            self.stop(signal.SIGQUIT)
        shutil.rmtree(self.base, ignore_errors=True)


class Redis:
    """A real Redis server; with a password when asked for one, and TLS on a port of its own."""

    def __init__(self, password=None, tls=False):
        self.base = short_dir("sp-redis-")
        self.password = password
        self.port = free_port()
        self.tls_port = free_port() if tls else 0
        self.argv = ["redis-server", "--port", str(self.port), "--bind", HOST, "--save", "", "--appendonly", "no",
                     "--dir", os.fspath(self.base), "--daemonize", "no"]
        if password:
            self.argv += ["--requirepass", password]
        if tls:
            self.cert, key = self_signed(self.base)
            self.argv += ["--tls-port", str(self.tls_port), "--tls-cert-file", os.fspath(self.cert),
                          "--tls-key-file", os.fspath(key), "--tls-ca-cert-file", os.fspath(self.cert),
                          "--tls-auth-clients", "no"]
        self.program = None

    def start(self):
        self.program = Program(self.argv)
        self.program.wait_line("Ready to accept connections")
        return self

    def url(self, scheme="redis", database=0):
        secret = f":{self.password}@" if self.password else ""
        port = self.tls_port if scheme == "rediss" else self.port
        host = "localhost" if scheme == "rediss" else HOST
        return f"{scheme}://{secret}{host}:{port}/{database}"

    def stop(self):
        if self.program:
            self.program.stop()
            self.program = None

    def remove(self):
        self.stop()
        shutil.rmtree(self.base, ignore_errors=True)


# --- the program ---------------------------------------------------------------------------------


def binary():
    path = pathlib.Path(os.environ.get("STANDPIPE_BIN", ROOT / "build" / "standpipe")).resolve()
    assert path.exists(), f"{path} is missing: build it (./dev build), or set STANDPIPE_BIN"
    return path


def test_program(name, variable):
    """A program of the build that is only there for the tests: from `variable`, or near the binary."""
    if variable in os.environ:
        return pathlib.Path(os.environ[variable]).resolve()
    near = pathlib.Path(os.environ.get("STANDPIPE_BIN", ROOT / "build" / "standpipe")).resolve()
    for directory in near.parents[:4]:
        if (directory / "test" / name).exists():
            return directory / "test" / name
    raise AssertionError(f"no test/{name} near {near}: build it, or set {variable}")


test_program.__test__ = False  # not one of pytest's


class Answer:
    """What the admin server said."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)


def http_get(url, headers=None, limit=10):
    """An Answer for every status; ConnectionError or TimeoutError when there is none."""
    request = urllib.request.Request(url, headers=headers or {})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=limit) as response:
            return Answer(response.status, response.headers, response.read().decode("utf-8", "replace"))
    except urllib.error.HTTPError as e:
        with e:
            return Answer(e.code, e.headers, e.read().decode("utf-8", "replace"))
    except urllib.error.URLError as e:
        raise (e.reason if isinstance(e.reason, OSError) else ConnectionError(str(e.reason))) from None


class Standpipe(Program):
    """The program itself, with its admin server and its log."""

    def __init__(self, argv, *, env, admin_port, directory, **kwargs):
        self.admin_port = admin_port
        self.directory = directory
        super().__init__(argv, env=env, cwd=directory, **kwargs)

    def get(self, path, **kwargs):
        return http_get(f"http://{HOST}:{self.admin_port}{path}", **kwargs)

    def wait_get(self, path, condition=lambda answer: answer.status == 200, limit=None):
        """Asks until `condition` holds for the answer; gives that answer."""
        last = [None]

        def ask():
            assert self.running(), f"it ended with {self.wait()} while {path} was waited for:\n{self.text}"
            try:
                last[0] = self.get(path)
            except OSError:
                return None
            return last[0] if condition(last[0]) else None

        try:
            return wait_until(ask, path, limit, every=0.05)
        except AssertionError as e:
            seen = f"{last[0].status} {last[0].body}" if last[0] else "no answer"
            raise AssertionError(f"{e}\nlast answer: {seen}\noutput:\n{self.text}") from None

    def log(self):
        """The log's JSON objects so far."""
        entries = []
        for line in list(self.stderr_lines):
            if line.startswith("{"):
                with contextlib.suppress(ValueError):
                    entries.append(json.loads(line))
        return entries


# The run's own environment would otherwise be configuration.
_FOREIGN = ("DATABASE_", "DB_", "PG", "REDIS_", "VPC_", "CIRCUIT_", "STANDPIPE_", "LISTEN_", "NOTIFY_")
_FOREIGN_NAMES = ("PORT", "ENVIRONMENT")
_OURS = ("STANDPIPE_LOOP_BACKEND",)  # to run all tests with either of them


def clean_environment(**extra):
    kept = {k: v for k, v in os.environ.items()
            if k in _OURS or (not k.startswith(_FOREIGN) and k not in _FOREIGN_NAMES)}
    kept.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0")
    kept.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    kept.update({k: str(v) for k, v in extra.items()})
    return kept


class Runner:
    """Starts Standpipe for one test and sees to it that nothing of it is left."""

    def __init__(self, program):
        self.program = program
        self.directory = short_dir("sp-run-")
        self.started = []

    def __call__(self, *arguments, command=(), env=None, config=None, **kwargs):
        """standpipe ARGUMENTS [-c CONFIG] [-- COMMAND]; without arguments: run, or serve."""
        argv = [self.program, *(arguments or (("run",) if command else ("serve",)))]
        if config is not None:
            file = self.directory / f"standpipe-{len(self.started)}.yaml"
            file.write_text(config)
            argv += ["-c", file]
        if command:
            argv += ["--", *command]
        given = dict(env or {})
        port = int(given.setdefault(ADMIN_PORT_VARIABLE, free_port()))
        standpipe = Standpipe(argv, env=clean_environment(**given), admin_port=port,
                              directory=self.directory, **kwargs)
        self.started.append(standpipe)
        return standpipe

    def close(self):
        with contextlib.ExitStack() as steps:  # each of them is done, whatever the others raise
            steps.callback(shutil.rmtree, self.directory, ignore_errors=True)
            for standpipe in self.started:
                steps.callback(self._end, standpipe)

    @staticmethod
    def _end(standpipe):
        family = descendants(standpipe.pid) if standpipe.running() else []
        standpipe.stop()
        for pid in family:
            wait_until(lambda p=pid: not process_exists(p), f"the end of process {pid}", 15)
        standpipe.check_sanitizers()


def descendants(pid):
    found = []
    for child in children_of(pid):
        found += [child, *descendants(child)]
    return found
