"""``Signature``: a call that has not been published yet. A dict with Celery's keys, so that any
serializer writes it.

``add.s(2) | mul.s(3)`` is a chain (``chain.py``); what ``|`` makes of all the kinds is in ``composing.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

from fastworker import _core
from fastworker.canvas.calls import Calls, One
from fastworker.canvas.copying import copied
from fastworker.canvas.items import item, option
from fastworker.canvas.publisher import Publisher
from fastworker.results.application import current_application
from fastworker.results.references import StoredSteps

if TYPE_CHECKING:
    from fastworker.canvas.stamping import StampingVisitor

#: Never overridden by options given at call time when the signature has them already: a task that changed its group
#: would be missing in it.
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
    _app: Publisher | None
    _type: Any

    task = item("task", "The task's name.")
    name = item("task", "The same as ``task``.")
    args = item("args", "Positional arguments.")
    kwargs = item("kwargs", "Keyword arguments.")
    options = item("options", "Options of ``apply_async``.")
    subtask_type = item("subtask_type", "What it is composed of, None for a single task.")
    immutable = item("immutable", "The result of the task before is not put before ``args``.")
    id = option("task_id", "The task's id, once it was frozen or given.")
    parent_id = option("parent_id", "The id of the publishing task, once it is known.")
    root_id = option("root_id", "The id of the workflow's first task, once it is known.")

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
        if not isinstance(task, str) and hasattr(task, "name"):
            self._type = task if type is None else type
            task = task.name
        super().__init__(
            task=task,
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
    def from_dict(cls, d: Mapping[str, Any], app: Publisher | None = None) -> Any:
        """Rebuild a signature that travelled.

        Raises:
            KeyError: It is of a kind that nobody has registered.
        """
        kind = d.get("subtask_type")
        if kind:
            target = Signature.TYPES[kind]
            if target is not cls:
                return target.from_dict(d, app=app)
        return Signature(d, app=app)

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
        merged_args, merged_kwargs, merged_options = self._merge(args, kwargs, _said(options))
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
        merged_args, merged_kwargs, merged_options = self._merge(args, kwargs, _said(options))
        try:
            task = self.type
        except KeyError:  # another application's task, known by its name only
            return await self.app.asend_task(
                self.task, merged_args, merged_kwargs, **merged_options
            )
        return await task.aapply_async(merged_args, merged_kwargs, **merged_options)

    def calls(self, args: Any = None, kwargs: Any = None, **options: Any) -> Calls:
        """The calls of single tasks that publishing it comes to; see ``calls.py``."""
        return (yield One(self, args, kwargs, options))

    def apply(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """Run here and return an ``EagerResult``."""
        merged_args, merged_kwargs, merged_options = self._merge(args, kwargs, _said(options))
        return self.type.apply(merged_args, merged_kwargs, **merged_options)

    def __invert__(self) -> Any:
        """``~sig`` publishes and waits for the result."""
        return self.apply_async().get()

    # ------------------------------------------------------------------------------------ composing

    def __or__(self, other: Any) -> Any:
        """``a | b``: ``b`` runs with the result of ``a`` in front of its arguments."""
        from fastworker.canvas.composing import task_then

        return task_then(self, other)

    def __ior__(self, other: Any) -> Any:
        # Of dicts, ``|=`` is an update in place; of signatures it is ``|``.
        return self.__or__(other)

    def clone(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **opts: Any,
    ) -> Any:
        """A copy with more arguments and other options; the original keeps its own."""
        merged_args, merged_kwargs, merged_options = self._merge(args, kwargs, opts)
        twin = Signature.from_dict(
            {
                "task": self["task"],
                "args": tuple(merged_args),
                "kwargs": dict(merged_kwargs),
                "options": copied(merged_options),
                "subtask_type": self.get("subtask_type"),
                "immutable": self.get("immutable", False),
            },
            app=self._app,
        )
        twin._type = self._type
        return twin

    partial = clone

    def replace(self, args: Any = None, kwargs: Any = None, options: Any = None) -> Signature:
        """A copy with other arguments or options in place of its own."""
        twin: Signature = self.clone()
        if args is not None:
            twin["args"] = args
        if kwargs is not None:
            twin["kwargs"] = kwargs
        if options is not None:
            twin["options"] = options
        return twin

    def set(self, immutable: bool | None = None, **options: Any) -> Signature:
        """Change options in place; returns itself."""
        if immutable is not None:
            self.set_immutable(immutable)
        self.options.update(options)
        return self

    def set_immutable(self, immutable: bool) -> None:
        """Whether the result of the task before is left out of the arguments."""
        self["immutable"] = immutable

    # -------------------------------------------------------------------------------------- linking

    def link(self, callback: Any) -> Any:
        """Run ``callback`` with the result when the task succeeds; returns the callback."""
        return self.append_to_list_option("link", callback)

    def link_error(self, errback: Any) -> Any:
        """Run ``errback`` when the task fails; returns the errback."""
        return self.append_to_list_option("link_error", errback)

    def on_error(self, errback: Any) -> Signature:
        """``link_error`` that returns the signature."""
        self.link_error(errback)
        return self

    def append_to_list_option(self, key: str, value: Any) -> Any:
        """Add to an option that is a list, unless it is there; returns the value."""
        items = self._list_option(key)
        if value not in items:
            items.append(value)
        return value

    def extend_list_option(self, key: str, value: Any) -> None:
        """Add one or several to an option that is a list."""
        self._list_option(key).extend(as_list(value))

    def _list_option(self, key: str) -> list[Any]:
        items = self.options.get(key)
        if not isinstance(items, list):
            items = self.options[key] = as_list(items)
        return items

    def flatten_links(self) -> list[Any]:
        """The linked callbacks, theirs, and so on, this signature first."""
        found: list[Any] = []
        waiting: list[Any] = [self]
        while waiting:
            sig = maybe_signature(waiting.pop(), self._app)
            found.append(sig)
            waiting.extend(reversed(as_list(sig.options.get("link"))))
        return found

    # ------------------------------------------------------------------------------------- stamping

    def stamp(
        self, visitor: StampingVisitor | None = None, append_stamps: bool = False, **headers: Any
    ) -> Any:
        """Put stamps on it, and on what is linked to it.

        Args:
            visitor: Says what stamps which part gets.
            append_stamps: Two values of one stamp become a list. False: the first stays.
            headers: Stamps that all get.
        """
        from fastworker.canvas.stamping import asked, collected, stamp_links

        stamp_links(self, visitor, append_stamps, headers)
        added = asked(visitor, "on_signature", self, headers)
        return self.set(**collected(self, added, append_stamps, headers))

    # ------------------------------------------------------------------------------------- freezing

    def freeze(
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Any = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> Any:
        """Give the call its id now, so that its result can be spoken of before it is published.

        Args:
            _id: The id, unless it has one; None draws one.
            group_id: Its group, unless it has one.
            chord: Body of the chord that it is a header member of.
            root_id: Id of the workflow's first task.
            parent_id: Id of the task that publishes it.
            group_index: Its place in the group.

        Returns:
            Its result.
        """
        options = self["options"]
        task_id = options.get("task_id")
        if task_id is None:
            task_id = options["task_id"] = _id or _core.new_id()
        if root_id:
            options["root_id"] = root_id
        if parent_id:
            options["parent_id"] = parent_id
        if "reply_to" not in options:
            options["reply_to"] = self.app.thread_oid
        if group_id and "group_id" not in options:
            options["group_id"] = group_id
        if chord:
            options["chord"] = chord
        if group_index is not None:
            options["group_index"] = group_index
        return self.AsyncResult(task_id)

    _freeze = freeze

    @property
    def AsyncResult(self) -> Any:
        """The class of its result."""
        try:
            return self.type.AsyncResult
        except KeyError:  # not registered here
            return self.app.AsyncResult

    def _merge(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        force: bool = False,
    ) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        own: dict[str, Any] = self["options"]
        merged = own
        if options:
            kept = _KEPT_OPTIONS
            if own.get("stamped_headers"):
                kept = kept.union(own["stamped_headers"])
            merged = {**own, **{k: v for k, v in options.items() if k not in kept or k not in own}}
        if self.get("immutable") and not force:
            return self["args"], self["kwargs"], merged
        return (
            (*args, *self["args"]) if args else self["args"],
            {**self["kwargs"], **kwargs} if kwargs else self["kwargs"],
            merged,
        )

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
        return self._type if self._type is not None else self.app.tasks[self["task"]]

    @type.setter
    def type(self, task: Any) -> None:
        self._type = task

    def reprcall(self, *args: Any, **kwargs: Any) -> str:
        """The call as Python would write it."""
        merged_args, merged_kwargs, _ = self._merge(args, kwargs, {}, force=True)
        parts = [repr(value) for value in merged_args]
        parts += [f"{key}={value!r}" for key, value in merged_kwargs.items()]
        return f"{self['task']}({', '.join(parts)})"

    __json__ = dict.copy

    def __reduce__(self) -> tuple[Any, ...]:
        return signature, (dict(self),)

    def __deepcopy__(self, memo: dict[int, Any]) -> Signature:
        # Its options are its own; arguments may be a stream, which cannot be read twice.
        twin = memo[id(self)] = copied(self)
        return twin  # type: ignore[no-any-return]

    def __copy__(self) -> Signature:
        return self.clone()  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return self.reprcall()


def signature(varies: Any, *args: Any, **kwargs: Any) -> Any:
    """A signature of a task, a task's name, or a mapping that travelled; a signature is cloned (Celery's
    ``signature``).
    """
    if isinstance(varies, Signature):
        return varies.clone()
    if isinstance(varies, Mapping):
        return Signature.from_dict(varies, app=kwargs.get("app"))
    return Signature(varies, *args, **kwargs)


def maybe_signature(d: Any, app: Publisher | None = None, clone: bool = False) -> Any:
    """A signature for a mapping; a signature as it is, or cloned; None for None; anything else as it is."""
    if isinstance(d, Signature):
        d = d.clone() if clone else d
    elif isinstance(d, Mapping):
        d = Signature.from_dict(d, app=app)
    if app is not None and isinstance(d, Signature):
        d._app = app
    return d


def as_list(value: Any) -> list[Any]:
    """A list of one or more signatures; a mapping counts as one, None as none. Stored steps stay as they are."""
    if value is None:
        return []
    if isinstance(value, StoredSteps):
        return cast("list[Any]", value)
    return list(value) if isinstance(value, list | tuple) else [value]


def _said(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that say something: None leaves the signature's own."""
    return {key: value for key, value in options.items() if value is not None}


subtask = signature
maybe_subtask = maybe_signature
