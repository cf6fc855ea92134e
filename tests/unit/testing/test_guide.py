"""The examples of docs/guides/testing.md run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.support.workers import ROOT

_EXAMPLE = re.compile(r"^```python\n# (\S+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_example_of_the_guide_runs(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "guides" / "testing.md").read_text()
    examples = _EXAMPLE.findall(text)
    assert len(examples) == text.count("```python"), "an example does not say which file it is"
    for name, source in examples:
        (tmp_path / name).write_text(source)
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", "-v", "."],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for name, _ in examples:
        assert name == "conftest.py" or f"{name}::" in ended.stdout, f"{name} has no test"
