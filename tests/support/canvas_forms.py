"""Workflows of every form, to be made of Celery's canvas and of ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def define(app_class: Any, url: str) -> Any:
    """An application with the tasks that the forms are made of, as attributes ``add`` and so on."""
    app = app_class("forms", broker=url, backend=url, set_as_current=False)

    def task(name: str, function: Any) -> None:
        function.__name__ = name
        made = app.task(function, name=f"forms.{name}", shared=False, typing=False)
        setattr(app, name, made)

    def add(x: int, y: int) -> int:
        return x + y

    def mul(x: int, y: int) -> int:
        return x * y

    def total(numbers: list[int]) -> int:
        return sum(numbers)

    def same(value: Any) -> Any:
        return value

    def tell(value: Any, number: int = 0) -> Any:
        return [number, value]

    def failed(task_id: str) -> None:
        """An errback."""

    for name, function in (
        ("add", add),
        ("mul", mul),
        ("total", total),
        ("same", same),
        ("failed", failed),
        ("tell", tell),
    ):
        task(name, function)
    return app


def _nested_headers(m: Any, a: Any) -> Any:
    inner = a.add.s(1, 1)
    for i in range(5):
        inner = m.chord([inner, a.add.s(i, i)], a.total.s())
    return inner


def _nested_bodies(m: Any, a: Any) -> Any:
    inner = a.total.s()
    for i in range(5):
        inner = m.chord([a.add.s(i), a.add.s(i)], inner)
    return m.chord([a.add.s(1, 1), a.add.s(2, 2)], inner)


def _linked(sig: Any, a: Any) -> Any:
    sig.link(a.mul.s(3))
    sig.link_error(a.failed.s())
    return sig


def _stamped(sig: Any) -> Any:
    sig.stamp(customer="blue")
    return sig


def _deep(m: Any, a: Any) -> Any:
    inner = m.chain(a.add.s(2), m.group(a.add.s(3), a.add.s(4)), a.total.s())
    return m.chain(a.add.s(1, 2), m.group(a.add.s(1), inner), a.total.s(), a.add.s(5))


def _two(a: Any) -> list[Any]:
    return [a.add.s(1, 2), a.add.s(3, 4)]


Form = Callable[[Any, Any], Any]

#: By name: what makes the form of a canvas module and an application.
FORMS: dict[str, Form] = {
    "one task": lambda m, a: a.add.s(1, 2),
    "task | task": lambda m, a: a.add.s(1, 2) | a.add.s(3),
    "chain": lambda m, a: m.chain(a.add.s(1, 2), a.add.s(3), a.mul.s(4)),
    "chain of one": lambda m, a: m.chain(a.add.s(1, 2)),
    "chain in chain": lambda m, a: m.chain(
        a.add.s(1, 2), m.chain(a.add.s(3), a.add.s(4)), a.mul.s(5)
    ),
    "chain, immutable in the middle": lambda m, a: m.chain(
        a.add.s(1, 2), a.add.si(5, 6), a.mul.s(2)
    ),
    "chain with options": lambda m, a: m.chain(
        a.add.s(1, 2).set(queue="q1"), a.add.s(3).set(priority=3, countdown=10)
    ),
    "chain with links": lambda m, a: _linked(m.chain(a.add.s(1, 2), a.add.s(3)), a),
    "task with links | task": lambda m, a: _linked(a.add.s(1, 2), a) | a.add.s(4),
    "chain with an empty group in it": lambda m, a: m.chain(a.add.s(1, 2), m.group(), a.add.s(3)),
    "chain behind an empty group": lambda m, a: m.chain(m.group(), a.add.s(1, 3)),
    "group": lambda m, a: m.group(*_two(a)),
    "group of a generator": lambda m, a: m.group(a.add.s(i, i) for i in range(3)),
    "group of one": lambda m, a: m.group(a.add.s(1, 2)),
    "empty group": lambda m, a: m.group(),
    "group in group": lambda m, a: m.group(a.add.s(1, 2), m.group(*_two(a)), a.add.s(7, 8)),
    "group with options": lambda m, a: m.group(*_two(a)).set(queue="qq", priority=5),
    "group of a chain that ends in a group": lambda m, a: m.group(
        m.chain(a.add.s(1, 2), m.group(a.add.s(3), a.add.s(4)))
    ),
    "group with an errback": lambda m, a: m.group(*_two(a)).on_error(a.failed.s()),
    "skewed group": lambda m, a: m.group(a.add.s(i, i) for i in range(4)).skew(1, 3, 1),
    "group | task": lambda m, a: m.group(*_two(a)) | a.total.s(),
    "group of one | task": lambda m, a: m.group(a.add.s(1, 2)) | a.total.s(),
    "group | group": lambda m, a: m.group(*_two(a)) | m.group(a.total.s(), a.total.s()),
    "task | group": lambda m, a: a.add.s(1, 2) | m.group(a.add.s(1), a.add.s(2)),
    "task | group | task": lambda m, a: (
        a.add.s(1, 2) | m.group(a.add.s(1), a.add.s(2)) | a.total.s()
    ),
    "task | group | task | task": lambda m, a: (
        a.add.s(1, 2) | m.group(a.add.s(1), a.add.s(2)) | a.total.s() | a.add.s(9)
    ),
    "task | group | group | task": lambda m, a: (
        a.add.s(1, 2)
        | m.group(a.add.s(1), a.add.s(2))
        | m.group(a.total.s(), a.total.s())
        | a.total.s()
    ),
    "chain of groups": lambda m, a: m.chain(
        m.group(*_two(a)), m.group(a.total.s(), a.total.s()), a.total.s()
    ),
    "chord": lambda m, a: m.chord(_two(a), a.total.s()),
    "chord of a generator": lambda m, a: m.chord((a.add.s(i, i) for i in range(4)), a.total.s()),
    "chord, immutable body": lambda m, a: m.chord(_two(a), a.add.si(3, 4)),
    "chord without header": lambda m, a: m.chord([], a.total.s()),
    "chord with links": lambda m, a: _linked(m.chord(_two(a), a.total.s()), a),
    "chord with options": lambda m, a: m.chord(_two(a), a.total.s()).set(queue="qq", countdown=30),
    "chord | task": lambda m, a: m.chord(_two(a), a.total.s()) | a.add.s(5) | a.mul.s(2),
    "chord | chain": lambda m, a: m.chord(_two(a), a.total.s()) | m.chain(a.add.s(1), a.add.s(2)),
    "chord | chord": lambda m, a: (
        m.chord(_two(a), a.total.s()) | m.chord([a.add.s(1), a.add.s(2)], a.total.s())
    ),
    "chord | group": lambda m, a: m.chord(_two(a), a.total.s()) | m.group(a.add.s(1), a.add.s(2)),
    "chord | group of one": lambda m, a: m.chord(_two(a), a.total.s()) | m.group(a.add.s(1)),
    "chord with a chain as body": lambda m, a: m.chord(
        _two(a), m.chain(a.total.s(), a.add.s(1), a.mul.s(2))
    ),
    "chord with a group as body": lambda m, a: m.chord(_two(a), m.group(a.total.s(), a.total.s())),
    "chord in a header": lambda m, a: m.chord(
        [m.chord(_two(a), a.total.s()), a.add.s(5, 6)], a.total.s()
    ),
    "chains in a header": lambda m, a: m.chord(
        [m.chain(a.add.s(1, 2), a.add.s(3)), m.chain(a.add.s(4, 5), a.mul.s(2))], a.total.s()
    ),
    "group in a header": lambda m, a: m.chord([m.group(*_two(a)), a.add.s(5, 6)], a.total.s()),
    "chain that ends in a group, in a header": lambda m, a: m.chord(
        [m.chain(a.add.s(1, 2), m.group(a.add.s(3), a.add.s(4))), a.add.s(5, 6)], a.same.s()
    ),
    "chords in headers": _nested_headers,
    "chords in bodies": _nested_bodies,
    "deep": _deep,
    "deep, travelled": lambda m, a: m.signature(json.loads(json.dumps(_deep(m, a))), app=a),
    "map": lambda m, a: a.add.map([1, 2, 3]),
    "starmap": lambda m, a: a.add.starmap([(1, 2), (3, 4)]),
    "chunks": lambda m, a: a.add.chunks([(i, i) for i in range(5)], 2),
    "chunks | task": lambda m, a: a.add.chunks([(i, i) for i in range(5)], 2).group() | a.same.s(),
    "stamped": lambda m, a: _stamped(
        m.chain(a.add.s(1, 2), m.group(a.add.s(3), a.add.s(4)), a.total.s())
    ),
}
