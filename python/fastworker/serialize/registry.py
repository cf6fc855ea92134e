"""Serializers by name and by content type; the names, types and encodings are kombu's.

The built-in ones are loaded at first use, one small module each (``json.py``, ``pickle.py``,
``yaml.py``, ``msgpack.py``), so that a client that only speaks JSON imports nothing else.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from fastworker.errors import ContentDisallowed, DecodeError, EncodeError, SerializerNotInstalled
from fastworker.serialize import foreign


@dataclass(frozen=True)
class Serializer:
    """One way to write values.

    Attributes:
        name: As in ``task_serializer``.
        content_type: Travels with the message; says how to read it.
        content_encoding: ``utf-8`` for text, ``binary`` for bytes.
        dumps: Value to bytes; raises any exception when it cannot.
        loads: Bytes to value; raises any exception when it cannot.
    """

    name: str
    content_type: str
    content_encoding: str
    dumps: Callable[[Any], bytes]
    loads: Callable[[bytes], Any]


_MODULES = {
    "json": "application/json",
    "pickle": "application/x-python-serialize",
    "yaml": "application/x-yaml",
    "msgpack": "application/x-msgpack",
}
_BY_TYPE = {content_type: name for name, content_type in _MODULES.items()}
#: Never refused: they make no objects.
_TRUSTED = frozenset({"application/data", "application/text"})
_BINARY = frozenset({"binary", "ascii-8bit"})

_loaded: dict[str, Serializer] = {}
#: Names that ``register`` was called for, in this process.
_custom: set[str] = set()
#: How often ``register`` and ``unregister`` were called; who has chosen by ``is_builtin`` looks again.
changes = 0


def register(
    name: str,
    encoder: Callable[[Any], bytes | str],
    decoder: Callable[[Any], Any],
    content_type: str,
    content_encoding: str = "utf-8",
) -> None:
    """Add a serializer, or replace one; the signature is ``kombu.serialization.register``'s.

    Args:
        name: For ``task_serializer`` and friends.
        encoder: Value to text or bytes.
        decoder: Back; given text when ``content_encoding`` is a text encoding, else bytes.
        content_type: Written to messages.
        content_encoding: ``binary`` or a text encoding.
    """
    is_binary = content_encoding in _BINARY

    def write(value: Any) -> bytes:
        data = encoder(value)
        return data.encode(content_encoding) if isinstance(data, str) else data

    def read(data: bytes) -> Any:
        return decoder(data if is_binary else bytes(data).decode(content_encoding))

    global changes
    _loaded[name] = Serializer(name, content_type, content_encoding, write, read)
    _BY_TYPE[content_type] = name
    _custom.add(name)
    changes += 1


def unregister(name: str) -> None:
    """Take back ``register``.

    Raises:
        SerializerNotInstalled: There is none of that name.
    """
    global changes
    serializer = get(name)
    _loaded.pop(name, None)
    _custom.discard(name)
    changes += 1
    if name not in _MODULES:
        _BY_TYPE.pop(serializer.content_type, None)


def get(name: str) -> Serializer:
    """The serializer called ``name``.

    Raises:
        SerializerNotInstalled: Unknown, or its library is not installed; the text says what to
            install.
    """
    found = _loaded.get(name)
    if found is not None:
        return found
    if name not in _MODULES:
        theirs = foreign.find(name=name)
        if theirs is not None:
            register(*theirs)
            return _loaded[name]
        known = ", ".join(sorted({*_MODULES, *_loaded}))
        raise SerializerNotInstalled(
            f"no serializer is called {name!r}: expected one of {known}, or one added with "
            "fastworker.serialization.register()"
        )
    module = importlib.import_module(f"fastworker.serialize.{name}")
    return _loaded.setdefault(name, module.SERIALIZER)


def is_builtin(name: str) -> bool:
    """True while nobody has replaced the serializer: only then may Rust write it."""
    return name in _MODULES and name not in _custom


def content_types(accept: Iterable[str] | None) -> frozenset[str] | None:
    """``accept_content`` as content types; names and types may be mixed. None accepts everything.

    Raises:
        SerializerNotInstalled: A name is no serializer's.
    """
    if accept is None:
        return None
    return frozenset(entry if "/" in entry else _type_of(entry) for entry in accept)


def _type_of(name: str) -> str:
    return _MODULES.get(name) or get(name).content_type


def dumps(value: Any, serializer: str) -> tuple[str, str, bytes]:
    """Write a value.

    Returns:
        ``(content type, content encoding, bytes)``.

    Raises:
        SerializerNotInstalled: As ``get``.
        EncodeError: The value has no form in this serializer.
    """
    chosen = get(serializer)
    try:
        return chosen.content_type, chosen.content_encoding, chosen.dumps(value)
    except Exception as exc:
        raise EncodeError(f"{serializer}: {exc}") from exc


def loads(
    data: bytes,
    content_type: str | None,
    content_encoding: str | None = None,
    accept: Collection[str] | None = None,
) -> Any:
    """Read a value.

    Args:
        data: As it travelled, decompressed.
        content_type: Says which serializer; unknown types come back as text or bytes, as in kombu.
        content_encoding: Only for unknown types: a text encoding, or ``binary``.
        accept: Content types (``content_types``) that may be read; None: all.

    Raises:
        ContentDisallowed: ``content_type`` is not accepted.
        DecodeError: The bytes are not what the type says.
    """
    content_type = content_type or "application/data"
    if accept is not None and content_type not in _TRUSTED and content_type not in accept:
        name = _BY_TYPE.get(content_type, content_type)
        raise ContentDisallowed(
            f"Refusing to deserialize disabled content of type {name} ({content_type}): accepted "
            f"are "
            f"{', '.join(sorted(accept)) or 'none'}; add {name!r} to accept_content if you trust "
            f"who sends it"
        )
    name = _BY_TYPE.get(content_type, "")
    if not name and content_type not in _TRUSTED:
        theirs = foreign.find(content_type=content_type)
        if theirs is not None:
            register(*theirs)
            name = theirs.name
    try:
        if name:
            return get(name).loads(data)
        encoding = (content_encoding or "utf-8").lower()
        return data if encoding in _BINARY else bytes(data).decode(encoding)
    except (SerializerNotInstalled, DecodeError):
        raise
    except Exception as exc:
        raise DecodeError(f"not {name or content_type}: {exc}") from exc
