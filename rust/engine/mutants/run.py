"""`make mutants`: every broken engine of `mutants.py` against the simulator, then the unit tests.

usage: ``python rust/engine/mutants/run.py [--schedules N] [--shard K/N] [--minutes M] [part of a name …]``

Each is applied to a copy of the crate under ``target/mutants``, compiled, and played against
random schedules until a promise breaks. One that survives is run against the crate's tests. Prints a
table in Markdown, and the rules of the simulator that no mutant has broken; fails when a mutant
survives both.

Verdicts are kept in ``target/mutants/verdicts.json``, and stand for as long as the crate does not
change: a run that was stopped, or that was to end after some minutes, goes on where it ended.
``--table`` judges nothing and prints what is known, of an earlier state of the crate too.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
from dataclasses import astuple
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

from mutants import MUTANTS, Mutant

CRATE = Path(__file__).resolve().parents[1]
WORK = CRATE.parents[1] / "target" / "mutants"
COPY = WORK / "engine"
VERDICTS = WORK / "verdicts.json"
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


class Known(NamedTuple):
    """A verdict that was reached before, and on what: see `state`."""

    verdict: Verdict
    state: str


def state(schedules: int) -> str:
    """A digest of all that a verdict depends on but the mutant itself."""
    digest = hashlib.sha256(str(schedules).encode())
    for part in ("src", "tests", "examples"):
        for source in sorted((CRATE / part).rglob("*.rs")):
            digest.update(source.relative_to(CRATE).as_posix().encode() + b"\0")
            digest.update(source.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def name_of_change(mutant: Mutant) -> str:
    """What its verdict is kept under: a mutant whose text changes is another one."""
    text = "\0".join(astuple(mutant))
    return f"{mutant.name} {hashlib.sha256(text.encode()).hexdigest()[:8]}"


def read_verdicts() -> dict[str, Known]:
    """What was found out before."""
    if not VERDICTS.exists():
        return {}
    stored = json.loads(VERDICTS.read_text())
    return {name: Known(Verdict(*verdict), state) for name, (verdict, state) in stored.items()}


def write_verdicts(known: dict[str, Known]) -> None:
    """Keeps it: a run that is killed loses the mutant at hand."""
    partial = VERDICTS.with_suffix(".partial")
    partial.write_text(json.dumps(known, indent=1))
    partial.replace(VERDICTS)


def table(mutants: list[Mutant], known: dict[str, Known], present: str) -> str:
    """Markdown: every mutant, and what caught it. One that was judged on an earlier state has an asterisk."""
    lines = ["| engine that … | caught by | where |", "| --- | --- | --- |"]
    for mutant in mutants:
        found = known.get(name_of_change(mutant))
        if found is None:
            lines.append(f"| {mutant.name} | not judged | |")
            continue
        by = found.verdict.by if found.verdict.by in ("", "a test") else f"`{found.verdict.by}`"
        mark = "" if found.state == present else " \\*"
        lines.append(f"| {mutant.name} | {by or '**nobody**'} | {found.verdict.detail}{mark} |")
    return "\n".join(lines)


def shard(text: str) -> tuple[int, int]:
    """``0/4``: the first of four parts."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or int(match[1]) >= int(match[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is no part such as 0/4, 1/4, 2/4 or 3/4")
    return int(match[1]), int(match[2])


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
    parser.add_argument(
        "--schedules", type=int, default=5_000, help="played against each (%(default)s)"
    )
    parser.add_argument(
        "--shard", type=shard, default=(0, 1), help="one part of the list only, such as 0/4"
    )
    parser.add_argument(
        "--minutes", type=float, default=float("inf"), help="begins no mutant after so long"
    )
    parser.add_argument(
        "--again", action="store_true", help="judges also those whose verdict is known"
    )
    parser.add_argument(
        "--table", action="store_true", help="prints what is known, and judges nothing"
    )
    parser.add_argument("names", nargs="*")
    asked = parser.parse_args()
    part, parts = asked.shard
    named = [m for m in MUTANTS if not asked.names or any(n in m.name for n in asked.names)]
    wanted = named[part::parts]
    faults = [text for mutant in wanted if (text := fault(mutant))]
    if faults:
        print("\n".join(faults), file=sys.stderr)
        return 2
    present, known = state(asked.schedules), read_verdicts()
    if not asked.table and not judge_all(wanted, known, present, asked):
        return 1
    print(f"\n{table(wanted, known, present)}\n")
    verdicts = [known[name].verdict for m in wanted if (name := name_of_change(m)) in known]
    caught = [verdict.by for verdict in verdicts if verdict.by]
    print(
        f"{len(caught)} caught, {len(verdicts) - len(caught)} not, {len(wanted) - len(verdicts)} not judged"
    )
    print(
        f"rules that none of them broke first: {', '.join(sorted(rules().difference(caught))) or 'none'}"
    )
    return 0 if len(caught) == len(verdicts) else 1


def judge_all(
    wanted: list[Mutant], known: dict[str, Known], present: str, asked: argparse.Namespace
) -> bool:
    """Judges those whose verdict is not known; false when the engine itself is caught."""
    shutil.rmtree(COPY, ignore_errors=True)
    COPY.mkdir(parents=True)
    (COPY / "Cargo.toml").write_text(MANIFEST)
    if (real := judge(None, asked.schedules)).by:
        print(f"the engine itself is caught by {real.by}: {real.detail}", file=sys.stderr)
        return False
    first = time.monotonic()
    for mutant in wanted:
        name, started = name_of_change(mutant), time.monotonic()
        if started - first >= asked.minutes * 60:
            print(f"{asked.minutes:g} minutes are over; the next run goes on here", flush=True)
            break
        if not asked.again and name in known and known[name].state == present:
            continue
        verdict = judge(mutant, asked.schedules)
        known[name] = Known(verdict, present)
        write_verdicts(known)
        took = time.monotonic() - started
        print(f"{took:5.0f} s  {verdict.by or 'NOBODY':<22} {mutant.name}", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
