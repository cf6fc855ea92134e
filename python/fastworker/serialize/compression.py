"""Compression by name and by mime type, as kombu has it; note that its ``gzip`` is a zlib stream
without gzip framing.

Compressed *messages* say so in the header ``compression``. Compressed *results* have no header:
their bytes begin with a mark of their own, and readers look for it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable

from fastworker.errors import DecodeError, ImproperlyConfigured

_MIME = {
    "gzip": "application/x-gzip",
    "zlib": "application/x-gzip",
    "bzip2": "application/x-bz2",
    "bzip": "application/x-bz2",
    "lzma": "application/x-lzma",
    "xz": "application/x-lzma",
    "brotli": "application/x-brotli",
    "zstd": "application/zstd",
    "zstandard": "application/zstd",
}
#: Module, attributes of the compressor and decompressor, and the extra that installs it.
_CODECS = {
    "application/x-gzip": ("zlib", "compress", "decompress", None),
    "application/x-bz2": ("bz2", "compress", "decompress", None),
    "application/x-lzma": ("lzma", "compress", "decompress", None),
    "application/x-brotli": ("brotli", "compress", "decompress", "brotli"),
    "application/zstd": ("zstandard", "compress", "decompress", "zstd"),
}
#: Methods that ``register`` was called for: compressor and decompressor by mime type.
_CUSTOM: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {}
RESULT_MARK = b"\x00celery-compressed\x00"


def register(
    encoder: Callable[[bytes], bytes],
    decoder: Callable[[bytes], bytes],
    content_type: str,
    aliases: Iterable[str] | None = None,
) -> None:
    """Add a method, or replace one, in this process; the signature is ``kombu.compression.register``'s.

    Args:
        encoder: Compresses.
        decoder: Back.
        content_type: Its mime type, written to the header ``compression``.
        aliases: Names for ``task_compression`` and friends.
    """
    _CUSTOM[content_type] = (encoder, decoder)
    _MIME.update(dict.fromkeys(aliases or (), content_type))


def mime_type(name: str) -> str:
    """The mime type of a method; a mime type is returned as it is.

    Raises:
        ImproperlyConfigured: Neither.
    """
    mime = _MIME.get(name, name)
    if mime not in _CODECS and mime not in _CUSTOM:
        raise ImproperlyConfigured(
            f"no compression is called {name!r}: expected one of {', '.join(sorted(_MIME))}, or "
            "one added with fastworker.compression.register()"
        )
    return mime


def compress(data: bytes, name: str) -> tuple[bytes, str]:
    """Compress.

    Returns:
        The compressed bytes and the mime type to write.

    Raises:
        ImproperlyConfigured: Unknown method, or its library is missing.
    """
    mime = mime_type(name)
    return _codec(mime, 1)(data), mime


def decompress(data: bytes, name: str) -> bytes:
    """Decompress.

    Raises:
        ImproperlyConfigured: Unknown method, or its library is missing.
        DecodeError: The bytes are not what ``name`` says.
    """
    mime = mime_type(name)
    method = _codec(mime, 2)
    try:
        return method(data)
    except Exception as exc:
        raise DecodeError(f"body is not {mime}: {exc}") from exc


def compress_result(doc: bytes, name: str) -> bytes:
    """Compress a result document, marked so that any reader recognises it."""
    data, mime = compress(doc, name)
    return b"".join((RESULT_MARK, mime.encode(), b"\x00", data))


def decompress_result(doc: bytes) -> bytes:
    """Undo ``compress_result``; other documents are returned as they are."""
    if not doc.startswith(RESULT_MARK):
        return doc
    mime, _, data = doc[len(RESULT_MARK) :].partition(b"\x00")
    return decompress(data, mime.decode())


def _codec(mime: str, index: int) -> Callable[[bytes], bytes]:
    custom = _CUSTOM.get(mime)
    if custom is not None:
        return custom[index - 1]
    module_name, extra = _CODECS[mime][0], _CODECS[mime][3]
    try:
        module = importlib.import_module(module_name)
    except ImportError as exc:
        raise ImproperlyConfigured(
            f"compression {mime!r} needs {module_name}, which is not installed; "
            f"try: pip install 'fastworker-rs[{extra or module_name}]'"
        ) from exc
    if module_name == "zstandard" and index == 2:
        # Its short form refuses frames that do not say how long their content is.
        return lambda data: bytes(module.ZstdDecompressor().decompressobj().decompress(data))
    method: Callable[[bytes], bytes] = getattr(module, str(_CODECS[mime][index]))
    return method
