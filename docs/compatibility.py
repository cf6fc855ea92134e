"""The page docs/compatibility.md: every row with its status and the tests that show it.

The tests say themselves what they show (``@pytest.mark.shows("task acks_late", "setting task_acks_late")``), and are
found by reading the sources, so a row cannot name a test that does not exist.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from docs.compatibility_items import ITEMS
from fastworker.app.settings_registry import REGISTRY

ROOT = Path(__file__).resolve().parent.parent
_SETTING = {"active": "works", "differs": "differs", "accepted": "later", "moot": "never"}
_SHOWN = {
    "works": "works",
    "differs": "differs",
    "refused": "refused by name",
    "later": "not yet",
    "never": "no meaning here",
}
_NEEDS_TEST = ("works", "differs", "refused")
#: Tests named in one row; the others are counted.
_MOST_NAMED = 2


@dataclass
class Row:
    """One thing that a user can say.

    Attributes:
        name: Without its area.
        status: A key of ``_SHOWN``.
        note: For the reader; may be empty.
        tests: pytest node ids.
    """

    name: str
    status: str
    note: str
    tests: list[str] = field(default_factory=list)


def rows() -> dict[str, Row]:
    """Every row by its full name, ``area name``, with the tests that show it."""
    found: dict[str, Row] = {}
    for area, (_, entries) in ITEMS.items():
        for name, text in entries.items():
            status, _, note = text.partition(": ")
            found[f"{area} {name}"] = Row(name, status, note)
    for setting in REGISTRY.values():
        status = _SETTING[setting.status]
        found[f"setting {setting.name}"] = Row(
            setting.name, status, "ours" if setting.is_ours else setting.note
        )
    for test, shown in marks():
        for name in shown:
            if name in found:
                found[name].tests.append(test)
    return found


def problems() -> list[str]:
    """What is wrong with the rows and the marks; empty when all is well."""
    known = rows()
    said = [
        f"{test}: the mark shows {name!r}, which is no row; see docs/compatibility_items.py"
        for test, shown in marks()
        for name in shown
        if name not in known
    ]
    for name, row in known.items():
        if row.status not in _SHOWN:
            said.append(f"row {name!r}: status {row.status!r}: expected one of {', '.join(_SHOWN)}")
        if row.status in _NEEDS_TEST and not row.tests:
            said.append(
                f"row {name!r} says {row.status!r} and no test shows it: put "
                f'@pytest.mark.shows("{name}") on one'
            )
        if row.tests and row.status == "later":
            said.append(f"row {name!r} says 'later', and {row.tests[0]} shows that it works")
    return said


def marks() -> list[tuple[str, tuple[str, ...]]]:
    """``(node id, what it shows)`` of every test with the mark, in the order of files and lines."""
    found: list[tuple[str, tuple[str, ...]]] = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        source = path.read_text()
        if "mark.shows" not in source:
            continue
        node = path.relative_to(ROOT).as_posix()
        found += _marks_in(ast.parse(source), node)
    return found


def _marks_in(parent: ast.AST, node_id: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, ast.ClassDef):
            yield from _marks_in(node, f"{node_id}::{node.name}")
        elif isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            shown = tuple(
                argument.value
                for decorator in node.decorator_list
                if isinstance(decorator, ast.Call)
                and ast.unparse(decorator.func).endswith("mark.shows")
                for argument in decorator.args
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
            )
            if shown:
                yield f"{node_id}::{node.name}", shown
        elif isinstance(node, ast.If | ast.With | ast.Try):
            yield from _marks_in(node, node_id)


def page(note: str) -> str:
    """The page."""
    known = rows()
    lines = [
        "# Compatibility with Celery 5.7",
        note,
        "",
        "Every option of a task, a call, a queue, a message and a request, every signal, control command and "
        "setting: what fastworker does with it, and a test that shows it. `works`: as in Celery. `differs`: acted on, "
        "and not quite as in Celery; the note says how. `refused by name`: an error says why, and what to use instead. "
        "`not yet`: known, and not acted on. `no meaning here`: it tunes a part of Celery that fastworker does not "
        "have.",
    ]
    for area, (heading, entries) in ITEMS.items():
        lines += _table(heading, [known[f"{area} {name}"] for name in entries])
    lines += _table("Settings", [known[f"setting {name}"] for name in sorted(REGISTRY)])
    return "\n".join(lines) + "\n"


def _table(heading: str, entries: list[Row]) -> list[str]:
    head = ["", f"## {heading}", "", "| | status | shown by |", "| --- | --- | --- |"]
    return head + [f"| `{row.name}` | {_status(row)} | {_tests(row)} |" for row in entries]


def _status(row: Row) -> str:
    return f"{_SHOWN[row.status]}: {row.note}" if row.note else _SHOWN[row.status]


def _tests(row: Row) -> str:
    named = [_link(test) for test in row.tests[:_MOST_NAMED]]
    more = len(row.tests) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")


def _link(test: str) -> str:
    path, _, name = test.partition("::")
    return f"[{name.replace('::', '.').removeprefix('test_')}](../{path})"
