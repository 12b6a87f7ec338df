"""PID 1 alone: a C driver runs init_run, and gate_double.py speaks the gate's side of the protocol."""

import json
import os
import pathlib
import pty
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading

import pytest

import harness
from harness import LIMIT, Program, process_exists, wait_until

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = "/usr/bin/python3"


class Gate:
    """One life of the gate, seen from the test."""

    def __init__(self, connection):
        self.connection = connection
        self.events = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        born = self.event("born")
        self.pid, self.group, self.mask = born["pid"], born["group"], born["mask"]
        self.fds = {int(k): v for k, v in born["fds"].items()}
        self.environment = born["environment"]

    def _read(self):
        try:
            for line in self.connection.makefile("r"):
                self.events.put(json.loads(line))
        except OSError:
            pass
        self.events.put({"event": "gone"})

    def event(self, kind):
        """The next event, which must be of this kind."""
        try:
            event = self.events.get(timeout=LIMIT)
        except queue.Empty:
            raise AssertionError(f"the gate saw no {kind}") from None
        assert event["event"] == kind, event
        return event

    def expect(self, kind, code=None):
        """The next message from PID 1 is this one; gives its code."""
        message = self.event("message")
        assert message["kind"] == kind, message
        assert code is None or message["code"] == code, message
        return message["code"]

    def tell(self, line):
        self.connection.sendall(line.encode() + b"\n")

    def send(self, kind, code=0):
        self.tell(f"send {kind} {code}")


class Init:
    """The driver with gates that connect back to the test."""

    def __init__(self):
        self.driver = harness.test_program("init/init_driver", "STANDPIPE_INIT_DRIVER")
        self.directory = harness.short_dir("sp-init-")
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(os.fspath(self.directory / "gate"))
        self.server.listen(8)
        self.server.settimeout(LIMIT)
        self.program = None

    def start(self, *command, gate=None, grace_ms=10000, listeners=(), pass_fds=(), env=None, wrapper=(),
              **kwargs):
        argv = [*wrapper, self.driver, "--grace-ms", str(grace_ms)]
        for name, fd in listeners:
            argv += ["--listener", f"{name}={fd}"]
        fds = [*pass_fds] if wrapper else [
            *pass_fds, *(int(str(fd).split(",", maxsplit=1)[0]) for _, fd in listeners)]
        environment = harness.clean_environment(GATE_TEST_SOCKET=self.directory / "gate", **(env or {}))
        argv += ["--", *(gate or [PYTHON, HERE / "gate_double.py"]), "--", *command]
        self.program = Program(argv, env=environment, pass_fds=fds, **kwargs)
        return self

    def next_gate(self):
        connection, _ = self.server.accept()
        return Gate(connection)

    def started(self, *command, **kwargs):
        """A gate that has started the command; gives (gate, the command's pid)."""
        self.start(*command, **kwargs)
        gate = self.next_gate()
        gate.expect("HELLO", 0)
        gate.send("START")
        return gate, gate.expect("STARTED")

    def file(self, name):
        return self.directory / name

    def wait_text(self, name):
        """The text of a file that the command writes, once there is a line."""
        def read():
            try:
                text = self.file(name).read_text()
            except FileNotFoundError:
                return None
            return text if text.endswith("\n") else None
        try:
            return wait_until(read, f"the command to write {name}")
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.program.text if self.program else ''}") from None

    def close(self):
        try:
            if self.program:
                if self.program.running():
                    family = harness.descendants(self.program.pid)
                    self.program.process.kill()
                    for pid in family:
                        if process_exists(pid):
                            os.kill(pid, signal.SIGKILL)
                self.program.wait()
                self.program.check_sanitizers()
        finally:
            self.server.close()
            shutil.rmtree(self.directory, ignore_errors=True)


@pytest.fixture
def init():
    one = Init()
    try:
        yield one
    finally:
        one.close()


def python(text):
    return [PYTHON, "-c", text]


def announce(init, name, code=""):
    """A Python prologue: say(text) writes a line to a file of the test's directory, whole."""
    path = init.file(name)
    return (f"import os, signal, sys, time\n"
            f"def say(text):\n"
            f"    with open({str(path) + '.new'!r}, 'w') as f: f.write(str(text) + '\\n')\n"
            f"    os.rename({str(path) + '.new'!r}, {str(path)!r})\n{code}")


# --- exit codes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("command, code", [
    (["true"], 0),
    (["sh", "-c", "exit 7"], 7),
    (["sh", "-c", "kill -KILL $$"], 128 + signal.SIGKILL),
    (["sh", "-c", "kill -SEGV $$"], 128 + signal.SIGSEGV),
    (["/nonexistent/program"], 127),
    (["no-such-program-in-path"], 127),
    (["/etc/passwd"], 126),
])
def test_the_gate_hears_the_commands_code_and_decides(init, command, code):
    init.start(*command)
    gate = init.next_gate()
    gate.expect("HELLO", 0)
    gate.send("START")
    message = gate.event("message")
    if message["kind"] == "STARTED":
        message = gate.event("message")
    assert (message["kind"], message["code"]) == ("EXITED", code)
    gate.send("EXIT", code)
    gate.event("signal")
    assert init.program.wait() == code


def test_what_cannot_run_is_named_with_a_mend(init):
    init.start("/nonexistent/program", gate=None)
    gate = init.next_gate()
    gate.send("START")
    init.program.wait_line("cannot run /nonexistent/program: No such file or directory")
    gate.send("EXIT", 127)
    assert init.program.wait() == 127


def test_without_an_answer_the_commands_code_counts(init):
    gate, _ = init.started("sh", "-c", "exit 7")
    gate.expect("EXITED", 7)
    assert init.program.wait() == 7


def test_the_gate_may_turn_the_code_into_another(init):
    gate, _ = init.started("sh", "-c", "exit 7")
    gate.expect("EXITED", 7)
    gate.send("EXIT", 3)
    assert init.program.wait() == 3


def test_the_gate_may_start_the_command_again(init):
    gate, first = init.started("sh", "-c", "exit 1")
    gate.expect("EXITED", 1)
    gate.send("START")
    assert gate.expect("STARTED") != first
    gate.expect("EXITED", 1)
    gate.send("EXIT", 1)
    assert init.program.wait() == 1


def test_the_gate_may_stay_without_the_command(init):
    gate, _ = init.started("sh", "-c", "exit 7")
    gate.expect("EXITED", 7)
    gate.send("STAY")
    # A second life of the gate finds things as they were, and still decides.
    gate.tell("exit 1")
    gate = init.next_gate()
    gate.expect("HELLO", 2)
    gate.send("START")
    gate.expect("STARTED")
    gate.expect("EXITED", 7)
    gate.send("STAY")
    init.program.send_signal(signal.SIGTERM)
    gate.expect("STOPPING", signal.SIGTERM)
    gate.send("EXIT", 4)
    assert init.program.wait() == 4


def test_a_signal_ends_a_program_that_stayed_without_its_command(init):
    gate, _ = init.started("sh", "-c", "exit 7")
    gate.expect("EXITED", 7)
    gate.send("STAY")
    init.program.send_signal(signal.SIGTERM)
    gate.expect("STOPPING", signal.SIGTERM)
    assert init.program.wait() == 7


def test_exit_before_any_start(init):
    init.start("true")
    gate = init.next_gate()
    gate.send("EXIT", 3)
    gate.expect("HELLO")
    gate.event("signal")
    assert init.program.wait() == 3


# --- stopping ------------------------------------------------------------------------------------


TRAP = ("signal.signal(signal.{0}, lambda *_: sys.exit(5))\n"
        "say(os.getpid())\n"
        "while True: time.sleep(60)\n")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGQUIT"])
def test_an_ending_signal_reaches_command_and_gate(init, name):
    number = getattr(signal, name)
    gate, _ = init.started(*python(announce(init, "up", TRAP.format(name))))
    init.wait_text("up")
    init.program.send_signal(number)
    gate.expect("STOPPING", number)
    gate.expect("EXITED", 5)
    gate.send("EXIT", 5)
    assert init.program.wait() == 5


def test_after_the_grace_the_whole_group_is_killed(init):
    code = announce(init, "up", (
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = os.fork()\n"
        "if child: say(child)\n"
        "while True: time.sleep(60)\n"))
    gate, pid = init.started(*python(code), grace_ms=200)
    child = int(init.wait_text("up"))
    init.program.send_signal(signal.SIGTERM)
    gate.expect("STOPPING", signal.SIGTERM)
    gate.expect("EXITED", 128 + signal.SIGKILL)
    wait_until(lambda: not process_exists(child), "the end of the command's child")
    gate.send("EXIT", 128 + signal.SIGTERM)
    assert init.program.wait() == 128 + signal.SIGTERM
    assert not process_exists(pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_before_the_command_was_started(init, number):
    init.start("true")
    gate = init.next_gate()
    gate.expect("HELLO", 0)
    init.program.send_signal(number)
    gate.expect("STOPPING", number)
    gate.event("signal")
    assert init.program.wait() == 128 + number


def test_stop_ends_the_command_and_not_the_program(init):
    gate, _ = init.started("sleep", "600")
    gate.send("STOP")
    gate.expect("EXITED", 128 + signal.SIGTERM)
    gate.send("START")
    gate.expect("STARTED")
    gate.send("EXIT", 4)
    gate.expect("EXITED", 128 + signal.SIGTERM)
    assert init.program.wait() == 4


def test_exit_from_the_gate_with_a_command_that_ignores_sigterm(init):
    code = announce(init, "up", "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nsay(1)\nwhile True: time.sleep(60)\n")
    gate, pid = init.started(*python(code), grace_ms=200)
    init.wait_text("up")
    gate.send("EXIT", 3)
    gate.expect("EXITED", 128 + signal.SIGKILL)
    gate.event("signal")
    assert init.program.wait() == 3
    assert not process_exists(pid)


def test_a_gate_that_ignores_sigterm_is_killed(init):
    init.start("true")
    gate = init.next_gate()
    gate.expect("HELLO")
    gate.tell(f"ignore {int(signal.SIGTERM)}")
    gate.event("ignoring")
    gate.send("EXIT", 3)
    assert init.program.wait() == 3
    assert not process_exists(gate.pid)


def test_a_stopped_command_can_be_ended(init):
    gate, pid = init.started(*python(announce(init, "up", TRAP.format("SIGTERM"))))
    init.wait_text("up")
    os.kill(pid, signal.SIGSTOP)
    init.program.send_signal(signal.SIGTERM)
    gate.expect("STOPPING")
    gate.expect("EXITED", 5)
    gate.send("EXIT", 5)
    assert init.program.wait() == 5


def test_sigkill_leaves_no_orphans(init):
    gate, pid = init.started("sleep", "600")
    init.program.process.kill()
    wait_until(lambda: not process_exists(gate.pid), "the gate's end")
    wait_until(lambda: not process_exists(pid), "the command's end")


def test_what_the_command_left_in_its_group_ends_with_the_program(init):
    code = announce(init, "up", "child = os.fork()\nif child == 0: time.sleep(600)\nsay(child)\n")
    gate, _ = init.started(*python(code))
    child = int(init.wait_text("up"))
    gate.expect("EXITED", 0)
    assert process_exists(child)
    gate.send("EXIT", 0)
    assert init.program.wait() == 0
    wait_until(lambda: not process_exists(child), "the end of what the command left behind")


# --- signals and orphans -------------------------------------------------------------------------


def test_other_signals_are_forwarded_to_the_group_and_nothing_else(init):
    names = ["SIGUSR1", "SIGWINCH", "SIGUSR2", "SIGALRM", "SIGCONT", "SIGTSTP", "SIGRTMIN"]
    code = announce(init, "got", (
        "got = []\n"
        "def on(number, frame):\n"
        "    got.append(number); say(' '.join(map(str, got)))\n"
        f"for name in {names + ['SIGCHLD']!r}: signal.signal(getattr(signal, name), on)\n"
        "say('up')\n"
        "while True: signal.pause()\n"))
    gate, _ = init.started(*python(code))
    init.wait_text("got")
    numbers = [int(getattr(signal, n)) for n in names]
    init.program.send_signal(signal.SIGCHLD)  # the one that is not
    for i, number in enumerate(numbers):
        init.program.send_signal(number)
        want = " ".join(map(str, numbers[:i + 1]))
        wait_until(lambda w=want: init.wait_text("got").strip() == w, f"signal {number} to arrive")
    # Had one of them meant more than forwarding, the gate would have been told before.
    init.program.send_signal(signal.SIGTERM)
    gate.expect("STOPPING", signal.SIGTERM)
    gate.expect("EXITED", 143)
    gate.send("EXIT", 143)
    assert init.program.wait() == 143


def test_sighup_is_a_reload_and_reaches_a_command_that_catches_it(init):
    code = announce(init, "got", (
        "signal.signal(signal.SIGHUP, lambda number, frame: say('hup'))\n"
        "say('up')\n"
        "while True: signal.pause()\n"))
    gate, pid = init.started(*python(code))
    wait_until(lambda: init.wait_text("got").strip() == "up", "the handler")
    init.program.send_signal(signal.SIGHUP)
    gate.expect("RELOAD", 0)
    wait_until(lambda: init.wait_text("got").strip() == "hup", "the signal to arrive")
    assert process_exists(pid)


def test_sighup_is_no_end_for_a_command_without_a_handler(init):
    gate, pid = init.started("sleep", "600")
    for _ in range(2):
        init.program.send_signal(signal.SIGHUP)
        gate.expect("RELOAD", 0)
    assert process_exists(pid)


def test_sighup_before_the_command_is_a_reload(init):
    init.start("true")
    gate = init.next_gate()
    gate.expect("HELLO", 0)
    init.program.send_signal(signal.SIGHUP)
    gate.expect("RELOAD", 0)
    gate.send("EXIT", 4)
    assert init.program.wait() == 4


def test_orphans_are_reaped(init):
    code = announce(init, "pids", (
        "pids = []\n"
        "for _ in range(20):\n"
        "    r, w = os.pipe()\n"
        "    if os.fork() == 0:\n"
        "        pid = os.fork()\n"
        "        if pid: os.write(w, str(pid).encode()); os._exit(0)\n"
        "        os.setsid()\n"
        f"        while not os.path.exists({str(init.file('go'))!r}): time.sleep(0.02)\n"
        "        os._exit(0)\n"
        "    os.wait(); pids.append(os.read(r, 20).decode())\n"
        "say(' '.join(pids))\n"
        "time.sleep(600)\n"))
    gate, pid = init.started(*python(code))
    orphans = [int(p) for p in init.wait_text("pids").split()]
    assert len(orphans) == 20
    assert sorted(harness.children_of(init.program.pid)) == sorted([gate.pid, pid, *orphans])
    init.file("go").touch()
    wait_until(lambda: not any(os.path.exists(f"/proc/{o}") for o in orphans), "all orphans to be reaped")
    assert sorted(harness.children_of(init.program.pid)) == sorted([gate.pid, pid])
    gate.send("EXIT", 0)
    assert init.program.wait() == 0


def may_unshare():
    """May we have a PID namespace of our own?"""
    return shutil.which("unshare") and subprocess.run(
        [*UNSHARE, "true"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


UNSHARE = ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), "--pid", "--fork", "--mount-proc",
           "--kill-child"]


@pytest.mark.skipif(not may_unshare(), reason="no PID namespace of our own here")
def test_as_pid_1(init):
    """As in a container: orphans that have left the command's group are reaped, and all end with it."""
    code = announce(init, "up", (
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0: os.execvp('sleep', ['sleep', '613'])\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "for _ in range(5):\n"
        "    if os.fork() == 0:\n"
        "        if os.fork() == 0: os._exit(0)\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
        "def is_zombie(pid):\n"
        "    try: return open(f'/proc/{pid}/stat').read().rpartition(')')[2].split()[0] == 'Z'\n"
        "    except OSError: return False\n"
        "while any(map(is_zombie, filter(str.isdigit, os.listdir('/proc')))): time.sleep(0.02)\n"
        "say(os.getppid())\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(6))\n"
        "while True: signal.pause()\n"))
    init.start(*python(code), wrapper=UNSHARE)
    gate = init.next_gate()
    gate.expect("HELLO", 0)
    gate.send("START")
    gate.expect("STARTED")
    assert init.wait_text("up").strip() == "1"
    family = harness.descendants(init.program.pid)
    pid_1 = family[0]
    os.kill(pid_1, signal.SIGTERM)
    gate.expect("STOPPING", signal.SIGTERM)
    gate.expect("EXITED", 6)
    gate.send("EXIT", 6)
    assert init.program.wait() == 6
    assert not any(process_exists(p) for p in family)


# --- the gate's deaths ---------------------------------------------------------------------------


def test_a_killed_gate_comes_back_and_the_command_never_notices(init):
    with socket.create_server((harness.HOST, 0)) as listener:
        port = listener.getsockname()[1]
        gate, pid = init.started("sleep", "600", listeners=[("gate", listener.fileno())])
        for _ in range(3):
            before = gate.pid
            os.kill(before, signal.SIGKILL)
            wait_until(lambda p=before: not process_exists(p), "the gate's end")
            # Nobody accepts now, and the connect succeeds all the same.
            socket.create_connection((harness.HOST, port), timeout=5).close()
            gate = init.next_gate()
            assert gate.pid != before
            gate.expect("HELLO", 1)
            assert process_exists(pid)
        assert harness.children_of(init.program.pid).count(pid) == 1
        gate.send("EXIT", 0)
        gate.expect("EXITED", 143)
        assert init.program.wait() == 0


def test_a_new_gate_hears_of_the_stop_under_way(init):
    code = announce(init, "up", "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nsay(1)\nwhile True: time.sleep(60)\n")
    gate, pid = init.started(*python(code))
    init.wait_text("up")
    init.program.send_signal(signal.SIGTERM)
    gate.expect("STOPPING", signal.SIGTERM)
    os.kill(gate.pid, signal.SIGKILL)
    gate = init.next_gate()
    gate.expect("HELLO", 1)
    gate.expect("STOPPING", signal.SIGTERM)
    os.kill(pid, signal.SIGKILL)
    gate.expect("EXITED", 137)
    gate.send("EXIT", 137)
    assert init.program.wait() == 137


def test_a_gate_that_closes_its_control_socket_is_replaced(init):
    gate, pid = init.started("sleep", "600")
    gate.tell("close")
    again = init.next_gate()
    again.expect("HELLO", 1)
    assert not process_exists(gate.pid)
    assert process_exists(pid)
    again.send("EXIT", 0)
    assert init.program.wait() == 0


def test_a_gate_that_refuses_its_configuration_ends_the_program(init):
    init.start("true", gate=["/bin/sh", "-c", f"echo x >> {init.file('tries')}; exit 2"])
    assert init.program.wait() == 2
    assert init.file("tries").read_text() == "x\n" * 3
    assert "giving up" in init.program.text


def test_a_gate_that_does_not_exist_ends_the_program(init):
    init.start("true", gate=["/nonexistent/gate"])
    assert init.program.wait() == 127
    assert "the gate did not start: cannot run /nonexistent/gate" in init.program.text


def test_a_running_command_is_never_given_up_for_the_gates_sake(init):
    # A gate that starts the command, then can only fail: more often than would end the program.
    script = init.file("gate.sh")
    script.write_text(f"#!/bin/sh\nif [ -e {init.file('once')} ]; then echo x >> {init.file('tries')}; exit 2; fi\n"
                      f"touch {init.file('once')}\nexec {PYTHON} {HERE / 'gate_double.py'}\n")
    script.chmod(0o755)
    gate, pid = init.started("sleep", "600", gate=[script])
    gate.tell("exit 1")
    wait_until(lambda: init.file("tries").exists() and len(init.file("tries").read_text()) >= 8, "four vain starts")
    assert process_exists(pid)
    os.kill(pid, signal.SIGKILL)
    assert init.program.wait() == 137


def test_a_command_that_ends_while_there_is_no_gate(init):
    gate, pid = init.started("sleep", "600")
    os.kill(gate.pid, signal.SIGSTOP)
    os.kill(gate.pid, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    assert init.program.wait() == 137


# --- what the children get -----------------------------------------------------------------------


FDS = ("fds = {n: os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd')"
       " if os.path.exists(f'/proc/self/fd/{n}')}\n")


def test_the_gate_gets_the_listeners_as_systemd_gives_them(init):
    with socket.create_server((harness.HOST, 0)) as one, socket.create_server((harness.HOST, 0)) as two, \
            open("/dev/zero", "rb") as foreign:
        init.start("true", listeners=[("gate", two.fileno()), ("door", f"{one.fileno()},command")],
                   pass_fds=[foreign.fileno()], env={"LISTEN_FDS": 9, "LISTEN_PID": 1})
        gate = init.next_gate()
        assert gate.environment == {"LISTEN_FDS": "2", "LISTEN_FDNAMES": "gate:door", "LISTEN_PID": str(gate.pid),
                                    "STANDPIPE_CONTROL_FD": "5"}
        assert gate.fds[3] == os.readlink(f"/proc/self/fd/{two.fileno()}")
        assert gate.fds[4] == os.readlink(f"/proc/self/fd/{one.fileno()}")
        assert gate.fds[0] == "/dev/null"
        assert set(gate.fds) == {0, 1, 2, 3, 4, 5}
        assert gate.mask == []
        assert gate.group == gate.pid
        gate.send("EXIT", 0)
        assert init.program.wait() == 0


def test_listeners_that_are_in_each_others_place(init):
    with socket.create_server((harness.HOST, 0)) as one, socket.create_server((harness.HOST, 0)) as two:
        swap = ["bash", "-c", f'exec 3<&{one.fileno()} 4<&{two.fileno()}; exec "$@"', "swap"]
        init.start("true", wrapper=swap, listeners=[("gate", 4), ("door", 3)], pass_fds=[one.fileno(), two.fileno()])
        gate = init.next_gate()
        assert gate.fds[3] == os.readlink(f"/proc/self/fd/{two.fileno()}")
        assert gate.fds[4] == os.readlink(f"/proc/self/fd/{one.fileno()}")
        assert set(gate.fds) == {0, 1, 2, 3, 4, 5}
        gate.send("EXIT", 0)
        assert init.program.wait() == 0


@pytest.mark.parametrize("inherits", [False, True])
def test_the_command_gets_the_door_or_nothing(init, inherits):
    code = announce(init, "got", FDS + (
        "mask = list(signal.pthread_sigmask(signal.SIG_BLOCK, []))\n"
        "ignored = int([l for l in open('/proc/self/status') if l.startswith('SigIgn')][0].split()[1], 16)\n"
        "import json\n"
        "say(json.dumps([fds, {k: v for k, v in os.environ.items() if k.startswith(('LISTEN', 'STANDPIPE_C'))},"
        " os.getpid(), os.getpgrp(), mask, ignored]))\n"))
    with socket.create_server((harness.HOST, 0)) as gate_socket, socket.create_server((harness.HOST, 0)) as door, \
            open("/dev/zero", "rb") as foreign:
        gate, _ = init.started(
            PYTHON, "-c", code,
            listeners=[("gate", gate_socket.fileno()), ("door", f"{door.fileno()}{',command' if inherits else ''}")],
            pass_fds=[foreign.fileno()], env={"STANDPIPE_CONTROL_FD": 5, "LISTEN_FDS": 3})
        fds, environment, pid, group, mask, ignored = json.loads(init.wait_text("got"))
        if inherits:
            assert environment == {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "door", "LISTEN_PID": str(pid)}
            assert set(fds) == {"0", "1", "2", "3"}
            assert fds["3"] == os.readlink(f"/proc/self/fd/{door.fileno()}")
        else:
            assert environment == {}
            assert set(fds) == {"0", "1", "2"}
        assert group == pid
        assert mask == []
        # Python itself ignores SIGPIPE and SIGXFSZ.
        assert ignored & ~(1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1)) == 0
        gate.expect("EXITED", 0)
        gate.send("EXIT", 0)
        assert init.program.wait() == 0


# --- the terminal --------------------------------------------------------------------------------


class Terminal:
    """A shell with job control on a terminal of its own; the test types into it."""

    def __init__(self, argv, env):
        try:
            self.pid, self.fd = pty.fork()
        except OSError as error:  # a chroot without /dev/pts
            pytest.skip(f"no terminal to be had here: {error}")
        if self.pid == 0:
            os.execvpe(argv[0], argv, env)
        self.seen = ""
        self.lock = threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            while True:
                data = os.read(self.fd, 4096).decode(errors="replace")
                if not data:
                    return
                with self.lock:
                    self.seen += data
        except OSError:
            pass

    def type(self, text):
        os.write(self.fd, text.encode())

    def wait(self, text, times=1):
        wait_until(lambda: self.seen.count(text) >= times, f"{text!r} on the terminal:\n{self.seen}")

    def close(self):
        try:
            os.kill(self.pid, signal.SIGHUP)
            wait_until(lambda: os.waitpid(self.pid, os.WNOHANG)[0], "the shell's end", 10)
        finally:
            os.close(self.fd)


def state_of(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_on_a_terminal_the_job_stops_and_goes_on_as_one(init):
    """^Z stops command and PID 1, the shell gets the terminal; fg brings both back; ^C reaches the command."""
    code = announce(init, "up", (
        "signal.signal(signal.SIGINT, lambda *_: sys.exit(5))\n"
        "say(os.getpid())\n"
        "while True: print('READ', sys.stdin.readline().strip(), flush=True)\n"))
    script = init.file("command.py")
    script.write_text(code)
    env = harness.clean_environment(GATE_TEST_SOCKET=init.directory / "gate", PS1="ready> ", TERM="dumb")
    shell = Terminal(["bash", "--norc", "--noprofile", "-i"], env)
    try:
        shell.wait("ready> ")
        shell.type(f"{init.driver} -- {PYTHON} {HERE / 'gate_double.py'} -- {PYTHON} {script}; echo code=$?\n")
        gate = init.next_gate()
        gate.expect("HELLO", 0)
        gate.send("START")
        pid = gate.expect("STARTED")
        init.wait_text("up")
        shell.type("hello\n")
        shell.wait("READ hello")
        driver = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])

        shell.type("\x1a")
        shell.wait("Stopped")
        assert state_of(driver) == state_of(pid) == "T"
        assert state_of(gate.pid) != "T"
        shell.type("fg\n")
        wait_until(lambda: state_of(pid) != "T" and state_of(driver) != "T", "the job to go on")
        shell.type("again\n")
        shell.wait("READ again")

        shell.type("\x03")
        gate.expect("EXITED", 5)
        gate.send("EXIT", 5)
        shell.type("echo code=$?\n")
        shell.wait("code=5")
        shell.type("echo the shell has the terminal\n")
        shell.wait("the shell has the terminal", 2)
    finally:
        shell.close()


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
