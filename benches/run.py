"""``python -m benches.run``: every scenario, or those named, in processes of their own; the report.

``BENCH_QUICK=1`` is the short form.
"""

from __future__ import annotations

import subprocess
import sys
import time

from benches.scenarios import NAMES


def main() -> None:
    """Run, report, and exit with 1 when a scenario failed."""
    chosen = sys.argv[1:] or list(NAMES)
    if unknown := sorted(set(chosen) - set(NAMES)):
        raise SystemExit(f"benches: unknown scenario {unknown[0]!r}; expected {', '.join(NAMES)}")
    started = time.monotonic()
    failed = [name for name in chosen if not succeeds(f"benches.scenarios.{name}")]
    if not succeeds("benches.report"):
        failed.append("report")
    print(f"benches: {time.monotonic() - started:.0f} s", flush=True)
    if failed:
        raise SystemExit(f"benches: failed: {', '.join(failed)}")


def succeeds(module: str) -> bool:
    """Run a module as a program; its output is shown."""
    return subprocess.run([sys.executable, "-m", module], check=False).returncode == 0


if __name__ == "__main__":
    main()
