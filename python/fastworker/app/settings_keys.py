"""From a setting as somebody spelled it to the one name that the table has.

Accepted spellings of ``task_acks_late``: itself, the old ``CELERY_ACKS_LATE``, and with
``namespace="CELERY"`` also ``CELERY_TASK_ACKS_LATE``. Names that are in no table are kept: third
parties read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastworker.app.legacy_settings import OLD_TO_NEW
from fastworker.app.settings_registry import REGISTRY


def canonical(name: str, prefix: str = "") -> str:
    """The table's name of a setting, or ``name`` (without the prefix) when it is in no table.

    Args:
        name: As spelled by the user.
        prefix: The namespace with its underscore, such as ``"CELERY_"``; its case is the case of
            names in the source.
    """
    if name in REGISTRY:
        return name
    bare = strip_prefix(name, prefix)
    if bare in REGISTRY:
        return bare
    if name in OLD_TO_NEW:
        return OLD_TO_NEW[name]
    if bare and bare.upper() in OLD_TO_NEW:
        return OLD_TO_NEW[bare.upper()]
    return bare or name


def strip_prefix(name: str, prefix: str) -> str:
    """``name`` in lower case without ``prefix``; empty when it does not begin with it."""
    if not prefix or not name.startswith(prefix):
        return ""
    return name[len(prefix) :].lower()


def canonical_mapping(source: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Rename all keys. When two spell the same setting: prefixed wins over bare, bare over old.

    Args:
        source: A configuration as loaded.
        prefix: As for ``canonical``.
    """
    ranked = sorted(source, key=lambda name: _rank(name, prefix), reverse=True)
    return {canonical(name, prefix): source[name] for name in ranked}


def _rank(name: str, prefix: str) -> int:
    if prefix and strip_prefix(name, prefix) in REGISTRY:
        return 0
    if name in REGISTRY:
        return 1
    return 2 if name in OLD_TO_NEW else 3
