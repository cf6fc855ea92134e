"""Markdown from results: a table of the bars, then every scenario, samples and conditions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from benches.harness.stats import Summary, summarise
from benches.report.bars import BARS, Verdict, judge, values


def bars_table(documents: dict[str, dict[str, Any]]) -> Iterator[str]:
    """One row per bar; a bar without data says so."""
    yield from header(["bar", "needed", "reached", "", "fastworker", "peer", "data"])
    for bar in BARS:
        document = documents.get(bar.scenario)
        verdict = judge(bar, document) if document else None
        if verdict is None or document is None:
            yield row([bar.title, _need(bar.need, bar.is_rate, bool(bar.peers)), "not measured"])
            continue
        yield row(_judged(verdict, document["file"]))


def short_table(documents: dict[str, dict[str, Any]]) -> Iterator[str]:
    """What the README shows: the bars that were measured, without what was asked of them."""
    yield from header(
        ["", "fastworker", "Celery 5.7 (or the peer named)", "ratio, lowest to highest", "data"]
    )
    for bar in BARS:
        document = documents.get(bar.scenario)
        verdict = judge(bar, document) if document else None
        if verdict is not None and document is not None:
            title, _, reached, _, ours, peer, _ = _judged(verdict, document["file"])
            ratio = reached if bar.peers else "-"
            yield row([title, ours, peer, ratio, f"[json](benches/results/{document['file']})"])


def _judged(verdict: Verdict, file: str) -> list[str]:
    bar = verdict.bar
    peer = "-"
    if verdict.peer is not None:
        label = bar.peer_metric if verdict.peer_name == bar.system else verdict.peer_name
        peer = f"{amount(verdict.peer.median)} {bar.unit} ({label})"
    reached = spread(verdict.reached) + ("x" if bar.peers else f" {bar.unit}")
    return [
        bar.title,
        _need(bar.need, bar.is_rate, bool(bar.peers)),
        reached,
        "pass" if verdict.is_passed else "**miss**",
        f"{amount(verdict.ours.median)} {bar.unit}",
        peer,
        f"[json]({file})",
    ]


def _need(need: float, is_rate: bool, has_peer: bool) -> str:
    if not has_peer:
        return f"{'≥' if is_rate else '<'} {need:g}"
    return f"≥ {need:g}x"


def scenario_section(document: dict[str, Any]) -> Iterator[str]:
    """A scenario's question, medians and spreads of every metric, and what was held equal."""
    yield f"## {document['scenario']}"
    yield ""
    yield document["question"]
    yield ""
    cases = list(dict.fromkeys(sample["case"] for sample in document["samples"]))
    for case in cases:
        if case:
            yield from (f"**{case}**", "")
        yield from _samples_table(document, case)
        yield ""
    for name, text in document["conditions"].items():
        if isinstance(text, dict):
            text = "; ".join(f"{system}: {value}" for system, value in text.items())
        yield f"- {name}: {text}"
    for name, value in document["details"].items():
        yield f"- {name}: {_detail(value)}"
    quick = ", short form: not for publishing" if document["is_quick"] else ""
    yield f"- taken {document['started']} at commit `{document['commit']}`{quick}"
    before, after = document["load_at_start"], document["load_at_end"]
    yield f"- load average of the machine: {before:.1f} before, {after:.1f} after"
    yield f"- every sample: [{document['file']}]({document['file']})"


def _samples_table(document: dict[str, Any], case: str) -> Iterator[str]:
    samples = [sample for sample in document["samples"] if sample["case"] == case]
    systems = list(dict.fromkeys(sample["system"] for sample in samples))
    metrics = list(dict.fromkeys(name for sample in samples for name in sample["metrics"]))
    yield from header(["median (lowest - highest)", *systems])
    for metric in metrics:
        cells = (values(document, system, metric, case) for system in systems)
        yield row([metric, *(spread(summarise(cell)) if cell else "-" for cell in cells)])


def header(titles: Sequence[str]) -> Iterator[str]:
    """The two lines that open a table."""
    yield row(titles)
    yield row(["---"] * len(titles))


def row(cells: Iterable[str]) -> str:
    """One line of a table."""
    return "| " + " | ".join(cells) + " |"


def spread(summary: Summary) -> str:
    """Median and extremes; the median alone when there is no spread."""
    if summary.low == summary.high:
        return amount(summary.median)
    return f"{amount(summary.median)} ({amount(summary.low)} - {amount(summary.high)})"


def amount(value: float) -> str:
    """Three significant digits, thousands separated."""
    if abs(value) >= 100:
        digits = len(str(int(abs(value)))) - 3
        return f"{round(value, -digits):,.0f}"
    return f"{value:.3g}"


def _detail(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_detail(item)}" for key, item in value.items())
    return amount(value) if isinstance(value, float) else str(value)
