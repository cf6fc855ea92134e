"""The comparison itself: it sees a difference, the real Celery is what the golden files say."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from tests.differential.compare import differences
from tests.differential.differences import DIFFERENCES, judge
from tests.differential.golden import read_golden
from tests.differential.play import play
from tests.differential.scenarios import GROUPS

#: Played with the real Celery in each run; those whose order or timing Celery leaves open are not
#: among them.
LIVE = ("publishing", "routing", "routers", "defaults", "eager", "formats", "ignored", "extended")


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", LIVE)
def test_celery_still_does_what_was_recorded(name: str, redis_url: str, tmp_path: Path) -> None:
    group = next(group for group in GROUPS if group.name == name)
    seen = play(group, "celery", redis_url, tmp_path)
    found = [
        f"{one.scenario}: {one.field}\n  recorded {one.celery!r}\n  now      {one.ours!r}"
        for one in differences(read_golden(name), seen, "redis")
    ]
    assert not found, "run make golden if Celery has changed:\n" + "\n".join(found)


def test_a_changed_field_is_found() -> None:
    celery = read_golden("formats")
    ours = copy.deepcopy(celery)
    ours["json and gzip"]["calls"]["a"]["state"] = "FAILURE"
    del ours["json and gzip"]["record"]
    found = judge("formats", differences(celery, ours, "redis")).unexplained
    assert len(found) == 2
    assert "formats/json and gzip: calls.a.state" in found[0]


def test_a_missing_scenario_is_found() -> None:
    celery = read_golden("formats")
    ours = {name: seen for name, seen in celery.items() if name != "json and gzip"}
    assert judge("formats", differences(celery, ours, "redis")).unexplained


def test_every_golden_group_has_its_scenarios() -> None:
    for group in GROUPS:
        assert sorted(read_golden(group.name)) == sorted(s.name for s in group.scenarios)


def test_every_difference_says_why() -> None:
    for entry in DIFFERENCES:
        assert entry.what
        assert len(entry.reason.split()) > 3, entry.what
