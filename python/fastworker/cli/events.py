"""``fastworker events``: what workers and tasks do, as they tell it."""

from __future__ import annotations

import time

import click

from fastworker.cli.group import Command, Option
from fastworker.cli.session import Session, pass_session

#: Seconds between two tries to reach a broker that was lost.
_PAUSE_S = 1.0


@click.command(cls=Command)
@click.option("-d", "--dump", cls=Option, is_flag=True, help="Print every event as a line.")
@pass_session
def events(session: Session, dump: bool) -> int:
    """Watch the events of workers and tasks (worker -E)."""
    if not dump:
        raise click.UsageError(
            "expected --dump; the monitor in a terminal and --camera come in a later version of fastworker: run "
            "celery events, or Flower"
        )
    from fastworker.errors import OperationalError
    from fastworker.events.dumper import Dumper

    dumper = Dumper()
    dumper.say("-> evdump: starting capture...")
    has_heard = False
    while True:
        receiver = session.app.events.Receiver(handlers={"*": dumper.on_event})
        try:
            for _ in receiver.itercapture():
                has_heard = True
        except KeyboardInterrupt:
            return 0
        except OperationalError as exc:
            # One that was never reached may be a wrong address.
            if not has_heard:
                raise
            dumper.say(f"-> Connection lost, attempting reconnect: {exc}")
            time.sleep(_PAUSE_S)
