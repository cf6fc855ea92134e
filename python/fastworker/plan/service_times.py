"""How long tasks of a class run: from a bench file, from a list of times, or from a distribution that is named."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastworker.app.nearest import did_you_mean
from fastworker.errors import ImproperlyConfigured
from fastworker.plan import bench_file
from fastworker.plan.bench_file import BenchFile
from fastworker.plan.distributions import (
    BoundedPareto,
    Constant,
    Distribution,
    Empirical,
    Exponential,
    LogNormal,
    Mixture,
    Uniform,
)
from fastworker.plan.figure import Origin
from fastworker.plan.quantities import duration_s

_KINDS: dict[str, tuple[str, ...]] = {
    "constant": ("mean",),
    "exponential": ("mean",),
    "lognormal": ("mean", "scv"),
    "uniform": ("low", "high"),
    "pareto": ("low", "high", "alpha"),
    "mixture": ("parts",),
}
#: Fewer measured times than this say little about a p95.
FEW = 200


@dataclass(frozen=True)
class ServiceTimes:
    """Times of one class.

    Attributes:
        times: The distribution, in seconds.
        origin: Where it comes from.
        note: Which file, how many values.
        bench: The file, if it is a bench's.
        task: Its name in that file.
    """

    times: Distribution
    origin: Origin
    note: str
    bench: BenchFile | None = None
    task: str = ""


def parse(
    given: Any, task: str, where: str, folder: Path, *, despite_faults: bool = False
) -> ServiceTimes:
    """Read what a class says of its service times.

    Args:
        given: Seconds; ``{distribution, …}``; ``{bench: FILE, task: NAME, despite_faults: BOOL}``;
            ``{samples: FILE}``; or what was measured.
        task: The class, whose name is looked for in a bench file.
        where: The place, for errors.
        folder: What paths are relative to.
        despite_faults: Take files that call themselves not valid, unless ``given`` says otherwise.

    Raises:
        ImproperlyConfigured: It cannot be read; says what and where.
    """
    if isinstance(given, ServiceTimes):
        return given
    if isinstance(given, int | float | str):
        given = {"distribution": "exponential", "mean": given}
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(
            f"{where}: {given!r}: expected seconds, or a table with distribution, bench or samples"
        )
    if "bench" in given:
        return _from_bench(given, task, where, folder, despite_faults)
    if "samples" in given:
        _only(given, ("samples",), where)
        return from_samples(folder / str(given["samples"]), where)
    return ServiceTimes(_named(given, where), Origin.GIVEN, str(given.get("distribution", "")))


def _named(given: Mapping[str, Any], where: str) -> Distribution:
    kind = str(given.get("distribution", "exponential"))
    if kind not in _KINDS:
        raise ImproperlyConfigured(
            f"{where}.distribution: {kind!r}{did_you_mean(kind, _KINDS)}: expected {', '.join(_KINDS)}"
        )
    wanted = _KINDS[kind]
    _only(given, ("distribution", "weight", *wanted), where)
    missing = [name for name in wanted if name not in given]
    if missing:
        raise ImproperlyConfigured(f"{where}: {kind} needs {', '.join(missing)}")
    if kind == "mixture":
        parts = given["parts"]
        if not isinstance(parts, list) or not parts:
            raise ImproperlyConfigured(f"{where}.parts: expected a list of distributions")
        return Mixture(
            [
                (
                    _positive(part, "weight", f"{where}.parts[{i}]"),
                    _named(part, f"{where}.parts[{i}]"),
                )
                for i, part in enumerate(parts)
            ]
        )
    values = {name: _positive(given, name, where) for name in wanted}
    if kind in ("uniform", "pareto") and values["low"] >= values["high"]:
        raise ImproperlyConfigured(f"{where}: low is not below high")
    made: dict[str, Any] = {
        "constant": lambda: Constant(values["mean"]),
        "exponential": lambda: Exponential(values["mean"]),
        "lognormal": lambda: LogNormal(values["mean"], values["scv"]),
        "uniform": lambda: Uniform(values["low"], values["high"]),
        "pareto": lambda: BoundedPareto(values["low"], values["high"], values["alpha"]),
    }
    distribution: Distribution = made[kind]()
    return distribution


def _positive(given: Mapping[str, Any], name: str, where: str) -> float:
    value = duration_s(given.get(name, 1.0), f"{where}.{name}")
    if value <= 0:
        raise ImproperlyConfigured(f"{where}.{name}: {given.get(name)!r}: expected more than 0")
    return value


def _only(given: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for name in given:
        if name not in known:
            raise ImproperlyConfigured(
                f"{where}: {name!r} is not known there{did_you_mean(name, known)}; expected {', '.join(known)}"
            )


def _from_bench(
    given: Mapping[str, Any], task: str, where: str, folder: Path, despite_faults: bool
) -> ServiceTimes:
    _only(given, ("bench", "task", "despite_faults"), where)
    takes_it = given.get("despite_faults", despite_faults)
    if not isinstance(takes_it, bool):
        raise ImproperlyConfigured(f"{where}.despite_faults: {takes_it!r}: expected true or false")
    bench = bench_file.read(folder / str(given["bench"]), where, despite_faults=takes_it)
    task = str(given.get("task", task))
    times = bench.times(task)
    return ServiceTimes(
        times, Origin.MEASURED, f"{bench.name}, {times.count:,.0f} tasks", bench, task
    )


def from_samples(path: Path, where: str) -> ServiceTimes:
    """Times from a file: a JSON list of seconds, or one number a line, or one JSON object with ``seconds`` a line.

    Raises:
        ImproperlyConfigured: It cannot be read; says which line.
    """
    try:
        text = path.read_text()
    except OSError as error:
        raise ImproperlyConfigured(
            f"{where}: cannot read {str(path)!r}: {error.strerror}"
        ) from error
    lines = text.splitlines()
    if text.lstrip().startswith("["):
        try:
            lines = [json.dumps(value) for value in json.loads(text)]
        except ValueError as error:
            raise ImproperlyConfigured(f"{where}: {str(path)!r} is no JSON: {error}") from error
    values = [
        _seconds(line, f"{where}: {str(path)!r}, line {number}")
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]
    try:
        times = Empirical([(value, 1.0) for value in values])
    except ValueError as error:
        raise ImproperlyConfigured(f"{where}: {str(path)!r}: {error}") from error
    return ServiceTimes(times, Origin.MEASURED, f"{path.name}, {len(values):,} times")


def _seconds(line: str, where: str) -> float:
    try:
        value = json.loads(line)
        number = float(value["seconds"] if isinstance(value, dict) else value)
    except (ValueError, KeyError, TypeError) as error:
        raise ImproperlyConfigured(
            f'{where}: {line.strip()[:40]!r}: expected seconds, or {{"seconds": 0.2}}'
        ) from error
    if number < 0:
        raise ImproperlyConfigured(f"{where}: {number} is below 0")
    return number
