"""A client process: publishes, waits and fetches, as a web process would, and says how long that
took.

``python -m benches.apps.client <celery|fastworker> <verb> <JSON arguments>``. One JSON object per
line goes out. A client runs in a process of its own, so that neither application's imports are in
the other's memory.
"""

from __future__ import annotations

import gc
import importlib
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from benches.apps import options, raw

WARM_UP_CALLS = 300
TIMEOUT_S = 120.0
QUEUE_BOUND = 100_000
CHUNK = 500
"""Calls between two switches of loop: long enough to amortise the clock, short enough that drift
hits all loops.
"""


class Client:
    """One application's client side. ``name`` is ``celery`` or ``fastworker``."""

    def __init__(self, name: str) -> None:
        self.is_fastworker = name == "fastworker"
        self.app = importlib.import_module(f"benches.apps.{name}_app")

    def publish_one(self, task: str, args: list[Any]) -> None:
        """Publish one message for the harness to copy."""
        getattr(self.app, task).delay(*args)
        say({"published": 1})

    def publish_many(self, task: str, args: list[Any], count: int) -> None:
        """Publish ``count`` equal messages, by the quickest way that the application has."""
        function = getattr(self.app, task)
        if self.is_fastworker:
            function.starmap_async([args] * count)
        else:
            for _ in range(count):
                function.delay(*args)
        say({"published": count})

    def publish_loops(self, seconds: float) -> None:
        """Time three loops in turns, ``seconds`` each: ``.delay()``, a raw LPUSH by socket, a raw
        LPUSH by redis-py.

        All three wait for the server's answer to each message. The raw loops push the bytes that
        ``.delay()`` wrote.
        """
        delay = self.app.noop.delay
        body = raw.captured(options.BROKER, options.QUEUE, lambda: delay(42))
        socket_push, redis_push = (
            raw.socket_pusher(options.BROKER, body),
            raw.redis_pusher(options.BROKER, body),
        )
        loops: dict[str, Callable[[], object]] = {
            "delay": lambda: delay(42),
            "raw_socket": socket_push,
            "raw_redis_py": redis_push,
        }
        for call in loops.values():
            repeat(call, WARM_UP_CALLS)
        timed = in_turns(loops, seconds)
        raw.empty(options.BROKER)
        say({**timed, "message_bytes": len(body)})

    def publish_bulk(self, count: int) -> None:
        """Time one bulk call of ``count`` calls; Celery has none on the wire, so its
        loop stands in.
        """
        if not self.is_fastworker:
            raise SystemExit("bulk publish: only fastworker has it; compare with Celery's loop")
        self.app.noop.map_async(range(WARM_UP_CALLS))
        raw.empty(options.BROKER)
        started, cpu = time.perf_counter(), time.process_time()
        self.app.noop.map_async(range(count))
        elapsed, spent = time.perf_counter() - started, time.process_time() - cpu
        found = raw.depth(options.BROKER, options.QUEUE)
        raw.empty(options.BROKER)
        if found != count:
            raise SystemExit(f"bulk publish: {found} messages in the queue, expected {count}")
        say({"bulk_per_s": count / elapsed, "bulk_cpu_us": spent / count * 1e6})

    def publish_confirmed(self, seconds: float, bulk_calls: int) -> None:
        """Time ``.delay()`` in a loop, and where there is one the bulk call, on a broker that confirms."""
        noop = self.app.noop
        repeat(lambda: noop.delay(42), WARM_UP_CALLS)
        said = in_turns({"delay": lambda: noop.delay(42)}, seconds)
        if self.is_fastworker:
            noop.map_async(range(WARM_UP_CALLS))
            started, cpu = time.perf_counter(), time.process_time()
            noop.map_async(range(bulk_calls))
            said["bulk_per_s"] = bulk_calls / (time.perf_counter() - started)
            said["bulk_cpu_us"] = (time.process_time() - cpu) / bulk_calls * 1e6
        say(said)

    def round_trips(self, count: int) -> None:
        """Time ``count`` calls of ``delay().get()``, one after the other, on an otherwise idle
        worker.
        """
        echo = self.app.echo
        for number in range(50):
            echo.delay(number).get(timeout=30)
        gc.collect()
        times_ms: list[float] = []
        for number in range(count):
            started = time.perf_counter()
            got = echo.delay(number).get(timeout=30)
            times_ms.append((time.perf_counter() - started) * 1e3)
            check(number, got)
        say({"times_ms": times_ms})

    def fetch_results(self, count: int, way: str) -> None:
        """Publish ``count`` calls; after ``go`` on stdin, fetch and check every result.

        Args:
            count: How many.
            way: ``get`` calls ``.get()`` on each in order; ``join_native`` uses a ``ResultSet``,
                as Celery's documents recommend on Redis; ``bulk`` reads what ``map_async`` gave.
        """
        echo = self.app.echo
        publish = echo.map_async if way == "bulk" else published_singly(echo)
        results = publish(range(count))
        gc.collect()
        say({"published": count})
        if sys.stdin.readline().strip() != "go":
            raise SystemExit("fetch_results: the harness went away")
        cpu = time.process_time()
        for number, got in enumerate(fetched(results, way)):
            check(number, got)
        say({"finished_at": time.monotonic(), "cpu_s": time.process_time() - cpu})

    def publish_group(self, members: int) -> None:
        """Time building and publishing a group and a chord of ``members`` each."""
        canvas, noop = self.canvas, self.app.noop
        canvas.group(noop.s(i) for i in range(WARM_UP_CALLS)).apply_async()
        said: dict[str, float] = {}
        for kind in ("group", "chord"):
            raw.empty(options.BROKER)
            started = time.perf_counter()
            header = canvas.group([noop.s(i) for i in range(members)])
            (header if kind == "group" else canvas.chord(header, noop.s())).apply_async()
            said[f"{kind}_per_s"] = members / (time.perf_counter() - started)
            found = raw.depth(options.BROKER, options.QUEUE)
            if found != members:
                raise SystemExit(f"{kind}: {found} messages in the queue, expected {members}")
        raw.empty(options.BROKER)
        say(said)

    def publish_stream(self, calls: int, way: str) -> None:
        """Publish a stream, and say how fast that was and how much memory it took at most.

        Args:
            calls: How many.
            way: ``group``, ``chord`` or ``map``.
        """
        noop, canvas = self.app.noop, self.canvas
        members = (noop.s(number) for number in range(calls))
        started = time.perf_counter()
        if way == "map":
            result = noop.map_async(range(calls), max_queue_length=QUEUE_BOUND)
        elif way == "chord":
            body = canvas.chord(members, noop.s())
            result = body.apply_async(max_queue_length=QUEUE_BOUND).parent
        else:
            result = canvas.group(members).apply_async(max_queue_length=QUEUE_BOUND)
        elapsed = time.perf_counter() - started
        check(calls, len(result))
        peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        say({"calls_per_s": calls / elapsed, "peak_mb": peak_kb * 1024 / 1e6})

    def nested_bytes(self, depths: list[int]) -> None:
        """Size of the largest message of chords in chords' bodies, by depth."""
        noop, said = self.app.noop, {}
        for depth in depths:
            body = noop.s()
            for _ in range(depth):
                body = self.canvas.chord([noop.s(), noop.s()], body)
            write = self.canvas.chord([noop.s(1), noop.s(2)], body).apply_async
            said[f"bytes_{depth}_deep"] = len(raw.captured(options.BROKER, options.QUEUE, write))
            raw.empty(options.BROKER)
        say(said)

    def group_results(self, members: int) -> None:
        """Time ``GroupResult.get()`` of ``members`` results that are in the store."""
        app, backend = self.app.app, self.app.app.backend
        results = [app.AsyncResult(f"{members}-{i}") for i in range(members)]
        for number, result in enumerate(results):
            backend.mark_as_done(result.id, number)
        group = app.GroupResult("group", [app.AsyncResult(result.id) for result in results])
        started = time.perf_counter()
        values = group.get(timeout=TIMEOUT_S)
        elapsed = time.perf_counter() - started
        if values != list(range(members)):
            raise SystemExit(f"results of a group: {len(values)} values, not those stored")
        say({"results_per_s": members / elapsed})

    @property
    def canvas(self) -> Any:
        """The application's library of workflows."""
        return importlib.import_module(
            "fastworker.canvas" if self.is_fastworker else "celery.canvas"
        )

    def join_chord(self, count: int, hold: str) -> None:
        """Publish a chord of ``count`` members to the queue ``hold``; after ``go`` on stdin, wait for its body."""
        canvas: Any = importlib.import_module("fastworker" if self.is_fastworker else "celery")
        echo = self.app.echo
        members = [echo.s(number).set(queue=hold) for number in range(count)]
        result = canvas.chord(members)(self.app.tally.s())
        gc.collect()
        say({"published": count})
        if sys.stdin.readline().strip() != "go":
            raise SystemExit("join_chord: the harness went away")
        # By its id alone: a result that knows its chord has Celery's client look at all members twice a second.
        body = self.app.app.AsyncResult(result.id)
        check([count, count * (count - 1) // 2], body.get(timeout=10 * TIMEOUT_S))
        say({"finished_at": time.monotonic()})


def published_singly(task: Any) -> Callable[[range], list[Any]]:
    """A way to publish one call per number, each with ``.delay()``."""
    return lambda numbers: [task.delay(number) for number in numbers]


def fetched(results: Any, way: str) -> Iterator[Any]:
    """The values of ``results`` in order."""
    if way == "bulk":
        return iter(results.iter_values(timeout=TIMEOUT_S))
    if way == "join_native":
        from celery.result import ResultSet  # type: ignore[import-untyped]

        return iter(ResultSet(results).join_native(timeout=TIMEOUT_S))
    return (result.get(timeout=TIMEOUT_S) for result in results)


def in_turns(loops: dict[str, Callable[[], object]], seconds: float) -> dict[str, float]:
    """Run each loop for ``seconds`` in chunks that take turns; returns calls per second and CPU per
    call of each.
    """
    wall = dict.fromkeys(loops, 0.0)
    cpu = dict.fromkeys(loops, 0.0)
    calls = dict.fromkeys(loops, 0)
    while min(wall.values()) < seconds:
        for name, call in loops.items():
            if wall[name] >= seconds:
                continue
            started, spent = time.perf_counter(), time.process_time()
            repeat(call, CHUNK)
            wall[name] += time.perf_counter() - started
            cpu[name] += time.process_time() - spent
            calls[name] += CHUNK
    rates = {f"{name}_per_s": calls[name] / wall[name] for name in loops}
    return {**rates, **{f"{name}_cpu_us": cpu[name] / calls[name] * 1e6 for name in loops}}


def repeat(call: Callable[[], object], count: int) -> None:
    """Call ``count`` times; ``islice`` keeps the loop's own cost to some ten nanoseconds."""
    for _ in islice(iter(int, 1), count):
        call()


def check(expected: object, got: object) -> None:
    """A benchmark that returned wrong answers has measured nothing."""
    if got != expected:
        raise SystemExit(f"wrong result: expected {expected!r}, got {got!r}")


def say(fact: dict[str, Any]) -> None:
    """One line to the harness, at once."""
    print(json.dumps(fact), flush=True)


def main() -> None:
    """Run the verb named on the command line."""
    name, verb, arguments = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    getattr(Client(name), verb)(**arguments)


if __name__ == "__main__":
    main()
