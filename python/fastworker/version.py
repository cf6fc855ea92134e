"""The installed version; the crate's, through the package's metadata."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version


@lru_cache(maxsize=1)
def installed_version() -> str:
    """The version of the distribution; ``0.0.0`` in a source tree that nobody installed."""
    try:
        return version("fastworker-rs")
    except PackageNotFoundError:
        return "0.0.0"
