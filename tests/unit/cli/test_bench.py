"""``fastworker bench`` on the command line: what is wrong is found before anything is measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("run", "--assert", "p99_wait=50ms"), "--assert 'p99_wait=50ms': expected MEASURE"),
        (("sweep", "--assert", "p99_wait"), "--assert 'p99_wait': expected MEASURE"),
        (("run", "--search", "--target", "soon"), "--target 'soon': expected MEASURE"),
        (("run", "--search", "--arrivals", "drain"), "--search with --arrivals drain"),
    ],
)
def test_wrong_conditions_are_a_matter_of_usage(
    fastworker: Run, project: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    status, out, err = fastworker("bench", *arguments)
    assert (status, out) == (2, "")
    assert complaint in " ".join(err.split())
