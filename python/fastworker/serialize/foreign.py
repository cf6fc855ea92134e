"""Serializers that others have registered: packages by the entry point group ``kombu.serializers``, and the user's code
with kombu itself, when it is imported in this process.

Looked for only when a name or a content type is unknown here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

_GROUP = "kombu.serializers"


class Foreign(NamedTuple):
    """The arguments of ``register``."""

    name: str
    encoder: Callable[[Any], Any]
    decoder: Callable[[Any], Any]
    content_type: str
    content_encoding: str


def find(*, name: str | None = None, content_type: str | None = None) -> Foreign | None:
    """The serializer of this name, or of this content type; None when nobody has registered one."""
    for found in (*_of_packages(), *_of_kombu()):
        if name == found.name or content_type == found.content_type:
            return found
    return None


def _of_packages() -> list[Foreign]:
    # Here, as it imports a third of what a program needs else, and hardly any program comes this way.
    from importlib.metadata import entry_points

    return [_of_arguments(entry.name, *entry.load()) for entry in entry_points(group=_GROUP)]


def _of_arguments(
    name: str, encoder: Any, decoder: Any, content_type: str, content_encoding: str = "utf-8"
) -> Foreign:
    return Foreign(name, encoder, decoder, content_type, content_encoding)


def _of_kombu() -> list[Foreign]:
    module: Any = sys.modules.get("kombu.serialization")
    if module is None:
        return []
    known = module.registry
    return [
        Foreign(
            name,
            codec.encoder,
            known._decoders[codec.content_type],
            codec.content_type,
            codec.content_encoding,
        )
        for name, codec in known._encoders.items()
        if codec.content_type in known._decoders
    ]
