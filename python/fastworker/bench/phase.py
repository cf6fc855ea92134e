"""One stretch of a bench: begin recording, publish, wait for the last end, read what was recorded."""

from __future__ import annotations

import random
import threading
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastworker import _core
from fastworker.bench import arrivals, records
from fastworker.bench.errors import BenchError
from fastworker.bench.fleet import Fleet
from fastworker.bench.probe import Figures, RedisProbe
from fastworker.bench.records import Recorded
from fastworker.bench.settings import BenchSettings

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker

#: The first arrival is so much later than the order to begin: connections are open by then.
_LEAD_US = 50_000
#: How often is looked at what goes on.
_LOOK_S = 0.1
#: How often a closed loop looks whether the queue wants more.
_TOP_UP_S = 0.005
#: Most points of the depth over time.
_DEPTHS = 400
_US = 1e-6

#: Gets (seconds, published, ended, depth) while a phase goes on; None: not known.
Watch = Callable[[float, int, int | None, int], None]


@dataclass
class Phase:
    """What a phase has shown.

    Attributes:
        kind: ``warm_up`` or ``measure``.
        repeat: From 0; None: warm-up.
        began_us: The first possible arrival; Unix time.
        duration_s: Until the last end; of a closed loop until it was read.
        offered: Arrivals a second that were asked for.
        published: Messages that the broker has taken.
        completed: Calls that ended, those made by tasks included.
        lost: Messages that did not end in time.
        recorded: By the workers.
        late: How late messages were handed to the connection; of open loops.
        confirmed: How long after their moment the broker had them.
        depth: ``(seconds, messages waiting)``.
        cpu_s: By role.
        figures: The server's counters, before and after.
        memory_bytes: Of all workers, at the end; None: not told.
        slots: Of all workers.
    """

    kind: str
    repeat: int | None
    began_us: int
    duration_s: float
    offered: float | None
    published: int
    completed: int
    lost: int
    recorded: Recorded
    late: _core.Histogram | None
    confirmed: _core.Histogram
    depth: list[tuple[float, int]]
    cpu_s: dict[str, float]
    figures: tuple[Figures, Figures] | None
    memory_bytes: int | None
    slots: int

    @property
    def throughput(self) -> float:
        """Ends a second."""
        return self.completed / self.duration_s if self.duration_s else 0.0

    @property
    def utilisation(self) -> float:
        """Share of the slots' time that was spent in tasks."""
        service = self.recorded.stage("service")
        return service.mean_us * _US * service.count / (self.duration_s * self.slots or 1)


@dataclass
class Stage:
    """Where phases take place.

    Attributes:
        app: Whose broker.
        settings: What to do.
        fleet: By whom it is done.
        pacers: Publishers.
        queue: Where messages go.
        probe: Of the server, if it can be asked.
    """

    app: FastWorker
    settings: BenchSettings
    fleet: Fleet
    pacers: Sequence[_core.Pacer]
    queue: str
    probe: RedisProbe | None
    watch: Watch = lambda _seconds, _published, _ended, _depth: None
    _next: int = field(default=0)

    def play(self, kind: str, repeat: int | None, duration_s: float, rng: random.Random) -> Phase:
        """One phase of the kind of arrivals that the settings say.

        Raises:
            BenchError: A worker has died or does not answer.
            OperationalError: The broker does not take messages.
        """
        if self.settings.arrivals == "closed":
            return self._closed(kind, repeat, duration_s, rng)
        if self.settings.arrivals == "drain":
            share = 1.0 if repeat is not None else 0.1
            return self._drain(kind, repeat, max(1, int(self.settings.messages * share)), rng)
        return self._open(kind, repeat, duration_s, rng)

    # ------------------------------------------------------------------------------------------------------ open loop

    def _open(self, kind: str, repeat: int | None, duration_s: float, rng: random.Random) -> Phase:
        offsets = self._offsets(duration_s, rng)
        picks = self.settings.workload.picks(len(offsets), rng)
        before = self._begin()
        first = self._numbers(len(offsets))
        began_us = time.time_ns() // 1000 + _LEAD_US
        stride = len(self.pacers)
        done: list[tuple[_core.Histogram, _core.Histogram]] = []

        def publish(place: int) -> None:
            mine = slice(place, None, stride)
            share = offsets[mine].tobytes(), picks[mine].tobytes()
            done.append(self.pacers[place].run(*share, began_us, first + place, stride))

        depth = self._publish(publish, began_us)
        late, confirmed = _core.Histogram(), _core.Histogram()
        for part_late, part_confirmed in done:
            late.add(part_late)
            confirmed.add(part_confirmed)
        expected = len(offsets) * self.settings.workload.ends
        self._wait(expected, began_us, duration_s, depth)
        offered = len(offsets) / (offsets[-1] * _US) if offsets[-1] else None
        return self._read(
            kind, repeat, before, began_us, len(offsets), confirmed, depth, late, offered
        )

    def _offsets(self, duration_s: float, rng: random.Random) -> array[int]:
        settings = self.settings
        if settings.arrivals == "recorded":
            return arrivals.recorded(settings.workload.times_s or [])
        return arrivals.moments(settings.arrivals, settings.rate, duration_s, rng)

    def _publish(self, publish: Callable[[int], None], began_us: int) -> list[tuple[float, int]]:
        """Have all pacers publish, and look at the queue meanwhile."""
        failures: list[BaseException] = []

        def run(place: int) -> None:
            try:
                publish(place)
            except BaseException as exc:
                failures.append(exc)

        threads = [
            threading.Thread(target=run, args=(place,), daemon=True, name=f"bench-pacer-{place}")
            for place in range(len(self.pacers))
        ]
        depth: list[tuple[float, int]] = []
        for thread in threads:
            thread.start()
        try:
            while any(thread.is_alive() for thread in threads):
                threads[0].join(_LOOK_S)
                self._look(began_us, None, depth)
        finally:
            if any(thread.is_alive() for thread in threads):  # Ctrl-C, or a worker has died
                for pacer in self.pacers:
                    pacer.stop()
            for thread in threads:
                thread.join()
        if failures:
            raise failures[0]
        return depth

    # ---------------------------------------------------------------------------------------------- closed loop, drain

    def _closed(
        self, kind: str, repeat: int | None, duration_s: float, rng: random.Random
    ) -> Phase:
        """Keep so many waiting, and see how many end; what is left is thrown away."""
        pacer, confirmed, wanted = self.pacers[0], _core.Histogram(), self.settings.in_flight
        before = self._begin()
        began = time.monotonic()
        began_us = time.time_ns() // 1000
        published, depth = 0, list[tuple[float, int]]()
        while (elapsed_s := time.monotonic() - began) < duration_s:
            waiting = pacer.depth(self.queue)
            if waiting <= wanted // 2:
                missing = wanted - waiting
                picks = self.settings.workload.picks(missing, rng)
                confirmed.add(pacer.fill(picks.tobytes(), self._numbers(missing)))
                published += missing
            if not depth or elapsed_s - depth[-1][0] >= _LOOK_S:
                self._look(began_us, None, depth)
            time.sleep(_TOP_UP_S)
        ended = records.ends_of(self.fleet.ask("count"))
        measured_s = time.monotonic() - began
        published -= self.app.publishing.publisher.purge(self.queue)
        self._wait(published * self.settings.workload.ends, began_us, duration_s, depth)
        phase = self._read(kind, repeat, before, began_us, published, confirmed, depth, None, None)
        phase.completed, phase.duration_s = ended, measured_s
        return phase

    def _drain(self, kind: str, repeat: int | None, count: int, rng: random.Random) -> Phase:
        """Fill the queue while it is paused, then see how long it takes to empty it."""
        picks = self.settings.workload.picks(count, rng)
        control = self.app.control
        control.pause_queue(self.queue, reply=True, limit=len(self.fleet.nodes), timeout=5.0)
        confirmed = self.pacers[0].fill(picks.tobytes(), self._numbers(count))
        before = self._begin()
        began_us = time.time_ns() // 1000
        control.resume_queue(self.queue)
        depth: list[tuple[float, int]] = []
        self._wait(count * self.settings.workload.ends, began_us, 0.0, depth)
        return self._read(kind, repeat, before, began_us, count, confirmed, depth, None, None)

    # ---------------------------------------------------------------------------------------------------------- parts

    def _begin(self) -> tuple[list[dict[str, Any]], float, Figures | None]:
        answers = self.fleet.ask("start")
        figures = None if self.probe is None else self.probe.figures()
        return answers, time.process_time(), figures

    def _numbers(self, count: int) -> int:
        """The first of so many numbers that no other message of this run has."""
        first = self._next
        self._next += count
        return first

    def _look(self, began_us: int, ended: int | None, depth: list[tuple[float, int]]) -> None:
        self.fleet.check()
        waiting = self.app.publishing.publisher.depth(self.queue)
        elapsed_s = (time.time_ns() // 1000 - began_us) * _US
        depth.append((round(max(0.0, elapsed_s), 3), waiting))
        if len(depth) > 2 * _DEPTHS:
            del depth[1::2]
        self.watch(elapsed_s, sum(pacer.sent for pacer in self.pacers), ended, waiting)

    def _wait(
        self, expected: int, began_us: int, duration_s: float, depth: list[tuple[float, int]]
    ) -> None:
        """Until so many have ended, or nothing has for a while."""
        seen, last = -1, time.monotonic()
        patience_s = self.settings.patience_s + duration_s
        while True:
            ended = records.ends_of(self.fleet.ask("count"))
            self._look(began_us, ended, depth)
            if ended >= expected:
                return
            if ended > seen:
                seen, last = ended, time.monotonic()
            elif time.monotonic() - last > patience_s:
                return
            time.sleep(_LOOK_S / 2)

    def _read(
        self,
        kind: str,
        repeat: int | None,
        before: tuple[list[dict[str, Any]], float, Figures | None],
        began_us: int,
        published: int,
        confirmed: _core.Histogram,
        depth: list[tuple[float, int]],
        late: _core.Histogram | None,
        offered: float | None,
    ) -> Phase:
        client_s = time.process_time() - before[1]
        figures = None
        if self.probe is not None and before[2] is not None:
            figures = before[2], self.probe.figures()
        answers = self.fleet.ask("read")
        recorded = records.merged(answers)
        if not recorded.last_us:
            raise BenchError(
                f"no task of {published} ended: are the workers consuming the queue {self.queue!r}, and is the task "
                f"registered there?"
            )
        memory = [answer["memory_bytes"] for answer in answers]
        return Phase(
            kind=kind,
            repeat=repeat,
            began_us=began_us,
            duration_s=max(0.0, (recorded.last_us - began_us) * _US),
            offered=offered,
            published=published,
            completed=recorded.ends,
            lost=max(0, published - recorded.distinct),
            recorded=recorded,
            late=late,
            confirmed=confirmed,
            depth=depth,
            cpu_s={**records.used(before[0], answers), "client": client_s},
            figures=figures,
            memory_bytes=None if None in memory else sum(memory),
            slots=sum(answer["slots"] or 1 for answer in answers),
        )
