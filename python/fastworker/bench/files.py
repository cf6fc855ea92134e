"""Files of benches: written, read, shown and compared by their format."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from fastworker.bench import compare, html, report, show, sweep_html, sweep_report, sweep_show
from fastworker.bench.errors import BenchError

Content = Mapping[str, Any]


@dataclass(frozen=True)
class Kind:
    """What a format is of.

    Attributes:
        command: That writes it.
        show: In the terminal.
        page: As HTML.
    """

    command: str
    show: Callable[[Console, Content], None]
    page: Callable[[Content], str]


KINDS: Mapping[str, Kind] = {
    report.FORMAT: Kind("bench run", show.show, html.page),
    sweep_report.FORMAT: Kind("bench sweep", sweep_show.show, sweep_html.page),
}


def kind(content: Content) -> Kind:
    """Of a content that was read or made."""
    return KINDS[content["format"]]


def read(path: Path) -> dict[str, Any]:
    """A file.

    Raises:
        BenchError: It cannot be read, or is of another format.
    """
    commands = " or ".join(f"`fastworker {kind.command} --json`" for kind in KINDS.values())
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as exc:
        raise BenchError(f"{path}: {exc}; expected a file that {commands} wrote") from exc
    said = content.get("format") if isinstance(content, dict) else None
    if said not in KINDS:
        expected = " or ".join(map(repr, KINDS))
        raise BenchError(f"{path}: its format is {said!r}; expected {expected}, of {commands}")
    return content  # type: ignore[no-any-return]


def write(path: Path, text: str) -> None:
    """Write a file.

    Raises:
        BenchError: It cannot be written.
    """
    try:
        path.write_text(text)
    except OSError as exc:
        raise BenchError(f"{path}: {exc.strerror}") from exc


def as_json(content: Content) -> str:
    """The text of a file."""
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def show_comparison(console: Console, before: Content, after: Content) -> None:
    """Two files of one kind.

    Raises:
        BenchError: They are not.
    """
    if before["format"] != after["format"]:
        raise BenchError(
            f"one file is of `fastworker {kind(before).command}`, the other of `fastworker {kind(after).command}`: "
            f"expected two of one kind"
        )
    rows = compare.compare(before, after)
    show.show_comparison(console, rows, compare.differences(before, after))
