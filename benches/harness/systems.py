"""The systems that are compared, and how each is started."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace

CONCURRENCY = 2


@dataclass(frozen=True)
class System:
    """One row of a table.

    Attributes:
        name: Key in samples and tables.
        app: ``celery`` or ``fastworker``: which application module, and which command unless ``runner`` says another.
        acks_late: Acknowledge after the run (at least once) or before it (at most once).
        prefetch: Celery's prefetch multiplier; None: the application's default.
        is_embedded: The queue is an SQLite file; no server.
        pool: What runs tasks; empty: the application's default, which is processes.
        processes: Of fastworker's pools threads and asyncio; None: its default.
        runner: The command that runs the application's worker; empty: ``app``.
        options: More of the worker's options.
        python: The interpreter of the worker, for pools that need more than ``requirements/dev.txt``.
    """

    name: str
    app: str
    acks_late: bool
    prefetch: int | None = None
    is_embedded: bool = False
    pool: str = ""
    processes: int | None = None
    runner: str = ""
    options: tuple[str, ...] = ()
    python: str = sys.executable

    @property
    def guarantee(self) -> str:
        """What the acknowledgement promises, for the conditions of a results file."""
        return "at least once (acks late)" if self.acks_late else "at most once (acks early)"

    def with_prefetch(self, multiplier: int) -> System:
        """The same with another prefetch multiplier."""
        return replace(self, prefetch=multiplier)

    def worker_command(self, concurrency: int) -> list[str]:
        """The command line of the worker."""
        common = ["worker", "--concurrency", str(concurrency), "--loglevel", "WARNING"]
        runner = self.runner or self.app
        start = [self.python, "-m", runner, "-A", f"benches.apps.{self.app}_app", *common]
        if runner == "fastworker":
            pool = ["--pool", self.pool] if self.pool else []
            processes = ["--processes", str(self.processes)] if self.processes else []
            return [*start, *pool, *processes, *self.options]
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "-O", "fair"]
        prefetch = ["--prefetch-multiplier", str(self.prefetch)] if self.prefetch else []
        return [*start, "--pool", self.pool or "prefork", *quiet, *prefetch, *self.options]


CELERY_LATE = System("celery-late", "celery", acks_late=True, prefetch=128)
CELERY_EARLY = System("celery-early", "celery", acks_late=False, prefetch=128)
HOSTED_LATE = System("hosted-late", "celery", acks_late=True, runner="fastworker")
HOSTED_EARLY = System("hosted-early", "celery", acks_late=False, runner="fastworker")
CELERY_CLIENT = System("celery-client", "celery", acks_late=True)
ACCELERATED = System("accelerated", "celery", acks_late=True)
FASTWORKER = System("fastworker", "fastworker", acks_late=True)
FASTWORKER_SQLITE = System("fastworker-sqlite", "fastworker", acks_late=True, is_embedded=True)
PEERS = (CELERY_LATE, CELERY_EARLY)
