"""``fastworker report``: versions, platform and settings, for bug reports. No secrets."""

from __future__ import annotations

import click

from fastworker.cli.group import Command
from fastworker.cli.session import Session, pass_session


@click.command(cls=Command)
@click.option("--defaults", is_flag=True, help="Also settings that nobody set.")
@pass_session
def report(session: Session, defaults: bool) -> int:
    """Show the effective configuration, with secrets masked."""
    from fastworker.worker.bugreport import report_lines

    click.echo("\n".join(report_lines(session.app, defaults)))
    return 0
