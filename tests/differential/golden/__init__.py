"""What the real Celery did: one JSON file per group, a line per scenario, written by
``make golden``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def path_of(group: str) -> Path:
    """The file of a group."""
    return FOLDER / f"{group}.json"


def read_golden(group: str) -> dict[str, Any]:
    """What Celery did in a group, by scenario."""
    found: dict[str, Any] = json.loads(path_of(group).read_text())
    return found


def write_golden(group: str, seen: dict[str, Any]) -> None:
    """Store what Celery did in a group."""
    lines = (
        f"{json.dumps(name)}: {json.dumps(seen[name], sort_keys=True)}" for name in sorted(seen)
    )
    path_of(group).write_text("{\n" + ",\n".join(lines) + "\n}\n")
