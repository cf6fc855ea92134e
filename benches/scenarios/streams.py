"""How much memory does a client need to publish a stream of calls, however long it is, and how fast is that?"""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

from benches.harness import client
from benches.harness.broker import RedisServer
from benches.harness.load import QUEUE
from benches.harness.runner import IS_QUICK, open_run
from benches.harness.systems import FASTWORKER

WAYS = ("group", "chord", "map")
FEWER, ALL = (30_000, 100_000) if IS_QUICK else (1_000_000, 10_000_000)

CONDITIONS = {
    "load": "noop(i), JSON: group(generator), chord(generator, body), map_async(range); a process of its own for each",
    "peak_mb": f"resident memory of the client at its highest, all included, with {ALL} calls",
    "growth_mb": f"how much higher that is than with {FEWER} calls",
    "calls_per_s": "published and confirmed, beside one who empties the queue",
    "broker": "one private Redis on loopback, persistence off; a thread of the harness takes the messages and counts "
    "them, and max_queue_length is 100000",
}


class Taker(threading.Thread):
    """Takes what is in the queue, and counts it."""

    def __init__(self, server: RedisServer) -> None:
        super().__init__()
        self._redis = server.client
        self._ended = threading.Event()
        self.taken = 0

    def run(self) -> None:
        while not self._ended.wait(0.05):
            self.take()
        self.take()

    def take(self) -> None:
        with self._redis.pipeline(transaction=True) as both:
            both.llen(QUEUE)
            both.unlink(QUEUE)
            self.taken += int(both.execute()[0])

    def end(self) -> int:
        """How many there were in all."""
        self._ended.set()
        self.join()
        return self.taken


def main() -> None:
    """Run the scenario."""
    with (
        open_run("streams", __doc__, CONDITIONS) as run,
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        RedisServer(Path(folder)) as server,
    ):
        for way in WAYS:
            fewer, whole = (published(way, size, server) for size in (FEWER, ALL))
            growth = whole["peak_mb"] - fewer["peak_mb"]
            run.add(0, FASTWORKER.name, {**whole, "growth_mb": growth}, case=way)


def published(way: str, size: int, server: RedisServer) -> dict[str, float]:
    """What a client process says of its stream."""
    env = {"BENCH_BROKER": server.url, "BENCH_BACKEND": server.url, "BENCH_ACKS_LATE": "1"}
    server.client.flushall()
    taker = Taker(server)
    taker.start()
    try:
        said = client.run(FASTWORKER, env, "publish_stream", calls=size, way=way)
    finally:
        taken = taker.end()
    if taken != size:
        raise SystemExit(f"streams: {taken} messages came, expected {size}")
    return said


if __name__ == "__main__":
    main()
