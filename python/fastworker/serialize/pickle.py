"""``pickle``: any Python value, for those who trust everyone who can reach the broker."""

from __future__ import annotations

import os
import pickle
from typing import Any

from fastworker.serialize.registry import Serializer

#: kombu's default; both ends of a mixed fleet can read it. ``PICKLE_PROTOCOL`` overrides it, as in
#: kombu.
PROTOCOL = int(os.environ.get("PICKLE_PROTOCOL", 4))


def dumps(value: Any) -> bytes:
    """Raises what ``pickle`` raises."""
    return pickle.dumps(value, protocol=PROTOCOL)


def loads(data: bytes) -> Any:
    """Raises what ``pickle`` raises. Runs code that the sender chose: only for accepted content."""
    return pickle.loads(data)


SERIALIZER = Serializer("pickle", "application/x-python-serialize", "binary", dumps, loads)
