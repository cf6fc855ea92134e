"""``xmap``, ``xstarmap`` and ``chunks``: many calls of one task, some or all of them in one message."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, ClassVar, NoReturn

from fastworker.canvas.calls import Calls, One, apublish, publish
from fastworker.canvas.group import group
from fastworker.canvas.lazy import as_lazy
from fastworker.canvas.publisher import Publisher
from fastworker.canvas.reprs import of_map
from fastworker.canvas.signature import Signature


class _Map(Signature):
    """One message that has a worker call ``task`` for each item, one after the other.

    Args:
        task: A signature; only its task counts.
        it: The items.
        options: Options of ``apply_async``.
    """

    task_name: ClassVar[str]
    _call: ClassVar[str]

    def __init__(self, task: Any, it: Any, **options: Any) -> None:
        super().__init__(
            self.task_name, (), {"task": task, "it": as_lazy(it)}, immutable=True, **options
        )

    def clone(self, args: Any = None, kwargs: Any = None, **opts: Any) -> Any:
        """A copy, whose items are all read: as for Celery a plain signature of the built-in task."""
        self.kwargs["it"] = list(self.kwargs["it"])
        return super().clone(args, kwargs, **opts)

    @classmethod
    def from_dict(cls, d: Mapping[str, Any], app: Publisher | None = None) -> Any:
        """Rebuild one that travelled."""
        return cls(d["kwargs"]["task"], d["kwargs"]["it"], app=app, **d["options"])

    def _whole(self, options: Mapping[str, Any]) -> One:
        """Its only call: routed as the task that is called in it."""
        route = (
            options.get("route_name")
            or self.options.get("route_name")
            or _name_of(self.kwargs["task"])
        )
        items = {"task": self.kwargs["task"], "it": list(self.kwargs["it"])}
        sig = Signature(
            self.task, (), items, dict(self.options), type=self._type, immutable=True, app=self._app
        )
        return One(sig, None, None, {**options, "route_name": route})

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Publish; arguments are ignored."""
        return publish(self.app, self.calls(**options))

    async def aapply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """``apply_async`` for a coroutine."""
        return await apublish(self.app, self.calls(**options))

    def calls(self, args: Any = None, kwargs: Any = None, **options: Any) -> Calls:
        """One."""
        return (yield self._whole(options))

    def __repr__(self) -> str:
        return of_map(self, self._call)


@Signature.register_type()
class xmap(_Map):
    """``[task(item) for item in it]`` in one message."""

    task_name = "celery.map"
    _call = "x"


@Signature.register_type()
class xstarmap(_Map):
    """``[task(*item) for item in it]`` in one message."""

    task_name = "celery.starmap"
    _call = "*x"


@Signature.register_type()
class chunks(Signature):
    """``task(*item)`` for each item, ``n`` of them in a message.

    Args:
        task: A signature; only its task counts.
        it: Sequences of arguments.
        n: Calls in one message.
        options: Options of ``apply_async``.
    """

    def __init__(self, task: Any, it: Any, n: int, **options: Any) -> None:
        items = {"task": task, "it": as_lazy(it), "n": n}
        super().__init__("celery.chunks", (), items, immutable=True, **options)

    @classmethod
    def from_dict(cls, d: Mapping[str, Any], app: Publisher | None = None) -> Any:
        """Rebuild one that travelled."""
        kwargs = d["kwargs"]
        return cls(kwargs["task"], kwargs["it"], kwargs["n"], app=app, **d["options"])

    def __call__(self, **options: Any) -> Any:
        """Publish."""
        return self.apply_async(**options)

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Publish the group that it stands for."""
        route = _name_of(self.kwargs["task"])
        return self.group().apply_async(
            args or (), kwargs or {}, **{"route_name": route, **options}
        )

    async def aapply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """``apply_async`` for a coroutine."""
        route = _name_of(self.kwargs["task"])
        return await self.group().aapply_async(args, kwargs, **{"route_name": route, **options})

    def calls(self, args: Any = None, kwargs: Any = None, **options: Any) -> Calls:
        """Those of the group."""
        route = _name_of(self.kwargs["task"])
        calls: Calls = self.group().calls(args, kwargs, **{"route_name": route, **options})
        return calls

    def group(self) -> Any:
        """A group of ``xstarmap``s of ``n`` items each."""
        task, items, size = self.kwargs["task"], self.kwargs["it"], self.kwargs["n"]
        parts = (xstarmap(task, part, app=self._app) for part in _parts(items, size))
        return group(parts, app=self._app)

    @classmethod
    def apply_chunks(cls, task: Any, it: Any, n: int, app: Publisher | None = None) -> Any:
        """Make one and publish it."""
        return cls(task, it, n, app=app)()

    @classmethod
    def map_async(cls, *args: Any, **kwargs: Any) -> NoReturn:
        """
        Raises:
            TypeError: Always: it shows the call that was meant.
        """
        raise TypeError(
            "chunks.map_async() is not a way to publish chunks: write task.chunks(arguments, n)() for a group of "
            "messages with n calls each, or task.map_async(items) for one message a call"
        )

    starmap_async = map_async


def _parts(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    remaining = iter(items)
    while part := list(islice(remaining, size)):
        yield part


def _name_of(task: Any) -> Any:
    return task["task"] if isinstance(task, Mapping) else getattr(task, "name", task)
