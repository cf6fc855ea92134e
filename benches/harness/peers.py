"""The environment of the benches that need gevent, aiohttp or other task queues, fastworker and Celery too, so that
all have the same HTTP client, event loop and Redis client (``make rivals``).
"""

from __future__ import annotations

from benches.harness.machine import REPOSITORY
from fastworker.bench.rivals.environments import GivenEnvironment

ENVIRONMENT = GivenEnvironment(REPOSITORY / ".venv-rivals", (REPOSITORY, REPOSITORY / "python"))
BIN = ENVIRONMENT.folder / "bin"


def require_environment() -> None:
    """Raises SystemExit when the environment is not there."""
    if not (BIN / "python").exists():
        raise SystemExit("benches: the peers are not installed; try `make rivals`")
