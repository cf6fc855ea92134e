"""``fastworker multi``: several workers in the background, as init scripts and units written for Celery call it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence

import click

from fastworker.cli.group import Command
from fastworker.cli.nodes import Node, nodes_of, signal_of
from fastworker.cli.session import Session, pass_session
from fastworker.errors import ImproperlyConfigured
from fastworker.worker.pidfile import holder, worker_of

#: Between two looks at whether a worker is gone, in seconds.
_PAUSE_S = 0.1


@click.command(
    cls=Command, context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@click.argument("verb", metavar="VERB")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[NODES AND OPTIONS]")
@pass_session
def multi(session: Session, verb: str, words: tuple[str, ...]) -> int:
    """Run several workers in the background.

    VERB is start, stop, stopwait, restart, kill, show, names, expand or get. Options are those of the worker; -c:w1 3
    or -c:1,2 3 is for some nodes.

    \b
    fastworker -A proj multi start w1 w2 -l INFO -c:w1 4 --pidfile=/run/%n.pid --logfile=/var/log/%n.log
    fastworker multi stopwait w1 w2 --pidfile=/run/%n.pid
    """
    act = _VERBS.get(verb)
    if act is None:
        from fastworker.app.nearest import did_you_mean

        raise click.UsageError(
            f"multi: no such verb {verb!r}{did_you_mean(verb, _VERBS) or ': expected ' + ', '.join(_VERBS)}"
        )
    # What stands before the command is for all nodes.
    given = ("-A", session.spec) if session.spec else ()
    return act(session, [*words, *given])


def _start(session: Session, words: list[str]) -> int:
    return _start_all(session, nodes_of(words))


def _start_all(session: Session, nodes: Sequence[Node]) -> int:
    session.say("> Starting nodes...")
    statuses = [_started(session, node) for node in nodes]
    return max(statuses, default=0)


def _started(session: Session, node: Node) -> int:
    node.make_folders()
    status = subprocess.run(node.command, check=False).returncode
    session.say(f"\t> {node.name}: {'OK' if status == 0 else f'failed with status {status}'}")
    return 1 if status < 0 else status


def _stop(session: Session, words: list[str]) -> int:
    signum, rest = signal_of(words)
    _signal_all(session, nodes_of(rest), signum or signal.SIGTERM)
    return 0


def _stopwait(session: Session, words: list[str]) -> int:
    signum, rest = signal_of(words)
    _stop_and_wait(session, nodes_of(rest), signum or signal.SIGTERM)
    return 0


def _restart(session: Session, words: list[str]) -> int:
    signum, rest = signal_of(words)
    nodes = nodes_of(rest)
    _stop_and_wait(session, nodes, signum or signal.SIGTERM)
    return _start_all(session, nodes)


def _kill(session: Session, words: list[str]) -> int:
    _signal_all(session, nodes_of(signal_of(words)[1]), signal.SIGKILL)
    return 0


def _show(_session: Session, words: list[str]) -> int:
    for node in nodes_of(words):
        click.echo(str(node))
    return 0


def _names(_session: Session, words: list[str]) -> int:
    for node in nodes_of(words):
        click.echo(node.name)
    return 0


def _expand(_session: Session, words: list[str]) -> int:
    if not words:
        raise click.UsageError("multi expand: expected a template and nodes, such as %n.log w1 w2")
    for node in nodes_of(words[1:]):
        click.echo(node.expand(words[0]))
    return 0


def _get(_session: Session, words: list[str]) -> int:
    wanted, *rest = words or [""]
    nodes = nodes_of(rest)
    for node in nodes:
        if wanted in (node.name, node.name.partition("@")[0]):
            click.echo(str(node))
            return 0
    known = ", ".join(node.name for node in nodes) or "none"
    raise click.UsageError(f"multi get: no node {wanted!r}; there are: {known}")


_VERBS: dict[str, Callable[[Session, list[str]], int]] = {
    "start": _start,
    "stop": _stop,
    "stopwait": _stopwait,
    "restart": _restart,
    "kill": _kill,
    "show": _show,
    "names": _names,
    "expand": _expand,
    "get": _get,
}


def _signal_all(session: Session, nodes: Sequence[Node], signum: int) -> list[tuple[Node, int]]:
    """Signal those that run; they and their processes."""
    running = [(node, pid) for node in nodes if (pid := worker_of(node.pidfile)) is not None]
    for node in nodes:
        stranger = holder(node.pidfile)
        if stranger is not None and worker_of(node.pidfile) is None:
            session.say(
                f"> {node.name}: process {stranger} has the number in {node.pidfile} and is another program: left alone"
            )
    if not running:
        session.say("> No nodes are running.")
        return []
    session.say("> Stopping nodes...")
    for node, pid in running:
        session.say(f"\t> {node.name}: {signal.Signals(signum).name} -> {pid}")
        try:
            os.kill(pid, signum)
        except ProcessLookupError:
            continue  # it has just ended by itself
        except PermissionError as error:
            raise ImproperlyConfigured(
                f"multi: process {pid} of {node.name} (pidfile {node.pidfile!r}) belongs to another user; "
                f"run this as that user"
            ) from error
    return running


def _stop_and_wait(session: Session, nodes: Sequence[Node], signum: int) -> None:
    waited = _signal_all(session, nodes, signum)
    for node, pid in waited:
        while worker_of(node.pidfile) == pid:
            time.sleep(_PAUSE_S)
        session.say(f"\t> {node.name}: OK")
