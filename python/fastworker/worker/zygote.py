"""The zygote: a process with the user's application imported, one thread, and one job: to fork children.

It never has a runtime or a broker connection, so that every fork starts clean. The first zygote is forked from the
parent before the parent starts its runtime, so that parent, zygote and children share the imported application's
memory. If it dies, the parent runs this module as a program: a new zygote that imports the application again. Its
children go on meanwhile.

The parent's words are datagrams: ``spawn <id>`` with two descriptors, the child's socket and its shared page. The first
answer is ``serving``, once children can be made; then ``forked <id> <pid>`` and, when a child ends, ``exited <pid>
<status>`` (negative: killed by that signal). End of file means that the parent is gone; the kernel kills zygote and
children then (``lifeline``), as nobody could take their results.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import selectors
import signal
import socket
import sys
from collections.abc import Iterator, Sequence

from fastworker import _core
from fastworker.worker import lifeline, stacks
from fastworker.worker.affinity import Pins
from fastworker.worker.birth import (
    Birth,
    ChildMain,
    forking,
    leave_signals_to_the_parent,
    spawning,
)
from fastworker.worker.lifeline import Lifeline

_LONGEST_WORD = 4096


class Zygote:
    """Forks children on request until the parent is gone.

    Args:
        words: The socket to the parent, datagrams in order (``SOCK_SEQPACKET``).
        lifeline_fd: The read end of the parent's lifeline.
        cores: Those that children are pinned to; none: they are not.
    """

    def __init__(self, words: socket.socket, lifeline_fd: int, cores: Sequence[int]) -> None:
        self._words = words
        self._lifeline_fd = lifeline_fd
        self._pins = Pins(cores)
        self._children: set[int] = set()

    def serve(self, birth: Birth) -> None:
        """Work until the parent is gone. ``birth``: makes the children."""
        self._birth = birth
        leave_signals_to_the_parent()
        lifeline.tie(self._lifeline_fd)
        stacks.listen()
        _core.adopt_orphans()
        with _child_bell() as bell, selectors.DefaultSelector() as selector:
            self._bell, self._selector = bell, selector
            selector.register(self._words, selectors.EVENT_READ)
            selector.register(bell, selectors.EVENT_READ)
            self._say("serving")
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if bell in ready:
                    bell.recv(_LONGEST_WORD)
                    self._reap()
                if self._words in ready and not self._obey():
                    break

    def _reap(self) -> None:
        """Bury every process that has ended: children, and orphans of what tasks started, which become ours."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._children:
                self._children.remove(pid)
                self._pins.free(pid)
                self._say(f"exited {pid} {os.waitstatus_to_exitcode(status)}")

    def _say(self, word: str) -> None:
        # The parent may be gone; the next read says so.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._words.send(word.encode())

    def _obey(self) -> bool:
        """Carry out one word of the parent; False when it is gone."""
        try:
            word, descriptors, _flags, _address = socket.recv_fds(self._words, _LONGEST_WORD, 2)
        except ConnectionResetError:
            return False
        if not word:
            return False
        verb, _, argument = word.decode().partition(" ")
        if verb != "spawn" or len(descriptors) != 2:
            self._say(f"failed the zygote was told {word!r}, which means nothing here")
            return True
        self._make(int(argument), *descriptors)
        return True

    def _make(self, child_id: int, socket_fd: int, page_fd: int) -> None:
        try:
            pid = self._birth(child_id, socket_fd, page_fd)
        except OSError as error:
            self._say(f"failed cannot make a child process: {error}")
            return
        finally:
            os.close(socket_fd)
            os.close(page_fd)
        self._children.add(pid)
        self._pins.pin(pid)
        self._say(f"forked {child_id} {pid}")

    def leave(self) -> None:
        """In a child: none of this is its own."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # Before what it watches: that of a patched library would go on watching closed descriptors.
        self._selector.close()
        self._words.close()
        self._bell.close()


@contextlib.contextmanager
def _child_bell() -> Iterator[socket.socket]:
    """A socket that becomes readable when a child ends."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        try:
            yield ours
        finally:
            signal.set_wakeup_fd(-1)


def freeze_memory() -> None:
    """Leave everything imported so far alone in later collections, so that its pages stay shared after a fork."""
    gc.collect()
    gc.freeze()


def fork_zygote(
    child_main: ChildMain,
    line: Lifeline,
    cores: Sequence[int],
    others: Sequence[socket.socket] = (),
) -> tuple[socket.socket, int]:
    """Fork the first zygote from this process, which must not have started its runtime; returns socket and pid.

    ``others``: sockets that stay the parent's alone, to zygotes of other pools.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    freeze_memory()
    pid = os.fork()
    if pid:
        theirs.close()
        return ours, pid
    status = 1
    try:
        for words in (ours, *others):
            words.close()
        zygote = Zygote(theirs, line.read_fd, cores)
        zygote.serve(forking(child_main, zygote.leave))
        status = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)


def spawn_zygote(recipe: dict[str, object], line: Lifeline) -> tuple[socket.socket, int]:
    """Start a zygote as a new program.

    Args:
        recipe: How the application is found (``child.main.prepare``); ``start_method`` (``fork`` or ``spawn``) and
            ``cores``.
        line: The parent's.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    lifeline_fd = os.dup(line.read_fd)
    try:
        argv = [
            sys.executable,
            "-m",
            "fastworker.worker.zygote",
            str(theirs.fileno()),
            str(lifeline_fd),
            json.dumps(recipe),
        ]
        os.set_inheritable(theirs.fileno(), True)
        os.set_inheritable(lifeline_fd, True)
        pid = os.posix_spawn(sys.executable, argv, os.environ)
    finally:
        theirs.close()
        os.close(lifeline_fd)
    return ours, pid


def main(argv: list[str]) -> int:
    """``python -m fastworker.worker.zygote WORDS LIFELINE RECIPE``: what ``spawn_zygote`` starts."""
    words, lifeline_fd = socket.socket(fileno=int(argv[0])), int(argv[1])
    os.set_inheritable(words.fileno(), False)
    os.set_inheritable(lifeline_fd, False)
    recipe = json.loads(argv[2])
    zygote = Zygote(words, lifeline_fd, recipe["cores"])
    if recipe["start_method"] == "spawn":
        zygote.serve(spawning(recipe))
        return 0
    from fastworker.child.main import prepare

    child_main = prepare(recipe)
    freeze_memory()
    zygote.serve(forking(child_main, zygote.leave))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
