"""The repository itself: what is committed names no machine, and every command is documented."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.support import words

ROOT = Path(__file__).resolve().parents[2]


def test_paths_of_one_machine_are_found(tmp_path: Path) -> None:
    folder = "/".join(["", "home", "somebody", "x"])
    assert words.HOME.search(f"cd {folder}")
    assert not words.HOME.search("src/home/x and ~/home/x and ${PREFIX}/home/x")


def test_every_make_command_says_what_it_does() -> None:
    text = (ROOT / "Makefile").read_text()
    listed = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert listed is not None
    documented = set(re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE))
    assert set(listed[1].split()) == documented


def test_lock_files_pin_the_same_versions() -> None:
    """What the demo installs is what the tests were run with."""
    pins = {}
    for name in ("demo", "dev"):
        text = (ROOT / "requirements" / f"{name}.txt").read_text()
        pins[name] = set(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))
    assert pins["demo"] <= pins["dev"]


def test_modules_import_modules_from_the_root_and_no_names() -> None:
    """The import contract cannot see this: to it, the extension is a name of the root too."""
    package = ROOT / "python" / "fastworker"
    modules = {path.stem for path in package.iterdir()} | {"_core"}
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "fastworker":
                names = {alias.name for alias in node.names}
                assert names <= modules, f"{path.relative_to(ROOT)}:{node.lineno}"
