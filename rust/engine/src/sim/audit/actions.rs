//! What the engine may order, and when.

use super::*;

impl Audit {
    /// No more of a queue is asked for than may run beside what is at children; by a fetch, so much more as has passed.
    pub(super) fn check_portions(&self, portions: &[Portion], is_fetch: bool) -> Verdict {
        for (queue, most) in self.lines.bounds() {
            let room = portions.get(usize::from(queue)).map_or(u32::MAX, |portion| portion.room);
            let at_children = self.at_children(queue);
            let passing = if is_fetch { self.lines.passing(queue) } else { 0 };
            let is_kept = room == 0 || (at_children < most && room + at_children <= most.saturating_add(passing));
            require!(
                queue_room_kept: is_kept,
                "{room} of queue {queue} are asked for beside {at_children} at work, {most} may be, and {passing} pass"
            );
        }
        Ok(())
    }

    pub(super) fn at_children(&self, queue: u16) -> u32 {
        let is_there = |entry: &&Entry| entry.request.queue == queue && matches!(entry.stage, Stage::AtChild(..));
        self.entries.values().filter(is_there).count() as u32
    }

    /// An action of the engine, before it is carried out.
    pub(in crate::sim) fn action(&mut self, now: Now, action: &Action) -> Verdict {
        require!(last_word: !self.has_finished, "{action:?} after Finished");
        match action {
            Action::Fetch { max, portions } => {
                self.check_portions(portions, true)?;
                require!(one_fetch: self.fetching.is_none(), "a second Fetch");
                require!(fetch_at_work: self.is_at_work(), "Fetch while it must not");
                let room = self.room(self.drawing);
                require!(fetch_room: (1..=room).contains(&(*max as usize)), "Fetch of {max} with room for {room}");
                self.fetching = Some(*max);
            }
            Action::Draw { max, portions, .. } => {
                self.check_portions(portions, false)?;
                require!(one_fetch: self.drawing.is_none(), "a second Draw");
                require!(fetch_at_work: self.is_at_work(), "Draw while it must not");
                let room = self.room(self.fetching);
                require!(fetch_room: (1..=room).contains(&(*max as usize)), "Draw of {max} with room for {room}");
                self.drawing = Some(*max);
            }
            Action::Acquire { asks } => {
                for handle in asks.iter().flat_map(|ask| &ask.handles) {
                    let entry = self.get(*handle)?;
                    let is_free = entry.stage == Stage::Held && !entry.was_dispatched;
                    require!(settle_once: is_free, "Acquire for {entry:?}");
                    entry.stage = Stage::Asking;
                }
            }
            Action::Dispatch { child, first, handles, .. } => {
                let units: Vec<&[Handle]> = handles.iter().map(std::slice::from_ref).collect();
                self.dispatch(now, *child, *first, &units, false)?;
            }
            Action::DispatchBatch { child, number, handles } => {
                self.check_batch(now, handles)?;
                self.dispatch(now, *child, *number, &[handles], true)?;
            }
            Action::Recall { child } => {
                let seat = self.living(*child)?;
                require!(one_recall: !seat.is_recalling, "a second Recall of {child:?}");
                seat.is_recalling = true;
            }
            Action::RecordAttempt { handle, floor } => self.record(*handle, *floor)?,
            Action::Settle { handle, ending } => {
                self.settle(now, *handle, ending)?;
                let entry = &self.entries[handle];
                let goes_on = matches!(ending, Ending::EarlyAck | Ending::Return | Ending::Redeliver);
                if !entry.was_dispatched && !goes_on {
                    self.lines.pass(entry.request.queue);
                }
            }
            Action::SoftLimit { child, number, .. } => {
                self.soft_limit(now, *child, *number)?;
            }
            Action::Interrupt { child, number, kind } => self.interrupt(now, *child, *number, *kind)?,
            Action::Terminate { child, number, .. } => {
                let seat = self.living(*child)?;
                require!(terminate_once: seat.terminated.is_none(), "a second Terminate of {child:?}");
                require!(terminate_frozen: seat.is_recalling, "Terminate of {child:?} without a Recall that freezes it");
                require!(terminate_running: seat.open.contains_key(number), "Terminate of an ended task");
                seat.terminated = Some((*number, now.mono_us));
                self.terminate(*child, *number)?;
                self.owes_termination = None;
            }
            Action::Kill { child } => {
                self.owes_termination = None;
                self.owes_kill.take_if(|it| it == child);
                self.kill(now, *child)?;
            }
            Action::DumpStacks { child, number } => self.dump(now, *child, *number)?,
            Action::Locate { child, number } => self.locate(now, *child, *number)?,
            Action::Blocked { child, since_us } => self.blocked(now, *child, *since_us)?,
            Action::Spawn { child } => {
                let has_acked = self.entries.values().any(|entry| entry.is_acked && entry.stage == Stage::Held);
                require!(
                    spawn_at_work: self.shutdown.is_none() || (self.shutdown < Some(Shutdown::Cold) && has_acked),
                    "Spawn during a shutdown"
                );
                let before = self.children.insert(*child, Seat::default());
                require!(spawn_once: before.is_none(), "{child:?} was spawned twice");
                // Those that were told to exit, or killed, may take their time; so may those with their last task, and
                // those where fewer seats are left that are at work, or have not answered yet what they are left with.
                let bound = self.config.max_tasks_per_child.map_or(usize::MAX, |most| most as usize);
                let (cells, children): (Vec<_>, Vec<_>) =
                    self.children.iter().partition(|(id, _)| self.cells.contains(id));
                if self.cells.contains(child) {
                    let all = cells.iter().filter(|(_, seat)| !seat.is_condemned).count();
                    let staying = cells.iter().filter(|(_, seat)| !seat.is_condemned && !seat.is_spent(bound)).count();
                    let is_bounded = staying <= MOST_CELLS && all <= 2 * MOST_CELLS;
                    require!(cells_bounded: is_bounded, "{all} children take suspects only, {staying} of them more");
                    return Ok(());
                }
                let staying = children.iter().filter(|(_, seat)| !seat.is_condemned && !seat.is_spent(bound)).count();
                let is_busy = |seat: &Seat| !seat.open.is_empty() || seat.is_recalling;
                let busy = children.iter().filter(|(_, seat)| is_busy(seat)).count();
                let most = self.seats.most_staying() + busy.saturating_sub(self.seats.most());
                require!(spawn_bounded: staying <= most, "{staying} children live where {most} may");
            }
            Action::Stop { child } => {
                let seat = self.living(*child)?;
                require!(stop_idle: seat.open.is_empty(), "Stop of the busy {child:?}");
                (seat.is_condemned, seat.since_us) = (true, Some(now.mono_us));
                self.may_stop(*child)?;
            }
            Action::TimeIsUp => {
                require!(time_is_up_once: self.shutdown < Some(Shutdown::Cold), "the time of a cold shutdown is up");
                let is_up = self.cold_at_us.is_some_and(|at_us| at_us <= now.mono_us);
                require!(cold_in_time: is_up, "a shutdown turns cold too early");
                self.shutdown = Some(Shutdown::Cold);
            }
            Action::Finished => {
                let waits = self.shutdown == Some(Shutdown::Soft) && self.config.soft_waits_when_idle;
                let is_early = self.cold_at_us.is_some_and(|at_us| at_us > now.mono_us);
                require!(finish_in_time: !(waits && is_early), "Finished before the time of a soft shutdown is over");
                require!(finish_in_shutdown: self.shutdown.is_some(), "Finished without a shutdown");
                require!(finish_settled: self.entries.is_empty(), "Finished with handles held");
                require!(finish_childless: self.children.is_empty(), "Finished with children");
                require!(finish_fetched: self.fetching.is_none() && self.drawing.is_none(), "Finished with a fetch or a draw out");
                self.has_finished = true;
            }
        }
        Ok(())
    }

    /// How many more may be asked for, when so many are on their way already.
    pub(super) fn room(&self, coming: Option<u32>) -> usize {
        self.seats.most_fetched(&self.config).saturating_sub(self.entries.len() + coming.unwrap_or(0) as usize)
    }

    /// Marks those of a number whose end a revoke asked for.
    fn terminate(&mut self, child: ChildId, number: Number) -> Verdict {
        let unit = self.living(child)?.open.get_mut(&number).expect("the caller looked");
        unit.is_terminated = true;
        let handles = unit.handles.clone();
        let mut is_wanted = false;
        for handle in handles {
            let entry = self.get(handle)?;
            entry.was_terminated |= entry.must_be_terminated;
            is_wanted |= entry.must_be_terminated;
        }
        require!(terminate_revoked: is_wanted, "Terminate of {child:?} {number}, which nobody asked for");
        Ok(())
    }

    /// A batch is one task's, no larger than it may be, of one time limit, and complete unless one of it has waited.
    fn check_batch(&mut self, now: Now, handles: &[Handle]) -> Verdict {
        let Some(&first) = handles.first() else { return Err("dispatch_something: an empty batch".to_owned()) };
        let first = self.get(first)?.clone();
        let task = first.request.task.ok_or("batch_of_one_task: a batch of an unknown task")?;
        let terms = self.config.tasks[task as usize].batch.ok_or("batch_of_one_task: a batch of a task without")?;
        let limits = |entry: &Entry| (entry.request.soft_limit_s, entry.request.hard_limit_s);
        let mut has_waited = first.is_acked;
        for &handle in handles {
            let entry = self.get(handle)?;
            require!(batch_of_one_task: entry.request.task == Some(task), "{handle:?} is in a batch of task {task}");
            require!(batch_of_one_limit: limits(entry) == limits(&first), "{handle:?} has other limits than its batch");
            has_waited |= now.mono_us >= entry.leased.0 + terms.wait_us;
            has_waited |= entry.request.is_redelivered || entry.has_died;
        }
        require!(batch_bounded: handles.len() <= terms.most as usize, "a batch of {}, {terms:?}", handles.len());
        let bytes = |entry: &Entry| u64::from(entry.request.size);
        let (count, most_bytes) = (handles.len() as u64, self.config.batch_bytes);
        let all_bytes: u64 = handles.iter().map(|handle| bytes(&self.entries[handle])).sum();
        require!(batch_bytes: count == 1 || all_bytes <= most_bytes, "a batch of {all_bytes} bytes, {most_bytes} may be");
        // One more would be too much: of their mean size, or the largest that there is.
        let of_task = self.entries.values().filter(|entry| entry.request.task == Some(task));
        let is_large = all_bytes * (count + 1) > most_bytes * count
            || all_bytes + of_task.map(bytes).max().unwrap_or(0) > most_bytes;
        // What its queue may have here is here, and nothing of that runs.
        let queue = first.request.queue;
        let waits = |entry: &&Entry| matches!(entry.stage, Stage::Held | Stage::Recording | Stage::Acking);
        let waiting = self.entries.values().filter(waits).filter(|entry| entry.request.queue == queue).count();
        let are_all = self.at_children(queue) == 0 && waiting as u32 >= self.lines.limit(queue);
        // Those that expired, or have limits of their own, counted when it was formed.
        let is_other = |entry: &Entry| {
            entry.request.task == Some(task) && (entry.request.expires_ms.is_some() || limits(entry) != limits(&first))
        };
        let is_whole =
            handles.len() == terms.most as usize || is_large || are_all || self.entries.values().any(is_other);
        // All that there is room for may be calls that wait for each other: they go before others wait for them.
        let is_full = self.entries.len() >= self.seats.prefetch(&self.config);
        require!(batch_patience: is_whole || has_waited || is_full, "a batch of {} goes too early, {terms:?}", handles.len());
        Ok(())
    }

    fn dispatch(&mut self, now: Now, child: ChildId, first: Number, units: &[&[Handle]], is_batch: bool) -> Verdict {
        let handles: Vec<Handle> = units.concat();
        let handles = handles.as_slice();
        let is_running = self.shutdown.is_none();
        require!(start_at_risk: self.is_lease_safe || !is_running, "Dispatch with the lease at risk");
        require!(start_in_cold: self.shutdown != Some(Shutdown::Cold), "Dispatch in a cold shutdown");
        require!(dispatch_something: !handles.is_empty(), "an empty Dispatch");
        let slots = self.config.slots as usize;
        let most = if slots > 1 { self.config.per_child() as usize } else { self.config.window_max.max(1) as usize };
        let (most_attempts, highest_wall_ms) = (self.config.max_deliveries, self.highest_wall_ms);
        let seat = self.living(child)?;
        require!(child_ready: seat.is_ready, "Dispatch to {child:?}, which is not ready");
        require!(dispatch_in_recall: !seat.is_recalling, "Dispatch to {child:?} during a Recall");
        require!(dispatch_to_doomed: seat.terminated.is_none(), "Dispatch to {child:?}, whose task was terminated");
        require!(numbers_in_order: seat.next_number == first, "{child:?} got number {first} after {}", seat.next_number);
        seat.next_number += units.len() as u32;
        let ahead: Vec<Handle> = seat.open.values().flat_map(|unit| unit.handles.iter().copied()).collect();
        let alone = ahead.len() + handles.len() == 1;
        let numbers = seat.open.len() + units.len();
        require!(window_bounded: numbers == 1 || numbers <= most, "{child:?} has more than {most} tasks");
        let has_batch = is_batch || seat.open.values().any(|unit| unit.is_batch);
        require!(batch_alone: slots > 1 || !has_batch || numbers == 1, "{child:?} has a batch and something else");
        let (was_idle, is_outgrown) = (seat.open.is_empty(), seat.is_outgrown);
        let total = seat.ran as usize + numbers;
        let bound = self.config.max_tasks_per_child.map_or(usize::MAX, |most| most as usize);
        require!(tasks_per_child: total <= bound, "{child:?} has been given {total} tasks, {bound} are allowed");
        require!(memory_per_child: !is_outgrown, "{child:?} is too large and gets more work");
        let cells = self.cells.clone();
        let busy = self.children.iter().filter(|(id, seat)| !seat.open.is_empty() && !cells.contains(id)).count();
        let takes_seat = was_idle && !cells.contains(&child);
        let now_busy = busy + usize::from(takes_seat);
        // In a shutdown no order takes a seat away any more: what was acknowledged early has to run somewhere.
        // Those that leave give up their seats where they would leave slots empty, up to one for each seat.
        let most_busy = match self.config.per_child() {
            1 if is_running => self.seats.most(),
            1 => self.seats.most_ever(),
            _ => 2 * self.seats.most_ever(),
        };
        require!(seats: !takes_seat || now_busy <= most_busy, "{now_busy} children work at once");
        if slots > 1 {
            self.check_company(child, ahead.iter().chain(handles))?;
        } else {
            for handle in ahead.iter().chain(handles) {
                let entry = self.get(*handle)?;
                let must_be_alone = entry.request.is_redelivered || entry.has_died;
                require!(runs_alone: alone || !must_be_alone, "the redelivered {handle:?} does not run alone");
            }
        }
        let numbered = (first..).zip(units).flat_map(|(number, unit)| unit.iter().map(move |handle| (number, *handle)));
        for (number, handle) in numbered {
            let options = self.get(handle)?.request.task.map(|task| self.config.tasks[task as usize].clone());
            let takes_batches = options.as_ref().is_some_and(|options| options.batch.is_some());
            require!(batches_for_batch_tasks: takes_batches == is_batch, "{handle:?} goes in a batch: {is_batch}");
            let acks_late = self.acks_late(handle);
            let entry = self.get(handle)?;
            require!(dispatch_held: entry.stage == Stage::Held, "Dispatch of {handle:?} at {:?}", entry.stage);
            require!(dispatch_revoked: !entry.is_revoked, "Dispatch of the revoked {handle:?}");
            require!(ack_before_early_run: acks_late || entry.is_acked, "{handle:?} runs before its early acknowledgement");
            require!(start_in_shutdown: is_running || entry.is_acked, "{handle:?} starts during a shutdown");
            let must_count = (entry.request.is_redelivered || entry.has_died) && (slots == 1 || acks_late);
            require!(
                attempt_counted: !must_count || entry.recorded.is_some(),
                "the redelivered {handle:?} runs without an attempt number"
            );
            let is_one_too_many = entry.recorded.is_some_and(|attempt| most_attempts > 0 && attempt > most_attempts);
            require!(attempts_bounded: !is_one_too_many, "{handle:?} is started once too often");
            let is_due = entry.request.eta_ms.is_none_or(|eta_ms| eta_ms <= highest_wall_ms);
            require!(eta: is_due, "{handle:?} is dispatched before its eta");
            let is_expired = entry.request.expires_ms.is_some_and(|ms| now.wall_ms > ms);
            require!(expired: !is_expired || entry.is_acked, "the expired {handle:?} is dispatched");
            entry.stage = Stage::AtChild(child, number);
            let is_first = !std::mem::replace(&mut entry.was_dispatched, true);
            let request = entry.request.clone();
            let is_allowed = !is_first || self.may_start(&request, now.mono_us);
            require!(rate_limit: is_allowed, "{handle:?} starts beyond the rate limit of task {:?}", request.task);
            let (queue, is_acked) = (request.queue, self.entries[&handle].is_acked);
            require!(start_of_cancelled: is_acked || !self.lines.is_closed(queue), "{handle:?} of the cancelled {queue}");
            self.lines.stays(queue, self.entries[&handle].passed_before);
            let at_children = self.at_children(queue);
            let most = self.lines.limit(queue);
            require!(queue_limit_kept: at_children <= most, "{at_children} of queue {queue} are at work, {most} may be");
            let unit = self.seat(child).open.entry(number).or_insert_with(|| Unit {
                handles: Vec::new(),
                is_batch,
                soft_limit_s: request.soft_limit_s.or(options.as_ref().and_then(|options| options.soft_limit_s)),
                hard_limit_s: request.hard_limit_s.or(options.as_ref().and_then(|options| options.hard_limit_s)),
                is_terminated: false,
            });
            unit.handles.push(handle);
        }
        Ok(())
    }

    /// Where tasks run beside others: what was started before shares a cell with few, or with nobody on its last attempt.
    pub(super) fn check_company<'h>(&mut self, child: ChildId, company: impl Iterator<Item = &'h Handle>) -> Verdict {
        let (slots, most) = (self.config.slots, self.config.max_deliveries);
        let company: Vec<Handle> = company.copied().collect();
        let is_cell = self.is_cell(child);
        for handle in &company {
            let entry = self.get(*handle)?.clone();
            let is_suspect = self.is_suspect(&entry);
            require!(company: is_suspect == is_cell, "{handle:?} runs in {child:?}, a cell: {is_cell}");
            let is_last = is_suspect && most > 0 && entry.recorded.is_some_and(|attempt| attempt >= most);
            require!(last_alone: !is_last || company.len() == 1, "{handle:?}, on its last attempt, does not run alone");
        }
        let is_small = company.len() <= slots.isqrt() as usize;
        require!(company: !is_cell || is_small, "{} run in the cell {child:?} of {slots} slots", company.len());
        Ok(())
    }

    /// A task among others is told of a limit, or to end.
    pub(super) fn interrupt(&mut self, now: Now, child: ChildId, number: Number, kind: Interrupt) -> Verdict {
        require!(interrupt_among: self.config.slots > 1, "Interrupt of {child:?}, which has one slot");
        let seat = self.living(child)?;
        let since_us = seat.all_running.get(&number).copied();
        let limits = seat.open.get(&number).map(|unit| (unit.soft_limit_s, unit.hard_limit_s));
        let (Some(since_us), Some((soft_s, hard_s))) = (since_us, limits) else {
            return Err(format!("interrupt_hits_running: {kind:?} for {child:?} {number}, which does not run"));
        };
        let is_first = match kind {
            Interrupt::SoftLimit { .. } => !seat.soft_sent.contains(&number),
            Interrupt::HardLimit | Interrupt::Terminate => !seat.told.contains_key(&number),
        };
        require!(interrupt_once: is_first, "{kind:?} for {child:?} {number} again");
        match kind {
            Interrupt::SoftLimit { .. } => seat.soft_sent.push(number),
            Interrupt::HardLimit => drop(seat.told.insert(number, now.mono_us + crate::interrupts::GRACE_US)),
            Interrupt::Terminate => drop(seat.told.insert(number, now.mono_us + crate::revoke::GRACE_US)),
        }
        if self.owes_termination == Some((child, number)) && !matches!(kind, Interrupt::SoftLimit { .. }) {
            self.owes_termination = None;
        }
        if kind == Interrupt::Terminate {
            return self.terminate(child, number);
        }
        let limit_s = if matches!(kind, Interrupt::SoftLimit { .. }) { soft_s } else { hard_s };
        let limit_us = limit_s.map(|limit_s| (limit_s * 1e6) as u64);
        let ran_us = now.mono_us - since_us;
        require!(limit_not_early: limit_us.is_some_and(|us| ran_us >= us), "{kind:?} after {ran_us} of {limit_us:?} us");
        let is_late = limit_us.is_some_and(|us| ran_us > us + 50_000);
        require!(limit_not_late: !is_late, "{kind:?} after {ran_us} of {limit_us:?} us");
        Ok(())
    }

    pub(super) fn record(&mut self, handle: Handle, floor: u32) -> Verdict {
        require!(record_broker_up: self.is_broker_up, "RecordAttempt while the broker is away");
        require!(record_at_work: self.shutdown.is_none(), "RecordAttempt during a shutdown");
        let entry = self.get(handle)?;
        require!(record_held: entry.stage == Stage::Held && !entry.is_acked, "RecordAttempt at {:?}", entry.stage);
        require!(
            record_needed: entry.recorded.is_none() && (entry.request.is_redelivered || entry.has_died),
            "RecordAttempt without need"
        );
        require!(floor_known: floor >= u32::from(entry.has_died), "RecordAttempt forgets a start");
        entry.stage = Stage::Recording;
        Ok(())
    }

    pub(super) fn soft_limit(&mut self, now: Now, child: ChildId, number: Number) -> Verdict {
        let seat = self.living(child)?;
        require!(soft_once: !seat.soft_sent.contains(&number), "a second SoftLimit for {child:?} {number}");
        seat.soft_sent.push(number);
        let since_us = seat.running.filter(|&(running, _)| running == number).map(|(_, since_us)| since_us);
        let soft_s = seat.open.get(&number).map(|unit| unit.soft_limit_s);
        let (Some(since_us), Some(soft_s)) = (since_us, soft_s) else {
            return Err(format!("soft_hits_running: SoftLimit for {child:?} {number}, which does not run"));
        };
        let limit_us = soft_s.map(|limit_s| (limit_s * 1e6) as u64);
        let ran_us = now.mono_us - since_us;
        require!(soft_not_early: limit_us.is_some_and(|us| ran_us >= us), "SoftLimit after {ran_us} of {limit_us:?} us");
        Ok(())
    }

    /// Stacks are asked for once for each long task, before a kill for its limit, and of those that do not answer.
    pub(super) fn dump(&mut self, now: Now, child: ChildId, number: Option<Number>) -> Verdict {
        let after_us = self.config.stacks_after_us;
        let seat = self.children.get_mut(&child).ok_or_else(|| format!("DumpStacks of {child:?}, which is gone"))?;
        let Some(number) = number else {
            require!(dump_stuck: seat.since_us.is_some(), "{child:?} answers, and has to say where it is");
            self.owes_kill = Some(child);
            return Ok(());
        };
        if self.config.slots > 1 {
            require!(dump_running: seat.goes_on(number, now.mono_us), "DumpStacks for {number}, which may still end");
            return Ok(());
        }
        let (running, since_us) = seat.running.ok_or("dump_running: DumpStacks of a child that runs nothing")?;
        require!(dump_running: running == number, "DumpStacks for {number}, and {running} runs");
        let is_long = after_us.is_some_and(|after_us| now.mono_us - since_us >= after_us);
        if is_long && !seat.dumped.contains(&number) {
            seat.dumped.push(number);
        } else {
            self.owes_kill = Some(child);
        }
        Ok(())
    }

    /// The same of a task among others: only where it is, and it is not killed for that.
    pub(super) fn locate(&mut self, now: Now, child: ChildId, number: Number) -> Verdict {
        let after_us = self.config.stacks_after_us;
        let seat = self.living(child)?;
        let since_us = seat.all_running.get(&number).ok_or("locate_running: Locate of what does not run")?;
        let ran_us = now.mono_us - since_us;
        require!(locate_not_early: after_us.is_some_and(|after_us| ran_us >= after_us), "Locate after {ran_us} us");
        require!(locate_once: !seat.dumped.contains(&number), "a second Locate of {child:?} {number}");
        seat.dumped.push(number);
        seat.owes_locate.retain(|owed| *owed != number);
        Ok(())
    }

    /// A child has to say what keeps its loop, once each time that it stands still.
    pub(super) fn blocked(&mut self, now: Now, child: ChildId, since_us: u64) -> Verdict {
        let after_us = self.config.blocked_after_us;
        let seat = self.living(child)?;
        require!(blocked_stands: seat.turned_us == Some(since_us), "{child:?} turned at {:?}", seat.turned_us);
        let stood_us = now.mono_us - since_us;
        require!(blocked_not_early: after_us.is_some_and(|after_us| stood_us >= after_us), "Blocked at {stood_us} us");
        require!(blocked_once: seat.told_blocked_us != Some(since_us), "a second Blocked of {child:?}");
        seat.told_blocked_us = Some(since_us);
        seat.owes_blocked = false;
        Ok(())
    }

    pub(super) fn kill(&mut self, now: Now, child: ChildId) -> Verdict {
        let is_cold = self.shutdown == Some(Shutdown::Cold);
        let start_timeout_us = self.config.start_timeout_us;
        let seat =
            self.children.get_mut(&child).ok_or_else(|| format!("kill_living: Kill of {child:?}, which is gone"))?;
        let is_stopping = std::mem::replace(&mut seat.is_condemned, true);
        if is_cold {
            return Ok(());
        }
        let least_us = if seat.is_ready { Some(10_000_000) } else { start_timeout_us };
        if let (Some(since_us), Some(least_us)) = (seat.since_us.take(), least_us) {
            require!(patience: now.mono_us - since_us >= least_us, "{child:?} had too little time");
            return Ok(());
        }
        require!(kill_once: !is_stopping, "a second Kill of {child:?}");
        if self.config.slots > 1 {
            let over: Vec<Number> = seat.open.keys().filter(|it| seat.goes_on(**it, now.mono_us)).copied().collect();
            require!(kill_in_grace: !over.is_empty(), "Kill of {child:?}, where nothing goes on for too long");
            require!(terminate_frozen: seat.is_recalling, "Kill of {child:?} without a Recall that freezes it");
            seat.is_killed_for_one = true;
            let units = over.iter().map(|number| &seat.open[number]).filter(|unit| !unit.is_terminated);
            let handles: Vec<Handle> = units.flat_map(|unit| unit.handles.iter().copied()).collect();
            for handle in handles {
                self.get(handle)?.was_killed_by_limit = true;
            }
            return Ok(());
        }
        if let Some((number, since_us)) = seat.terminated {
            let is_over = now.mono_us >= since_us + crate::revoke::GRACE_US || !seat.open.contains_key(&number);
            let is_its_limit = seat.running.is_some_and(|(running, _)| running == number);
            if is_over || !is_its_limit {
                require!(kill_in_grace: is_over, "Kill of a terminated task within its grace");
                return Ok(());
            }
        }
        let (number, since_us) = seat.running.ok_or("limit_hits_running: Kill of a child that runs nothing")?;
        let unit = seat.open.get(&number).ok_or("limit_hits_running: Kill for an ended task")?;
        let (limit_s, handles) = (unit.hard_limit_s, unit.handles.clone());
        for handle in handles {
            self.get(handle)?.was_killed_by_limit = true;
        }
        let limit_us = (limit_s.ok_or("limit_hits_running: Kill without a hard limit")? * 1e6) as u64;
        require!(limit_not_early: now.mono_us - since_us >= limit_us, "Kill before the limit is over");
        require!(
            limit_not_late: now.mono_us - since_us <= limit_us + 50_000,
            "Kill {} us after the limit was over",
            now.mono_us - since_us - limit_us
        );
        Ok(())
    }

    /// Whether a child without tasks may be told to exit: it has done its share, or there are more than enough.
    pub(super) fn may_stop(&mut self, child: ChildId) -> Verdict {
        let staying = self.seats_taken(|seat| !seat.is_condemned) + 1;
        let (most_tasks, is_shutdown) = (self.config.max_tasks_per_child, self.shutdown.is_some());
        let (least, seat) = (self.seats.least(), self.seat(child));
        let is_spent = most_tasks.is_some_and(|most| seat.ran >= most) || seat.is_outgrown;
        let is_spent = is_spent || self.is_cell(child);
        require!(stop_reason: is_shutdown || is_spent || staying > least, "Stop of {child:?} for no reason");
        Ok(())
    }
}
