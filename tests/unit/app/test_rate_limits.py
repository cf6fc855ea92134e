"""Rate limits as users write them."""

from __future__ import annotations

from typing import Any

import pytest
from celery.utils.time import rate

from fastworker.errors import ImproperlyConfigured
from fastworker.rates import per_second


@pytest.mark.parametrize(
    "limit", [10, 0.5, "10", "10/s", "90/m", "5/h", "0.5/s", 0, None, "0", "0/m", ""]
)
def test_limit_means_what_it_means_to_celery(limit: Any) -> None:
    assert (per_second(limit, "task 't'") or 0) == pytest.approx(rate(limit))


def test_spaces_are_forgiven() -> None:
    assert per_second(" 10 / m ", "task 't'") == pytest.approx(10 / 60)


@pytest.mark.parametrize(
    "limit", ["10/x", "ten/s", "-1", -1, "inf", float("nan"), "/s", "1/s/s", [1], True]
)
def test_error_names_limit_task_and_what_to_try(limit: Any) -> None:
    with pytest.raises(ImproperlyConfigured) as raised:
        per_second(limit, "task 'mail.send'")
    text = str(raised.value)
    assert repr(limit) in text
    assert "task 'mail.send'" in text
    assert "try '10/m'" in text
