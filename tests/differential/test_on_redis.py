"""fastworker on Redis does what Celery did, field by field, but for the differences that are listed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.differential.compare import differences
from tests.differential.differences import DIFFERENCES, Difference, Verdict, judge
from tests.differential.golden import read_golden
from tests.differential.play import play
from tests.differential.scenarios import GROUPS
from tests.support.rig import PRODUCT

pytestmark = [
    pytest.mark.skipif(PRODUCT == "celery", reason="compares fastworker with what Celery did"),
    # Workers of both frameworks say what they think of running as root.
    pytest.mark.timeout(180),
]

_judged: dict[str, Verdict] = {}


def judged(name: str, url: str, folder: Path) -> Verdict:
    """The verdict on a group, played once per process."""
    if name not in _judged:
        group = next(group for group in GROUPS if group.name == name)
        seen = play(group, "fastworker", url, folder)
        _judged[name] = judge(name, differences(read_golden(name), seen, "redis"))
    return _judged[name]


@pytest.mark.parametrize("name", [group.name for group in GROUPS])
def test_group_is_as_in_celery(name: str, redis_url: str, tmp_path: Path) -> None:
    found = judged(name, redis_url, tmp_path).unexplained
    assert not found, "\n".join(found)


def test_every_listed_difference_is_still_one(redis_url: str, tmp_path: Path) -> None:
    needed: set[Difference] = set()
    for group in GROUPS:
        folder = tmp_path / group.name
        folder.mkdir()
        needed |= judged(group.name, redis_url, folder).needed
    gone = [entry.what for entry in DIFFERENCES if entry not in needed]
    assert not gone, f"no longer different: remove from differences.py and run make docs: {gone}"


def test_there_are_enough_scenarios() -> None:
    names = [(group.name, scenario.name) for group in GROUPS for scenario in group.scenarios]
    assert len(set(names)) == len(names)
    assert len(names) >= 120
