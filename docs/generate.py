"""Writes docs/reference/ and docs/compatibility.md from the code: ``make docs``. ``--check`` only says which pages are
stale.

The differences page is the list of the differential tests; the settings page is the settings table; the commands page
is what ``--help`` prints; the pools page is the table of ``worker/pools.py``; the compatibility page is
``compatibility_items.py``, the settings table, and what the tests say they show. None is edited by hand.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from docs import compatibility
from fastworker.app.settings_registry import BEHAVIOURS, DIFFERING, REGISTRY, Setting
from fastworker.cli.main import cli
from fastworker.worker.pools import POOLS, TRAITS
from tests.differential.differences import CHOSEN, DIFFERENCES, MISSING

DOCS = Path(__file__).parent
NOTE = "<!-- Written by docs/generate.py (make docs); edit the code instead. -->"


def settings_page() -> str:
    """A table of every setting: name, kind, default, whether it is acted on, what it does."""
    lines = [
        "# Settings",
        NOTE,
        "",
        "`active`: fastworker acts on it. `differs`: it does, and not quite as Celery. `accepted`: kept, not acted on "
        "yet; a worker says so once when it starts. "
        "`moot`: it tunes machinery of Celery that fastworker does not have.",
        "",
        "| setting | kind | default | status | what it does |",
        "| --- | --- | --- | --- | --- |",
        *(_row(REGISTRY[name]) for name in sorted(REGISTRY)),
        "",
        "## Defaults that are not Celery's",
        "",
        "| setting | Celery | fastworker | why | restores Celery's |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| `{name}` | `{row.celery!r}` | `{row.ours!r}` | {row.reason} | `{row.celery!r}` |"
            for name, row in sorted(DIFFERING.items())
        ),
        *(
            f"| `{name}` | {change.celery} | {change.ours} | {change.reason} | {_restoring(change.restore)} |"
            for name, change in sorted(BEHAVIOURS.items())
        ),
    ]
    return "\n".join(lines) + "\n"


def _restoring(value: object) -> str:
    """A value as code; words as words."""
    return value if isinstance(value, str) and " " in value else f"`{value!r}`"


def _row(row: Setting) -> str:
    name = f"`{row.name}`" + (" (ours)" if row.is_ours else "")
    kind = " or ".join(map(repr, row.choices)) if row.choices else row.kind
    default = "" if row.default is None else f"`{row.default!r}`"
    status = f"{row.status}: {row.note}" if row.note else row.status
    cells = (name, kind, default, status, row.doc)
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def commands_page() -> str:
    """``--help`` of every command."""
    lines = ["# Commands", NOTE]
    for path, context in _commands(click.Context(cli, info_name="fastworker")):
        lines += ["", f"## {path}", "", "```", context.get_help(), "```"]
    return "\n".join(lines) + "\n"


def _commands(context: click.Context) -> Iterator[tuple[str, click.Context]]:
    # Wide and fixed, so that the page does not depend on the terminal it was made in.
    context.terminal_width = context.max_content_width = 100
    yield context.command_path, context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            if command is not None and not command.hidden:
                yield from _commands(click.Context(command, parent=context, info_name=name))


def differences_page() -> str:
    """The table of ``tests/differential/differences.py``, which the tests hold against both frameworks."""
    lines = [
        "# Differences from Celery",
        NOTE,
        "",
        "What the differential tests found: the same scenarios are played with the real Celery and with fastworker, "
        "and compared field by field. A difference that is not in these tables fails the tests, and so does one that "
        "is in them and no longer exists. Defaults that differ stand in [settings.md](settings.md).",
    ]
    for kind, title in ((CHOSEN, "Chosen"), (MISSING, "Missing in fastworker")):
        lines += [
            "",
            f"## {title}",
            "",
            "| what | Celery | fastworker | why | seen in |",
            "| --- | --- | --- | --- | --- |",
        ]
        for row in DIFFERENCES:
            if row.kind == kind:
                seen = ", ".join(f"`{place}`" for place in row.where)
                cells = (row.what, row.celery, row.ours, row.reason, seen)
                lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def pools_page() -> str:
    """The table of ``worker/pools.py``, which the tests with each pool go by."""
    lines = [
        "# What each pool can do",
        NOTE,
        "",
        "The tests of options and faults run with each pool (`make test-pools`; the most telling in `make test`), but "
        "for those that need what a pool has not. How to choose one is in [the guide](../guides/pools.md).",
        "",
        "| | " + " | ".join(f"`{pool}`" for pool in POOLS) + " |",
        "| --- |" + " --- |" * len(POOLS),
    ]
    for trait in TRAITS:
        cells = [trait.words, *(trait.without.get(pool, "yes") for pool in POOLS)]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


PAGES = {
    "reference/pools.md": pools_page,
    "reference/differences.md": differences_page,
    "reference/settings.md": settings_page,
    "reference/commands.md": commands_page,
    "compatibility.md": lambda: compatibility.page(NOTE),
}


def main(arguments: list[str]) -> int:
    """Write the pages, or with ``--check`` fail if one is not what it would be, or says what no test shows."""
    failed = 0
    (DOCS / "reference").mkdir(exist_ok=True)
    for problem in compatibility.problems():
        print(f"compatibility: {problem}")
        failed = 1
    for name, page in PAGES.items():
        path = DOCS / name
        if path.exists() and path.read_text() == page():
            continue
        if "--check" in arguments:
            print(f"{path.name} is stale: run make docs")
            failed = 1
        else:
            path.write_text(page())
            print(f"wrote docs/{name}")
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
