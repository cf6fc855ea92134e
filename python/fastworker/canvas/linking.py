"""Callbacks of composed signatures: where they go, and which of them travel. Source: celery/canvas.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastworker.canvas.kinds import is_chain, is_chord, is_group
from fastworker.canvas.signature import Signature, as_list, maybe_signature


def clone_with_members(sig: Any) -> Any:
    """A clone in which everything that linking changes is cloned too: members of groups, bodies of chords."""
    twin = maybe_signature(sig, clone=True)
    if is_group(twin):
        twin.tasks = [clone_with_members(task) for task in twin.tasks]
    elif is_chord(twin):
        twin.body = clone_with_members(twin.body)
    return twin


def add_body_callbacks(body: Any, options: dict[str, Any]) -> Any:
    """Move ``link`` and ``link_error`` of a chord from ``options`` to its body; the header gets neither.

    Returns:
        The body to use: a copy when there are callbacks.
    """
    callbacks = as_list(options.pop("link", None))
    errbacks = as_list(options.pop("link_error", None))
    if callbacks or errbacks:
        body = clone_with_members(body)
    for callback in callbacks:
        own = clone_with_members(maybe_signature(callback, body._app))
        if is_group(body) and not body.tasks:
            body.append_to_list_option("link", own)
        else:
            body.link(own)
    for errback in errbacks:
        if is_group(body):
            _link_error_to_members(body, maybe_signature(errback, body._app))
        else:
            # Where it is looked for when the header fails.
            body.append_to_list_option("link_error", errback)
    return body


def _link_error_to_members(sig: Any, errback: Any, *, runs_as_group: bool = True) -> None:
    """Link ``errback`` to each member of a group that is a chord's body. A group that has errbacks of its own gets it
    there: they replace those of its members when it runs.
    """
    if is_group(sig):
        if runs_as_group and sig.options.get("link_error") is not None:
            sig.append_to_list_option("link_error", errback.clone())
            return
        for task in sig.tasks:
            _link_error_to_members(task, errback, runs_as_group=False)
    elif is_chord(sig):
        _link_error_to_members(sig.body, errback)
    else:
        sig.link_error(errback.clone())


def strip_header_links(sig: Any) -> None:
    """Take the body off the header members of every chord in ``sig``, which is about to be published.

    A chord that waits for its turn carries its body once; freezing has put it on every member besides, and a chord in
    such a body would double it with every level. It comes back when the header is published.
    """
    waiting = [sig]
    while waiting:
        part = waiting.pop()
        if is_chord(part):
            _clear_chord(part.tasks)
            waiting.append(part.tasks)
            if part.body is not None:
                waiting.append(part.body)
        elif is_group(part) or is_chain(part):
            waiting.extend(part.tasks)


def _clear_chord(sig: Any) -> None:
    """Take the chord off the tasks that count for it."""
    waiting: list[Any] = [sig]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list | tuple):
            waiting.extend(part)
            continue
        part["options"].pop("chord", None)
        if is_group(part):
            waiting.extend(part.tasks)
        elif is_chain(part) and part.tasks:
            waiting.append(part.tasks[-1])
        elif is_chord(part) and part.body is not None:
            waiting.append(part.body)


def size_of(sig: Any) -> int:
    """How many times ``sig`` counts for the chord whose header it is in: a group for each member, a chain as its last
    step that is not empty, a chord as its body.
    """
    if type(sig) is Signature:  # most are
        return 1
    total = 0
    waiting = [sig]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Mapping) and not isinstance(part, Signature):
            part = Signature.from_dict(part)
        if is_group(part):
            waiting.extend(part.tasks)
        elif is_chain(part):
            total += next((size for step in reversed(part.tasks) if (size := size_of(step))), 0)
        elif is_chord(part):
            waiting.append(part.body)
        else:
            total += 1 if isinstance(part, Signature) else len(part)
    return total
