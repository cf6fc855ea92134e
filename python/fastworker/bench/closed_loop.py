"""A closed loop's publisher: so many messages are kept waiting, whatever becomes of them."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastworker import _core

if TYPE_CHECKING:
    from fastworker.bench.stage import Stage

#: How often it looks whether the queue wants more.
_TOP_UP_S = 0.005
#: How often the depth is noted.
_NOTE_S = 0.1
#: How long it may take to read everything.
_AWAY_S = 0.1


@dataclass
class ClosedLoop:
    """The publisher of a closed loop.

    Attributes:
        stage: Where.
        rng: Draws the calls.
        confirmed: How long a batch took.
        depth: Over time.
    """

    stage: Stage
    rng: random.Random
    confirmed: _core.Histogram
    depth: list[tuple[float, int]]
    _published: int = 0
    _looks: int = 0
    _dry: int = 0
    _rate: float = 0.0

    @property
    def dry(self) -> float:
        """At which share of the looks the queue was empty."""
        return self._dry / (self._looks or 1)

    def run(self, duration_s: float) -> None:
        """Go on for so long; what was noted of the queue before is forgotten."""
        stage, pacer = self.stage, self.stage.pacers[0]
        wanted = stage.settings.in_flight
        before = self._published
        began, began_us = time.monotonic(), time.time_ns() // 1000
        self.depth.clear()
        self._looks = self._dry = 0
        while (elapsed_s := time.monotonic() - began) < duration_s:
            waiting = pacer.depth(stage.queue)
            self._looks += 1
            self._dry += self._published > 0 and waiting == 0
            if waiting <= wanted // 2:
                self._publish(wanted - waiting)
            if not self.depth or elapsed_s - self.depth[-1][0] >= _NOTE_S:
                stage.look(began_us, None, self.depth)
            time.sleep(_TOP_UP_S)
        if elapsed_s > 0:
            self._rate = (self._published - before) / elapsed_s

    def stock_up(self) -> None:
        """Have as much more waiting as is taken while nobody looks."""
        self._publish(round(self._rate * _AWAY_S))

    def _publish(self, count: int) -> None:
        if count <= 0:
            return
        picks = self.stage.settings.workload.picks(count, self.rng)
        numbers = self.stage.numbers(count)
        self.confirmed.add(self.stage.pacers[0].fill(picks.tobytes(), numbers))
        self._published += count

    def end(self) -> tuple[int, int, int]:
        """Throw away what waits, and wait for the rest; how many messages were for the workers, how many were left,
        and how many of those were over their rate.
        """
        stage = self.stage
        publisher = stage.app.publishing.publisher
        left, held = publisher.depth(stage.queue), publisher.unlane(stage.queue)
        ends = stage.settings.workload.ends
        if ends == 1:  # else calls made by tasks would be thrown away too, and be missed
            self._published -= publisher.purge(stage.queue)
        stage.wait(self._published * ends, time.time_ns() // 1000, stage.settings.duration_s, [])
        return self._published, max(left, held), held
