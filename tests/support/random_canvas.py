"""Random workflows, to be made of Celery's canvas and of ours: chains, groups and chords in each other, any of them
empty, with callbacks, options and signatures that take no result.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

Maker = Callable[[Any, Any], Any]


def workflow(seed: int) -> Maker:
    """What makes workflow number ``seed`` of a canvas module and an application of ``canvas_forms.define``.

    Every task takes one value, or none if it is immutable, so that a workflow can be run.
    """
    random = Random(seed)
    made = _any(random, depth=random.choice((1, 2, 2, 3)))
    joins = [_any(random, depth=1) for _ in range(random.choice((0, 0, 1, 2)))]

    def make(m: Any, a: Any) -> Any:
        whole = made(m, a)
        for join in joins:
            whole = whole | join(m, a)
        return whole

    return make


def _any(random: Random, depth: int) -> Maker:
    if depth == 0:
        return _task(random)
    kinds = {"task": 2, "chain": 3, "group": 3, "chord": 3}
    kind = random.choices(list(kinds), list(kinds.values()))[0]
    return {"task": _task, "chain": _chain, "group": _group, "chord": _chord}[kind](
        *((random,) if kind == "task" else (random, depth - 1))
    )


def _task(random: Random, *_: Any) -> Maker:
    number, is_immutable = random.randrange(100), random.random() < 0.2
    queue = random.choice((None, None, None, "far"))
    link = random.random() < 0.1

    def make(m: Any, a: Any) -> Any:
        sig = a.tell.si(None, number) if is_immutable else a.tell.s(number)
        if queue:
            sig.set(queue=queue)
        if link:
            sig.link(a.tell.s(-1))
        return sig

    return make


def _parts(random: Random, depth: int) -> list[Maker]:
    return [_any(random, random.randint(0, depth)) for _ in range(random.choice((0, 1, 2, 2, 3)))]


def _chain(random: Random, depth: int) -> Maker:
    parts = _parts(random, depth) or [_task(random)]
    by_bars = random.random() < 0.3

    def make(m: Any, a: Any) -> Any:
        steps = [part(m, a) for part in parts]
        if not by_bars:
            return m.chain(*steps) if len(steps) > 1 else m.chain(steps)
        whole = steps[0]
        for step in steps[1:]:
            whole = whole | step
        return whole

    return make


def _group(random: Random, depth: int) -> Maker:
    # Celery gives members of a group in a stream the indexes of others; here each has its own.
    from_generator = random.random() < 0.2
    parts = [_task(random) for _ in range(3)] if from_generator else _parts(random, depth)

    def make(m: Any, a: Any) -> Any:
        members = [part(m, a) for part in parts]
        return m.group(iter(members) if from_generator else members)

    return make


def _chord(random: Random, depth: int) -> Maker:
    parts, body = _parts(random, depth) or [_task(random)], _any(random, depth)

    def make(m: Any, a: Any) -> Any:
        return m.chord([part(m, a) for part in parts], body(m, a))

    return make
