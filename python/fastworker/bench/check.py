"""``--assert 'p99_wait<50ms'``: what a build fails on.

A condition is MEASURE OPERATOR VALUE. The measure is a key of the file's ``summary``, or of the form ``p99_wait``;
its median over the repeats is compared.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastworker.app.nearest import did_you_mean
from fastworker.bench.errors import BenchError

_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_FORM = re.compile(
    r"\s*([A-Za-z_0-9.]+(?:\[[^\]]+\])?)\s*(<=|>=|<|>)\s*([0-9.]+(?:[eE][-+]?[0-9]+)?)\s*([a-zµ%/]*)\s*"
)
#: What a number with this unit is multiplied by; times are in seconds in the file.
_UNITS = {"": 1.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "/s": 1.0, "%": 1e-2, "min": 60.0}
_TIMES = ("s", "ms", "us", "µs", "min")


@dataclass(frozen=True)
class Check:
    """One condition.

    Attributes:
        text: As it was given.
        measure: Key of ``summary``.
        sign: The operator.
        bound: In the file's unit.
    """

    text: str
    measure: str
    sign: str
    bound: float

    def holds(self, summary: Mapping[str, Any]) -> bool:
        """Whether the median satisfies it."""
        return self.met_by(summary[self.measure]["median"])

    def met_by(self, value: float) -> bool:
        """Whether a value, in the file's unit, satisfies it."""
        return _OPERATORS[self.sign](value, self.bound)


def parse(text: str, option: str = "--assert") -> Check:
    """Read a condition, of the option that has it.

    Raises:
        BenchError: It is none; the text says what was expected.
    """
    form = _FORM.fullmatch(text)
    expected = (
        "expected MEASURE, one of < <= > >=, and a number with its unit, such as p99_wait<50ms or "
        "throughput>1000/s"
    )
    if form is None or form[4] not in _UNITS:
        raise BenchError(f"{option} {text!r}: {expected}")
    try:
        number = float(form[3])
    except ValueError as exc:
        raise BenchError(f"{option} {text!r}: {form[3]!r} is no number; {expected}") from exc
    measure = _key(form[1])
    if measure.endswith("_s") != (form[4] in _TIMES):
        unit = "a time, such as 50ms" if measure.endswith("_s") else "no time"
        raise BenchError(f"{option} {text!r}: {form[1]} is compared with {unit}")
    return Check(text, measure, form[2], number * _UNITS[form[4]])


def _key(name: str) -> str:
    """``p99_wait`` and ``wait_p99`` as ``wait_p99_s``; ``p99.9`` as ``p999``."""
    name = name.replace("p99.9", "p999")
    swapped = re.fullmatch(r"(p\d+|mean|max)_([a-z_]+?)(?:_s)?", name)
    if swapped is not None:
        return f"{swapped[2]}_{swapped[1]}_s"
    return f"{name}_s" if re.fullmatch(r"[a-z_]+_(p\d+|mean|max)", name) else name


def failures(checks: list[Check], summary: Mapping[str, Any]) -> list[str]:
    """A line for each condition that does not hold.

    Raises:
        BenchError: There is no such measure in this run.
    """
    found = []
    for check in checks:
        if check.measure not in summary:
            hint = (
                did_you_mean(check.measure, summary) or f"; measures: {', '.join(sorted(summary))}"
            )
            raise BenchError(
                f"--assert {check.text!r}: this run has no measure {check.measure!r}{hint}"
            )
        if not check.holds(summary):
            measured = summary[check.measure]
            found.append(
                f"{check.text}: measured {measured['median']:.6g} ({measured['low']:.6g} to {measured['high']:.6g})"
            )
    return found
