"""What the fixtures of both pytest plugins do, and how they are made: they differ in their names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker
    from fastworker.contrib.testing.worker import TestWorkController

#: Set in the environment to run the tests against a worker that somebody else started.
NO_WORKER = os.environ.get("NO_WORKER")


def config_of(request: Any, config: Mapping[str, Any], *markers: str) -> dict[str, Any]:
    """``config`` with what the nearest marker of each name says for this test.

    Args:
        request: pytest's.
        config: Settings.
        markers: Names of markers; a later one wins.
    """
    found = [request.node.get_closest_marker(marker) for marker in markers]
    settings = dict(config)
    for mark in found:
        settings.update(mark.kwargs if mark else {})
    return settings


@contextmanager
def test_app(
    config: Mapping[str, Any], parameters: Mapping[str, Any], enable_logging: bool, use_trap: bool
) -> Iterator[FastWorker]:
    """An application for one test or one session; closed and forgotten afterwards.

    Args:
        config: Settings.
        parameters: Arguments of ``FastWorker``.
        enable_logging: See ``TestApp``.
        use_trap: See ``setup_default_app``.
    """
    from fastworker.contrib.testing.app import TestApp, setup_default_app

    app = TestApp(config=config, enable_logging=enable_logging, **parameters)
    with setup_default_app(app, use_trap=use_trap):
        yield app


@contextmanager
def test_worker(
    app: FastWorker,
    includes: Iterable[str],
    class_tasks: Iterable[Any],
    pool: str,
    parameters: Mapping[str, Any],
) -> Iterator[TestWorkController | None]:
    """A worker in this process for a block; None when the environment has ``NO_WORKER``.

    Args:
        app: Its tasks.
        includes: Modules to import first.
        class_tasks: Tasks to register first.
        pool: See ``start_worker``.
        parameters: More arguments of ``start_worker``.
    """
    from fastworker.contrib.testing.worker import start_worker

    if NO_WORKER:
        yield None
        return
    for module in includes:
        import_module(module)
    for class_task in class_tasks:
        app.register_task(class_task)
    with start_worker(app, **{"pool": pool, **parameters}) as worker:
        yield worker


def option_fixture(default: Any, doc: str, *, alias_of: str | None = None) -> Any:
    """A fixture of the session that a suite overrides.

    Args:
        default: Its value.
        doc: What it is for, as ``pytest --fixtures`` shows it.
        alias_of: The fixture that it is when nobody overrides it, in the place of ``default``.
    """

    def option(request: pytest.FixtureRequest) -> Any:
        return default if alias_of is None else request.getfixturevalue(alias_of)

    option.__doc__ = doc
    return pytest.fixture(scope="session")(option)


def worker_fixture(app: str, scope: Literal["session", "function"], doc: str) -> Any:
    """A fixture that is a worker in this process.

    Args:
        app: Name of the fixture that is its application.
        scope: How long it lives.
        doc: As above.
    """

    def worker(request: pytest.FixtureRequest) -> Iterator[TestWorkController | None]:
        value = request.getfixturevalue
        with test_worker(
            value(app),
            value("fastworker_includes"),
            value("fastworker_class_tasks"),
            value("fastworker_worker_pool"),
            value("fastworker_worker_parameters"),
        ) as made:
            yield made

    worker.__doc__ = doc
    return pytest.fixture(scope=scope)(worker)
