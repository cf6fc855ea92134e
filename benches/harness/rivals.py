"""The systems that run many waiting tasks at once, and how each is started; their applications are in
``benches/rivals``.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from benches.harness.machine import REPOSITORY

BIN = REPOSITORY / ".venv-rivals" / "bin"
"""The environment that all of them run in, fastworker and Celery too, so that all have the same
HTTP client, event loop and Redis client.
"""
PROCESSES = 2
DISTRIBUTIONS = (
    *("arq", "saq", "streaq", "taskiq", "taskiq-redis", "dramatiq", "pgqueuer", "celery"),
    *("redis", "coredis", "asyncpg", "aiohttp", "urllib3", "gevent", "uvloop"),
)

# Starts the same command several times, and passes the request to stop on.
SEVERAL = """trap 'kill $pids' TERM
for copy in $(seq {copies}); do {command} & pids="$pids $!"; done
wait
wait"""


@dataclass(frozen=True)
class Rival:
    """One system, as its documents advise to run it.

    Attributes:
        name: Key in samples and tables.
        module: Under ``benches.rivals``.
        command: The command line after the interpreter's folder; ``{n}`` is ``concurrency``.
        concurrency: Tasks at once in one process (pgqueuer: fetched at once): enough that the
            processor is the limit, and no more, since more made most of them slower; by trial
            of 100 to 1,000.
        copies: How often the command is started, for those whose command is one process.
        copies_messages: The load is copies of one published message (kombu's layout).
        needs_postgres: The broker is PostgreSQL, not Redis.
        acks_late: Acknowledge after the run.
    """

    name: str
    module: str
    command: str
    concurrency: int
    copies: int = 1
    copies_messages: bool = False
    needs_postgres: bool = False
    acks_late: bool = True

    @property
    def guarantee(self) -> str:
        """What the acknowledgement promises."""
        return "at least once" if self.acks_late else "at most once"

    def worker_command(self, concurrency: int) -> list[str]:
        """The command line of the worker, or of a shell that starts it several times."""
        words = shlex.split(self.command.format(n=concurrency, processes=PROCESSES))
        words[0] = str(BIN / words[0])
        if self.copies == 1:
            return words
        script = SEVERAL.format(copies=self.copies, command=shlex.join(words))
        return ["sh", "-c", script]


FASTWORKER_ASYNCIO = Rival(
    "fastworker",
    "fastworker_app",
    "python -m fastworker -A benches.rivals.fastworker_app worker -P asyncio "
    "--processes {processes} --concurrency {n} --loglevel WARNING",
    concurrency=1_000,
    copies_messages=True,
)
_CELERY = (
    "python -m celery -A benches.rivals.celery_app worker --loglevel WARNING --concurrency {n} "
    "--without-gossip --without-mingle --without-heartbeat -O fair"
)
CELERY_GEVENT = Rival(
    "celery-gevent",
    "celery_app",
    _CELERY + " --pool gevent",
    concurrency=1_000,
    copies=PROCESSES,
    copies_messages=True,
    acks_late=False,
)
CELERY_THREADS = Rival(
    "celery-threads",
    "celery_app",
    _CELERY + " --pool threads",
    concurrency=200,
    copies=PROCESSES,
    copies_messages=True,
    acks_late=False,
)
CELERY = (CELERY_GEVENT, CELERY_THREADS)
RIVALS = (
    Rival(
        "dramatiq",
        "dramatiq_app",
        "dramatiq-gevent benches.rivals.dramatiq_app --processes {processes} --threads {n} "
        "--skip-logging",
        concurrency=500,
    ),
    Rival(
        "taskiq",
        "taskiq_app",
        "taskiq worker benches.rivals.taskiq_app:broker --workers {processes} "
        "--max-async-tasks {n} --max-prefetch {n} --no-parse --log-level WARNING",
        concurrency=500,
        acks_late=False,
    ),
    Rival(
        "arq",
        "arq_app",
        "arq benches.rivals.arq_app.WorkerSettings",
        concurrency=300,
        copies=PROCESSES,
    ),
    Rival(
        "saq",
        "saq_app",
        "saq benches.rivals.saq_app.settings",
        concurrency=300,
        copies=PROCESSES,
    ),
    Rival(
        "streaq",
        "streaq_app",
        "streaq run benches.rivals.streaq_app:worker",
        concurrency=500,
        copies=PROCESSES,
    ),
    Rival(
        "pgqueuer",
        "pgqueuer_app",
        "python -m benches.rivals.pgqueuer_app",
        concurrency=1_000,
        copies=PROCESSES,
        needs_postgres=True,
    ),
)


def require_environment() -> None:
    """Raises SystemExit when the environment is not there."""
    if not (BIN / "python").exists():
        raise SystemExit("benches: the peers are not installed; try `make rivals`")
