"""``--pool gevent`` and ``--pool eventlet``: nothing that a task waits for keeps its neighbours waiting."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gate import read_lines
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.skipif(PRODUCT == "celery", reason="about our processes"),
    pytest.mark.parametrize("pool", ["gevent", "eventlet"]),
]

TIMEOUT_S = 30
#: Where each has its sockets.
MODULES = {"gevent": "gevent.", "eventlet": "eventlet."}


class Meeting:
    """A server that answers nobody until so many are there at once, or until it is told to hang up."""

    def __init__(self, count: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=count)
        self.port: int = self._listener.getsockname()[1]
        self.count = count
        self.arrived = threading.Event()
        self._connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        # Closed while it waits: the test is over.
        with contextlib.suppress(OSError):
            while len(self._connections) < self.count:
                self._connections.append(self._listener.accept()[0])
            self.arrived.set()

    def answer(self, text: str) -> None:
        """Say ``text`` to all."""
        for connection in self._connections:
            connection.sendall(text.encode())

    def hang_up(self) -> None:
        """Let everybody go, and nobody in."""
        self._listener.close()
        for connection in self._connections:
            connection.close()


@contextlib.contextmanager
def meeting(count: int) -> Iterator[Meeting]:
    made = Meeting(count)
    try:
        yield made
    finally:
        made.hang_up()


def test_standard_library_is_replaced_before_the_application_is_imported(
    sqlite_rig: Rig, pool: str
) -> None:
    sqlite_rig.worker("--pool", pool)
    module = sqlite_rig.app.tasks["greenlets.imported"].delay().get(timeout=TIMEOUT_S)
    assert module.startswith(MODULES[pool])


def test_two_hundred_tasks_wait_for_one_server_at_once(rig: Rig, pool: str) -> None:
    with meeting(200) as server:
        rig.worker("--pool", pool, concurrency=200)
        task = rig.app.tasks["greenlets.ask"]
        results = [task.delay(server.port) for _ in range(200)]
        assert server.arrived.wait(TIMEOUT_S), "not all of them were there at once"
        server.answer("all here")
        assert {result.get(timeout=TIMEOUT_S) for result in results} == {"all here"}


def test_program_that_a_task_starts_is_waited_for(sqlite_rig: Rig, pool: str) -> None:
    sqlite_rig.worker("--pool", pool)
    assert sqlite_rig.app.tasks["greenlets.run"].delay().get(timeout=TIMEOUT_S) == "its child"


@pytest.mark.parametrize("name", ["join", "early_join"])
def test_tasks_that_wait_for_results_let_the_awaited_ones_run(
    rig: Rig, pool: str, name: str, tmp_path: Path
) -> None:
    # More of them than a pool of threads would have.
    rig.worker("--pool", pool, concurrency=60)
    path = str(tmp_path / "starts")
    outer = [rig.app.tasks[f"greenlets.{name}"].delay(path) for _ in range(30)]
    wait_until(lambda: len(read_lines(path)) == 30, "the start of all awaited tasks", TIMEOUT_S)
    Path(path + ".go").touch()
    for result in outer:
        own, inner = result.get(timeout=TIMEOUT_S)
        assert own == inner


@pytest.mark.parametrize("what", ["publish", "result", "control"])
def test_server_that_does_not_answer_keeps_one_task_waiting(
    redis_rig: Rig, pool: str, what: str, tmp_path: Path
) -> None:
    path = str(tmp_path / "asked")
    with meeting(1) as server:
        redis_rig.worker("--pool", pool, concurrency=4)
        url = f"redis://127.0.0.1:{server.port}/0"
        stuck = redis_rig.app.tasks["greenlets.elsewhere"].delay(url, what, path)
        assert server.arrived.wait(TIMEOUT_S), "it did not ask"
        neighbours = [redis_rig.app.tasks["pool.who"].delay() for _ in range(10)]
        for neighbour in neighbours:
            assert neighbour.get(timeout=TIMEOUT_S)[0] == neighbour.id
        assert stuck.state == "PENDING"
        server.hang_up()
        assert stuck.get(timeout=TIMEOUT_S) == "no answer"


def test_plain_tasks_run_loops_of_their_own_beside_coroutines(
    sqlite_rig: Rig, pool: str, tmp_path: Path
) -> None:
    rig, path = sqlite_rig, str(tmp_path / "starts")
    rig.worker("--pool", pool, concurrency=20)
    coroutines = [rig.app.tasks["apool.wait"].delay(path) for _ in range(2)]
    wait_until(lambda: len(read_lines(path)) == 2, "their starts", TIMEOUT_S)
    meeting_path = str(tmp_path / "meeting")
    plain = [rig.app.tasks["greenlets.run_asyncio"].delay(meeting_path, 5) for _ in range(5)]
    assert [result.get(timeout=TIMEOUT_S) for result in plain] == [2] * 5
    Path(path + ".go").touch()
    assert all(result.get(timeout=TIMEOUT_S) for result in coroutines)
