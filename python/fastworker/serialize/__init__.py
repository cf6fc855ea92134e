"""Python values to bytes and back: serializers by name, compression by name, and short text for
logs.
"""

from __future__ import annotations

from fastworker.serialize.registry import dumps, loads, register, unregister

__all__ = ["dumps", "loads", "register", "unregister"]
