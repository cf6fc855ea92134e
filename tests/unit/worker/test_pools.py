"""The table of what each pool can do: what tests need of it is in it, and the code agrees with it."""

from __future__ import annotations

import re

import pytest

from fastworker import greenlets
from fastworker.child.main import SHARED
from fastworker.worker.pools import POOLS, TRAITS, lack
from fastworker.worker.solo import SoloProcess
from tests.support.steps import CONFORMANCE, ROOT

_NEEDS = re.compile(r"pytest\.mark\.needs\(([^)]*)\)")


def needed() -> set[str]:
    """Every trait that a test of the conformance run names."""
    marks = [mark for name in CONFORMANCE for mark in _NEEDS.findall((ROOT / name).read_text())]
    return {name for mark in marks for name in re.findall(r'"([^"]+)"', mark)}


def test_what_tests_need_is_in_the_table() -> None:
    assert needed()
    assert needed() <= {trait.name for trait in TRAITS}


def test_table_is_about_pools_that_there_are() -> None:
    assert len({trait.name for trait in TRAITS}) == len(TRAITS)
    for trait in TRAITS:
        assert set(trait.without) < set(POOLS)
        assert all(trait.without.values())


def test_pools_whose_tasks_share_a_process_are_those_that_the_child_knows() -> None:
    sharing = {pool for pool in POOLS if lack(pool, "own-process")} - {"solo"}
    assert sharing == set(SHARED)
    assert {pool for pool in POOLS if lack(pool, "fork")} - {"solo"} == set(greenlets.NAMES)
    assert bool(lack("solo", "terminate")) is not SoloProcess.can_terminate


def test_unknown_trait_is_an_error() -> None:
    with pytest.raises(KeyError):
        lack("solo", "wings")
