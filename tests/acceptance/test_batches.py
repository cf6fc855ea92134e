"""Batch tasks: one call of the function for many messages, each of which ends by itself; in every pool, on each
broker.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastworker import chain, chord, group, signals
from fastworker.app import link
from fastworker.contrib.testing.app import TestApp, setup_default_app
from fastworker.contrib.testing.worker import start_worker
from fastworker.exceptions import SoftTimeLimitExceeded
from fastworker.results.backend import Backend as RESULT_BACKEND
from tests.support import processes, redis_db
from tests.support.apps import AppSpec
from tests.support.gate import Gate, read_lines
from tests.support.rig import PRODUCT, Rig
from tests.support.roles import children_of
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="Celery has no batches")

TIMEOUT_S = 30
POOLS = ["prefork", "threads", "asyncio", "gevent", "eventlet", "solo"]

kinds = pytest.mark.parametrize("kind", ["batch", "abatch"])


@pytest.fixture(
    scope="module",
    params=[(pool, broker) for pool in POOLS for broker in ("redis", "sqlite")],
    ids="-".join,
)
def any_pool(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rig]:
    """An app with a worker of each pool on each broker, which the tests that only call share."""
    pool, broker = request.param
    directory = tmp_path_factory.mktemp("batches")
    with contextlib.ExitStack() as stack:
        url = f"sqlite:///{directory}/queue.db"
        if broker == "redis":
            server = request.getfixturevalue("redis_server")
            url = stack.enter_context(redis_db.claimed(server))
        rig = Rig(AppSpec(PRODUCT, url, url, {"worker_pool": pool}), directory, stack)
        rig.worker(concurrency=1 if pool == "solo" else 2)
        yield rig


def publish(rig: Rig, name: str, *calls: tuple[Any, ...]) -> list[Any]:
    """Publish calls all at once, so that they are one batch if they are not more than it takes."""
    return list(rig.app.tasks[name].starmap_async(calls))


def outcome(result: Any) -> tuple[str, Any]:
    """``(state, result)`` once it is there; of an exception its class's name."""
    value = result.get(timeout=TIMEOUT_S, propagate=False)
    return result.state, type(value).__name__ if isinstance(value, Exception) else value


@kinds
@pytest.mark.shows("task batch", "task batch_timeout")
def test_function_gets_a_list_of_calls_and_gives_each_its_result(any_pool: Rig, kind: str) -> None:
    results = publish(any_pool, f"{kind}.double", *[(number,) for number in range(35)])
    values = [result.get(timeout=TIMEOUT_S) for result in results]
    assert [value for value, _ in values] == [2 * number for number in range(35)]
    # Complete batches as long as there are enough, and the rest when it has waited.
    assert Counter(size for _, size in values) == {10: 30, 5: 5}


@kinds
def test_each_call_ends_as_it_is_told(any_pool: Rig, kind: str) -> None:
    said = ("succeed", "fail", "retry", "give up", "reject", "requeue", "nothing")
    results = publish(any_pool, f"{kind}.each", *[(word,) for word in said])
    ends = {word: outcome(result) for word, result in zip(said, results, strict=True)}
    assert ends == {
        "succeed": ("SUCCESS", [results[0].id, f"{kind}.each"]),
        "fail": ("FAILURE", "ValueError"),
        "retry": ("SUCCESS", "retried"),
        "give up": ("FAILURE", "MaxRetriesExceededError"),
        "reject": ("FAILURE", "Reject"),
        "requeue": ("SUCCESS", "requeued"),
        "nothing": ("SUCCESS", None),
    }


@kinds
def test_results_are_told_as_celery_batches_has_it(any_pool: Rig, kind: str) -> None:
    task = any_pool.app.tasks[f"{kind}.mark"]
    done, failed, bare = task.delay(), task.delay(fails=True), task.delay(bare=True)
    assert outcome(done) == ("SUCCESS", "marked")
    assert outcome(failed) == ("FAILURE", "KeyError")
    assert outcome(bare) == ("SUCCESS", "marked by id")


@kinds
def test_exception_fails_all_calls_that_have_not_ended(any_pool: Rig, kind: str) -> None:
    results = publish(any_pool, f"{kind}.fail", *[()] * 10)
    ends = Counter(outcome(result) for result in results)
    assert ends == {("FAILURE", "ValueError"): 9, ("SUCCESS", "in time"): 1}
    failed = next(result for result in results if result.state == "FAILURE")
    assert "all the others" in failed.traceback


@kinds
def test_retry_of_the_batch_is_one_of_each_call(any_pool: Rig, kind: str) -> None:
    results = publish(any_pool, f"{kind}.again", *[()] * 3)
    assert [result.get(timeout=TIMEOUT_S) for result in results] == [1, 1, 1]


def test_what_the_function_returns_has_to_say_something_of_each_call(any_pool: Rig) -> None:
    fine = publish(any_pool, "batch.nothing", (), ())
    wrong = publish(any_pool, "batch.wrong", (), ())
    assert [outcome(result) for result in fine] == [("SUCCESS", None)] * 2
    assert [outcome(result) for result in wrong] == [("FAILURE", "TypeError")] * 2
    assert "returned a int" in str(wrong[0].result)


def test_rest_of_a_chain_follows_from_each_call(any_pool: Rig) -> None:
    tasks = any_pool.app.tasks
    linked = chain(tasks["batch.each"].s("succeed"), tasks["proj.echo"].s())
    result = linked.apply_async()
    [[passed_on], _] = result.get(timeout=TIMEOUT_S)
    assert passed_on == [result.parent.id, "batch.each"]


def test_errback_follows_from_each_call(any_pool: Rig, tmp_path: Path) -> None:
    tasks, path = any_pool.app.tasks, str(tmp_path / "told")
    errback = tasks["proj.telling_errback"].s(path=path)
    failed = tasks["batch.each"].apply_async(("fail",), link_error=errback)
    assert outcome(failed) == ("FAILURE", "ValueError")
    wait_until(lambda: read_lines(path), "the errback")
    assert read_lines(path) == ["this one alone"]


def test_calls_are_members_of_groups(any_pool: Rig) -> None:
    members = [any_pool.app.tasks["batch.double"].s(number) for number in range(4)]
    results = group(members).apply_async().get(timeout=TIMEOUT_S)
    assert [value for value, _ in results] == [0, 2, 4, 6]


def test_chord_of_calls_is_joined_in_the_order_of_its_header(any_pool: Rig) -> None:
    tasks = any_pool.app.tasks
    header = [tasks["batch.double"].s(number) for number in range(12)]
    joined = chord(header)(tasks["proj.listed"].s())
    values = [value for value, _ in joined.get(timeout=TIMEOUT_S)]
    assert values == [2 * number for number in range(12)]


def test_call_that_fails_alone_fails_its_chord(any_pool: Rig) -> None:
    tasks = any_pool.app.tasks
    header = [tasks["batch.each"].s(word) for word in ("succeed", "retry", "fail", "succeed")]
    joined = chord(header)(tasks["proj.listed"].s())
    wait_until(joined.ready, "the chord's end", TIMEOUT_S)
    assert type(joined.result).__name__ == "ChordError"
    assert "ValueError('this one alone')" in str(joined.result)


def test_batch_task_is_the_body_of_a_chord(any_pool: Rig) -> None:
    tasks = any_pool.app.tasks
    joined = chord([tasks["proj.add"].s(1, 1), tasks["proj.add"].s(2, 2)])(
        tasks["batch.double"].s()
    )
    value, _ = joined.get(timeout=TIMEOUT_S)
    assert value == [2, 4, 2, 4]


def test_what_the_function_publishes_has_no_parent(any_pool: Rig) -> None:
    results = publish(any_pool, "batch.publish", (), ())
    for result in results:
        child, own_id = result.get(timeout=TIMEOUT_S)
        assert own_id is None
        assert any_pool.app.AsyncResult(child).get(timeout=TIMEOUT_S)[0] == child


@kinds
def test_handlers_of_each_call_publish(any_pool: Rig, kind: str, tmp_path: Path) -> None:
    path = str(tmp_path / "told")
    said = ("succeed", "fail", "retry", "nothing")
    results = publish(any_pool, f"{kind}.tell", *[(path, word) for word in said])
    assert [outcome(result)[0] for result in results] == [
        "SUCCESS",
        "FAILURE",
        "SUCCESS",
        "SUCCESS",
    ]
    succeeds = ("before_start", "on_success", "after_return")
    expected = [
        *[f"{handler} {word}" for handler in succeeds for word in ("succeed", "nothing", "retry")],
        *[f"{handler} fail" for handler in ("before_start", "on_failure", "after_return")],
        *["before_start retry", "on_retry retry"],
    ]
    # Each line is a message that a handler published: they come in any order, some after the results.
    wait_until(lambda: len(read_lines(path)) >= len(expected), "the lines of all handlers")
    assert Counter(read_lines(path)) == Counter(expected)


def test_state_that_comes_too_late_ends_nobody(any_pool: Rig) -> None:
    results = publish(any_pool, "batch.late_state", (), ())
    assert [outcome(result)[1] for result in results] == ["done"] * 2


def test_calls_end_in_a_thread_of_the_function_as_in_its_own(any_pool: Rig) -> None:
    tasks = any_pool.app.tasks
    result = chain(tasks["batch.from_thread"].s(), tasks["proj.echo"].s()).apply_async()
    assert result.get(timeout=TIMEOUT_S) == [[result.parent.id], {}]
    # The link has noted what followed from it, and sent it along with the acknowledgement.
    assert [child.id for child in result.parent.children] == [result.id]


def test_large_messages_reach_their_function(any_pool: Rig) -> None:
    """A child has begun when it sees the head of a batch, however long the rest takes to come."""
    results = publish(any_pool, "batch.lengths", *[("x" * 800_000,)] * 10)
    [alone] = publish(any_pool, "proj.length", ("x" * 8_000_000,))
    assert [result.get(timeout=TIMEOUT_S) for result in results] == [[800_000, 10]] * 10
    assert alone.get(timeout=TIMEOUT_S) == 8_000_000


def test_early_acknowledged_calls_come_in_batches_too(any_pool: Rig) -> None:
    results = publish(any_pool, "batch.early", *[()] * 10)
    assert [result.get(timeout=TIMEOUT_S) for result in results] == [10] * 10


@pytest.fixture
def limited(any_pool: Rig) -> Rig:
    """The same, where there are time limits."""
    if any_pool.app.conf.worker_pool == "solo":
        pytest.skip("nothing can interrupt the worker's own thread")
    return any_pool


@kinds
def test_soft_limit_is_raised_once_in_the_function(limited: Rig, kind: str) -> None:
    ends = {outcome(result) for result in publish(limited, f"{kind}.soft", *[()] * 10)}
    assert ends == {("SUCCESS", "before the limit"), ("SUCCESS", "cleaned up")}


@kinds
def test_hard_limit_fails_all_calls_that_have_not_ended(limited: Rig, kind: str) -> None:
    results = publish(limited, f"{kind}.hard", *[()] * 10)
    ends = {outcome(result) for result in results}
    assert ends == {("SUCCESS", "before the limit"), ("FAILURE", "TimeLimitExceeded")}
    again = limited.app.tasks["batch.nothing"].delay()
    assert outcome(again) == ("SUCCESS", None)


def test_killed_process_redelivers_each_call_alone_and_counts_out_the_one_that_kills(
    rig: Rig, tmp_path: Path
) -> None:
    rig.worker(concurrency=2)
    path = str(tmp_path / "starts")
    said = ["early", "poison", *["innocent"] * 8]
    results = publish(rig, "batch.die", *[(word, path) for word in said])
    ends = [outcome(result) for result in results]
    assert ends[0] == ("SUCCESS", "before it died")
    assert ends[1] == ("FAILURE", "WorkerLostError")
    assert ends[2:] == [("SUCCESS", 1)] * 8
    starts = Counter(line.split()[0] for line in read_lines(path))
    # Once together, and then each alone: the one that kills as often as it may.
    assert starts == {"early": 1, "poison": 3, "innocent": 16}


def test_killed_supervisor_loses_no_call_of_a_batch(rig: Rig, gate: Gate) -> None:
    rig.configure(worker_lease_life=1)
    first = rig.worker(concurrency=1)
    results = publish(rig, "batch.hold", *[(gate.path,)] * 10)
    gate.wait_started(1)
    first.kill_node()
    gate.release(100)
    rig.worker(concurrency=2)
    assert all(result.get(timeout=TIMEOUT_S) == 1 for result in results)


def test_what_is_published_after_the_last_call_has_ended_is_confirmed(
    rig: Rig, tmp_path: Path
) -> None:
    rig.configure(worker_lease_life=1)
    worker, path = rig.worker(concurrency=1), str(tmp_path / "told")
    results = publish(rig, "batch.sum_up", *[(path, worker.pid)] * 10)
    assert {outcome(result)[0] for result in results} == {"SUCCESS"}
    worker.wait_no_members()
    rig.worker(concurrency=1)
    wait_until(lambda: read_lines(path) == ["summary of 10"], "what was published last")


def test_refused_message_fails_the_calls_that_had_not_ended_when_it_was_published(
    redis_rig: Rig,
) -> None:
    redis_rig.redis().set("no-list", "and nothing can be pushed to it")
    redis_rig.worker(concurrency=1)
    results = publish(redis_rig, "batch.publish_to", *[("no-list",)] * 3)
    ends = [outcome(result) for result in results]
    assert ends == [("SUCCESS", "ended before"), *[("FAILURE", "OperationalError")] * 2]
    assert "published was refused" in str(results[2].result)


def test_calls_that_wait_for_others_go_back_in_a_shutdown(rig: Rig) -> None:
    task = rig.app.tasks["batch.double"]
    worker = rig.worker(concurrency=1)
    held = [task.delay(number) for number in range(3)]
    worker.wait_for_line("received", count=3)
    started = time.monotonic()
    assert worker.stop() == 0
    assert time.monotonic() - started < 10
    rig.worker(concurrency=1)
    assert [result.get(timeout=TIMEOUT_S)[0] for result in held] == [0, 2, 4]


def test_call_that_is_revoked_while_its_batch_runs_ends_with_it(rig: Rig, gate: Gate) -> None:
    worker = rig.worker("--pool", "prefork", concurrency=1)
    results = publish(rig, "batch.hold", *[(gate.path,)] * 10)
    [pid] = gate.wait_started(1)
    results[4].revoke(terminate=True)
    [_, second] = gate.wait_started(2)
    assert second != pid
    gate.release(10)
    ends = [outcome(result) for result in results]
    assert ends[4] == ("REVOKED", "TaskRevokedError")
    # The others ran again, together: no attempt was counted against them.
    assert ends[:4] + ends[5:] == [("SUCCESS", 9)] * 9
    wait_until(lambda: len(children_of(worker.pid)) == 1, "a replacement")


@pytest.mark.parametrize("pool", ["threads", "asyncio"])
def test_revoked_call_ends_its_batch_where_others_share_the_process(
    rig: Rig, tmp_path: Path, pool: str
) -> None:
    rig.worker("--pool", pool, concurrency=4)
    path = str(tmp_path / "gate")
    results = publish(rig, "abatch.hold", *[(path,)] * 10)
    wait_until(lambda: len(read_lines(path + ".starts")) == 1, "the batch")
    results[4].revoke(terminate=True)
    wait_until(lambda: len(read_lines(path + ".starts")) == 2, "the others again")
    Path(path + ".open").touch()
    ends = [outcome(result) for result in results]
    assert ends[4] == ("REVOKED", "TaskRevokedError")
    assert ends[:4] + ends[5:] == [("SUCCESS", 9)] * 9


def test_calls_go_as_soon_as_no_more_can_come_because_of_the_limit_of_their_queue(rig: Rig) -> None:
    rig.worker("-Q", "celery", "--queue-limit", "celery=2", concurrency=1)
    results = publish(rig, "batch.patient", *[("",)] * 4)
    assert [result.get(timeout=TIMEOUT_S) for result in results] == [2] * 4


def test_large_messages_make_small_batches(rig: Rig) -> None:
    """Up to 16 MB together, so that ten calls are two batches."""
    rig.worker(concurrency=1)
    results = publish(rig, "batch.patient", *[("x" * 3_000_000,)] * 10)
    assert [result.get(timeout=TIMEOUT_S) for result in results] == [5] * 10


def test_running_calls_of_a_batch_are_all_active(rig: Rig, gate: Gate) -> None:
    rig.worker(concurrency=2)
    results = publish(rig, "batch.hold", *[(gate.path,)] * 10)
    [pid] = gate.wait_started(1)
    [tasks] = rig.app.control.inspect(timeout=5).active().values()
    assert {task["id"] for task in tasks} == {result.id for result in results}
    assert {task["worker_pid"] for task in tasks} == {pid}
    gate.release()
    assert [result.get(timeout=TIMEOUT_S) for result in results] == [10] * 10


def test_celery_client_publishes_to_it(rig: Rig) -> None:
    celery = pytest.importorskip("celery")
    if not rig.is_redis:
        pytest.skip("Celery's client has no such broker")
    rig.worker(concurrency=1)
    url = rig.spec.broker
    client = celery.Celery(broker=url, backend=url, set_as_current=False)
    results = [client.send_task("batch.double", (number,)) for number in range(10)]
    assert [result.get(timeout=TIMEOUT_S)[0] for result in results] == list(range(0, 20, 2))


def test_worker_in_a_thread_runs_batches(broker_url: str) -> None:
    app = TestApp(broker=broker_url, backend=broker_url)
    calls: list[tuple[str, int]] = []
    with setup_default_app(app):

        @app.task(batch=5, batch_timeout=0.2, bind=True)
        def many(self: Any, requests: list[Any]) -> list[int]:
            calls.append((type(self.request).__name__, len(requests)))
            return [request.args[0] + 1 for request in requests]

        def note(sender: Any = None, args: Any = None, **_: Any) -> None:
            calls.append(("prerun", len(args[0])))

        def ended(sender: Any = None, result: Any = None, **_: Any) -> None:
            calls.append(("success", result))

        signals.task_prerun.connect(note, weak=False)
        signals.task_success.connect(ended, weak=False)
        try:
            results = [many.delay(number) for number in range(5)]
            with start_worker(app, perform_ping_check=False):
                values = [result.get(timeout=TIMEOUT_S) for result in results]
        finally:
            signals.task_prerun.disconnect(note)
            signals.task_success.disconnect(ended)
    assert values == [1, 2, 3, 4, 5]
    # The function's signals once, each call's own for each.
    assert calls == [
        ("prerun", 5),
        ("BatchContext", 5),
        *[("success", number) for number in range(1, 6)],
    ]


@pytest.mark.parametrize("where", ["as it is kept", "as it is reported"])
def test_retry_that_an_interrupt_forestalls_is_not_published(
    broker_url: str, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """The soft limit comes when the first call's retry has been made and not been reported."""
    app = TestApp(broker=broker_url, backend=broker_url)
    runs: list[list[str]] = []
    hits = iter([True])

    def interrupt() -> None:
        if next(hits, False):
            raise SoftTimeLimitExceeded()

    if where == "as it is kept":

        class Interrupted(link._WithOutcome):
            def __init__(self, to: Any) -> None:
                super().__init__(to)
                self._keep = self.publish
                self.publish = self.interrupted

            def interrupted(self, messages: Any) -> None:
                self._keep(messages)
                interrupt()

        monkeypatch.setattr(link, "_WithOutcome", Interrupted)
    else:
        document = RESULT_BACKEND.document

        def interrupted(self: Any, task_id: str, result: Any, state: str, *rest: Any) -> bytes:
            if state == "RETRY":
                interrupt()
            return document(self, task_id, result, state, *rest)

        monkeypatch.setattr(RESULT_BACKEND, "document", interrupted)
    with setup_default_app(app):

        @app.task(
            batch=2, batch_timeout=0.2, autoretry_for=(KeyError,), retry_kwargs={"countdown": 0}
        )
        def many(requests: list[Any]) -> None:
            runs.append([request.args[0] for request in requests])
            if runs[-1] == ["first", "second"]:
                raise KeyError("again")

        with start_worker(app, perform_ping_check=False):
            first, second = many.starmap_async([("first",), ("second",)])
            ends = [outcome(result) for result in (first, second)]
            # Behind what was published before.
            assert outcome(many.delay("third")) == ("SUCCESS", None)
    assert ends == [("FAILURE", "SoftTimeLimitExceeded")] * 2
    assert runs == [["first", "second"], ["third"]]


def test_child_that_is_killed_from_outside_costs_no_call(rig: Rig, gate: Gate) -> None:
    rig.worker(concurrency=1)
    results = publish(rig, "batch.hold", *[(gate.path,)] * 10)
    [pid] = gate.wait_started(1)
    processes.kill(pid)
    gate.release(100)
    assert [result.get(timeout=TIMEOUT_S) for result in results] == [1] * 10
