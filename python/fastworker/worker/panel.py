"""The registry of control commands, and what each is given.

A command is a function of ``(state, **arguments)`` whose return value is the reply; what it raises is replied as
``{"error": repr(exc)}``. Source: celery/worker/control.py, ``Panel``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from fastworker import _core
    from fastworker.app.app import FastWorker
    from fastworker.worker.consumer import Consumer

F = TypeVar("F", bound=Callable[..., Any])

#: Returned by a command that is not to be answered.
NO_REPLY = object()


class Core(Protocol):
    """What answers for a whole node: its Rust half, or those of all its lanes. See ``_core.Worker``."""

    def revoke(
        self, ids: Sequence[str], stamps: Sequence[tuple[str, str]], terminate: int | None
    ) -> list[dict[str, Any]]:
        """Revoke tasks."""

    def tell_of_tasks(self, tells: bool) -> bool:
        """Events tell of tasks, or do not."""

    def beat(self) -> None:
        """Send a heartbeat event."""

    def set_limits(
        self, task: str, soft_time_limit: float | None, time_limit: float | None
    ) -> bool:
        """Other time limits."""

    def set_rate(self, task: str, per_second: float | None) -> bool:
        """Another rate limit."""

    def give_back(self, queue: str, *, is_cancelled: bool) -> bool:
        """What has not started of a queue goes back to it."""

    def snapshot(self) -> dict[str, Any]:
        """What is held."""


class Unit(Protocol):
    """What has a number of children: the node, or one of its lanes."""

    @property
    def core(self) -> _core.Worker:
        """The Rust half."""

    @property
    def autoscale(self) -> tuple[int, int] | None:
        """Most and fewest children, when the pool scales by itself."""

    def set_autoscale(self, most: int, fewest: int) -> None:
        """Other bounds."""

    def restart(self, modules: Sequence[str]) -> None:
        """Have all children replaced by others that import the application, and these modules, anew.

        Raises:
            NotImplementedError: There are none.
            ImproperlyConfigured: Nothing says from where the application is imported.
            RuntimeError: A restart is under way.
        """


class Node(Protocol):
    """A worker as its control commands know it."""

    @property
    def core(self) -> Core:
        """What answers for all of it."""

    def unit(self, lane: str | None, queue: str | None = None) -> Unit:
        """What a command is for that names a lane, or does not.

        Raises:
            UnknownLane: There are several, or none of this name.
        """

    def units(self, lane: str | None) -> Sequence[Unit]:
        """The lane of that name; None: all there are.

        Raises:
            UnknownLane: There is none of this name.
        """

    def lane_of(self, queue: str) -> str | None:
        """The name of the lane that consumes a queue; None without lanes."""

    def consume(self, queue: str, lane: str | None) -> None:
        """Consume one more queue.

        Raises:
            UnknownLane: As ``unit``.
        """

    @property
    def queues(self) -> list[str]:
        """Names of the queues that are consumed."""

    @property
    def prefetch(self) -> int:
        """Most messages held at once."""

    @property
    def concurrency(self) -> int | None:
        """Tasks that run at once."""

    @property
    def pool(self) -> str:
        """What runs them."""

    @property
    def can_terminate(self) -> bool:
        """A task that runs can be ended."""

    @property
    def uptime_s(self) -> float:
        """Seconds since the start."""

    def lane_stats(self, snapshots: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """What ``inspect stats`` says of each lane, given what each holds, by name; empty without lanes."""

    def stop_by_remote(self, message: str) -> None:
        """Begin a warm shutdown."""

    def note_revoked(self, ids: Sequence[str]) -> None:
        """Ids were revoked that ``--statedb`` is to remember."""


@dataclass(frozen=True)
class State:
    """What a command is given first.

    Attributes:
        app: The worker's application.
        hostname: The node's name.
        node: The worker.
        tset: Makes a set of requests, as in Celery.
        is_addressed: The command that is being carried out was sent to some nodes, not to all.
    """

    app: FastWorker
    hostname: str
    node: Node
    tset: Callable[[Iterable[Any]], set[Any]] = set
    is_addressed: bool = False

    @property
    def consumer(self) -> Consumer:
        """Of Celery's consumer what commands use."""
        from fastworker.worker.consumer import Consumer

        return Consumer(self, self.app)


class CommandInfo(NamedTuple):
    """What the command line needs to know of a command; Celery's fields."""

    alias: str | None
    type: str
    visible: bool
    default_timeout: float
    help: str
    signature: str | None
    args: list[tuple[str, Callable[[str], Any]]] | None
    variadic: str | None


class Panel:
    """The commands, by name and alias. Global, as in Celery."""

    data: ClassVar[dict[str, Callable[..., Any]]] = {}
    meta: ClassVar[dict[str, CommandInfo]] = {}
    #: Where others come from, which go before these: each gives commands and what is known of them, by name.
    more: ClassVar[list[Callable[[], Mapping[str, tuple[Callable[..., Any], CommandInfo]]]]] = []

    @classmethod
    def find(cls, name: str) -> Callable[..., Any]:
        """The command of this name or alias.

        Raises:
            KeyError: There is none.
        """
        for source in cls.more:
            found = source().get(name)
            if found is not None:
                return found[0]
        return cls.data[name]

    @classmethod
    def infos(cls) -> dict[str, CommandInfo]:
        """What is known of all commands, by name."""
        infos = dict(cls.meta)
        for source in cls.more:
            infos.update((name, info) for name, (_, info) in source().items())
        return infos

    @classmethod
    def register(cls, *args: Any, **kwargs: Any) -> Any:
        """Decorator, with or without arguments: see ``control_command``."""
        return cls._register(**kwargs)(*args) if args else cls._register(**kwargs)

    @classmethod
    def _register(
        cls,
        name: str | None = None,
        alias: str | None = None,
        type: str = "control",
        visible: bool = True,
        default_timeout: float = 1.0,
        help: str | None = None,
        signature: str | None = None,
        args: list[tuple[str, Callable[[str], Any]]] | None = None,
        variadic: str | None = None,
    ) -> Callable[[F], F]:
        def inner(fun: F) -> F:
            control_name = name or fun.__name__
            text = help or (fun.__doc__ or "").strip().split("\n")[0]
            cls.data[control_name] = fun
            cls.meta[control_name] = CommandInfo(
                alias, type, visible, default_timeout, text, signature, args, variadic
            )
            if alias:
                cls.data[alias] = fun
            return fun

        return inner


def control_command(**kwargs: Any) -> Callable[[F], F]:
    """Decorator: a command that changes something.

    Args:
        name: What it is called; the function's name unless given.
        alias: Another name.
        args: ``[(argument, type), …]`` that the command line takes in this order.
        variadic: The argument that takes the rest of the command line.
        signature: How the command line describes the arguments.
        help: One line; the docstring's first unless given.
        default_timeout: Seconds.
        visible: Whether ``--list`` shows it.
    """
    return Panel._register(type="control", **kwargs)


def inspect_command(**kwargs: Any) -> Callable[[F], F]:
    """Decorator: a command that only answers; arguments as for ``control_command``."""
    return Panel._register(type="inspect", **kwargs)
