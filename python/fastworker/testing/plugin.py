"""A pytest plugin with fixtures called ``fastworker_…``; also beside Celery's own plugin.

    pytest_plugins = ("fastworker.testing.plugin",)     # in conftest.py

``fastworker.contrib.pytest`` has the same under Celery's names too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from fastworker.testing.fixtures import config_of, option_fixture, test_app, worker_fixture

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers", "fastworker(**overrides): settings of the application of one test"
    )


use_fastworker_app_trap = option_fixture(
    False, "Override to True: whatever uses the current or default application raises."
)
fastworker_config = option_fixture({}, "Override: the settings of the test application.")
fastworker_parameters = option_fixture(
    {}, "Override: arguments of ``FastWorker`` for the test application."
)
fastworker_enable_logging = option_fixture(
    False, "Override to True: the worker sets up logging as the command line does."
)
fastworker_includes = option_fixture((), "Override: modules to import before a worker starts.")
fastworker_class_tasks = option_fixture(
    (), "Override: class-based tasks to register before a worker starts."
)
fastworker_worker_pool = option_fixture("solo", "Override: ``solo`` or ``threads``.")
fastworker_worker_parameters = option_fixture(
    {}, "Override: more arguments of ``fastworker.contrib.testing.worker.start_worker``."
)


@pytest.fixture(scope="session")
def fastworker_session_app(
    request: pytest.FixtureRequest,
    fastworker_config: Mapping[str, Any],
    fastworker_parameters: Mapping[str, Any],
    fastworker_enable_logging: bool,
    use_fastworker_app_trap: bool,
) -> Iterator[FastWorker]:
    """An application for the whole session; the current and default one, unless the trap is set."""
    config = config_of(request, fastworker_config, "celery", "fastworker")
    with test_app(
        config, fastworker_parameters, fastworker_enable_logging, use_fastworker_app_trap
    ) as app:
        if not use_fastworker_app_trap:
            app.set_default()
            app.set_current()
        yield app


fastworker_session_worker = worker_fixture(
    "fastworker_session_app",
    "session",
    "A worker of ``fastworker_session_app`` that lives as long as the session.",
)


@pytest.fixture
def fastworker_app(
    request: pytest.FixtureRequest,
    fastworker_config: Mapping[str, Any],
    fastworker_parameters: Mapping[str, Any],
    fastworker_enable_logging: bool,
    use_fastworker_app_trap: bool,
) -> Iterator[FastWorker]:
    """An application for one test, with a queue of its own; not the current one."""
    config = config_of(request, fastworker_config, "celery", "fastworker")
    with test_app(
        config, fastworker_parameters, fastworker_enable_logging, use_fastworker_app_trap
    ) as app:
        yield app


fastworker_worker = worker_fixture(
    "fastworker_app",
    "function",
    "A worker of ``fastworker_app`` that is stopped when the test ends.",
)


@pytest.fixture
def fastworker_clock() -> Iterator[ModuleType]:
    """``fastworker.testing.clock``, at real time before and after the test. It stays ahead while a worker of the
    session runs.
    """
    from fastworker.testing import clock

    clock.reset()
    yield clock
    clock.reset()


@pytest.fixture
def depends_on_current_fastworker_app(fastworker_app: FastWorker) -> None:
    """Makes ``fastworker_app`` the current application."""
    fastworker_app.set_current()
