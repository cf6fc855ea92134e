"""Celery's spellings from before version 4 (``CELERY_ACKS_LATE``), and the rule that one source
uses one spelling.

A configuration may use the lower-case names or the old upper-case ones. A mixture is refused, as in
Celery: half of a rename is the usual reason why a setting seems to be ignored.
"""

from __future__ import annotations

from collections.abc import Collection

from fastworker.app.settings_registry import REGISTRY
from fastworker.errors import ImproperlyConfigured

OLD_TO_NEW: dict[str, str] = {old: row.name for row in REGISTRY.values() for old in row.old}
NEW_TO_OLD: dict[str, str] = {row.name: row.old[0] for row in REGISTRY.values() if row.old}


def refuse_mixed_names(names: Collection[str]) -> None:
    """Check that ``names`` are not partly old and partly new.

    The spelling that most names use is taken as the one that was meant; the others are listed with
    their rename. A name that stands there in both spellings is in the middle of a migration and
    does not count.

    Args:
        names: The settings of one source, as they were spelled.

    Raises:
        ImproperlyConfigured: Both spellings are used; the text lists what to rename to what.
    """
    have = set(names)
    new = have & REGISTRY.keys()
    old = have & OLD_TO_NEW.keys()
    if len(old) > len(new):
        renames = {name: NEW_TO_OLD.get(name, name) for name in new}
        meant = "old"
    else:
        renames = {name: OLD_TO_NEW[name] for name in old}
        meant = "new"
    # A setting that Celery never had (ours) has no old name, so it cannot be in the wrong spelling.
    left = {name: to for name, to in renames.items() if to not in have and to != name}
    if old and new and left:
        raise ImproperlyConfigured(_explain(left, meant))


def _explain(renames: dict[str, str], meant: str) -> str:
    lines = "\n".join(f"{name:<36} -> {renames[name]}" for name in sorted(renames))
    text = (
        f"Cannot mix new and old setting names in one configuration: most use the {meant} names; "
        f"rename these to the {meant} ones:\n\n{lines}\n"
    )
    if meant == "old":
        text += "\nor, better, rename all the others to the new lower-case names."
    return text
