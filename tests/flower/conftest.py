"""A worker of ours, and the real Flower that watches it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import servers
from tests.support.apps import AppSpec
from tests.support.flower import Flower
from tests.support.rabbitmq import VirtualHost, virtual_host
from tests.support.rig import Rig
from tests.support.workers import WorkerProcess, command

NODE = "w@here"
TIMEOUT_S = 30


@dataclass
class Station:
    """A fleet of one application, its client and its Flower.

    Attributes:
        rig: The application. Its framework is whose application it is; the worker is always ours.
        stack: Ends what is started.
    """

    rig: Rig
    stack: contextlib.ExitStack

    @property
    def client(self) -> Any:
        """The client's application."""
        return self.rig.app

    def task(self, name: str) -> Any:
        """The client's side of a task."""
        return self.rig.task(name)

    def worker(self, *options: str, concurrency: int = 2) -> WorkerProcess:
        """Start a worker of ours."""
        line = (
            command("fastworker"),
            *("-A", "tests.support.worker_app", "worker", "-l", "INFO", "-n", NODE),
            *("-c", str(concurrency), *options),
        )
        return self.rig.run(*line, environment=self.rig.spec.environment()).wait_ready()

    def flower(self) -> Flower:
        """Start Flower, by the command line of the application's own framework."""
        line = (command(self.rig.spec.framework), "-A", "tests.support.worker_app")
        flower = Flower(line, self.rig.spec.environment())
        return self.stack.enter_context(flower).wait_served()

    def ask(self, method: str, **arguments: Any) -> Any:
        """The worker's own reply."""
        replies = self.client.control.broadcast(
            method, arguments, reply=True, timeout=TIMEOUT_S, destination=[NODE]
        )
        [[reply]] = [list(each.values()) for each in replies]
        return reply


@pytest.fixture
def make_station(redis_url: str, tmp_path: Path) -> Iterator[Callable[..., Station]]:
    """Makes a station: ``framework`` is whose application it is, ``broker`` ``redis`` or ``rabbit``; then settings."""
    with contextlib.ExitStack() as stack:

        def make(framework: str, broker: str = "redis", **conf: Any) -> Station:
            url = redis_url if broker == "redis" else stack.enter_context(_virtual_host()).url
            # What is acknowledged late and cannot start soon goes back to its queue, and is not reserved.
            spec = AppSpec(framework, url, redis_url, {"worker_eta_horizon": 1000, **conf})
            return Station(Rig(spec, tmp_path, stack), stack)

        yield make


@contextlib.contextmanager
def _virtual_host() -> Iterator[VirtualHost]:
    """One that outlives the station's worker; as the fixture ``rabbit``, which would not."""
    with contextlib.ExitStack() as stack:
        try:
            yield stack.enter_context(virtual_host())
        except servers.NoServer as error:
            if servers.is_ci():
                pytest.fail(str(error))
            pytest.skip(str(error))
