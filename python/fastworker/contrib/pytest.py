"""A pytest plugin with Celery's fixtures, under Celery's names and as ``fastworker_…``.

    pytest_plugins = ("fastworker.contrib.pytest",)     # in conftest.py

As in Celery it is opt-in: loaded by itself it would take the names of Celery's own plugin away from it. A fixture that
is overridden under either name counts for both; under both names, the ``fastworker_…`` one wins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from fastworker.testing import plugin
from fastworker.testing.fixtures import test_worker
from fastworker.testing.plugin import (
    depends_on_current_fastworker_app,
    fastworker_app,
    fastworker_clock,
    fastworker_session_app,
    fastworker_session_worker,
    fastworker_worker,
)

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker
    from fastworker.contrib.testing.worker import TestWorkController

__all__ = [
    "depends_on_current_fastworker_app",
    "fastworker_app",
    "fastworker_clock",
    "fastworker_session_app",
    "fastworker_session_worker",
    "fastworker_worker",
]


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known."""
    config.addinivalue_line(
        "markers", "celery(**overrides): override celery configuration for a test case"
    )
    plugin.pytest_configure(config)


# --------------------------------------------------------------------------------------- to be overridden


@pytest.fixture(scope="session")
def use_celery_app_trap() -> bool:
    """Override to True: whatever uses the current or default application raises."""
    return False


@pytest.fixture(scope="session")
def celery_config() -> Mapping[str, Any]:
    """Override: the settings of the test application."""
    return {}


@pytest.fixture(scope="session")
def celery_parameters() -> Mapping[str, Any]:
    """Override: arguments of ``FastWorker`` for the test application."""
    return {}


@pytest.fixture(scope="session")
def celery_enable_logging() -> bool:
    """Override to True: the worker sets up logging as the command line does."""
    return False


@pytest.fixture(scope="session")
def celery_includes() -> Sequence[str]:
    """Override: modules to import before a worker starts."""
    return ()


@pytest.fixture(scope="session")
def celery_class_tasks() -> Sequence[Any]:
    """Override: class-based tasks to register before a worker starts."""
    return []


@pytest.fixture(scope="session")
def celery_worker_pool() -> str:
    """Override: ``solo`` or ``threads``."""
    return "solo"


@pytest.fixture(scope="session")
def celery_worker_parameters() -> Mapping[str, Any]:
    """Override: more arguments of ``fastworker.contrib.testing.worker.start_worker``."""
    return {}


# ------------------------------------------------------------------- the same by the name of this package


@pytest.fixture(scope="session")
def use_fastworker_app_trap(use_celery_app_trap: bool) -> bool:
    """As ``use_celery_app_trap``."""
    return use_celery_app_trap


@pytest.fixture(scope="session")
def fastworker_config(celery_config: Mapping[str, Any]) -> Mapping[str, Any]:
    """As ``celery_config``."""
    return celery_config


@pytest.fixture(scope="session")
def fastworker_parameters(celery_parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """As ``celery_parameters``."""
    return celery_parameters


@pytest.fixture(scope="session")
def fastworker_enable_logging(celery_enable_logging: bool) -> bool:
    """As ``celery_enable_logging``."""
    return celery_enable_logging


@pytest.fixture(scope="session")
def fastworker_includes(celery_includes: Sequence[str]) -> Sequence[str]:
    """As ``celery_includes``."""
    return celery_includes


@pytest.fixture(scope="session")
def fastworker_class_tasks(celery_class_tasks: Sequence[Any]) -> Sequence[Any]:
    """As ``celery_class_tasks``."""
    return celery_class_tasks


@pytest.fixture(scope="session")
def fastworker_worker_pool(celery_worker_pool: str) -> str:
    """As ``celery_worker_pool``."""
    return celery_worker_pool


@pytest.fixture(scope="session")
def fastworker_worker_parameters(
    celery_worker_parameters: Mapping[str, Any],
) -> Mapping[str, Any]:
    """As ``celery_worker_parameters``."""
    return celery_worker_parameters


# --------------------------------------------------------------------------------------------- to be used


@pytest.fixture(scope="session")
def celery_session_app(fastworker_session_app: FastWorker) -> FastWorker:
    """An application for the whole session; the current and default one, unless the trap is set."""
    return fastworker_session_app


@pytest.fixture(scope="session")
def celery_session_worker(
    celery_session_app: FastWorker,
    fastworker_includes: Sequence[str],
    fastworker_class_tasks: Sequence[Any],
    fastworker_worker_pool: str,
    fastworker_worker_parameters: Mapping[str, Any],
) -> Iterator[TestWorkController | None]:
    """A worker of ``celery_session_app`` that lives as long as the session."""
    with test_worker(
        celery_session_app,
        fastworker_includes,
        fastworker_class_tasks,
        fastworker_worker_pool,
        fastworker_worker_parameters,
    ) as worker:
        yield worker


@pytest.fixture
def celery_app(fastworker_app: FastWorker) -> FastWorker:
    """An application for one test, with a queue of its own; not the current one."""
    return fastworker_app


@pytest.fixture
def celery_worker(
    celery_app: FastWorker,
    fastworker_includes: Sequence[str],
    fastworker_class_tasks: Sequence[Any],
    fastworker_worker_pool: str,
    fastworker_worker_parameters: Mapping[str, Any],
) -> Iterator[TestWorkController | None]:
    """A worker of ``celery_app`` that is stopped when the test ends."""
    with test_worker(
        celery_app,
        fastworker_includes,
        fastworker_class_tasks,
        fastworker_worker_pool,
        fastworker_worker_parameters,
    ) as worker:
        yield worker


@pytest.fixture
def depends_on_current_app(celery_app: FastWorker) -> None:
    """Makes ``celery_app`` the current application."""
    celery_app.set_current()
