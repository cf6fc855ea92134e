"""What is called: the built-in workloads, and the user's own task."""

from __future__ import annotations

import json
import random
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastworker.bench.distribution import samples
from fastworker.bench.errors import BenchError

#: Of Zipf's law among hosts.
_ZIPF = 1.1
_HOSTS = 1000
#: Messages that are kept as templates.
MOST_CALLS = 50_000


@dataclass(frozen=True)
class Call:
    """One call that may be made again and again.

    Attributes:
        task: Registered name.
        args, kwargs: Its arguments.
        delay_s: It has an eta so much later.
    """

    task: str
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    delay_s: float = 0.0


@dataclass(frozen=True)
class Workload:
    """What is called, and how often each.

    Attributes:
        name: For reports.
        parameters: What it was made with.
        calls: What may be called.
        weights: How often each, in proportion; None: each as often.
        ends: Tasks that end for each call, calls made by tasks included.
        times_s: When each of ``calls`` was made, if that was recorded; then each is made once, in this order.
        wants_results: It does not work without a result store.
    """

    name: str
    parameters: Mapping[str, Any]
    calls: Sequence[Call]
    weights: Sequence[float] | None = None
    ends: int = 1
    times_s: Sequence[float] | None = None
    wants_results: bool = False

    def picks(self, count: int, rng: random.Random) -> array[int]:
        """Which call each arrival makes."""
        if self.times_s is not None:
            order = sorted(range(len(self.calls)), key=self.times_s.__getitem__)
            return array("I", order)
        if len(self.calls) == 1:
            return array("I", bytes(4 * count))
        return array("I", rng.choices(range(len(self.calls)), self.weights, k=count))


@dataclass(frozen=True)
class Parameters:
    """What the command line may say about a built-in workload."""

    size_kb: float = 1.0
    distribution: str = "constant"
    mean_s: float = 0.01
    width: int = 4
    depth: int = 3
    members: int = 100
    delay_s: float = 2.0


def _noop(_parameters: Parameters) -> Workload:
    return Workload("noop", {}, [Call("bench.noop")])


def _echo(parameters: Parameters) -> Workload:
    text = "x" * round(parameters.size_kb * 1024)
    return Workload("echo", {"size_kb": parameters.size_kb}, [Call("bench.echo", (text,))])


def _timed(name: str) -> Callable[[Parameters], Workload]:
    def made(parameters: Parameters) -> Workload:
        times_s = samples(parameters.distribution, parameters.mean_s)
        said = {"distribution": parameters.distribution, "mean_s": parameters.mean_s}
        return Workload(name, said, [Call(f"bench.{name}", (time_s,)) for time_s in times_s])

    return made


def _mixed(parameters: Parameters) -> Workload:
    times_s = samples("exponential", parameters.mean_s)
    calls = [Call("bench.noop"), Call("bench.spin", (parameters.mean_s / 2,))]
    calls += [Call("bench.sleep", (time_s,)) for time_s in times_s]
    weights = [0.7, 0.05] + [0.25 / len(times_s)] * len(times_s)
    return Workload("mixed", {"mean_s": parameters.mean_s}, calls, weights)


def _tree(parameters: Parameters) -> Workload:
    depth, width = parameters.depth, parameters.width
    ends = sum(width**level for level in range(depth + 1))
    said = {"depth": depth, "width": width}
    return Workload("tree", said, [Call("bench.tree", (depth, width))], ends=ends)


def _chord(parameters: Parameters) -> Workload:
    members = parameters.members
    calls = [Call("bench.fan", (members,))]
    return Workload("chord", {"members": members}, calls, ends=members + 2, wants_results=True)


def _eta(parameters: Parameters) -> Workload:
    calls = [Call("bench.noop", delay_s=parameters.delay_s)]
    return Workload("eta", {"delay_s": parameters.delay_s}, calls)


def _crawl(parameters: Parameters) -> Workload:
    hosts = [f"host-{place}.example" for place in range(_HOSTS)]
    calls = [
        Call("bench.crawl", (), {"host": host, "seconds": parameters.mean_s}) for host in hosts
    ]
    weights = [(place + 1) ** -_ZIPF for place in range(_HOSTS)]
    said = {"hosts": _HOSTS, "zipf": _ZIPF, "mean_s": parameters.mean_s}
    return Workload("crawl", said, calls, weights)


BUILT_IN: Mapping[str, Callable[[Parameters], Workload]] = {
    "noop": _noop,
    "echo": _echo,
    "sleep": _timed("sleep"),
    "spin": _timed("spin"),
    "mixed": _mixed,
    "tree": _tree,
    "chord": _chord,
    "eta": _eta,
    "crawl": _crawl,
}


def built_in(name: str, parameters: Parameters) -> Workload:
    """One of ours.

    Raises:
        BenchError: There is none of this name, or a parameter that it cannot be made with.
    """
    if name not in BUILT_IN:
        raise BenchError(f"workload {name!r}: expected one of {', '.join(BUILT_IN)}")
    return BUILT_IN[name](parameters)


def of_task(task: str, args_file: Path | None, *, is_replay: bool = False) -> Workload:
    """Calls of the user's task.

    Args:
        task: Registered name.
        args_file: JSON lines: a list of positional arguments, or an object with ``args``, ``kwargs``, ``task`` and
            ``at`` (seconds), all optional. None: no arguments.
        is_replay: Make each call once, at its ``at``.

    Raises:
        BenchError: The file cannot be read, or a line is none of that; the text says which.
    """
    if args_file is None:
        if is_replay:
            raise BenchError('recorded arrivals need --args-file, whose lines have "at" (seconds)')
        return Workload(task, {}, [Call(task)])
    try:
        lines = args_file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise BenchError(f"--args-file {args_file}: {exc}") from exc
    calls: list[Call] = []
    times_s: list[float] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        call, at_s = _read(task, f"{args_file}, line {number}", line)
        if is_replay and at_s is None:
            raise BenchError(
                f'{args_file}, line {number}: expected "at" (seconds), to replay the call'
            )
        calls.append(call)
        times_s.append(at_s or 0.0)
        if len(calls) > MOST_CALLS:
            raise BenchError(f"{args_file}: more than {MOST_CALLS} calls; take a sample of them")
    if not calls:
        raise BenchError(f"{args_file}: no calls in it; expected one JSON value a line")
    said = {"args_file": args_file.name, "calls": len(calls)}
    return Workload(task, said, calls, times_s=times_s if is_replay else None)


def _read(task: str, where: str, line: str) -> tuple[Call, float | None]:
    expected = 'expected a list of arguments, or {"args": […], "kwargs": {…}}'
    try:
        value = json.loads(line)
    except ValueError as exc:
        raise BenchError(f"{where}: not JSON ({exc}); {expected}") from exc
    if isinstance(value, list):
        return Call(task, value), None
    known = {"args", "kwargs", "task", "at"}
    if not isinstance(value, dict) or not value.keys() <= known:
        raise BenchError(f"{where}: {line[:60]}: {expected}")
    args, kwargs, at_s = value.get("args", []), value.get("kwargs", {}), value.get("at")
    name = value.get("task", task)
    is_right = isinstance(args, list) and isinstance(kwargs, dict) and isinstance(name, str)
    if not is_right or not (at_s is None or isinstance(at_s, int | float)):
        raise BenchError(f"{where}: {line[:60]}: {expected}")
    return Call(name, args, kwargs), at_s
