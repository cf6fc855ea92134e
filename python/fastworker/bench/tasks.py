"""The application whose tasks the built-in workloads call. A worker started by a bench runs it; it names no broker,
so that the environment does.
"""

from __future__ import annotations

import os
import time
from typing import Any

from fastworker.app.app import FastWorker
from fastworker.canvas.chord import chord

app = FastWorker("fastworker-bench", set_as_current=False)

#: Starts a second of each host, over all workers; "": no limit, since not every broker can keep one.
HOST_RATE = os.environ.get("FASTWORKER_BENCH_HOST_RATE", "50")
_OF_A_HOST = {
    "rate_limit": f"{HOST_RATE}/s",
    "rate_limit_scope": "cluster",
    "rate_limit_key": "host",
}


@app.task(name="bench.noop", ignore_result=True)
def noop() -> None:
    """Nothing: what is measured is the way there and back."""


@app.task(name="bench.echo")
def echo(text: str) -> str:
    """Its argument; the result is stored if there is a result store."""
    return text


@app.task(name="bench.sleep", ignore_result=True)
def sleep(seconds: float) -> None:
    """Waits for a dependency."""
    time.sleep(seconds)


@app.task(name="bench.spin", ignore_result=True)
def spin(seconds: float) -> None:
    """Computes for so much CPU time of its own thread, however long that takes."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


@app.task(name="bench.tree", ignore_result=True)
def tree(depth: int, width: int) -> None:
    """Calls itself ``width`` times, ``depth`` levels deep."""
    if depth > 0:
        queue = _queue()
        for _ in range(width):
            tree.apply_async((depth - 1, width), queue=queue)


@app.task(name="bench.member")
def member(number: int) -> int:
    """One member of a chord."""
    return number


@app.task(name="bench.collect", ignore_result=True)
def collect(numbers: list[int]) -> int:
    """The body of a chord."""
    return len(numbers)


@app.task(name="bench.fan", ignore_result=True)
def fan(members: int) -> None:
    """Publishes a chord."""
    queue = _queue()
    header = [member.s(number).set(queue=queue) for number in range(members)]
    chord(header, app=app)(collect.s().set(queue=queue))


@app.task(name="bench.crawl", ignore_result=True, **(_OF_A_HOST if HOST_RATE else {}))
def crawl(host: str, seconds: float) -> None:
    """A page of a host, which may be asked so often only."""
    time.sleep(seconds)


def _queue() -> Any:
    """The queue that this bench uses: calls made by tasks stay in it."""
    return os.environ["FASTWORKER_BENCH_QUEUE"]
