"""What is stored of groups and chords: Celery's keys and documents, so that either side reads the other's."""

from __future__ import annotations

import pytest

from fastworker import FastWorker
from fastworker.results.async_result import AsyncResult
from fastworker.results.result_set import GroupResult


def ours(url: str, **settings: object) -> FastWorker:
    app = FastWorker("ours", broker=url, backend=url, set_as_current=False)
    app.conf.update(settings)
    return app


def theirs(url: str) -> object:
    from celery import Celery

    return Celery("theirs", broker=url, backend=url, set_as_current=False)


def keys(url: str) -> object:
    import redis

    return redis.Redis.from_url(url, decode_responses=True)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:celery")
def test_a_group_that_one_side_saved_is_restored_by_the_other(redis_url: str) -> None:
    from celery.result import AsyncResult as CeleryResult
    from celery.result import GroupResult as CeleryGroup

    app, celery = ours(redis_url), theirs(redis_url)
    inner = GroupResult("inner", [AsyncResult("c", app=app)], app=app)
    app.backend.save_group("g1", GroupResult("g1", [AsyncResult("a", app=app), inner], app=app))
    restored = CeleryGroup.restore("g1", app=celery)
    assert restored.as_tuple() == (
        ("g1", None),
        [(("a", None), None), (("inner", None), [(("c", None), None)])],
    )
    members = [
        CeleryResult("x", app=celery),
        CeleryGroup("y", [CeleryResult("z", app=celery)], app=celery),
    ]
    CeleryGroup("g2", members, app=celery).save()
    back = app.backend.restore_group("g2")
    assert back is not None
    assert back.as_tuple() == (
        ("g2", None),
        [(("x", None), None), (("y", None), [(("z", None), None)])],
    )
    app.backend.delete_group("g2")
    assert app.backend.restore_group("g2") is None
    assert CeleryGroup.restore("g2", app=celery) is None


@pytest.mark.shows("setting result_chord_expires")
def test_a_chords_size_and_its_lifetime_are_where_celery_has_them(redis_url: str) -> None:
    server = keys(redis_url)
    name = "celery-taskset-meta-g"
    for ending in (".c", ".j", ".t", ".d"):
        server.set(f"{name}{ending}", "done")
    ours(redis_url, result_chord_expires=500).backend.set_chord_size("g", 3)
    assert server.get(f"{name}.s") == "3"
    assert 490 < server.ttl(f"{name}.s") <= 500
    assert not server.exists(f"{name}.c", f"{name}.j", f"{name}.t", f"{name}.d"), "a run of its own"
    short = ours(redis_url, result_expires=60).backend
    short.begin_chord("g")
    assert not server.exists(f"{name}.s"), "the size of an earlier run"
    server.set(f"{name}.d", "counted")
    short.set_chord_size("g", 4, has_begun=True)
    assert (server.get(f"{name}.s"), server.get(f"{name}.d")) == ("4", "counted")
    short.set_chord_size("g", 4)
    short.add_to_chord("g", None)
    theirs(redis_url).backend.add_to_chord("g", None)
    assert (server.get(f"{name}.s"), server.get(f"{name}.t")) == ("4", "2")
    assert server.ttl(f"{name}.s") > 86_000, "members may take longer than results are kept"
    ours(redis_url, result_expires=None).backend.set_chord_size("g", 1)
    assert server.ttl(f"{name}.s") == -1
