"""Serializers by name: kombu's names, types and bytes, and what is refused."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from fastworker.compression import register as register_compression
from fastworker.errors import (
    ContentDisallowed,
    DecodeError,
    EncodeError,
    ImproperlyConfigured,
    SerializerNotInstalled,
)
from fastworker.serialization import dumps, loads, register, unregister
from fastworker.serialize import compression, registry
from fastworker.utils.json import register_type

VALUE = [[1, "ü"], {"k": None}]


@pytest.mark.parametrize("name", ["json", "pickle", "yaml", "msgpack"])
def test_kombu_reads_what_we_write_and_the_other_way_round(name: str) -> None:
    from kombu import serialization

    content_type, encoding, data = dumps(VALUE, name)
    assert serialization.loads(data, content_type, encoding, accept=[content_type]) == VALUE
    theirs = serialization.dumps(VALUE, name)
    assert (theirs[0], theirs[1]) == (content_type, encoding)
    raw = theirs[2].encode() if isinstance(theirs[2], str) else theirs[2]
    assert loads(raw, content_type, encoding, registry.content_types([name])) == VALUE


def test_unknown_serializer_lists_the_known_ones() -> None:
    with pytest.raises(SerializerNotInstalled, match=r"'jsn'.*json, msgpack, pickle, yaml"):
        dumps(1, "jsn")


@pytest.mark.parametrize(("name", "library"), [("yaml", "PyYAML"), ("msgpack", "msgpack")])
def test_missing_library_names_the_extra(
    name: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_loaded", {})
    monkeypatch.delitem(sys.modules, f"fastworker.serialize.{name}", raising=False)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SerializerNotInstalled, match=rf"{library}.*fastworker-rs\[{name}\]"):
        dumps(1, name)


def test_what_is_not_accepted_is_not_decoded() -> None:
    content_type, encoding, data = dumps({1}, "pickle")
    with pytest.raises(ContentDisallowed, match="disabled content of type pickle"):
        loads(data, content_type, encoding, registry.content_types(["json", "application/x-yaml"]))


def test_raw_data_is_always_accepted() -> None:
    assert loads(b"\xff", "application/data", "binary", frozenset()) == b"\xff"
    assert loads(b"abc", None, "utf-8", frozenset()) == "abc"


def test_wrong_bytes_are_a_decode_error() -> None:
    with pytest.raises(DecodeError, match="not json"):
        loads(b"{", "application/json")
    with pytest.raises(DecodeError, match="not pickle"):
        loads(b"x", "application/x-python-serialize")


def test_value_without_a_form_is_an_encode_error() -> None:
    with pytest.raises(EncodeError, match="json: "):
        dumps(object(), "json")


@pytest.mark.shows("serializer custom")
def test_users_serializer_is_used_by_name_and_type() -> None:
    register("upper", lambda v: v.upper(), lambda t: t.lower(), "application/x-upper")
    try:
        assert dumps("abc", "upper") == ("application/x-upper", "utf-8", b"ABC")
        assert loads(b"ABC", "application/x-upper", "utf-8", {"application/x-upper"}) == "abc"
        assert not registry.is_builtin("upper")
    finally:
        unregister("upper")
    with pytest.raises(SerializerNotInstalled):
        dumps("abc", "upper")


@pytest.mark.parametrize(
    "name",
    ["gzip", "zlib", "bzip2", "bzip", "lzma", "xz", "brotli", "zstd", "zstandard"],
)
@pytest.mark.shows(
    "compression gzip",
    "compression zlib",
    "compression bzip2",
    "compression lzma",
    "compression brotli",
    "compression zstd",
)
def test_kombu_reads_what_we_compress_and_the_other_way_round(name: str) -> None:
    from kombu import compression as kombus

    data, mime = compression.compress(b"body" * 50, name)
    assert kombus.decompress(data, mime) == b"body" * 50
    theirs, their_mime = kombus.compress(b"body" * 50, name)
    assert (compression.decompress(theirs, their_mime), their_mime) == (b"body" * 50, mime)


@pytest.mark.shows("compression custom")
def test_users_compression_is_used_by_name_and_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "_MIME", dict(compression._MIME))
    monkeypatch.setattr(compression, "_CUSTOM", {})
    register_compression(lambda b: b[::-1], lambda b: b[::-1], "application/x-back", ["back"])
    assert compression.compress(b"abc", "back") == (b"cba", "application/x-back")
    assert compression.decompress(b"cba", "application/x-back") == b"abc"


@pytest.mark.shows("serializer custom")
def test_what_is_registered_with_kombu_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from kombu import serialization as kombus

    kombus.register("theirs", lambda v: v.upper(), lambda t: t.lower(), "application/x-theirs")
    try:
        assert loads(b"ABC", "application/x-theirs", "utf-8", {"application/x-theirs"}) == "abc"
        assert dumps("abc", "theirs") == ("application/x-theirs", "utf-8", b"ABC")
    finally:
        kombus.unregister("theirs")
        unregister("theirs")


@pytest.mark.shows("serializer custom")
def test_packages_bring_serializers_along(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = (lambda v: b"<" + v, lambda b: b[1:], "application/x-package", "binary")
    entry = SimpleNamespace(name="packaged", load=lambda: arguments)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [entry])
    try:
        assert dumps(b"x", "packaged") == ("application/x-package", "binary", b"<x")
        assert registry.content_types(["packaged"]) == {"application/x-package"}
    finally:
        unregister("packaged")


@pytest.mark.shows("serializer json")
def test_registered_type_without_decoder_arrives_as_it_was_written() -> None:
    class Point:
        pass

    register_type(Point, "Point of the test", lambda point: [1, 2])
    _, _, data = dumps(Point(), "json")
    assert loads(data, "application/json", "utf-8") == [1, 2]


def test_unknown_compression_and_wrong_bytes_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImproperlyConfigured, match="no compression is called 'gz'"):
        compression.compress(b"", "gz")
    with pytest.raises(DecodeError, match="body is not application/x-gzip"):
        compression.decompress(b"plain", "gzip")
    monkeypatch.setitem(sys.modules, "brotli", None)
    with pytest.raises(ImproperlyConfigured, match=r"fastworker-rs\[brotli\]"):
        compression.compress(b"", "brotli")
