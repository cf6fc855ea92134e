"""Random workflows that fail, retry, replace themselves and have callbacks: made, told, and made smaller."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from tests.support.flow_tasks import REPLACEMENTS


@dataclass(frozen=True)
class Flow:
    """A node of a workflow.

    Attributes:
        kind: ``step``, ``fail``, ``flaky``, ``exhausted``, ``unkept``, ``swap``, ``adder``; ``map``, ``starmap``,
            ``chunks`` of calls of a task; or ``chain``, ``bars``, ``group``, ``chord``, of ``parts``. The last part of
            a chord is its body.
        parts: What it is made of.
        by: What a ``swap`` is replaced by.
        immutable: Takes no result.
        links: Of ``link``, ``told`` and ``heard``: which callbacks it has.
        is_late: Has a countdown.
    """

    kind: str
    parts: tuple[Flow, ...] = ()
    by: str = ""
    immutable: bool = False
    links: tuple[str, ...] = ()
    is_late: bool = False

    def __str__(self) -> str:
        inner = self.by or ", ".join(map(str, self.parts))
        flags = "".join(f"+{link}" for link in self.links) + ("!" if self.immutable else "")
        flags += "~" if self.is_late else ""
        return f"{self.kind}{flags}" + (f"({inner})" if inner or self.is_whole else "")

    @property
    def is_whole(self) -> bool:
        """Whether it is made of others."""
        return self.kind in ("chain", "bars", "group", "chord")

    def any(self, condition: Any) -> bool:
        """Whether ``condition`` holds for it or a node in it."""
        return condition(self) or any(part.any(condition) for part in self.parts)


#: How often the kinds of tasks come.
_TASKS = {"step": 14, "fail": 1, "flaky": 2, "exhausted": 0.5, "unkept": 1, "swap": 2}
#: How often one of them takes the place of a step.
_INSTEAD = {"step": 30, "map": 1, "starmap": 1, "chunks": 1, "adder": 1}
#: Seconds of those that have a countdown.
_COUNTDOWN_S = 0.2


def random_flow(seed: int) -> Flow:
    """Workflow number ``seed``."""
    random = Random(seed)
    whole = _any(random, random.choice((1, 2, 2, 3)))
    joined = [_any(random, 1) for _ in range(random.choice((0, 0, 1, 2)))]
    flow = Flow("bars", (whole, *joined)) if joined else whole
    return _varied(flow, random, iter(("adder",)))


def _varied(flow: Flow, random: Random, adders: Iterator[str]) -> Flow:
    """The same with rarer tasks in the place of some steps; of two that add to a chord, which comes first is chance."""
    if flow.is_whole:
        return replace(flow, parts=tuple(_varied(part, random, adders) for part in flow.parts))
    if flow.kind != "step":
        return flow
    kind = random.choices(list(_INSTEAD), list(_INSTEAD.values()))[0]
    if kind == "adder":
        kind = next(adders, "step")
    if kind in ("map", "starmap", "chunks"):
        return replace(flow, kind=kind, immutable=True, links=())
    return replace(flow, kind=kind, is_late=random.random() < 0.03)


def _any(random: Random, depth: int) -> Flow:
    kinds = {"task": 2, "chain": 3, "bars": 1, "group": 3, "chord": 3}
    kind = random.choices(list(kinds), list(kinds.values()))[0] if depth else "task"
    links = [name for name in ("told", "heard") if random.random() < 0.08]
    if kind != "group" and random.random() < 0.08:
        links.append("link")
    if kind == "task":
        kind = random.choices(list(_TASKS), list(_TASKS.values()))[0]
        by = random.choice(REPLACEMENTS) if kind == "swap" else ""
        return Flow(kind, (), by, random.random() < 0.15, tuple(links))
    least = 0 if kind == "group" and random.random() < 0.3 else 1
    size = random.choice((least, 2, 2, 3))
    parts = [_any(random, random.randint(0, depth - 1)) for _ in range(size)]
    if kind == "chord":
        body = _any(random, random.randint(0, depth - 1))
        # A chord without a body never comes to what is behind it, in Celery either.
        has_body = bool(body.parts) or not body.is_whole
        parts.append(body if has_body else Flow("step"))
    return Flow(kind, tuple(parts), links=tuple(links))


def build(flow: Flow, canvas: Any, app: Any, key: str) -> Any:
    """The signature of a workflow, whose tasks note their calls under ``key`` and a number."""
    numbers = iter(range(10_000))

    def task(name: str, **more: Any) -> Any:
        return app.tasks[f"flow.{name}"].s(key=f"{key}/{next(numbers)}", **more)

    def made(node: Flow) -> Any:
        if node.is_whole:
            parts = [made(part) for part in node.parts]
            sig = _whole(node.kind, parts, canvas, app)
        elif node.kind in ("map", "starmap", "chunks"):
            sig = _many(node.kind, app.tasks["flow.mapped"], f"{key}/{next(numbers)}")
        else:
            sig = task(node.kind, **({"by": node.by} if node.by else {}))
        if node.immutable:
            sig.set_immutable(True)
        if node.is_late:
            sig.set(countdown=_COUNTDOWN_S)
        for link in node.links:
            if link == "link":
                sig.link(task("step"))
            else:
                sig.link_error(task(link))
        return sig

    return made(flow)


def _whole(kind: str, parts: list[Any], canvas: Any, app: Any) -> Any:
    if kind == "chain":
        return canvas.chain(*parts) if len(parts) > 1 else canvas.chain(parts)
    if kind == "group":
        # One without members would publish with the current application, and so would what begins with it.
        return canvas.group(parts, app=app)
    if kind == "chord":
        return canvas.chord(parts[:-1], parts[-1])
    whole = parts[0]
    for part in parts[1:]:
        whole = whole | part
    return whole


def _many(kind: str, task: Any, key: str) -> Any:
    if kind == "map":
        return task.map([f"{key}.{number}" for number in range(3)])
    calls = [(key, number) for number in range(3)]
    return task.starmap(calls) if kind == "starmap" else task.chunks(calls, 2).group()


def smaller(flow: Flow) -> Iterator[Flow]:
    """What is left of a workflow without one of its nodes, callbacks or ways to end."""
    if flow.is_whole:
        yield from flow.parts
    for link in flow.links:
        yield replace(flow, links=tuple(each for each in flow.links if each != link))
    if flow.immutable and flow.kind not in ("map", "starmap", "chunks"):
        yield replace(flow, immutable=False)
    if flow.is_late:
        yield replace(flow, is_late=False)
    if not flow.is_whole and flow.kind != "step":
        yield replace(flow, kind="step", by="")
    if flow.kind == "bars":
        yield replace(flow, kind="chain")
    for at, part in enumerate(flow.parts):
        if len(flow.parts) > (2 if flow.kind == "chord" else 1):
            yield replace(flow, parts=flow.parts[:at] + flow.parts[at + 1 :])
        for less in smaller(part):
            yield replace(flow, parts=(*flow.parts[:at], less, *flow.parts[at + 1 :]))
