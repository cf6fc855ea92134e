"""`make mutants`: every broken engine of `mutants.py` against the simulator, then the unit tests.

usage: ``python rust/engine/mutants/run.py [--schedules N] [part of a name …]``

Each is applied to a copy of the crate under ``target/mutants``, compiled, and played against
random schedules until a promise breaks. One that survives is run against the crate's tests. Prints a
table, and the rules of the simulator that no mutant has broken; fails when a mutant survives both.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

from mutants import MUTANTS, Mutant

CRATE = Path(__file__).resolve().parents[1]
WORK = CRATE.parents[1] / "target" / "mutants"
COPY = WORK / "engine"
MANIFEST = """\
[package]
name = "fastworker-engine"
version = "0.0.0"
edition = "2024"
autoexamples = false

[features]
sim = []

[dev-dependencies]
fastworker-engine = { path = ".", features = ["sim"] }
proptest = { version = "1", default-features = false, features = ["std", "bit-set"] }

[[bin]]
name = "simulate"
path = "examples/simulate.rs"
required-features = ["sim"]

[profile.dev]
opt-level = 1
debug = false

[workspace]
"""


class Verdict(NamedTuple):
    """How a mutant ended. ``by`` is the rule or test that broke; empty when it survived."""

    by: str
    detail: str


def rules() -> set[str]:
    """The name of every rule that the simulator checks."""
    found: set[str] = set()
    for path in sorted((CRATE / "src" / "sim").rglob("*.rs")):
        text = "\n".join(
            line for line in path.read_text().splitlines() if not line.lstrip().startswith("//")
        )
        found |= set(re.findall(r"require!\(\s*([a-z_]+):", text))
        found |= set(re.findall(r"\"([a-z_]+): ", text))
    return found


def fault(mutant: Mutant) -> str | None:
    """What is wrong with the description of a mutant; ``None`` when it can be applied."""
    count = (CRATE / "src" / mutant.file).read_text().count(mutant.old)
    if count == 1:
        return None
    return (
        f"mutant {mutant.name!r}: its text occurs {count} times in rust/engine/src/{mutant.file}, expected once; "
        "put the present text into rust/engine/mutants/mutants.py"
    )


def prepare(mutant: Mutant | None) -> None:
    """Make the copy the crate as it is, with the mutant's change. Files keep their times unless they change, so
    that little is compiled again.
    """
    for part in ("src", "tests", "examples"):
        for source in sorted((CRATE / part).rglob("*.rs")):
            text = source.read_text()
            if mutant and part == "src" and source == CRATE / "src" / mutant.file:
                text = text.replace(mutant.old, mutant.new)
            target = COPY / source.relative_to(CRATE)
            if not target.exists() or target.read_text() != text:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text)


def cargo(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Cargo in the copy, with a target directory of its own."""
    command = ["cargo", *arguments, "--target-dir", str(WORK / "target"), "--features", "sim"]
    return subprocess.run(command, cwd=COPY, capture_output=True, text=True, check=False)


def judge(mutant: Mutant | None, schedules: int) -> Verdict:
    """Play, then test."""
    prepare(mutant)
    built = cargo("build", "--quiet", "--bin", "simulate")
    if built.returncode != 0:
        raise SystemExit(f"{mutant}: does not compile\n{built.stderr}")
    binary = WORK / "target" / "debug" / "simulate"
    try:
        played = subprocess.run(
            [binary, "hunt", str(schedules)],
            capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Verdict("ends", "the schedules did not end within 600 s")
    broken = re.search(r"^seed (\d+): at \d+ us: ([a-z_]+): ", played.stdout, re.M)
    if broken:
        return Verdict(broken[2], f"seed {broken[1]}")
    if played.returncode != 0:
        raise SystemExit(f"{mutant}: the simulator ended oddly\n{played.stdout}{played.stderr}")
    if mutant is None:
        return Verdict("", "")
    tested = cargo("test", "--quiet", "--lib", "--test", "rules", "--no-fail-fast")
    failed = re.findall(r"^    ([a-z_:0-9]+)$", tested.stdout, re.M)
    if tested.returncode == 0:
        return Verdict("", "")
    if not failed:
        raise SystemExit(f"{mutant}: the tests ended oddly\n{tested.stdout}{tested.stderr}")
    return Verdict("a test", failed[0])


def main() -> int:
    """Judge all that are asked for; 0 when every one is caught and the real engine is not."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--schedules", type=int, default=5_000)
    parser.add_argument("names", nargs="*")
    asked = parser.parse_args()
    wanted = [m for m in MUTANTS if not asked.names or any(n in m.name for n in asked.names)]
    faults = [text for mutant in wanted if (text := fault(mutant))]
    if faults:
        print("\n".join(faults), file=sys.stderr)
        return 2
    shutil.rmtree(COPY, ignore_errors=True)
    COPY.mkdir(parents=True)
    (COPY / "Cargo.toml").write_text(MANIFEST)
    if (real := judge(None, asked.schedules)).by:
        print(f"the engine itself is caught by {real.by}: {real.detail}", file=sys.stderr)
        return 1
    unbroken, survivors = rules(), []
    print(f"{'caught by':<22} {'where':<52} {'s':>5}  mutant")
    for mutant in wanted:
        started = time.monotonic()
        verdict = judge(mutant, asked.schedules)
        unbroken.discard(verdict.by)
        if not verdict.by:
            survivors.append(mutant.name)
        took = time.monotonic() - started
        print(
            f"{verdict.by or 'NOBODY':<22} {verdict.detail:<52} {took:5.0f}  {mutant.name}",
            flush=True,
        )
    print(f"{len(wanted) - len(survivors)} of {len(wanted)} mutants caught")
    print(f"rules that none of them broke first: {', '.join(sorted(unbroken)) or 'none'}")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
