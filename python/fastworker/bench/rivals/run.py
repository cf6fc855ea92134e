"""The order of events: systems take turns in rounds, each alone, fresh, with its own broker; what fails is kept as
such.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fastworker import _core
from fastworker.bench.errors import BenchError
from fastworker.bench.machine import fingerprint
from fastworker.bench.rivals import environments as installed
from fastworker.bench.rivals import postgres, servers
from fastworker.bench.rivals.catalogue import FASTWORKER
from fastworker.bench.rivals.environments import Environments
from fastworker.bench.rivals.report import Report, System
from fastworker.bench.rivals.rival import Rival, Setting
from fastworker.bench.rivals.settings import RivalsSettings, conditions
from fastworker.bench.rivals.stage import Stage, open_stage
from fastworker.bench.rivals.workloads import RivalWorkload

#: Trials grow until one takes so long, or is a good part of what is asked for; they warm the worker up, too.
_TRIAL_S = 0.3
_FIRST_TRIAL = 100
_GROWTH = 4
#: Rivals between two turns of fastworker.
_BESIDE = 3
#: A worker this much quicker than the rate can be asked for its waits at it.
_HEADROOM = 1.2


def run(
    settings: RivalsSettings, environments: Environments, say: Callable[[str], None]
) -> dict[str, Any]:
    """Install, measure, and give the content of the file.

    Args:
        settings: What to do.
        environments: Where the systems are installed.
        say: Told what happens, line by line.

    Raises:
        BenchError: fastworker itself cannot be measured here, or this is not Linux.
    """
    if not os.path.exists("/proc/self/smaps_rollup"):
        raise BenchError("bench rivals: it needs Linux (4.14 or newer), whose /proc it reads")
    report = Report(
        fastworker=_core.__version__,
        command=list(settings.command),
        conditions=conditions(settings),
        workloads={one.name: one.what for one in settings.workloads},
    )
    suited = [one for one in settings.rivals if _suits(one, settings.workloads)]
    systems = [one for one in suited if _is_there(one, environments, report, say)]
    if not _is_there(FASTWORKER, environments, report, say):
        raise BenchError(report.left_out[FASTWORKER.name])
    report.machine = fingerprint()  # the load that there is when measuring begins
    bench = _Bench(settings, environments, report, say)
    for number, system in rounds(systems, settings.rounds):
        bench.perform(system, number)
    if not any(sample.system == FASTWORKER.name for sample in report.samples):
        raise BenchError(f"fastworker was not measured: {report.failures[-1].reason}")
    return report.content()


def rounds(rivals: Sequence[Rival], count: int) -> Iterator[tuple[int, Rival]]:
    """A B C, B C A, C A B …, and fastworker after every three of them: nobody always goes first, and each has a
    sample of fastworker near to it.
    """
    for number in range(count):
        turn = number % max(1, len(rivals))
        turned = [*rivals[turn:], *rivals[:turn]]
        for start in range(0, max(1, len(turned)), _BESIDE):
            yield from ((number, one) for one in turned[start : start + _BESIDE])
            yield number, FASTWORKER


def _suits(rival: Rival, workloads: Sequence[RivalWorkload]) -> bool:
    """Whether it has settings for one of them."""
    return any(one.load in rival.settings for one in workloads)


def _is_there(
    rival: Rival, environments: Environments, report: Report, say: Callable[[str], None]
) -> bool:
    """Whether it can be run here; the report has its versions, or the reason."""
    try:
        programs = environments.programs(rival)
        is_redis = rival.broker == "redis"
        broker = servers.redis_version() if is_redis else postgres.version()
    except BenchError as reason:
        report.left_out[rival.name] = str(reason)
        say(f"left out: {rival.name}: {reason}")
        return False
    found = installed.versions(programs)
    report.systems[rival.name] = System(
        project=rival.project,
        version=_core.__version__ if rival.is_ours else found[rival.distribution],
        python=found["python"],
        broker=broker,
        guarantee=rival.guarantee,
    )
    return True


class _Bench:
    """One run under way."""

    def __init__(
        self,
        settings: RivalsSettings,
        environments: Environments,
        report: Report,
        say: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._environments = environments
        self._report = report
        self._say = say
        self._counts: dict[tuple[str, str], int] = {}

    def perform(self, system: Rival, number: int) -> None:
        """One round of one system: all workloads, in as few workers as their settings allow."""
        groups: list[tuple[Setting, list[RivalWorkload]]] = []
        for workload in self._settings.workloads:
            if self._report.has_failed(system.name, workload.name):
                continue
            setting = system.settings.get(workload.load)
            if setting is None:
                if workload.load in system.refuses:
                    self._report.note(
                        f"{system.name}: no {workload.name}: {system.refuses[workload.load]}"
                    )
                continue
            same = next((found for found in groups if found[0] == setting), None)
            if same is None:
                groups.append((setting, [workload]))
            else:
                same[1].append(workload)
        for setting, workloads in groups:
            self._report.systems[system.name].commands.setdefault(
                setting.command, [one.name for one in workloads]
            )
            while workloads:
                self._with_worker(system, setting, workloads, number)

    def _with_worker(
        self, system: Rival, setting: Setting, workloads: list[RivalWorkload], number: int
    ) -> None:
        """Measures with one worker until ``workloads`` is empty, or one fails; what was tried is taken out of it."""
        now = workloads[0]
        try:
            with open_stage(
                system, setting, self._environments, self._settings.timeout_s, now.module
            ) as stage:
                stage.warm_up(now.task, now.rest, _FIRST_TRIAL)
                while workloads:
                    now = workloads[0]
                    metrics = self._measure(stage, now)
                    workloads.pop(0)
                    self._report.add(number, system.name, now.name, metrics)
                    self._tell(number, system, now, metrics)
            if stage.worker.was_killed:
                self._report.note(f"{system.name}: did not stop within 15 s of SIGTERM; killed")
        except BenchError as reason:
            if now in workloads:
                workloads.remove(now)
            self._report.fail(system.name, now.name, number, str(reason))
            self._say(f"round {number + 1}  {system.name:<16} {now.name:<9} FAILED: {reason}")

    def _measure(self, stage: Stage, workload: RivalWorkload) -> dict[str, float]:
        settings = self._settings
        count = self._count(stage, workload)
        metrics = stage.drain(workload.task, workload.rest, count)
        if settings.rate and workload is settings.workloads[0]:
            if metrics["tasks_per_s"] < settings.rate * _HEADROOM:
                self._report.note(
                    f"{stage.rival.name}: too slow for {settings.rate:g} {workload.name} tasks a second, so no waits"
                )
            else:
                waits = stage.pace(workload.task, workload.rest, settings.rate, settings.pace_s)
                metrics.update(waits)
        return metrics

    def _count(self, stage: Stage, workload: RivalWorkload) -> int:
        """How many calls a drain has; by trial, once."""
        key = (stage.rival.name, workload.name)
        settings = self._settings
        if key not in self._counts:
            trial = min(_FIRST_TRIAL, settings.tasks)
            while True:
                rate = stage.drain(workload.task, workload.rest, trial)["tasks_per_s"]
                if trial / rate > _TRIAL_S or trial * _GROWTH > settings.tasks:
                    break
                trial *= _GROWTH
            fitting = int(rate * settings.drain_s)
            self._counts[key] = max(min(_FIRST_TRIAL, settings.tasks), min(settings.tasks, fitting))
        else:
            stage.warm_up(workload.task, workload.rest, min(self._counts[key] // 4 + 1, 2_000))
        return self._counts[key]

    def _tell(
        self, number: int, system: Rival, workload: RivalWorkload, metrics: dict[str, float]
    ) -> None:
        shown = (
            ("tasks_per_s", "{:,.0f} tasks/s"),
            ("worker_cpu_us", "{:,.0f} µs CPU"),
            ("publish_per_s", "publishes {:,.0f}/s"),
            ("memory_mb", "{:,.0f} MB"),
            ("wait_p50_ms", "waits {:.1f} ms"),
        )
        parts = [form.format(metrics[name]) for name, form in shown if name in metrics]
        self._say(
            f"round {number + 1}  {system.name:<16} {workload.name:<9} {metrics['tasks']:>7,.0f} tasks  "
            + "  ".join(parts)
        )
