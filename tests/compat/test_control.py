"""Remote control between the two frameworks: Celery's client and command line with our worker, and
what both workers answer to the same questions.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps import AppSpec
from tests.support.gate import Gate, read_lines
from tests.support.rig import PRODUCT, Rig
from tests.support.waiting import wait_until
from tests.support.workers import command

NODE = "w@here"
PATIENCE_S = 30


@pytest.fixture
def both(redis_url: str, tmp_path: Path) -> Iterator[dict[str, Rig]]:
    """A rig of each framework on one database."""
    with contextlib.ExitStack() as stack:
        # What was acknowledged early stays in the worker: what has not, ours gives back to others.
        conf = {"task_acks_late": False, "worker_eta_horizon": 1000}
        spec = AppSpec(PRODUCT, redis_url, redis_url, conf)
        names = dict.fromkeys((PRODUCT, "celery"))
        yield {name: Rig(spec.of(name), tmp_path, stack) for name in names}


def ask(client: Any, method: str, /, **arguments: Any) -> Any:
    """One node's reply."""
    replies = client.control.broadcast(
        method, arguments, reply=True, timeout=PATIENCE_S, destination=[NODE]
    )
    [[reply]] = [list(each.values()) for each in replies]
    return reply


def info(reply: dict[str, Any]) -> dict[str, Any]:
    """A task as shown, without what differs from run to run."""
    same = ("name", "args", "kwargs", "type", "hostname", "delivery_info")
    # Ours acknowledges when a child has room, Celery when the child has accepted.
    kinds = ("id", "time_start", "worker_pid", "acknowledged")
    assert sorted(reply) == sorted(same + kinds)
    return {key: reply[key] for key in same} | {key: type(reply[key]) for key in kinds}


def shape(reply: Any) -> Any:
    """The types of a reply, down to what is neither a list nor a dict."""
    if isinstance(reply, dict):
        return {key: shape(value) for key, value in reply.items()}
    return [shape(one) for one in reply] if isinstance(reply, list) else type(reply).__name__


def consumed(client: Any, count: int) -> Any:
    """What the node says of its queues, once there are so many."""
    queues = ask(client, "active_queues")
    return queues if len(queues) == count else None


def shared(tasks: list[str]) -> list[str]:
    """Without the tasks of pools that only one of the two has."""
    return [task for task in tasks if task.startswith(("celery.", "proj."))]


def answers(client: Any, rig: Rig, gate: Gate) -> dict[str, Any]:
    """Everything that a worker with one running, one waiting and one scheduled task answers."""
    later = client.tasks["proj.echo"].apply_async(("x",), countdown=100)
    running = client.tasks["proj.hold"].delay(gate.path)
    waiting = client.tasks["proj.add"].delay(1, y=[2])
    rig.worker("-n", NODE, "--prefetch-multiplier", "4", concurrency=1)
    gate.wait_started()
    wait_until(lambda: ask(client, "reserved"), "the third task in the worker")
    found: dict[str, Any] = {
        "ping": ask(client, "ping"),
        "active": [info(task) for task in ask(client, "active")],
        "safe": [info(task) for task in ask(client, "active", safe=True)],
        "alias": [info(task) for task in ask(client, "dump_active")],
        "reserved": [info(task) for task in ask(client, "reserved")],
        "scheduled": [
            {**task, "eta": type(task["eta"]), "request": info(task["request"])}
            for task in ask(client, "scheduled")
        ],
        "query": {
            {running.id: "running", waiting.id: "waiting", later.id: "later"}[task_id]: (
                state,
                info(task),
            )
            for task_id, (state, task) in ask(
                client, "query_task", ids=[running.id, waiting.id, later.id, "nobody"]
            ).items()
        },
        "active_queues": ask(client, "active_queues"),
        "registered": shared(ask(client, "registered")),
        "registered items": shared(ask(client, "registered", taskinfoitems=["max_retries", "_x"]))[
            :3
        ],
        "revoked": ask(client, "revoked"),
        "clock": {key: type(value) for key, value in ask(client, "clock").items()},
        "conf": {
            name: value
            for name, value in ask(client, "conf").items()
            if name in ("result_backend", "task_acks_late", "worker_eta_horizon")
        },
        "conf with defaults": ask(client, "conf", with_defaults=True)["result_expires"],
        "report": list(ask(client, "report")),
        "hello": sorted(ask(client, "hello", from_node="other@here")),
        "hello itself": ask(client, "hello", from_node=NODE),
        "unknown": ask(client, "nosuchcommand"),
        "unknown task's limits": ask(client, "time_limit", task_name="no", soft=1, hard=2),
        "time_limit": ask(client, "time_limit", task_name="proj.add", soft=1, hard=2),
        "unknown task's rate": ask(client, "rate_limit", task_name="no", rate_limit="1/s"),
        "rate_limit": ask(client, "rate_limit", task_name="proj.add", rate_limit="1000/s"),
        "no rate_limit": ask(client, "rate_limit", task_name="proj.add", rate_limit=None),
        "wrong rate": list(ask(client, "rate_limit", task_name="proj.add", rate_limit="x/y")),
        "no autoscaler": ask(client, "autoscale", max=4, min=2),
        "no pool restarts": ask(client, "pool_restart"),
        "memsample": re.sub(r"[\d.]+", "N", ask(client, "memsample")),
        "memdump": re.sub(r"[\d.]+(?=MB)", "N", ask(client, "memdump")),
        "objgraph": ask(client, "objgraph"),
        "dumps": {
            name: shape(ask(client, f"dump_{name}"))
            for name in ("reserved", "active", "schedule", "revoked")
        },
        "dump_tasks": shared(ask(client, "dump_tasks")),
        "dump_conf": ask(client, "dump_conf")["result_backend"],
        "builtins": [
            task for task in ask(client, "registered", builtins=True) if task.startswith("celery.")
        ],
        "terminate unknown": ask(client, "revoke", task_id="nobody", terminate=True),
        "stamps": ask(client, "revoke_by_stamped_headers", headers={"job": ["7"]}),
        "stamps by list": ask(client, "revoke_by_stamped_headers", headers=["job=7"]),
        "stamps, terminate": ask(
            client, "revoke_by_stamped_headers", headers={"job": ["7"]}, terminate=True
        ),
        "revoke": ask(client, "revoke", task_id="abc"),
        "revoked afterwards": sorted(ask(client, "revoked")),
        "add_consumer": ask(client, "add_consumer", queue="more"),
        "add_consumer again": ask(client, "add_consumer", queue="more"),
        "add_consumer with all": ask(
            client,
            "add_consumer",
            queue="most",
            exchange="things",
            exchange_type="topic",
            routing_key="a.#",
        ),
        "queues": wait_until(lambda: consumed(client, 3), "three queues"),
        "cancel_consumer": ask(client, "cancel_consumer", queue="more"),
        "cancel what is not consumed": ask(client, "cancel_consumer", queue="none"),
        "queues afterwards": wait_until(lambda: consumed(client, 2), "two queues"),
    }
    stats = ask(client, "stats")
    found["stats"] = sorted(stats)
    found["stats kinds"] = {
        key: type(stats[key]) for key in ("clock", "pid", "uptime", "prefetch_count")
    }
    found["stats total"] = stats["total"]
    found["stats broker"] = stats["broker"]
    found["stats rusage"] = {key: type(value) for key, value in stats["rusage"].items()}
    found["pool"] = shape(stats["pool"])
    found["max-concurrency"] = stats["pool"]["max-concurrency"]
    found["timeouts"] = stats["pool"]["timeouts"]
    found["pool_grow"] = ask(client, "pool_grow", n=1)
    found["terminate"] = ask(client, "terminate", task_id=[running.id], signal="KILL")
    found["terminate"]["ok"] = found["terminate"]["ok"].replace(running.id, "ID")
    found["terminated state"] = wait_until(
        lambda: (
            client.AsyncResult(running.id).state != "PENDING"
            and client.AsyncResult(running.id).state
        ),
        "a state",
    )
    for result in (waiting, later):
        result.revoke()
    return found


@pytest.mark.shows("setting worker_enable_remote_control", "setting control_exchange")
@pytest.mark.shows("control active", "control active_queues", "control add_consumer")
@pytest.mark.shows("control autoscale", "control cancel_consumer", "control clock", "control conf")
@pytest.mark.shows("control hello", "control memdump", "control memsample")
@pytest.mark.shows("control objgraph", "control ping", "control pool_grow", "control query_task")
@pytest.mark.shows("control rate_limit", "control registered", "control report", "control reserved")
@pytest.mark.shows("control revoke", "control revoke_by_stamped_headers", "control revoked")
@pytest.mark.shows("control scheduled", "control shutdown", "control stats", "control terminate")
@pytest.mark.shows("control time_limit")
def test_both_workers_answer_alike(both: dict[str, Rig], gate: Gate, tmp_path: Path) -> None:
    if PRODUCT == "celery":
        pytest.skip("there is one worker only")
    client = both["celery"].app
    with Gate(tmp_path, "other") as other:
        ours = answers(client, both[PRODUCT], gate)
        client.control.broadcast("shutdown", destination=[NODE])
        wait_until(lambda: not client.control.ping(timeout=0.5), "the end of our worker")
        both[PRODUCT].redis().flushdb()
        theirs = answers(client, both["celery"], other)
        for found, path in ((ours, gate.path), (theirs, other.path)):
            text = json.dumps(found, default=str).replace(path, "PATH")
            found.clear()
            found.update(json.loads(text))
    # Celery waits in its prefetch; what it has reserved beyond that, and the list of ids, are not
    # promised to come in an order.
    for name in theirs:
        assert ours[name] == theirs[name], name
    assert sorted(ours) == sorted(theirs)


@pytest.mark.shows("control election")
def test_election_is_answered_and_elects_nobody(both: dict[str, Rig]) -> None:
    # Celery answers null as well, and its lone worker then fails over its own vote.
    worker = both[PRODUCT].worker("-n", NODE, concurrency=1)
    assert ask(both["celery"].app, "election", id="1", topic="task", action={}) is None
    worker.wait_for_line("take no part in Celery's gossip")


QUEUES = {
    "plain": {},
    "bound": {"exchange": "things", "exchange_type": "topic", "routing_key": "a.#"},
    "full": {
        "exchange": "other",
        "exchange_type": "direct",
        "routing_key": "key",
        "queue_arguments": {"x-queue-mode": "lazy"},
        "consumer_arguments": {"x-priority": 3},
        "expires": 60,
        "message_ttl": 5.5,
        "max_length": 10,
        "max_length_bytes": 1000,
        "durable": False,
        "delivery_mode": 1,
        "exchange_arguments": {"alternate-exchange": "none"},
    },
}


@pytest.mark.parametrize("conf", [{}, {"task_queue_max_priority": 7}], ids=["", "priorities"])
def test_queues_are_shown_as_they_were_defined(both: dict[str, Rig], conf: dict[str, Any]) -> None:
    shown = {}
    for rig in both.values():
        rig.configure(task_queues=QUEUES, **conf)
    for name, rig in both.items():
        worker = rig.worker("-n", NODE, concurrency=1)
        client = both["celery"].app
        # Celery's says that it is ready before it hears.
        wait_until(lambda asking=client: asking.control.ping([NODE], timeout=0.5), "it to hear")
        replies = ask(client, "active_queues")
        shown[name] = sorted(replies, key=lambda queue: queue["name"])
        worker.stop()
    assert shown[PRODUCT] == shown["celery"]
    assert len(shown["celery"]) == len(QUEUES)


def test_celerys_command_line_controls_our_worker(both: dict[str, Rig], gate: Gate) -> None:
    ours = both[PRODUCT]
    ours.worker("-n", NODE, concurrency=1)
    running = ours.task("hold").delay(gate.path)
    gate.wait_started()

    def celery(*words: str) -> str:
        spec = ours.spec.of("celery")
        run = ours.run(
            command("celery"),
            *("-A", "tests.support.worker_app", *words),
            *("--timeout", str(PATIENCE_S), "--destination", NODE),
            environment=spec.environment(),
        )
        assert run.wait_ended() == 0, run.log
        return run.log

    assert f"->  {NODE}: OK" in celery("inspect", "ping")
    assert running.id in celery("inspect", "active")
    assert "1 node online" in celery("status")
    assert f"terminate: {running.id}" in celery("control", "terminate", "SIGKILL", running.id)
    wait_until(lambda: running.state == "REVOKED", "state REVOKED")
    assert "add consumer more" in celery("control", "add_consumer", "more")
    assert ours.task("add").apply_async((1, 1), queue="more").get(timeout=PATIENCE_S) == 2
    assert "no longer consuming from more" in celery("control", "cancel_consumer", "more")


def test_celerys_client_revokes_what_is_parked(redis_url: str, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        spec = AppSpec(PRODUCT, redis_url, redis_url)
        ours = Rig(spec, tmp_path, stack)
        client = Rig(spec.of("celery"), tmp_path, stack).app
        ours.worker("-n", NODE)
        result = client.tasks["proj.add"].apply_async((1, 2), countdown=3600)
        wait_until(lambda: ours.app.parked.count() == 1, "it to be parked")
        client.control.revoke(result.id, reply=True, timeout=PATIENCE_S, destination=[NODE])
        assert (ours.app.parked.count(), result.state) == (0, "REVOKED")


def test_our_control_reaches_celerys_worker(
    both: dict[str, Rig], gate: Gate, tmp_path: Path
) -> None:
    path = str(tmp_path / "effect")
    client = both[PRODUCT].app
    both["celery"].worker("-n", NODE, concurrency=1)
    both[PRODUCT].task("hold").delay(gate.path)
    gate.wait_started()
    waiting = both[PRODUCT].task("record").delay(path, "ran")
    inspect = client.control.inspect([NODE], timeout=PATIENCE_S)
    assert inspect.ping() == {NODE: {"ok": "pong"}}
    [active] = inspect.active()[NODE]
    assert active["name"] == "proj.hold"
    replies = client.control.revoke(waiting.id, reply=True, timeout=PATIENCE_S, limit=1)
    assert replies == [{NODE: {"ok": f"tasks {{'{waiting.id}'}} flagged as revoked"}}]
    gate.release()
    assert both[PRODUCT].task("add").delay(1, 1).get(timeout=PATIENCE_S) == 2
    assert (read_lines(path), waiting.state) == ([], "REVOKED")
