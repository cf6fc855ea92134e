"""Where processor time goes inside a process: stacks sampled by ``perf``, counted by rules.

Needs ``perf`` and the right to use it. Without either, a scenario says so and reports whole
processes only.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

SAMPLES_PER_S = 499
"""Not a divisor of any timer's rate, and few enough to disturb little."""
STACK_BYTES = 8192

Stack = tuple[str, ...]
"""Frames from the innermost outwards, each ``symbol [file name]``."""


def is_available() -> bool:
    """``perf`` is installed and may sample this user's processes."""
    perf = shutil.which("perf")
    command = [perf or "perf", "stat", "-e", "cpu-clock", "true"]
    return (
        perf is not None
        and subprocess.run(command, capture_output=True, check=False).returncode == 0
    )


@contextmanager
def recording(pids: Sequence[int], folder: Path) -> Iterator[Path]:
    """Sample ``pids`` during the block; yields the file that holds the samples afterwards."""
    data = folder / "perf.data"
    command = ["perf", "record", "-e", "cpu-clock", "-F", str(SAMPLES_PER_S)]
    command += [
        "--call-graph",
        f"dwarf,{STACK_BYTES}",
        "-o",
        str(data),
        "-p",
        ",".join(map(str, pids)),
    ]
    recorder = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        yield data
    finally:
        recorder.send_signal(signal.SIGINT)
        recorder.communicate(timeout=60)


def stacks(data: Path) -> dict[int, list[Stack]]:
    """All samples of a recording, by process."""
    command = ["perf", "script", "-i", str(data), "--no-inline", "-F", "pid,ip,sym,dso"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[int, list[Stack]] = {}
    for block in text.split("\n\n"):
        head, *frames = block.strip().splitlines() or [""]
        if head.strip().isdigit():
            found.setdefault(int(head), []).append(tuple(map(_frame, frames)))
    return found


def _frame(line: str) -> str:
    """``<address> <symbol> (<path>)`` without the address and the folder."""
    symbol, _, path = line.strip().partition(" ")[2].rpartition(" (")
    return f"{symbol} [{path.rstrip(')').rpartition('/')[2]}]"


def shares(samples: Sequence[Stack], rules: Mapping[str, str]) -> dict[str, float]:
    """The share (0..1) of ``samples`` that each rule explains, most first; the rest is ``other``.

    Args:
        samples: Stacks; without any, there are no shares.
        rules: Name to regular expression. The innermost frame that any rule matches decides; on
            one frame, the first rule does.
    """
    compiled = {name: re.compile(pattern) for name, pattern in rules.items()}

    def explained(stack: Stack) -> str:
        for frame in stack:
            for name, pattern in compiled.items():
                if pattern.search(frame):
                    return name
        return "other"

    counts = Counter(map(explained, samples))
    return {name: count / len(samples) for name, count in counts.most_common()}
