"""The rivals' tasks, and one that fetches a page: as a plain function, for threads and for greenlets (which patch
what it calls), and as a coroutine.
"""

from __future__ import annotations

import aiohttp
import urllib3

from benches.apps.pages import BODY, KEPT_S
from rival_apps import tasks

CONNECTIONS = 1_000
"""Most connections of one process to the web server, for every system: enough for 10,000 answers
a second."""

_pages = urllib3.PoolManager(maxsize=CONNECTIONS, retries=False)
_session: aiohttp.ClientSession | None = None


def page(number: int, url: str) -> None:
    """Fetch ``url`` over a kept connection, and see that it is the page."""
    tasks.marks.begin(number)
    response = _pages.request("GET", url)
    if response.status != 200 or response.data != BODY:
        raise ValueError(f"page {url}: expected 200 {BODY!r}, got {response.status}")
    tasks.marks.end(number)


async def page_async(number: int, url: str) -> None:
    """The same."""
    global _session
    tasks.marks.begin(number)
    if _session is None:
        connector = aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=KEPT_S)
        _session = aiohttp.ClientSession(connector=connector)
    async with _session.get(url) as response:
        response.raise_for_status()
        body = await response.read()
    if body != BODY:
        raise ValueError(f"page {url}: expected {BODY!r}, got {body!r}")
    tasks.marks.end(number)


BLOCKING = {**tasks.BLOCKING, "page": page}
COROUTINES = {**tasks.COROUTINES, "page": page_async}
