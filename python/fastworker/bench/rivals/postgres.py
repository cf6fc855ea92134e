"""A private PostgreSQL, for the systems that need one."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

from fastworker.bench.errors import BenchError
from fastworker.bench.rivals import process_tree
from fastworker.bench.rivals.servers import free_port

USERS = ("postgres", "nobody")
"""Who the server runs as when we are root, which it refuses to be."""
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "256MB",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
}
"""Nothing is made durable, as in the Redis of the others."""


class PostgresServer(AbstractContextManager["PostgresServer"]):
    """A new cluster on a free loopback port, in a folder of its own that goes with it.

    Raises:
        BenchError: On entry, when ``initdb`` is neither on PATH nor where Debian keeps it, or the server does not
        start.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"postgresql://bench@127.0.0.1:{self.port}/postgres"

    def __enter__(self) -> PostgresServer:
        programs = _programs()
        self._folder = tempfile.TemporaryDirectory(prefix="fastworker-rivals-postgres-")
        data = Path(self._folder.name) / "data"
        user = _user(self._folder.name)
        initdb = [f"{programs}/initdb", "-D", str(data), "-U", "bench", "-A", "trust", "--no-sync"]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, user=user, cwd="/")
        options = [f"-c{name}={value}" for name, value in SETTINGS.items()]
        command = [f"{programs}/postgres", "-D", str(data), "-p", str(self.port), *options]
        with (Path(self._folder.name) / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, user=user, start_new_session=True, cwd="/"
            )
        ready = [f"{programs}/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        deadline = time.monotonic() + 20
        while subprocess.run(ready, check=False).returncode != 0:
            if self._process.poll() is not None or time.monotonic() > deadline:
                tail = Path(log.name).read_text(errors="replace")[-2000:]
                self.__exit__(None, None, None)
                raise BenchError(f"postgres on port {self.port} did not start: {tail}")
            time.sleep(0.05)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            for pid in process_tree.session(self._process.pid):
                os.kill(pid, 9)
            self._process.wait()
        self._folder.cleanup()

    @property
    def pid(self) -> int:
        """The server's first process."""
        return self._process.pid

    def cpu_s(self) -> float:
        """User and system time of all its processes, those of closed connections included."""
        return process_tree.tree_cpu_s(self.pid)


def version() -> str:
    """Of the server.

    Raises:
        BenchError: There is none.
    """
    command = [f"{_programs()}/postgres", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return f"postgres {done.stdout.split()[2]}"


def _programs() -> Path:
    """The folder of the server's programs."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders:
        raise BenchError("no PostgreSQL server on this machine (apt-get install postgresql)")
    return folders[-1]


def _user(folder: str) -> int | None:
    """Who shall run it; the folder is made theirs. None: whoever we are."""
    if os.getuid() != 0:
        return None
    for name in USERS:
        try:
            uid = pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
        os.chown(folder, uid, -1)
        return uid
    raise BenchError(
        f"PostgreSQL refuses to run as root, and there is no user {' or '.join(USERS)}"
    )
