"""A client that costs next to nothing: bare connections that send the same request again and again.

``python -m benches.apps.page_load <url> <connections> <seconds>`` says, as JSON, how many answers a
second came.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import cast
from urllib.parse import urlsplit

from benches.apps.pages import BODY


class Asker(asyncio.Protocol):
    """One connection. An answer is complete when its body is."""

    answers = 0

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time."""
        self._transport = cast("asyncio.WriteTransport", transport)  # a TCP connection
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Count a complete answer, and ask again."""
        self._received += data
        if self._received.endswith(BODY):
            Asker.answers += 1
            self._received = b""
            self._transport.write(self._request)


async def load(url: str, connections: int, seconds: float) -> None:
    """Count answers for ``seconds``, after a second to warm up."""
    place = urlsplit(url)
    request = f"GET {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode()
    if place.hostname is None or place.port is None:
        raise SystemExit(f"page_load: {url!r}: expected http://host:port/path")
    loop = asyncio.get_running_loop()
    for _ in range(connections):
        await loop.create_connection(lambda: Asker(request), place.hostname, place.port)
    await asyncio.sleep(1.0)
    started, before, cpu = time.monotonic(), Asker.answers, time.process_time()
    await asyncio.sleep(seconds)
    answers = Asker.answers - before
    said = {
        "answers_per_s": answers / (time.monotonic() - started),
        "client_cpu_us": (time.process_time() - cpu) / max(1, answers) * 1e6,
    }
    print(json.dumps(said))


def main() -> None:
    """Run with uvloop."""
    import uvloop

    url, connections, seconds = sys.argv[1:4]
    uvloop.run(load(url, int(connections), float(seconds)))


if __name__ == "__main__":
    main()
