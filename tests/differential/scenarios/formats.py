"""Serializers, compressions and what a worker accepts."""

from __future__ import annotations

from typing import Any

from tests.differential.scenario import Group, Scenario


def _sent(serializer: str, compression: str | None, **more: Any) -> Scenario:
    name = f"{serializer} and {compression or 'no compression'}"
    options = {"serializer": serializer, "compression": compression}
    return Scenario(name, lambda s: s.call("see", 1, "ü", kw={"k": [None]}, **options, **more))


BOTH = tuple(
    _sent(serializer, compression)
    for serializer in ("json", "pickle")
    for compression in (None, "gzip", "bzip2", "lzma")
)
PICKLED_RESULTS = (
    *(
        Scenario(f"returns {kind}", lambda s, k=kind: s.call("give", k))
        for kind in ("set", "complex", "exception", "datetime", "function", "generator")
    ),
    *(
        Scenario(f"raises {kind}", lambda s, k=kind: s.call("raise", k))
        for kind in (
            "boom",
            "big",
            "keyword",
            "silent",
            "holds",
            "odd",
            "local",
            "object arg",
            "mute",
        )
    ),
    # Ours ends; Celery's reader cannot say that RETRY is not the end, and its worker stops in between.
    Scenario(
        "retry with one that cannot be pickled",
        lambda s: s.call("retry", 1, kw={"exc": "holds"}),
        lines=2,
    ),
)
REFUSED = (
    Scenario("pickle is refused", lambda s: s.call("add", 1, 2, serializer="pickle"), ends=False),
    Scenario("the next one is not", lambda s: s.call("add", 1, 2)),
)

GROUPS = (
    Group("formats", BOTH, {"accept_content": ["json", "pickle"]}),
    Group(
        "pickled_results",
        PICKLED_RESULTS,
        {"accept_content": ["json", "pickle"], "result_serializer": "pickle"},
    ),
    Group("refused", REFUSED),
)
