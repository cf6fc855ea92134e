//! What the auditor learns from each fact that the engine is told.

use super::*;

impl Audit {
    /// A fact on its way to the engine. Returns handles that are free once the engine has been told.
    pub(in crate::sim) fn event(&mut self, event: &Event, now: Now) -> Vec<Handle> {
        let now_us = now.mono_us;
        self.facts += 1;
        self.highest_wall_ms = self.highest_wall_ms.max(now.wall_ms);
        if self.entries.len() >= self.seats.prefetch(&self.config) {
            self.full_until_us = now_us;
        }
        self.note_full_queues(now_us);
        match *event {
            Event::Acquired(ref answer) => {
                for &(task, key, permits) in &answer.ahead {
                    let block = Block { given_us: now_us, fact: self.facts, left: permits };
                    self.ahead.entry((task, key)).or_default().push(block);
                }
                for &handle in &answer.granted {
                    let entry = self.entry(handle);
                    entry.stage = Stage::Held;
                    entry.held_since_us = now_us;
                    entry.is_permitted = true;
                }
                let gone: Vec<_> = answer.laned.iter().chain(&answer.lost).copied().collect();
                for handle in &gone {
                    let entry = self.entries.remove(handle).expect("facts are about held handles");
                    self.lines.pass(entry.request.queue);
                }
                return gone;
            }
            Event::Drawn(_) | Event::DrawFailed => self.drawing = None,
            Event::Delivered(_) | Event::FetchFailed => self.fetching = None,
            Event::BrokerLost => self.is_broker_up = false,
            Event::BrokerBack => self.is_broker_up = true,
            Event::LeaseAtRisk => self.is_lease_safe = false,
            Event::LeaseSafe => self.is_lease_safe = true,
            Event::Shutdown(kind) => self.shut_down(kind, now_us),
            Event::AttemptRecorded { handle, attempt } => {
                let entry = self.entry(handle);
                entry.stage = Stage::Held;
                entry.recorded = Some(attempt);
                entry.last_recorded = attempt;
            }
            Event::ChildForked { child } => self.seat(child).since_us = Some(now_us),
            Event::ChildReady { child } => {
                let seat = self.seat(child);
                (seat.is_ready, seat.since_us) = (true, None);
            }
            Event::Observed { child, next, running_since_us } => {
                let seat = self.seat(child);
                let last = seat.open.range(..next).next_back();
                seat.running = last.map(|(&number, _)| number).zip(running_since_us);
                let is_free = !seat.is_condemned && seat.terminated.is_none();
                let running =
                    seat.running.filter(|_| is_free).map(|(number, _)| (number, seat.open[&number].handles.clone()));
                if let Some((number, handles)) = running
                    && handles.into_iter().any(|handle| self.entry(handle).must_be_terminated)
                {
                    self.owes_termination = Some((child, number));
                }
            }
            Event::ObservedMany { child, next, ref running, turned_us } => {
                let (after_us, blocked_after_us) = (self.config.stacks_after_us, self.config.blocked_after_us);
                let seat = self.seat(child);
                seat.turned_us = turned_us;
                let until_us = turned_us.zip(blocked_after_us).map(|(since_us, after_us)| since_us + after_us);
                seat.owes_blocked = until_us.is_some_and(|us| us <= now_us) && turned_us != seat.told_blocked_us;
                seat.all_running =
                    running.iter().filter(|(number, _)| seat.open.contains_key(number)).copied().collect();
                debug_assert!(running.iter().all(|&(number, _)| number < next), "what runs was claimed");
                if let Some(after_us) = after_us {
                    let over = seat.all_running.iter().filter(|&(_, since_us)| since_us + after_us <= now_us);
                    let over = over.map(|(number, _)| *number).filter(|number| !seat.dumped.contains(number));
                    // Of very many only some each second.
                    seat.owes_locate =
                        Some(over.collect()).filter(|over: &Vec<_>| over.len() <= 10).unwrap_or_default();
                }
                let is_free = !seat.is_condemned;
                let untold: Vec<(Number, Vec<Handle>)> = seat
                    .all_running
                    .keys()
                    .filter(|number| is_free && !seat.told.contains_key(number))
                    .map(|number| (*number, seat.open[number].handles.clone()))
                    .collect();
                for (number, handles) in untold {
                    if handles.into_iter().any(|handle| self.entry(handle).must_be_terminated) {
                        self.owes_termination = Some((child, number));
                    }
                }
            }
            Event::Awake { .. } => {}
            Event::Recalled { child, from } => {
                let seat = self.seat(child);
                seat.is_recalling = false;
                let recalled = seat.open.split_off(&from).into_values();
                for handle in recalled.flat_map(|unit| unit.handles) {
                    let entry = self.entry(handle);
                    entry.stage = Stage::Held;
                    entry.held_since_us = now_us;
                }
            }
            Event::Ended { child, number, outcome, .. } => {
                if let Some(unit) = self.seat(child).open.remove(&number) {
                    let seat = self.seat(child);
                    seat.ran += 1;
                    let was_told = seat.told.remove(&number).is_some();
                    self.ended(unit.handles[0], outcome, was_told, false, now_us);
                }
            }
            Event::MemberEnded { child, number, handle, outcome } => {
                let was_told = self.seat(child).told.contains_key(&number);
                let unit = self.seat(child).open.get_mut(&number);
                if unit.is_some_and(|unit| unit.take(handle)) {
                    let is_spared = outcome == Outcome::Terminated && !self.entry(handle).must_be_terminated;
                    self.ended(handle, outcome, was_told, is_spared, now_us);
                }
            }
            Event::BatchEnded { child, number, .. } => {
                let seat = self.seat(child);
                if let Some(unit) = seat.open.remove(&number) {
                    assert!(unit.handles.is_empty(), "the model child ends all of a batch before it");
                    seat.ran += 1;
                    seat.told.remove(&number);
                }
            }
            Event::ChildExited { child, next, by_itself } => self.child_exited(child, next, by_itself, now_us),
            Event::Settled { handle } => {
                let entry = self.entry(handle);
                if entry.stage == Stage::Acking {
                    entry.stage = Stage::Held;
                    entry.is_acked = true;
                } else {
                    self.entries.remove(&handle);
                    return vec![handle];
                }
            }
            Event::LeaseLost { handle } => {
                let entry = self.entry(handle);
                if matches!(entry.stage, Stage::AtChild(..)) {
                    entry.is_lost = true;
                } else {
                    let request = entry.request.clone();
                    if let Some(permits) = self.permits_of(&request) {
                        permits.spent(now_us);
                    }
                    self.entries.remove(&handle);
                    return vec![handle];
                }
            }
            Event::RateLimit { task, limit } => {
                let was_limited = self.permits[task as usize].is_limited();
                let mut waiting = (0, 0);
                for entry in self.entries.values_mut().filter(|entry| entry.request.task == Some(task)) {
                    if entry.was_dispatched || entry.stage == Stage::Final {
                        continue;
                    }
                    // Who is due, and is or was in no need of a permit, may have been made ready.
                    let is_due = entry.request.eta_ms.is_none_or(|eta_ms| eta_ms <= self.highest_wall_ms);
                    entry.is_permitted |= is_due && !was_limited && entry.stage != Stage::Asking;
                    if is_due { waiting.0 += 1 } else { waiting.1 += 1 }
                }
                self.permits[task as usize].set(limit, waiting.0, waiting.1, now_us);
            }
            Event::Memory { child, peak_kib } => {
                let most_kib = self.config.max_memory_per_child_kib;
                self.seat(child).is_outgrown |= most_kib.is_some_and(|most_kib| peak_kib > most_kib);
            }
            Event::Resize(resize) => self.seats.resize(resize),
            Event::Revoked { ref handles, terminate } => {
                for &handle in handles {
                    // What its batch was told for another one holds for it too.
                    let is_told = match self.entry(handle).stage {
                        Stage::AtChild(child, number) => self.seat(child).open[&number].is_terminated,
                        _ => false,
                    };
                    let entry = self.entry(handle);
                    entry.is_revoked = true;
                    entry.must_be_terminated |= terminate.is_some();
                    entry.was_terminated |= is_told && terminate.is_some();
                }
            }
            Event::QueueOpened { queue, .. } => self.lines.open(queue),
            Event::QueueClosed { queue } => self.lines.close(queue),
            Event::QueueWithdrawn { .. } | Event::More | Event::Wake | Event::Tick | Event::LimitsChanged { .. } => {}
        }
        Vec::new()
    }

    /// A child said how a delivery ended.
    fn ended(&mut self, handle: Handle, outcome: Outcome, was_told: bool, is_spared: bool, now_us: u64) {
        let entry = self.entry(handle);
        entry.stage = Stage::Held;
        if !matches!(outcome, Outcome::TimeLimit | Outcome::Terminated) {
            entry.reported = Some(outcome);
            return;
        }
        assert!(was_told, "the model child ends only what it was told to end");
        entry.held_since_us = now_us;
        if is_spared {
            entry.was_spared = true;
            return;
        }
        (entry.has_died, entry.recorded) = (true, None);
        entry.deaths += 1;
        entry.was_killed_by_limit |= outcome == Outcome::TimeLimit;
    }

    pub(super) fn child_exited(&mut self, child: ChildId, next: Number, by_itself: bool, now_us: u64) {
        let seat = self.children.remove(&child).expect("the driver reports an exit once");
        for (number, unit) in seat.open {
            for &handle in &unit.handles {
                let is_spared = self.is_spared(&unit, handle);
                let entry = self.entry(handle);
                entry.stage = Stage::Held;
                entry.held_since_us = now_us;
                let is_beside = seat.is_killed_for_one && !by_itself && !seat.told.contains_key(&number);
                if number < next && (is_spared || is_beside) {
                    // The same attempt again, if it was counted.
                    entry.was_spared = true;
                } else if number < next {
                    entry.was_killed_by_limit |= seat.told.contains_key(&number) && !unit.is_terminated;
                    entry.has_died = true;
                    entry.deaths += 1;
                    entry.recorded = None;
                }
            }
        }
    }

    /// Whether a delivery that is started for the first time may be, as far as rate limits go.
    pub(super) fn may_start(&mut self, request: &Request, now_us: u64) -> bool {
        let Some(task) = request.task else { return true };
        if self.config.tasks[task as usize].rate_scope == Scope::Worker {
            return self.permits[task as usize].started(now_us);
        }
        let is_permitted = self.entries[&request.handle].is_permitted || !self.permits[task as usize].is_limited();
        if is_permitted {
            return true;
        }
        let (leased_us, leased) = self.entries[&request.handle].leased;
        let is_fresh = |block: &Block| leased_us < block.given_us + PERMIT_LIFE_US;
        let blocks = self.ahead.entry((task, request.key)).or_default();
        if request.eta_ms.is_some() {
            // It took its permit at some time since it came in.
            return blocks.iter().any(is_fresh);
        }
        // It took it when it came in, from the last block: that takes the place of those before.
        let block =
            blocks.iter_mut().rfind(|block| block.fact <= leased).filter(|block| is_fresh(block) && block.left > 0);
        block.is_some_and(|block| {
            block.left -= 1;
            true
        })
    }

    /// The account of a delivery's task type, if it has one here.
    pub(super) fn permits_of(&mut self, request: &Request) -> Option<&mut Permits> {
        self.permits.get_mut(request.task? as usize)
    }

    /// A shutdown was asked for. A soft one without a time of its own is a cold one.
    pub(super) fn shut_down(&mut self, kind: Shutdown, now_us: u64) {
        let soft_us = self.config.soft_timeout_us;
        let kind = if kind == Shutdown::Soft && soft_us == 0 { Shutdown::Cold } else { kind };
        let timeout_us = match kind {
            Shutdown::Warm if self.shutdown.is_none() => self.config.warm_timeout_us,
            Shutdown::Soft => Some(soft_us),
            Shutdown::Warm | Shutdown::Cold => None,
        };
        let at_us = timeout_us.map(|timeout_us| now_us + timeout_us);
        self.cold_at_us = self.cold_at_us.into_iter().chain(at_us).min();
        self.shutdown = self.shutdown.max(Some(kind));
    }
}
