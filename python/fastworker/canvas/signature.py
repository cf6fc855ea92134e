"""``Signature``: a call that has not been published yet. A dict with Celery's keys, so that any
serializer writes it.

``add.s(2) | mul.s(3)`` is a chain (``chain.py``). Groups and chords are not available yet and say
so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, NoReturn

from fastworker.canvas.publisher import Publisher
from fastworker.results.application import current_application
from fastworker.serialize.saferepr import saferepr

#: Never overridden by options given at call time when the signature has them already (Celery 5.3).
_KEPT_OPTIONS = frozenset({"group_id", "stamped_headers"})


class Signature(dict[str, Any]):
    """A task's name, arguments and options.

    Args:
        task: A task, its name, or a mapping with the keys of a signature.
        args: Positional arguments.
        kwargs: Keyword arguments.
        options: Options of ``apply_async``.
        type: The task, when ``task`` is its name and it is at hand.
        subtask_type: ``chain`` and so on for composed signatures.
        immutable: The result of the task before is not put in front of the arguments.
        app: Whose task; None: the current application's, at the time of use.
        ex: More options.
    """

    #: Classes of composed signatures by ``subtask_type``; they register themselves.
    TYPES: ClassVar[dict[str, type[Signature]]] = {}

    def __init__(
        self,
        task: Any = None,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        type: Any = None,
        subtask_type: str | None = None,
        immutable: bool = False,
        app: Publisher | None = None,
        **ex: Any,
    ) -> None:
        self._app = app
        self._type = type
        if isinstance(task, Mapping):
            super().__init__(task)
            return
        if not isinstance(task, str):
            self._type = task if type is None else type
        super().__init__(
            task=task if isinstance(task, str) else task.name,
            args=tuple(args or ()),
            kwargs=dict(kwargs or {}),
            options={**(options or {}), **ex},
            subtask_type=subtask_type,
            immutable=immutable,
        )

    @classmethod
    def register_type(cls, name: str | None = None) -> Any:
        """Class decorator: signatures with this ``subtask_type`` are of the class."""

        def register(subclass: type[Signature]) -> type[Signature]:
            Signature.TYPES[name or subclass.__name__] = subclass
            return subclass

        return register

    @classmethod
    def from_dict(cls, d: Mapping[str, Any], app: Publisher | None = None) -> Signature:
        """Rebuild a signature that travelled.

        Raises:
            NotImplementedError: It is composed of something that is not available yet.
        """
        kind = d.get("subtask_type")
        if not kind:
            return Signature(d, app=app)
        target = Signature.TYPES.get(kind)
        if target is None:
            unsupported(str(kind))
        return target.from_dict(d, app=app) if target is not cls else Signature(d, app=app)

    # -------------------------------------------------------------------------------------- calling

    def __call__(self, *partial_args: Any, **partial_kwargs: Any) -> Any:
        """Run the task here, without a worker."""
        args, kwargs, _ = self._merge(partial_args, partial_kwargs)
        return self.type(*args, **kwargs)

    def delay(self, *partial_args: Any, **partial_kwargs: Any) -> Any:
        """Publish, with more arguments in front and more keywords."""
        return self.apply_async(partial_args, partial_kwargs)

    def apply_async(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """Publish; arguments go in front of those of the signature, options are those of
        ``Task.apply_async``.
        """
        merged_args, merged_kwargs, merged_options = self._merge(args, kwargs, options)
        try:
            task = self.type
        except KeyError:  # another application's task, known by its name only
            return self.app.send_task(self.task, merged_args, merged_kwargs, **merged_options)
        return task.apply_async(merged_args, merged_kwargs, **merged_options)

    async def adelay(self, *partial_args: Any, **partial_kwargs: Any) -> Any:
        """``delay`` for a coroutine."""
        return await self.aapply_async(partial_args, partial_kwargs)

    async def aapply_async(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """``apply_async`` for a coroutine: waits for the broker without blocking the loop."""
        merged_args, merged_kwargs, merged_options = self._merge(args, kwargs, options)
        try:
            task = self.type
        except KeyError:  # another application's task, known by its name only
            return await self.app.asend_task(
                self.task, merged_args, merged_kwargs, **merged_options
            )
        return await task.aapply_async(merged_args, merged_kwargs, **merged_options)

    def apply(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """Run here and return an ``EagerResult``."""
        merged_args, merged_kwargs, merged_options = self._merge(args, kwargs, options)
        return self.type.apply(merged_args, merged_kwargs, **merged_options)

    def __invert__(self) -> Any:
        """``~sig`` publishes and waits for the result."""
        return self.apply_async().get()

    # ------------------------------------------------------------------------------------ composing

    def __or__(self, other: Any) -> Any:
        """``a | b``: ``b`` runs with the result of ``a`` in front of its arguments."""
        from fastworker.canvas.chain import Chain

        if not isinstance(other, Mapping):
            return NotImplemented
        return Chain.of(self, maybe_signature(other, self._app), app=self._app)

    def clone(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **opts: Any,
    ) -> Any:
        """A copy with more arguments and other options; the original keeps its own."""
        merged_args, merged_kwargs, merged_options = self._merge(args, kwargs, opts)
        twin = Signature.from_dict(dict(self), app=self._app)
        twin._type = self._type
        twin.update(args=tuple(merged_args), kwargs=merged_kwargs, options=_copied(merged_options))
        return twin

    partial = clone

    def set(self, immutable: bool | None = None, **options: Any) -> Signature:
        """Change options in place; returns itself."""
        if immutable is not None:
            self.set_immutable(immutable)
        self.options.update(options)
        return self

    def set_immutable(self, immutable: bool) -> None:
        """Whether the result of the task before is left out of the arguments."""
        self["immutable"] = immutable

    def link(self, callback: Any) -> Any:
        """Run ``callback`` with the result when the task succeeds; returns the callback."""
        return self._append("link", callback)

    def link_error(self, errback: Any) -> Any:
        """Run ``errback`` when the task fails; returns the errback."""
        return self._append("link_error", errback)

    def on_error(self, errback: Any) -> Signature:
        """``link_error`` that returns the signature."""
        self.link_error(errback)
        return self

    def _append(self, key: str, signature: Any) -> Any:
        linked = as_list(self.options.get(key))
        if signature not in linked:
            linked.append(signature)
        self.options[key] = linked
        return signature

    def freeze(
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Any = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> Any:
        """Give the call its id now, so that its result can be spoken of before it is published."""
        options = self.options
        if "task_id" not in options:
            if _id is None:
                from fastworker import _core

                _id = _core.new_id()
            options["task_id"] = _id
        reply_to = getattr(self.app, "thread_oid", None)
        given = {
            "reply_to": reply_to,
            "root_id": root_id,
            "parent_id": parent_id,
            "group_id": group_id,
            "chord": chord,
            "group_index": group_index,
        }
        for key, value in given.items():
            if value is not None:
                options.setdefault(key, value)
        return self.app.AsyncResult(options["task_id"])

    _freeze = freeze

    def replace(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Signature:
        """A copy with other arguments or options in place of its own."""
        twin: Signature = self.clone()
        if args is not None:
            twin["args"] = tuple(args)
        if kwargs is not None:
            twin["kwargs"] = dict(kwargs)
        if options is not None:
            twin["options"] = dict(options)
        return twin

    def flatten_links(self) -> list[Any]:
        """The linked callbacks, theirs, and so on, this signature first."""
        found: list[Any] = [self]
        for linked in as_list(self.options.get("link")):
            found.extend(maybe_signature(linked, self._app).flatten_links())
        return found

    def stamp(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Not available yet."""
        unsupported("stamp")

    def _merge(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        force: bool = False,
    ) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]:
        given = options or {}
        kept = _KEPT_OPTIONS & self.options.keys()
        merged = {**self.options, **{k: v for k, v in given.items() if k not in kept}}
        if self.immutable and not force:
            return tuple(self.args), dict(self.kwargs), merged
        return (*(args or ()), *self.args), {**self.kwargs, **(kwargs or {})}, merged

    # ---------------------------------------------------------------------------------------- parts

    @property
    def app(self) -> Publisher:
        """The application that publishes it."""
        if self._app is None:
            self._app = getattr(self._type, "app", None) or current_application()  # type: ignore[assignment]
        return self._app  # type: ignore[return-value]

    @property
    def type(self) -> Any:
        """The task.

        Raises:
            NotRegistered: There is none of that name here.
        """
        return self._type if self._type is not None else self.app.tasks[self.task]

    @property
    def task(self) -> str:
        """The task's name."""
        return str(self["task"])

    name = task

    @property
    def args(self) -> Any:
        """Positional arguments."""
        return self["args"]

    @property
    def kwargs(self) -> dict[str, Any]:
        """Keyword arguments."""
        return self["kwargs"]  # type: ignore[no-any-return]

    @property
    def options(self) -> dict[str, Any]:
        """Options of ``apply_async``."""
        return self["options"]  # type: ignore[no-any-return]

    @property
    def subtask_type(self) -> str | None:
        """What it is composed of, None for a single task."""
        return self.get("subtask_type")

    @property
    def immutable(self) -> bool:
        """The result of the task before is not put in front of the arguments."""
        return bool(self.get("immutable"))

    @property
    def id(self) -> str | None:
        """The task id, once it was frozen or given."""
        return self.options.get("task_id")

    @property
    def parent_id(self) -> str | None:
        """The id of the publishing task, once it is known."""
        return self.options.get("parent_id")

    @property
    def root_id(self) -> str | None:
        """The id of the workflow's first task, once it is known."""
        return self.options.get("root_id")

    def election(self) -> NoReturn:
        """Not available yet."""
        unsupported("election")

    def reprcall(self, *args: Any, **kwargs: Any) -> str:
        """The call as Python would write it."""
        merged_args, merged_kwargs, _ = self._merge(args, kwargs, {}, force=True)
        parts = [saferepr(value) for value in merged_args]
        parts += [f"{key}={saferepr(value)}" for key, value in merged_kwargs.items()]
        return f"{self.task}({', '.join(parts)})"

    def __json__(self) -> dict[str, Any]:
        return dict(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return Signature.from_dict, (dict(self),)

    def __deepcopy__(self, memo: dict[int, Any]) -> Signature:
        memo[id(self)] = self
        return self.clone()  # type: ignore[no-any-return]

    def __copy__(self) -> Signature:
        return self.clone()  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return self.reprcall()

    def items_in_order(self) -> Iterator[Signature]:
        """The steps of a composed signature; itself for a single task."""
        yield self


def signature(varies: Any, *args: Any, **kwargs: Any) -> Signature:
    """A signature of a task, a task's name, or a mapping that travelled (Celery's
    ``signature``).
    """
    app = kwargs.get("app")
    if isinstance(varies, Mapping):
        return (
            varies.clone()
            if isinstance(varies, Signature)
            else Signature.from_dict(varies, app=app)
        )
    return Signature(varies, *args, **kwargs)


def maybe_signature(d: Any, app: Publisher | None = None, clone: bool = False) -> Any:
    """A signature for a mapping; a signature as it is, or cloned; None for None."""
    if d is None:
        return None
    if isinstance(d, Signature):
        d = d.clone() if clone else d
    elif isinstance(d, Mapping):
        d = signature(dict(d), app=app)
    if app is not None and isinstance(d, Signature) and d._app is None:
        d._app = app
    return d


def as_list(value: Any) -> list[Any]:
    """A list of one or more signatures; a mapping counts as one, None as none."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def plain(value: Any) -> Any:
    """Signatures as plain dicts, all the way down: the other end may not be fastworker, whatever
    the serializer.
    """
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def unsupported(what: str) -> NoReturn:
    """
    Raises:
        NotImplementedError: Always; names what and what to do.
    """
    raise NotImplementedError(
        f"{what!r} is not available in this version of fastworker: single tasks and chains of "
        f"tasks are. "
        "Run workflows that need it on Celery workers for now"
    )


def _copied(options: dict[str, Any]) -> dict[str, Any]:
    """Options whose lists are their own, so that linking to a clone does not link to the
    original.
    """
    return {
        key: list(value) if isinstance(value, list) else value for key, value in options.items()
    }


subtask = signature
