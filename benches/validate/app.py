"""Tasks that take a time they are told, and note when they ran in a file of their process."""

from __future__ import annotations

import os
import struct
import time

from fastworker import FastWorker

#: When it was meant to be published, started, ended (Unix time), and its processor time.
RECORD = struct.Struct("<dddd")

_opened: tuple[int, int] = (0, -1)

app = FastWorker("validate", broker=os.environ.get("VALIDATE_BROKER", "memory://"))
app.conf.update(task_ignore_result=True)


def _note(intended: float, started: float, cpu_s: float) -> None:
    global _opened
    pid = os.getpid()
    if _opened[0] != pid:
        path = os.path.join(os.environ["VALIDATE_RECORDS"], str(pid))
        _opened = (pid, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    os.write(_opened[1], RECORD.pack(intended, started, time.time(), cpu_s))


def _sleep(intended: float, seconds: float) -> None:
    started = time.time()
    time.sleep(seconds)
    _note(intended, started, 0.0)


@app.task(name="validate.sleep")
def sleep(intended: float, seconds: float, key: int) -> None:
    """Wait, as for a service."""
    _sleep(intended, seconds)


@app.task(name="validate.spin")
def spin(intended: float, seconds: float, key: int) -> None:
    """Compute for so much processor time."""
    started, until = time.time(), time.thread_time() + seconds
    while time.thread_time() < until:
        pass
    _note(intended, started, seconds)


#: What part of ``half`` computes.
HALF = 0.5


@app.task(name="validate.half")
def half(intended: float, seconds: float, key: int) -> None:
    """Compute for half of the time, then wait, as for a database that a page is made for."""
    started, until = time.time(), time.thread_time() + seconds * HALF
    while time.thread_time() < until:
        pass
    time.sleep(seconds * (1 - HALF))
    _note(intended, started, seconds * HALF)


#: Starts a second of each key; up to four are handed out one by one.
KEY_RATE = 4.0


@app.task(name="validate.keyed", rate_limit=f"{KEY_RATE:g}/s", rate_limit_key="key")
def keyed(intended: float, seconds: float, key: int) -> None:
    """As ``sleep``, with a limit for each key."""
    _sleep(intended, seconds)
