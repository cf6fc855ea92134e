"""gevent and eventlet: all that differs between them, and what they need of the rest.

Both replace the blocking parts of the standard library by ones that let other greenlets of the thread run. That has to
happen before anything else is imported. So this file is also a program, which is started by its path: it replaces them
first and becomes another module's program then. Hence it imports nothing of fastworker at its top.

The connections of ``_core`` block their thread in Rust. Where one of the two is at work, they are called on a thread of
its pool (``cooperative``), and only the greenlet that called waits.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol, TypeVar, cast

T = TypeVar("T")


class Greenlets(Protocol):
    """What is needed of either. The exceptions of what is called are the caller's."""

    name: str

    def patch(self) -> None:
        """Replace the blocking parts of the standard library, all of them."""

    def is_at_work(self) -> bool:
        """Whether that has happened in this process."""

    def spawn(self, function: Callable[..., None], *args: Any) -> Any:
        """Run ``function`` in a greenlet, soon; returns the greenlet."""

    def spawn_later(self, seconds: float, function: Callable[[], None]) -> Any:
        """The same after so long; returns the greenlet."""

    def throw(self, greenlet: Any, exception: type[BaseException]) -> None:
        """Raise ``exception`` where ``greenlet``, which has begun, waits. Nothing happens to one that has ended."""

    def wait_readable(self, fd: int) -> None:
        """Let others run until there is something to read."""

    def on_thread(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Call ``function`` on a thread of the pool; others run meanwhile."""


class Gevent:
    """gevent's."""

    name = "gevent"

    def patch(self) -> None:
        """As Celery does."""
        import_module("gevent.monkey").patch_all()

    def is_at_work(self) -> bool:
        """gevent keeps account of it."""
        monkey: Any = sys.modules.get("gevent.monkey")
        return monkey is not None and bool(monkey.is_module_patched("socket"))

    def spawn(self, function: Callable[..., None], *args: Any) -> Any:
        """As described."""
        return import_module("gevent").spawn(function, *args)

    def spawn_later(self, seconds: float, function: Callable[[], None]) -> Any:
        """As described."""
        return import_module("gevent").spawn_later(seconds, function)

    def throw(self, greenlet: Any, exception: type[BaseException]) -> None:
        """As described, from the hub, soon."""
        greenlet.kill(exception, block=False)

    def wait_readable(self, fd: int) -> None:
        """As described."""
        import_module("gevent.socket").wait_read(fd)

    def on_thread(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """On one of the hub's threads."""
        pool = import_module("gevent").get_hub().threadpool
        return cast(T, pool.apply(function, args, kwargs))


class Eventlet:
    """eventlet's."""

    name = "eventlet"

    def patch(self) -> None:
        """As Celery does, also with ``EVENTLET_NOBLOCK``: seconds after which a greenlet that blocks is told of."""
        import_module("eventlet").monkey_patch()
        limit_s = float(os.environ.get("EVENTLET_NOBLOCK", 0))
        if limit_s:
            import_module("eventlet.debug").hub_blocking_detection(limit_s, limit_s)

    def is_at_work(self) -> bool:
        """eventlet keeps account of it."""
        patcher: Any = sys.modules.get("eventlet.patcher")
        return patcher is not None and bool(patcher.is_monkey_patched("socket"))

    def spawn(self, function: Callable[..., None], *args: Any) -> Any:
        """As described."""
        return import_module("eventlet").spawn(function, *args)

    def spawn_later(self, seconds: float, function: Callable[[], None]) -> Any:
        """As described."""
        return import_module("eventlet").spawn_after(seconds, function)

    def throw(self, greenlet: Any, exception: type[BaseException]) -> None:
        """As described, at once."""
        greenlet.kill(exception)

    def wait_readable(self, fd: int) -> None:
        """As described."""
        import_module("eventlet.hubs").trampoline(fd, read=True)

    def on_thread(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """On one of eventlet's ``EVENTLET_THREADPOOL_SIZE`` threads."""
        return cast(T, import_module("eventlet.tpool").execute(function, *args, **kwargs))


_KINDS: tuple[Greenlets, ...] = (Gevent(), Eventlet())
#: The pools whose tasks are greenlets.
NAMES = tuple(kind.name for kind in _KINDS)


def of(name: str) -> Greenlets:
    """gevent or eventlet.

    Raises:
        ImproperlyConfigured: It is not installed.
    """
    if find_spec(name) is None:
        from fastworker.errors import ImproperlyConfigured

        raise ImproperlyConfigured(
            f"the pool {name} needs the package {name}, which is not installed here; try: "
            f"pip install 'fastworker-rs[{name}]'"
        )
    return next(kind for kind in _KINDS if kind.name == name)


def at_work() -> Greenlets | None:
    """The one that has replaced the standard library's sockets in this process; None: they block."""
    return next((kind for kind in _KINDS if kind.is_at_work()), None)


class _Cooperative:
    """In the place of a connection: its methods let other greenlets run while they block."""

    def __init__(self, connection: Any, greenlets: Greenlets) -> None:
        self._connection = connection
        self._greenlets = greenlets

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._connection, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._greenlets.on_thread(method, *args, **kwargs)

        setattr(self, name, call)
        return call


def cooperative(connection: T) -> T:
    """``connection``, or what is called like it and does not block other greenlets, if there can be any."""
    greenlets = at_work()
    return connection if greenlets is None else cast(T, _Cooperative(connection, greenlets))


def argv_of(name: str, module: str) -> list[str]:
    """How ``module`` is started as a program, with everything replaced before it is imported."""
    return [sys.executable, __file__, name, module]


def main(argv: list[str]) -> None:
    """``python greenlets.py POOL MODULE ARGS``: what ``argv_of`` starts."""
    # Python has put this file's directory there; what `python -m` puts there belongs there.
    sys.path[0] = os.getcwd()
    name, module, *rest = argv
    next(kind for kind in _KINDS if kind.name == name).patch()
    import_module(module).main(rest)


if __name__ == "__main__":
    main(sys.argv[1:])
