"""The file of a bench, as a plan needs it: whether it may be relied on, and what it has measured.

``docs/reference/bench-file.md`` says what is in it. A key that is not there was not measured, and is not made up.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastworker import _core
from fastworker.app.nearest import did_you_mean
from fastworker.errors import ImproperlyConfigured
from fastworker.plan.distributions import Empirical

FORMAT = "fastworker-bench/1"
#: Above this share of the cores, service times have waiting for a core in them.
_CROWDED = 0.8
#: A higher load average for each core, before the bench began, says that somebody else used the machine.
_BUSY = 0.5


@dataclass(frozen=True)
class BenchFile:
    """A file that was read.

    Attributes:
        name: Of the file, without its directory.
        where: The place in the plan that names it, for errors.
        content: The object in it.
    """

    name: str
    where: str
    content: Mapping[str, Any]

    @property
    def slots(self) -> int:
        """Over all workers."""
        return int(self._number("slots") or 1)

    @property
    def workers(self) -> int:
        """Nodes."""
        return int(self._number("workers") or 1)

    @property
    def pool(self) -> str | None:
        """What ran the tasks; None: it does not say."""
        pool = self.content.get("pool")
        return pool if isinstance(pool, str) else None

    @property
    def is_saturated(self) -> bool:
        """Every slot always had a next task: arrivals were ``closed`` or ``drain``."""
        return self.part("arrivals").get("kind") in ("closed", "drain")

    @property
    def tasks(self) -> Mapping[str, Any]:
        """By name."""
        return self.part("tasks")

    def part(self, name: str) -> Mapping[str, Any]:
        """An object of the top level; empty: there is none."""
        found = self.content.get(name)
        return found if isinstance(found, Mapping) else {}

    def median(self, measure: str) -> float | None:
        """A measure of ``summary``; None: it was not measured."""
        found = self.part("summary").get(measure)
        return number(found, "median") if isinstance(found, Mapping) else None

    def cpu_s(self, *roles: str) -> float | None:
        """CPU seconds of these roles for one task; None: one of them was not measured."""
        found = [number(self.part("overhead").get("cpu_s_per_1000_tasks"), role) for role in roles]
        return None if None in found else sum(value or 0.0 for value in found) / 1000

    def times(self, task: str) -> Empirical:
        """Service times of a task.

        Raises:
            ImproperlyConfigured: There is none of that name, or what it has cannot be read.
        """
        if task not in self.tasks:
            raise ImproperlyConfigured(
                f"{self.where}: {self.name!r} has no task {task!r}{did_you_mean(task, self.tasks)}; it has "
                f"{', '.join(sorted(self.tasks)) or 'none'}"
            )
        service = self.distribution(task, "service_s")
        buckets: Any = None if service is None else service.get("buckets")
        try:
            return Empirical([(float(value), float(count)) for value, count in buckets])
        except (TypeError, ValueError) as error:
            raise ImproperlyConfigured(
                f"{self.where}: {self.name!r}: tasks.{task}.service_s.buckets: {error}: expected "
                "[[seconds, count], …]"
            ) from error

    def distribution(self, task: str, key: str) -> Mapping[str, Any] | None:
        """A distribution of a task; None: it was not measured."""
        found = self.tasks[task].get(key) if isinstance(self.tasks.get(task), Mapping) else None
        return found if isinstance(found, Mapping) and number(found, "count") else None

    def merged(self, key: str) -> _core.Histogram:
        """A distribution over all tasks; it has no values where none was measured.

        Raises:
            ImproperlyConfigured: A histogram cannot be read.
        """
        whole = _core.Histogram()
        for task in self.tasks:
            found = self.distribution(task, key)
            histogram = None if found is None else found.get("histogram")
            if not isinstance(histogram, Mapping):
                continue
            try:
                whole.add(_core.Histogram.decode(str(histogram.get("data"))))
            except ValueError as error:
                raise ImproperlyConfigured(
                    f"{self.where}: {self.name!r}: tasks.{task}.{key}.histogram: {error}"
                ) from error
        return whole

    def repeats(self) -> list[tuple[float, float]]:
        """The mean service time of each repeat, and of how many tasks; those that do not tell are left out."""
        phases = self.content.get("phases")
        found = []
        for phase in phases if isinstance(phases, list) else []:
            if not isinstance(phase, Mapping) or phase.get("kind") != "measure":
                continue
            use, span_s, count = (
                number(phase, name) for name in ("utilisation", "duration_s", "completed")
            )
            if use and span_s and count:
                found.append((use * span_s * self.slots / count, count))
        return found

    def scv(self) -> float:
        """Squared coefficient of variation of the service times of all tasks together; 0: not measured."""
        rows = []
        for task in self.tasks:
            found = self.distribution(task, "service_s")
            count, mean, scv = (number(found, name) for name in ("count", "mean", "scv"))
            if count and mean:
                rows.append((count, mean, (scv or 0.0) * mean**2))
        total = sum(count for count, _, _ in rows)
        if not total:
            return 0.0
        mean_s = sum(count * mean for count, mean, _ in rows) / total
        square = sum(count * (variance + mean**2) for count, mean, variance in rows) / total
        return square / mean_s**2 - 1

    def _number(self, name: str) -> float | None:
        return number(self.content, name)


def number(values: Any, name: str) -> float | None:
    """A number in an object; None: it is not there, or none."""
    found = values.get(name) if isinstance(values, Mapping) else None
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return float(found)


def read(path: Path, where: str, *, despite_faults: bool = False) -> BenchFile:
    """Read a file of ``fastworker bench run --json``.

    Args:
        path: The file.
        where: The place in the plan that names it.
        despite_faults: Take it though it calls itself not valid.

    Raises:
        ImproperlyConfigured: There is no such file, it is another one, or it calls itself not valid; says why.
    """
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise ImproperlyConfigured(
            f"{where}: cannot read {str(path)!r}: {error.strerror}"
        ) from error
    except ValueError as error:
        raise ImproperlyConfigured(f"{where}: {str(path)!r} is no JSON: {error}") from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise ImproperlyConfigured(
            f"{where}: {str(path)!r} has the format {found!r}: expected {FORMAT!r}, as "
            "fastworker bench run --json writes it"
        )
    bench = BenchFile(path.name, where, content)
    faults = _faults(bench)
    if faults and not despite_faults:
        raise ImproperlyConfigured(
            f"{where}: {str(path)!r} says that it is not valid: {'; '.join(faults)}. Measure again, or take it all the "
            "same with despite_faults = true (--despite-faults)"
        )
    return bench


def _faults(bench: BenchFile) -> list[str]:
    """Why the file says that it must not be relied on; empty: it does not say so."""
    if bench.content.get("valid") is True:
        return []
    said = bench.content.get("faults")
    faults = [str(fault) for fault in said] if isinstance(said, Sequence) else []
    if "valid" not in bench.content:
        return ["it has no key 'valid'"]
    return faults or ["it does not say why"]


def doubts(bench: BenchFile, pool: str | None) -> list[str]:
    """What a reader of a plan should know of a file that it was made from.

    Args:
        bench: The file.
        pool: That is planned for; None: that of the file.
    """
    found = [f"{bench.name} says that it is not valid: {fault}" for fault in _faults(bench)]
    version = bench.content.get("fastworker")
    if version != _core.__version__:
        found.append(
            f"{bench.name} was measured with fastworker {version}, this is {_core.__version__}: measure again"
        )
    if pool is not None and bench.pool is not None and pool != bench.pool:
        found.append(
            f"{bench.name} was measured with --pool {bench.pool}, and this plan is for {pool}: service times and "
            f"processor time of another pool are others; measure with --pool {pool}"
        )
    machine = bench.part("machine")
    load, cores = number(machine, "load_average"), number(machine, "cores")
    if load is not None and cores and load > _BUSY * cores:
        found.append(
            f"{bench.name}: the machine was busy with other things (load average {load:.1f} on {cores:g} cores): its "
            "times have waiting for a core in them; measure on a quiet one"
        )
    use = cores_used(bench)
    if use is not None and use > _CROWDED:
        found.append(
            f"{bench.name}: {use:.0%} of the machine's cores were busy: its service times have waiting for a core in "
            "them; measure at a lower rate, or with fewer slots"
        )
    return found


def cores_used(bench: BenchFile) -> float | None:
    """The share of the machine's cores that was busy, whoever kept it so; where the file does not say that, what the
    bench's own roles had of it. None: not measured."""
    phases = bench.content.get("phases")
    busy = [
        number(phase, "cores_busy")
        for phase in (phases if isinstance(phases, list) else [])
        if isinstance(phase, Mapping) and phase.get("kind") == "measure"
    ]
    known = [share for share in busy if share is not None]
    if known:
        return statistics.median(known)
    machine, roles = bench.part("machine"), bench.part("overhead").get("cpu_s_per_1000_tasks")
    cores = number(machine, "quota_cores") or number(machine, "cores")
    rate = bench.median("throughput")
    if not isinstance(roles, Mapping) or not cores or rate is None:
        return None
    return sum(number(roles, role) or 0.0 for role in roles) / 1000 * rate / cores
