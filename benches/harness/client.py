"""Runs ``benches.apps.client`` in a process of its own and reads what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from benches.harness.systems import System
from benches.harness.worker import environment


def run(system: System, env: Mapping[str, str], verb: str, **arguments: Any) -> dict[str, Any]:
    """Run one verb to its end and return the last line that it said."""
    with start(system, env, verb, **arguments) as client:
        said, _ = client.communicate()
    if client.returncode != 0 or not said:
        raise SystemExit(f"{system.name} client: {verb} failed with status {client.returncode}")
    last: dict[str, Any] = json.loads(said.splitlines()[-1])
    return last


def start(
    system: System, env: Mapping[str, str], verb: str, **arguments: Any
) -> subprocess.Popen[str]:
    """Start one verb; stdin and stdout are pipes, errors are shown."""
    command = [sys.executable, "-m", "benches.apps.client", system.app, verb, json.dumps(arguments)]
    return subprocess.Popen(
        command, env=environment(env), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def expect(client: subprocess.Popen[str], key: str) -> dict[str, Any]:
    """Read the client's next line, which must carry ``key``."""
    assert client.stdout is not None  # start() asked for a pipe
    line = client.stdout.readline()
    said: dict[str, Any] = json.loads(line) if line else {}
    if key not in said:
        raise SystemExit(f"client: expected a line with {key!r}, got {line!r}")
    return said


def tell(client: subprocess.Popen[str], word: str) -> None:
    """Write one line to the client."""
    assert client.stdin is not None  # start() asked for a pipe
    client.stdin.write(word + "\n")
    client.stdin.flush()
