"""Signatures and what is composed of them; also Celery's public path for them."""

from __future__ import annotations

from fastworker.canvas.chain import Chain, chain
from fastworker.canvas.chord import chord
from fastworker.canvas.group import group
from fastworker.canvas.maps import chunks, xmap, xstarmap
from fastworker.canvas.signature import (
    Signature,
    maybe_signature,
    maybe_subtask,
    signature,
    subtask,
)
from fastworker.canvas.stamping import StampingVisitor

#: Celery's names of the classes behind ``chain`` and ``chord``.
_chain = Chain
_chord = chord

__all__ = [
    "Chain",
    "Signature",
    "StampingVisitor",
    "chain",
    "chord",
    "chunks",
    "group",
    "maybe_signature",
    "maybe_subtask",
    "signature",
    "subtask",
    "xmap",
    "xstarmap",
]
