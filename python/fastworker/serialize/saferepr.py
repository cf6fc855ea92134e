"""Short text for arguments, in Celery's format: it is what logs, Flower and events show of a task.

Differences from ``repr``: strings are always in single quotes, with only those escaped; deep
containers become ``[...]``; the text is cut at ``maxlen`` with ``, ...`` and the open brackets
closed; an object whose ``repr`` fails is named instead; an integer with more digits than Python
writes is shown in hexadecimal. The walk stops at the limit, so a million-element list costs no more
than a short one.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator
from decimal import Decimal
from numbers import Number
from typing import Any

#: Token kinds: text that may be cut away, text that opens or closes a bracket, a string, a dict
#: key, any other text.
_SEPARATOR, _OPEN, _CLOSE, _ATOM, _STRING, _KEY, _TEXT = range(7)
_Token = tuple[int, Any]
#: A token, or ``(None, value)`` for a value that is still to be described.
_Entry = tuple[int | None, Any]


def saferepr(value: Any, maxlen: int | None = None, maxlevels: int = 3) -> str:
    """Describe a value.

    Args:
        value: Anything; never modified.
        maxlen: About how many characters; closing brackets come on top. None: no limit.
        maxlevels: Containers deeper than this are shown as ``[...]``. 0: no limit.
    """
    parts: list[str] = []
    left = maxlen
    walk = _Walk(value, maxlevels)
    for kind, item in walk:
        if left is not None and left <= 0:
            if kind == _CLOSE:
                parts.append(item)  # nothing is left out before it
                continue
            parts.append(", ...")
            parts.extend(walk.closings(without_innermost=kind == _OPEN))
            break
        if kind == _KEY:
            text = saferepr(item, left, maxlevels)
        elif kind == _STRING:
            text = _quoted(item, left)
        elif kind == _TEXT:
            text = _truncated(item, left)
        else:
            text = item
        parts.append(text)
        if left is not None:
            left -= len(text)
    return "".join(parts)


class _Walk:
    """Depth first over a value, as tokens; with a stack of its own, since a list may be nested ten
    thousand deep.
    """

    def __init__(self, value: Any, maxlevels: int) -> None:
        self._maxlevels = maxlevels
        #: Open containers, innermost last: what is left of them, their closing text, their id. The
        #: first entry is a bracketless container of the whole value.
        self._open: list[tuple[Iterator[_Entry], str, int]] = [(iter(((None, value),)), "", 0)]
        self._seen: set[int] = set()

    def closings(self, *, without_innermost: bool) -> list[str]:
        """The closing texts of the open containers, innermost first."""
        texts = [closing for _, closing, _ in self._open[:0:-1]]
        return texts[1:] if without_innermost else texts

    def __iter__(self) -> Iterator[_Token]:
        while self._open:
            children, closing, object_id = self._open[-1]
            entry = next(children, None)
            if entry is None:
                self._open.pop()
                if self._open:
                    self._seen.discard(object_id)
                    yield _CLOSE, closing
            elif entry[0] is not None:
                yield entry[0], entry[1]
            else:
                yield _scalar(entry[1]) or self._enter(entry[1])

    def _enter(self, value: Any) -> _Token:
        start, end, children = _container(value)
        if self._maxlevels and len(self._open) > self._maxlevels:
            return _ATOM, f"{start}...{end}"
        if id(value) in self._seen:
            return _TEXT, f"<Recursion on {type(value).__name__} with id={id(value)}>"
        self._seen.add(id(value))
        self._open.append((iter(children), end, id(value)))
        return _OPEN, start


def _scalar(value: Any) -> _Token | None:
    """The token of a value that is not a container, None for a container."""
    if isinstance(value, Decimal):
        return _TEXT, _repr(value)
    if isinstance(value, Number):
        return _TEXT, _number(value)
    if isinstance(value, str | bytes):
        return _STRING, value
    if isinstance(value, set | frozenset):
        return None if value else (_TEXT, f"{type(value).__name__}()")
    return None if isinstance(value, tuple | dict | list) else (_TEXT, _repr(value))


def _container(value: Any) -> tuple[str, str, Iterable[Any]]:
    """Opening text, closing text, and the tokens between, of which ``(None, x)`` stands for a value
    to describe.
    """
    if isinstance(value, tuple):
        return "(", ",)" if len(value) == 1 else ")", _listed(value)
    if isinstance(value, dict):
        return "{", "}", _paired(value)
    if isinstance(value, list):
        return "[", "]", _listed(value)
    if type(value) is set:
        return "{", "}", _listed(value)
    return f"{type(value).__name__}({{", "})", _listed(value)


def _listed(values: Iterable[Any]) -> Iterator[Any]:
    for index, value in enumerate(values):
        if index:
            yield _SEPARATOR, ", "
        yield None, value


def _paired(mapping: dict[Any, Any]) -> Iterator[Any]:
    for index, (key, value) in enumerate(mapping.items()):
        if index:
            yield _SEPARATOR, ", "
        yield _KEY, key
        yield _SEPARATOR, ": "
        yield None, value


def _quoted(value: str | bytes, maxlen: int | None) -> str:
    if isinstance(value, str):
        return "'{}'".format(_truncated(value, maxlen).replace("'", "\\'"))
    if maxlen and len(value) > maxlen:
        return f"b'{_bytes_text(bytes(memoryview(value)[:maxlen]))}...'"
    return f"b'{_bytes_text(value)}'"


def _bytes_text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.hex()


def _truncated(text: str, maxlen: int | None, suffix: str = "...") -> str:
    """``text``, cut at a word boundary when it is longer than ``maxlen``."""
    if maxlen and len(text) >= maxlen:
        return text[:maxlen].rsplit(" ", 1)[0] + suffix
    return text


def _number(value: Any) -> str:
    try:
        return str(value)
    except ValueError:
        # Python writes no integer of more than 4,300 digits (``sys.get_int_max_str_digits``) as decimal text.
        return hex(value) if isinstance(value, int) else _repr(value)


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception as exc:
        # Celery appends the stack of the caller: an unrepresentable argument is a bug in the
        # caller's class.
        stack = "\n".join(traceback.format_stack())
        return f"<Unrepresentable {type(value)!r}{id(value):#x}: {exc!r} {stack!r}>"
