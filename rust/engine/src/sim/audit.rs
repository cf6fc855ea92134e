//! The promises as assertions: an observer between the engine and the world, who knows only what passes between them.
//!
//! Every fact and every action is shown to the auditor before it takes effect. What it refuses is a `Violation`.
//!
//! A new promise is one more `require!(its_name: condition, "what is wrong")`. The name heads the failure's message;
//! `make mutants` lists the rules that no broken engine has broken yet: a rule that cannot fail is worse than none.

use std::collections::{BTreeMap, HashMap};

use super::broker::Lease;
use super::lines::Lines;
use super::permits::Permits;
use super::seats::{MOST_CELLS, Seats};
use crate::action::{Action, Ending, Interrupt, Portion};
use crate::config::{Config, Scope};
use crate::event::{ChildId, Event, Handle, Now, Number, Outcome, Request, Shutdown};

/// A shutdown turns cold at the latest so long after its time is over.
const LONGEST_OVERTIME_US: u64 = 100_000;

/// What the broker gave ahead may be used for so long.
const PERMIT_LIFE_US: u64 = 250_000;

/// Where the auditor believes a delivery to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Held,
    Recording,
    Acking,
    Asking,
    AtChild(ChildId, Number),
    Final,
}

/// What the auditor knows of one delivery.
#[derive(Clone, Debug)]
struct Entry {
    request: Request,
    lease: Lease,
    /// When it came: `mono_us`, and after how many facts.
    leased: (u64, u64),
    /// Since when it has been at no child (`mono_us`).
    held_since_us: u64,
    stage: Stage,
    is_acked: bool,
    /// The attempt that was recorded for the start that is due; needed before every start but the first.
    recorded: Option<u32>,
    /// The highest attempt that was ever recorded while it was held here.
    last_recorded: u32,
    has_died: bool,
    /// Its process was killed for another task's sake.
    was_spared: bool,
    deaths: u32,
    was_killed_by_limit: bool,
    reported: Option<Outcome>,
    is_lost: bool,
    /// A child got it once: its permit, if it needed one, is spent.
    was_dispatched: bool,
    is_revoked: bool,
    /// A revoke asked for its end.
    must_be_terminated: bool,
    /// `Action::Terminate` was given for it.
    was_terminated: bool,
    /// It has a permit of the limit that its task shares with other workers.
    is_permitted: bool,
}

impl Entry {
    /// Whether a child has it, or is to have it when the broker has answered.
    fn is_at_work(&self) -> bool {
        matches!(self.stage, Stage::AtChild(..) | Stage::Recording | Stage::Acking)
    }

    /// Whether it is due at `wall_ms`, and has been at no child since `since_us`.
    fn waits_since(&self, permits: &[Permits], since_us: u64, wall_ms: i64) -> bool {
        let is_permitted = self.was_dispatched
            || self.request.task.is_none_or(|task| permits[task as usize].is_overdue(self.held_since_us, since_us));
        let is_due = self.request.eta_ms.is_none_or(|eta_ms| eta_ms < wall_ms);
        is_permitted
            && is_due
            && self.held_since_us <= since_us
            && !matches!(self.stage, Stage::AtChild(..) | Stage::Final)
    }
}

/// Shared permits that came together, ahead of need.
#[derive(Clone, Copy, Debug)]
struct Block {
    given_us: u64,
    fact: u64,
    left: u32,
}

/// What the auditor knows of one child.
#[derive(Debug, Default)]
struct Seat {
    is_ready: bool,
    is_condemned: bool,
    is_recalling: bool,
    next_number: Number,
    /// Tasks that ended here, or were running when it died.
    ran: u32,
    /// Its memory was reported to be beyond its bound.
    is_outgrown: bool,
    /// Its process has existed since then, and it is not ready; or it was told to exit then (`mono_us`).
    since_us: Option<u64>,
    dumped: Vec<Number>,
    open: BTreeMap<Number, Handle>,
    soft_sent: Vec<Number>,
    /// What was terminated here, and when (`mono_us`).
    terminated: Option<(Number, u64)>,
    running: Option<(Number, u64)>,
    /// With several slots: what ran, and since when (`mono_us`).
    all_running: BTreeMap<Number, u64>,
    /// With several slots: tasks that were told to end, and when (`mono_us`).
    told: BTreeMap<Number, u64>,
    /// It was killed because one of those went on.
    is_killed_for_one: bool,
}

impl Seat {
    /// Whether a task has had all the time it gets to end as it was told.
    fn goes_on(&self, number: Number, now_us: u64) -> bool {
        self.told.get(&number).is_some_and(|&until_us| until_us <= now_us)
    }

    /// Whether it gets no more tasks: it has had `most`, or it is too large.
    fn is_spent(&self, most: usize) -> bool {
        self.is_outgrown || self.ran as usize + self.open.len() >= most
    }
}

/// The auditor of one worker incarnation.
#[derive(Debug)]
pub(super) struct Audit {
    config: Config,
    entries: HashMap<Handle, Entry>,
    children: HashMap<ChildId, Seat>,
    /// By task.
    permits: Vec<Permits>,
    /// Shared permits ahead that were given, by task and key.
    ahead: HashMap<(u32, u64), Vec<Block>>,
    /// Facts so far.
    facts: u64,
    /// What the draw and the fetch that are out may bring.
    drawing: Option<u32>,
    fetching: Option<u32>,
    is_broker_up: bool,
    is_lease_safe: bool,
    shutdown: Option<Shutdown>,
    /// When a warm or soft shutdown has to become a cold one (`mono_us`).
    cold_at_us: Option<u64>,
    /// Children that may work at once: `None` while no autoscaler and no order changes the number.
    seats: Seats,
    has_finished: bool,
    /// Children that take suspects only.
    cells: Vec<ChildId>,
    /// The last fact showed that this runs although a revoke asked for its end.
    owes_termination: Option<(ChildId, Number)>,
    /// Its stacks were asked for because it is about to be killed.
    owes_kill: Option<ChildId>,
    /// The latest that its wall clock ever showed: what was due then may have been made ready.
    highest_wall_ms: i64,
    /// When it last had no credit left (`mono_us`).
    full_until_us: u64,
    lines: Lines,
}

type Verdict = Result<(), String>;

/// An error with the rule's name and a formatted reason unless the condition holds.
macro_rules! require {
    ($rule:ident: $condition:expr, $($reason:tt)+) => {
        if !$condition {
            return Err(format!("{}: {}", stringify!($rule), format!($($reason)+)));
        }
    };
}

impl Audit {
    /// Nothing has happened yet.
    pub(super) fn new(config: Config) -> Audit {
        Audit {
            permits: config.tasks.iter().map(|task| Permits::new(task.rate, task.has_lanes)).collect(),
            entries: HashMap::new(),
            children: HashMap::new(),
            ahead: HashMap::new(),
            facts: 0,
            drawing: None,
            fetching: None,
            is_broker_up: true,
            is_lease_safe: true,
            shutdown: None,
            cold_at_us: None,
            seats: Seats::of(&config),
            has_finished: false,
            cells: Vec::new(),
            owes_termination: None,
            owes_kill: None,
            highest_wall_ms: i64::MIN,
            full_until_us: 0,
            lines: Lines::new(&config.queues),
            config,
        }
    }

    /// A fetch brought this.
    pub(super) fn lease(&mut self, request: &Request, lease: Lease, now_us: u64) {
        let entry = Entry {
            request: request.clone(),
            lease,
            leased: (now_us, self.facts),
            held_since_us: now_us,
            stage: Stage::Held,
            is_acked: false,
            recorded: None,
            last_recorded: 0,
            has_died: false,
            was_spared: false,
            deaths: 0,
            was_killed_by_limit: false,
            reported: None,
            is_lost: false,
            was_dispatched: false,
            is_revoked: request.is_revoked,
            must_be_terminated: false,
            was_terminated: false,
            is_permitted: request.is_drawn,
        };
        if let Some(permits) = self.permits_of(request) {
            permits.arrived(now_us);
        }
        let before = self.entries.insert(request.handle, entry);
        assert!(before.is_none(), "the simulator reused a handle too early");
    }

    /// The lease behind a handle.
    pub(super) fn lease_of(&self, handle: Handle) -> Lease {
        self.entries[&handle].lease
    }

    /// The handle of a lease, if it may be told lost unasked.
    pub(super) fn unasked(&self, lease: Lease) -> Option<Handle> {
        self.entries
            .iter()
            .find(|(_, entry)| {
                entry.lease == lease && !entry.is_acked && matches!(entry.stage, Stage::Held | Stage::AtChild(..))
            })
            .map(|(&handle, _)| handle)
    }

    /// Which children take suspects only.
    pub(super) fn know_cells(&mut self, cells: Vec<ChildId>) {
        self.cells = cells;
    }

    /// Whether a child does.
    pub(super) fn is_cell(&self, child: ChildId) -> bool {
        self.cells.contains(&child)
    }

    /// Whether a child may be given what is not a suspect: it is no cell, and has not been given its last task.
    pub(super) fn takes_any(&self, child: ChildId) -> bool {
        let most = self.config.max_tasks_per_child.unwrap_or(u32::MAX);
        let is_spent = |seat: &Seat| seat.is_outgrown || seat.ran + seat.open.len() as u32 >= most;
        // With one slot such a child is not idle before it is told to exit.
        let is_leaving = self.config.slots > 1 && self.children.get(&child).is_some_and(is_spent);
        !self.is_cell(child) && !is_leaving
    }

    /// What a child has that was killed because another of its tasks went on.
    pub(super) fn neighbours_of_killed(&self, child: ChildId) -> Vec<Handle> {
        let seat = self.children.get(&child).filter(|seat| seat.is_killed_for_one);
        let open =
            seat.into_iter().flat_map(|seat| seat.open.iter().filter(|(number, _)| !seat.told.contains_key(number)));
        open.map(|(_, &handle)| handle).collect()
    }

    /// Where tasks run beside others: whether it may not, having been started before.
    fn is_suspect(&self, entry: &Entry) -> bool {
        let acks_late = entry.request.task.is_some_and(|task| self.config.tasks[task as usize].acks_late);
        self.config.slots > 1 && acks_late && (entry.request.is_redelivered || entry.has_died)
    }

    /// How many children may work at once.
    pub(super) fn seats(&self) -> &Seats {
        &self.seats
    }

    /// The handles of a message that a revoke can be about.
    pub(super) fn handles_of(&self, message: usize) -> Vec<Handle> {
        let is_it = |entry: &Entry| entry.lease.message == message;
        self.entries.iter().filter(|(_, entry)| is_it(entry)).map(|(&handle, _)| handle).collect()
    }

    /// Called when the answer to a fact is complete.
    pub(super) fn turn_is_over(&mut self) -> Verdict {
        require!(dump_once: self.owes_kill.is_none(), "DumpStacks of {:?} for no reason", self.owes_kill);
        match self.owes_termination.take() {
            Some((child, number)) => {
                Err(format!("revoke_terminates: {child:?} {number} runs, is revoked, and is not terminated"))
            }
            None => Ok(()),
        }
    }

    /// The handle under which a lease is known here.
    pub(super) fn handle_of(&self, lease: Lease) -> Option<Handle> {
        self.entries.iter().find(|(_, entry)| entry.lease == lease).map(|(&handle, _)| handle)
    }

    /// Every lease that is known here.
    pub(super) fn leases(&self) -> impl Iterator<Item = Lease> {
        self.entries.values().map(|entry| entry.lease)
    }

    /// What its child said of a delivery.
    pub(super) fn reported(&self, handle: Handle) -> Option<Outcome> {
        self.entries.get(&handle).and_then(|entry| entry.reported)
    }

    /// Whether its early acknowledgement is confirmed.
    pub(super) fn is_acked(&self, handle: Handle) -> bool {
        self.entries.get(&handle).is_some_and(|entry| entry.is_acked)
    }

    /// Whether it has had credit for one more since `since_us`.
    pub(super) fn has_credit_since(&self, since_us: u64) -> bool {
        self.entries.len() < self.seats.prefetch(&self.config) && self.full_until_us < since_us
    }

    /// How many deliveries are held.
    pub(super) fn held(&self) -> usize {
        self.entries.len()
    }

    /// A delivery that was at no child since `since_us`, and due at `wall_ms`.
    pub(super) fn runnable_since(&self, since_us: u64, wall_ms: i64) -> Option<Handle> {
        // How long suspects wait depends on the cells; that they do not wait for ever shows in the end.
        self.find(|entry| {
            self.had_room_since(entry.request.queue, since_us)
                && entry.waits_since(&self.permits, since_us, wall_ms)
                && !self.is_suspect(entry)
        })
    }

    /// Whether it is at work, or a suspect, which may wait long for its cell.
    fn has_place(&self, entry: &Entry) -> bool {
        entry.is_at_work() || entry.stage == Stage::Held && self.is_suspect(entry)
    }

    /// Whether it might have had one more of a queue since `since_us`.
    pub(super) fn had_room_since(&self, queue: u16, since_us: u64) -> bool {
        let at_work = self.entries.values().filter(|entry| entry.request.queue == queue && self.has_place(entry));
        (at_work.count() as u32) < self.lines.limit(queue) && self.lines.had_room_since(queue, since_us)
    }

    /// Remembers which queues have as much at work as they may.
    fn note_full_queues(&mut self, now_us: u64) {
        if self.lines.are_free() {
            return;
        }
        let at_work = self.entries.values().filter(|entry| self.has_place(entry));
        let at_work: Vec<u16> = at_work.map(|entry| entry.request.queue).collect();
        self.lines.note(&at_work, now_us);
    }

    /// No more of a queue is asked for than may run beside what is at children.
    fn check_portions(&self, portions: &[Portion]) -> Verdict {
        for (queue, most) in self.lines.bounds() {
            let room = portions.get(usize::from(queue)).map_or(u32::MAX, |portion| portion.room);
            let at_children = self.at_children(queue);
            require!(
                queue_room_kept: room.saturating_add(at_children) <= most || room == 0,
                "{room} of queue {queue} are asked for beside {at_children} at work, {most} may be"
            );
        }
        Ok(())
    }

    fn at_children(&self, queue: u16) -> u32 {
        let is_there = |entry: &&Entry| entry.request.queue == queue && matches!(entry.stage, Stage::AtChild(..));
        self.entries.values().filter(is_there).count() as u32
    }

    /// The same, if others could run it.
    pub(super) fn returnable_since(&self, since_us: u64, wall_ms: i64) -> Option<Handle> {
        self.find(|entry| {
            // Who waits for a shared permit here would wait for it there.
            let may_wait = !entry.was_dispatched && !entry.is_permitted && self.is_shared(entry);
            entry.waits_since(&self.permits, since_us, wall_ms)
                && entry.stage == Stage::Held
                && !entry.is_acked
                && !self.is_suspect(entry)
                && !may_wait
        })
    }

    /// Whether its task has a limit that all workers share.
    fn is_shared(&self, entry: &Entry) -> bool {
        entry.request.task.is_some_and(|task| {
            self.config.tasks[task as usize].rate_scope == Scope::Shared && self.permits[task as usize].is_limited()
        })
    }

    fn find(&self, is_wanted: impl Fn(&Entry) -> bool) -> Option<Handle> {
        self.entries.iter().find(|(_, entry)| is_wanted(entry)).map(|(&handle, _)| handle)
    }

    /// Whether new work may start.
    pub(super) fn is_at_work(&self) -> bool {
        self.is_broker_up && self.is_lease_safe && self.shutdown.is_none()
    }

    /// Children that were told to be ready and have unfinished tasks.
    pub(super) fn busy_children(&self) -> Vec<ChildId> {
        let mut busy: Vec<_> =
            self.children.iter().filter(|(_, seat)| !seat.open.is_empty()).map(|(&child, _)| child).collect();
        busy.sort_unstable();
        busy
    }

    /// A fact on its way to the engine. Returns handles that are free once the engine has been told.
    pub(super) fn event(&mut self, event: &Event, now: Now) -> Vec<Handle> {
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
                    self.entries.remove(handle);
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
                let running = seat.running.filter(|_| is_free).map(|(number, _)| (number, seat.open[&number]));
                if let Some((number, handle)) = running
                    && self.entry(handle).must_be_terminated
                {
                    self.owes_termination = Some((child, number));
                }
            }
            Event::ObservedMany { child, next, ref running } => {
                let seat = self.seat(child);
                seat.all_running =
                    running.iter().filter(|(number, _)| seat.open.contains_key(number)).copied().collect();
                debug_assert!(running.iter().all(|&(number, _)| number < next), "what runs was claimed");
                let is_free = !seat.is_condemned;
                let untold: Vec<(Number, Handle)> = seat
                    .all_running
                    .keys()
                    .filter(|number| is_free && !seat.told.contains_key(number))
                    .map(|number| (*number, seat.open[number]))
                    .collect();
                for (number, handle) in untold {
                    if self.entry(handle).must_be_terminated {
                        self.owes_termination = Some((child, number));
                    }
                }
            }
            Event::Awake { .. } => {}
            Event::Recalled { child, from } => {
                let seat = self.seat(child);
                seat.is_recalling = false;
                for handle in seat.open.split_off(&from).into_values() {
                    let entry = self.entry(handle);
                    entry.stage = Stage::Held;
                    entry.held_since_us = now_us;
                }
            }
            Event::Ended { child, number, outcome, .. } => {
                if let Some(handle) = self.seat(child).open.remove(&number) {
                    let seat = self.seat(child);
                    seat.ran += 1;
                    let was_told = seat.told.remove(&number).is_some();
                    let entry = self.entry(handle);
                    entry.stage = Stage::Held;
                    if matches!(outcome, Outcome::TimeLimit | Outcome::Terminated) {
                        assert!(was_told, "the model child ends only what it was told to end");
                        (entry.has_died, entry.recorded, entry.held_since_us) = (true, None, now_us);
                        entry.deaths += 1;
                        entry.was_killed_by_limit |= outcome == Outcome::TimeLimit;
                    } else {
                        entry.reported = Some(outcome);
                    }
                }
            }
            Event::ChildExited { child, next } => self.child_exited(child, next, now_us),
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
                        permits.left(now_us);
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
                    let entry = self.entry(handle);
                    entry.is_revoked = true;
                    entry.must_be_terminated |= terminate.is_some();
                }
            }
            Event::QueueOpened { queue, .. } => self.lines.open(queue),
            Event::QueueClosed { queue } => self.lines.close(queue),
            Event::QueueWithdrawn { .. } | Event::Wake | Event::Tick | Event::LimitsChanged { .. } => {}
        }
        Vec::new()
    }

    /// An action of the engine, before it is carried out.
    pub(super) fn action(&mut self, now: Now, action: &Action) -> Verdict {
        require!(last_word: !self.has_finished, "{action:?} after Finished");
        match action {
            Action::Fetch { max, portions } => {
                self.check_portions(portions)?;
                require!(one_fetch: self.fetching.is_none(), "a second Fetch");
                require!(fetch_at_work: self.is_at_work(), "Fetch while it must not");
                let room = self.room(self.drawing);
                require!(fetch_room: (1..=room).contains(&(*max as usize)), "Fetch of {max} with room for {room}");
                self.fetching = Some(*max);
            }
            Action::Draw { max, portions, .. } => {
                self.check_portions(portions)?;
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
            Action::Dispatch { child, first, handles, .. } => self.dispatch(now, *child, *first, handles)?,
            Action::Recall { child } => {
                let seat = self.living(*child)?;
                require!(one_recall: !seat.is_recalling, "a second Recall of {child:?}");
                seat.is_recalling = true;
            }
            Action::RecordAttempt { handle, floor } => self.record(*handle, *floor)?,
            Action::Settle { handle, ending } => self.settle(now, *handle, ending)?,
            Action::SoftLimit { child, number, .. } => {
                self.soft_limit(now, *child, *number)?;
            }
            Action::Interrupt { child, number, kind } => self.interrupt(now, *child, *number, *kind)?,
            Action::Terminate { child, number, .. } => {
                let seat = self.living(*child)?;
                require!(terminate_once: seat.terminated.is_none(), "a second Terminate of {child:?}");
                require!(terminate_frozen: seat.is_recalling, "Terminate of {child:?} without a Recall that freezes it");
                let handle = *seat.open.get(number).ok_or("terminate_running: Terminate of an ended task")?;
                seat.terminated = Some((*number, now.mono_us));
                let entry = self.get(handle)?;
                require!(terminate_revoked: entry.must_be_terminated, "Terminate of {entry:?}");
                entry.was_terminated = true;
                self.owes_termination = None;
            }
            Action::Kill { child } => {
                self.owes_termination = None;
                self.owes_kill.take_if(|it| it == child);
                self.kill(now, *child)?;
            }
            Action::DumpStacks { child, number } => self.dump(now, *child, *number)?,
            Action::Spawn { child } => {
                let has_acked = self.entries.values().any(|entry| entry.is_acked && entry.stage == Stage::Held);
                require!(
                    spawn_at_work: self.shutdown.is_none() || (self.shutdown < Some(Shutdown::Cold) && has_acked),
                    "Spawn during a shutdown"
                );
                let before = self.children.insert(*child, Seat::default());
                require!(spawn_once: before.is_none(), "{child:?} was spawned twice");
                // Those that were told to exit, or killed, may take their time; so may those with their last task, and
                // those that are at work where fewer seats are left.
                let bound = self.config.max_tasks_per_child.map_or(usize::MAX, |most| most as usize);
                let (cells, children): (Vec<_>, Vec<_>) =
                    self.children.iter().partition(|(id, _)| self.cells.contains(id));
                if self.cells.contains(child) {
                    let cells = cells.iter().filter(|(_, seat)| !seat.is_condemned).count();
                    require!(cells_bounded: cells <= MOST_CELLS, "{cells} children take suspects only");
                    return Ok(());
                }
                let staying = children.iter().filter(|(_, seat)| !seat.is_condemned && !seat.is_spent(bound)).count();
                let busy = children.iter().filter(|(_, seat)| !seat.open.is_empty()).count();
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
    fn room(&self, coming: Option<u32>) -> usize {
        self.seats.prefetch(&self.config).saturating_sub(self.entries.len() + coming.unwrap_or(0) as usize)
    }

    fn dispatch(&mut self, now: Now, child: ChildId, first: Number, handles: &[Handle]) -> Verdict {
        let is_running = self.shutdown.is_none();
        require!(start_at_risk: self.is_lease_safe || !is_running, "Dispatch with the lease at risk");
        require!(start_in_cold: self.shutdown != Some(Shutdown::Cold), "Dispatch in a cold shutdown");
        require!(dispatch_something: !handles.is_empty(), "an empty Dispatch");
        let slots = self.config.slots as usize;
        let most = if slots > 1 { slots } else { self.config.window_max.max(1) as usize };
        let (most_attempts, highest_wall_ms) = (self.config.max_deliveries, self.highest_wall_ms);
        let seat = self.living(child)?;
        require!(child_ready: seat.is_ready, "Dispatch to {child:?}, which is not ready");
        require!(dispatch_in_recall: !seat.is_recalling, "Dispatch to {child:?} during a Recall");
        require!(dispatch_to_doomed: seat.terminated.is_none(), "Dispatch to {child:?}, whose task was terminated");
        require!(numbers_in_order: seat.next_number == first, "{child:?} got number {first} after {}", seat.next_number);
        seat.next_number += handles.len() as u32;
        let ahead: Vec<_> = seat.open.values().copied().collect();
        let alone = ahead.len() + handles.len() == 1;
        require!(window_bounded: alone || ahead.len() + handles.len() <= most, "{child:?} has more than {most} tasks");
        let (total, is_outgrown) = (seat.ran as usize + ahead.len() + handles.len(), seat.is_outgrown);
        let bound = self.config.max_tasks_per_child.map_or(usize::MAX, |most| most as usize);
        require!(tasks_per_child: total <= bound, "{child:?} has been given {total} tasks, {bound} are allowed");
        require!(memory_per_child: !is_outgrown, "{child:?} is too large and gets more work");
        let cells = self.cells.clone();
        let busy = self.children.iter().filter(|(id, seat)| !seat.open.is_empty() && !cells.contains(id)).count();
        let now_busy = busy + usize::from(ahead.is_empty() && !cells.contains(&child));
        // In a shutdown no order takes a seat away any more: what was acknowledged early has to run somewhere.
        // Those that leave give up their seats where they would leave slots empty, up to one for each seat.
        let most_busy = match slots {
            1 if is_running => self.seats.most(),
            1 => self.seats.most_ever(),
            _ => 2 * self.seats.most_ever(),
        };
        require!(seats: !ahead.is_empty() || now_busy <= most_busy, "{now_busy} children work at once");
        if slots > 1 {
            self.check_company(child, ahead.iter().chain(handles))?;
        } else {
            for handle in ahead.iter().chain(handles) {
                let entry = self.get(*handle)?;
                let must_be_alone = entry.request.is_redelivered || entry.has_died;
                require!(runs_alone: alone || !must_be_alone, "the redelivered {handle:?} does not run alone");
            }
        }
        for (number, &handle) in (first..).zip(handles) {
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
            let at_children = self.at_children(queue);
            let most = self.lines.limit(queue);
            require!(queue_limit_kept: at_children <= most, "{at_children} of queue {queue} are at work, {most} may be");
            self.seat(child).open.insert(number, handle);
        }
        Ok(())
    }

    /// Where tasks run beside others: what was started before shares a cell with few, or with nobody on its last attempt.
    fn check_company<'h>(&mut self, child: ChildId, company: impl Iterator<Item = &'h Handle>) -> Verdict {
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
    fn interrupt(&mut self, now: Now, child: ChildId, number: Number, kind: Interrupt) -> Verdict {
        require!(interrupt_among: self.config.slots > 1, "Interrupt of {child:?}, which has one slot");
        let seat = self.living(child)?;
        let since_us = seat.all_running.get(&number).copied();
        let (Some(since_us), Some(&handle)) = (since_us, seat.open.get(&number)) else {
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
        let entry = self.get(handle)?;
        if kind == Interrupt::Terminate {
            require!(terminate_revoked: entry.must_be_terminated, "Terminate of {entry:?}");
            entry.was_terminated = true;
            return Ok(());
        }
        let (soft_s, hard_s) = (entry.request.soft_limit_s, entry.request.hard_limit_s);
        let options = &self.config.tasks[self.entries[&handle].request.task.expect("it runs") as usize];
        let limit_s = if matches!(kind, Interrupt::SoftLimit { .. }) {
            soft_s.or(options.soft_limit_s)
        } else {
            hard_s.or(options.hard_limit_s)
        };
        let limit_us = limit_s.map(|limit_s| (limit_s * 1e6) as u64);
        let ran_us = now.mono_us - since_us;
        require!(limit_not_early: limit_us.is_some_and(|us| ran_us >= us), "{kind:?} after {ran_us} of {limit_us:?} us");
        let is_late = limit_us.is_some_and(|us| ran_us > us + 50_000);
        require!(limit_not_late: !is_late, "{kind:?} after {ran_us} of {limit_us:?} us");
        Ok(())
    }

    fn record(&mut self, handle: Handle, floor: u32) -> Verdict {
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

    fn settle(&mut self, now: Now, handle: Handle, ending: &Ending) -> Verdict {
        let acks_late = self.acks_late(handle);
        let (ends_on_timeout, runs_again) = self.after_death(handle);
        let early_limit = 2 * self.seats.most_ever() * self.config.slots as usize;
        let is_early = |entry: &&Entry| (entry.is_acked && entry.stage != Stage::Final) || entry.stage == Stage::Acking;
        let early = self.entries.values().filter(is_early).count();
        let (max, shutdown) = (self.config.max_deliveries, self.shutdown);
        let (is_broker_up, is_lease_safe) = (self.is_broker_up, self.is_lease_safe);
        let scopes: Vec<Scope> = self.config.tasks.iter().map(|task| task.rate_scope).collect();
        let entry = self.get(handle)?;
        require!(settle_once: entry.stage == Stage::Held, "{ending:?} of {handle:?} at {:?}", entry.stage);
        let untouched = entry.reported.is_none() && !entry.is_acked;
        let acked = entry.is_acked;
        if entry.was_terminated && entry.reported.is_none() {
            let is_kept = matches!(ending, Ending::Revoked { terminated: Some(_), .. } | Ending::TimeLimit { .. });
            require!(terminated_ends_revoked: is_kept, "{ending:?} of the terminated {entry:?}");
        }
        let is_right = match *ending {
            Ending::EarlyAck => {
                require!(early_bounded: early < early_limit, "{early} early acknowledgements");
                entry.stage = Stage::Acking;
                return if !acks_late && untouched && is_broker_up && (is_lease_safe || shutdown.is_some()) {
                    Ok(())
                } else {
                    Err(format!("early_ack_right: EarlyAck of {entry:?}"))
                };
            }
            Ending::AsReported { acked_early } => match entry.reported {
                Some(Outcome::Reject { requeue: true }) => acked && acked_early,
                Some(_) => acked == acked_early,
                None => false,
            },
            Ending::Return => untouched && ((!entry.has_died && !entry.was_spared) || entry.is_lost),
            Ending::Redeliver if acked => false,
            Ending::Requeue => !acked && entry.reported == Some(Outcome::Reject { requeue: true }),
            Ending::Redeliver => {
                let was_started = entry.has_died || entry.was_spared;
                entry.reported.is_none() && was_started && max_not_exceeded(max, entry, shutdown)
            }
            Ending::Lane => {
                let is_own = |task: u32| scopes[task as usize] == Scope::Worker;
                untouched && !entry.was_dispatched && entry.request.task.is_some_and(is_own)
            }
            Ending::Park { until_ms } => untouched && entry.request.eta_ms == Some(until_ms) && until_ms > now.wall_ms,
            Ending::Expired => untouched && entry.request.expires_ms.is_some_and(|ms| now.wall_ms > ms),
            Ending::Unknown => entry.request.task.is_none(),
            Ending::Revoked { terminated, acked_early } => {
                let ended_so = match terminated {
                    Some(_) => entry.was_terminated && entry.has_died,
                    None => !entry.was_terminated,
                };
                acked == acked_early && entry.is_revoked && entry.reported.is_none() && ended_so
            }
            Ending::WorkerLost { acked_early, .. } if acked => {
                acked_early && entry.reported.is_none() && (entry.has_died || entry.was_spared || shutdown.is_some())
            }
            Ending::WorkerLost { attempts, acked_early } => {
                let is_given_up = (max > 0 && attempts >= max) || (!runs_again && entry.has_died);
                !acked_early && entry.reported.is_none() && is_given_up
            }
            Ending::TimeLimit { acked_early, .. } => {
                let is_last = max > 0 && entry.last_recorded.max(entry.deaths) >= max;
                let may_end = acked || ends_on_timeout || is_last || entry.is_lost;
                acked == acked_early && entry.reported.is_none() && entry.was_killed_by_limit && may_end
            }
        };
        require!(ending_right: is_right, "{ending:?} of {entry:?}");
        entry.stage = Stage::Final;
        let request = entry.request.clone();
        if let Some(permits) = self.permits_of(&request) {
            permits.left(now.mono_us);
        }
        Ok(())
    }

    fn soft_limit(&mut self, now: Now, child: ChildId, number: Number) -> Verdict {
        let seat = self.living(child)?;
        require!(soft_once: !seat.soft_sent.contains(&number), "a second SoftLimit for {child:?} {number}");
        seat.soft_sent.push(number);
        let since_us = seat.running.filter(|&(running, _)| running == number).map(|(_, since_us)| since_us);
        let handle = seat.open.get(&number).copied();
        let (Some(since_us), Some(handle)) = (since_us, handle) else {
            return Err(format!("soft_hits_running: SoftLimit for {child:?} {number}, which does not run"));
        };
        let request = &self.get(handle)?.request;
        let (task, own_s) = (request.task.expect("it runs") as usize, request.soft_limit_s);
        let limit_us = own_s.or(self.config.tasks[task].soft_limit_s).map(|limit_s| (limit_s * 1e6) as u64);
        let ran_us = now.mono_us - since_us;
        require!(soft_not_early: limit_us.is_some_and(|us| ran_us >= us), "SoftLimit after {ran_us} of {limit_us:?} us");
        Ok(())
    }

    /// Stacks are asked for once for each long task, before a kill for its limit, and of those that do not answer.
    fn dump(&mut self, now: Now, child: ChildId, number: Option<Number>) -> Verdict {
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

    fn kill(&mut self, now: Now, child: ChildId) -> Verdict {
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
            let handles: Vec<Handle> = over.iter().map(|number| seat.open[number]).collect();
            for handle in handles {
                let entry = self.get(handle)?;
                entry.was_killed_by_limit |= !entry.was_terminated;
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
        let handle = *seat.open.get(&number).ok_or("limit_hits_running: Kill for an ended task")?;
        let entry = self.get(handle)?;
        entry.was_killed_by_limit = true;
        let task = entry.request.task.expect("it runs") as usize;
        let own_s = entry.request.hard_limit_s;
        let limit_s = own_s.or(self.config.tasks[task].hard_limit_s);
        let limit_us = (limit_s.ok_or("limit_hits_running: Kill without a hard limit")? * 1e6) as u64;
        require!(limit_not_early: now.mono_us - since_us >= limit_us, "Kill before the limit is over");
        require!(
            limit_not_late: now.mono_us - since_us <= limit_us + 50_000,
            "Kill {} us after the limit was over",
            now.mono_us - since_us - limit_us
        );
        Ok(())
    }

    fn child_exited(&mut self, child: ChildId, next: Number, now_us: u64) {
        let seat = self.children.remove(&child).expect("the driver reports an exit once");
        for (number, handle) in seat.open {
            let entry = self.entry(handle);
            entry.stage = Stage::Held;
            entry.held_since_us = now_us;
            if number < next && seat.is_killed_for_one && !seat.told.contains_key(&number) {
                // The same attempt again, if it was counted.
                entry.was_spared = true;
            } else if number < next {
                entry.was_killed_by_limit |= seat.told.contains_key(&number) && !entry.was_terminated;
                entry.has_died = true;
                entry.deaths += 1;
                entry.recorded = None;
            }
        }
    }

    /// Whether a delivery that is started for the first time may be, as far as rate limits go.
    fn may_start(&mut self, request: &Request, now_us: u64) -> bool {
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

    /// Whether this worker looks after the lanes of a task. Others go back to their queues after a minute.
    pub(super) fn has_lanes(&self, task: u32) -> bool {
        self.permits[task as usize].is_known()
    }

    /// Whether a worker with an idle child should have drawn a message that is in a lane since `since_us`.
    pub(super) fn is_permit_overdue(&self, task: u32, since_us: u64, now_us: u64) -> bool {
        self.permits[task as usize].is_overdue(since_us, now_us)
    }

    /// The account of a delivery's task type, if it has one here.
    fn permits_of(&mut self, request: &Request) -> Option<&mut Permits> {
        self.permits.get_mut(request.task? as usize)
    }

    /// A shutdown was asked for. A soft one without a time of its own is a cold one.
    fn shut_down(&mut self, kind: Shutdown, now_us: u64) {
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

    /// Whether a shutdown should have turned cold for a while, and what runs still runs.
    pub(super) fn is_overdue(&self, now_us: u64) -> bool {
        let is_over = self.cold_at_us.is_some_and(|at_us| at_us + LONGEST_OVERTIME_US <= now_us);
        is_over && self.shutdown < Some(Shutdown::Cold) && self.seats_taken(|seat| !seat.open.is_empty()) > 0
    }

    /// How many living children satisfy a condition.
    fn seats_taken(&self, condition: impl Fn(&Seat) -> bool) -> usize {
        self.children.values().filter(|seat| condition(seat)).count()
    }

    /// Whether a child without tasks may be told to exit: it has done its share, or there are more than enough.
    fn may_stop(&mut self, child: ChildId) -> Verdict {
        let staying = self.seats_taken(|seat| !seat.is_condemned) + 1;
        let (most_tasks, is_shutdown) = (self.config.max_tasks_per_child, self.shutdown.is_some());
        let (least, seat) = (self.seats.least(), self.seat(child));
        let is_spent = most_tasks.is_some_and(|most| seat.ran >= most) || seat.is_outgrown;
        let is_spent = is_spent || self.is_cell(child);
        require!(stop_reason: is_shutdown || is_spent || staying > least, "Stop of {child:?} for no reason");
        Ok(())
    }

    fn acks_late(&self, handle: Handle) -> bool {
        let task = self.entries.get(&handle).and_then(|entry| entry.request.task);
        task.is_none_or(|task| self.config.tasks[task as usize].acks_late)
    }

    /// Whether a hard limit ends the task, and whether a death lets it run again.
    fn after_death(&self, handle: Handle) -> (bool, bool) {
        let task = self.entries.get(&handle).and_then(|entry| entry.request.task);
        task.map_or((true, true), |task| {
            let options = &self.config.tasks[task as usize];
            (options.acks_on_timeout, options.runs_again_when_lost)
        })
    }

    fn living(&mut self, child: ChildId) -> Result<&mut Seat, String> {
        match self.children.get_mut(&child) {
            Some(seat) if !seat.is_condemned => Ok(seat),
            _ => Err(format!("child_lives: {child:?} is gone or going")),
        }
    }

    fn seat(&mut self, child: ChildId) -> &mut Seat {
        self.children.get_mut(&child).expect("facts are about spawned children")
    }

    fn get(&mut self, handle: Handle) -> Result<&mut Entry, String> {
        self.entries.get_mut(&handle).ok_or_else(|| format!("handle_held: {handle:?} is not held"))
    }

    fn entry(&mut self, handle: Handle) -> &mut Entry {
        self.entries.get_mut(&handle).expect("facts are about held handles")
    }
}

/// Whether a delivery that died may go on living: not when it has had all its attempts, unless a cold shutdown
/// killed it.
fn max_not_exceeded(max: u32, entry: &Entry, shutdown: Option<Shutdown>) -> bool {
    max == 0 || entry.deaths < max || entry.is_lost || shutdown == Some(Shutdown::Cold)
}
