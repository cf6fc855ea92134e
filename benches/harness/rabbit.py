"""A private RabbitMQ node with a virtual host for each system, and loads that are laid there.

RabbitMQ cannot rename a queue. So a worker that is up, warm and idle is stopped (SIGSTOP) while its load is published,
and goes on (SIGCONT): that moment starts the clock. What its consumers were sent meanwhile, their prefetch, waits in
its socket, for all systems alike.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import amqp  # type: ignore[import-untyped]

from benches.harness.machine import REPOSITORY
from benches.harness.worker import Worker
from fastworker.bench.rivals import process_tree
from tests.support.rabbitmq_node import RabbitNode

QUEUE = "bench"
TIMEOUT_S = 180.0
BATCH = 500
BARE = REPOSITORY / "target/release/examples/amqp_consumer"
UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class RabbitServer(RabbitNode):
    """The node, with virtual hosts."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._hosts: dict[str, str] = {}

    def host(self, name: str) -> str:
        """The URL of a virtual host, which is made at the first call."""
        if name not in self._hosts:
            self.control("add_vhost", name)
            self.control("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
            self._hosts[name] = f"{self.url.removesuffix('//')}/{name}"
        return self._hosts[name]

    def connect(self, host: str) -> amqp.Connection:
        """An open connection to a virtual host."""
        connection = amqp.Connection(f"127.0.0.1:{self.port}", virtual_host=host)
        connection.connect()
        return connection

    def cpu_s(self) -> float:
        """Processor time of the node so far."""
        assert self._process is not None  # it was started
        return process_tree.tree_cpu_s(self._process.pid)

    def held(self, host: str) -> int:
        """Messages that wait in the queue of a virtual host or are not acknowledged."""
        names = ("name", "messages")
        told = self.control("list_queues", "-p", host, *names)
        rows = (line.split("\t") for line in told.splitlines()[1:] if line)
        return {name: int(messages) for name, messages in rows}.get(QUEUE, 0)


class RabbitLoad:
    """Copies of one message that the system's own ``.delay()`` wrote, each with ids of its own.

    Args:
        server: The node.
        host: The virtual host; the message to copy is the only one in its queue, and is taken out.
    """

    def __init__(self, server: RabbitServer, host: str) -> None:
        self.host = host
        self._connection = server.connect(host)
        channel = self._channel = self._connection.channel()
        message = channel.basic_get(QUEUE, no_ack=True)
        if message is None:
            raise SystemExit(f"queue {QUEUE!r} of {host!r}: expected one message to copy")
        self.bytes = len(message.body)
        frames = self._written(
            lambda: channel.basic_publish(
                amqp.Message(message.body, **message.properties), routing_key=QUEUE
            )
        )
        channel.queue_purge(QUEUE)
        self._ids = sorted(set(UUID.findall(frames)))
        self._pattern = UUID.sub(
            lambda found: b"%(" + found.group() + b")b", frames.replace(b"%", b"%%")
        )

    def lay(self, count: int) -> None:
        """Publish copies; returns when all of them are in the queue."""
        for start in range(0, count, BATCH):
            copies = [self._copy() for _ in range(min(BATCH, count - start))]
            self._connection.transport.write(b"".join(copies))
        # Answered behind all of them.
        self._channel.queue_declare(QUEUE, passive=True)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _written(self, publish: Callable[[], object]) -> bytes:
        """The frames of one publish; ids have one length, so that a copy's have the same form."""
        transport, said = self._connection.transport, bytearray()
        write = transport.write

        def noting(data: bytes) -> None:
            said.extend(data)
            write(data)

        transport.write = noting
        # The connection's writer keeps the function that it was made with.
        writer, self._connection._frame_writer = (
            self._connection._frame_writer,
            amqp.method_framing.frame_writer(self._connection, transport),
        )
        try:
            publish()
        finally:
            transport.write, self._connection._frame_writer = write, writer
        return bytes(said)

    def _copy(self) -> bytes:
        ids = {old: str(uuid.UUID(bytes=os.urandom(16), version=4)).encode() for old in self._ids}
        return self._pattern % ids


@dataclass
class RabbitStage:
    """Where one system's worker performs."""

    server: RabbitServer
    host: str
    worker: Worker
    load: RabbitLoad

    def warm_up(self, count: int = 200, until_s: float = 0.5) -> float:
        """Run growing loads until one takes ``until_s``; returns its tasks per second."""
        self.drain(count)
        while count / (rate := self.drain(count)["tasks_per_s"]) < until_s:
            count *= 3
        return rate

    def drain(self, count: int) -> dict[str, float]:
        """Let the worker run ``count`` tasks, and see how quickly.

        Returns:
            ``tasks_per_s``: from the moment when it goes on to the end of the last task. ``worker_cpu_us``,
            ``broker_cpu_us``: processor time per task, until all are acknowledged. ``extra_runs``: beyond one each.
        """
        tree = process_tree.tree(self.worker.pid)
        for pid in tree:
            os.kill(pid, signal.SIGSTOP)
        try:
            self.load.lay(count)
            ran = self.worker.effects.total()
            worker_cpu, broker_cpu = self.worker.cpu_s(), self.server.cpu_s()
            started = time.monotonic()
        finally:
            for pid in reversed(tree):
                os.kill(pid, signal.SIGCONT)
        finished = self.worker.await_effects(ran + count, TIMEOUT_S)
        # What asks is a program of its own, whose processor time is nobody's here.
        worker_spent, broker_spent = (
            self.worker.cpu_s() - worker_cpu,
            self.server.cpu_s() - broker_cpu,
        )
        self._await_empty()
        return {
            "tasks_per_s": count / (finished - started),
            "worker_cpu_us": worker_spent / count * 1e6,
            "broker_cpu_us": broker_spent / count * 1e6,
            "tasks": count,
            "extra_runs": self.worker.effects.total() - ran - count,
        }

    def _await_empty(self) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while held := self.server.held(self.host):
            if time.monotonic() > deadline:
                raise SystemExit(f"{self.host}: all tasks ran, but {held} messages are still held")


def drain_bare(server: RabbitServer, load: RabbitLoad, count: int) -> dict[str, float]:
    """The same by a consumer of lapin's that only acknowledges."""
    load.lay(count)
    before, broker_cpu = resource.getrusage(resource.RUSAGE_CHILDREN), server.cpu_s()
    command = [str(BARE), server.host(load.host), QUEUE, str(count)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    broker_spent = server.cpu_s() - broker_cpu
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "tasks_per_s": count / float(said),
        "worker_cpu_us": spent / count * 1e6,
        "broker_cpu_us": broker_spent / count * 1e6,
        "tasks": count,
    }
