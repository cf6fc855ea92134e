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
    /// How much of its queue had passed when it came.
    passed_before: u64,
}

impl Entry {
    /// Whether a child has it, or is to have it when the broker has answered.
    fn is_at_work(&self) -> bool {
        matches!(self.stage, Stage::AtChild(..) | Stage::Recording | Stage::Acking)
    }

    /// Whether it is due at `wall_ms`, and has been at no child since `since_us`, nor waited for others until then.
    fn waits_since(&self, config: &Config, permits: &[Permits], since_us: u64, wall_ms: i64) -> bool {
        let task = self.request.task.map(|task| &config.tasks[task as usize]);
        let since_us = since_us.saturating_sub(task.and_then(|task| task.batch).map_or(0, |terms| terms.wait_us));
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

/// What one number of a child stands for.
#[derive(Debug)]
struct Unit {
    /// Deliveries that have not ended: one, or those of a batch.
    handles: Vec<Handle>,
    is_batch: bool,
    soft_limit_s: Option<f64>,
    hard_limit_s: Option<f64>,
    /// One of them was terminated: others of it are not to blame.
    is_terminated: bool,
}

impl Unit {
    /// A delivery of a batch ended. False: it is none of it, or not any more.
    fn take(&mut self, handle: Handle) -> bool {
        let index = self.handles.iter().position(|&member| member == handle).filter(|_| self.is_batch);
        index.map(|index| self.handles.remove(index)).is_some()
    }
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
    open: BTreeMap<Number, Unit>,
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
    /// With several slots: tasks that were seen to run for very long, and have not had to say where they are.
    owes_locate: Vec<Number>,
    /// With several slots: its loop was seen to stand still, and it has not had to say what keeps it.
    owes_blocked: bool,
    /// With several slots: when its loop turned last (`mono_us`).
    turned_us: Option<u64>,
    /// What that was when it had to say what keeps it.
    told_blocked_us: Option<u64>,
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

mod actions;
mod answers;
mod endings;
mod facts;

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
            passed_before: self.lines.passed(request.queue),
        };
        if let Some(permits) = self.permits_of(request) {
            permits.arrived(now_us);
            if request.is_drawn {
                permits.spent(now_us);
            }
        }
        let before = self.entries.insert(request.handle, entry);
        assert!(before.is_none(), "the simulator reused a handle too early");
    }

    /// Bytes of what is held under these handles.
    pub(super) fn bytes<'a>(&self, handles: impl Iterator<Item = &'a Handle>) -> u64 {
        handles.filter_map(|handle| self.entries.get(handle)).map(|entry| u64::from(entry.request.size)).sum()
    }

    /// Which children take suspects only.
    pub(super) fn know_cells(&mut self, cells: Vec<ChildId>) {
        self.cells = cells;
    }

    /// Where tasks run beside others: whether it may not, having been started before.
    fn is_suspect(&self, entry: &Entry) -> bool {
        let acks_late = entry.request.task.is_some_and(|task| self.config.tasks[task as usize].acks_late);
        self.config.slots > 1 && acks_late && (entry.request.is_redelivered || entry.has_died)
    }

    /// Whether a task that runs beside others has been running for so long that its child had to say where it is.
    pub(super) fn was_located(&self, child: ChildId, number: Number) -> bool {
        self.children.get(&child).is_none_or(|seat| seat.is_condemned || seat.dumped.contains(&number))
    }

    /// Called when the answer to a fact is complete.
    pub(super) fn turn_is_over(&mut self) -> Verdict {
        require!(dump_once: self.owes_kill.is_none(), "DumpStacks of {:?} for no reason", self.owes_kill);
        for (child, seat) in self.children.iter_mut().filter(|(_, seat)| !seat.is_condemned) {
            let owed = std::mem::take(&mut seat.owes_locate);
            require!(locates: owed.is_empty(), "{child:?} {owed:?} run for long, and need not say where they are");
            let is_owed = std::mem::take(&mut seat.owes_blocked);
            require!(tells_blocked: !is_owed, "{child:?} is blocked, and need not say by what");
        }
        match self.owes_termination.take() {
            Some((child, number)) => {
                Err(format!("revoke_terminates: {child:?} {number} runs, is revoked, and is not terminated"))
            }
            None => Ok(()),
        }
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

    /// How many living children satisfy a condition.
    fn seats_taken(&self, condition: impl Fn(&Seat) -> bool) -> usize {
        self.children.values().filter(|seat| condition(seat)).count()
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
