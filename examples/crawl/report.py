"""The short report at the end of a crawl."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

import pages
import worker
from rich.console import Console
from rich.markup import escape
from rich.table import Table

SHOWN_FAILURES = 5


def print_report(console: Console, run: pages.Crawl) -> None:
    """Pages, links, rate, failures and latencies; where the results are, and what to try next."""
    now = pages.progress(run)
    elapsed = pages.duration_s(run)
    table = Table(
        title=escape(f"crawl {run.id} of {run.start_url}"), show_header=False, title_justify="left"
    )
    table.add_row("pages", f"{now.done:,} done, {now.failed:,} failed, {now.waiting:,} not visited")
    table.add_row("links", f"{now.links:,} seen, each page visited once")
    if elapsed:
        rate = (now.done + now.failed) / elapsed
        table.add_row("tasks", f"{rate:,.0f} a second, {elapsed:.1f} s in all")
    if latencies := pages.latencies_s(run):
        shares = ", ".join(
            f"{name} {percentile(latencies, share):.2f} s"
            for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
        )
        table.add_row("latency", f"{shares} (a page, from queued to done)")
    table.add_row("results", f"{relative(pages.FILE)}, table page, crawl = {run.id}")
    table.add_row("log", relative(worker.LOG))
    console.print(table)
    for url, why in pages.failures(run, SHOWN_FAILURES):
        console.print(f"  failed: {url}: {why}", markup=False, highlight=False, soft_wrap=True)
    console.print(
        "next: give it a start URL of your own; change tasks.py and run it again; or run "
        "[bold]fastworker -A tasks worker[/] in examples/crawl in a second terminal to help.",
        highlight=False,
    )


def percentile(ranked: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` (0..1) of ``ranked`` does not exceed."""
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]


def relative(path: Path) -> str:
    """As the user would type it from here."""
    return os.path.relpath(path)
