"""What goes wrong with a bench."""

from __future__ import annotations


class BenchError(Exception):
    """It could not be measured, or a file could not be used; the text says what to do."""
