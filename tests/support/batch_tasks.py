"""Batch tasks that every pool has to run, most of them twice: as a plain function (``batch.<name>``) and as a coroutine
(``abatch.<name>``).
"""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import threading
import time
from typing import Any

from tests.support.gate import append_line, hold


def _end_each(requests: list[Any]) -> None:
    """Do with each call what its first argument says."""
    from fastworker.exceptions import Reject

    for request in requests:
        match request.args[0]:
            case "succeed":
                request.succeed([request.id, request.name])
            case "fail":
                request.fail(ValueError("this one alone"))
            case "retry":
                request.retry(countdown=0) if request.retries == 0 else request.succeed("retried")
            case "give up":
                request.retry(countdown=0, max_retries=1)
            case "reject":
                request.fail(Reject("not wanted"))
            case "requeue":
                if request.delivery_info["redelivered"]:
                    request.succeed("requeued")
                else:
                    request.fail(Reject(requeue=True))


def _mark(app: Any, requests: list[Any]) -> None:
    """As code for celery-batches tells results."""
    for request in requests:
        if request.kwargs.get("fails"):
            app.backend.mark_as_failure(request.id, KeyError("marked"), request=request)
        elif request.kwargs.get("bare"):
            app.backend.mark_as_done(request.id, "marked by id")
        else:
            app.backend.mark_as_done(request.id, "marked", request=request)


def register(app: Any) -> None:
    """Add them to an application of fastworker."""
    from fastworker.exceptions import SoftTimeLimitExceeded

    batch = functools.partial(app.task, shared=False, batch=10, batch_timeout=0.5)

    class Telling(app.Task):  # type: ignore[misc]
        """Publishes a line for each handler; the first argument of its tasks is the file, the second what it says."""

        abstract = True

        def _tell(self, handler: str, args: Any) -> None:
            app.tasks["proj.record"].delay(args[0], f"{handler} {args[1]}")

        def before_start(self, task_id: Any, args: Any, kwargs: Any) -> None:
            self._tell("before_start", args)

        def on_success(self, retval: Any, task_id: Any, args: Any, kwargs: Any) -> None:
            self._tell("on_success", args)

        def on_failure(self, exc: Any, task_id: Any, args: Any, kwargs: Any, einfo: Any) -> None:
            self._tell("on_failure", args)

        def on_retry(self, exc: Any, task_id: Any, args: Any, kwargs: Any, einfo: Any) -> None:
            self._tell("on_retry", args)

        def after_return(
            self, status: Any, retval: Any, task_id: Any, args: Any, kwargs: Any, einfo: Any
        ) -> None:
            self._tell("after_return", args)

    def _end_three(requests: list[Any]) -> None:
        for request in requests:
            if request.args[1] == "succeed":
                request.succeed()
            elif request.args[1] == "fail":
                request.fail(ValueError("this one alone"))
            elif request.args[1] == "retry" and request.retries == 0:
                request.retry(countdown=0)

    @batch(name="batch.tell", base=Telling)
    def tell(requests: list[Any]) -> None:
        _end_three(requests)

    @batch(name="abatch.tell", base=Telling)
    async def atell(requests: list[Any]) -> None:
        await asyncio.sleep(0.001)
        _end_three(requests)

    @batch(name="batch.late_state", bind=True)
    def late_state(self: Any, requests: list[Any]) -> None:
        for request in requests:
            request.succeed("done")
            self.update_state(task_id=request.id, state="LATE", meta={})

    @batch(name="batch.sum_up")
    def sum_up(requests: list[Any]) -> None:
        """Once all its calls have ended, publishes a line, and kills its supervisor, which had no time to see it."""
        path, supervisor = requests[0].args
        for request in requests:
            request.succeed()
        while any(app.AsyncResult(request.id).state != "SUCCESS" for request in requests):
            time.sleep(0.01)
        os.kill(supervisor, signal.SIGSTOP)
        try:
            app.tasks["proj.record"].delay(path, f"summary of {len(requests)}")
        finally:
            os.kill(supervisor, signal.SIGKILL)

    @batch(name="batch.from_thread")
    def from_thread(requests: list[Any]) -> None:
        def succeed() -> None:
            for request in requests:
                request.succeed(request.id)

        thread = threading.Thread(target=succeed)
        thread.start()
        thread.join()

    @batch(name="batch.double")
    def double(requests: list[Any]) -> list[Any]:
        return [[request.args[0] * 2, len(requests)] for request in requests]

    @batch(name="abatch.double")
    async def adouble(requests: list[Any]) -> list[Any]:
        await asyncio.sleep(0.001)
        return [[request.args[0] * 2, len(requests)] for request in requests]

    @batch(name="batch.each")
    def each(requests: list[Any]) -> None:
        _end_each(requests)

    @batch(name="abatch.each")
    async def aeach(requests: list[Any]) -> None:
        await asyncio.sleep(0.001)
        _end_each(requests)

    @batch(name="batch.mark")
    def mark(requests: list[Any]) -> None:
        _mark(app, requests)

    @batch(name="abatch.mark")
    async def amark(requests: list[Any]) -> None:
        _mark(app, requests)

    @batch(name="batch.fail")
    def fail(requests: list[Any]) -> None:
        requests[0].succeed("in time")
        raise ValueError("all the others")

    @batch(name="abatch.fail")
    async def afail(requests: list[Any]) -> None:
        requests[0].succeed("in time")
        await asyncio.sleep(0.001)
        raise ValueError("all the others")

    @batch(name="batch.again", bind=True)
    def again(self: Any, requests: list[Any]) -> list[int]:
        if min(request.retries for request in requests) == 0:
            raise self.retry(countdown=0)
        return [request.retries for request in requests]

    @batch(name="abatch.again", autoretry_for=(KeyError,), retry_kwargs={"countdown": 0})
    async def aagain(requests: list[Any]) -> list[int]:
        if min(request.retries for request in requests) == 0:
            raise KeyError("not yet")
        return [request.retries for request in requests]

    @batch(name="batch.soft", soft_time_limit=0.3)
    def soft(requests: list[Any]) -> str | list[str]:
        requests[0].succeed("before the limit")
        try:
            while True:
                time.sleep(0.01)
        except SoftTimeLimitExceeded:
            return ["cleaned up" for _ in requests]

    @batch(name="abatch.soft", soft_time_limit=0.3)
    async def asoft(requests: list[Any]) -> list[str]:
        requests[0].succeed("before the limit")
        try:
            await asyncio.sleep(60)
        except SoftTimeLimitExceeded:
            return ["cleaned up" for _ in requests]
        return []

    @batch(name="batch.hard", time_limit=0.5)
    def hard(requests: list[Any]) -> None:
        requests[0].succeed("before the limit")
        while True:
            time.sleep(0.01)

    @batch(name="abatch.hard", time_limit=0.5)
    async def ahard(requests: list[Any]) -> None:
        requests[0].succeed("before the limit")
        await asyncio.sleep(60)

    @batch(name="batch.publish", bind=True)
    def publish(self: Any, requests: list[Any]) -> list[Any]:
        children = [app.tasks["pool.who"].delay() for _ in requests]
        return [[child.id, self.request.id] for child in children]

    @batch(name="batch.lengths", batch_timeout=600)
    def lengths(requests: list[Any]) -> list[list[int]]:
        return [[len(request.args[0]), len(requests)] for request in requests]

    @batch(name="batch.publish_to")
    def publish_to(requests: list[Any]) -> None:
        requests[0].succeed("ended before")
        app.tasks["pool.who"].apply_async(queue=requests[0].args[0])
        requests[1].succeed("ended after")

    @batch(name="batch.patient", batch_timeout=600)
    def patient(requests: list[Any]) -> list[int]:
        return [len(requests)] * len(requests)

    @batch(name="batch.nothing")
    def nothing(requests: list[Any]) -> None:
        return None

    @batch(name="batch.wrong")
    def wrong(requests: list[Any]) -> int:
        return len(requests)

    @batch(name="batch.early", acks_late=False)
    def early(requests: list[Any]) -> list[int]:
        return [len(requests) for _ in requests]

    @batch(name="batch.die")
    def die(requests: list[Any]) -> list[int]:
        for request in requests:
            what, path = request.args
            append_line(path, f"{what} {os.getpid()} {len(requests)}")
            if what == "early":
                request.succeed("before it died")
        if any(request.args[0] == "poison" for request in requests):
            os.kill(os.getpid(), signal.SIGKILL)
        return [len(requests) for _ in requests]

    @batch(name="batch.hold")
    def held(requests: list[Any]) -> list[int]:
        hold(requests[0].args[0])
        return [len(requests) for _ in requests]

    @batch(name="abatch.hold")
    async def aheld(requests: list[Any]) -> list[int]:
        append_line(requests[0].args[0] + ".starts", str(os.getpid()))
        while not os.path.exists(requests[0].args[0] + ".open"):
            await asyncio.sleep(0.01)
        return [len(requests) for _ in requests]
