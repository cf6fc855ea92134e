"""The steps of ``make check`` and ``make test``: one command each, and how its output is
counted.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import xml.etree.ElementTree
from dataclasses import dataclass, field
from pathlib import Path

from fastworker.worker.pools import POOLS

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
REPORT = ROOT / "target" / "pytest.xml"
# Pytest's exit status when none was chosen.
NO_TESTS = 5
# Files of tests at once. They wait for other processes more than half of the time; with many more of them than cores,
# those with deadlines would wait for a core instead.
AT_ONCE = ["-n", "3", "--dist", "loadfile"]

# Left out of cargo test: its tests would have to link libpython, which many machines have no copy
# of to link. It is compiled by clippy and by the extension's build, and tested from Python.
UNLINKABLE = "fastworker-py"


@dataclass
class Outcome:
    """What one step found.

    Attributes:
        name: The step, for a person.
        passed: Tests, or 1 for a check.
        failed: Likewise.
        skips: One reason per skipped test.
        seconds: How long it took.
        failures: One line each.
    """

    name: str
    passed: int
    failed: int
    skips: list[str]
    seconds: float
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Step:
    """A command that fails by its exit status. ``kind`` says how its tests are counted: check,
    cargo or pytest. ``may_be_empty``: none of its tests may be among those that were chosen.
    """

    name: str
    command: list[str]
    kind: str = "check"
    may_be_empty: bool = False

    def run(self, extra: list[str]) -> Outcome:
        """Run it with its output on ours; ``extra`` arguments are for pytest only."""
        print(f"\n--- {self.name}", flush=True)
        started = time.monotonic()
        lines: list[str] = []
        with subprocess.Popen(
            [*self.command, *extra],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                print(line, end="", flush=True)
                lines.append(line)
        outcome = Outcome(self.name, 0, 0, [], 0.0)
        if self.kind == "cargo":
            count_cargo(lines, outcome)
        elif self.kind == "pytest":
            count_pytest(outcome)
        elif process.returncode == 0:
            outcome.passed = 1
        is_empty = self.may_be_empty and extra and process.returncode == NO_TESTS
        if process.returncode != 0 and not outcome.failed and not is_empty:
            outcome.failed = 1
            outcome.failures.append(
                f"{self.name}: {' '.join(self.command)} (exit {process.returncode})"
            )
        outcome.seconds = time.monotonic() - started
        return outcome


def count_cargo(lines: list[str], outcome: Outcome) -> None:
    """Add up cargo's "test result" lines."""
    for line in lines:
        if found := re.match(r"test result: .*?(\d+) passed; (\d+) failed; (\d+) ignored", line):
            outcome.passed += int(found[1])
            outcome.failed += int(found[2])
            outcome.skips += ["#[ignore] in Rust"] * int(found[3])
        elif found := re.match(r"test (.*) \.\.\. FAILED", line):
            outcome.failures.append(f"cargo test {found[1]}")


def count_pytest(outcome: Outcome) -> None:
    """Read pytest's report, and remove it so that a later run which writes none is not taken for
    this one.
    """
    if not REPORT.exists():
        return
    for case in xml.etree.ElementTree.parse(REPORT).iter("testcase"):
        name = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
        kinds = {child.tag: child for child in case}
        if "failure" in kinds or "error" in kinds:
            outcome.failed += 1
            outcome.failures.append(name)
        elif "skipped" in kinds:
            outcome.skips.append(kinds["skipped"].get("message") or "no reason")
        else:
            outcome.passed += 1
    REPORT.unlink()


def features() -> list[str]:
    """``--features`` for what only tests need: the broker's conformance suite, the engine's
    simulator.
    """
    command = ["cargo", "metadata", "--no-deps", "--format-version", "1", "--locked"]
    described = json.loads(
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    )
    wanted = [
        f"{package['name']}/{feature}"
        for package in described["packages"]
        for feature in ("conformance", "sim")
        if feature in package["features"]
    ]
    return ["--features", ",".join(wanted)] if wanted else []


def lint() -> list[Step]:
    """Formatting and rules of both languages, which way imports point, words that must not be
    here.
    """
    clippy = ["cargo", "clippy", "--workspace", "--all-targets", "--locked", *features()]
    return [
        Step("rustfmt", ["cargo", "fmt", "--all", "--check"]),
        Step("clippy", [*clippy, "--", "-D", "warnings"]),
        Step("ruff format", [str(BIN / "ruff"), "format", "--check", "."]),
        Step("ruff", [str(BIN / "ruff"), "check", "."]),
        Step("import contract", [str(BIN / "lint-imports"), "--no-cache"]),
        Step("forbidden words", [sys.executable, "-m", "tests.support.words"]),
        Step("reference pages", [sys.executable, "-m", "docs.generate", "--check"]),
    ]


def typecheck() -> list[Step]:
    """The public package under mypy --strict; the stub of the extension against the built
    module.
    """
    return [
        Step("mypy --strict", [sys.executable, "-m", "mypy"]),
        Step("stubtest", [sys.executable, "-m", "mypy.stubtest", "fastworker._core"]),
    ]


def rust() -> list[Step]:
    """Every crate's tests that need no interpreter."""
    command = ["cargo", "test", "--workspace", "--exclude", UNLINKABLE, "--locked", *features()]
    return [Step("cargo test", command, "cargo"), *loom()]


def loom() -> list[Step]:
    """The protocols of the page shared by worker and child, in every interleaving of two threads.
    Compiled apart from everything else, since the flag concerns every crate.
    """
    flag = 'build.rustflags=["--cfg","loom"]'
    command = ["cargo", "test", "--locked", "-p", "fastworker-link", "--lib", "--config", flag]
    return [Step("loom", [*command, "--target-dir", "target/loom"], "cargo")]


#: The tests of options and faults that say nothing of a pool themselves.
CONFORMANCE = [
    f"tests/acceptance/test_{name}.py"
    for name in (
        "calls",
        "task_options",
        "delivery_policies",
        "lost_processes",
        "replaced_children",
        "revoke",
        "shutdown",
    )
]


def pools(*options: str) -> list[Step]:
    """Those with each pool; with prefork they run beside all others."""
    REPORT.parent.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "pytest", *AT_ONCE]
    return [
        Step(
            f"pytest, pool {pool}",
            [
                "env",
                f"FASTWORKER_TEST_POOL={pool}",
                *command,
                f"--junitxml={REPORT}",
                *options,
                *CONFORMANCE,
            ],
            "pytest",
            may_be_empty=True,
        )
        for pool in POOLS
        if pool != "prefork"
    ]


def hosted() -> list[Step]:
    """The acceptance tests that Celery passes too, with its application and its client, and our worker."""
    REPORT.parent.mkdir(exist_ok=True)
    products = ["FASTWORKER_TEST_PRODUCT=celery", "FASTWORKER_TEST_RUNNER=fastworker"]
    command = [sys.executable, "-m", "pytest", *AT_ONCE]
    return [
        Step(
            "pytest, Celery's apps",
            ["env", *products, *command, f"--junitxml={REPORT}", "tests/acceptance"],
            "pytest",
            may_be_empty=True,
        )
    ]


def pools_briefly() -> list[Step]:
    """The most telling of them: a fault, a limit, a revoke and a shutdown in each pool."""
    return pools("-m", "each_pool")


def python() -> list[Step]:
    """Every Python test."""
    REPORT.parent.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "pytest", *AT_ONCE, f"--junitxml={REPORT}"]
    return [Step("pytest", command, "pytest")]
