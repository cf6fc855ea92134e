"""The machinery of ``make bench-validate``, in its short form: that it works, not what it finds."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.rig import PRODUCT
from tests.support.workers import ROOT


@pytest.mark.skipif(PRODUCT != "fastworker", reason="fastworker's own workers")
def test_a_prediction_and_a_run_can_be_compared() -> None:
    command = [sys.executable, "-m", "benches.validate", "--short"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    loads = [
        line.split("|")[3].strip() for line in done.stdout.splitlines() if line.startswith("| ")
    ]
    assert loads == ["50%", "70%", "85%"]
