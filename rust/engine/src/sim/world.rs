//! The world: what happens when. A heap of things to come, and the engine's deadline, decide what is next.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use super::audit::Audit;
use super::broker::{Broker, Lease, Owner};
use super::child::{Child, Run};
use super::plan::{Deed, Faults, Plan};
use super::rng::Rng;
use super::{Report, Violation};
use crate::action::Ending;
use crate::engine::Engine;
use crate::event::{ChildId, Event, Handle, Now, Outcome, Shutdown};
use crate::stats::Counters;

/// Unix time at the start, in milliseconds.
const START_MS: i64 = 1_800_000_000_000;
/// The driver's safety poll.
const POLL_US: u64 = 1_000_000;
/// No schedule may need longer, in simulated time…
const LONGEST_US: u64 = 4_000_000_000;
/// …or in steps.
const MOST_STEPS: u64 = 3_000_000;

/// Something on its way to the broker.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Fetch(u32),
    Settle(Handle, Ending),
    Record(Handle, u32),
}

/// Something to come. Those that name an owner are void once that worker is gone.
#[derive(Clone, Debug)]
pub(super) enum Coming {
    Publish(usize),
    Fault,
    BrokerUp,
    LeaseSafe(Owner),
    Poll,
    Restart,
    AtBroker(Owner, Op),
    Answer(Owner, Event),
    Brought(Owner, Vec<Lease>),
    ReadChild(Owner, ChildId),
    ChildBorn(Owner, ChildId),
    ChildStep(Owner, ChildId),
}

/// An entry of the heap, by time and then by order of entry.
struct Scheduled(u64, u64, Coming);

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

/// One worker incarnation with its driver's state.
pub(super) struct Worker {
    pub(super) owner: Owner,
    pub(super) engine: Engine,
    pub(super) audit: Audit,
    pub(super) children: BTreeMap<ChildId, Child>,
    pub(super) free_handles: Vec<u32>,
    pub(super) next_handle: u32,
    /// When as many children had tasks as may, last (`mono_us`): others may be idle spares then.
    pub(super) full_house_us: Option<u64>,
    /// Settlements and attempts that wait for the broker.
    pub(super) stalled: VecDeque<Op>,
}

/// One schedule at play.
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) rng: Rng,
    pub(super) broker: Broker,
    pub(super) is_broker_up: bool,
    pub(super) worker: Option<Worker>,
    pub(super) next_owner: Owner,
    pub(super) dead_owners: Vec<Owner>,
    pub(super) mono_us: u64,
    pub(super) offset_ms: i64,
    pub(super) counters: Counters,
    pub(super) fetches: u64,
    pub(super) trace: bool,
    /// No accident was planned at all.
    pub(super) is_faultless: bool,
    is_leaving: bool,
    heap: BinaryHeap<Reverse<Scheduled>>,
    entered: u64,
    steps: u64,
    ended_us: u64,
}

impl World {
    /// Everything published in time, the first worker about to start.
    pub(super) fn new(plan: Plan, rng: Rng, trace: bool) -> World {
        let broker = Broker::new(plan.letters.clone(), plan.config.queues);
        let mut world = World {
            broker,
            rng,
            is_broker_up: true,
            worker: None,
            next_owner: 1,
            dead_owners: Vec::new(),
            mono_us: 0,
            offset_ms: 0,
            counters: Counters::default(),
            fetches: 0,
            trace,
            is_faultless: plan.faults == Faults::default(),
            is_leaving: false,
            heap: BinaryHeap::new(),
            entered: 0,
            steps: 0,
            ended_us: 0,
            plan,
        };
        for index in 0..world.plan.letters.len() {
            world.at(world.plan.letters[index].at_us, Coming::Publish(index));
        }
        world.at(0, Coming::Restart);
        world.at(1_000, Coming::Fault);
        world.at(POLL_US, Coming::Poll);
        world
    }

    /// Plays until every message is terminal and the last worker has left.
    pub(super) fn play(mut self) -> Result<Report, Violation> {
        match self.play_on() {
            Ok(()) => Ok(Report {
                config: self.plan.config,
                messages: self.broker.messages,
                steps: self.steps,
                fetches: self.fetches,
                counters: self.counters,
                ended_us: self.ended_us,
            }),
            Err(what) => Err(Violation { at_us: self.mono_us, what }),
        }
    }

    fn play_on(&mut self) -> Result<(), String> {
        loop {
            self.steps += 1;
            if self.steps > MOST_STEPS || self.mono_us > LONGEST_US {
                return Err(format!("still not over: {:?}", self.open_messages()));
            }
            self.leave_when_all_is_done()?;
            if self.is_leaving && self.worker.is_none() {
                return Ok(());
            }
            let tick_us =
                self.worker.as_ref().and_then(|worker| worker.engine.deadline()).map(|due_us| due_us.max(self.mono_us));
            let Reverse(next) = self.heap.peek().expect("the poll is always to come");
            if tick_us.is_some_and(|tick_us| tick_us <= next.0) {
                self.mono_us = tick_us.expect("just compared") + self.rng.range(0, 200);
                self.tick()?;
            } else {
                let Reverse(Scheduled(at_us, _, coming)) = self.heap.pop().expect("peeked at");
                self.mono_us = self.mono_us.max(at_us);
                self.happen(coming)?;
            }
        }
    }

    /// Both clocks.
    pub(super) fn now(&self) -> Now {
        Now { mono_us: self.mono_us, wall_ms: START_MS + (self.mono_us / 1_000) as i64 + self.offset_ms }
    }

    /// Has something happen at a time.
    pub(super) fn at(&mut self, at_us: u64, coming: Coming) {
        self.entered += 1;
        self.heap.push(Reverse(Scheduled(at_us, self.entered, coming)));
    }

    /// Has something happen after a random delay.
    pub(super) fn soon(&mut self, coming: Coming) {
        let delay_us = self.rng.range(1, self.plan.slowness_us);
        self.at(self.mono_us + delay_us, coming);
    }

    /// Whether that worker still lives.
    pub(super) fn is_current(&self, owner: Owner) -> bool {
        self.worker.as_ref().is_some_and(|worker| worker.owner == owner)
    }

    /// A short name for what is not terminal, for a failure's message.
    fn open_messages(&self) -> Vec<(usize, super::Place)> {
        let is_open = |place| {
            use super::Place::{Dead, Done, LostByChoice};
            !matches!(place, Dead | Done | LostByChoice)
        };
        self.broker
            .messages
            .iter()
            .enumerate()
            .map(|(index, message)| (index, message.place))
            .filter(|&(_, place)| is_open(place))
            .collect()
    }

    fn happen(&mut self, coming: Coming) -> Result<(), String> {
        self.broker.now_us = self.mono_us;
        match coming {
            Coming::Publish(index) => {
                self.broker.publish(index, self.now().wall_ms);
                self.wake();
            }
            Coming::Fault => return self.strike(),
            Coming::BrokerUp => return self.broker_comes_back(),
            Coming::LeaseSafe(owner) if self.is_current(owner) => {
                return self.feed(Event::LeaseSafe);
            }
            Coming::Poll => {
                self.at(self.mono_us + POLL_US, Coming::Poll);
                if self.is_broker_up {
                    for owner in self.dead_owners.clone() {
                        self.broker.recover(owner);
                    }
                    self.broker.release_due(self.now().wall_ms);
                    self.wake();
                }
                return self.check_calm();
            }
            Coming::Restart => self.restart(),
            Coming::AtBroker(owner, op) => self.reach_broker(owner, op),
            Coming::Answer(owner, event) if self.is_current(owner) => return self.feed(event),
            Coming::Brought(owner, leases) if self.is_current(owner) => {
                return self.brought(leases);
            }
            Coming::ReadChild(owner, child) if self.is_current(owner) => {
                return self.read_child(child);
            }
            Coming::ChildBorn(owner, child) if self.is_current(owner) => self.born(child),
            Coming::ChildStep(owner, child) if self.is_current(owner) => self.step(child),
            _ => {}
        }
        Ok(())
    }

    /// Tells the worker that there may be something to fetch.
    pub(super) fn wake(&mut self) {
        if let Some(worker) = &self.worker {
            let owner = worker.owner;
            self.soon(Coming::Answer(owner, Event::Wake));
        }
    }

    fn restart(&mut self) {
        if self.is_leaving || self.worker.is_some() {
            return;
        }
        self.worker = Some(Worker {
            owner: self.next_owner,
            engine: Engine::new(self.plan.config.clone()),
            audit: Audit::new(self.plan.config.clone()),
            children: BTreeMap::new(),
            free_handles: Vec::new(),
            next_handle: 0,
            full_house_us: None,
            stalled: VecDeque::new(),
        });
        self.next_owner += 1;
    }

    fn leave_when_all_is_done(&mut self) -> Result<(), String> {
        if !self.is_leaving && self.broker.is_all_terminal() {
            self.is_leaving = true;
            self.ended_us = self.mono_us;
            self.plan.faults = Faults::default();
            if self.worker.is_some() {
                return self.feed(Event::Shutdown(Shutdown::Warm));
            }
        }
        Ok(())
    }

    fn born(&mut self, id: ChildId) {
        let is_still = self.mono_us < self.plan.calm_from_us && self.rng.chance(self.plan.faults.stillbirth);
        let now_us = self.mono_us;
        let Some(child) = self.child(id).filter(|child| child.is_alive) else {
            return;
        };
        if is_still {
            child.die();
        } else {
            child.is_ready = true;
            child.idle_since_us = now_us;
            child.outbox.push_back(Event::ChildReady { child: id });
        }
        self.news_from(id);
    }

    /// A child does what it can: ends what is over, claims what is next, exits if told to.
    pub(super) fn step(&mut self, id: ChildId) {
        let now_us = self.mono_us;
        let Some(child) = self.child(id).filter(|child| child.is_alive) else {
            return;
        };
        if let Some(run) = child.run.filter(|run| run.until_us <= now_us) {
            match run.deed {
                Deed::Ends(outcome) => child.finish(outcome, now_us),
                Deed::Kills | Deed::KillsOnce | Deed::Hangs => child.die(),
            }
            self.news_from(id);
        }
        let child = self.child(id).expect("looked at above");
        if let Some((number, handle)) = child.claim() {
            let (deed, runtime_us) = self.start(handle);
            let run = Run { number, since_us: now_us, until_us: now_us.saturating_add(runtime_us), deed };
            self.child(id).expect("looked at above").run = Some(run);
            if deed != Deed::Hangs {
                let owner = self.worker.as_ref().expect("it has a child").owner;
                self.at(run.until_us, Coming::ChildStep(owner, id));
            }
        } else if child.is_stopping && child.run.is_none() {
            child.die();
            self.news_from(id);
        }
    }

    /// What the task of a delivery is going to do, and for how long.
    fn start(&mut self, handle: Handle) -> (Deed, u64) {
        let worker = self.worker.as_ref().expect("its child starts something");
        let lease = worker.audit.lease_of(handle);
        let message = &mut self.broker.messages[lease.message];
        message.starts += 1;
        let deed = match message.letter.deed {
            Deed::KillsOnce if message.starts > 1 => Deed::Ends(Outcome::Success),
            Deed::Ends(Outcome::Reject { requeue: true }) if message.starts > 1 => Deed::Ends(Outcome::Success),
            deed => deed,
        };
        (deed, message.letter.runtime_us)
    }

    /// The driver will read a child's reports soon.
    pub(super) fn news_from(&mut self, id: ChildId) {
        let owner = self.worker.as_ref().expect("it has a child").owner;
        self.soon(Coming::ReadChild(owner, id));
    }

    /// One of the current worker's processes.
    pub(super) fn child(&mut self, id: ChildId) -> Option<&mut Child> {
        self.worker.as_mut()?.children.get_mut(&id)
    }
}
