"""A pytest plugin with fixtures called ``fastworker_…``; also beside Celery's own plugin.

    pytest_plugins = ("fastworker.testing.plugin",)     # in conftest.py

``fastworker.contrib.pytest`` has the same under Celery's names too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from fastworker.testing.fixtures import config_of, test_app, test_worker

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker
    from fastworker.contrib.testing.worker import TestWorkController


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers", "fastworker(**overrides): settings of the application of one test"
    )


@pytest.fixture(scope="session")
def use_fastworker_app_trap() -> bool:
    """Override to True: whatever uses the current or default application raises."""
    return False


@pytest.fixture(scope="session")
def fastworker_config() -> Mapping[str, Any]:
    """Override: the settings of the test application."""
    return {}


@pytest.fixture(scope="session")
def fastworker_parameters() -> Mapping[str, Any]:
    """Override: arguments of ``FastWorker`` for the test application."""
    return {}


@pytest.fixture(scope="session")
def fastworker_enable_logging() -> bool:
    """Override to True: the worker sets up logging as the command line does."""
    return False


@pytest.fixture(scope="session")
def fastworker_includes() -> Sequence[str]:
    """Override: modules to import before a worker starts."""
    return ()


@pytest.fixture(scope="session")
def fastworker_class_tasks() -> Sequence[Any]:
    """Override: class-based tasks to register before a worker starts."""
    return ()


@pytest.fixture(scope="session")
def fastworker_worker_pool() -> str:
    """Override: ``solo`` or ``threads``."""
    return "solo"


@pytest.fixture(scope="session")
def fastworker_worker_parameters() -> Mapping[str, Any]:
    """Override: more arguments of ``fastworker.contrib.testing.worker.start_worker``."""
    return {}


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


@pytest.fixture(scope="session")
def fastworker_session_worker(
    fastworker_session_app: FastWorker,
    fastworker_includes: Sequence[str],
    fastworker_class_tasks: Sequence[Any],
    fastworker_worker_pool: str,
    fastworker_worker_parameters: Mapping[str, Any],
) -> Iterator[TestWorkController | None]:
    """A worker of ``fastworker_session_app`` that lives as long as the session."""
    with test_worker(
        fastworker_session_app,
        fastworker_includes,
        fastworker_class_tasks,
        fastworker_worker_pool,
        fastworker_worker_parameters,
    ) as worker:
        yield worker


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


@pytest.fixture
def fastworker_worker(
    fastworker_app: FastWorker,
    fastworker_includes: Sequence[str],
    fastworker_class_tasks: Sequence[Any],
    fastworker_worker_pool: str,
    fastworker_worker_parameters: Mapping[str, Any],
) -> Iterator[TestWorkController | None]:
    """A worker of ``fastworker_app`` that is stopped when the test ends."""
    with test_worker(
        fastworker_app,
        fastworker_includes,
        fastworker_class_tasks,
        fastworker_worker_pool,
        fastworker_worker_parameters,
    ) as worker:
        yield worker


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
