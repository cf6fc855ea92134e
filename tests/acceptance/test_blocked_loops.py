"""Tasks that share a process, and one of them lets no other go on: it is named, and other processes take over."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.gate import read_lines
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="Celery has other pools")

TIMEOUT_S = 30
#: Pools with a loop, and the kinds of task that run on it.
LOOPS = [("asyncio", "apool"), ("gevent", "pool"), ("eventlet", "pool")]
ANY = [("threads", "pool"), ("threads", "apool"), *LOOPS, ("gevent", "apool"), ("asyncio", "pool")]


@pytest.mark.shows("setting worker_blocked_after")
@pytest.mark.parametrize(("pool", "kind"), LOOPS)
def test_task_that_keeps_its_process_is_named_with_its_line(
    sqlite_rig: Rig, pool: str, kind: str, tmp_path: Path
) -> None:
    rig, path, waits = sqlite_rig, str(tmp_path / "hog"), str(tmp_path / "waits")
    worker = rig.configure(worker_blocked_after=0.5).worker("--pool", pool, concurrency=4)
    neighbour = rig.app.tasks[f"{kind}.wait"].delay(waits)
    wait_until(lambda: read_lines(waits), "the neighbour's start")
    hog = rig.app.tasks[f"{kind}.hog"].delay(path)
    worker.wait_for_line(
        rf"blocked for \d\.\d s, and none of its 2 task\(s\) goes on \({kind}.*\): "
        rf"task {kind}\.hog\[{hog.id}\], at .*pool_tasks\.py:\d+ in a?hog",
        TIMEOUT_S,
    )
    for name in (path, waits):
        Path(name + ".go").touch()
    assert hog.get(timeout=TIMEOUT_S) == neighbour.get(timeout=TIMEOUT_S)
    worker.wait_for_line(rf"goes on after .* s: it was kept by task {kind}\.hog\[{hog.id}\]")
    assert worker.log.count("has been blocked for") == 1


def test_task_that_keeps_the_interpreter_is_named_too(sqlite_rig: Rig) -> None:
    worker = sqlite_rig.worker("--pool", "asyncio", concurrency=4)
    hog = sqlite_rig.app.tasks["apool.hog_in_c"].delay()
    line = rf"none of its 1 task\(s\) goes on \(apool\.hog_in_c\[{hog.id}\]\)"
    worker.wait_for_line(line, TIMEOUT_S)
    worker.wait_for_line(r"pool_tasks\.py.* in ahog_in_c")
    hog.get(timeout=TIMEOUT_S)


@pytest.mark.parametrize(("pool", "kind"), LOOPS)
def test_blocked_process_keeps_nothing_from_the_other(
    rig: Rig, pool: str, kind: str, tmp_path: Path
) -> None:
    path = str(tmp_path / "hog")
    rig.worker("--pool", pool, "--processes", "2", concurrency=50)
    hog = rig.app.tasks[f"{kind}.hog"].delay(path)
    wait_until(lambda: read_lines(path), "its start")
    others = [rig.app.tasks[f"{kind}.who"].delay() for _ in range(60)]
    pids = {other.get(timeout=TIMEOUT_S)[2] for other in others}
    assert hog.state == "PENDING"
    assert pids.isdisjoint(int(line) for line in read_lines(path))
    Path(path + ".go").touch()
    assert hog.get(timeout=TIMEOUT_S) == int(read_lines(path)[0])


@pytest.mark.shows("setting worker_stacks_after")
@pytest.mark.parametrize(("pool", "kind"), ANY)
def test_tasks_that_run_for_long_beside_others_are_logged_with_where_they_are(
    sqlite_rig: Rig, pool: str, kind: str, tmp_path: Path
) -> None:
    rig, path = sqlite_rig, str(tmp_path / "starts")
    worker = rig.configure(worker_stacks_after=1).worker("--pool", pool, concurrency=4)
    long = [rig.app.tasks[f"{kind}.wait"].delay(path) for _ in range(2)]
    wait_until(lambda: len(read_lines(path)) == 2, "their starts")
    short = rig.app.tasks[f"{kind}.who"].delay()
    for result in long:
        worker.wait_for_line(rf"{kind}\.wait\[{result.id}\] has been running for \d", TIMEOUT_S)
    function = "await_" if kind == "apool" else "wait"
    wait_until(lambda: worker.log.count(f", in {function}\n") >= 2, "both places")
    Path(path + ".go").touch()
    for result in long:
        result.get(timeout=TIMEOUT_S)
    assert f"[{short.id}] has been running" not in worker.log
    assert worker.log.count("has been running for") == 2
