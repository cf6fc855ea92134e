"""``python -m benches.report``: write ``results/README.md``, the table in the project's README, and those of
``docs/performance.md``, from the newest run of each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benches.harness.results import FOLDER, read_latest
from benches.report import budget
from benches.report.rivals import SCENARIO, in_readme, section
from benches.report.tables import bars_table, header, row, scenario_section, short_table
from benches.scenarios import NAMES

INTRODUCTION = """# Benchmark results

Rendered by `python -m benches.report` from the JSON files beside this page; nothing here is typed.
`make bench` measures everything again; `BENCH_QUICK=1 make bench` is a short form to try it.

Systems take turns in rounds. A ratio compares two samples of the same round, and the median of
these ratios is what counts, since the speed of a machine drifts by more than most differences. In
every ratio, more is better for fastworker. Where Celery was measured with early and with late
acknowledgement, the better of the two is the peer; fastworker always acknowledges late.
"""


PROJECT = FOLDER.parent.parent
BEGIN, END = "<!-- {}: begin -->", "<!-- {}: end -->"


def main() -> None:
    """Write the pages and say where, and print the table of bars."""
    found = {name: read_latest(name) for name in NAMES if name != SCENARIO}
    documents = {name: document for name, document in found.items() if document is not None}
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / "README.md"
    rivals = read_latest(SCENARIO)
    path.write_text("\n".join([*page(documents), *section(rivals)]) + "\n")
    put_between_marks(PROJECT / "README.md", "benchmarks", short_table(documents))
    put_between_marks(PROJECT / "README.md", SCENARIO, in_readme(rivals))
    put_between_marks(PROJECT / "docs" / "performance.md", "benchmarks", budget.lines(documents))
    print("\n".join(bars_table(documents)))
    print(f"\nwritten to benches/results/{path.name}")


def put_between_marks(path: Path, name: str, lines: Iterable[str]) -> None:
    """Write a generated part anew."""
    begin, end = BEGIN.format(name), END.format(name)
    before, _, rest = path.read_text().partition(begin)
    _, _, after = rest.partition(end)
    path.write_text("\n".join([before + begin, *lines, end + after]))


def page(documents: dict[str, dict[str, Any]]) -> Iterator[str]:
    """The whole page, line by line."""
    yield INTRODUCTION
    yield "## Bars"
    yield ""
    yield from bars_table(documents)
    yield ""
    yield from machine_section(documents)
    for document in documents.values():
        yield ""
        yield from scenario_section(document)


def machine_section(documents: dict[str, dict[str, Any]]) -> Iterator[str]:
    """The machine and versions; one column for each that the runs were taken on."""
    machines: list[dict[str, Any]] = []
    for document in documents.values():
        if document["machine"] not in machines:
            machines.append(document["machine"])
    if not machines:
        return
    yield "## Machine"
    yield ""
    yield from header(["", *(f"machine {number + 1}" for number in range(len(machines)))])
    for fact in machines[0]:
        yield row([fact, *(str(machine.get(fact, "")) for machine in machines)])


if __name__ == "__main__":
    main()
