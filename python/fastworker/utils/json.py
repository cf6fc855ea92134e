"""The JSON of messages; names and signatures are ``kombu.utils.json``'s."""

from __future__ import annotations

from fastworker.serialize.json import dumps, loads, register_type

__all__ = ["dumps", "loads", "register_type"]
