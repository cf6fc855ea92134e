"""A broker that is away when the worker starts, or later: how long it is waited for, and what is said in the end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.support.gate import Gate
from tests.support.proxy import Proxy
from tests.support.rig import PRODUCT, RUNNER, Rig
from tests.support.waiting import wait_until
from tests.support.workers import WorkerProcess, command

TIMEOUT_S = 30

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="the words are ours")


@pytest.fixture
def proxy(redis_url: str) -> Iterator[Proxy]:
    """In front of Redis."""
    parts = urlsplit(redis_url)
    with Proxy((parts.hostname or "127.0.0.1", parts.port or 6379)) as made:
        yield made


@pytest.fixture
def away_rig(redis_rig: Rig, proxy: Proxy) -> Rig:
    """Broker and results through the proxy."""
    path = urlsplit(redis_rig.spec.broker).path
    url = f"redis://127.0.0.1:{proxy.port}{path}"
    redis_rig.spec = type(redis_rig.spec)(PRODUCT, url, url)
    return redis_rig


def start(rig: Rig) -> WorkerProcess:
    """A worker that need not get ready."""
    line = ("-A", "tests.support.worker_app", "worker", "-l", "INFO", "-c", "1")
    return rig.run(command(RUNNER), *line, environment=rig.spec.environment())


@pytest.mark.shows("setting broker_connection_retry_on_startup")
@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"broker_connection_retry_on_startup": False}, "broker_connection_retry_on_startup"),
        ({"broker_connection_retry": False}, "broker_connection_retry"),
    ],
)
def test_a_broker_that_is_away_at_the_start_is_not_waited_for(
    away_rig: Rig, proxy: Proxy, settings: dict[str, bool], named: str
) -> None:
    proxy.refuse()
    worker = start(away_rig.configure(**settings))
    assert worker.wait_ended(TIMEOUT_S) == 1
    assert f"the broker is away, and {named}=False forbids to wait for it" in worker.log


def test_the_setting_of_the_start_comes_before_the_other_one(away_rig: Rig, proxy: Proxy) -> None:
    proxy.refuse()
    away_rig.configure(broker_connection_retry=False, broker_connection_retry_on_startup=True)
    worker = start(away_rig)
    worker.wait_for_line("cannot connect: .*Trying again until it works")
    proxy.accept_again()
    worker.wait_ready()


@pytest.mark.shows("setting broker_connection_retry")
def test_a_broker_that_goes_away_later_ends_the_worker_when_told_to(
    away_rig: Rig, proxy: Proxy
) -> None:
    worker = away_rig.configure(
        broker_connection_retry=False, broker_connection_retry_on_startup=True
    ).worker()
    assert away_rig.task("add").delay(1, 1).get(timeout=TIMEOUT_S) == 2
    proxy.refuse()
    assert worker.wait_ended(TIMEOUT_S) == 1
    assert "broker_connection_retry=False forbids to wait for it" in worker.log
    worker.wait_no_members()


def test_what_runs_when_the_broker_is_given_up_may_end(
    away_rig: Rig, proxy: Proxy, gate: Gate
) -> None:
    worker = away_rig.configure(broker_connection_retry=False).worker(concurrency=1)
    away_rig.task("hold").delay(gate.path)
    gate.wait_started(1)
    proxy.refuse()
    worker.wait_for_line("Stopping when running tasks have ended")
    assert worker.returncode is None
    proxy.accept_again()
    gate.release()
    assert worker.wait_ended(TIMEOUT_S) == 1
    assert "still leased" not in worker.log


@pytest.mark.shows("setting broker_connection_max_retries")
def test_a_broker_is_waited_for_as_long_as_celerys_retries_take(
    away_rig: Rig, proxy: Proxy
) -> None:
    # Celery pauses for 2 s before its first retry.
    proxy.refuse()
    begun = time.monotonic()
    worker = start(away_rig.configure(broker_connection_max_retries=1))
    assert worker.wait_ended(TIMEOUT_S) == 1
    assert time.monotonic() - begun > 2
    text = "the broker was away for 2 s, which is all that broker_connection_max_retries=1 allows"
    assert text in worker.log


def test_an_outage_that_ends_in_time_is_survived_and_the_next_one_counts_anew(
    away_rig: Rig, proxy: Proxy
) -> None:
    worker = away_rig.configure(broker_connection_max_retries=2).worker()
    for outage in (1, 2):
        proxy.refuse()
        worker.wait_for_line("Trying again until it works, for 6 s at most", count=outage)
        proxy.accept_again()
        worker.wait_for_line("the broker answers again", count=outage)
    proxy.refuse()
    assert worker.wait_ended(TIMEOUT_S) == 1
    assert "was away for 6 s" in worker.log


def test_by_default_an_outage_of_seconds_is_nothing(away_rig: Rig, proxy: Proxy) -> None:
    worker = away_rig.worker()
    proxy.refuse()
    worker.wait_for_line(r"for 2790 s at most \(broker_connection_max_retries=100\)")
    proxy.accept_again()
    worker.wait_for_line("the broker answers again")
    add = away_rig.task("add")
    wait_until(lambda: add.delay(1, 1).get(timeout=TIMEOUT_S) == 2, "a result")
