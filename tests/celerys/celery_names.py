"""The names by which Celery's tests import parts of ``celery.canvas`` that are not public, and ours for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock, patch

from fastworker.canvas import Chain as _chain
from fastworker.canvas import chord as _chord
from fastworker.canvas.chord import _header as _maybe_group
from fastworker.canvas.composing import _Fold, folded
from fastworker.canvas.kinds import unrolled as maybe_unroll_group
from fastworker.canvas.lazy import LazyList as _regen
from fastworker.canvas.linking import _clear_chord as _clear_chord_option
from fastworker.canvas.linking import strip_header_links as _strip_chord_header_links
from fastworker.canvas.stamping import merge
from fastworker.canvas.steps import _Builder


def _merge_chain_step(steps: Any, other: Any, clone_other: bool = True) -> Any:
    return _Fold(steps).append(other, is_copied=clone_other)


def _fold_chain(tasks: Any) -> Any:
    return folded(tasks, _chain())


def _merge_dictionaries(d1: Any, d2: Any, aggregate_duplicates: bool = True) -> None:
    merge(d1, d2, aggregate_duplicates)


def _prepare_steps(
    self: Any, args: Any, kwargs: Any, tasks: Any, *ids: Any, clone: bool = True, **more: Any
) -> Any:
    """Celery's ``_chain.prepare_steps``."""
    names = ("root_id", "parent_id", "link_error", "app", "last_task_id", "group_id", "chord_body")
    given = {**dict(zip(names, ids, strict=False)), **more}
    whole = self if tasks is self.tasks else _chain(tasks, app=given.get("app") or self.app)
    last = {
        "group_id": given.get("group_id"),
        "chord": given.get("chord_body"),
        "group_index": given.get("group_index"),
    }
    prepared = _Builder(
        whole,
        given.get("link_error"),
        given.get("root_id"),
        given.get("last_task_id"),
        last,
        clones=clone,
    ).build(args, kwargs)
    for step in prepared.steps if clone else ():
        _strip_chord_header_links(step)
    return tuple(prepared)


class _Recorder:
    """An outbox that publishes nothing."""

    def __init__(self, send: Mock) -> None:
        self._send = send

    def add(self, sig: Any, args: Any, kwargs: Any, options: Any) -> Any:
        said = {key: value for key, value in options.items() if value is not None}
        args, kwargs, merged = sig._merge(args, kwargs, said)
        embed = {
            "callbacks": merged.get("link"),
            "errbacks": merged.get("link_error"),
            "chain": merged.get("chain"),
            "chord": merged.get("chord"),
        }
        message = SimpleNamespace(body=(args, kwargs, embed))
        self._send(None, sig.task, message, **said)
        return sig.app.AsyncResult(merged.get("task_id") or "an id")

    def add_member(self, member: Any) -> Any:
        """There is no short cut here."""

    def bound(self, max_queue_length: int | None) -> None:
        """Nothing is in a queue."""

    def flush(self) -> None:
        """Nothing waits."""


@contextmanager
def recorded(app: Any) -> Iterator[Mock]:
    """Called with ``(None, task name, message, **options)`` in place of publishing."""
    send = Mock(name="send")
    with patch.object(app, "outbox", lambda: _Recorder(send)):
        yield send


def ids_in_as_tuple(tuple_repr: Any) -> list[str]:
    """The id of every node of an ``as_tuple()`` tree."""
    ids: list[str] = []

    def walk(node: Any) -> None:
        if node is None:
            return
        (node_id, parent), children = node
        ids.append(node_id)
        for child in children or ():
            walk(child)
        walk(parent)

    walk(tuple_repr)
    return ids


__all__ = [
    "_chain",
    "_chord",
    "_clear_chord_option",
    "_fold_chain",
    "_maybe_group",
    "_merge_chain_step",
    "_merge_dictionaries",
    "_prepare_steps",
    "_regen",
    "_strip_chord_header_links",
    "ids_in_as_tuple",
    "maybe_unroll_group",
    "recorded",
]
