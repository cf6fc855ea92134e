"""Where phases of a bench take place: begin recording, publish, wait for the last end, read what was recorded."""

from __future__ import annotations

import os
import random
import threading
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastworker import _core
from fastworker.bench import arrivals, records, result_watch
from fastworker.bench.closed_loop import ClosedLoop
from fastworker.bench.cores import CoreTime, busy_share, core_time
from fastworker.bench.errors import BenchError
from fastworker.bench.fleet import Fleet
from fastworker.bench.machine import quota_cores
from fastworker.bench.phase import Phase, Watch
from fastworker.bench.probe import Figures, Probe
from fastworker.bench.settings import BenchSettings

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker

#: The first arrival is so much later than the order to begin: connections are open by then.
_LEAD_US = 50_000
#: How often is looked at what goes on.
LOOK_S = 0.1
#: Of a ramp's length.
_RAMP_MOST = 1.5
#: Most points of the depth over time.
_DEPTHS = 400
_US = 1e-6


@dataclass(frozen=True)
class _Reading:
    """Everything that is counted, at one moment.

    Attributes:
        answers: Of each worker.
        client_s: CPU seconds of this process.
        figures: Of the broker's server.
        core_time: Of the machine.
        at: Monotonic seconds.
    """

    answers: list[dict[str, Any]]
    client_s: float
    figures: Figures | None
    core_time: CoreTime | None
    at: float


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
        seed: Of the messages' ids.
    """

    app: FastWorker
    settings: BenchSettings
    fleet: Fleet
    pacers: Sequence[_core.Pacer]
    queue: str
    probe: Probe | None
    seed: str
    watch: Watch = lambda _seconds, _published, _ended, _depth: None
    _next: int = field(default=0)

    def play(self, kind: str, repeat: int | None, duration_s: float, rng: random.Random) -> Phase:
        """One phase of the kind of arrivals that the settings say.

        Raises:
            BenchError: A worker has died or does not answer.
            OperationalError: The broker does not take messages.
        """
        if self.settings.arrivals == "closed":
            return self.closed(kind, repeat, duration_s, rng, self.settings.warm_up_s)
        if self.settings.arrivals == "drain":
            share = 1.0 if repeat is not None else 0.1
            return self._drain(kind, repeat, max(1, int(self.settings.messages * share)), rng)
        return self.open(kind, repeat, duration_s, rng, self.settings.rate)

    # ------------------------------------------------------------------------------------------------------ open loop

    def open(
        self, kind: str, repeat: int | None, duration_s: float, rng: random.Random, rate: float
    ) -> Phase:
        """An open loop at so many arrivals a second; recorded ones come when they came.

        Raises: as ``play``.
        """
        offsets = self._offsets(rate, duration_s, rng)
        picks = self.settings.workload.picks(len(offsets), rng)
        first = self.numbers(len(offsets))
        stride = len(self.pacers)
        done: list[tuple[_core.Histogram, _core.Histogram]] = []
        with result_watch.watched(self.app, self._watched(picks, first)) as results:
            before = self._reading("start")
            began_us = time.time_ns() // 1000 + _LEAD_US

            def publish(place: int) -> None:
                mine = slice(place, None, stride)
                share = offsets[mine].tobytes(), picks[mine].tobytes()
                done.append(self.pacers[place].run(*share, began_us, first + place, stride))

            depth = self._publish(publish, began_us)
            backlog = self._backlog(offsets, picks, began_us)
            expected = len(offsets) * self.settings.workload.ends
            self.wait(expected, began_us, duration_s, depth)
        late, confirmed = _core.Histogram(), _core.Histogram()
        for part_late, part_confirmed in done:
            late.add(part_late)
            confirmed.add(part_confirmed)
        phase = self._read(
            kind, repeat, before, self._reading("read"), began_us, len(offsets), confirmed, depth
        )
        phase.late, phase.results, phase.backlog = late, results, backlog
        phase.offered = len(offsets) / (offsets[-1] * _US) if offsets[-1] else None
        phase.rate = None if self.settings.arrivals == "recorded" else rate
        return phase

    def _watched(self, picks: array[int], first: int) -> list[str]:
        """Ids of some of the calls whose results are stored."""
        calls, tasks = self.settings.workload.calls, self.app.tasks
        keeps = [call.task not in tasks or not tasks[call.task].ignore_result for call in calls]
        return [
            _core.stream_ids(self.seed, first + place, 1)[0]
            for place in result_watch.sample(len(picks))
            if keeps[picks[place]]
        ]

    def _backlog(self, offsets: array[int], picks: array[int], began_us: int) -> int:
        """Calls that are due and have not ended, those that tasks make included."""
        ended = records.ends_of(self.fleet.ask("count"))
        workload = self.settings.workload
        delays_us = [round(call.delay_s / _US) for call in workload.calls]
        due = len(offsets)
        if any(delays_us):
            now_us = time.time_ns() // 1000 - began_us
            due = sum(
                offset + delays_us[pick] <= now_us
                for offset, pick in zip(offsets, picks, strict=True)
            )
        return max(0, due * workload.ends - ended)

    def _offsets(self, rate: float, duration_s: float, rng: random.Random) -> array[int]:
        settings = self.settings
        if settings.arrivals == "recorded":
            return arrivals.recorded(settings.workload.times_s or [])
        kind = settings.arrivals if settings.is_open else "poisson"
        return arrivals.moments(kind, rate, duration_s, rng)

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
                threads[0].join(LOOK_S)
                self.look(began_us, None, depth)
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

    def closed(
        self, kind: str, repeat: int | None, duration_s: float, rng: random.Random, ramp_s: float
    ) -> Phase:
        """Keep so many waiting, and see how many end; what is left is thrown away.

        Args:
            kind, repeat: Of the phase.
            duration_s: Of what is measured.
            rng: Where chance comes from.
            ramp_s: Before that, for slots and prefetch to fill; up to half as much again.

        Raises: as ``play``.
        """
        loop = ClosedLoop(self, rng, _core.Histogram(), [])
        self._reading("start")
        # Tasks of one length that began together end together: where in their time the measuring begins is left to
        # chance.
        loop.run(ramp_s * rng.uniform(1.0, _RAMP_MOST))
        loop.stock_up()
        before = self._reading("read")
        began_us = time.time_ns() // 1000
        earlier = records.merged(before.answers)
        loop.run(duration_s)
        loop.stock_up()
        after = self._reading("read")
        published, left, held = loop.end()
        phase = self._read(
            kind, repeat, before, after, began_us, published, loop.confirmed, loop.depth
        )
        in_the_end = records.merged(self.fleet.ask("read"))
        phase.recorded = records.since(phase.recorded, earlier)
        phase.completed = phase.recorded.ends
        phase.lost = max(0, published - in_the_end.distinct)
        phase.duplicated = in_the_end.duplicated
        phase.duration_s = after.at - before.at
        phase.held, phase.left, phase.dry = held, left, loop.dry
        return phase

    def _drain(self, kind: str, repeat: int | None, count: int, rng: random.Random) -> Phase:
        """Fill the queue while it is paused, then see how long it takes to empty it."""
        picks = self.settings.workload.picks(count, rng)
        control = self.app.control
        control.pause_queue(self.queue, reply=True, limit=len(self.fleet.nodes), timeout=5.0)
        confirmed = self.pacers[0].fill(picks.tobytes(), self.numbers(count))
        before = self._reading("start")
        began_us = time.time_ns() // 1000
        control.resume_queue(self.queue)
        depth: list[tuple[float, int]] = []
        self.wait(count * self.settings.workload.ends, began_us, 0.0, depth)
        return self._read(
            kind, repeat, before, self._reading("read"), began_us, count, confirmed, depth
        )

    # ---------------------------------------------------------------------------------------------------------- parts

    def _reading(self, order: str) -> _Reading:
        answers = self.fleet.ask(order)
        figures = None if self.probe is None else self.probe.figures()
        return _Reading(answers, time.process_time(), figures, core_time(), time.monotonic())

    def numbers(self, count: int) -> int:
        """The first of so many numbers that no other message of this run has."""
        first = self._next
        self._next += count
        return first

    def look(self, began_us: int, ended: int | None, depth: list[tuple[float, int]]) -> None:
        """See whether all goes on, and note the depth."""
        self.fleet.check()
        waiting = self.app.publishing.publisher.depth(self.queue)
        elapsed_s = (time.time_ns() // 1000 - began_us) * _US
        depth.append((round(max(0.0, elapsed_s), 3), waiting))
        if len(depth) > 2 * _DEPTHS:
            del depth[1::2]
        self.watch(elapsed_s, sum(pacer.sent for pacer in self.pacers), ended, waiting)

    def wait(
        self, expected: int, began_us: int, duration_s: float, depth: list[tuple[float, int]]
    ) -> None:
        """Until so many have ended, or nothing has for a while."""
        seen, last = -1, time.monotonic()
        patience_s = self.settings.patience_s + duration_s
        while True:
            ended = records.ends_of(self.fleet.ask("count"))
            self.look(began_us, ended, depth)
            if ended >= expected:
                return
            if ended > seen:
                seen, last = ended, time.monotonic()
            elif time.monotonic() - last > patience_s:
                return
            time.sleep(LOOK_S / 2)

    def _read(
        self,
        kind: str,
        repeat: int | None,
        before: _Reading,
        after: _Reading,
        began_us: int,
        published: int,
        confirmed: _core.Histogram,
        depth: list[tuple[float, int]],
    ) -> Phase:
        recorded = records.merged(after.answers)
        if not recorded.last_us:
            raise BenchError(
                f"no task of {published} ended: are the workers consuming the queue {self.queue!r}, and is the task "
                f"registered there?"
            )
        memory = [answer["memory_bytes"] for answer in after.answers]
        client_s = after.client_s - before.client_s
        cores = len(os.sched_getaffinity(0))
        return Phase(
            kind=kind,
            repeat=repeat,
            began_us=began_us,
            duration_s=max(0.0, (recorded.last_us - began_us) * _US),
            rate=None,
            offered=None,
            published=published,
            completed=recorded.ends,
            lost=max(0, published - recorded.distinct),
            duplicated=recorded.duplicated,
            recorded=recorded,
            late=None,
            confirmed=confirmed,
            results=_core.Histogram(),
            depth=depth,
            cpu_s={**records.used(before.answers, after.answers), "client": client_s},
            core_wait_s=records.waited(before.answers, after.answers),
            broker=_between(before.figures, after.figures),
            memory_bytes=None if None in memory else sum(memory),
            nodes=len(after.answers),
            slots=sum(answer["slots"] or 1 for answer in after.answers),
            children=sum(answer["children"] for answer in after.answers),
            cores=max(1, min(cores, round(quota_cores() or cores))),
            cores_busy=busy_share(before.core_time, after.core_time, after.at - before.at),
        )


def _between(before: Figures | None, after: Figures | None) -> Figures | None:
    return None if before is None or after is None else after - before
