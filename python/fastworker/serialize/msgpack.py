"""``msgpack``: as kombu writes it (``use_bin_type``, no extended types: a datetime is refused).
Needs msgpack.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from fastworker.errors import SerializerNotInstalled
from fastworker.serialize.registry import Serializer

try:
    msgpack: Any = import_module("msgpack")
except ImportError as exc:
    raise SerializerNotInstalled(
        "serializer 'msgpack' needs msgpack, which is not installed; try: pip install "
        "'fastworker-rs[msgpack]'"
    ) from exc


def dumps(value: Any) -> bytes:
    """Raises ``TypeError`` for what msgpack has no form for."""
    return bytes(msgpack.packb(value, use_bin_type=True))


def loads(data: bytes) -> Any:
    """Raises ``ValueError`` or msgpack's own errors."""
    return msgpack.unpackb(data, raw=False)


SERIALIZER = Serializer("msgpack", "application/x-msgpack", "binary", dumps, loads)
