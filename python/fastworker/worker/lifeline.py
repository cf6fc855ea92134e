"""A pipe that only the parent holds open, so that the kernel ends what works for a parent that is gone.

A child in the middle of C code does not look whether its parent lives, and the zygote, which would kill it, may have
died before or be stopped. So each process opens the pipe's read end for itself and asks the kernel for SIGKILL as soon
as something happens to it. Nothing is ever written: what happens is that the last write end is closed, and that is when
the parent ends, however it does. Decision 0007 says why not otherwise.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from collections.abc import Iterator

#: The read end that this process has opened for itself, and which pipe it is; None where there is none.
_held: tuple[int, tuple[int, int]] | None = None


class Lifeline:
    """The parent's end. It is held until the process ends; processes that it forks let go of it at once.

    Attributes:
        read_fd: What ``tie`` is given, in a process that inherits it.
    """

    def __init__(self) -> None:
        self.read_fd, self._write_fd = os.pipe2(os.O_CLOEXEC)
        os.register_at_fork(after_in_child=self._let_go)

    def _let_go(self) -> None:
        if self._write_fd >= 0:
            os.close(self._write_fd)
            self._write_fd = -1


def tie(read_fd: int) -> None:
    """From now on this process is killed at the end of the parent that holds the lifeline; at once if it is gone.

    Args:
        read_fd: A read end of the lifeline, inherited; it is closed, in favour of one of this process's own.

    Raises:
        OSError: It cannot be opened: ``/proc`` is not there, or belongs to another user by now.
    """
    global _held
    # Opened anew, as whom the kernel signals is remembered with each opening.
    own = os.open(f"/proc/self/fd/{read_fd}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    os.close(read_fd)
    fcntl.fcntl(own, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(own, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(own, fcntl.F_SETFL, fcntl.fcntl(own, fcntl.F_GETFL) | os.O_ASYNC)
    try:
        # Not read(), which eventlet replaces by one that waits.
        is_over = os.readv(own, [bytearray(1)]) == 0
    except BlockingIOError:
        is_over = False
    if is_over:
        os.kill(os.getpid(), signal.SIGKILL)
    _held = (own, _identity(own))


def tie_forks() -> None:
    """Tie the processes that this one forks, too: they run what the parent was asked to run. One that closes the
    descriptors that it inherits, as daemons do, or becomes another program, is free."""
    os.register_at_fork(after_in_child=tie_again)


def tie_again() -> None:
    """``tie`` for a process that was just forked from one that is tied."""
    global _held
    before, _held = _held, None
    if before is None:
        return
    fd, identity = before
    try:
        is_there = _identity(fd) == identity
    except OSError:
        is_there = False
    if is_there:
        tie(fd)


@contextlib.contextmanager
def handed_on() -> Iterator[int]:
    """A descriptor of the lifeline that this process is tied to, for a program to ``tie`` itself by."""
    assert _held is not None, "the process is tied by then"
    fd = os.dup(_held[0])
    try:
        yield fd
    finally:
        os.close(fd)


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino
