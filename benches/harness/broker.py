"""The private Redis of a run, with a client for what lies in it."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import redis

from fastworker.bench.rivals import servers
from fastworker.bench.rivals.servers import free_port as free_port


class RedisServer(servers.RedisServer):
    """``redis-server`` on a free loopback port, persistence off, with database 1 for results.

    Args:
        folder: Working directory, for its log.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.backend_url = f"redis://127.0.0.1:{self.port}/1"
        self.client = redis.Redis(port=self.port)

    def __enter__(self) -> RedisServer:
        super().__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.client.close()
        super().__exit__(kind, error, trace)

    def held(self, queue: str) -> int:
        """Messages waiting in ``queue`` or leased by a worker, in kombu's layout."""
        with self.client.pipeline(transaction=False) as pipeline:
            pipeline.llen(queue)
            pipeline.hlen("unacked")
            waiting, leased = pipeline.execute()
        return int(waiting) + int(leased)
