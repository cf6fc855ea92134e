"""What ``|`` makes of two signatures. Source: celery/canvas.py (``__or__`` of each kind, ``_merge_chain_step``).

In short: a group before a task becomes a chord with it, a chord before a task gets the task at the end of its body,
chains open into one, a group of one is its member, an empty group is left out.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from functools import reduce
from itertools import takewhile
from typing import Any

from fastworker.canvas.kinds import (
    is_chain,
    is_chord,
    is_empty_group,
    is_group,
    make,
    unrolled,
)
from fastworker.canvas.lazy import LazyList
from fastworker.canvas.signature import Signature


def task_then(sig: Signature, other: Any) -> Any:
    """``task | other``."""
    if is_chain(other):
        return make("chain", [sig, *other.unchain_tasks()], app=sig._app)
    if is_group(other):
        return make("chain", sig, unrolled(other), app=sig.app)
    if isinstance(other, Signature):
        return make("chain", sig, other, app=sig._app)
    return NotImplemented


def group_then(group: Any, other: Any) -> Any:
    """``group | other``: a chord, since ``other`` gets the results of all."""
    if is_group(other) and not isinstance(other.tasks, LazyList) and is_empty_group(other):
        return group
    if not isinstance(other, Signature):
        return NotImplemented
    return make("chord", group, body=other, app=group._app)


def chord_then(chord: Any, other: Any) -> Any:
    """``chord | other``: what comes after goes to the end of the body; chains and groups follow the chord."""
    if is_group(other) and not is_chain(other) and unrolled(other) is not other:
        other = unrolled(other)
    elif not isinstance(other, Signature) or is_group(other) or is_chain(other):
        return task_then(chord, other)
    sig = chord.clone()
    sig.body = sig.body | other
    return sig


def chain_then(chain: Any, other: Any) -> Any:
    """``chain | other``."""
    if is_empty_group(other):
        return chain
    if is_group(other):
        other = unrolled(other)
        if not is_group(other):
            return chain | other
        steps = chain.unchain_tasks()
        if not steps:
            return other
        if is_chord(steps[-1]):
            steps[-1].body = steps[-1].body | other
            return type(chain)(steps, app=chain.app)
        return type(chain)([*steps, other], app=chain._app)
    if is_chain(other):
        return _all_then(chain, other.unchain_tasks())
    if not isinstance(other, Signature):
        return NotImplemented
    if chain.tasks and is_group(chain.tasks[-1]):
        sig = chain.clone()
        sig.tasks[-1] = make("chord", sig.tasks[-1], other, app=chain._app)
        if len(sig.tasks) > 1 and is_chord(sig.tasks[-2]):
            sig.tasks[-2].body = sig.tasks[-2].body | sig.tasks[-1]
            sig.tasks = sig.tasks[:-1]
        return sig
    if chain.tasks and is_chord(chain.tasks[-1]) and not is_chord(other):
        sig = chain.clone()
        sig.tasks[-1].body = sig.tasks[-1].body | other
        return sig
    return type(chain)([*chain.unchain_tasks(), other], app=chain._app)


def _all_then(sig: Any, tasks: list[Any]) -> Any:
    """``sig | a | b | c …``: what ``|`` has made is not copied again for each step behind it."""
    result = sig
    position = 0
    while position < len(tasks):
        is_ours = result is not sig
        if is_ours and is_chain(result) and not result.options:
            fold = _Fold(result.unchain_tasks())
            for number, task in enumerate(tasks[position:], position + 1):
                if fold.append(task, is_copied=number < len(tasks)) is not fold.steps:
                    return reduce(operator.or_, tasks[position:], result)
            return type(result)(fold.steps, app=result._app)
        if is_ours and is_chord(result) and is_chain(result.body) and not result.body.options:
            singles = list(takewhile(_is_single, tasks[position:]))
            fold = _Fold(result.body.unchain_tasks())
            for number, task in enumerate(singles, position + 1):
                fold.append(task, is_copied=number < len(tasks))
            result.body.tasks = fold.steps
            position += len(singles)
            if singles:
                continue
        result = result | tasks[position]
        position += 1
    return result


def _is_single(task: Any) -> bool:
    is_composed = is_chain(task) or is_chord(task) or is_group(task)
    return isinstance(task, Signature) and not is_composed


def folded(tasks: Iterable[Any], empty: Any) -> Any:
    """``empty | a | b | c …`` in one pass, where repeating ``|`` would copy all steps for each.

    Args:
        tasks: The signatures.
        empty: An empty chain.
    """
    given = list(tasks)
    fold = _Fold([])
    remaining = iter(given)
    for position, task in enumerate(remaining):
        # The one on the right of the last ``|`` is not copied: it goes into the chain as it is.
        result = fold.append(task, is_copied=position != len(given) - 1)
        if result is NotImplemented:
            return reduce(operator.or_, given, empty)
        if result is not fold.steps:
            return _all_then(result, list(remaining))
    # Steps of one inner chain share its errbacks; a visitor that stamps each must find them apart.
    steps = fold.steps
    return type(empty)([*(step.clone() for step in steps[:-1]), *steps[-1:]])


class _Fold:
    """Steps of a chain in the making.

    Args:
        steps: Nobody else's.

    Attributes:
        steps: They grow in place.
    """

    def __init__(self, steps: list[Any]) -> None:
        self.steps = steps
        #: Of the chord that is the last step, once something was put behind its body.
        self._body: _Fold | None = None

    def append(self, other: Any, *, is_copied: bool) -> Any:
        """Put ``other`` behind the steps, by the rules of ``chain_then``.

        Returns:
            The steps; or another signature, when the whole is not a chain any more; or NotImplemented.
        """
        steps = self.steps
        if is_empty_group(other):
            return steps
        if is_group(other):
            other = unrolled(other)
            if not is_group(other):
                return self.append(other, is_copied=is_copied)
            if not steps:
                return other
            if is_chord(steps[-1]):
                return self._append_to_body(other, is_copied=is_copied)
            self._add(other, is_copied=is_copied)
            return steps
        if is_chain(other):
            inner = other.unchain_tasks()
            remaining = iter(inner)
            for position, task in enumerate(remaining):
                result = self.append(task, is_copied=is_copied or position != len(inner) - 1)
                if result is NotImplemented:
                    return result
                if result is not steps:
                    return _all_then(result, list(remaining))
            return steps
        if not isinstance(other, Signature):
            return NotImplemented
        if steps and is_group(steps[-1]):
            steps[-1] = make("chord", steps[-1], other.clone() if is_copied else other)
            if len(steps) > 1 and is_chord(steps[-2]):
                last = steps.pop()
                steps[-1].body = steps[-1].body | last
            self._body = None
        elif steps and is_chord(steps[-1]) and not is_chord(other):
            return self._append_to_body(other, is_copied=is_copied)
        else:
            self._add(other, is_copied=is_copied)
        return steps

    def _add(self, other: Any, *, is_copied: bool) -> None:
        self.steps.append(other.clone() if is_copied else other)
        self._body = None

    def _append_to_body(self, other: Any, *, is_copied: bool) -> Any:
        """``chord | other`` for the last step: what was made of its body before is not copied again."""
        chord = self.steps[-1]
        if self._body is not None:
            result = self._body.append(other, is_copied=is_copied)
            return NotImplemented if result is NotImplemented else self.steps
        chord.body = chord.body | (other.clone() if is_copied else other)
        if is_copied and is_chain(chord.body) and not chord.body.options:
            self._body = _Fold(chord.body.unchain_tasks())
            chord.body.tasks = self._body.steps
        return self.steps
