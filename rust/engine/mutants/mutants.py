"""Engines that are broken on purpose, one change each. `make mutants` shows that each is caught.

A mutant is a text that occurs exactly once in a file of ``rust/engine/src``, and what to put in its
place. When the engine changes, so does the text here: ``tests/unit/test_mutants.py`` says which.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One broken engine.

    Attributes:
        name: What it does wrong.
        file: Below ``rust/engine/src``.
        old: Occurs exactly once there.
        new: Stands there instead.
    """

    name: str
    file: str
    old: str
    new: str


MUTANTS = [
    Mutant(
        "acknowledges late tasks before they ran",
        "dispatch.rs",
        "!held.is_acked && !self.config.tasks[task].acks_late",
        "!held.is_acked",
    ),
    Mutant(
        "runs early tasks before the acknowledgement",
        "dispatch.rs",
        "!held.is_acked && !self.config.tasks[task].acks_late",
        "false",
    ),
    Mutant(
        "acknowledges any number of tasks early",
        "early.rs",
        "        self.waits_since_us.is_none() && self.has_places(1)\n",
        "        true\n",
    ),
    Mutant(
        "lets free places for early tasks wait for a slow one",
        "early.rs",
        "now.mono_us.saturating_sub(since_us) < PATIENCE_US",
        "true",
    ),
    Mutant(
        "forgets that free places for early tasks wait",
        "engine.rs",
        "            .chain(self.early.due_us())\n",
        "",
    ),
    Mutant(
        "forgets a recall: dispatches while it is out",
        "child.rs",
        "            && !self.is_recalling\n            && self.reserved_for",
        "            && self.reserved_for",
    ),
    Mutant(
        "recalls twice at once",
        "recall.rs",
        "if child.phase == Phase::Ready && !child.is_recalling {",
        "if child.phase == Phase::Ready {",
    ),
    Mutant(
        "never recalls from behind a slow task",
        "recall.rs",
        "if now.mono_us.saturating_sub(since_us) >= patience_us {",
        "if now.mono_us.saturating_sub(since_us) >= patience_us * 1_000_000 {",
    ),
    Mutant(
        "counts prefetched tasks as attempts",
        "death.rs",
        "            if is_started {\n",
        "            if is_started || !is_started {\n",
    ),
    Mutant(
        "takes a started task for an unstarted one",
        "death.rs",
        "            if is_started {\n",
        "            if is_started && self.phase != Phase::Running {\n",
    ),
    Mutant(
        "counts no attempt of a task that died",
        "death.rs",
        "        held.attempts = held.attempts.max(1);\n",
        "",
    ),
    Mutant(
        "runs a redelivery without counting it",
        "dispatch.rs",
        "held.runs_alone && !held.is_recorded && !held.is_acked",
        "held.runs_alone && held.is_lost && !held.is_recorded && !held.is_acked",
    ),
    Mutant(
        "does not notice one attempt too many",
        "attempts.rs",
        "if most > 0 && attempt > most {",
        "if most > 0 && attempt > most + 1 {",
    ),
    Mutant(
        "lets a task that kills go on for ever",
        "death.rs",
        "let has_attempts_left = most == 0 || attempts < most;",
        "let has_attempts_left = most == 0 || attempts < most + 2;",
    ),
    Mutant(
        "runs a redelivery beside others",
        "dispatch.rs",
        "child.slots == 1 && (held.runs_alone || is_batch || self.windows[task].is_slow());",
        "child.slots == 1 && (is_batch || self.windows[task].is_slow());",
    ),
    Mutant(
        "does not release a reserved child",
        "attempts.rs",
        "            self.fleet.at(index).reserved_for = None;\n            self.fleet.refresh(index);\n"
        "        }\n    }\n\n    /// No child",
        "        let _ = index;\n        }\n    }\n\n    /// No child",
    ),
    Mutant(
        "keeps children reserved while the broker is away",
        "engine.rs",
        "        self.is_broker_up = false;\n        self.release_reserved_children();\n",
        "        self.is_broker_up = false;\n",
    ),
    Mutant(
        "puts what comes back at the end of the line",
        "gather.rs",
        "self.ready.put_back(priority, queue, handle, is_before);",
        "self.ready.push_back(priority, queue, handle);",
    ),
    Mutant(
        "turns the order of what was acknowledged early round",
        "gather.rs",
        "|other| self.requests.get(other).is_some_and(|other| other.order < order);",
        "|other| self.requests.get(other).is_some_and(|other| other.order == 0);",
    ),
    Mutant(
        "returns the first in line first, so that the order turns round",
        "give_back.rs",
        "        for handle in returned {\n",
        "        for handle in returned.into_iter().rev() {\n",
    ),
    Mutant(
        "keeps what it cannot start",
        "give_back.rs",
        "surplus == 0 || held.is_acked || waited_us < after_us",
        "surplus == 0 || held.is_acked || waited_us < after_us * 1_000_000",
    ),
    Mutant(
        "keeps what a child that leaves has slots for",
        "child.rs",
        "self.free_slots() > 0 && !self.is_leaving() {",
        "self.free_slots() > 0 {",
    ),
    Mutant(
        "lets a child that leaves count beside one that stays",
        "fleet.rs",
        "!leaves_room || child.is_staying()",
        "!leaves_room || !child.is_cell",
    ),
    Mutant(
        "ignores that the leases are at risk",
        "recall.rs",
        "        self.is_lease_safe = false;\n",
        "",
    ),
    Mutant(
        "does not recall when the leases are at risk",
        "recall.rs",
        "        self.is_lease_safe = false;\n        self.recall_all(actions);\n",
        "        self.is_lease_safe = false;\n        let _ = actions;\n",
    ),
    Mutant(
        "fetches while the broker is away",
        "prefetch.rs",
        "            || !self.is_broker_up\n            || !self.is_lease_safe\n",
        "            || !self.is_lease_safe\n",
    ),
    Mutant(
        "fetches twice at once",
        "prefetch.rs",
        "        if self.prefetch.is_fetching()\n            || !may_have_more",
        "        if !may_have_more",
    ),
    Mutant(
        "fetches beyond its prefetch",
        "prefetch.rs",
        "self.most().saturating_sub(held).min(",
        "self.most().min(",
    ),
    Mutant(
        "forgets a wake-up that comes during a fetch",
        "prefetch.rs",
        "        self.may_have_more |= !is_all;",
        "        self.may_have_more = !is_all;",
    ),
    Mutant(
        "takes a short answer for all although it left some",
        "prefetch.rs",
        "count < asked.max as usize && !leaves_some;",
        "count < asked.max as usize;",
    ),
    Mutant(
        "asks again at once who had nothing for it",
        "prefetch.rs",
        "std::mem::take(&mut self.leaves_some) && count > 0;",
        "std::mem::take(&mut self.leaves_some);",
    ),
    Mutant(
        "gives children as much as they like when it has waited for long",
        "dispatch.rs",
        ".clamp(WINDOW_US, LONGEST_WINDOW_US);",
        ".max(WINDOW_US);",
    ),
    Mutant(
        "never tries a failed fetch again",
        "prefetch.rs",
        "            self.retry_at_us = None;\n            self.may_have_more = true;\n",
        "            self.retry_at_us = None;\n",
    ),
    Mutant(
        "settles twice",
        "settle.rs",
        "        actions.push(Action::Settle { handle, ending });\n",
        "        actions.push(Action::Settle { handle, ending: ending.clone() });\n"
        "        actions.push(Action::Settle { handle, ending });\n",
    ),
    Mutant(
        "says of an early task that its message is still there",
        "settle.rs",
        "Ending::AsReported { acked_early: held.is_acked }",
        "Ending::AsReported { acked_early: false }",
    ),
    Mutant(
        "acknowledges what asks to be requeued",
        "settle.rs",
        "Outcome::Reject { requeue: true } if !held.is_acked => Some(Ending::Requeue)",
        "Outcome::Reject { requeue: true } if held.is_lost => Some(Ending::Requeue)",
    ),
    Mutant(
        "returns a started task as if it had not been",
        "settle.rs",
        "        } else if held.was_started {\n            self.end(handle, Ending::Redeliver, actions);",
        "        } else if held.was_started {\n            self.end(handle, Ending::Return, actions);",
    ),
    Mutant(
        "drops a task whose lease was lost while its child runs it",
        "settle.rs",
        "                held.is_lost = true;\n                return;\n",
        "                held.is_lost = true;\n",
    ),
    Mutant(
        "blames the next task for a time limit",
        "limits.rs",
        "child.over_limit = Some((running.number, limit_us / 1_000));",
        "child.over_limit = Some((running.number + 1, limit_us / 1_000));",
    ),
    Mutant(
        "kills a little too early",
        "limits.rs",
        "hard_us.filter(|&limit_us| due(limit_us) <= now.mono_us)",
        "hard_us.filter(|&limit_us| due(limit_us) <= now.mono_us + 5_000)",
    ),
    Mutant(
        "signals a soft limit again and again",
        "limits.rs",
        '            child.running.as_mut().expect("seen above").is_soft_sent = true;\n',
        "",
    ),
    Mutant(
        "looks at time limits too seldom",
        "engine.rs",
        "child.shortest_limit_us.unwrap_or(GLANCE_US).min(GLANCE_US)",
        "GLANCE_US",
    ),
    Mutant(
        "forgets what was acknowledged early in a cold shutdown",
        "settle.rs",
        "                } else if self.phase == crate::engine::Phase::Cold {\n"
        "                    self.lose(handle, actions);\n",
        "                } else if self.phase == crate::engine::Phase::Cold {\n"
        "                    self.requests.remove(handle);\n",
    ),
    Mutant(
        "does not kill in a cold shutdown",
        "shutdown.rs",
        "            self.kill_all(actions);\n",
        "",
    ),
    Mutant(
        "starts tasks in a cold shutdown",
        "dispatch.rs",
        "            Phase::Warm => true,\n            Phase::Cold | Phase::Finished => false,",
        "            Phase::Warm | Phase::Cold => true,\n            Phase::Finished => false,",
    ),
    Mutant(
        "keeps its lists in a shutdown",
        "shutdown.rs",
        "        self.empty_lists(actions);\n",
        "",
    ),
    Mutant(
        "ends with deliveries in hand",
        "shutdown.rs",
        " && self.requests.len() == 0",
        "",
    ),
    Mutant(
        "ends with children alive",
        "shutdown.rs",
        " && self.fleet.children().is_empty()",
        "",
    ),
    Mutant(
        "ends with a fetch out",
        "shutdown.rs",
        " && !self.is_awaiting()",
        "",
    ),
    Mutant(
        "runs what has expired while it waited",
        "dispatch.rs",
        "        if !held.is_acked && is_expired(&held.request, now) {",
        "        if held.is_lost && is_expired(&held.request, now) {",
    ),
    Mutant(
        "drops what has not expired yet",
        "admit/expired.rs",
        "expires_ms| now.wall_ms > expires_ms)",
        "expires_ms| now.wall_ms + 100 > expires_ms)",
    ),
    Mutant(
        "starts before the eta",
        "admit/eta.rs",
        "request.eta_ms.filter(|&eta_ms| eta_ms > now.wall_ms)?",
        "request.eta_ms.filter(|&eta_ms| eta_ms > now.wall_ms + 50)?",
    ),
    Mutant(
        "never looks at its timer",
        "engine.rs",
        "        self.start_what_is_due(now, actions);\n",
        "        if now.mono_us == 1 {\n            self.start_what_is_due(now, actions);\n        }\n",
    ),
    Mutant(
        "runs what it does not know",
        "admit/unknown.rs",
        "(!is_known).then_some",
        "(!is_known && request.expires_ms.is_some()).then_some",
    ),
    Mutant(
        "fills a child beyond its window",
        "dispatch.rs",
        "child.open() >= self.windows[task].most(self.config.window_max)",
        "child.open() >= 2 * self.windows[task].most(self.config.window_max)",
    ),
    Mutant(
        "gives work to a child that was killed",
        "child.rs",
        "        self.is_staying()\n            && !self.is_recalling",
        "        (self.is_staying() || self.phase == Phase::Killed)\n            && !self.is_recalling",
    ),
    Mutant(
        "does not replace a dead child",
        "fleet.rs",
        "        let missing = wanted.saturating_sub(self.lasting());",
        "        let missing = if self.next_id > 0 { 0 } else { wanted };",
    ),
    Mutant(
        "gives a child more tasks than it may run",
        "dispatch.rs",
        "given < share && self.fleet.at(index).allowance > 0",
        "given < share && self.fleet.at(index).allowance as usize + given > 0",
    ),
    Mutant(
        "lets a task start without a permit",
        "admit/rate.rs",
        "                if bucket.take(now_us, false) {",
        "                if bucket.take(now_us, false) || request.priority == 0 {",
    ),
    Mutant(
        "runs suspects among others",
        "suspects.rs",
        "        held.runs_alone && self.config",
        "        held.runs_alone && held.attempts > 1 && self.config",
    ),
    Mutant(
        "lets one on its last attempt have company",
        "suspects.rs",
        "            if is_last && !is_idle {",
        "            if is_last && !is_idle && most > 3 {",
    ),
    Mutant(
        "blames the neighbours of a task that would not end",
        "death.rs",
        "        if cause != Cause::Neighbour {",
        "        if cause != Cause::Neighbour || most > 0 {",
    ),
    Mutant(
        "takes one for innocent that was quicker than the kill",
        "death.rs",
        "child.is_killed_for_one &= !by_itself;",
        "let _by_itself = by_itself;",
    ),
    Mutant(
        "kills the neighbours too soon",
        "interrupts.rs",
        "now.mono_us + GRACE_US));",
        "now.mono_us + GRACE_US / 2));",
    ),
    Mutant(
        "fills more slots than there are",
        "child.rs",
        "self.slots.isqrt() } else { self.most };",
        "self.slots.isqrt() } else { self.most + 1 };",
    ),
    Mutant(
        "leaves what a blocked child was given",
        "interrupts.rs",
        "&& child.unstarted() > 0 && is_late() {",
        "&& child.unstarted() > 99 && is_late() {",
    ),
    Mutant(
        "lets more of a queue run than may",
        "queues.rs",
        "limit.is_none_or(|limit| line.taken < limit)",
        "limit.is_none_or(|limit| line.taken <= limit)",
    ),
    Mutant(
        "asks for more of a queue than may run",
        "queues.rs",
        "limit.saturating_sub(self.taken + standing",
        "limit.saturating_sub(standing",
    ),
    Mutant(
        "forgets what a limit left in the broker",
        "queues.rs",
        "line.may_have_more |= brought.is_none_or(|brought| brought(index as u16) >= asked);",
        "line.may_have_more |= brought.is_none_or(|brought| brought(index as u16) > asked);",
    ),
    Mutant(
        "keeps the place of what has ended",
        "queues.rs",
        "        line.taken -= 1;\n",
        "        line.taken -= u32::from(line.taken > 1);\n",
    ),
    Mutant(
        "forgets who stands for a place",
        "queues.rs",
        "(line.standing.pop_front(), was_full)",
        "(None, was_full)",
    ),
    Mutant(
        "starts what a cancelled queue gave",
        "queues.rs",
        ".is_some_and(|line| line.is_closed || line.is_withdrawn)",
        ".is_some_and(|line| line.is_withdrawn)",
    ),
    Mutant(
        "fills the bucket when a rate changes",
        "admit/bucket.rs",
        "self.next_ns.min(nanoseconds(now_us).saturating_add(rate.interval_ns));",
        "self.next_ns.min(nanoseconds(now_us));",
    ),
    Mutant(
        "keeps the old rate when it changes",
        "admit/bucket.rs",
        "        self.rate = rate;\n        self.next_ns",
        "        self.next_ns",
    ),
    Mutant(
        "makes up for a minute of permits",
        "admit/bucket.rs",
        "const CATCH_UP_NS: u64 = 100_000_000;",
        "const CATCH_UP_NS: u64 = 60_000_000_000;",
    ),
    Mutant(
        "uses permits ahead for ever",
        "admit/block.rs",
        "block.left > 0 && now_us < block.until_us",
        "block.left > 0",
    ),
    Mutant(
        "starts without asking for a shared permit",
        "admit/rate.rs",
        "            Limit::Shared(_) => return Claim::Ask,\n",
        "            Limit::Shared(_) => return Claim::Permit,\n",
    ),
    Mutant(
        "keeps what it drew with a permit while its children are stuck",
        "give_back.rs",
        "surplus == 0 || held.is_acked || waited_us < after_us",
        "surplus == 0 || held.is_acked || held.request.is_drawn || waited_us < after_us",
    ),
    Mutant(
        "remembers deliveries whose leases were lost before it asked for permits",
        "lanes.rs",
        "                self.counters.lost += 1;\n                self.requests.remove(handle);\n",
        "                self.counters.lost += 1;\n",
    ),
    Mutant(
        "runs what was revoked while it asked for a permit",
        "lanes.rs",
        "if self.requests.of(handle).revoke.is_some() {",
        "if self.requests.of(handle).is_lost {",
    ),
    Mutant(
        "draws what a fetch may bring",
        "prefetch.rs",
        "let (held, waiting) = (self.requests.len() + fetching, self.waiting() + fetching);",
        "let (held, waiting) = (self.requests.len(), self.waiting());",
    ),
    Mutant(
        "fetches one by one what goes to lanes",
        "prefetch.rs",
        "let passing = if startable > 0 { self.passing } else { 0 };",
        "let passing = 0;",
    ),
    Mutant(
        "fetches a queue with a limit one by one while it goes to lanes",
        "queues.rs",
        "room => room.saturating_add(self.passed),",
        "room => room,",
    ),
    Mutant(
        "fetches far beyond a limit once something has gone to a lane",
        "queues.rs",
        "                line.taken += 1;\n                line.passed = 0;\n",
        "                line.taken += 1;\n",
    ),
    Mutant(
        "forgets a place that was freed during a draw",
        "lanes.rs",
        "_ if self.draws.is_hurried || answer",
        "_ if answer",
    ),
    Mutant(
        "forgets a place that a fetch gave back",
        "queues.rs",
        "line.has_missed_draw = room == 0 && line.fetching > 0;",
        "line.has_missed_draw = false;",
    ),
    Mutant(
        "forgets a place that what was drawn has left",
        "queues.rs",
        "line.was_drawn_out = asked > 0 &&",
        "line.was_drawn_out = asked > u32::MAX - 1 &&",
    ),
    Mutant(
        "gives seats to spares without end in a shutdown",
        "pool.rs",
        "        while self.fleet.seated(self.seats) < self.seats {\n",
        "        while self.fleet.seated(self.seats) < self.seats || self.phase == engine::Phase::Warm {\n",
    ),
    Mutant(
        "has more children than seats",
        "pool.rs",
        "        self.seats + leaves_soon.min(self.seats)\n",
        "        self.seats + 1 + leaves_soon.min(self.seats)\n",
    ),
    Mutant(
        "stops the spare that replaces a killed child",
        "pool.rs",
        "let staying = self.fleet.lasting() - self.fleet.killed_at_work();",
        "let staying = self.fleet.lasting();",
    ),
    Mutant(
        "replaces a dead child although one that was to leave may stay",
        "death.rs",
        "if self.phase == Phase::Running && !self.is_elastic() {",
        "if self.phase == Phase::Running {",
    ),
    Mutant(
        "asks for stacks too early",
        "stuck.rs",
        "now.mono_us.saturating_sub(running.since_us) >= after_us",
        "now.mono_us.saturating_sub(running.since_us) >= after_us / 2",
    ),
    Mutant(
        "asks for stacks again and again",
        "stuck.rs",
        "            running.is_dumped = true;\n",
        "",
    ),
    Mutant(
        "never looks for what runs long beside others",
        "interrupts.rs",
        "child.checks.due_us().into_iter().chain(child.locate_at_us).min()",
        "child.checks.due_us()",
    ),
    Mutant(
        "locates a long task too early",
        "stuck.rs",
        "} else if due_us <= now.mono_us {",
        "} else if due_us <= now.mono_us + after_us / 2 {",
    ),
    Mutant(
        "locates a long task again and again",
        "stuck.rs",
        "            child.located.insert(number);\n",
        "",
    ),
    Mutant(
        "keeps quiet about a loop that stands still",
        "blocked.rs",
        "&& due_us <= now.mono_us",
        "&& due_us > now.mono_us",
    ),
    Mutant(
        "asks a blocked child again and again",
        "blocked.rs",
        "            child.told_blocked_us = Some(since_us);\n",
        "",
    ),
    Mutant(
        "has no patience with a child that starts",
        "stuck.rs",
        "Phase::Starting => self.config.start_timeout_us?,",
        "Phase::Starting => self.config.start_timeout_us? / 2,",
    ),
    Mutant(
        "turns a shutdown cold too early",
        "shutdown.rs",
        "self.cold_at_us.is_some_and(|at_us| at_us <= now.mono_us)",
        "self.cold_at_us.is_some_and(|at_us| at_us <= now.mono_us + 100_000)",
    ),
    Mutant(
        "turns a shutdown cold too late",
        "shutdown.rs",
        "self.cold_at_us.is_some_and(|at_us| at_us <= now.mono_us)",
        "self.cold_at_us.is_some_and(|at_us| at_us + 1_000_000 <= now.mono_us)",
    ),
    Mutant(
        "leaves before a soft shutdown is over",
        "shutdown.rs",
        "let is_idle = self.stays_until_us.is_none_or(|until_us| until_us <= now.mono_us);",
        "let is_idle = true;",
    ),
    Mutant(
        "starts what was revoked while its attempt was recorded",
        "attempts.rs",
        "let (is_revoked, queue) = (held.revoke.is_some(), held.request.queue);",
        "let (is_revoked, queue) = (false, held.request.queue);",
    ),
    Mutant(
        "leaves what is revoked in its list",
        "revoke.rs",
        "            match held.place {\n                Place::Timer\n",
        "            if held.place == Place::Ready {\n                continue;\n            }\n"
        "            match held.place {\n                Place::Timer\n",
    ),
    Mutant(
        "never terminates what runs",
        "revoke.rs",
        "            Some(Revoke::Terminate(signal)) => Some(signal),\n",
        "            Some(Revoke::Terminate(signal)) if signal < 0 => Some(signal),\n",
    ),
    Mutant(
        "terminates without freezing the child",
        "revoke.rs",
        "            recall(child, actions);\n            child.terminating",
        "            child.terminating",
    ),
    Mutant(
        "kills what was terminated at once",
        "revoke.rs",
        "kill_at_us: now.mono_us + GRACE_US }",
        "kill_at_us: now.mono_us }",
    ),
    Mutant(
        "lets a child live on whose task was terminated",
        "revoke.rs",
        "child.terminating.is_some_and(|it| it.number == number) && child.phase == Phase::Ready {",
        "child.terminating.is_some_and(|it| it.number > number) && child.phase == Phase::Ready {",
    ),
    Mutant(
        "lets what has a permit stand for ever",
        "give_back.rs",
        "        if may && self.queues.has_standing() {\n",
        "        if may && self.queues.has_standing() && now.mono_us == 1 {\n",
    ),
    Mutant(
        "does not look after leases of what waits for a child",
        "requests.rs",
        "            | Place::Child(_) => !held.is_acked,\n            Place::Asking",
        "            | Place::Child(_) => !held.is_acked && held.place != Place::Ready,\n            Place::Asking",
    ),
    Mutant(
        "does not look after leases of what waits for its time",
        "requests.rs",
        "            | Place::Child(_) => !held.is_acked,\n            Place::Asking",
        "            | Place::Child(_) => !held.is_acked && held.place != Place::Timer,\n            Place::Asking",
    ),
    Mutant(
        "does not look after leases of what is at a child",
        "requests.rs",
        "            | Place::Aside\n            | Place::Child(_) => !held.is_acked,\n",
        "            | Place::Aside => !held.is_acked,\n            Place::Child(_) => false,\n",
    ),
    Mutant(
        "makes batches larger than they may be",
        "gather.rs",
        "while members.len() < most\n",
        "while members.len() <= most\n",
    ),
    Mutant(
        "has a call wait for others for ever",
        "gather.rs",
        "(is_enough || is_late || is_all).then_some(false)",
        "(is_enough && !is_late || is_all).then_some(false)",
    ),
    Mutant(
        "has a call wait for others much too long",
        "gather.rs",
        "            wait_us: terms.wait_us,\n",
        "            wait_us: terms.wait_us * 20,\n",
    ),
    Mutant(
        "lets a batch go that has lost its members",
        "gather.rs",
        "            || gathering.len + 1 >= gathering.most_that_fit(",
        "            || gathering.len < gathering.most_that_fit(",
    ),
    Mutant(
        "lets batches go that are not in the way",
        "gather.rs",
        "self.fleet.idle() > 0 && self.is_kept_from_fetching()",
        "self.fleet.idle() > 0 && self.gatherings.len > 0",
    ),
    Mutant(
        "mixes time limits in a batch",
        "gather.rs",
        "} else if Limits::of(&held.request, &self.config) == limits {",
        "} else if limits == limits {",
    ),
    Mutant(
        "starts a call that expired while its batch formed",
        "gather.rs",
        "if !is_acked && is_expired(&held.request, now) {",
        "if !is_acked && false && is_expired(&held.request, now) {",
    ),
    Mutant(
        "has a suspect share a batch",
        "gather.rs",
        "        (!is_alone).then_some(task)\n",
        "        (!is_alone || true).then_some(task)\n",
    ),
    Mutant(
        "keeps the batches that form in a shutdown",
        "shutdown.rs",
        "        self.gatherings.retain_newest_first(&mut stays);\n",
        "",
    ),
    Mutant(
        "keeps calls that wait for each other from other nodes",
        "give_back.rs",
        "        self.gatherings.retain_newest_first(&mut keeps);\n",
        "",
    ),
    Mutant(
        "keeps calls of a cancelled queue that wait for each other",
        "consume.rs",
        "        self.gatherings.retain_newest_first(&mut stays);\n",
        "",
    ),
    Mutant(
        "gives a child something behind a batch",
        "dispatch.rs",
        "(held.runs_alone || is_batch || self.windows[task].is_slow());",
        "(held.runs_alone || self.windows[task].is_slow());",
    ),
    Mutant(
        "hands a call of a batch task over as any other",
        "dispatch.rs",
        "if let Some(task) = self.batch_task(handle) {\n                        window.send",
        "if let Some(task) = self.gathers(handle) {\n                        window.send",
    ),
    Mutant(
        "lets a member of a batch end twice",
        "work.rs",
        "Some(index) => batch.open.remove(index).is_some(),",
        "Some(index) => batch.open.get(index).is_some(),",
    ),
    Mutant(
        "forgets all of a batch but one",
        "work.rs",
        "(None, Some(batch.open.iter().copied()))",
        "(None, Some(batch.open.iter().copied().take(1)))",
    ),
    Mutant(
        "revokes a whole batch for one of it",
        "death.rs",
        "if is_meant { Cause::Terminated { signal: it.signal } } else { Cause::Neighbour }",
        "if is_meant || true { Cause::Terminated { signal: it.signal } } else { Cause::Neighbour }",
    ),
    Mutant(
        "blames a batch for one of it that was told to end",
        "death.rs",
        "(Outcome::Terminated, ..) if is_member => Cause::Neighbour,",
        "(Outcome::Terminated, ..) if is_member => Cause::Unknown,",
    ),
    Mutant(
        "acknowledges any number of batches early",
        "early.rs",
        "WEIGHT / u64::from(most.max(1))",
        "WEIGHT / u64::from(most.max(1)) / 64",
    ),
    Mutant(
        "forgets that a batch was acknowledged",
        "settle.rs",
        "                self.acknowledgement_answered(handle);\n                if is_revoked {",
        "                if is_revoked {",
    ),
    Mutant(
        "runs two tasks where one may while a process is replaced",
        "fleet.rs",
        "        if self.per_child == 1 {\n            return at_work;",
        "        if self.slots == 1 {\n            return at_work;",
    ),
    Mutant(
        "asks for large messages as for small ones",
        "prefetch.rs",
        "(self.most() / 2).clamp(1, MOST_AT_ONCE).min(self.that_have(FETCH_BYTES))",
        "(self.most() / 2).clamp(1, MOST_AT_ONCE)",
    ),
    Mutant(
        "looks as far ahead with large messages as with small ones",
        "prefetch.rs",
        "startable.min(self.most()).min(self.that_have(LOOKAHEAD_BYTES))",
        "startable.min(self.most())",
    ),
    Mutant(
        "fetches ahead what another worker could start",
        "prefetch.rs",
        "self.part_of_age_us(now_us).max(trips_us",
        "MOST_REACH_US.max(trips_us",
    ),
    Mutant(
        "has no room for fetches behind what draws bring",
        "prefetch.rs",
        "if self.draws_bring {",
        "if false {",
    ),
    Mutant(
        "forgets that the queues were empty",
        "prefetch.rs",
        "        if is_all {\n            self.forget_backlog();\n        }\n",
        "",
    ),
    Mutant(
        "lets children wait for each fetch when the broker is far",
        "prefetch.rs",
        ".max(trips_us as u64).clamp(",
        ".max(trips_us as u64 / 1_000).clamp(",
    ),
    Mutant(
        "fetches more than batches for each slot",
        "prefetch.rs",
        "count.saturating_mul(2).min(self.most_batched).min(fit)",
        "count.saturating_mul(200)",
    ),
    Mutant(
        "fetches more bytes than batches may have",
        "prefetch.rs",
        "count.saturating_mul(2).min(self.most_batched).min(fit)",
        "count.saturating_mul(2).min(self.most_batched)",
    ),
    Mutant(
        "gives a batch more bytes than it may have",
        "gather.rs",
        "let mut room = self.config.batch_bytes.saturating_sub(u64::from(held.request.size));",
        "let mut room = u64::MAX;",
    ),
    Mutant(
        "has calls wait for what the limit of their queue keeps away",
        "gather.rs",
        "(is_enough || is_late || is_all).then_some(false)",
        "(is_enough || is_late).then_some(false)",
    ),
    Mutant(
        "sends calls without those that may come in the places of what runs",
        "queues.rs",
        "line.at_children == 0 && line.terms",
        "line.terms",
    ),
]
