"""Applications for tests. Source: celery.contrib.testing.app.

One difference: without a broker of its own, each application gets a room of ``memory://`` of its own, so that what one
test leaves in a queue is not run in the next. In Celery all of them share one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

from fastworker import _core
from fastworker.app import state
from fastworker.app.app import FastWorker

#: What a test application is configured with, unless it says otherwise.
DEFAULT_TEST_CONFIG: dict[str, Any] = {
    "worker_hijack_root_logger": False,
    "worker_log_color": False,
    "worker_redirect_stdouts": False,
    "accept_content": {"json"},
    "enable_utc": True,
    "timezone": "UTC",
    "broker_url": "memory://",
    "result_backend": "cache+memory://",
    "broker_heartbeat": 0,
}

_numbers = itertools.count(1)


class Trap:
    """Stands in the place of the current application: whatever a test wants of it is an error."""

    def __getattr__(self, name: str) -> NoReturn:
        if name in ("_is_coroutine", "__func__", "_is_coroutine_marker"):  # asked by unittest.mock
            raise AttributeError(name)
        raise RuntimeError("Test depends on current_app")


class _TestFastWorker(FastWorker):
    """Knows the room that was made for it, and whether a worker sets logging up for it."""

    room: str | None = None
    enables_logging: bool = False

    def close(self) -> None:
        super().close()
        if self.room is not None:
            _core.clear_memory(self.room)


def TestApp(
    name: str | None = None,
    config: Mapping[str, Any] | None = None,
    enable_logging: bool = False,
    set_as_current: bool = False,
    log: Any = None,
    backend: Any = None,
    broker: Any = None,
    **kwargs: Any,
) -> FastWorker:
    """An application for a test.

    Args:
        name: Its main name; ``celery.tests`` unless given.
        config: Settings, over ``DEFAULT_TEST_CONFIG``.
        enable_logging: A worker of it sets up logging as the command line does.
        set_as_current: Make it the current application.
        log: Accepted for Celery's sake, and ignored.
        backend: Result backend.
        broker: Broker.
        kwargs: More arguments of ``FastWorker``.
    """
    from fastworker.contrib.testing import tasks  # noqa: F401  (registers the task)

    app = _TestFastWorker(
        name or "celery.tests",
        set_as_current=set_as_current,
        broker=broker,
        backend=backend,
        **kwargs,
    )
    app.enables_logging = enable_logging
    settings = dict(DEFAULT_TEST_CONFIG)
    if broker is None and "broker_url" not in (config or {}):
        app.room = f"test-app-{next(_numbers)}"
        settings["broker_url"] = f"memory://{app.room}"
        settings["result_backend"] = f"cache+memory://{app.room}"
    settings.update(config or {})
    if broker is not None:
        settings.pop("broker_url", None)
    if backend is not None:
        settings.pop("result_backend", None)
    app.add_defaults(settings)
    return app


TestApp.__test__ = False  # type: ignore[attr-defined]  # pytest would collect it


@contextmanager
def set_trap(app: FastWorker) -> Iterator[None]:
    """For a block, whatever uses the current or the default application raises ``RuntimeError``; ``set_current`` of an
    application ends that.
    """
    with state.trapped(Trap()):
        yield


@contextmanager
def setup_default_app(app: FastWorker, use_trap: bool = False) -> Iterator[None]:
    """For a block; afterwards the current and default applications, the shared tasks and the known applications are
    what they were before, and ``app`` is closed.

    Args:
        app: The test's application.
        use_trap: See ``set_trap``.
    """
    with state.restored() as current:
        try:
            if use_trap:
                with set_trap(app):
                    yield
            else:
                yield
        finally:
            if app is not current:
                app.close()
