"""A queue file that cannot be written: full disk, read-only file; the error says which file and
what to do.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.rig import PRODUCT
from tests.support.workers import ROOT

CLIENT = """
import sys
from fastworker import FastWorker
from fastworker.exceptions import OperationalError
app = FastWorker("app", broker=sys.argv[1], broker_publish_deadline=2)

@app.task
def take(text):
    pass

try:
    for _ in range(200):
        take.delay("x" * 100_000)
except OperationalError as error:
    print("refused:", error)
"""


def can_mount() -> bool:
    """Whether a file system of our own can be mounted, as root or in a user namespace."""
    unshare = shutil.which("unshare")
    line = [unshare or "unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return unshare is not None and subprocess.run(line, capture_output=True).returncode == 0


pytestmark = [
    pytest.mark.skipif(PRODUCT == "celery", reason="Celery has no embedded queue"),
    pytest.mark.skipif(
        not can_mount(), reason="this machine lets nobody mount a small file system"
    ),
]


def run_on_mount(folder: Path, options: str) -> str:
    """Run the client with ``folder`` a file system of its own; what it prints."""
    (folder / "client.py").write_text(CLIENT)
    disk = folder / "disk"
    disk.mkdir()
    script = (
        f"mount -t tmpfs -o size=600k tmpfs {disk} && mount -o remount,{options} {disk} && "
        f"exec {sys.executable} {folder}/client.py sqlite:///{disk}/queue.db"
    )
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_full_disk_is_a_clear_error(tmp_path: Path) -> None:
    said = run_on_mount(tmp_path, "rw")
    assert said.startswith("refused:")
    assert "queue.db" in said
    assert "full" in said


def test_read_only_file_is_a_clear_error(tmp_path: Path) -> None:
    said = run_on_mount(tmp_path, "ro")
    assert said.startswith("refused:")
    assert "queue.db" in said
    assert "read" in said
