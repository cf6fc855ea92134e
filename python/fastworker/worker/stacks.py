"""Where a child is, when the worker wants to know: its Python stacks, written by the interpreter's signal handler.

It works while C code runs and while the interpreter's lock is held.
"""

from __future__ import annotations

import faulthandler
import fcntl
import os

#: A realtime signal that no library uses for itself; ``rust/worker/src/pool/stacks.rs`` sends it.
SIGNAL = 61

#: Where answers go; standard error before there is a child.
_file = 2


def listen() -> None:
    """Answer on standard error; a zygote passes this on to its children, so that none ever dies of the signal."""
    faulthandler.register(SIGNAL, file=2, all_threads=True)


def answer_behind(page_fd: int) -> None:
    """Answer at the end of the memory that this child shares with the worker, from now on."""
    global _file
    # The worker shares the open file: appending there and here is the same.
    _file = os.dup(page_fd)
    fcntl.fcntl(_file, fcntl.F_SETFL, fcntl.fcntl(_file, fcntl.F_GETFL) | os.O_APPEND)
    faulthandler.register(SIGNAL, file=_file, all_threads=True)


def write(text: str) -> None:
    """Add to the answer. May be called in a signal handler."""
    os.write(_file, text.encode(errors="backslashreplace"))
