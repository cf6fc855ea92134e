"""The comparison with other task queues, for the project's README and for the page of results."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benches.scenarios.rivals import PICTURE
from fastworker.bench.rivals import table

SCENARIO = "rivals"


def in_readme(document: dict[str, Any] | None) -> Iterator[str]:
    """Picture and table."""
    if document is None:
        yield "not measured"
        return
    yield f"![The table as bars](benches/results/{PICTURE})"
    yield ""
    yield from table.markdown(document)
    yield ""
    yield f"Every sample: [json](benches/results/{document['file']})."


def section(document: dict[str, Any] | None) -> Iterator[str]:
    """The table, what was held equal, and the command lines."""
    yield ""
    yield f"## {SCENARIO}"
    yield ""
    if document is None:
        yield "not measured"
        return
    yield from table.markdown(document)
    yield ""
    for name, text in {**document["workloads"], **document["conditions"]}.items():
        yield f"- {name}: {text}"
    for name, system in document["systems"].items():
        for command, workloads in system["commands"].items():
            yield f"- {name}, {', '.join(workloads)}: `{command}`"
    yield f"- taken at commit `{document['commit']}`"
    yield f"- every sample: [{document['file']}]({document['file']})"
