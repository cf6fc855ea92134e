"""What publishing a workflow costs and leaves behind: batches, order, sizes, nothing when it cannot be packed."""

from __future__ import annotations

import asyncio
import copy
import functools
import itertools
import json
import operator
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fastworker import FastWorker, Signature, Task, chain, chord, chunks, group
from fastworker.canvas.copying import plain
from fastworker.errors import EncodeError
from fastworker.results.result_set import GroupResult
from tests.support.memory_core import Memory


@pytest.fixture
def add(app: FastWorker) -> Any:
    @app.task(name="proj.add", shared=False)
    def add(x: int, y: int) -> int:
        return x + y

    return add


@pytest.fixture
def total(app: FastWorker) -> Any:
    @app.task(name="proj.total", shared=False)
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    return total


@pytest.fixture
def handed_over(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many messages went to the broker each time."""
    sizes: list[int] = []
    publish = memory.publish

    def counted(messages: Any) -> None:
        sizes.append(len(messages))
        publish(messages)

    monkeypatch.setattr(memory, "publish", counted)
    return sizes


def test_members_share_round_trips(add: Any, memory: Memory, handed_over: list[int]) -> None:
    result = group(add.s(i, i) for i in range(600)).apply_async()
    assert handed_over == [256, 256, 88]
    assert [m.headers["id"] for m in memory.messages] == [r.id for r in result.results]
    assert [m.headers["group_index"] for m in memory.messages] == list(range(600))
    assert {m.headers["group"] for m in memory.messages} == {result.id}


def test_members_of_all_kinds_keep_their_order(
    add: Any, total: Any, memory: Memory, handed_over: list[int]
) -> None:
    group(
        add.s(1, 1),
        add.s(2, 2).set(queue="far"),
        add.s(3, 3) | add.s(4),
        chord([add.s(5, 5), add.s(6, 6)], total.s()),
    ).apply_async()
    assert [m.body[0][0] for m in memory.messages] == [1, 2, 3, 5, 6]
    assert handed_over == [5]
    assert memory.messages[1].queue == "far"


def test_short_and_long_road_write_the_same(app: FastWorker, add: Any, memory: Memory) -> None:
    group(add.s(1, y=2), add.s(1, y=2).set(priority=0)).apply_async()
    short, long = memory.messages
    for message in (short, long):
        for name in ("id", "root_id", "group_index"):
            message.headers.pop(name)
        message.properties.pop("correlation_id")
        message.properties.pop("delivery_tag")
    assert short == long


def test_nothing_is_published_when_a_member_cannot_be(add: Any, memory: Memory) -> None:
    with pytest.raises(EncodeError, match=r"proj\.add"):
        group(add.s(1, 2), add.s(1, object())).apply_async()
    with pytest.raises(TypeError):
        group(add.s(1, 2), add.s(1)).apply_async()
    assert memory.messages == []


def test_a_generator_is_read_while_it_is_published(add: Any, memory: Memory) -> None:
    seen: list[int] = []

    def members() -> Iterator[Any]:
        for i in range(700):
            seen.append(len(memory.messages))
            yield add.s(i, i)

    group(members()).apply_async()
    assert seen[-1] == 512


def test_size_is_known_before_the_first_member_leaves(
    add: Any, total: Any, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes_then: list[dict[str, int | None]] = []
    publish = memory.publish

    def looked(messages: Any) -> None:
        sizes_then.append(dict(memory.chord_sizes))
        publish(messages)

    monkeypatch.setattr(memory, "publish", looked)
    result = chord([add.s(i, i) for i in range(300)], total.s()).apply_async()
    assert sizes_then == [{result.parent.id: 300}] * 2
    sizes_then.clear()
    lazy = chord((add.s(i, i) for i in range(300)), total.s()).apply_async()
    assert sizes_then[0][lazy.parent.id] is None, "begun"
    assert sizes_then[1][lazy.parent.id] == 300


def test_the_shape_of_a_streamed_header_is_known_before_its_last_member_leaves(
    add: Any, total: Any, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    then: list[tuple[set[str], dict[str, int | None]]] = []
    publish = memory.publish

    def looked(messages: Any) -> None:
        then.append((set(memory.groups), dict(memory.chord_sizes)))
        publish(messages)

    monkeypatch.setattr(memory, "publish", looked)

    def members() -> Iterator[Any]:
        yield from (add.s(i, i) for i in range(255))
        yield add.s(1, 1) | group(add.s(2), add.s(3))
        yield add.s(4, 4)

    result = chord(members(), total.s()).apply_async()
    assert [sizes[result.parent.id] for _, sizes in then] == [None, 258]
    assert [result.parent.id in groups for groups, _ in then] == [False, True]
    saved = add.app.GroupResult.restore(result.parent.id)
    assert [member.id for member in saved] == [member.id for member in result.parent]
    assert [len(member) for member in saved if isinstance(member, GroupResult)] == [2]


def test_what_a_generator_raises_is_not_its_end(add: Any, memory: Memory) -> None:
    def members() -> Iterator[Any]:
        yield add.s(1, 1)
        yield add.s(2, 2)
        raise OSError("half a file")

    some = group(members())
    for _ in range(2):
        with pytest.raises(OSError, match="half a file"):
            some.apply_async()
    with pytest.raises(OSError, match="half a file"):
        len(some)
    assert memory.messages == []


def test_a_task_that_publishes_in_its_own_way_is_asked(app: FastWorker, memory: Memory) -> None:
    class Tenant(Task[Any, Any]):
        def apply_async(self, *args: Any, **kwargs: Any) -> Any:
            kwargs["headers"] = {**(kwargs.get("headers") or {}), "tenant": "blue"}
            return super().apply_async(*args, **kwargs)

    @app.task(name="proj.own", base=Tenant, shared=False)
    def own(x: int) -> int:
        return x

    group(own.s(1), own.s(2)).apply_async()
    (own.s(3) | own.s()).apply_async()
    assert [m.headers["tenant"] for m in memory.messages] == ["blue"] * 3


def test_coroutines_publish_workflows(add: Any, total: Any, memory: Memory) -> None:
    async def run() -> list[Any]:
        return [
            await group(add.s(i, i) for i in range(300)).aapply_async(),
            await (group(add.s(1, 1), add.s(2, 2)) | total.s()).aapply_async(),
            await add.chunks([(1, 1), (2, 2), (3, 3)], 2).aapply_async(),
            await add.starmap([(1, 1)]).aapply_async(),
        ]

    many, joined, parts, one = asyncio.run(run())
    assert (len(many), len(joined.parent), len(parts)) == (300, 2, 2)
    assert memory.chord_sizes[joined.parent.id] == 2
    assert len(memory.messages) == 300 + 2 + 2 + 1
    assert memory.messages[-1].headers["id"] == one.id


def test_chunks_of_the_old_tutorials_show_the_right_call(add: Any) -> None:
    for call in (chunks.map_async, add.chunks([(1, 1)], 1).map_async, chunks.starmap_async):
        with pytest.raises(TypeError, match=r"task\.chunks\(arguments, n\)\(\)"):
            call([(1, 1)])


@pytest.mark.shows("setting result_backend")
def test_a_chord_without_a_result_store_is_refused(memory: Memory) -> None:
    with FastWorker("proj", broker="redis://nowhere/0", set_as_current=False) as app:
        add = app.task(lambda x: x, name="proj.one", shared=False)
        with pytest.raises(NotImplementedError, match="result_backend"):
            chord([add.s(1)], add.s()).apply_async()
    assert memory.messages == []


@pytest.mark.shows("setting task_allow_error_cb_on_chord_header")
def test_errbacks_of_a_chord_go_to_the_body_and_if_told_to_the_header(
    app: FastWorker, add: Any, total: Any, memory: Memory
) -> None:
    workflow = chord([add.s(1, 2), add.s(3, 4)], total.s())
    with pytest.warns(PendingDeprecationWarning, match="task_allow_error_cb_on_chord_header"):
        workflow.link_error(add.s(8))
    workflow.apply_async()
    app.conf.task_allow_error_cb_on_chord_header = True
    workflow = chord([add.s(1, 2), add.s(3, 4)], total.s())
    workflow.link_error(add.s(9))
    workflow.apply_async()
    embedded = [m.body[2] for m in memory.messages]
    assert [e["errbacks"] for e in embedded[:2]] == [None, None]
    assert [[e["args"] for e in each["errbacks"]] for each in embedded[2:]] == [[[9]], [[9]]]
    bodies = [each["chord"]["options"]["link_error"][0]["args"] for each in embedded]
    assert bodies == [[8], [8], [9], [9]]


def largest_message(memory: Memory) -> int:
    return max(len(m.raw_body) for m in memory.messages)


def test_nested_chords_grow_linearly(add: Any, total: Any, memory: Memory) -> None:
    """Ten chords in each other's headers, and ten in each other's bodies."""
    sizes = {}
    for depth in (5, 10, 20):
        in_header = add.s(1, 1)
        in_body = total.s()
        for _ in range(depth):
            in_header = chord([in_header, add.s(2, 2)], total.s())
            in_body = chord([add.s(1), add.s(2)], in_body)
        memory.messages.clear()
        in_header.apply_async()
        chord([add.s(1, 1), add.s(2, 2)], in_body).apply_async()
        sizes[depth] = largest_message(memory)
    assert sizes[10] < 2.2 * sizes[5]
    assert sizes[20] < 2.2 * sizes[10]


@pytest.mark.parametrize(
    "build",
    [
        lambda add, steps: chain(group(add.s(1), add.s(2)), *steps),
        lambda add, steps: (add.s(1) | add.s(2)) | chain(steps),
        lambda add, steps: (group(add.s(1), add.s(2)) | add.s(3) | add.s(4)) | chain(steps),
        lambda add, steps: chain(add.s(1), group(add.s(1), add.s(2)), chain(steps), *steps),
    ],
    ids=["behind a body", "chain and chain", "chord and chain", "all of it"],
)
def test_workflows_are_built_linearly(
    build: Any, add: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = []
    clone = Signature.clone

    def counted(sig: Any, *args: Any, **kwargs: Any) -> Any:
        copied.append(1)
        return clone(sig, *args, **kwargs)

    monkeypatch.setattr(Signature, "clone", counted)
    counts = []
    for size in (100, 200, 400):
        copied.clear()
        build(add, [add.s(number) for number in range(size)])
        counts.append(len(copied))
    assert counts[1] < 2.2 * counts[0]
    assert counts[2] < 2.2 * counts[1]


def test_what_is_put_together_stays_as_it_was(add: Any) -> None:
    inner = group(add.s(1), add.s(2)) | add.s(3) | add.s(4)
    before = copy.deepcopy(plain(inner))
    whole = chain(group(add.s(5), add.s(6)), add.s(7), inner, add.s(8), add.s(9))
    assert plain(inner) == before
    one_by_one = group(add.s(5), add.s(6)) | add.s(7) | inner | add.s(8) | add.s(9)
    assert plain(whole) == plain(one_by_one)


def test_any_steps_are_put_together_as_one_after_the_other(add: Any) -> None:
    """What ``chain(…)`` makes in one pass is what repeating ``|`` makes."""
    kinds: list[Callable[[], Any]] = [
        lambda: add.s(1),
        lambda: group(add.s(2), add.s(3)),
        lambda: chord([add.s(4), add.s(5)], add.s(6)),
        lambda: add.s(7) | add.s(8),
        lambda: add.s(9) | group(add.s(10), add.s(11)),
    ]
    for count in (2, 3, 4):
        for made in itertools.product(kinds, repeat=count):
            one_by_one = functools.reduce(operator.or_, [add.s(0), *(make() for make in made)])
            assert plain(chain([add.s(0), *(make() for make in made)])) == plain(one_by_one)


def test_long_chains_are_built_published_and_told(add: Any, memory: Memory) -> None:
    steps = 10_000
    workflow = chain(add.s(1, 1), *(add.s(1) for _ in range(steps - 1)))
    result = workflow.apply_async()
    (message,) = memory.messages
    assert len(message.body[2]["chain"]) == steps - 1
    assert len(result.as_list()) == steps
    result.forget()


def test_deep_nesting_is_no_deeper_than_the_stack(add: Any, total: Any, memory: Memory) -> None:
    nested: Any = add.s(1, 1)
    for _ in range(60):
        nested = chain(nested, group(add.s(1), add.s(2)), total.s())
    nested.apply_async()
    assert json.dumps(plain(nested))


def test_a_workflow_finds_its_application_in_any_part(app: FastWorker, add: Any) -> None:
    named = Signature("proj.elsewhere")
    for workflow in (
        chain(group(), add.s(1, 1)),
        group(named, add.s(1, 1)),
        chord([group(), named], add.s(1)),
        chain(group(named, group(add.s(1, 1))), app=None),
    ):
        assert workflow.app is app


def _header_in_header(inner: Any, other: Any) -> Any:
    return chord([inner, other], other)


def _body_in_body(inner: Any, other: Any) -> Any:
    return chord([other, other], inner)


def _group_in_group(inner: Any, other: Any) -> Any:
    return group([inner, other])


def _group_in_chain(inner: Any, other: Any) -> Any:
    return chain(other, group([inner, other]))


def _callback(inner: Any, other: Any) -> Any:
    outer = other.clone()
    outer.link(inner)
    return outer


@pytest.mark.parametrize(
    "around", [_header_in_header, _body_in_body, _group_in_group, _group_in_chain, _callback]
)
@pytest.mark.parametrize("is_awaited", [False, True])
def test_what_is_nested_too_deeply_is_told_what_to_write(
    add: Any, memory: Memory, around: Callable[[Any, Any], Any], is_awaited: bool
) -> None:
    def nested() -> Any:
        sig = add.s(1, 1)
        for _ in range(1_000):
            sig = around(sig, add.s(2, 2))
        return asyncio.run(sig.aapply_async()) if is_awaited else sig.apply_async()

    with pytest.raises(
        (RecursionError, EncodeError), match=r"nested too deeply: .*chain\(\*steps\)"
    ):
        nested()
    assert memory.messages == []
