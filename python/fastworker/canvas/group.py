"""``group``: tasks that run at the same time. There is no message for the group itself: each member carries its id."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Any

from fastworker import _core
from fastworker.canvas.apps import app_of
from fastworker.canvas.calls import (
    Calls,
    Member,
    One,
    StoreStep,
    Stream,
    apublish,
    calls_of,
    publish,
)
from fastworker.canvas.composing import group_then
from fastworker.canvas.items import part
from fastworker.canvas.kinds import is_empty_chain, is_group, kind
from fastworker.canvas.lazy import LazyList, as_lazy, is_pending
from fastworker.canvas.linking import size_of
from fastworker.canvas.publisher import Publisher
from fastworker.canvas.reprs import of_group
from fastworker.canvas.signature import Signature, as_list, maybe_signature
from fastworker.canvas.stamping import StampingVisitor, asked, collected, stamp_links
from fastworker.results.result_set import GroupResult
from fastworker.results.stream_members import KEPT, StreamMembers
from fastworker.results.stream_result import StreamResult

#: With no other options, members may take the short cut of publishing: what it needs to know it is told otherwise.
_SHORT_CUT = frozenset({"group_id", "parent_id", "root_id"})
#: Options that freezing gives a member.
_FROZEN = frozenset({"chord", "group_id", "group_index", "reply_to", "root_id", "task_id"})
#: Never changed by options given at call time when the group has them.
_KEPT_OPTIONS = ("group_id", "stamped_headers")


@kind("group")
class group(Signature):
    """Members run at the same time; groups among them are opened.

    Args:
        tasks: Signatures, or one iterable of them. A generator is read as the group is published.
        options: Options of ``apply_async`` for every member.
    """

    tasks = part("tasks", "The members.")

    def __init__(self, *tasks: Any, **options: Any) -> None:
        given: Any = tasks
        if len(tasks) == 1:
            given = tasks[0]
            if is_group(given):
                given = given.tasks
            if isinstance(given, Signature):
                given = [given.clone()]
            given = as_lazy(given)
        super().__init__("celery.group", (), {"tasks": given}, **options)
        self["subtask_type"] = "group"

    @classmethod
    def from_dict(cls, d: Mapping[str, Any], app: Publisher | None = None) -> Any:
        """Rebuild a group that travelled."""
        given = d["kwargs"]["tasks"]
        if not isinstance(given, LazyList):
            given = type(given)(maybe_signature(task, app) for task in given)
        # The mapping may be what somebody holds on to: what they change later is to be the group's.
        d["kwargs"]["tasks"] = given
        made = cls(given, app=app, **d["options"])
        made.update(args=tuple(d.get("args") or ()), immutable=d.get("immutable", False))
        return made

    @property
    def app(self) -> Publisher:
        """Its own application, else that of a member."""
        app: Publisher = app_of(self)
        return app

    def __or__(self, other: Any) -> Any:
        return group_then(self, other)

    def __call__(self, *partial_args: Any, **options: Any) -> Any:
        """Publish."""
        return self.apply_async(partial_args, **options)

    def __len__(self) -> int:
        return len(self.tasks)

    def __bool__(self) -> bool:
        return bool(self.tasks)

    def skew(self, start: float = 1.0, stop: float | None = None, step: float = 1.0) -> group:
        """Spread the members over time: the first waits ``start`` seconds, each next one ``step`` longer, up to
        ``stop``; returns itself.
        """
        delay = float(start)
        for task in self.tasks:
            task.set(countdown=delay)
            if stop is None or delay + step <= stop:
                delay += step
        return self

    # ------------------------------------------------------------------------------------ publishing

    def apply_async(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """Publish all members.

        Args:
            args: In front of every member's arguments.
            kwargs: More keywords of every member.
            options: For every member; ``task_id`` is the group's id. ``add_to_parent=False``: not counted as a child of
                the task that runs here. ``max_queue_length``: wait while a member's queue is as long; without it that
                of ``task_stream_max_queue_length`` holds for generators, and 0 is no bound.

        Returns:
            A ``GroupResult``; of a generator of more than 10,000 members one that keeps none of them
            (``StreamResult``).

        Raises:
            TypeError: ``link`` or ``link_error``: a chord has callbacks.
        """
        if self.app.conf.task_always_eager:
            _refuse_links(options)
            options.pop("add_to_parent", None)
            options.pop("max_queue_length", None)
            return self.apply(args, kwargs, **options)
        return publish(self.app, self.calls(args, kwargs, **options))

    async def aapply_async(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """``apply_async`` for a coroutine."""
        if self.app.conf.task_always_eager:
            return self.apply_async(args, kwargs, **options)
        return await apublish(self.app, self.calls(args, kwargs, **options))

    def calls(self, args: Any = None, kwargs: Any = None, **options: Any) -> Calls:
        """Those of all members."""
        _refuse_links(options)
        add_to_parent = options.pop("add_to_parent", None)
        options.pop("producer", None)
        max_queue_length = options.pop("max_queue_length", None)
        app = self.app
        if not self.tasks:
            return self.freeze()
        options, group_id, root_id = self._identified(options)
        given = (*(args or ()), *self.args)
        if max_queue_length is not None or is_pending(self.tasks):
            yield Stream(max_queue_length)
        began = time.monotonic()
        results = yield from self._published(group_id, root_id, given, kwargs, options)
        result = result_of(app, group_id, results, began)
        if len(results) == 1 and isinstance(results[0], GroupResult):
            # Its only member is a chain that ends in a group: that group is what is waited for.
            result = results[0]
        parent = app.current_worker_task
        if add_to_parent is not False and parent is not None:
            parent.add_trail(result)
        return result

    def _published(
        self,
        group_id: str,
        root_id: str | None,
        args: Any,
        kwargs: Any,
        options: dict[str, Any],
    ) -> Generator[One | Member | Stream | StoreStep, Any, Any]:
        """Publish the members; returns their results: a list, or ``StreamMembers`` of a long stream.

        The result store has to forget an earlier run of the same chord before the first member leaves, and is told the
        size with that. The size of a stream is known at its end, when members may have run: it is told before the last
        one leaves, and what was counted stays counted.
        """
        app, chord = self.app, options.pop("chord", None)
        options.pop("group_index", None)  # of the group in another one: each member has its own
        size = 0
        is_known = not is_pending(self.tasks)
        if is_known:
            size = sum(map(size_of, self.tasks))
            first = maybe_signature(self.tasks[0], app)
            if size and (chord is not None or first.options.get("chord") is not None):
                yield StoreStep(app.backend.set_chord_size, (group_id, size))
        has_short_cut = options.keys() <= _SHORT_CUT and root_id == options.get("root_id")
        options["add_to_parent"] = False
        results = _Results(app, self.tasks)
        following = self._flat(self.tasks if is_known else self.tasks.drain(), ())
        current = next(following, None)
        has_begun = False
        while current is not None:
            index, sig, partial_args = current
            current = next(following, None)
            body = chord if chord is not None else sig.options.get("chord")
            if not is_known and body is not None:
                size += size_of(sig)
                if not has_begun:
                    yield StoreStep(app.backend.begin_chord, (group_id,))
                    has_begun = True
            ends_stream = has_begun and current is None
            if (
                not ends_stream
                and has_short_cut
                and type(sig) is Signature
                and sig["options"].keys() <= _FROZEN
            ):
                given = (*args, *partial_args) if partial_args else args
                ids = root_id or sig["options"].get("root_id"), options.get("parent_id")
                of = sig["options"].get("group_id") or group_id
                result = yield Member(sig, given, kwargs, of, index, *ids, body, results.next_id())
                if result is not None:
                    results.add(result)
                    continue
            sig = sig.clone()
            if partial_args and not sig.immutable:
                sig.args = (*partial_args, *sig.args)
            place = {"group_id": group_id, "root_id": root_id, "group_index": index}
            results.add(sig.freeze(results.next_id(), **place))
            if ends_stream:
                if results.has_groups:
                    # What the body gets has the shape of the header: the joiner needs to know it.
                    whole = result_of(app, group_id, results.kept())
                    yield StoreStep(app.backend.save_group, (group_id, whole))
                yield StoreStep(app.backend.set_chord_size, (group_id, size, True))
            yield from calls_of(sig, args, kwargs, {**options, "chord": body})
        return results.kept()

    def _flat(self, tasks: Iterable[Any], partial_args: Any) -> Iterator[tuple[int, Any, Any]]:
        """Index, signature, and what goes in front of its arguments, of all members, groups among them opened."""
        for index, task in enumerate(tasks):
            sig: Any = (
                task if isinstance(task, Signature) else Signature.from_dict(task, app=self.app)
            )
            if is_group(sig):
                yield from self._flat(sig.tasks, (*partial_args, *sig.args))
            elif not is_empty_chain(sig):
                yield index, sig, partial_args

    def _identified(self, options: dict[str, Any]) -> tuple[dict[str, Any], str, str | None]:
        """All options, the group's id, and the id of the workflow's first task."""
        own = self.options
        merged = {
            **own,
            **{k: v for k, v in options.items() if k not in _KEPT_OPTIONS or k not in own},
        }
        group_id = merged["group_id"] = merged.pop("task_id", None) or _core.new_id()
        return merged, group_id, merged.get("root_id")

    # -------------------------------------------------------------------------------------- freezing

    def freeze(
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Any = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> Any:
        """Give every member its id, and the group its own; a generator's members get theirs as they are read."""
        own_id, results = self.freeze_members(group_id, chord, root_id, parent_id, group_index)
        return result_of(self.app, own_id, results)

    _freeze = freeze

    def freeze_members(
        self,
        group_id: str | None = None,
        chord: Any = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> tuple[str, Any]:
        """The group's id, and the results of its members."""
        options = self.options
        if "task_id" not in options:
            options["task_id"] = _core.new_id()
        if group_id:
            options["group_id"] = group_id
        if chord:
            options["chord"] = chord
        if group_index is not None:
            options["group_index"] = group_index
        root_id = options.setdefault("root_id", root_id)
        parent_id = options.setdefault("parent_id", parent_id)
        ids = {"group_id": group_id, "chord": chord, "root_id": root_id, "parent_id": parent_id}
        if is_pending(self.tasks):
            before = self.tasks.results if isinstance(self.tasks, _FrozenStream) else None
            results = StreamMembers(self.app, None if before is None else before.seed)
            frozen = self._frozen_members(self.tasks, ids, results)
            self.tasks = _FrozenStream(frozen, results)
            return options["task_id"], results
        pairs = list(self._frozen_members(self.tasks, ids))
        members = [sig for sig, _ in pairs]
        if isinstance(self.tasks, list):
            self.tasks[:] = members
        else:
            self.tasks = members
        return options["task_id"], [result for _, result in pairs]

    def _frozen_members(
        self, tasks: Any, ids: dict[str, Any], stream: StreamMembers | None = None
    ) -> Iterator[tuple[Any, Any]]:
        """Copies of the members, groups among them opened, frozen as they are asked for; ``stream`` gives the ids of
        those that are read only once.
        """
        is_stream = stream is not None
        waiting = [tasks.drain() if is_stream else iter(tasks)]
        index = 0
        while waiting:
            task = next(waiting[-1], None)
            if task is None:
                waiting.pop()
                continue
            sig = maybe_signature(task, app=self._app).clone()
            if is_group(sig):
                # Last one first: a header's results are in this order, and Celery's are. Not those of a stream.
                waiting.append(iter(sig.tasks if is_stream else list(sig.tasks)[::-1]))
            elif not is_empty_chain(sig):
                task_id = None if stream is None else stream.next_id()
                yield sig, sig.freeze(task_id, group_index=index, **ids)
                index += 1

    # --------------------------------------------------------------------------------------- linking

    def link(self, sig: Any) -> Any:
        """Run ``sig`` when the first member succeeds, without its result: a chord waits for all."""
        return self.tasks[0].link(sig.clone().set(immutable=True))

    def link_error(self, sig: Any) -> Any:
        """Run ``sig`` for each member that fails; returns the copies of it."""
        errback = maybe_signature(sig)
        return tuple(task.link_error(errback.clone()) for task in self.tasks)

    def set_immutable(self, immutable: bool) -> None:
        """Whether the members take a result in front of their arguments."""
        for task in self.tasks:
            task.set_immutable(immutable)

    def stamp(
        self, visitor: StampingVisitor | None = None, append_stamps: bool = False, **headers: Any
    ) -> Any:
        """Stamp every member; arguments as for ``Signature.stamp``."""
        added = asked(visitor, "on_group_start", self, headers)
        headers = collected(self, added, append_stamps, headers)
        stamp_links(self, visitor, append_stamps, headers)
        self.tasks = stamp_tasks(self.tasks, self.app, visitor, append_stamps, headers)
        if visitor is not None:
            visitor.on_group_end(self, **headers)

    # ----------------------------------------------------------------------------------------- eager

    def apply(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """Run the members here, one after the other; returns a ``GroupResult`` of eager results."""
        app = self.app
        if not self.tasks:
            return self.freeze()
        options, group_id, _ = self._identified(options)
        given = (*(args or ()), *self.args)
        results = []
        for _, sig, partial_args in self._flat(self.tasks, ()):
            twin = sig.clone(partial_args)
            results.append(twin.apply(args=given, kwargs=kwargs, **options))
        return app.GroupResult(group_id, results)

    def __repr__(self) -> str:
        return of_group(self)


class _FrozenStream(LazyList):
    """The frozen members of a stream, and their results, which grow as it is read.

    Args:
        frozen: Members with their results.
        results: Takes the results.
    """

    def __init__(self, frozen: Iterable[tuple[Any, Any]], results: StreamMembers) -> None:
        super().__init__(self._noted(frozen))
        self.results = results
        results.read_all = self.read_all

    def _noted(self, frozen: Iterable[tuple[Any, Any]]) -> Iterator[Any]:
        for sig, result in frozen:
            self.results.take(result)
            yield sig
        self.results.read_all = None


class _Results:
    """What is kept of the results of members as they are published: of a list all, of a stream what it takes to make
    them again.

    Args:
        app: Whose results.
        tasks: The members.
    """

    def __init__(self, app: Publisher, tasks: Any) -> None:
        self._list: list[Any] = []
        self._stream: StreamMembers | None = None
        #: It took the results when the members were frozen.
        self._is_frozen = isinstance(tasks, _FrozenStream)
        if self._is_frozen:
            self._stream = tasks.results
        elif is_pending(tasks):
            self._stream = StreamMembers(app)
        self._is_first = True

    def next_id(self) -> str | None:
        """The id for the next member, unless it has one; None: any."""
        return None if self._stream is None or self._is_frozen else self._stream.next_id()

    def add(self, result: Any) -> None:
        """The next member is published."""
        if self._stream is None:
            self._list.append(result)
            return
        if self._is_first:
            self._stream.ignored = getattr(result, "ignored", False)
            self._is_first = False
        if not self._is_frozen:
            self._stream.take(result)

    @property
    def has_groups(self) -> bool:
        """A member is a group at its end."""
        if self._stream is not None:
            return self._stream.has_groups
        return any(isinstance(result, GroupResult) for result in self._list)

    def kept(self) -> Any:
        """The results: of a stream with few members a list as of any group."""
        if self._stream is None:
            return self._list
        return self._stream if self._stream.size > KEPT else list(self._stream)


def result_of(app: Publisher, group_id: str, results: Any, began: float | None = None) -> Any:
    """The result of a group.

    Args:
        app: Whose.
        group_id: Its id.
        results: A list, or ``StreamMembers``.
        began: When publishing began, of ``time.monotonic``; None: it did not.
    """
    if isinstance(results, StreamMembers):
        result: Any = StreamResult(group_id, results)
    else:
        result = app.GroupResult(group_id, results)
    result.began = began
    return result


def stamp_tasks(
    tasks: Any,
    app: Publisher,
    visitor: StampingVisitor | None,
    append: bool,
    headers: dict[str, Any],
) -> Any:
    """Stamp members, in place where they are in a list; those of a stream as they are read. Returns the members."""

    def stamped(task: Any) -> Any:
        task = maybe_signature(task, app=app)
        task.stamp(visitor, append, **headers)
        return task

    if isinstance(tasks, LazyList):
        tasks.map(stamped)
        return tasks
    done = [stamped(task) for task in tasks]
    if not isinstance(tasks, list):
        return tuple(done)
    tasks[:] = done
    return tasks


def _refuse_links(options: dict[str, Any]) -> None:
    if as_list(options.pop("link", None)):
        raise TypeError("Cannot add link to group: use a chord")
    if as_list(options.pop("link_error", None)):
        raise TypeError("Cannot add link to group: do that on individual tasks")
