"""Tasks for chords: bodies, error callbacks, and members that end in every way."""

from __future__ import annotations

import functools
import json
import os
import signal
from typing import Any

from tests.support.gate import append_line


def register(app: Any, exceptions: Any) -> None:
    """Give them to ``app``; ``exceptions`` is its framework's module."""
    task = functools.partial(app.task, shared=False)

    @task(name="proj.total")
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    @task(name="proj.sorted_out")
    def sorted_out(values: list[Any], path: str | None = None) -> dict[str, Any]:
        """What a body sees of members that failed: they are told by their class."""
        failures = [value for value in values if type(value).__name__ == "MemberFailure"]
        if path is not None:
            append_line(path, str(len(values)))
        return {
            "returned": [value for value in values if value not in failures],
            "failed": [[one.task_id, one.state, repr(one.error)] for one in failures],
            "places": [values.index(one) for one in failures],
        }

    @task(name="proj.joined_text")
    def joined_text(texts: list[str]) -> str:
        """Associative, and not commutative."""
        return "".join(texts)

    @task(name="proj.length_at_second", bind=True, max_retries=1)
    def length_at_second(self: Any, values: list[Any], path: str) -> int:
        """Notes how large its message was, and wants another."""
        append_line(
            path, str(len(json.dumps(self.request.argsrepr)) + len(repr(self.request.args)))
        )
        if self.request.retries == 0:
            raise self.retry(countdown=0)
        return len(values)

    @task(name="proj.size_of_rest", bind=True)
    def size_of_rest(self: Any, sizes: list[int]) -> list[int]:
        """How much its message says of the steps after it, behind what the steps before say."""
        return [*sizes, len(repr(self.request.chain))]

    @task(name="proj.total_noted")
    def total_noted(numbers: list[int], path: str) -> int:
        append_line(path, str(len(numbers)))
        return sum(numbers)

    @task(name="proj.length_of")
    def length_of(values: list[Any]) -> int:
        return len(values)

    @task(name="proj.listed", bind=True)
    def listed(self: Any, values: list[Any], path: str | None = None) -> list[Any]:
        if path is not None:
            append_line(path, self.request.id)
        return values

    @task(name="proj.note_error")
    def note_error(task_id: str, path: str) -> None:
        append_line(path, task_id)

    @task(name="proj.note_error_here")
    def note_error_here(request: Any, exc: Exception, traceback: Any, path: str) -> None:
        append_line(path, f"{request.id} {exc}")

    @task(name="proj.ignore_me")
    def ignore_me() -> None:
        raise exceptions.Ignore("not today")

    @task(name="proj.add_unkept", ignore_result=True)
    def add_unkept(x: int, y: int) -> int:
        return x + y

    @task(name="proj.add_early", acks_late=False)
    def add_early(x: int, y: int) -> int:
        return x + y

    @task(name="proj.replaced_by_sum", bind=True)
    def replaced_by_sum(self: Any, x: int) -> None:
        raise self.replace(app.tasks["proj.add"].s(x, 1))

    @task(name="proj.run_over", time_limit=1)
    def run_over() -> None:
        while True:
            signal.pause()

    @task(name="proj.grow_chord", bind=True)
    def grow_chord(self: Any, x: int) -> int:
        self.add_to_chord(app.tasks["proj.add"].s(x, x))
        return x

    @task(name="proj.die_once", bind=True)
    def die_once(self: Any, path: str) -> int:
        """Kills its process the first time that it runs."""
        append_line(path, self.request.id)
        with open(path, encoding="utf-8") as lines:
            if len(lines.readlines()) == 1:
                os.kill(os.getpid(), 9)
        return 1
