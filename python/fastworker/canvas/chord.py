"""``chord``: a group, its header, and a task, its body, that gets the results of all.

Each header member carries the body; the worker that settles the last of them publishes it.
Source: celery/canvas.py (``_chord``).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from fastworker import _core
from fastworker.canvas import chord_errors, reduction
from fastworker.canvas.apps import app_of, own_app
from fastworker.canvas.calls import Calls, StoreStep, apublish, calls_of, publish
from fastworker.canvas.composing import chord_then
from fastworker.canvas.items import part
from fastworker.canvas.kinds import is_chain, is_chord, is_group, kind, make
from fastworker.canvas.lazy import LazyList
from fastworker.canvas.linking import add_body_callbacks, size_of, strip_header_links
from fastworker.canvas.nesting import told
from fastworker.canvas.publisher import Publisher
from fastworker.canvas.reprs import of_chord
from fastworker.canvas.signature import Signature, as_list, maybe_signature, signature
from fastworker.canvas.stamping import StampingVisitor, asked, collected, stamp_links
from fastworker.errors import CPendingDeprecationWarning
from fastworker.results.joining import allow_join_result
from fastworker.results.result_set import GroupResult
from fastworker.results.stream_members import StreamMembers

#: When the header runs, not when the body does.
_DELAYS = ("countdown", "eta")
#: Of Celery's way to join by polling, and of its connections: without meaning here.
_WITHOUT_MEANING = (
    "connection",
    "interval",
    "max_retries",
    "producer",
    "publisher",
    "result_cls",
    "router",
)
_OLD_ERRBACK_RULE = (
    "task_allow_error_cb_on_chord_header=False is pending deprecation in a future release of Celery.\n"
    "Please test the new behavior by setting task_allow_error_cb_on_chord_header to True and report "
    "any concerns you might have in our issue tracker before we make a final decision regarding how "
    "errbacks should behave when used with chords."
)


@kind("chord")
class chord(Signature):
    """``chord(header)(body)``, or ``group | task``.

    Args:
        header: Signatures, or a group.
        body: A signature, which gets the list of results as its first argument.
        task: Ignored, as in Celery.
        args: In front of every member's arguments.
        kwargs: ``{"kwargs": {…}}``: more keywords of every member.
        app: Whose tasks they are.
        errors: What becomes of it when members fail. ``"fail"``, as in Celery: the body fails when all members have
            ended. ``"continue"``: the body runs, with a ``MemberFailure`` in the place of each result that is missing.
            ``"fail_fast"``: the body fails with the first failure, and what has not begun is revoked. A number: so
            many may fail, as with ``"continue"``, and one more fails the body at once. None: the setting
            ``task_chord_errors``. A Celery worker that completes the chord knows ``"fail"`` only.
        reduce: The body folds the results so many at a time: it gets lists of at most that many, of the members'
            results and then of its own, in the order of the header, until one value is left, which is the chord's
            result. So a stream of any length is joined in bounded memory. For tasks and chains whose queues fastworker
            alone serves.
        options: ``task_id`` of the body, ``link`` and ``link_error`` of the body, others for both.
    """

    tasks = part("header", "The header.")
    body = part("body", "What gets the results.")

    def __init__(
        self,
        header: Any,
        body: Any = None,
        task: str = "celery.chord",
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        app: Publisher | None = None,
        errors: chord_errors.Policy | None = None,
        reduce: int | None = None,
        **options: Any,
    ) -> None:
        try:
            parts = {"header": _header(header, app), "body": maybe_signature(body, app=app)}
        except RecursionError as exc:  # members are copied, with all that is in them
            raise told(exc) from None
        if errors is not None:
            parts["errors"] = chord_errors.checked(errors)
        if reduce is not None:
            parts["reduce"] = reduction.checked(reduce)
        super().__init__(task, args, {**(kwargs or {"kwargs": {}}), **parts}, app=app, **options)
        self["subtask_type"] = "chord"

    @classmethod
    def from_dict(cls, d: Mapping[str, Any], app: Publisher | None = None) -> Any:
        """Rebuild a chord that travelled."""
        rest = dict(d)
        kwargs = dict(rest.pop("kwargs"))
        header, body = kwargs.pop("header", None), kwargs.pop("body", None)
        return cls(header, body, kwargs=kwargs, app=app, **rest)

    @property
    def app(self) -> Publisher:
        """Its own application, else that of a member, else that of its body."""
        app: Publisher = app_of(self)
        return app

    @property
    def errors(self) -> chord_errors.Policy | None:
        """What becomes of it when members fail; None: what ``task_chord_errors`` says where it is published."""
        errors: chord_errors.Policy | None = self.kwargs.get("errors")
        return errors

    @errors.setter
    def errors(self, errors: chord_errors.Policy | None) -> None:
        if errors is None:
            self.kwargs.pop("errors", None)
        else:
            self.kwargs["errors"] = chord_errors.checked(errors)

    def _policy(self, app: Publisher) -> chord_errors.Policy:
        if self.errors is not None:
            return self.errors
        return chord_errors.policy_set(app.conf.task_chord_errors)

    def __or__(self, other: Any) -> Any:
        return chord_then(self, other)

    def __call__(self, body: Any = None, **options: Any) -> Any:
        """Publish, with another body if given."""
        return self.apply_async((), {"body": body} if body else {}, **options)

    def __length_hint__(self) -> int:
        tasks = self.tasks.tasks if is_group(self.tasks) else self.tasks
        return sum(size_of(task) for task in tasks)

    def clone(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **opts: Any,
    ) -> Any:
        """A copy, with a copy of the body."""
        twin = super().clone(args, kwargs, **opts)
        twin.body = maybe_signature(twin.body, clone=True)
        return twin

    def unroll_body(self) -> list[Any]:
        """``chord(header, a | b | c)`` as ``[chord(header, a), b, c]``: each member carries a copy of the body, so the
        rest of a chain must not be in it.
        """
        from fastworker.canvas.chain import OWN_OPTIONS

        twin = self.clone()
        steps = twin.body.unchain_tasks()
        passed_on = {k: v for k, v in twin.body.options.items() if k not in OWN_OPTIONS}
        twin.body = steps[0].clone(**passed_on)
        return [twin, *steps[1:]]

    # ------------------------------------------------------------------------------------ publishing

    def apply_async(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """Publish the header.

        Args:
            args: In front of every member's arguments.
            kwargs: More keywords of every member; ``body`` is used in place of the chord's own.
            options: ``task_id`` of the body; ``link`` and ``link_error`` for the body; ``countdown`` and ``eta`` for
                the header, ``max_queue_length`` as for a group; others for both.

        Returns:
            The body's result, whose parent is the header's. An empty header has the body run at once, with an empty
            list.
        """
        if self.app.conf.task_always_eager:
            return self._apply_eagerly(args, dict(kwargs or {}), options)
        return publish(self.app, self.calls(args, kwargs, **options))

    async def aapply_async(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """``apply_async`` for a coroutine."""
        if self.app.conf.task_always_eager:
            return self._apply_eagerly(args, dict(kwargs or {}), options)
        return await apublish(self.app, self.calls(args, kwargs, **options))

    def calls(self, args: Any = None, kwargs: Any = None, **options: Any) -> Calls:
        """Those of the header; of the body when there is no header."""
        kwargs, options = dict(kwargs or {}), _meaningful(options)
        max_queue_length = options.pop("max_queue_length", None)
        given = (*args, *self.args) if args and not self.immutable else self.args
        body = kwargs.pop("body", None) or self.body
        kwargs = {**(self.kwargs.get("kwargs") or {}), **kwargs}
        task_id = options.pop("task_id", None)
        said = {**self.options, **options}
        task_id = task_id or said.pop("task_id", None)
        delay = {key: said.pop(key) for key in _DELAYS if said.get(key) is not None}
        for key in _DELAYS:
            options.pop(key, None)
            said.pop(key, None)
        links: dict[str, Any] = {
            key: options.pop(key) for key in ("link", "link_error") if key in options
        }
        body = body.clone(**_for_body(options))
        app = own_app(self) or app_of(body)
        header = self._header_copy(app)
        group_id = header.options.get("task_id") or _core.new_id()
        root_id = body.options.get("root_id")
        merged = {**said, **links}
        if merged:
            merged.pop("task_id", None)
            body = add_body_callbacks(body, merged)
            body.options.update(_for_body(merged))
        policy, every = self._policy(app), self.kwargs.get("reduce")
        reducer: dict[str, Any] | None = None
        if every is not None and header.tasks:
            reducer, body = reduction.final_of(body)
        if is_chain(body):
            body.unroll_chords()
        result = body.freeze(task_id or _core.new_id(), group_id=group_id, root_id=root_id)
        strip_header_links(body)
        if reducer is None and policy != chord_errors.DEFAULT:
            body.options[chord_errors.OPTION] = policy
        for name in ("chain", "chord", "task_id"):
            # What follows is the body's business, and what waits for the body too.
            merged.pop(name, None)
        app.backend.ensure_chords_allowed()
        if reducer is not None:
            first = reduction.new_fold(every, body)
            said_of_errors = chord_errors.of_fold(policy)
            sent = {**merged, **delay}
            if root_id is not None:
                sent["root_id"] = root_id
            yield from reduction.calls(
                app,
                header.tasks,
                first,
                reducer,
                said_of_errors,
                given,
                kwargs,
                sent,
                max_queue_length,
            )
            return result
        if chord_errors.borne_early(policy) is not None:
            header.tasks = chord_errors.stamped(header.tasks, app, group_id)
        header.options["task_id"] = group_id
        own_id, results = header.freeze_members(group_id=group_id, chord=body, root_id=root_id)
        if header.tasks:
            if not isinstance(results, StreamMembers) and any(
                isinstance(result, GroupResult) for result in results
            ):
                # What the body gets has the shape of the header: the joiner needs to know it. A stream's is saved at
                # its end, by the group.
                whole = app.GroupResult(own_id, results)
                yield StoreStep(app.backend.save_group, (own_id, whole))
            options = {**merged, **delay, "task_id": group_id}
            if max_queue_length is not None:
                options["max_queue_length"] = max_queue_length
            header_result = yield from calls_of(header, given, kwargs, options)
        else:
            header_result = app.GroupResult(own_id, [])
            body.options.pop(chord_errors.OPTION, None)
            yield from calls_of(body, ([],), None, {})
        header_result.bears_failures = chord_errors.bears_some(policy)
        result.parent = header_result
        return result

    def _header_copy(self, app: Publisher) -> Any:
        tasks = self.tasks
        if is_group(tasks):
            return tasks.clone()
        if isinstance(tasks, list) and not isinstance(tasks, LazyList):
            tasks = tasks[:]  # freezing replaces the members in place
        return make("group", tasks, app=app, task_id=self.options.get("task_id") or _core.new_id())

    def freeze(
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Any = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> Any:
        """Give all members and the body their ids; the chord's result is the body's."""
        if not is_group(self.tasks):
            self.tasks = make("group", self.tasks, app=self.app)
        header_result = self.tasks.freeze(parent_id=parent_id, root_id=root_id, chord=self.body)
        self.id = self.tasks.id
        if self.body is None:
            return None
        result = self.body.freeze(
            _id, root_id=root_id, chord=chord, group_id=group_id, group_index=group_index
        )
        # The body may be a chain: the header is the parent of the first of its results.
        node, seen = result, set()
        while node.parent is not None:
            seen.add(node.id)
            node = node.parent
            if node.id in seen:
                raise RuntimeError("Recursive result parents")
        header_result.bears_failures = chord_errors.bears_some(self._policy(self.app))
        node.parent = header_result
        return result

    _freeze = freeze

    # --------------------------------------------------------------------------------------- linking

    def link(self, callback: Any) -> Any:
        """Run ``callback`` with the body's result; returns the callback."""
        self.body.link(callback)
        return callback

    def link_error(self, errback: Any) -> Any:
        """Run ``errback`` when the body fails, or cannot run since a member has failed; returns the errback.

        With ``task_allow_error_cb_on_chord_header`` also for each member that fails.
        """
        errback = maybe_signature(errback)
        tasks = as_list(self.tasks)
        if self.app.conf.task_allow_error_cb_on_chord_header:
            for task in tasks:
                task.link_error(errback.clone(immutable=True))
        else:
            warnings.warn(_OLD_ERRBACK_RULE, CPendingDeprecationWarning, stacklevel=2)
        for task in tasks:
            if is_chord(task):
                task.link_error(errback)
        self.body.link_error(errback)
        return errback

    def set_immutable(self, immutable: bool) -> None:
        """Whether the members take a result in front of their arguments; the body always gets theirs."""
        for task in self.tasks:
            task.set_immutable(immutable)

    def stamp(
        self, visitor: StampingVisitor | None = None, append_stamps: bool = False, **headers: Any
    ) -> Any:
        """Stamp every member, and with a visitor the body; arguments as for ``Signature.stamp``."""
        from fastworker.canvas.group import stamp_tasks

        members = self.tasks.tasks if is_group(self.tasks) else self.tasks
        added = asked(visitor, "on_chord_header_start", self, headers)
        headers = collected(self, added, append_stamps, headers)
        stamp_links(self, visitor, append_stamps, headers)
        stamp_tasks(members, self.app, visitor, append_stamps, headers)
        if visitor is None:
            return
        visitor.on_chord_header_end(self, **headers)
        if self.body is not None:
            added = asked(visitor, "on_chord_body", self, headers)
            headers = collected(self, added, append_stamps, headers)
            self.body.stamp(visitor, append_stamps, **headers)

    # ----------------------------------------------------------------------------------------- eager

    def apply(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        propagate: bool = True,
        body: Any = None,
        **options: Any,
    ) -> Any:
        """Run the members here, then the body; returns its ``EagerResult``.

        Args:
            args: In front of every member's arguments.
            kwargs: More keywords of every member.
            propagate: Raise the exception of a member that failed, unless ``errors`` says otherwise. False: the body
                gets it in the list.
            body: In place of the chord's own.
            options: Ignored, as in Celery.
        """
        body = self.body if body is None else body
        header = self._header_copy(self.app)
        done = header.apply((*(args or ()), *self.args), kwargs)
        policy = self._policy(self.app)
        if propagate and policy != chord_errors.DEFAULT:
            values = chord_errors.outcomes(done, {})
            chord_errors.judge(list(chord_errors.failures_in(values)), policy)
        else:
            # They are there already: nothing is waited for.
            values = done.get(propagate=propagate, disable_sync_subtasks=False)
        every = self.kwargs.get("reduce")
        if every is None or not values:
            return body.apply(args=(values,))
        reducer, last = reduction.final_of(body)

        def fold(some: list[Any]) -> Any:
            done = maybe_signature(reducer, app=self.app).apply(args=(some,))
            return done.get(propagate=propagate, disable_sync_subtasks=False)

        return last.apply(args=(reduction.folded(values, every, fold),))

    def _apply_eagerly(self, args: Any, kwargs: dict[str, Any], options: dict[str, Any]) -> Any:
        options = _meaningful(options)
        options.pop("max_queue_length", None)
        body = kwargs.pop("body", None) or self.body
        kwargs = {**(self.kwargs.get("kwargs") or {}), **kwargs}
        links: dict[str, Any] = {
            key: options.pop(key) for key in ("link", "link_error") if key in options
        }
        options.pop("task_id", None)
        for key in _DELAYS:
            options.pop(key, None)
        said: dict[str, Any] = {**self.options, **links}
        body = add_body_callbacks(body.clone(**_for_body(options)), said)
        with allow_join_result():
            return self.apply(args, kwargs, body=body)

    def __repr__(self) -> str:
        return of_chord(self)


def _header(tasks: Any, app: Publisher | None) -> Any:
    """The members of whatever was given as a header."""
    if isinstance(tasks, Mapping) and not isinstance(tasks, Signature):
        tasks = Signature.from_dict(tasks, app=app)
    if is_group(tasks) or is_chain(tasks):
        # Freezing replaces the members of a list in place: this chord's own.
        return tasks.tasks[:] if type(tasks.tasks) is list else tasks.tasks
    if isinstance(tasks, Signature):
        return [tasks]
    made = (signature(task, app=app) for task in tasks)
    return list(made) if isinstance(tasks, list | tuple) else LazyList(made)


def _for_body(options: Mapping[str, Any]) -> dict[str, Any]:
    """The member that completes the header is the body's parent."""
    return {key: value for key, value in options.items() if key != "parent_id"}


def _meaningful(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in _WITHOUT_MEANING}
