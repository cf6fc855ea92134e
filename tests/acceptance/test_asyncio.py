"""Programs with an event loop: many coroutines publish and await results, and the loop goes on meanwhile."""

from __future__ import annotations

import asyncio
import re
import sys
import threading
import types
from typing import Any

import httpx
import pytest

from fastworker import chain
from fastworker.errors import TimeoutError
from tests.support.apps import Boom
from tests.support.gate import Gate
from tests.support.rig import PRODUCT, Rig
from tests.support.workers import ROOT

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


def test_cancelled_wait_leaves_task_and_loop_alone(rig: Rig, gate: Gate) -> None:
    rig.worker()

    async def main() -> tuple[Any, Any]:
        result = await rig.task("hold").adelay(gate.path)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(result.aget(), 0.05)
        waiting = [asyncio.create_task(result.aget(timeout=TIMEOUT_S)) for _ in range(3)]
        await asyncio.to_thread(gate.wait_started)
        waiting[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting[0]
        gate.release()
        # The others of the same task still get it, and one that asks again.
        return await asyncio.gather(*waiting[1:]), await result.aget(timeout=TIMEOUT_S)

    (first, second), again = asyncio.run(main())
    assert first == second == again == gate.starts[0]


def test_example_of_the_guide_serves_many_requests_at_once(
    running: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "docs" / "guides" / "asyncio.md").read_text()
    [example] = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    tasks = types.ModuleType("tasks")
    tasks.add = running.task("add")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tasks", tasks)
    names: dict[str, Any] = {}
    exec(compile(example, "docs/guides/asyncio.md", "exec"), names)

    async def main() -> list[Any]:
        transport = httpx.ASGITransport(app=names["api"])
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            asked = [client.get("/sum", params={"x": x, "y": 1}) for x in range(100)]
            return [answer.json() for answer in await asyncio.gather(*asked)]

    assert asyncio.run(main()) == [{"sum": x + 1} for x in range(100)]
