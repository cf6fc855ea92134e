"""Batch tasks: ``from fastworker.batches import SimpleRequest``, and `Batches` for code written for celery-batches."""

from __future__ import annotations

from fastworker.app.batches import Batches, SimpleRequest

__all__ = ["Batches", "SimpleRequest"]
