"""``fastworker events``: what workers and tasks do, as they tell it: in a terminal, as lines, or to a camera."""

from __future__ import annotations

import contextlib

import click

from fastworker.cli.daemon import daemon_options, go_on_detached, set_umask
from fastworker.cli.group import Command, Option
from fastworker.cli.session import Session, complain, pass_session
from fastworker.cli.values import LOG_LEVEL


@click.command(cls=Command)
@click.option("-d", "--dump", cls=Option, is_flag=True, help="Print every event as a line.")
@click.option(
    "-c",
    "--camera",
    cls=Option,
    metavar="MODULE.CLASS",
    help="Take snapshots with this subclass of Polaroid.",
)
@click.option(
    "-F",
    "--frequency",
    "--freq",
    cls=Option,
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="With --camera: seconds between two snapshots.",
)
@click.option(
    "-r", "--maxrate", cls=Option, metavar="RATE", help="With --camera: at most so often: 10/m."
)
@click.option(
    "--max",
    "most",
    cls=Option,
    type=click.IntRange(min=1),
    default=10_000,
    show_default=True,
    help="Tasks that are remembered.",
)
@click.option(
    "-l", "--loglevel", cls=Option, type=LOG_LEVEL, default="WARNING", help="With --camera."
)
@click.option("-D", "--detach", cls=Option, is_flag=True, help="With --camera: in the background.")
@daemon_options
@pass_session
def events(
    session: Session,
    dump: bool,
    camera: str | None,
    frequency: float,
    maxrate: str | None,
    most: int,
    loglevel: int,
    detach: bool,
    logfile: str | None,
    pidfile: str | None,
    umask: str | None,
) -> int:
    """Watch the events of workers and tasks (worker -E): in the terminal, unless an option says otherwise.

    Keys of the monitor: arrows, j, k, PgUp, PgDn, Home: select a task; i: all about it; t: its traceback; r: its
    result; c: revoke it; l: limit the rate of its kind; q: leave.
    """
    if dump and camera:
        raise click.UsageError("--dump and --camera: expected one of them")
    if detach and not camera:
        raise click.UsageError("--detach goes with --camera: nobody would read the rest")
    with contextlib.suppress(KeyboardInterrupt):
        if dump:
            _dump(session)
        elif camera:
            set_umask(umask)
            if detach:
                return go_on_detached(session, pidfile, logfile)
            from fastworker.cli.camera import Snapshots, take_snapshots

            said = Snapshots(camera, frequency, maxrate, most)
            take_snapshots(session, said, loglevel, logfile, pidfile)
        else:
            _monitor(session, most)
    return 0


def _dump(session: Session) -> None:
    from fastworker.events.dumper import Dumper
    from fastworker.events.keeping import keep_hearing

    dumper = Dumper()
    dumper.say("-> evdump: starting capture...")
    keep_hearing(
        lambda: session.app.events.Receiver(handlers={"*": dumper.on_event}),
        lambda exc: dumper.say(f"-> Connection lost, attempting reconnect: {exc}"),
    )


def _monitor(session: Session, most: int) -> None:
    try:
        from fastworker.events.terminal import watch
    except ModuleNotFoundError as missing:
        if missing.name not in ("curses", "_curses"):
            raise
        raise click.UsageError(
            "this Python was built without curses, which the monitor needs; --dump does without"
        ) from missing
    import sys

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("the monitor needs a terminal; --dump does without")
    error = watch(session.app, most=most, has_colors=not session.no_color)
    if error is not None:
        complain(f"fastworker: {error}")
        raise click.exceptions.Exit(1)
