"""``fastworker dead``: messages that no worker could or would run, until somebody decides."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timezone
from typing import Any

import click

from fastworker.cli.group import CommandGroup, Option
from fastworker.cli.session import Session, pass_session

_ALL = 1_000_000


@click.group(cls=CommandGroup)
def dead() -> None:
    """Look at dead letters, run them again, or throw them away.

    A message is kept here when it cannot be read, names a task that no worker knows, was rejected
    by its task, or lost its process too often.
    """


@dead.command("list")
@click.option(
    "-n", "--limit", cls=Option, type=click.IntRange(1), default=50, help="The newest so many."
)
@click.option("-j", "--json", "as_json", is_flag=True, help="One JSON object a line.")
@pass_session
def list_(session: Session, limit: int, as_json: bool) -> int:
    """List dead letters, newest first."""
    letters = _publisher(session).dead_letters(limit)
    if as_json:
        for letter in letters:
            click.echo(json.dumps(_jsonable(letter), ensure_ascii=False))
        return 0
    if not letters:
        session.say("No dead letters.")
    for letter in letters:
        click.echo(_row(letter))
    return 0


@dead.command()
@click.argument("id")
@click.option("-j", "--json", "as_json", is_flag=True, help="As one JSON object.")
@pass_session
def show(session: Session, id: str, as_json: bool) -> int:
    """Show the dead letter ID (or the only one that begins so), its message included."""
    letter = _one(session, id)
    if as_json:
        click.echo(json.dumps(_jsonable(letter), ensure_ascii=False))
        return 0
    detail, _, traceback = (letter.get("detail") or "").partition("\n")
    for name in ("id", "task", "queue", "priority", "reason"):
        click.echo(f"{name + ':':<10}{letter.get(name)}")
    click.echo(f"{'detail:':<10}{detail}")
    click.echo(f"{'died:':<10}{_time(letter['died_ms'])}")
    if traceback:
        click.echo(f"\n{traceback.rstrip()}")
    click.echo(f"\n{_text(letter['message'])}")
    return 0


@dead.command()
@click.argument("ids", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="All of them.")
@pass_session
def retry(session: Session, ids: tuple[str, ...], is_all: bool) -> int:
    """Publish dead letters again, each to the queue it came from."""
    chosen = _chosen(session, ids, is_all)
    publisher = _publisher(session)
    done = sum(publisher.retry_dead_letter(id) for id in chosen)
    session.say(f"Published {done} of {len(chosen)} again.")
    return 0 if done == len(chosen) else 1


@dead.command()
@click.argument("ids", nargs=-1)
@click.option("-y", "--yes", "-f", "--force", is_flag=True, help="Do not ask.")
@pass_session
def purge(session: Session, ids: tuple[str, ...], yes: bool) -> int:
    """Throw away the dead letters IDS, or all. There is no undo."""
    publisher = _publisher(session)
    if ids:
        gone = sum(publisher.purge_dead_letters(id) for id in _chosen(session, ids, False))
    else:
        if not yes:
            click.confirm("Throw away all dead letters?", abort=True)
        gone = publisher.purge_dead_letters()
    session.say(f"Threw away {gone} dead letter{'' if gone == 1 else 's'}.")
    return 0


# -------------------------------------------------------------------------------------------- parts


def _publisher(session: Session) -> Any:
    return session.app.publishing.publisher


def _one(session: Session, id: str) -> dict[str, Any]:
    letter: dict[str, Any] | None = _publisher(session).dead_letter(id)
    if letter is None:
        raise click.ClickException(
            f"there is no dead letter {id!r}, or several begin so; see: dead list"
        )
    return letter


def _chosen(session: Session, ids: tuple[str, ...], is_all: bool) -> list[str]:
    if bool(ids) == is_all:
        raise click.UsageError("say which: ids as 'dead list' shows them, or --all")
    if is_all:
        return [letter["id"] for letter in _publisher(session).dead_letters(_ALL)]
    return [_one(session, id)["id"] for id in ids]


def _row(letter: dict[str, Any]) -> str:
    # What follows the first line is a traceback.
    detail = f": {letter['detail'].splitlines()[0]}" if letter.get("detail") else ""
    return (
        f"{letter['id']}  {_time(letter['died_ms'])}  {letter['queue']}  "
        f"{letter['task'] or '(no task)'}  {letter['reason']}{detail}"
    )


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, timezone.utc).isoformat(sep=" ", timespec="seconds")


def _text(message: bytes) -> str:
    try:
        return message.decode()
    except UnicodeDecodeError:
        return f"(not UTF-8; base64 follows)\n{base64.b64encode(message).decode()}"


def _jsonable(letter: dict[str, Any]) -> dict[str, Any]:
    """``message`` as text; what is not UTF-8 as ``message_base64``."""
    row = dict(letter)
    message = row.pop("message")
    try:
        row["message"] = message.decode()
    except UnicodeDecodeError:
        row["message_base64"] = base64.b64encode(message).decode()
    return row
