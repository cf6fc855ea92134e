"""A pytest plugin with Celery's fixtures, under Celery's names and as ``fastworker_…``.

    pytest_plugins = ("fastworker.contrib.pytest",)     # in conftest.py

As in Celery it is opt-in: loaded by itself it would take the names of Celery's own plugin away from it. A fixture that
is overridden under either name counts for both; under both names, the ``fastworker_…`` one wins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fastworker.testing import plugin
from fastworker.testing.fixtures import option_fixture, worker_fixture
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


use_celery_app_trap = option_fixture(
    False, "Override to True: whatever uses the current or default application raises."
)
celery_config = option_fixture({}, "Override: the settings of the test application.")
celery_parameters = option_fixture(
    {}, "Override: arguments of ``FastWorker`` for the test application."
)
celery_enable_logging = option_fixture(
    False, "Override to True: the worker sets up logging as the command line does."
)
celery_includes = option_fixture((), "Override: modules to import before a worker starts.")
celery_class_tasks = option_fixture(
    [], "Override: class-based tasks to register before a worker starts."
)
celery_worker_pool = option_fixture("solo", "Override: ``solo`` or ``threads``.")
celery_worker_parameters = option_fixture(
    {}, "Override: more arguments of ``fastworker.contrib.testing.worker.start_worker``."
)

# ------------------------------------------------------------------- the same by the name of this package


use_fastworker_app_trap = option_fixture(
    None, "As ``use_celery_app_trap``.", alias_of="use_celery_app_trap"
)
fastworker_config = option_fixture(None, "As ``celery_config``.", alias_of="celery_config")
fastworker_parameters = option_fixture(
    None, "As ``celery_parameters``.", alias_of="celery_parameters"
)
fastworker_enable_logging = option_fixture(
    None, "As ``celery_enable_logging``.", alias_of="celery_enable_logging"
)
fastworker_includes = option_fixture(None, "As ``celery_includes``.", alias_of="celery_includes")
fastworker_class_tasks = option_fixture(
    None, "As ``celery_class_tasks``.", alias_of="celery_class_tasks"
)
fastworker_worker_pool = option_fixture(
    None, "As ``celery_worker_pool``.", alias_of="celery_worker_pool"
)
fastworker_worker_parameters = option_fixture(
    None, "As ``celery_worker_parameters``.", alias_of="celery_worker_parameters"
)

# --------------------------------------------------------------------------------------------- to be used


@pytest.fixture(scope="session")
def celery_session_app(fastworker_session_app: FastWorker) -> FastWorker:
    """An application for the whole session; the current and default one, unless the trap is set."""
    return fastworker_session_app


celery_session_worker = worker_fixture(
    "celery_session_app",
    "session",
    "A worker of ``celery_session_app`` that lives as long as the session.",
)


@pytest.fixture
def celery_app(fastworker_app: FastWorker) -> FastWorker:
    """An application for one test, with a queue of its own; not the current one."""
    return fastworker_app


celery_worker = worker_fixture(
    "celery_app", "function", "A worker of ``celery_app`` that is stopped when the test ends."
)


@pytest.fixture
def depends_on_current_app(celery_app: FastWorker) -> None:
    """Makes ``celery_app`` the current application."""
    celery_app.set_current()
