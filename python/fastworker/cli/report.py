"""``fastworker report``: versions, platform and settings, for bug reports. No secrets."""

from __future__ import annotations

import json

import click

from fastworker.cli.group import Command, Option
from fastworker.cli.session import Session, pass_session


@click.command(cls=Command)
@click.option("--defaults", is_flag=True, help="Also settings that nobody set.")
@click.option("-j", "--json", "as_json", cls=Option, is_flag=True, help="Print JSON.")
@pass_session
def report(session: Session, defaults: bool, as_json: bool) -> int:
    """Show the effective configuration, with secrets masked."""
    from fastworker.worker.bugreport import report_facts, report_lines

    if as_json:
        click.echo(json.dumps(report_facts(session.app, defaults), default=repr))
        return 0
    click.echo("\n".join(report_lines(session.app, defaults)))
    return 0
