"""What a sweep varies: one or two axes, each with its values."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from fastworker.app.nearest import did_you_mean
from fastworker.bench.errors import BenchError
from fastworker.bench.settings import BenchSettings
from fastworker.bench.workload import Parameters, built_in

_Make = Callable[[BenchSettings, float], BenchSettings]
#: Values of one axis; a grid of two has the square at most.
_MOST_VALUES = 20


def _concurrency(settings: BenchSettings, value: float) -> BenchSettings:
    if settings.pool == "solo" and value != 1:
        raise BenchError("--over concurrency with the pool solo: it runs one task at a time")
    return replace(settings, concurrency=int(value))


def _processes(settings: BenchSettings, value: float) -> BenchSettings:
    if settings.pool in ("prefork", "solo"):
        raise BenchError(
            f"--over processes with the pool {settings.pool}: expected threads, asyncio, gevent or eventlet; with "
            f"prefork each slot is a process, so take --over concurrency"
        )
    return _with_option(settings, "--processes", value)


def _workers(settings: BenchSettings, value: float) -> BenchSettings:
    return replace(settings, workers=int(value))


def _prefetch(settings: BenchSettings, value: float) -> BenchSettings:
    return _with_option(settings, "--prefetch-multiplier", value)


def _with_option(settings: BenchSettings, option: str, value: float) -> BenchSettings:
    return replace(settings, worker_options=[*settings.worker_options, option, str(int(value))])


def _payload(settings: BenchSettings, value: float) -> BenchSettings:
    if settings.workload.name != "echo":
        raise BenchError(
            f"--over payload with {settings.workload.name}: expected the workload echo, whose argument has a size"
        )
    return replace(settings, workload=built_in("echo", Parameters(size_kb=value)))


@dataclass(frozen=True)
class Kind:
    """Something that can be varied.

    Attributes:
        what: In words.
        is_scale: How many work: there is a law of it.
        make: The settings with a value.
    """

    what: str
    is_scale: bool
    make: _Make


KINDS: Mapping[str, Kind] = {
    "concurrency": Kind("slots of a worker", True, _concurrency),
    "processes": Kind("processes of a worker", True, _processes),
    "workers": Kind("worker nodes", True, _workers),
    "prefetch": Kind("prefetch multiplier", False, _prefetch),
    "payload": Kind("KiB of argument", False, _payload),
}


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        name: Key of ``KINDS``.
        values: Rising.
    """

    name: str
    values: Sequence[float]

    @property
    def kind(self) -> Kind:
        """What it is."""
        return KINDS[self.name]


def parse(text: str) -> Axis:
    """Read ``concurrency=1,2,4``.

    Raises:
        BenchError: It is no such thing; the text says what was expected.
    """
    name, _, listed = text.partition("=")
    name = name.strip()
    if name not in KINDS:
        raise BenchError(
            f"--over {text!r}: expected AXIS=VALUE,VALUE,… with one of {', '.join(KINDS)}"
            f"{did_you_mean(name, KINDS)}"
        )
    least = 0.0 if name in ("payload", "prefetch") else 1.0
    values: list[float] = []
    for part in listed.split(","):
        try:
            value = float(part)
        except ValueError:
            value = -1.0
        if not least <= value < 1e6 or (name != "payload" and value != int(value)):
            expected = (
                "a number of KiB" if name == "payload" else f"a whole number, {least:g} or more"
            )
            raise BenchError(f"--over {text!r}: {part.strip()!r}: expected {expected}")
        values.append(value)
    if not 2 <= len(set(values)) <= _MOST_VALUES:
        raise BenchError(f"--over {text!r}: expected 2 to {_MOST_VALUES} different values")
    return Axis(name, sorted(set(values)))


@dataclass(frozen=True)
class Point:
    """One place of the grid.

    Attributes:
        at: The value of each axis, in the order of the axes.
    """

    at: tuple[tuple[str, float], ...]

    def __str__(self) -> str:
        return ",".join(f"{name}={value:g}" for name, value in self.at)

    def settings(self, base: BenchSettings) -> BenchSettings:
        """What to measure there.

        Raises:
            BenchError: The axis does not go with the other settings.
        """
        for name, value in self.at:
            base = KINDS[name].make(base, value)
        return base


def points(axes: Sequence[Axis]) -> Iterator[Point]:
    """All places, the last axis moving fastest."""
    for values in itertools.product(*(axis.values for axis in axes)):
        yield Point(tuple(zip((axis.name for axis in axes), values, strict=True)))


def default_axis(cores: int) -> Axis:
    """Concurrency from 1 to four times the cores, by powers of two; at least four values."""
    values = [1.0, 2.0, 4.0, 8.0]
    while values[-1] < 4 * cores:
        values.append(values[-1] * 2)
    return Axis("concurrency", values)
