"""What a figure depends on besides the code: machine and versions. Never a host name or a path."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def facts() -> dict[str, str | int]:
    """Cores, processor, memory and versions."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _first(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text()),
        "memory_mb": int(_first(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())) // 1024,
        "kernel": platform.release().split("-")[0],
        "python": platform.python_version(),
        "redis": _redis_version(),
        **{name: _version(name) for name in ("celery", "kombu", "redis-py", "fastworker-rs")},
    }


def commit() -> str:
    """``git describe`` of the working tree; ``uncommitted`` before the first commit."""
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "uncommitted"


def load() -> float:
    """Runnable processes, averaged over a minute: was the machine ours alone?."""
    return os.getloadavg()[0]


def _redis_version() -> str:
    binary = shutil.which("redis-server")
    if binary is None:
        return "none"
    return _first(
        r"v=(\S+)",
        subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout,
    )


def _version(name: str) -> str:
    try:
        return metadata.version("redis" if name == "redis-py" else name)
    except metadata.PackageNotFoundError:
        return "not installed as a distribution"


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found.group(1).strip() if found else "unknown"
