"""One test's installation: a broker, the client's app, and the workers it starts."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import redis

from tests.support.apps import AppSpec, build
from tests.support.workers import ROOT, WorkerProcess, command

# ``celery`` runs the same tests against the real Celery: they must hold there too, else the test is
# wrong.
PRODUCT = os.environ.get("FASTWORKER_TEST_PRODUCT", "fastworker")
#: The command that runs workers of the product's applications: ours runs Celery's as they are, and must then pass what
#: Celery passes.
RUNNER = os.environ.get("FASTWORKER_TEST_RUNNER", PRODUCT)
#: The pool of workers whose test names none; "": the default one. ``make test-pools`` runs tests with each.
POOL = os.environ.get("FASTWORKER_TEST_POOL", "")


class Rig:
    """A spec with everything that a test does with it. Workers end with the test.

    Args:
        spec: The application.
        directory: The test's own directory.
        stack: Ends the workers.
    """

    def __init__(self, spec: AppSpec, directory: Path, stack: contextlib.ExitStack) -> None:
        self.spec = spec
        self.directory = directory
        self._stack = stack
        self._app: Any = None

    @property
    def is_redis(self) -> bool:
        """Whether the broker is Redis, so that the test may look into it."""
        return self.spec.broker.startswith("redis")

    @property
    def app(self) -> Any:
        """The client's application, made at first use so that ``configure`` comes before."""
        if self._app is None:
            self._app = build(self.spec)
            self._stack.callback(self._app.close)
        return self._app

    def configure(self, **conf: Any) -> Rig:
        """Add settings for client and workers; call it before anything else."""
        assert self._app is None, "configure() after the app was made"
        self.spec = self.spec.with_conf(**conf)
        return self

    def task(self, name: str) -> Any:
        """The client's side of task ``proj.<name>``."""
        return self.app.tasks[f"proj.{name}"]

    def scheduled(self, node: str) -> list[str]:
        """The ids that a worker holds until their time has come; none when it does not answer."""
        replies = self.app.control.inspect([node], timeout=1).scheduled() or {}
        return [entry["request"]["id"] for entry in replies.get(node, ())]

    def worker(
        self,
        *options: str,
        framework: str | None = None,
        runner: str | None = None,
        concurrency: int | None = 2,
        **environment: str,
    ) -> WorkerProcess:
        """Start a worker of this app and wait until it is ready.

        Args:
            options: More command-line options.
            framework: ``celery`` for the real one; the product under test unless given.
            runner: The command, where it is not the framework's: ``fastworker`` hosts an application of Celery's.
            concurrency: Child processes; None: not said.
            environment: More variables for it.
        """
        spec = self.spec.of(framework or self.spec.framework)
        is_products = framework is None and spec.framework == PRODUCT
        size = () if concurrency is None else ("--concurrency", str(concurrency))
        worker = self.run(
            command(runner or (RUNNER if is_products else spec.framework)),
            *("-A", "tests.support.worker_app", "worker"),
            *("--loglevel", "INFO", *size),
            *(("--pool", POOL) if POOL and "--pool" not in options else ()),
            *options,
            environment={**spec.environment(), **environment},
        )
        return worker.wait_ready()

    def run(
        self, *arguments: str, environment: dict[str, str] | None = None, cwd: Path = ROOT
    ) -> WorkerProcess:
        """Start any command as a process that ends with the test."""
        return self._stack.enter_context(WorkerProcess(arguments, environment, cwd))

    def redis(self, url: str | None = None) -> redis.Redis:
        """A plain client on the broker's database, or that of another ``url``."""
        return self._stack.enter_context(redis.Redis.from_url(url or self.spec.broker))
