"""``yaml``: the safe subset only, as in kombu. Needs PyYAML."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from fastworker.errors import SerializerNotInstalled
from fastworker.serialize.registry import Serializer

try:
    yaml: Any = import_module("yaml")
except ImportError as exc:
    raise SerializerNotInstalled(
        "serializer 'yaml' needs PyYAML, which is not installed; try: pip install "
        "'fastworker-rs[yaml]'"
    ) from exc


def dumps(value: Any) -> bytes:
    """Raises ``yaml.YAMLError`` for what the safe subset has no form for."""
    return bytes(yaml.safe_dump(value, encoding="utf-8"))


def loads(data: bytes) -> Any:
    """Raises ``yaml.YAMLError``."""
    return yaml.safe_load(data)


SERIALIZER = Serializer("yaml", "application/x-yaml", "utf-8", dumps, loads)
