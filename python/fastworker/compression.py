"""Compression methods of one's own; names and signatures are ``kombu.compression``'s."""

from __future__ import annotations

from fastworker.serialize.compression import compress, decompress, register

__all__ = ["compress", "decompress", "register"]
