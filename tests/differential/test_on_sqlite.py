"""fastworker on SQLite does what Celery did on Redis."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.differential.compare import differences
from tests.differential.differences import judge
from tests.differential.golden import read_golden
from tests.differential.play import play
from tests.differential.scenarios import GROUPS
from tests.support.rig import PRODUCT

pytestmark = [
    pytest.mark.skipif(PRODUCT == "celery", reason="compares fastworker with what Celery did"),
    pytest.mark.timeout(180),
]


@pytest.mark.parametrize("name", [group.name for group in GROUPS if "sqlite" in group.on])
def test_group_is_as_in_celery(name: str, sqlite_url: str, tmp_path: Path) -> None:
    group = next(group for group in GROUPS if group.name == name)
    seen = play(group, "fastworker", sqlite_url, tmp_path)
    found = judge(name, differences(read_golden(name), seen, "sqlite")).unexplained
    assert not found, "\n".join(found)
