"""The web server that tasks wait for (``benches.apps.pages``), and how much it can do alone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from benches.harness.broker import free_port
from benches.harness.peers import BIN
from benches.harness.worker import environment

ANSWER_S = 0.1


@contextmanager
def page_server() -> Iterator[str]:
    """Start it, and give the URL of its page."""
    port = free_port()
    command = [f"{BIN}/python", "-m", "benches.apps.pages", str(port), str(ANSWER_S)]
    with subprocess.Popen(
        command, env=environment({}), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None  # a pipe was asked for
        try:
            if process.stdout.readline().strip() != "ready":
                raise SystemExit("the web server did not start; its error is above")
            yield f"http://127.0.0.1:{port}/"
        finally:
            process.terminate()


def capacity(url: str, connections: int, seconds: float) -> dict[str, float]:
    """Answers a second of the server alone, to a client that costs next to nothing
    (``benches.apps.page_load``).
    """
    arguments = [url, str(connections), str(seconds)]
    command = [f"{BIN}/python", "-m", "benches.apps.page_load", *arguments]
    done = subprocess.run(
        command, env=environment({}), check=True, stdout=subprocess.PIPE, text=True
    )
    said: dict[str, float] = json.loads(done.stdout)
    return said
