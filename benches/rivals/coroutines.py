"""The two tasks as coroutines: wait for a clock, and wait for a web server."""

from __future__ import annotations

import asyncio

import aiohttp

from benches.apps import work
from benches.apps.pages import BODY
from benches.rivals import CONNECTIONS, KEPT_S

_session: aiohttp.ClientSession | None = None


async def nap(seconds: float) -> None:
    """Wait for ``seconds``."""
    work.begin()
    await asyncio.sleep(seconds)
    work.count()


async def page(url: str) -> None:
    """Fetch ``url`` over a kept connection, and see that it is the page."""
    global _session
    work.begin()
    if _session is None:
        connector = aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=KEPT_S)
        _session = aiohttp.ClientSession(connector=connector)
    async with _session.get(url) as response:
        response.raise_for_status()
        body = await response.read()
    if body != BODY:
        raise ValueError(f"page {url}: expected {BODY!r}, got {body!r}")
    work.count()
