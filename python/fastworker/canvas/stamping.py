"""Stamps: headers of a workflow's signatures that say what they belong to, so that they can be found and revoked by it.
Source: celery/canvas.py (``StampingVisitor``, ``Signature._stamp_headers``).

A stamp is an option of the signature whose name is listed in the option ``stamped_headers``.
"""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastworker.canvas.kinds import is_group, make

if TYPE_CHECKING:
    from fastworker.canvas.signature import Signature

Stamps = dict[str, Any]
_NAMES = "stamped_headers"


class StampingVisitor(metaclass=ABCMeta):
    """Says what stamps each part of a workflow gets; override what is of interest.

    Every method gets the part and, as keywords, the stamps that come down to it, and returns more, or None. A returned
    key ``stamped_headers`` lists those that are stamps; without one, all are.
    """

    @abstractmethod
    def on_signature(self, sig: Signature, **headers: Any) -> Stamps | None:
        """A single task."""

    def on_group_start(self, group: Any, **headers: Any) -> Stamps | None:
        """A group, before its members."""
        return {}

    def on_group_end(self, group: Any, **headers: Any) -> None:
        """A group, after its members."""
        return

    def on_chain_start(self, chain: Any, **headers: Any) -> Stamps | None:
        """A chain, before its steps."""
        return {}

    def on_chain_end(self, chain: Any, **headers: Any) -> None:
        """A chain, after its steps."""
        return

    def on_chord_header_start(self, sig: Any, **header: Any) -> Stamps | None:
        """A chord, before its header; a group unless overridden."""
        if not is_group(sig.tasks):
            sig.tasks = make("group", sig.tasks)
        return self.on_group_start(sig.tasks, **header)

    def on_chord_header_end(self, sig: Any, **header: Any) -> None:
        """A chord, after its header; a group unless overridden."""
        self.on_group_end(sig.tasks, **header)

    def on_chord_body(self, sig: Any, **header: Any) -> Stamps | None:
        """A chord, before its body."""
        return {}

    def on_callback(self, callback: Signature, **header: Any) -> Stamps | None:
        """A signature that is linked to one."""
        return {}

    def on_errback(self, errback: Signature, **header: Any) -> Stamps | None:
        """A signature that is linked to one's failure."""
        return {}


def asked(visitor: StampingVisitor | None, what: str, sig: Any, headers: Stamps) -> Stamps | None:
    """What the visitor's method ``what`` adds; None without a visitor."""
    return None if visitor is None else getattr(visitor, what)(sig, **headers) or {}


def collected(
    sig: Signature, added: Stamps | None, append: bool, headers: Stamps, *, with_own: bool = True
) -> Stamps:
    """The stamps that ``sig`` gets.

    Args:
        sig: The signature.
        added: What a visitor adds.
        append: Two values of one stamp become a list. False: the first stays.
        headers: What comes down to it, or was given to ``stamp``.
        with_own: Its own stamps count too.
    """
    merged = dict(headers)
    merged.setdefault(_NAMES, list(merged))
    if added is not None:
        added.setdefault(_NAMES, list(added))
        merge(merged, added, append)
        merged[_NAMES] = list(set(merged[_NAMES]))
    if with_own:
        names = set(merged.get(_NAMES, ())) | set(sig.options.get(_NAMES) or ())
        merged[_NAMES] = list(names)
        merge(merged, {k: v for k, v in sig.options.items() if k in names}, append)
        merged[_NAMES] = list(set(merged[_NAMES]))
    return merged


def merge(into: Stamps, other: Mapping[str, Any] | None, aggregate: bool = True) -> None:
    """Merge in place: dicts key by key, lists by extending. Where both have a value, ``aggregate`` makes a list of
    them, else that of ``other`` is left out.
    """
    if not other:
        return
    for key, value in into.items():
        if key not in other:
            continue
        theirs = other[key]
        if isinstance(value, dict):
            merge(value, theirs, aggregate)
            continue
        if isinstance(value, int | float | str):
            into[key] = [value] if aggregate else value
        if isinstance(theirs, list) and isinstance(into[key], list):
            into[key].extend(theirs)
        elif aggregate:
            into[key] = [] if into[key] is None else list(into[key])
            into[key].append(theirs)
    for key, value in other.items():
        into.setdefault(key, value)


def stamp_links(
    sig: Signature, visitor: StampingVisitor | None, append: bool, headers: Stamps
) -> None:
    """Stamp what is linked to ``sig``; its own stamps do not go there."""
    from fastworker.canvas.signature import as_list, maybe_signature

    for option, what in (("link", "on_callback"), ("link_error", "on_errback")):
        coming = {k: list(v) if isinstance(v, list) else v for k, v in headers.items()}
        for position, entry in enumerate(as_list(sig.options.get(option))):
            linked = maybe_signature(entry, app=sig.app)
            added = asked(visitor, what, linked, coming)
            coming = collected(sig, added, append, coming, with_own=False)
            linked.stamp(visitor, append, **coming)
            if linked is not entry:
                linked_to = sig.options[option] = as_list(sig.options[option])
                linked_to[position] = linked
