"""The user's own headers are found as Celery finds them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery.app.task import Context

from fastworker.hosting import context


@pytest.fixture
def celerys_context() -> Iterator[None]:
    """``Context`` as Celery has it, before and after."""
    before = Context._get_custom_headers
    Context._get_custom_headers = context.CELERYS_OWN
    yield
    Context._get_custom_headers = before


MESSAGES: list[dict[str, Any]] = [
    {},
    {"id": "1", "lang": "py", "task": "t", "argsrepr": "(1,)", "kwargsrepr": "{}", "stamps": {}},
    {"id": "1", "mine": 1, "compression": None},
    {"mine": None},
    {"redelivered": True, "delivery_info": {"redelivered": True}, "timelimit": [1, 2]},
    {"headers": {"mine": 1}, "mine": 1},
    {"headers": None, "mine": 1, "_children": [], "update": 1, "meth": "m"},
]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_request_is_the_same_as_with_celerys_way(
    message: dict[str, Any], celerys_context: None
) -> None:
    celerys = vars(Context(message, args=[1], called_directly=False))
    context.find_custom_headers_quickly()
    assert Context._get_custom_headers is context.custom_headers
    assert vars(Context(message, args=[1], called_directly=False)) == celerys


def test_an_attribute_that_an_extension_adds_is_no_header(
    celerys_context: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    context.find_custom_headers_quickly()
    message = {"tenant": "a", "id": "1"}
    assert Context(message).headers == {"tenant": "a"}
    monkeypatch.setattr(Context, "tenant", None, raising=False)
    assert Context(message).headers is None


def test_another_way_of_celerys_is_left_alone(
    celerys_context: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(_self: Context, *_args: Any, **_kwargs: Any) -> dict[str, Any]:
        return {"other": 1}

    monkeypatch.setattr(Context, "_get_custom_headers", other)
    monkeypatch.setattr(context, "CELERYS_OWN", other)
    context.find_custom_headers_quickly()
    assert Context._get_custom_headers is other
