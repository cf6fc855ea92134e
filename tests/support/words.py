"""Finds what must not be in the repository: paths of one machine, private registries, secrets by
accident.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Somebody's own folders. Examples in documents say ~/ or a relative path.
HOME = re.compile(r"(?<![\w.~$}])/(?:home|root|Users|work)/[\w.-]")
# Lock files name packages; where they were downloaded from is the reader's business.
HOST = re.compile(r"\b(?:registry\+)?(?:https?|sparse\+https?|git\+https?)://[^\s\"']+")
PUBLIC = ("registry+https://github.com/rust-lang/crates.io-index",)
LOCKS = re.compile(
    r"(^|/)(Cargo\.lock|requirements/.*\.(txt|in)|.*/locks/.*\.(txt|in)|.*pip\.conf|\.cargo/.*)$"
)
OPTION = re.compile(r"--?(?:extra-)?index-url|--trusted-host|--find-links")
LARGE_BYTES = 2_000_000


def files() -> list[Path]:
    """What is, or would be, committed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def offences(path: Path) -> Iterator[tuple[int, str]]:
    """Line numbers and what is wrong there; binary files have none."""
    try:
        lines = path.read_text().splitlines()
    except UnicodeDecodeError:
        return
    is_lock = bool(LOCKS.search(path.relative_to(ROOT).as_posix()))
    for number, line in enumerate(lines, 1):
        if found := HOME.search(line):
            yield number, f"a path of one machine: {found[0]}"
        if is_lock and (found := HOST.search(line)) and not found[0].startswith(PUBLIC):
            yield number, f"a download address in a lock file: {found[0]}"
        if is_lock and (found := OPTION.search(line)):
            yield number, f"an option that names a package index: {found[0]}"


def main() -> int:
    """Print every offence as ``file:line: what``; 1 when there is one."""
    count = 0
    for path in files():
        name = path.relative_to(ROOT)
        if path.stat().st_size > LARGE_BYTES:
            print(f"{name}: {path.stat().st_size} bytes; keep large files out of the repository")
            count += 1
            continue
        for number, what in offences(path):
            print(f"{name}:{number}: {what}")
            count += 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
