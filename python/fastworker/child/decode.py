"""From a call's body to arguments: plain JSON in Rust, everything else through the serializers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastworker._core import loads
from fastworker.errors import InvalidTaskError
from fastworker.serialize import compression, registry

if TYPE_CHECKING:
    from fastworker._core import Call
    from fastworker.app.app import FastWorker

_EMBED_KEYS = ("callbacks", "errbacks", "chain", "chord")


#: Arguments, keyword arguments, and what follows from the end, if anything does.
_Body = tuple[Any, dict[str, Any], dict[str, Any] | None]


def decode_call(call: Call, app: FastWorker, takes_json: bool) -> _Body:
    """``(args, kwargs, embed)``; ``embed`` is None when there is nothing in it.

    Args:
        call: What the worker was given.
        app: Its settings say what may be read.
        takes_json: ``accepts_json(app)``.

    Raises:
        ContentDisallowed: The content type is not in ``accept_content``.
        DecodeError: The bytes are not what the content type says.
        InvalidTaskError: Decoded, but not a task's body.
    """
    args, kwargs, embed = _decode(call, app, takes_json)
    if embed is not None:
        _check_signatures(embed)
    return args, kwargs, embed


def _decode(call: Call, app: FastWorker, takes_json: bool) -> _Body:
    if call.content_type == "application/json" and call.compression is None and takes_json:
        try:
            return call.decode()
        except ValueError:
            # Protocol 1, hybrid messages and wrong bodies: the long way says which.
            pass
    data = call.body
    if call.compression is not None:
        data = compression.decompress(data, call.compression)
    accept = registry.content_types(app.conf.accept_content)
    body = registry.loads(data, call.content_type, call.content_encoding, accept)
    if isinstance(body, dict) and "args" in body:
        return _from_mapping(body, loads(call.headers) or {})
    if not isinstance(body, list | tuple) or len(body) != 3:
        raise InvalidTaskError(
            f"the body is a {type(body).__name__}: expected [args, kwargs, embed]"
        )
    args, kwargs, embed = body
    if not isinstance(kwargs, dict):
        raise InvalidTaskError("Task keyword arguments is not a mapping")
    return args, kwargs, embed if embed and any(embed.get(key) for key in _EMBED_KEYS) else None


def _check_signatures(embed: dict[str, Any]) -> None:
    """Before anything runs: what does not follow from a task's end is found when that is over."""
    for key in ("callbacks", "errbacks"):
        for number, entry in enumerate(embed.get(key) or ()):
            if not isinstance(entry, Mapping):
                raise InvalidTaskError(f"{key}[{number}] is {entry!r}: expected a signature")


def accepts_json(app: FastWorker) -> bool:
    """Whether plain JSON bodies may be read; asked once per task."""
    return "json" in app.conf.accept_content or "application/json" in app.conf.accept_content


def _from_mapping(body: dict[str, Any], headers: dict[str, Any]) -> _Body:
    """Protocol 1: everything is in the body; what the headers say wins (celery-contract 2)."""
    facts = {**body, **headers}
    kwargs = body.get("kwargs") or {}
    if not isinstance(kwargs, dict):
        raise InvalidTaskError("Task keyword arguments is not a mapping")
    embed = {key: facts.get(key) for key in _EMBED_KEYS}
    return body.get("args") or [], kwargs, embed if any(embed.values()) else None
