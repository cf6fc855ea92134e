"""What a bench has measured beside service times, in the words of a plan file.

Each is left out where the file does not have what it is made from.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastworker.plan import erlang
from fastworker.plan.bench_file import BenchFile, number
from fastworker.plan.drift import drift_of
from fastworker.plan.figure import Measured

_US = 1e-6
#: With fewer tasks a server's background work counts as theirs.
_ENOUGH_TASKS = 1000
#: When more of them had to wait, those that had not are too few to be told apart.
_MOST_WAITING = 0.8
#: A parent without children, as in a plan without a bench.
BASE_BYTES = 30e6
#: By the transport of a bench's URL.
_KINDS = {
    **dict.fromkeys(("redis", "rediss", "valkey", "valkeys", "unix", "redis+socket"), "redis"),
    **dict.fromkeys(("amqp", "amqps", "pyamqp"), "rabbitmq"),
}

Figures = dict[str, Measured]


def cpu_share(bench: BenchFile, task: str) -> Measured | None:
    """The part of a task's service time in which it computes: its own, or else that of all tasks together."""
    service, cpu = bench.distribution(task, "service_s"), bench.distribution(task, "cpu_s")
    if service is not None and cpu is not None:
        mean_s = number(service, "mean") or 0.0
        share = (number(cpu, "mean") or 0.0) / mean_s if mean_s > 0 else 0.0
        return Measured(min(1.0, share), f"{bench.name}, by the task's own clock")
    children_s, service_s = bench.cpu_s("children"), _service_s(bench)
    if children_s is None or service_s <= 0:
        return None
    note = f"{bench.name}, of all child processes" + (
        ", all tasks together" if len(bench.tasks) > 1 else ""
    )
    return Measured(min(1.0, children_s * _count(bench) / service_s), note)


def overhead(bench: BenchFile) -> Figures:
    """``start``, ``slot`` and ``cpu``."""
    found = {"start": _start(bench), "slot": _slot(bench), "cpu": _cpu(bench)}
    return {name: value for name, value in found.items() if value is not None}


def node(bench: BenchFile) -> Figures:
    """``slot_memory`` and ``drift``."""
    found = {"slot_memory": _slot_memory(bench), "drift": _drift(bench)}
    return {name: value for name, value in found.items() if value is not None}


def broker(bench: BenchFile, kind: str) -> Figures:
    """``tasks_per_s`` of a Redis, which computes on one core; ``commands`` and ``bytes`` for each task."""
    if _KINDS.get(str(bench.part("broker").get("transport"))) != kind:
        return {}
    found: Figures = {}
    said = bench.part("overhead")
    cpu_s = bench.cpu_s("broker")
    if kind == "redis" and cpu_s and _count(bench) >= _ENOUGH_TASKS:
        note = f"{bench.name}: {cpu_s * 1e6:,.0f} µs of its one core for each task"
        found["tasks_per_s"] = Measured(1 / cpu_s, note)
    commands, bytes_each = (
        number(said, "broker_commands_per_task"),
        said.get("broker_bytes_per_task"),
    )
    if commands is not None:
        found["commands"] = Measured(commands, bench.name)
    ways = (number(bytes_each, "in"), number(bytes_each, "out"))
    if None not in ways:
        found["bytes"] = Measured(sum(way or 0.0 for way in ways), f"{bench.name}, in and out")
    return found


def message_bytes(bench: BenchFile) -> Measured | None:
    """What a message that waits takes up in the broker."""
    found = number(bench.part("overhead"), "broker_memory_per_message_bytes")
    return None if found is None else Measured(found, bench.name)


def largest(all_of_them: Sequence[Figures]) -> Figures:
    """Of several files the figure that asks for more; ``tasks_per_s`` is better when it is higher."""
    found: Figures = {}
    for figures in all_of_them:
        for name, figure in figures.items():
            before = found.get(name)
            sign = -1 if name == "tasks_per_s" else 1
            if before is None or sign * figure.value > sign * before.value:
                found[name] = figure
    return found


def _slot_memory(bench: BenchFile) -> Measured | None:
    """What all processes took up, without a parent's base."""
    slot = number(bench.part("overhead"), "memory_per_slot_bytes")
    if slot is None:
        return None
    note = f"{bench.name}, {bench.slots} slots, without base_memory"
    value = slot - BASE_BYTES * bench.workers / bench.slots
    return Measured(max(0.0, value), note)


def _drift(bench: BenchFile) -> Measured | None:
    """What the repeats' mean service times differ by, beyond chance."""
    repeats = bench.repeats()
    found = drift_of(repeats, bench.scv())
    if found is None:
        return None
    return Measured(found, f"{bench.name}: mean times of {len(repeats)} repeats, beyond chance")


def _start(bench: BenchFile) -> Measured | None:
    """The median wait of those who found a slot free: by Erlang's formula so many had to wait for one, and longer."""
    use = bench.median("utilisation")
    if bench.is_saturated or use is None or use >= 1:
        return None
    waiting = erlang.erlang_c(bench.slots, use * bench.slots)
    waits = bench.merged("wait_s")
    if waiting > _MOST_WAITING or not waits.count:
        return None
    share = (1 - waiting) / 2
    note = f"{bench.name}: p{share * 100:.0f} of the waits; {waiting:.0%} had to wait for a slot"
    return Measured(waits.quantile_us(share) * _US, note)


def _slot(bench: BenchFile) -> Measured | None:
    """What a slot is taken for beyond the service time: seen where each always has a next task, else twice the way to
    it, for the outcome on its way back and the next task on its own."""
    use, count = bench.median("utilisation"), _count(bench)
    if bench.is_saturated and use and count:
        mean_s = _service_s(bench) / count
        return Measured(max(0.0, mean_s * (1 / use - 1)), f"{bench.name}: slots {use:.1%} busy")
    dispatch = bench.merged("dispatch_s")
    if not dispatch.count:
        return None
    return Measured(2 * dispatch.quantile_us(0.25) * _US, f"{bench.name}: twice p25 of dispatch")


def _cpu(bench: BenchFile) -> Measured | None:
    """What a node's processes compute for each task outside of it."""
    parents_s = bench.cpu_s("supervisor", "zygote")
    if parents_s is None:
        return None
    children_s, own_s = bench.cpu_s("children"), _computed_s(bench)
    if children_s is None or own_s is None:
        return Measured(parents_s, f"{bench.name}, without the children's")
    more_s = max(0.0, children_s - own_s / _count(bench))
    return Measured(parents_s + more_s, bench.name)


def _computed_s(bench: BenchFile) -> float | None:
    """What all tasks computed by their own clocks; None: of one it was not measured."""
    total = 0.0
    for task in bench.tasks:
        service, cpu = bench.distribution(task, "service_s"), bench.distribution(task, "cpu_s")
        if service is not None and cpu is None:
            return None
        total += (number(service, "count") or 0.0) * (number(cpu, "mean") or 0.0)
    return total


def _service_s(bench: BenchFile) -> float:
    found = [bench.distribution(task, "service_s") for task in bench.tasks]
    return sum((number(each, "count") or 0.0) * (number(each, "mean") or 0.0) for each in found)


def _count(bench: BenchFile) -> float:
    return sum(number(task, "count") or 0.0 for task in bench.tasks.values())
