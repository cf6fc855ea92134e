"""The tables of ``docs/performance.md``: where a task's processor time goes, beside the least that it could be."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

from benches.report.bars import values
from benches.report.tables import amount, header, row

Documents = dict[str, dict[str, Any]]

PEER = "celery-late"
OURS = "fastworker"
PROCESSES = (
    ("publish_cpu_us", "client, one `.delay()`"),
    ("supervisor_cpu_us", "worker, parent"),
    ("children_cpu_us", "worker, processes that run tasks"),
    ("broker_cpu_us", "Redis, from the queue to the acknowledgement"),
)
SHARES = (
    ("share of the supervisor", "supervisor_cpu_us", "parent"),
    ("share of the children", "children_cpu_us", "child"),
)


def lines(documents: Documents) -> Iterator[str]:
    """Markdown, line by line; what was not measured is left out."""
    stations, floor = documents.get("stations"), documents.get("floor")
    if stations is None or floor is None:
        return
    yield ""
    yield from header(
        ["µs of processor time a no-op task", "fastworker", "Celery 5.7", "ratio", "floor"]
    )
    moved_us = median(floor, "redis", "pop_us") + median(floor, "redis", "lease_us")
    floors = {
        "children_cpu_us": f"{amount(median(floor, 'orjson', 'whole_us'))}: bare loop",
        "broker_cpu_us": f"{amount(moved_us)}: pop and lease",
    }
    for metric, title in PROCESSES:
        ours, theirs = median(stations, OURS, metric), median(stations, PEER, metric)
        yield row(
            [
                title,
                amount(ours),
                amount(theirs),
                f"{amount(theirs / ours)}x",
                floors.get(metric, "-"),
            ]
        )
    yield ""
    yield from header(["station", "in the", "µs", "share"])
    for case, metric, place in SHARES:
        whole = median(stations, OURS, metric)
        for sample in stations["samples"]:
            if sample["system"] == OURS and sample["case"] == case:
                for name, share in sorted(sample["metrics"].items(), key=lambda one: -one[1]):
                    yield row([name, place, amount(share * whole), f"{share:.0%}"])
    yield ""
    yield from header(["floor", "µs"])
    for system, metric, title in (
        ("orjson", "whole_us", "bare loop, orjson: decode, call, encode"),
        ("orjson", "decode_us", "of it: decode the message and its body"),
        ("orjson", "call_us", "of it: call the function"),
        ("orjson", "encode_us", "of it: write the result"),
        ("json", "whole_us", "the same loop with the standard library's json"),
        ("redis", "push_us", "Redis: LPUSH of a message, 100 a command"),
        ("redis", "pop_us", "Redis: LPOP of a message, 100 a command"),
        ("redis", "lease_us", "Redis: HSET of a message and HDEL, 100 a command"),
        ("redis", "store_us", "Redis: SET of a result with an expiry, 100 a pipeline"),
    ):
        yield row([title, amount(median(floor, system, metric))])
    yield ""
    yield f"Data: {link(stations)}, {link(floor)}; {machine(stations)}."
    yield ""


def median(document: dict[str, Any], system: str, metric: str) -> float:
    """Of all rounds."""
    return statistics.median(values(document, system, metric))


def link(document: dict[str, Any]) -> str:
    """To the file, as the page is placed."""
    return f"[{document['scenario']}](../benches/results/{document['file']})"


def machine(document: dict[str, Any]) -> str:
    """What it ran on, in a few words."""
    facts = document["machine"]
    load = document["load_at_start"]
    return (
        f"{facts['cores']} cores, {facts['cpu']}, Python {facts['python']}, Redis {facts['redis']}, Celery "
        f"{facts['celery']}; load average when it began: {load:.1f}"
    )
