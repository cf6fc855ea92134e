"""Thousands of numbered tasks of every kind while processes are killed: every effect happens,
nothing is left, and what runs twice does so because of a kill.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest
import redis

from tests.stress.account import Account, Fault
from tests.stress.chaos import CONF, play, schedule
from tests.stress.harness import Run
from tests.stress.numbers import Effect, kind_of
from tests.support import servers
from tests.support.apps import AppSpec
from tests.support.queue_state import QueueState
from tests.support.redis_server import RedisServer
from tests.support.rig import PRODUCT

pytestmark = [
    pytest.mark.skipif(PRODUCT == "celery", reason="Celery loses tasks here"),
    pytest.mark.timeout(300),
]

BROKERS = ["redis", "sqlite"]
TASKS = 2500
EMPTY = QueueState(0, 0, 0, 0, 0, 0, frozenset())


def need_server_to_kill(broker: str) -> None:
    """Skip without a redis-server program of our own; fail in CI."""
    if broker == "redis" and shutil.which("redis-server") is None:
        if servers.is_ci():
            pytest.fail("no redis-server program to kill; install redis-server")
        pytest.skip("no redis-server program to kill; install redis-server")


@pytest.mark.parametrize("broker", BROKERS)
def test_tasks_of_every_kind_survive_kills(broker: str, tmp_path: Path) -> None:
    need_server_to_kill(broker)
    account = play(broker, tmp_path, seed=2, faults=schedule(broker, 2, 7), tasks=TASKS)
    account.check()


@pytest.mark.parametrize("broker", BROKERS)
def test_tasks_in_two_lanes_survive_kills(broker: str, tmp_path: Path) -> None:
    need_server_to_kill(broker)
    faults = schedule(broker, 3, 7)
    account = play(broker, tmp_path, seed=3, faults=faults, tasks=TASKS, has_lanes=True)
    account.check()


@pytest.mark.parametrize("broker", BROKERS)
def test_message_taken_out_of_the_queue_is_reported(broker: str, tmp_path: Path) -> None:
    need_server_to_kill(broker)
    with contextlib.ExitStack() as stack:
        server, url = None, f"sqlite:///{tmp_path}/queue.db"
        if broker == "redis":
            server = stack.enter_context(RedisServer(tmp_path))
            url = f"{server.url}/0"
        spec = AppSpec("fastworker", url, None, CONF)
        run = stack.enter_context(Run(tmp_path, spec, server, seed=1, has_worker=False))
        run.publish(50, 0)
        assert run.wait_published() == 0
        take_one(url)
        run.start_worker()
        account = run.finish(0)
    assert len(account.lost) == 1
    with pytest.raises(AssertionError, match="1 effects missing"):
        account.check()


def take_one(url: str) -> None:
    """Remove the first message that waits; it is a plain effect."""
    if url.startswith("redis"):
        with redis.Redis.from_url(url) as client:
            assert client.rpop("celery")
        return
    with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file, file:
        taken = file.execute("DELETE FROM ready WHERE id = (SELECT min(id) FROM ready)")
        assert taken.rowcount == 1


def account_of(effects: dict[int, list[Effect]], *faults: Fault) -> Account:
    """An account of as many numbers as there are effects."""
    return Account(len(effects), effects, frozenset(), (), {}, {}, EMPTY, list(faults))


def test_second_run_without_a_fault_is_reported() -> None:
    account = account_of({0: [Effect(1, 2), Effect(1, 9)]}, Fault("child", 20, 20, 1))
    with pytest.raises(AssertionError, match="no fault says why"):
        account.check()


def test_second_run_after_a_kill_is_explained() -> None:
    account = account_of({0: [Effect(1, 2), Effect(1, 9)]}, Fault("child", 5, 5, 1))
    account.check()
    assert account.duplicates == {0: ["child"]}


def test_second_run_of_an_early_acknowledged_task_is_reported() -> None:
    effects = {n: [Effect(1, 2)] for n in range(24)}
    effects[23].append(Effect(1, 9))
    with pytest.raises(AssertionError, match=r"23 \(early\)"):
        account_of(effects, Fault("node", 5, 5, 1)).check()


def test_lost_early_acknowledged_tasks_are_counted_and_bounded() -> None:
    effects = {n: [Effect(1, 2)] for n in range(24)}
    effects[23] = []
    account_of(effects, Fault("node", 5, 5, 1)).check()
    with pytest.raises(AssertionError, match="early ones"):
        account_of(effects).check()


def test_second_run_before_the_fault_is_reported() -> None:
    with pytest.raises(AssertionError, match="no fault says why"):
        account_of({0: [Effect(1, 2), Effect(1, 9)]}, Fault("child", 9.1, 9.2, 1)).check()


@pytest.mark.parametrize("fault", ["child", "connection"])
def test_start_after_a_revoke_is_reported_unless_the_word_was_cut_off(fault: str) -> None:
    effects = {n: [Effect(1, 2)] for n in range(28)}
    account = account_of(effects, Fault(fault, 1.5, 1.5, 1))
    account.revoked = {27: 1.2}
    assert (27 in account.unheeded) is (fault == "child")
    account.revoked = {27: 1.9}
    account.check()


def test_terminated_task_that_runs_on_is_reported() -> None:
    account = account_of({0: [Effect(1, 2)]})
    account.revoked, account.outlasted = {0: 3.0}, {0: 7.0}
    with pytest.raises(AssertionError, match=r"ran on for 4\.00 s"):
        account.check()


@pytest.mark.parametrize(("each_s", "holds"), [(1 / 4, True), (1 / 8, False)])
def test_limit_of_all_workers_that_is_exceeded_is_reported(each_s: float, holds: bool) -> None:
    numbers = [n for n in range(50 * 40) if kind_of(n) == "cluster"]
    effects = {n: [Effect(1, 2 + at * each_s)] for at, n in enumerate(numbers)}
    assert account_of(effects).exceeded == ({} if holds else {"cluster": pytest.approx(39 / 2)})
