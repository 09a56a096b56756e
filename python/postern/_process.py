"""`python -m postern serve`: the life of the runner's process, around the runner itself.

The worker starts it as the leader of a process group of its own, with a pipe as descriptor 3 whose other end it holds. Here the
process listens on the socket that it was told, writes one line on that pipe, and takes one connection.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import socket
import sys

from ._frames import Channel
from ._runner import Runner

LIFELINE = 3


def serve(path: str) -> int:
    faulthandler.enable()
    _be_killed_first()
    _start_watchdog()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(1)
    os.write(LIFELINE, b"listening\n")
    connection, _ = listener.accept()
    listener.close()
    # Lines of print() reach the log at once.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True)
    try:
        Runner(Channel(connection)).serve()
    except (ConnectionError, BrokenPipeError):
        # The worker is gone; the watchdog ends this process in any case.
        return 1
    return 0


def _start_watchdog() -> None:
    """A second process that ends the whole group when the worker is gone, however that went, and whatever the model does
    then: a thread here could not, while native code holds the interpreter. It is forked before the model is loaded, so it
    shares the interpreter's memory and costs little more than its stack.
    """
    if os.getpgrp() != os.getpid():
        raise SystemExit("serve is started by a Postern worker; to try a model use: python -m postern check model.py")
    if os.fork() != 0:
        return
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 1)
        os.dup2(null, 2)
        # Nothing is ever written to it from the other side: this returns when it is closed.
        os.read(LIFELINE, 1)
    finally:
        os.killpg(0, signal.SIGKILL)


def _be_killed_first() -> None:
    """When the machine runs out of memory, the model is to go and not the worker: it is started again."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("500")
    except OSError:
        pass
