"""Whatever was imported before a child was forked is told of it, as in processes of multiprocessing and billiard."""

from __future__ import annotations

from tests.support.rig import Rig

TIMEOUT_S = 30


def test_pools_of_connections_hear_that_they_are_in_a_new_process(rig: Rig) -> None:
    rig.worker(concurrency=2)
    results = [rig.task("heard_of_fork").delay() for _ in range(10)]
    for heard_in, pid in (result.get(timeout=TIMEOUT_S) for result in results):
        assert heard_in == [pid]
