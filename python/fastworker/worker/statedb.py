"""``--statedb``: a file that remembers revoked ids between runs of one worker, beside what the broker remembers.

JSON: ``{"format": "fastworker state", "version": 1, "clock": n, "revoked": [ids, oldest first]}``. Celery's own file is
a shelve, which is not read: it is refused, so that nobody believes that its revokes hold.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fastworker.errors import ImproperlyConfigured

_FORMAT = "fastworker state"
_VERSION = 1


@dataclass
class StateFile:
    """
    Attributes:
        path: Where it is; need not exist yet.
        revoked: Ids, oldest first.
        clock: The logical time when it was saved.
    """

    path: Path
    revoked: list[str] = field(default_factory=list)
    clock: int = 0

    @classmethod
    def load(cls, path: str) -> StateFile:
        """Read it; an absent or empty file has nothing in it.

        Raises:
            ImproperlyConfigured: It cannot be read or written, or is something else.
        """
        file = Path(path)
        try:
            text = file.read_bytes()
        except FileNotFoundError:
            text = b""
        except OSError as exc:
            raise _refusal(path, f"it cannot be read: {exc.strerror}") from exc
        if not os.access(file if file.exists() else file.absolute().parent, os.W_OK):
            raise _refusal(path, "it cannot be written")
        if not text:
            return cls(file)
        try:
            found = json.loads(text)
            kind, version = found["format"], found["version"]
            revoked, clock = [str(one) for one in found["revoked"]], int(found["clock"])
        except (ValueError, KeyError, TypeError) as exc:
            raise _refusal(
                path, "it is not a state file of fastworker (Celery's are not read)"
            ) from exc
        if kind != _FORMAT or version > _VERSION:
            raise _refusal(
                path, f"it has format {kind!r} version {version}, this fastworker knows {_VERSION}"
            )
        return cls(file, revoked, clock)

    def add(self, ids: Sequence[str], most: int) -> None:
        """Remember ids as the youngest; beyond ``most`` the oldest are forgotten."""
        young = set(ids)
        known = dict.fromkeys((*(one for one in self.revoked if one not in young), *ids))
        self.revoked = list(known)[-most:]

    def save(self, clock: int) -> None:
        """Replace it in one step, so that a kill leaves the old one or the new one.

        Raises:
            OSError: It cannot be written.
        """
        content = {"format": _FORMAT, "version": _VERSION, "clock": clock, "revoked": self.revoked}
        beside = self.path.with_name(f"{self.path.name}.{os.getpid()}.new")
        try:
            beside.write_text(json.dumps(content), encoding="utf-8")
            os.replace(beside, self.path)
        finally:
            beside.unlink(missing_ok=True)


def _refusal(path: str, why: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"--statedb {path!r}: {why}; name another file, or remove it")
