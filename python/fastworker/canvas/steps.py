"""A chain's steps as they are published: opened, upgraded, with their ids, last one first. Source: celery/canvas.py
(``_chain.prepare_steps``).
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

from fastworker.canvas.kinds import (
    is_chain,
    is_chain_led_by_task,
    is_chord,
    is_empty_group,
    is_group,
    make,
    unrolled,
)
from fastworker.canvas.linking import strip_header_links
from fastworker.canvas.signature import Signature, as_list


class Prepared(NamedTuple):
    """Frozen steps, and their results.

    Attributes:
        steps: Last one first: what a message's ``chain`` holds, and at its end the step that is published.
        results: In the same order; each one's ``parent`` is that of the step before it.
    """

    steps: list[Any]
    results: list[Any]


def prepare_steps(
    chain: Any,
    args: Any,
    kwargs: Any,
    *,
    root_id: str | None = None,
    parent_id: str | None = None,
    link_error: Any = None,
    task_id: str | None = None,
    group_id: str | None = None,
    chord: Any = None,
    group_index: int | None = None,
) -> Prepared:
    """The steps of ``chain``, which stays as it is, ready to be published.

    Args:
        chain: The chain.
        args: In front of the first step's arguments.
        kwargs: More keywords of the first step.
        root_id: Id of the workflow's first task.
        parent_id: Ignored, as in Celery: the publisher knows it.
        link_error: Errbacks for every step.
        task_id: Id of the last step, and so of the chain.
        group_id: Group of the last step.
        chord: Body of the chord that the last step is a header member of.
        group_index: Place of the last step in its group.
    """
    last = {"group_id": group_id, "chord": chord, "group_index": group_index}
    builder = _Builder(chain, link_error, root_id, task_id, last, clones=True)
    prepared = builder.build(args, kwargs)
    for step in prepared.steps:
        strip_header_links(step)
    return prepared


def freeze_steps(
    chain: Any,
    task_id: str | None,
    group_id: str | None,
    chord: Any,
    root_id: str | None,
    parent_id: str | None,
    group_index: int | None,
) -> Prepared:
    """Give the steps of ``chain`` their ids, in place."""
    last = {"group_id": group_id, "chord": chord, "group_index": group_index}
    builder = _Builder(chain, None, root_id, task_id, last, clones=False)
    return builder.build(chain.args, chain.kwargs)


class _Builder:
    """Walks the steps from the last to the first, since a message carries them so."""

    def __init__(
        self,
        chain: Any,
        link_error: Any,
        root_id: str | None,
        task_id: str | None,
        last: dict[str, Any],
        *,
        clones: bool,
    ) -> None:
        self._chain = chain
        self._app = chain.app
        self._errbacks = as_list(link_error)
        self._root_id = root_id
        self._task_id = task_id
        #: What the last step alone gets: those around the chain wait for it.
        self._last = last
        self._clones = clones
        self._steps: list[Any] = []
        self._results: list[Any] = []
        self._is_last = True
        #: The step after the one that is looked at, and the result that this one's is the parent of.
        self._next: Any = None
        self._next_result: Any = None

    def build(self, args: Any, kwargs: Any) -> Prepared:
        """Prepare all."""
        waiting = self._with_real_head()
        while waiting:
            step = _signature(waiting.pop(), self._app)
            is_first = not waiting
            if is_group(step):
                step = unrolled(step)
                if is_empty_group(step) and (waiting or self._next is not None):
                    continue
            if self._clones and is_chord(step) and is_chain_led_by_task(step.body):
                # Freezing in place keeps the chain as it was written.
                waiting.extend(step.unroll_body())
                continue
            if self._clones:
                step = step.clone(args, kwargs) if is_first else step.clone()
            elif is_first and args:
                step.args = (*args, *step.args)
            if is_chain(step):
                waiting.extend(step.tasks)
                continue
            if is_group(step) and self._next is not None:
                step = self._as_chord(step)
            self._add(step)
        self._chain.id = self._results[0].id if self._results else self._task_id
        return Prepared(self._steps, self._results)

    def _with_real_head(self) -> deque[Any]:
        """The steps, such that the first has a task of its own, which gets the arguments: chains in front are opened,
        empty groups in front are left out unless nothing else is there.
        """
        waiting = deque(self._chain.tasks)
        left_out = None
        while waiting:
            head = _signature(waiting[0], self._app)
            waiting[0] = head
            if is_chain(head):
                waiting.popleft()
                waiting.extendleft(reversed((head.clone() if self._clones else head).tasks))
                continue
            if is_group(head):
                head = waiting[0] = unrolled(head)
                if len(waiting) > 1 and is_empty_group(head):
                    left_out = waiting.popleft()
                    continue
            break
        if left_out is not None and not waiting:
            waiting.append(left_out)
        return waiting

    def _as_chord(self, group: Any) -> Any:
        """A group and what follows it are a chord, which takes the place of what follows."""
        self._steps.pop()
        body_result = self._results.pop()
        options: dict[str, Any] = {"root_id": self._root_id, "app": self._app}
        if group.args:
            options["args"] = group.args
        # A body that is a group has no task id.
        if hasattr(self._next_result, "task_id"):
            options["task_id"] = self._next_result.task_id
        chord = make("chord", group, body=self._next, **options)
        self._next = self._steps[-1] if self._steps else None
        # What comes after the body has the body's result as its parent; freezing the chord gives that result again.
        node = self._results[-1] if self._results else None
        while node is not None and node.parent is not body_result:
            node = node.parent
        if node is not None:
            node.parent = None
            self._next_result = node
        return chord

    def _add(self, step: Any) -> None:
        if self._is_last:
            result = step.freeze(self._task_id, root_id=self._root_id, **self._last)
        else:
            result = step.freeze(root_id=self._root_id)
        self._is_last = False
        before = self._next_result
        if self._next is not None and before is not None and not before.parent:
            before.parent = result
        for errback in self._errbacks:
            step.link_error(errback)
            if is_chord(step) and step.body:
                step.body.link_error(errback)
        self._steps.append(step)
        self._results.append(result)
        self._next, self._next_result = step, result
        if is_chord(step):
            self._app.backend.ensure_chords_allowed()
            # The body may be a chain: what is before the chord is the parent of the header's result.
            node = result
            while node.parent:
                node = node.parent
            self._next_result = node


def _signature(step: Any, app: Any) -> Any:
    return step if isinstance(step, Signature) else Signature.from_dict(step, app=app)
