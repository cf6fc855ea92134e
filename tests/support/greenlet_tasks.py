"""Tasks for the pools of greenlets: each waits in another way, and none of them may keep the others waiting."""

from __future__ import annotations

import asyncio
import functools
import os
import subprocess
import sys
from socket import create_connection, socket
from typing import Any

from tests.support.gate import append_line, read_lines

#: Where the class comes from that this module was given when it was imported.
_SOCKET_MODULE = socket.__module__


def register(app: Any) -> None:
    """Add them to an application of fastworker."""
    from fastworker import FastWorker
    from fastworker.exceptions import OperationalError

    task = functools.partial(app.task, shared=False)

    @task(name="greenlets.imported")
    def imported() -> str:
        return _SOCKET_MODULE

    @task(name="greenlets.ask")
    def ask(port: int) -> str:
        """What a server says."""
        with create_connection(("127.0.0.1", port)) as connection:
            return connection.recv(100).decode()

    @task(name="greenlets.run")
    def run() -> str:
        """What another program says."""
        text = "import os; print(os.getppid())"
        done = subprocess.run([sys.executable, "-c", text], capture_output=True, check=True)
        return "its child" if int(done.stdout) == os.getpid() else done.stdout.decode()

    def join(self: Any, path: str) -> tuple[int, Any]:
        """The process, and what another task returns that waits for ``path`` + ``.go``."""
        inner = app.tasks["pool.wait"].delay(path)
        value = inner.get(disable_sync_subtasks=False)
        # Another way to ask.
        assert app.AsyncResult(inner.id).state == "SUCCESS"
        return os.getpid(), value

    task(name="greenlets.join", bind=True, acks_late=True)(join)
    # What this one publishes does not go by its worker, but on a connection.
    task(name="greenlets.early_join", bind=True, acks_late=False)(join)

    @task(name="greenlets.elsewhere", acks_late=False)
    def elsewhere(url: str, what: str, path: str) -> str:
        """Asks a server that does not answer, and says how that ended."""
        other = FastWorker("other", broker=url, backend=url, set_as_current=False)
        append_line(path, what)
        try:
            if what == "publish":
                other.send_task("none", retry=False)
            elif what == "result":
                other.AsyncResult("none").get(timeout=60, disable_sync_subtasks=False)
            else:
                other.control.ping(timeout=60)
        except OperationalError:
            return "no answer"
        return "an answer"

    @task(name="greenlets.run_asyncio")
    def run_asyncio(meeting: str, count: int) -> int:
        """A loop of its own: waits until so many are in this task, each in two coroutines."""

        async def half() -> int:
            loop = asyncio.get_running_loop()
            append_line(meeting, "here")
            while len(read_lines(meeting)) < 2 * count:
                await asyncio.sleep(0.01)
                assert asyncio.get_running_loop() is loop
            return 1

        async def both() -> int:
            return sum(await asyncio.gather(half(), half()))

        return asyncio.run(both())
