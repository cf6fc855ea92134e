"""Crawl a site with fastworker, from the first link to a report, in one command.

    python examples/crawl/crawl.py                       Python's library documentation, served here
    python examples/crawl/crawl.py https://example.com   any site; stays on its host

The command starts a worker, queues one task for the start page, and watches: every page's task
queues a task for each link that is new (``tasks.py``). Ctrl-C stops everything.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pages
import pydoc_site
import tasks
from report import print_report
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from worker import Worker, WorkerStopped

REFRESH_S = 0.1
STALLED_AFTER_S = 60.0
"""No page finished for this long, far beyond a fetch's own limits: somebody has to look."""

console = Console()


def main() -> None:
    """Run one crawl. Exits with 0 when it is complete, 130 on Ctrl-C, 1 when it got stuck."""
    options = parse_options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a SIGTERM cleans up like Ctrl-C
    try:
        with start_page(options) as url:
            is_complete = crawl(url, options)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0 if is_complete else 1)


def parse_options() -> argparse.Namespace:
    """The command line; defaults are bold on our own site and polite on somebody else's."""
    parser = argparse.ArgumentParser(description="Crawl a site with fastworker.")
    parser.add_argument("url", nargs="?", help="start page; default: Python's library, served here")
    parser.add_argument("--max-pages", type=int, help="stop discovering here (2000; a URL: 200)")
    parser.add_argument("--delay", type=float, help="pause after each request, s (0; a URL: 0.5)")
    parser.add_argument("--concurrency", type=int, help="worker processes (4 a core; a URL: 2)")
    parser.add_argument("--latency-ms", type=float, default=20.0, help="of the site served here")
    options = parser.parse_args()
    if options.url and urlsplit(options.url).scheme not in ("http", "https"):
        parser.error(f"{options.url!r}: expected a URL that starts with http:// or https://")
    is_ours = options.url is None
    if options.max_pages is None:
        options.max_pages = 2000 if is_ours else 200
    if options.delay is None:
        options.delay = 0.0 if is_ours else 0.5
    if options.concurrency is None:
        options.concurrency = 4 * len(os.sched_getaffinity(0)) if is_ours else 2
    return options


@contextmanager
def start_page(options: argparse.Namespace) -> Iterator[str]:
    """The URL to begin with; our own site is written and served when none was given."""
    if options.url is not None:
        yield options.url
        return
    with console.status("writing Python's library documentation …") as status:
        folder = pydoc_site.write(
            lambda done, total: status.update(f"writing Python's documentation: {done} of {total}")
        )
    with pydoc_site.serve(folder, options.latency_ms / 1e3) as url:
        count = len(list(folder.glob("*.html")))
        console.print(
            f"[bold]site[/]    {url} ({count} pages, each after {options.latency_ms:g} ms)"
        )
        yield url


def crawl(url: str, options: argparse.Namespace) -> bool:
    """Crawl, show it, and report; returns whether every discovered page was visited."""
    run = pages.begin(url, max_pages=options.max_pages, delay_s=options.delay)
    console.print(
        f"[bold]worker[/]  {options.concurrency} processes, queue: SQLite under .fastworker/"
    )
    try:
        with Worker(options.concurrency) as worker:
            tasks.visit.delay(run.id, url)
            watch(run, worker)
    except KeyboardInterrupt:
        console.print("stopped by you; what was crawled so far:")
        raise
    except WorkerStopped as error:
        console.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
    finally:
        pages.stop(run)
        print_report(console, run)
    return pages.progress(run).is_over


def watch(run: pages.Crawl, worker: Worker) -> None:
    """Show the crawl until every discovered page is visited.

    Raises:
        WorkerStopped: The worker died, or nothing moves any more.
    """
    columns = (
        TextColumn("[bold]crawl[/]  "),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("pages  {task.fields[rate]:.0f}/s  {task.fields[failed]} failed"),
        TimeElapsedColumn(),
    )
    moved_at, before = time.monotonic(), -1
    with Progress(*columns, console=console) as display:
        bar = display.add_task("crawl", total=1, rate=0.0, failed=0)
        while True:
            now = pages.progress(run)
            visited = now.done + now.failed
            rate = visited / max(pages.duration_s(run), REFRESH_S)
            total = visited + now.waiting
            display.update(bar, completed=visited, total=total, rate=rate, failed=now.failed)
            if now.is_over:
                return
            if visited > before:
                moved_at, before = time.monotonic(), visited
            if time.monotonic() - moved_at > STALLED_AFTER_S:
                raise WorkerStopped(f"no page was finished for {STALLED_AFTER_S:g} s")
            worker.pause(REFRESH_S)


if __name__ == "__main__":
    main()
