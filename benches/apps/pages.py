"""The web server that `page` tasks wait for: it answers every request after a fixed time.

``python -m benches.apps.pages <port> <seconds>``; it says ``ready`` once it listens.
"""

from __future__ import annotations

import asyncio
import sys

KEPT_S = 300.0
"""How long an unused connection to the web server is kept, so that all rounds find theirs."""
BODY = b"<!doctype html><title>A page</title><p>It took a while."
BACKLOG = 4096
"""A worker opens its connections all at once; one that is dropped would try again a second later.
"""


async def serve(port: int, seconds: float) -> None:
    """Answer until the process is stopped."""
    from aiohttp import web  # tasks import BODY, and need no server

    async def answer(request: web.BaseRequest) -> web.Response:
        await asyncio.sleep(seconds)
        return web.Response(body=BODY, content_type="text/html")

    server = web.Server(answer, access_log=None, keepalive_timeout=KEPT_S)
    runner = web.ServerRunner(server)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=BACKLOG).start()
    print("ready", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Serve with uvloop: the server's own cost is in every figure, so it shall be small."""
    import uvloop

    uvloop.run(serve(int(sys.argv[1]), float(sys.argv[2])))


if __name__ == "__main__":
    main()
