"""Signatures and what is composed of them; also Celery's public path for them."""

from __future__ import annotations

from fastworker.canvas.chain import Chain, chain
from fastworker.canvas.signature import Signature, maybe_signature, signature, subtask

__all__ = ["Chain", "Signature", "chain", "maybe_signature", "signature", "subtask"]
