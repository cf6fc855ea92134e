"""The two tasks as plain functions, for threads and for greenlets (which patch what they call)."""

from __future__ import annotations

import time

import urllib3

from benches.apps import work
from benches.apps.pages import BODY
from benches.rivals import CONNECTIONS

_pages = urllib3.PoolManager(maxsize=CONNECTIONS, retries=False)


def nap(seconds: float) -> None:
    """Wait for ``seconds``."""
    work.begin()
    time.sleep(seconds)
    work.count()


def page(url: str) -> None:
    """Fetch ``url`` over a kept connection, and see that it is the page."""
    work.begin()
    response = _pages.request("GET", url)
    if response.status != 200 or response.data != BODY:
        raise ValueError(f"page {url}: expected 200 {BODY!r}, got {response.status}")
    work.count()
