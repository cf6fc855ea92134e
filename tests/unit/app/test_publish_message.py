"""What a published message looks like: Celery's headers, body and properties."""

from __future__ import annotations

import datetime as dt
import os
from typing import Any

import pytest

from fastworker import FastWorker
from fastworker.app.state import pop_current_task, push_current_task
from fastworker.errors import EncodeError, ImproperlyConfigured, OperationalError, QueueNotFound
from fastworker.signals import after_task_publish, before_task_publish
from tests.support.memory_core import Memory


def adder(app: FastWorker, **options: Any) -> Any:
    """A task of two arguments."""

    @app.task(name="proj.add", shared=False, **options)
    def add(x: Any, y: Any) -> Any:
        return x + y

    return add


def test_delay_writes_celerys_headers(app: FastWorker, memory: Memory) -> None:
    result = adder(app).delay(2, y="z")
    (message,) = memory.messages
    assert message.queue == "celery"
    assert message.body == [
        [2],
        {"y": "z"},
        {"callbacks": None, "errbacks": None, "chain": None, "chord": None},
    ]
    headers = message.headers
    assert headers["task"] == "proj.add"
    assert headers["id"] == headers["root_id"] == result.id
    assert (headers["argsrepr"], headers["kwargsrepr"]) == ("(2,)", "{'y': 'z'}")
    assert headers["origin"] == f"gen{os.getpid()}@{os.uname().nodename}"
    assert headers["timelimit"] == [None, None]
    assert message.properties["correlation_id"] == result.id
    assert message.properties["reply_to"] == app.thread_oid


def test_a_correlation_id_of_the_callers_own_is_written(app: FastWorker, memory: Memory) -> None:
    result = adder(app).apply_async((1, 2), correlation_id="order-7")
    (message,) = memory.messages
    assert message.properties["correlation_id"] == "order-7"
    assert message.headers["id"] == result.id


def test_the_delivery_mode_is_the_calls_else_the_queues_else_the_settings(
    app: FastWorker, memory: Memory
) -> None:
    app.conf.task_queues = {"celery": {}, "fleeting": {"delivery_mode": 1}}
    add = adder(app)
    add.delay(1, 2)
    add.apply_async((1, 2), queue="fleeting")
    add.apply_async((1, 2), queue="fleeting", delivery_mode="persistent")
    app.conf.task_default_delivery_mode = "transient"
    add.delay(1, 2)
    modes = [message.properties["delivery_mode"] for message in memory.messages]
    assert modes == [2, 1, 2, 1]
    with pytest.raises(ImproperlyConfigured, match=r"delivery_mode .* is 'often'"):
        add.apply_async((1, 2), delivery_mode="often")


def test_both_roads_write_the_same_headers(app: FastWorker, memory: Memory) -> None:
    add = adder(app, time_limit=9, soft_time_limit=5, priority=3)
    add.delay(1, 2)
    add.publish((1, 2))
    short, long = memory.messages
    for message in (short, long):
        for name in ("id", "root_id"):
            message.headers.pop(name)
        message.properties.pop("delivery_tag")
        message.properties.pop("correlation_id")
    assert list(short.headers) == list(long.headers)
    assert short.headers == long.headers
    assert (short.queue, short.priority, short.body) == (long.queue, long.priority, long.body)
    assert short.properties == long.properties
    assert memory.plans == 1


@pytest.mark.shows(
    "header lang",
    "header task",
    "header id",
    "header shadow",
    "header group",
    "header group_index",
    "header timelimit",
    "header argsrepr",
    "header kwargsrepr",
    "header origin",
    "header ignore_result",
    "header replaced_task_nesting",
    "header stamped_headers",
    "header stamps",
    "property reply_to",
)
def test_headers_are_those_of_celery(app: FastWorker, memory: Memory) -> None:
    from celery import Celery

    celery = Celery("proj", set_as_current=False, broker="memory://")
    theirs = celery.amqp.as_task_v2("7", "proj.add", (1, [2]), {"k": None}, expires=None)
    app.send_task("proj.add", (1, [2]), {"k": None}, task_id="7")
    ours = memory.messages[0].headers
    assert list(ours) == list(theirs.headers)
    ignored = {"origin", "ignore_result"}
    assert {k: v for k, v in ours.items() if k not in ignored} == {
        k: v for k, v in theirs.headers.items() if k not in ignored
    }


@pytest.mark.shows("property expiration")
def test_countdown_becomes_an_aware_eta_and_expires_an_expiration(
    app: FastWorker, memory: Memory
) -> None:
    before = dt.datetime.now(dt.timezone.utc)
    adder(app).apply_async((1, 2), countdown=60, expires=120)
    message = memory.messages[0]
    eta = dt.datetime.fromisoformat(message.headers["eta"])
    expires = dt.datetime.fromisoformat(message.headers["expires"])
    assert dt.timedelta(seconds=60) <= eta - before < dt.timedelta(seconds=70)
    assert expires - eta == dt.timedelta(seconds=60)
    assert message.properties["expiration"] == "120000"


@pytest.mark.shows("setting timezone")
def test_times_are_in_the_applications_timezone(app: FastWorker, memory: Memory) -> None:
    app.conf.timezone = "Asia/Shanghai"
    adder(app).apply_async((1, 2), countdown=1)
    assert memory.messages[0].headers["eta"].endswith("+08:00")


def test_expiry_in_the_past_expires_at_once(
    app: FastWorker, memory: Memory, caplog: pytest.LogCaptureFixture
) -> None:
    adder(app).apply_async((1, 2), expires=-5)
    assert memory.messages[0].properties["expiration"] == "0"
    assert "expiration date in the past" in caplog.text


@pytest.mark.parametrize("option", ["eta", "expires"])
def test_a_time_that_is_none_is_refused(app: FastWorker, option: str) -> None:
    with pytest.raises(TypeError, match=f"{option} must be"):
        adder(app).apply_async((1, 2), **{option: object()})


@pytest.mark.shows("call headers")
def test_user_headers_are_merged_flat(app: FastWorker, memory: Memory) -> None:
    adder(app).apply_async((1, 2), headers={"tenant": "a"}, shadow="shown", ignore_result=True)
    headers = memory.messages[0].headers
    assert (headers["tenant"], headers["shadow"], headers["ignore_result"]) == ("a", "shown", True)


@pytest.mark.shows("call priority", "property priority")
def test_priority_is_written_and_clamped(app: FastWorker, memory: Memory) -> None:
    add = adder(app)
    add.apply_async((1, 2), priority=4)
    add.apply_async((1, 2), priority=200)
    assert [m.priority for m in memory.messages] == [4, 9]
    assert memory.messages[0].properties["priority"] == 4


@pytest.mark.shows("call compression", "header compression")
def test_compressed_body_says_so(app: FastWorker, memory: Memory) -> None:
    import zlib

    adder(app).apply_async(("x" * 500, 2), compression="gzip")
    message = memory.messages[0]
    assert message.headers["compression"] == "application/x-gzip"
    assert zlib.decompress(message.raw_body).startswith(b'[["xxx')


def test_pickle_body_is_a_tuple_of_any_values(app: FastWorker, memory: Memory) -> None:
    import pickle

    adder(app).apply_async((object, {1, 2}), serializer="pickle")
    message = memory.messages[0]
    assert message.content_type == "application/x-python-serialize"
    assert pickle.loads(message.raw_body)[0] == (object, {1, 2})


@pytest.mark.parametrize("road", ["short", "long"])
def test_unserialisable_argument_is_named(app: FastWorker, memory: Memory, road: str) -> None:
    add = adder(app)
    call = add.delay if road == "short" else lambda *a, **k: add.publish(a, k)
    with pytest.raises(EncodeError) as positional:
        call(1, object())
    for part in ("'proj.add'", "positional argument 2", "'object'", "json"):
        assert part in str(positional.value)
    with pytest.raises(EncodeError, match="keyword argument 'y' of type 'set'"):
        call(1, y={1})
    assert memory.messages == []


@pytest.mark.shows("task typing")
def test_arguments_are_checked_against_the_signature(app: FastWorker, memory: Memory) -> None:
    add = adder(app)
    with pytest.raises(TypeError, match=r"add\(\) missing 1 required positional argument: 'y'"):
        add.delay(1)
    assert memory.messages == []
    adder_without_check = app.task(name="proj.free", typing=False, shared=False)(lambda x: x)
    adder_without_check.delay(1, 2, 3)
    assert memory.messages[0].body[0] == [1, 2, 3]


def test_argument_check_knows_every_kind_of_parameter(app: FastWorker) -> None:
    @app.task(bind=True, name="proj.kinds", shared=False)
    def kinds(
        self: Any, a: int, /, b: int = 1, *rest: int, c: int, d: int = 2, **more: int
    ) -> None:
        pass

    kinds.check_arguments((1,), {"c": 3})
    kinds.check_arguments((1, 2, 3), {"c": 3, "z": 4})
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'c'"):
        kinds.check_arguments((1,), {})
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'a'"):
        kinds.check_arguments((), {"c": 1})


def test_misspelt_option_names_the_nearest(app: FastWorker) -> None:
    with pytest.raises(TypeError, match=r"no option 'contdown'.*'countdown'"):
        adder(app).apply_async((1, 2), contdown=3)


@pytest.mark.shows("call connection", "call producer")
def test_connections_of_others_are_taken_and_not_used(app: FastWorker, memory: Memory) -> None:
    adder(app).apply_async((1, 2), producer=object(), connection=object())
    assert len(memory.messages) == 1


def test_args_that_are_no_sequence_are_refused(app: FastWorker) -> None:
    with pytest.raises(TypeError, match="task args must be a list or tuple"):
        app.send_task("any", "text")


@pytest.mark.shows("verb send_task")
def test_send_task_uses_the_options_of_a_registered_task(app: FastWorker, memory: Memory) -> None:
    add = adder(app, queue="slow")
    assert add.name == "proj.add"
    app.send_task("proj.add", (1, 2))
    app.send_task("elsewhere.task", (1, 2), queue="other")
    assert [m.queue for m in memory.messages] == ["slow", "other"]


@pytest.mark.shows("call root_id", "call parent_id")
def test_call_inside_a_task_has_its_root_and_parent(app: FastWorker, memory: Memory) -> None:
    add = adder(app)
    assert add.name
    push_current_task(add)
    add.push_request(id="p", root_id="r", called_directly=False)
    try:
        results = [add.delay(1, 2), add.publish((1, 2))]
        children = list(add.request.children)
    finally:
        add.pop_request()
        pop_current_task()
    assert [(m.headers["root_id"], m.headers["parent_id"]) for m in memory.messages] == [
        ("r", "p"),
        ("r", "p"),
    ]
    assert children == results


@pytest.mark.shows("signal before_task_publish", "signal after_task_publish")
def test_signals_may_change_the_message(app: FastWorker, memory: Memory) -> None:
    add = adder(app)
    add.delay(1, 2)
    seen = []

    @before_task_publish.connect
    def change(headers: Any = None, body: Any = None, **_: Any) -> None:
        headers["added"] = True
        body[1]["y"] = 5

    @after_task_publish.connect(sender="proj.add")
    def after(sender: Any = None, routing_key: Any = None, **_: Any) -> None:
        seen.append((sender, routing_key))

    try:
        add.delay(1, y=2)
    finally:
        before_task_publish.disconnect(change)
        after_task_publish.disconnect(after, sender="proj.add")
    add.delay(1, 2)
    first, second, third = memory.messages
    assert second.headers["added"] is True
    assert second.body[:2] == [[1], {"y": 5}]
    assert "added" not in first.headers
    assert "added" not in third.headers
    assert seen == [("proj.add", "celery")]


@pytest.mark.shows(
    "call retry",
    "call retry_policy",
    "setting task_publish_retry",
    "setting task_publish_retry_policy",
)
def test_refused_publish_is_repeated_as_the_policy_says(app: FastWorker, memory: Memory) -> None:
    app.conf.task_publish_retry_policy = {"max_retries": 2, "interval_start": 0, "interval_step": 0}
    add = adder(app)
    memory.refusals = 2
    add.delay(1, 2)
    assert len(memory.messages) == 1
    memory.refusals = 4
    with pytest.raises(OperationalError):
        add.publish((1, 2))
    memory.refusals = 1
    with pytest.raises(OperationalError):
        add.apply_async((1, 2), retry=False)


def test_ignored_result_is_none_at_once(app: FastWorker) -> None:
    assert adder(app, ignore_result=True).delay(1, 2).get() is None


@pytest.mark.shows("call time_limit", "call soft_time_limit")
def test_soft_limit_above_the_hard_one_is_refused(app: FastWorker) -> None:
    with pytest.raises(ValueError, match="soft_time_limit must be less"):
        adder(app, soft_time_limit=5, time_limit=3).delay(1, 2)


@pytest.mark.shows("call link", "call link_error", "embed callbacks", "embed errbacks")
def test_link_and_link_error_travel_as_plain_dicts(app: FastWorker, memory: Memory) -> None:
    add = adder(app)
    add.apply_async((1, 2), link=add.s(3), link_error=[add.si(4, 5)])
    embed = memory.messages[0].body[2]
    assert embed["callbacks"] == [
        {
            "task": "proj.add",
            "args": [3],
            "kwargs": {},
            "options": {},
            "subtask_type": None,
            "immutable": False,
        }
    ]
    assert embed["errbacks"][0]["immutable"] is True


@pytest.mark.shows("embed chain", "call chain")
def test_chain_carries_the_rest_in_reverse(app: FastWorker, memory: Memory) -> None:
    add = adder(app)
    result = (add.s(1, 2) | add.s(3) | add.si(4, 5)).apply_async()
    (message,) = memory.messages
    chain = message.body[2]["chain"]
    assert [step["args"] for step in chain] == [[4, 5], [3]]
    assert chain[0]["options"]["task_id"] == result.id
    assert chain[1]["options"]["task_id"] == result.parent.id
    assert message.headers["id"] == result.parent.parent.id


@pytest.mark.shows("setting task_create_missing_queues")
def test_unlisted_queue_is_refused_when_missing_ones_are_not_made(app: FastWorker) -> None:
    app.conf.update(task_queues=["a", "b"], task_create_missing_queues=False)
    with pytest.raises(QueueNotFound, match=r"'c' missing from task_queues"):
        adder(app).apply_async((1, 2), queue="c")


@pytest.mark.shows("setting task_protocol")
def test_protocol_one_is_not_written(app: FastWorker) -> None:
    app.conf.task_protocol = 1
    with pytest.raises(ImproperlyConfigured, match="task_protocol 1"):
        adder(app).delay(1, 2)
