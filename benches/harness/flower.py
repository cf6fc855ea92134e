"""The real Flower, listening to a broker's events."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benches.harness.broker import RedisServer

TIMEOUT_S = 60.0


@contextmanager
def listening(broker: RedisServer, folder: Path) -> Iterator[None]:
    """Flower, from when it has subscribed to events.

    Args:
        broker: Where workers tell of their tasks.
        folder: An empty directory for its log.

    Raises:
        SystemExit: It does not subscribe in time; with the end of its log.
    """
    before = _patterns(broker)
    log = folder / "flower.log"
    command = [sys.executable, "-m", "celery", "-b", broker.url, "flower"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--address=127.0.0.1", "--port=0"], stdout=output, stderr=output, cwd=folder
        )
    try:
        deadline = time.monotonic() + TIMEOUT_S
        while _patterns(broker) <= before:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(
                    f"Flower does not listen:\n{log.read_text(errors='replace')[-2000:]}"
                )
            time.sleep(0.05)
        yield
    finally:
        # It waits for everything that it has asked, and has nothing to finish.
        process.kill()
        process.wait()


def _patterns(broker: RedisServer) -> int:
    """To how many patterns of channels anybody has subscribed: to events, among others."""
    return sum(int(client["psub"]) for client in broker.client.client_list(_type="pubsub"))
