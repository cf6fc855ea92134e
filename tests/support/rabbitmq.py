"""A virtual host of RabbitMQ for each test: queues, exchanges and connections of nobody else."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import amqp  # type: ignore[import-untyped]

from tests.support.servers import NoServer

#: The server; without a virtual host.
VARIABLE = "FASTWORKER_TEST_RABBITMQ"
STANDARD = "amqp://guest:guest@127.0.0.1:5672"


@dataclass(frozen=True)
class VirtualHost:
    """One virtual host."""

    name: str
    url: str

    def connect(self) -> Any:
        """An open connection of py-amqp's."""
        place = urlsplit(self.url)
        return amqp.Connection(
            f"{place.hostname}:{place.port}",
            userid=place.username,
            password=place.password,
            virtual_host=self.name,
        )

    def close_connections(self) -> None:
        """Have the server close every connection to it."""
        _control("close_all_connections", "--vhost", self.name, "a test")

    def queues(self) -> dict[str, tuple[int, int]]:
        """Ready and unacknowledged messages, by queue."""
        told = _control(
            "list_queues", "-p", self.name, "name", "messages_ready", "messages_unacknowledged"
        )
        rows = (line.split("\t") for line in told.splitlines()[1:] if line)
        return {name: (int(ready), int(unacked)) for name, ready, unacked in rows}

    def types(self) -> dict[str, str]:
        """``classic`` or ``quorum``, by queue."""
        told = _control("list_queues", "-p", self.name, "name", "type")
        return dict(line.split("\t") for line in told.splitlines()[1:] if line)

    def queue(self, prefix: str) -> dict[str, str]:
        """How the one queue whose name begins so is declared: durable, exclusive, auto_delete and arguments."""
        names = ("name", "durable", "exclusive", "auto_delete", "arguments")
        told = _control("list_queues", "-p", self.name, *names)
        rows = [dict(zip(names, line.split("\t"), strict=True)) for line in told.splitlines()[1:]]
        [found] = [row for row in rows if row["name"].startswith(prefix)]
        return found

    def consumers(self) -> dict[str, list[str]]:
        """The arguments of each queue's consumers, as RabbitMQ writes them."""
        told = _control("list_consumers", "-p", self.name, "queue_name", "arguments")
        found: dict[str, list[str]] = {}
        for line in filter(None, told.splitlines()[1:]):
            name, arguments = line.split("\t")
            found.setdefault(name, []).append(arguments)
        return found

    def heartbeats(self) -> set[int]:
        """Seconds, of its connections; 0: none."""
        return {int(seconds) for seconds in self._of_connections("timeout")}

    def login_methods(self) -> set[str]:
        """Of its connections."""
        return set(self._of_connections("auth_mechanism"))

    def _of_connections(self, column: str) -> list[str]:
        told = _control("list_connections", "vhost", column)
        rows = (line.split("\t") for line in told.splitlines()[1:] if line)
        return [value for vhost, value in rows if vhost == self.name]

    def persistent(self) -> dict[str, int]:
        """Messages that are stored on disk, by queue."""
        told = _control("list_queues", "-p", self.name, "name", "messages_persistent")
        rows = (line.split("\t") for line in told.splitlines()[1:] if line)
        return {name: int(count) for name, count in rows}

    def exchanges(self) -> dict[str, str]:
        """Types, by name."""
        told = _control("list_exchanges", "-p", self.name, "name", "type")
        return dict(line.split("\t") for line in told.splitlines()[1:] if line.strip())


@contextlib.contextmanager
def virtual_host() -> Iterator[VirtualHost]:
    """Make one, and remove it with all that is in it.

    Raises:
        NoServer: There is none that this user may steer.
    """
    if shutil.which("rabbitmqctl") is None:
        raise NoServer("no rabbitmqctl program; install rabbitmq-server")
    url = os.environ.get(VARIABLE, STANDARD)
    user = urlsplit(url).username or "guest"
    name = f"fastworker-{uuid.uuid4().hex[:12]}"
    try:
        _control("add_vhost", name)
        _control("set_permissions", "-p", name, user, ".*", ".*", ".*")
    except subprocess.CalledProcessError as error:
        raise NoServer(
            f"rabbitmqctl cannot steer a server: {error.stderr.strip()[-200:]}; start rabbitmq-server"
        ) from error
    try:
        yield VirtualHost(name, f"{url.rstrip('/')}/{name}")
    finally:
        _control("delete_vhost", name)


def _control(*arguments: str) -> str:
    command = ["rabbitmqctl", "--quiet", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
