"""A RabbitMQ node of our own: for tests that stop it, let it run out of memory, or speak TLS to it."""

from __future__ import annotations

import os
import subprocess
import uuid
from pathlib import Path
from types import TracebackType

from tests.support.certificates import certify
from tests.support.redis_server import free_port
from tests.support.servers import NoServer
from tests.support.waiting import wait_until

#: The programs themselves; what is in PATH may be a wrapper that becomes another user.
PROGRAMS = Path("/usr/lib/rabbitmq/bin")
START_S = 120


class RabbitNode:
    """A private node on loopback; a context manager that stops it.

    Args:
        directory: Of its own: where it keeps everything.
        has_tls: It listens for ``amqps://`` too, with a certificate for localhost of an issuer of its own: ``ca.crt``
            in ``directory``; ``other.crt`` there has issued nothing.
    """

    def __init__(self, directory: Path, *, has_tls: bool = False) -> None:
        self.directory = directory
        self.has_tls = has_tls
        self.port, self.tls_port = free_port(), free_port()
        self._name = f"fastworker-{uuid.uuid4().hex[:12]}@localhost"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Of its one virtual host."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    @property
    def tls_url(self) -> str:
        """The same, encrypted; by the name that the certificate is for."""
        return f"amqps://guest:guest@localhost:{self.tls_port}//"

    def start(self) -> None:
        """Start it and wait until it serves.

        Raises:
            NoServer: There is no such program here.
            RuntimeError: It ended instead; the text has the tail of what it said.
        """
        if not (PROGRAMS / "rabbitmq-server").exists():
            raise NoServer(f"no rabbitmq-server in {PROGRAMS}; install rabbitmq-server")
        (self.directory / "home").mkdir(parents=True, exist_ok=True)
        (self.directory / "plugins").write_text("[].")
        (self.directory / "rabbitmq.conf").write_text(self._configuration())
        with (self.directory / "out").open("wb") as out:
            process = self._process = subprocess.Popen(
                [PROGRAMS / "rabbitmq-server"],
                env=self._environment(),
                cwd=self.directory,
                stdout=out,
                stderr=out,
            )
        wait_until(lambda: process.poll() is not None or self.serves(), "the node", START_S)
        if process.poll() is not None:
            tail = (self.directory / "out").read_text(errors="replace")[-1000:]
            raise RuntimeError(f"rabbitmq-server did not start: {tail}")

    def serves(self) -> bool:
        """Whether it takes messages."""
        done = self._ran("await_startup", "--timeout", "60")
        return done.returncode == 0

    def stop_app(self) -> None:
        """Everything but the virtual machine goes: clients see the server vanish."""
        self.control("stop_app")

    def start_app(self) -> None:
        """It serves again, with what it had stored."""
        self.control("start_app")

    def close_connections(self) -> None:
        """Have the server close every connection."""
        self.control("close_all_connections", "a test")

    def block_publishers(self) -> None:
        """Let it believe that its memory is short."""
        self.control("set_vm_memory_high_watermark", "0.000001")

    def unblock_publishers(self) -> None:
        """Let it have memory again."""
        self.control("set_vm_memory_high_watermark", "0.9")

    def queues(self) -> dict[str, tuple[int, int]]:
        """Ready and unacknowledged messages, by queue."""
        told = self.control("list_queues", "name", "messages_ready", "messages_unacknowledged")
        rows = (line.split("\t") for line in told.splitlines()[1:] if line)
        return {name: (int(ready), int(unacked)) for name, ready, unacked in rows}

    def control(self, *arguments: str) -> str:
        """What ``rabbitmqctl`` says to these arguments."""
        done = self._ran(*arguments)
        if done.returncode != 0:
            raise RuntimeError(f"rabbitmqctl {' '.join(arguments)}: {done.stderr[-1000:]}")
        return done.stdout

    def _ran(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PROGRAMS / "rabbitmqctl", "--quiet", *arguments],
            env=self._environment(),
            check=False,
            capture_output=True,
            text=True,
            timeout=START_S,
        )

    def _environment(self) -> dict[str, str]:
        own = {
            "HOME": self.directory / "home",
            "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": self.port,
            "RABBITMQ_DIST_PORT": free_port(),
            "RABBITMQ_MNESIA_BASE": self.directory / "mnesia",
            "RABBITMQ_LOG_BASE": self.directory / "log",
            "RABBITMQ_CONFIG_FILE": self.directory / "rabbitmq",
            "RABBITMQ_ENABLED_PLUGINS_FILE": self.directory / "plugins",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }
        return {**os.environ, **{name: str(value) for name, value in own.items()}}

    def _configuration(self) -> str:
        lines = ["loopback_users.guest = true"]
        if self.has_tls:
            certify(self.directory)
            lines += [
                f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}",
                f"ssl_options.cacertfile = {self.directory}/ca.crt",
                f"ssl_options.certfile = {self.directory}/server.crt",
                f"ssl_options.keyfile = {self.directory}/server.key",
                "ssl_options.verify = verify_none",
            ]
        return "\n".join(lines) + "\n"

    def __enter__(self) -> RabbitNode:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End it, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
