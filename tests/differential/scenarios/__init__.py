"""The scenarios, one file per theme."""

from __future__ import annotations

from tests.differential.scenario import Group
from tests.differential.scenarios import (
    calls,
    eager,
    formats,
    limits,
    links,
    publishing,
    raw,
    retries,
    settings,
)

GROUPS: tuple[Group, ...] = (
    *publishing.GROUPS,
    *eager.GROUPS,
    *calls.GROUPS,
    *retries.GROUPS,
    *links.GROUPS,
    *formats.GROUPS,
    *raw.GROUPS,
    *settings.GROUPS,
    *limits.GROUPS,
)
