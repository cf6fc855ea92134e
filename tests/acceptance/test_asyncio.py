"""Programs with an event loop: many coroutines publish and await results, and the loop goes on meanwhile."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from fastworker import chain
from fastworker.errors import TimeoutError
from tests.support.apps import Boom
from tests.support.gate import Gate
from tests.support.rig import PRODUCT, Rig

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="Celery has none of it")
TIMEOUT_S = 60


@pytest.mark.shows("verb adelay", "verb aapply_async", "verb aget")
def test_many_calls_are_awaited_at_once(running: Rig) -> None:
    add = running.task("add")

    async def one(number: int) -> Any:
        result = await (add.adelay(number, 1) if number % 2 else add.aapply_async((number, 1)))
        return await result.aget(timeout=TIMEOUT_S)

    async def main() -> tuple[list[Any], set[str]]:
        values = await asyncio.gather(*map(one, range(500)))
        return values, {t.name for t in threading.enumerate() if t.name.startswith("fastworker")}

    values, threads = asyncio.run(main())
    assert values == [number + 1 for number in range(500)]
    assert threads <= {"fastworker-publish", "fastworker-results"}


def test_loop_goes_on_while_a_result_is_awaited(rig: Rig, gate: Gate) -> None:
    rig.worker()

    async def main() -> Any:
        result = await rig.task("hold").adelay(gate.path)
        awaited = asyncio.ensure_future(result.aget(timeout=TIMEOUT_S))
        with pytest.raises(TimeoutError):
            await result.aget(timeout=0.05)
        assert not awaited.done()
        gate.release()
        return await awaited

    assert isinstance(asyncio.run(main()), int)


def test_failure_is_raised_or_given(running: Rig) -> None:
    async def main() -> Any:
        result = await running.task("fail").adelay("broken")
        with pytest.raises(Boom, match="broken"):
            await result.aget(timeout=TIMEOUT_S)
        return await result.aget(propagate=False)

    assert isinstance(asyncio.run(main()), Boom)


def test_failure_of_an_earlier_step_ends_the_wait(running: Rig) -> None:
    async def main() -> None:
        last = chain(running.task("fail").si("early"), running.task("add").si(1, 2)).apply_async()
        with pytest.raises(Boom, match="early"):
            await last.aget(timeout=TIMEOUT_S)

    asyncio.run(main())
