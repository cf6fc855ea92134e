"""A plan from a running fleet: what its workers have kept of their tasks, put together.

Every worker keeps arrivals by second and by hour and histograms of run times for each task
(``rust/worker/src/sketch``), and tells them when asked (``inspect workload``). Those of several nodes add up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastworker import _core
from fastworker.errors import ImproperlyConfigured
from fastworker.plan.arrivals import HOURS, Arrivals
from fastworker.plan.bench_figures import BASE_BYTES
from fastworker.plan.counted_arrivals import Span, burstiness, by_hour, rate
from fastworker.plan.distributions import Empirical
from fastworker.plan.figure import Measured, Origin
from fastworker.plan.node_workload import NodeWorkload, TaskWorkload
from fastworker.plan.service_times import ServiceTimes

#: An answer is some 10 KB a task.
_ANSWER_S = 5.0
_US = 1e-6
#: Nodes that began within this part of their span have counted the same time.
_EVEN = 0.02
#: Slots that were as busy as this have kept tasks waiting at the broker, where nobody counts them.
_ALWAYS_BUSY = 0.9
#: A shorter time says little of a rate.
_LITTLE_S = 60.0
#: With fewer tasks what a supervisor does besides counts as theirs.
_ENOUGH_TASKS = 1000


class Fleet:
    """What a fleet has kept.

    Args:
        nodes: At least one.
        warnings: Which nodes are not among them, and why.

    Raises:
        ImproperlyConfigured: No task came.
    """

    def __init__(self, nodes: Sequence[NodeWorkload], warnings: Sequence[str] = ()) -> None:
        self.nodes = tuple(nodes)
        self.span = _span_of(nodes)
        tasks: dict[str, list[TaskWorkload]] = {}
        for node in nodes:
            for lane in node.lanes:
                for name, task in lane.tasks.items():
                    tasks.setdefault(name, []).append(task)
        self._arrivals = {name: self._arrivals_of(parts) for name, parts in sorted(tasks.items())}
        self._tasks = {
            name: tasks[name]
            for name, arrivals in self._arrivals.items()
            if arrivals.rate > 0 and any(part.runs.count for part in tasks[name])
        }
        if not self._tasks:
            raise ImproperlyConfigured(
                f"--live: no task both came and ended within the {self.span.length_s:.0f} s that all of the "
                f"{len(nodes)} nodes ran: is there work? --watch 60s counts what comes from now on"
            )
        self._all_runs = {
            name: _added([part.runs for part in parts]) for name, parts in self._tasks.items()
        }
        self.warnings = (*warnings, *self._doubts())

    # ------------------------------------------------------------------------------------------------ what is planned

    def classes(self) -> list[dict[str, Any]]:
        """The classes of a plan file's document, with arrivals and times already read."""
        return [self._class(name, parts) for name, parts in self._tasks.items()]

    def node(self) -> dict[str, Measured]:
        """``slots``, ``cores`` and ``slot_memory`` of its nodes, where they are alike."""
        found = {}
        for key, values in (
            ("slots", {float(node.slots) for node in self.nodes}),
            ("cores", {node.cores for node in self.nodes}),
        ):
            if len(values) == 1:
                found[key] = Measured(values.pop(), f"--live, {self._of_nodes}")
        taken = [node.memory_bytes for node in self.nodes if node.memory_bytes is not None]
        if len(taken) == len(self.nodes):
            slots = sum(node.slots for node in self.nodes)
            value = max(0.0, (sum(taken) - BASE_BYTES * len(taken)) / slots)
            found["slot_memory"] = Measured(value, f"--live, {self._of_nodes}, without base_memory")
        return found

    def overhead(self) -> dict[str, Measured]:
        """``cpu``: what supervisors compute for a task, where that is apart from the tasks' own."""
        tasks = sum(runs.count for runs in self._all_runs.values())
        if tasks < _ENOUGH_TASKS or any(not node.cpu_s.get("children") for node in self.nodes):
            return {}
        used_s = sum(node.cpu_s["supervisor"] + node.cpu_s["zygote"] for node in self.nodes)
        return {"cpu": Measured(used_s / tasks, f"--live, {tasks:,} tasks, starting included")}

    # ----------------------------------------------------------------------------------------------------- the parts

    @property
    def _of_nodes(self) -> str:
        return f"{len(self.nodes)} node{'s' if len(self.nodes) > 1 else ''}"

    def _class(self, name: str, parts: Sequence[TaskWorkload]) -> dict[str, Any]:
        runs, waits = self._all_runs[name], _added([part.waits for part in parts])
        times = Empirical([(middle * _US, float(count)) for middle, count in runs.buckets()])
        note = f"--live, {runs.count:,} tasks of {self._of_nodes}"
        given: dict[str, Any] = {
            "task": name,
            "arrivals": self._arrivals[name],
            "service": ServiceTimes(times, Origin.MEASURED, note),
            "waited": Measured(
                waits.quantile_us(0.95) * _US, "--live, p95, for a slot, without the broker"
            ),
        }
        share = self._cpu_share(parts)
        return given if share is None else {**given, "cpu_share": share}

    def _arrivals_of(self, parts: Sequence[TaskWorkload]) -> Arrivals:
        hours = by_hour(parts, self.span)
        scv = burstiness(parts, self.span)
        if not hours:
            return Arrivals(rate(parts, self.span), scv=scv)
        mean = sum(hours.values()) / len(hours)
        shape = tuple(hours.get(hour, mean) for hour in range(HOURS))
        return Arrivals(sum(shape) / HOURS, shape, scv, known_hours=len(hours))

    def _cpu_share(self, parts: Sequence[TaskWorkload]) -> Measured | None:
        run_us = sum(part.cpu_run_us for part in parts)
        if run_us > 0:
            share = sum(part.cpu_us for part in parts) / run_us
            return Measured(min(1.0, share), "--live, by the tasks' own clocks")
        children_s = sum(node.cpu_s.get("children", 0.0) for node in self.nodes)
        run_s = self._busy_s()
        if children_s <= 0 or run_s <= 0:
            return None
        return Measured(
            min(1.0, children_s / run_s), "--live, of all child processes, all tasks together"
        )

    def _busy_s(self) -> float:
        return sum(runs.mean_us * runs.count for runs in self._all_runs.values()) * _US

    def _doubts(self) -> list[str]:
        found = []
        if self.span.length_s < _LITTLE_S:
            found.append(
                f"--live: the youngest node runs for {self.span.length_s:.0f} s: rates of so short a time say little"
            )
        known_s = sum(
            node.slots * max(lane.now - lane.began for lane in node.lanes) for node in self.nodes
        )
        busy = self._busy_s() / known_s if known_s > 0 else 0.0
        if busy > _ALWAYS_BUSY:
            found.append(
                f"--live: {busy:.0%} of the slots were busy all the time: more may have come than was fetched; look at "
                "the length of the queues, and say the rate in a plan file"
            )
        for what, values in (
            ("versions", {node.version for node in self.nodes} | {_core.__version__}),
            ("pools", {node.pool for node in self.nodes}),
        ):
            if len(values) > 1:
                found.append(
                    f"--live: different {what} ({', '.join(sorted(values))}): their times are put together all the same"
                )
        return found


def _added(histograms: Sequence[_core.Histogram]) -> _core.Histogram:
    """All of them, at the middles of their buckets: one that was decoded does not grow, and ours are finer."""
    whole = _core.Histogram()
    for histogram in histograms:
        for middle_us, count in histogram.buckets():
            whole.record(middle_us, count)
    return whole


def _span_of(nodes: Sequence[NodeWorkload]) -> Span:
    began = [lane.began for node in nodes for lane in node.lanes]
    until = min(lane.now for node in nodes for lane in node.lanes)
    since = max(began)
    return Span(since, until, since - min(began) <= _EVEN * (until - since))


def completed(document: Mapping[str, Any], fleet: Fleet) -> dict[str, Any]:
    """A plan file's content, with what a fleet has measured where it does not say it."""
    made = {**document, "class": merged(document.get("class", []), fleet.classes())}
    for name, figures in (("node", fleet.node()), ("overhead", fleet.overhead())):
        given = document.get(name, {})
        made[name] = {**figures, **given} if isinstance(given, Mapping) else given
    return made


def merged(given: list[Any], heard: list[dict[str, Any]]) -> list[Any]:
    """The classes of a plan file, with what was heard where they do not say it; then the others that were heard."""
    by_task = {each["task"]: each for each in heard}
    classes: list[Any] = []
    for each in given:
        found = by_task.pop(each.get("task"), None) if isinstance(each, Mapping) else None
        if found is None:
            classes.append(each)
            continue
        if {"rate", "per_day", "recorded"} & set(each):
            del found["arrivals"]
        classes.append({**found, **each})
    return classes + list(by_task.values())


def ask(app: Any, watch_s: float | None, say: Callable[[str], None]) -> Fleet:
    """What an application's workers have kept.

    Args:
        app: The application.
        watch_s: Only what comes within so many seconds from now. None: all since they started.
        say: Told that it waits.

    Raises:
        OperationalError: The broker cannot be reached.
        ImproperlyConfigured: No worker answers, or no task came.
    """
    nodes, warnings = _answers(app)
    if watch_s is None:
        return Fleet(nodes, warnings)
    say(f"watching {len(nodes)} workers for {watch_s:g} s")
    time.sleep(watch_s)
    before = {node.name: node for node in nodes}
    later, warnings = _answers(app)
    kept = []
    for node in later:
        grown = node.since(before[node.name]) if node.name in before else None
        if grown is None:
            warnings.append(f"--live: {node.name} was started meanwhile, and is left out")
        else:
            kept.append(grown)
    if not kept:
        raise ImproperlyConfigured("--live: no worker ran all the time that was watched")
    return Fleet(kept, warnings)


def _answers(app: Any) -> tuple[list[NodeWorkload], list[str]]:
    replies = app.control.broadcast("workload", reply=True, timeout=_ANSWER_S) or []
    answers = {name: answer for reply in replies for name, answer in reply.items()}
    nodes, warnings = [], []
    for name, answer in sorted(answers.items()):
        if "error" in answer:
            warnings.append(
                f"--live: {name} keeps nothing of its tasks ({answer['error']}), and is left out: expected a "
                "fastworker of this version"
            )
        else:
            nodes.append(NodeWorkload.of(name, answer))
    if not nodes:
        raise ImproperlyConfigured(
            "; ".join(
                ["--live: no worker tells of its tasks; is one running, at this broker?", *warnings]
            )
        )
    return nodes, warnings
