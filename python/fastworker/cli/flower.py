"""``fastworker flower``: Flower, for the workers of an application of ours."""

from __future__ import annotations

import click

from fastworker.cli.group import Command
from fastworker.cli.session import Session, pass_session


@click.command(
    cls=Command,
    context_settings={"ignore_unknown_options": True},
    add_help_option=False,
)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@pass_session
def flower(session: Session, options: tuple[str, ...]) -> int:
    """Watch and steer workers in a browser: fastworker -A proj flower --port=5555."""
    try:
        from flower.command import flower as command
    except ImportError as missing:
        raise click.UsageError(
            "Flower is not installed: pip install flower, which brings Celery along"
        ) from missing
    from fastworker.hosting.stand_in import celery_of, start_command

    start_command(command, celery_of(session.app), options, quiet=session.quiet)
    return 0
