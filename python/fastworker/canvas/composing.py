"""What ``|`` makes of two signatures. Source: celery/canvas.py (``__or__`` of each kind, ``_merge_chain_step``).

In short: a group before a task becomes a chord with it, a chord before a task gets the task at the end of its body,
chains open into one, a group of one is its member, an empty group is left out.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from functools import reduce
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
        return reduce(operator.or_, other.unchain_tasks(), chain)
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


def folded(tasks: Iterable[Any], empty: Any) -> Any:
    """``empty | a | b | c …`` in one pass, where repeating ``|`` would copy all steps for each.

    Args:
        tasks: The signatures.
        empty: An empty chain.
    """
    given = list(tasks)
    steps: list[Any] = []
    remaining = iter(given)
    for position, task in enumerate(remaining):
        # The one on the right of the last ``|`` is not copied: it goes into the chain as it is.
        result = _append(steps, task, is_copied=position != len(given) - 1)
        if result is NotImplemented:
            return reduce(operator.or_, given, empty)
        if result is not steps:
            return reduce(operator.or_, remaining, result)
    # Steps of one inner chain share its errbacks; a visitor that stamps each must find them apart.
    return type(empty)([*(step.clone() for step in steps[:-1]), *steps[-1:]])


def _append(steps: list[Any], other: Any, *, is_copied: bool) -> Any:
    """Put ``other`` behind ``steps``, in place, by the rules of ``chain_then``.

    Returns:
        ``steps``; or another signature, when the whole is not a chain any more; or NotImplemented.
    """
    if is_empty_group(other):
        return steps
    if is_group(other):
        other = unrolled(other)
        if not is_group(other):
            return _append(steps, other, is_copied=is_copied)
        if not steps:
            return other
        if is_chord(steps[-1]):
            steps[-1].body = steps[-1].body | other
        else:
            steps.append(other.clone() if is_copied else other)
        return steps
    if is_chain(other):
        inner = other.unchain_tasks()
        remaining = iter(inner)
        for position, task in enumerate(remaining):
            result = _append(steps, task, is_copied=is_copied or position != len(inner) - 1)
            if result is NotImplemented:
                return result
            if result is not steps:
                return reduce(operator.or_, remaining, result)
        return steps
    if not isinstance(other, Signature):
        return NotImplemented
    if steps and is_group(steps[-1]):
        steps[-1] = make("chord", steps[-1], other.clone() if is_copied else other)
    elif steps and is_chord(steps[-1]) and not is_chord(other):
        steps[-1].body = steps[-1].body | other
    else:
        steps.append(other.clone() if is_copied else other)
    return steps
