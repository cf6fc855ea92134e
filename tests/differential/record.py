"""Plays groups and prints or stores what was seen.

``python -m tests.differential.record [GROUP…]``  writes Celery's golden files (``make golden``).
``… --compare [--broker sqlite] [GROUP…]`` plays fastworker and prints every
difference that is not listed.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import redis

from tests.differential.compare import differences
from tests.differential.differences import DIFFERENCES
from tests.differential.golden import read_golden, write_golden
from tests.differential.play import Observation, play
from tests.differential.scenario import Group
from tests.differential.scenarios import GROUPS
from tests.support import redis_db, servers


def _play(group: Group, framework: str, url: str, folder: Path) -> dict[str, Observation]:
    if framework != "celery" or not group.alone:
        return play(group, framework, url, folder)
    *scenarios, last = group.scenarios
    seen: dict[str, Observation] = {}
    for index, scenario in enumerate(scenarios):
        own = folder / str(index)
        own.mkdir()
        # What ended the worker before is still there.
        with redis.Redis.from_url(url) as client:
            client.flushdb()
        seen |= play(replace(group, scenarios=(scenario, last)), framework, url, own)
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return {**seen, **play(replace(group, scenarios=(last,)), framework, url, folder)}


def main() -> int:
    """Do it; 1 when ``--compare`` found something."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groups", nargs="*")
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--broker", choices=("redis", "sqlite"), default="redis")
    parser.add_argument("--all", action="store_true", help="print explained differences too")
    parser.add_argument("--width", type=int, default=400, help="characters of a value")
    options = parser.parse_args()
    count = 0
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(servers.redis_up(may_install=False))
        for group in GROUPS:
            if options.groups and group.name not in options.groups:
                continue
            if options.compare and options.broker not in group.on:
                continue
            with (
                tempfile.TemporaryDirectory(prefix="differential-") as folder,
                redis_db.claimed(server.url) as redis_url,
            ):
                url = redis_url
                if options.broker == "sqlite":
                    url = f"sqlite:///{folder}/queue.db"
                framework = "fastworker" if options.compare else "celery"
                seen = _play(group, framework, url, Path(folder))
            if options.compare:
                for found in differences(read_golden(group.name), seen, options.broker):
                    if not options.all and any(d.covers(group.name, found) for d in DIFFERENCES):
                        continue
                    count += 1
                    print(f"{group.name} / {found.scenario} / {found.field}")
                    print(f"    celery {repr(found.celery)[: options.width]}")
                    print(f"    ours   {repr(found.ours)[: options.width]}", flush=True)
            else:
                write_golden(group.name, seen)
                print(f"{group.name}: {len(seen)} scenarios", flush=True)
    if options.compare:
        print(f"{count} differences")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
