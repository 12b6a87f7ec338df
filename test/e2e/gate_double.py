#!/usr/bin/python3
"""The other side of base/control.h, for test_init.py: a gate that does what the test says.

It connects to the Unix socket in GATE_TEST_SOCKET, says there in JSON lines who it is and what came
over the control socket, and obeys the lines that it reads:

    send KIND CODE [KEY]  a message to PID 1
    exit CODE           ends at once
    close               closes the control socket and lives on
    ignore SIGNAL       ignores it
"""

import json
import os
import select
import signal
import socket
import struct
import sys

KINDS = ["", "HELLO", "START", "STOP", "EXIT", "STARTED", "EXITED", "STOPPING", "STAY", "RELOAD", "READY", "REPLACE",
         "SUCCEED", "RETIRE", "CANCEL"]


def descriptors():
    return {int(n): os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")
            if os.path.exists(f"/proc/self/fd/{n}")}


def main():
    fds = descriptors()
    test = socket.socket(socket.AF_UNIX)
    test.connect(os.environ["GATE_TEST_SOCKET"])
    control = socket.socket(fileno=int(os.environ["STANDPIPE_CONTROL_FD"]))

    def say(**what):
        test.sendall(json.dumps(what).encode() + b"\n")

    def on_message(data):
        kind, code, key = struct.unpack("iiI", data)
        say(event="message", kind=KINDS[kind], code=code, key=key)

    # SIGTERM becomes readable, so that it is seen after the messages that came before it.
    wake, woken = socket.socketpair()
    woken.setblocking(False)
    signal.set_wakeup_fd(woken.fileno())
    signal.signal(signal.SIGTERM, lambda *_: None)
    say(event="born", pid=os.getpid(), group=os.getpgrp(), fds=fds,
        mask=[int(s) for s in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
        environment={k: v for k, v in os.environ.items() if k.startswith(("LISTEN_", "STANDPIPE_"))})

    def obey(words):
        if words[0] == "send":
            control.send(struct.pack("iiI", KINDS.index(words[1]), int(words[2]), int(words[3]) if len(words) > 3 else 0))
        elif words[0] == "exit":
            os._exit(int(words[1]))
        elif words[0] == "close":
            control.close()
            watched.remove(control)
        elif words[0] == "ignore":
            signal.signal(int(words[1]), signal.SIG_IGN)
            say(event="ignoring")

    heard = b""
    watched = [control, wake, test]
    while True:
        ready, _, _ = select.select(watched, [], [])
        if control in ready:
            data = control.recv(64)
            if not data:
                say(event="orphaned")
                os._exit(9)
            on_message(data)
        elif wake in ready:
            say(event="signal", number=signal.SIGTERM)
            os._exit(0)
        if test in ready:
            data = test.recv(4096)
            if not data:
                os._exit(8)
            *lines, heard = (heard + data).split(b"\n")
            for line in lines:
                obey(line.decode().split())


if __name__ == "__main__":
    sys.exit(main())
