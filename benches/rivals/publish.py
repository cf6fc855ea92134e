"""``python -m benches.rivals.publish <module> <task> <JSON argument> <count>``: one system's own client
publishes, in a process of its own.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import sys


def main() -> None:
    """Publish, and exit when the broker has confirmed everything."""
    module, task, argument, count = sys.argv[1:5]
    publish = importlib.import_module(f"benches.rivals.{module}").publish
    published = publish(task, json.loads(argument), int(count))
    if inspect.isawaitable(published):
        asyncio.run(_awaited(published))


async def _awaited(published: object) -> None:
    assert inspect.isawaitable(published)  # main() looked
    await published


if __name__ == "__main__":
    main()
