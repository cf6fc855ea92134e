"""fastworker with its asyncio pool, two processes: the application of the other scenarios, with these
tasks.
"""

from __future__ import annotations

from benches.apps.fastworker_app import app
from benches.rivals import coroutines

tasks = {
    "nap": app.task(name="bench.nap")(coroutines.nap),
    "page": app.task(name="bench.page")(coroutines.page),
}


def publish(task: str, argument: object, count: int) -> None:
    """``delay`` in a loop; the harness asks for one, and copies it."""
    for _ in range(count):
        tasks[task].delay(argument)
