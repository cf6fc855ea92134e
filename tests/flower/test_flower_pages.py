"""The real Flower in a real browser: what its pages show of our workers, and what its buttons do to them. Each effect
is seen on the page, and asked of the worker.

Pictures of the pages are left in ``target/screenshots``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from tests.flower.conftest import NODE, TIMEOUT_S, Station
from tests.support import servers
from tests.support.browser import Page, chromium
from tests.support.gate import Gate
from tests.support.rig import PRODUCT
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(PRODUCT == "celery", reason="Flower is made for it")

MakeStation = Callable[..., Station]
#: By itself it shows 50 tasks.
WORKER = f"/worker/{NODE}?limit=500"


@pytest.fixture(scope="module")
def browse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Page]]:
    """Makes a page of a server; skips (fails in CI) when there is no browser."""
    with contextlib.ExitStack() as stack:
        try:
            driver = stack.enter_context(chromium(tmp_path_factory.mktemp("browser")))
        except servers.NoServer as error:
            if servers.is_ci():
                pytest.fail(str(error))
            pytest.skip(str(error))
        yield lambda url: Page(driver, url)


def show_tab(page: Page, name: str, picture: str) -> str:
    """Open one of the worker's tabs; all of its text."""
    page.press(f"worker-tab-{name}")
    wait_until(lambda: page.is_there(f"#tab-{name}.show.active"), f"the tab {name}")
    page.picture(f"{picture}-{name}")
    return page.text(f"#tab-{name}")


@pytest.mark.parametrize(("framework", "broker"), [("fastworker", "redis"), ("celery", "rabbit")])
def test_tabs_of_a_worker_have_everything(
    make_station: MakeStation,
    browse: Callable[[str], Page],
    gate: Gate,
    framework: str,
    broker: str,
) -> None:
    station = make_station(framework, broker)
    station.worker()
    running = station.task("hold").delay(gate.path)
    gate.wait_started()
    later = station.task("add").apply_async((1, 2), countdown=500)
    wait_until(lambda: station.ask("scheduled"), "the task in the worker")
    flower = station.flower()
    flower.worker(NODE)
    page = browse(flower.url).open(WORKER)
    page.see("#workername", NODE)
    stats = station.ask("stats")
    pool = page.text("#tab-pool")
    assert all(str(pid) in pool for pid in (stats["pid"], *stats["pool"]["processes"]))
    assert "Prefetch Count" in pool
    picture = f"{framework}-{broker}"
    page.picture(f"{picture}-pool")
    assert {"redis": "redis", "rabbit": "amqp"}[broker] in show_tab(page, "broker", picture)
    assert "celery" in show_tab(page, "queues", picture)
    tasks = show_tab(page, "tasks", picture)
    assert all(text in tasks for text in ("proj.hold", running.id, later.id, gate.path))
    assert "proj.add" in show_tab(page, "limits", picture)
    config = show_tab(page, "config", picture)
    assert "broker_url" in config
    assert "guest:guest" not in config
    assert "maxrss" in show_tab(page, "system", picture)
    assert "uptime" in show_tab(page, "other", picture)
    assert page.errors() == []
    assert flower.complaints == []
    gate.release()


def test_buttons_of_a_worker_do_what_they_say(
    make_station: MakeStation, browse: Callable[[str], Page]
) -> None:
    station = make_station("fastworker")
    worker = station.worker(concurrency=1)
    flower = station.flower()
    flower.worker(NODE)
    page = browse(flower.url).open(WORKER)

    def processes() -> list[int]:
        found: list[int] = station.ask("stats")["pool"]["processes"]
        return found

    page.fill("#pool-size", "2")
    page.press("worker-pool-grow")
    page.hear("Growing")
    grown = wait_until(lambda: len(now := processes()) == 3 and now, "three processes")
    page.see_after_reload("#tab-pool", str(max(grown)))
    page.fill("#pool-size", "1")
    page.press("worker-pool-shrink")
    page.hear("Shrinking")
    wait_until(lambda: len(processes()) == 2, "two processes")

    page.fill("#min-autoscale", "1")
    page.fill("#max-autoscale", "2")
    page.press("worker-pool-autoscale")
    page.hear("Autoscale not enabled")
    page.picture("autoscale-refused")

    page.press("worker-tab-queues")
    page.fill("#add-consumer-name", "more")
    page.press("worker-add-consumer")
    page.hear("add consumer more")
    assert "more" in [queue["name"] for queue in station.ask("active_queues")]
    assert station.task("add").apply_async((1, 2), queue="more").get(timeout=TIMEOUT_S) == 3
    page.see_after_reload("#worker-queues", "more")
    page.press("worker-cancel-consumer-more")
    page.hear("no longer consuming from more")
    assert [queue["name"] for queue in station.ask("active_queues")] == ["celery"]

    page.press("worker-tab-limits")
    page.fill('[aria-label="Rate limit for proj.add"]', "5")
    page.press("task-rate-limit-proj.add")
    page.hear("new rate limit set successfully")
    assert "proj.add [rate_limit=5]" in station.ask("registered")
    page.see_after_reload("#limits-table", "proj.add [rate_limit=5]")
    for kind, attribute, seconds in (("soft", "soft_time_limit", 7), ("hard", "time_limit", 9)):
        page.reload()
        page.fill('[aria-label="Timeout for proj.echo"]', str(seconds))
        page.press(f"task-timeout-{kind}-proj.echo")
        page.hear("time limits set successfully")
        limits = station.ask("registered", taskinfoitems=[attribute])
        assert f"proj.echo [{attribute}={seconds:.1f}]" in limits

    page.press("worker-group")
    page.press("worker-refresh")
    page.hear("Successfully refreshed")
    page.press("worker-group")
    page.press("worker-pool-restart")
    page.hear("Pool restarts not enabled")
    page.press("worker-group")
    page.press("worker-shutdown")
    page.hear("Shutting down!")
    assert worker.wait_ended() == 0


def test_pool_is_restarted_and_scaled_by_its_buttons(
    make_station: MakeStation, browse: Callable[[str], Page]
) -> None:
    station = make_station("celery", worker_pool_restarts=True)
    station.worker("--autoscale", "3,1")
    flower = station.flower()
    before = flower.worker(NODE)["stats"]["pool"]["processes"]
    page = browse(flower.url).open(WORKER)
    page.see(".worker-autoscaler-panel", "Max")
    page.fill("#min-autoscale", "2")
    page.fill("#max-autoscale", "5")
    page.press("worker-pool-autoscale")
    page.hear("Autoscaling")
    bounds = station.ask("stats")["autoscaler"]
    assert (bounds["min"], bounds["max"]) == (2, 5)
    page.see_after_reload(".worker-autoscaler-panel", "5")
    page.press("worker-group")
    page.press("worker-pool-restart")
    page.hear("Restarting")
    after = wait_until(
        lambda: not {*before} & {*(now := station.ask("stats")["pool"]["processes"])} and now,
        "other processes",
    )
    page.see_after_reload("#tab-pool", str(after[0]))
    page.picture("restarted")
    assert station.task("add").delay(1, 2).get(timeout=TIMEOUT_S) == 3
    assert flower.complaints == []


@pytest.mark.parametrize(("framework", "broker"), [("fastworker", "rabbit"), ("celery", "redis")])
def test_tasks_are_listed_and_ended_by_their_buttons(
    make_station: MakeStation,
    browse: Callable[[str], Page],
    gate: Gate,
    framework: str,
    broker: str,
) -> None:
    station = make_station(framework, broker)
    worker = station.worker()
    flower = station.flower()
    # It was not started with -E: Flower asks for events every five seconds.
    worker.wait_for_line("enabled by remote", TIMEOUT_S)
    wait_until(lambda: flower.get("/api/workers", status=1).get(NODE), "a heartbeat")
    done, failed = station.task("add").delay(1, 2), station.task("fail").delay("why not")
    assert done.get(timeout=TIMEOUT_S) == 3
    running = station.task("hold").delay(gate.path)
    gate.wait_started()
    waiting = station.task("add").apply_async((1, 2), countdown=500)

    page = browse(flower.url).open("/workers")
    page.see("#workers-table", NODE)
    page.see("#workers-table", "Online")
    page.see("#workers-succeeded", "1")
    page.see("#workers-failed", "1")
    page.picture(f"{framework}-workers")
    page.open("/tasks")
    for result, state in (
        (done, "SUCCESS"),
        (failed, "FAILURE"),
        (running, "STARTED"),
        (waiting, "RECEIVED"),
    ):
        page.see(f'[id="{result.id}"]', state)
    page.picture(f"{framework}-tasks")
    page.open(f"/task/{done.id}").see("#task-page", "SUCCESS")
    assert "(1, 2)" in page.text("#task-page")
    page.picture(f"{framework}-task")
    page.open(f"/task/{failed.id}").see("#task-page", "why not")

    page.open(f"/task/{running.id}").press("task-terminate")
    page.hear("Revoked")
    wait_until(lambda: running.state == "REVOKED", "the end of the task")
    assert station.ask("active") == []
    page.see_after_reload("#task-page", "REVOKED")
    page.open(f"/task/{waiting.id}").press("task-revoke")
    page.hear("Revoked")
    wait_until(lambda: waiting.id in station.ask("revoked"), "the worker to know it")
    assert waiting.state == "REVOKED"
    assert page.errors() == []
    assert flower.complaints == []
