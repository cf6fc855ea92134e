"""Which servers the tests use: the running ones, private ones, installed ones, or none with a
reason.

``python -m tests.support.servers`` prints what would be used; ``python -m tests.support.servers
COMMAND…`` runs a command with the servers up. Under ``CI=true`` a server that cannot be had is a
failure, elsewhere its tests skip.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.support.redis_server import RedisServer

# Set by whoever brought the servers up, so that cargo tests and pytest use the same one.
REDIS_VARIABLE = "FASTWORKER_TEST_REDIS"
STANDARD_REDIS = "redis://127.0.0.1:6379"


class NoServer(Exception):
    """There is no such server, and this is why; the text ends with what to do."""


@dataclass(frozen=True)
class Found:
    """A usable Redis: its URL without database, and how it was come by."""

    url: str
    how: str


def is_ci() -> bool:
    """Whether a missing server is a failure."""
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def answers(url: str) -> bool:
    """Whether a Redis that speaks to us without a password listens at ``url``."""
    with redis.Redis.from_url(url, socket_connect_timeout=1, socket_timeout=2) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


@contextlib.contextmanager
def redis_up(*, may_install: bool) -> Iterator[Found]:
    """Have a Redis for the duration: the named one, the standard one, a private one, an installed
    one.

    Args:
        may_install: Whether apt-get may be run; only ``make test`` does, a single test never.

    Raises:
        NoServer: None of these works.
    """
    named = os.environ.get(REDIS_VARIABLE)
    if named:
        yield Found(named, f"named by {REDIS_VARIABLE}")
        return
    if answers(STANDARD_REDIS):
        yield Found(STANDARD_REDIS, "runs on the standard port")
        return
    how = "private, from redis-server"
    if shutil.which("redis-server") is None:
        if not may_install:
            raise NoServer(
                "no Redis on 127.0.0.1:6379 and no redis-server program; install redis-server"
            )
        install("redis-server")
        how = "private, installed with apt-get"
    with (
        tempfile.TemporaryDirectory(prefix="fastworker-redis-") as directory,
        RedisServer(Path(directory)) as server,
    ):
        yield Found(server.url, how)


def install(package: str) -> None:
    """Install a Debian package, as root or through a sudo that asks nothing.

    Raises:
        NoServer: Not possible here, or it failed; the last line of apt's output is in the text.
    """
    if shutil.which("apt-get") is None:
        raise NoServer(f"{package} is not here and neither is apt-get; install {package}")
    prefix: list[str] = []
    if os.geteuid() != 0:
        prefix = ["sudo", "-n"]
        if (
            shutil.which("sudo") is None
            or subprocess.run([*prefix, "true"], capture_output=True).returncode
        ):
            raise NoServer(
                f"{package} is not here and this user cannot install it; apt-get install {package}"
            )
    # RUNLEVEL=1 keeps the package from starting a system service.
    environment = ["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"]
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", package]):
        done = subprocess.run(
            [*prefix, *environment, "apt-get", "-q", *arguments], capture_output=True, text=True
        )
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
            raise NoServer(f"apt-get {arguments[0]} failed: {last}; install {package}")


def main(command: list[str]) -> int:
    """Say what is used, and run ``command`` with it. Exit status: the command's, or 1 when CI lacks
    a server.
    """
    with contextlib.ExitStack() as stack:
        environment = dict(os.environ)
        try:
            found = stack.enter_context(redis_up(may_install=True))
        except NoServer as error:
            print(f"redis: skipped: {error}")
            if is_ci():
                return 1
        else:
            print(f"redis: {found.url} ({found.how})")
            environment[REDIS_VARIABLE] = found.url
        return subprocess.run(command, env=environment).returncode if command else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
