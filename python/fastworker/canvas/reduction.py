"""``chord(header, reducer, reduce=K)``: the results of any number of members, folded K at a time.

The members are cut into blocks of K, in the order of the header. Each block is a chord of its own whose body is the
reducer; its return is a member of a block of the next level, and so on, until one value is left::

    members    0 … K-1    K … 2K-1    2K …          level 0: block 0, 1, 2 …
                  │           │         │
    reducer    ───┴───────────┴─────────┴── … ──    level 1: block 0 …
                              │
    reducer                   …                     until a level has one member: the result

So no message, and no join, holds more than K results, and the reducer has to be associative, not commutative. What is
to be known of a block (its size) is said before its last member is published; how many levels there are, at the end. A
block is joined exactly once, as every chord is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fastworker import _core
from fastworker.canvas.calls import Calls, Member, StoreStep, Stream, calls_of
from fastworker.canvas.copying import plain
from fastworker.canvas.kinds import is_chain, make
from fastworker.canvas.lazy import LazyList, is_pending
from fastworker.canvas.linking import size_of
from fastworker.canvas.signature import Signature, maybe_signature
from fastworker.serialize.exclusive import Exclusive, register

#: The option of a reducer on its way, as the body of a block.
OPTION = "fold"
#: Of the body's options, those that say what follows the last value, and which task it is: not those of each fold.
_FINAL_OPTIONS = frozenset(
    {
        "chain",
        "chord",
        "group_id",
        "group_index",
        "link",
        "link_error",
        "parent_id",
        "reply_to",
        "root_id",
        "stamped_headers",
        "task_id",
    }
)
#: Options of a member that leave it the short cut of publishing.
_FROZEN = frozenset({"chord", "group_id", "group_index", "reply_to", "root_id", "task_id"})
_SHORT_CUT = frozenset({"parent_id", "root_id"})


@dataclass(frozen=True)
class Fold(Exclusive):
    """Which block a reducer is the body of.

    Attributes:
        id: Of the whole.
        level: 0 for members, 1 for what their blocks returned.
        block: Number of the block in its level.
        every: How many a block holds.
        final: The signature that the last value goes to, as plain data.
    """

    id: str
    level: int
    block: int
    every: int
    final: dict[str, Any]

    @property
    def group_id(self) -> str:
        """The block as a group."""
        return group_of(self.id, self.level, self.block)

    @property
    def above(self) -> Fold:
        """The block that this one's value is a member of."""
        return replace(self, level=self.level + 1, block=self.block // self.every)

    @property
    def place_above(self) -> int:
        """Its place there."""
        return self.block % self.every

    def is_last(self, size: int) -> bool:
        """Whether the one member of a block of ``size`` is what is left of all."""
        return self.level > 0 and self.block == 0 and size == 1


register(Fold, vars, lambda fields: Fold(**fields))


def group_of(reduction_id: str, level: int, block: int) -> str:
    """The id of a block."""
    return f"{reduction_id}.{level}.{block}"


def checked(every: Any) -> int:
    """``every``.

    Raises:
        ValueError: It is not a whole number of at least 2.
    """
    if not isinstance(every, int) or isinstance(every, bool) or every < 2:
        raise ValueError(
            f"chord(reduce={every!r}): expected how many results are folded at a time, a whole number of at least 2; "
            "try 100"
        )
    return every


def final_of(body: Any) -> tuple[dict[str, Any], Any]:
    """The reducer as plain data, and what takes the body's place: it gets the last value, and has the body's id,
    callbacks and rest.

    Raises:
        ValueError: The body does not begin with a task.
    """
    first, *rest = body.unchain_tasks() if is_chain(body) else [body]
    if first.subtask_type is not None:
        raise ValueError(
            f"chord(reduce=…): its body begins with a {first.subtask_type}, expected the task that folds a list of "
            "results into one"
        )
    kept = {name: it for name, it in first.options.items() if name not in _FINAL_OPTIONS}
    names = set(first.options.get("stamped_headers") or ())
    reducer = Signature(first, app=first._app)
    reducer["options"] = {name: it for name, it in kept.items() if name not in names}
    last = Signature(
        "celery.accumulate",
        (),
        {"index": 0},
        {"route_name": first.task, **first.options},
        app=first._app,
    )
    own = {} if not is_chain(body) else {**body.options}
    for name in ("link", "link_error"):
        own.pop(name, None)  # unchaining has put them on the steps
    if not rest:
        last.options.update(own)
        return plain(reducer), last
    return plain(reducer), make("chain", [last, *rest], app=body._app, **own)


def body_of(reducer: Mapping[str, Any], fold: Fold) -> dict[str, Any]:
    """The body of a block."""
    return {**reducer, "options": {**reducer["options"], OPTION: fold}}


def calls(
    app: Any,
    members: Any,
    first: Fold,
    reducer: Mapping[str, Any],
    errors: Mapping[str, Any],
    args: Any,
    kwargs: Any,
    options: dict[str, Any],
    max_queue_length: int | None,
) -> Calls:
    """Those of all members; returns how many there were. Of a long stream nothing is kept.

    Args:
        app: Whose.
        members: The header; a stream is read as it is published.
        first: The first block.
        reducer: The body of each block, but for its place.
        errors: An option of the body of those of level 0.
        args: In front of the members' arguments.
        kwargs: More keywords for them.
        options: Of every member.
        max_queue_length: As for a group.

    Raises:
        ValueError: A member counts more than once, or not at all.
    """
    every, root_id = first.every, options.get("root_id")
    has_short_cut = options.keys() <= _SHORT_CUT
    if max_queue_length is not None or is_pending(members):
        yield Stream(max_queue_length)
    following = members.drain() if isinstance(members, LazyList) else iter(members)
    current = next(following, None)
    count = 0
    fold, body = first, {}
    while current is not None:
        sig = _single(maybe_signature(current, app=app), count)
        current = next(following, None)
        block, place = divmod(count, every)
        count += 1
        if place == 0:
            fold = replace(first, block=block)
            body = body_of({**reducer, "options": {**reducer["options"], **errors}}, fold)
            for level, number in begun_by(block, every):
                yield _sized(app, fold, level, number, every)
        if current is None:
            for level, number, size in ends(count, every):
                yield _sized(app, fold, level, number, size)
        if has_short_cut and type(sig) is Signature and sig["options"].keys() <= _FROZEN:
            ids = root_id or sig["options"].get("root_id"), options.get("parent_id")
            if (yield Member(sig, args, kwargs, fold.group_id, place, *ids, body)) is not None:
                continue
        sig = sig.clone()
        sig.freeze(group_id=fold.group_id, root_id=root_id, group_index=place)
        more = {"chord": body, "group_id": fold.group_id, "add_to_parent": False}
        yield from calls_of(sig, args, kwargs, {**options, **more})
    return count


def begun_by(block: int, every: int) -> Iterator[tuple[int, int]]:
    """Level and number of the blocks of which more than one member is known when ``block`` of level 0 begins: they are
    full, unless the end shows otherwise.
    """
    yield 0, block
    level, number, rest = 1, block, 0
    while not rest and number:
        if number == 1:
            yield level, 0
        elif number % every == 0:
            yield level, number // every
        number, rest = divmod(number, every)
        level += 1


def ends(count: int, every: int) -> Iterator[tuple[int, int, int]]:
    """Level, number and size of the last block of each level, of ``count`` members in all; the last one has one."""
    level = 0
    while True:
        number = (count - 1) // every
        yield level, number, count - number * every
        if level and count == 1:
            return
        level, count = level + 1, number + 1


def folded(values: list[Any], every: int, fold: Any) -> Any:
    """The same at once: ``fold`` makes one value of a list of them."""
    is_first = True
    while is_first or len(values) > 1:
        values = [fold(values[at : at + every]) for at in range(0, len(values), every)]
        is_first = False
    return values[0]


def _sized(app: Any, fold: Fold, level: int, number: int, size: int) -> StoreStep:
    return StoreStep(app.backend.set_chord_size, (group_of(fold.id, level, number), size, True))


def _single(sig: Any, position: int) -> Any:
    if size_of(sig) != 1:
        raise ValueError(
            f"chord(reduce=…): member {position} of the header is {sig!r}, which has {size_of(sig)} results: expected "
            "tasks, or chains that end in one"
        )
    return sig


def new_fold(every: int, final: Any) -> Fold:
    """The first block of a new reduction."""
    return Fold(_core.new_id(), 0, 0, every, plain(final))
