"""Serializers of one's own; names and signatures are ``kombu.serialization``'s."""

from __future__ import annotations

from fastworker.serialize.registry import dumps, loads, register, unregister

__all__ = ["dumps", "loads", "register", "unregister"]
