//! The world: what happens when. A heap of things to come, and the engines' deadlines, decide what is next.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};

use super::audit::Audit;
use super::broker::{Broker, Lease, Owner, Place};
use super::child::Child;
use super::faults::Fault;
use super::matrix::{Column, Matrix};
use super::operations::{Answer, Op};
use super::plan::Plan;
use super::rng::Rng;
use super::{Report, Violation};
use crate::engine::Engine;
use crate::event::{ChildId, Event, Now, Shutdown};
use crate::stats::Counters;

/// Unix time at the start, in milliseconds.
const START_MS: i64 = 1_800_000_000_000;
/// The driver's safety poll.
const POLL_US: u64 = 1_000_000;
/// The broker writes down its state so often, if it is going to forget some of it.
const WRITE_DOWN_US: u64 = 100_000;
/// No schedule may need longer, in simulated time…
const LONGEST_US: u64 = 4_000_000_000;
/// …or in steps.
const MOST_STEPS: u64 = 3_000_000;

/// Something to come. Those that name an owner are void once that worker is gone.
#[derive(Clone, Debug)]
pub(super) enum Coming {
    Publish(usize),
    Accident(Fault),
    BrokerUp,
    WriteDown,
    Poll,
    Restart,
    Connects(Owner),
    Revokes(Owner),
    Beat(Owner),
    BeatDone(Owner, u32),
    AtBroker(Owner, Op),
    Answered(Owner, u32, Op, Answer),
    Fact(Owner, Event),
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
    /// What the engine said after its last turn (`mono_us`).
    pub(super) deadline_us: Option<u64>,
    pub(super) audit: Audit,
    pub(super) children: BTreeMap<ChildId, Child>,
    pub(super) free_handles: Vec<u32>,
    pub(super) next_handle: u32,
    /// When as many children had tasks as may, last (`mono_us`): others may be idle spares then.
    pub(super) full_house_us: Option<u64>,
    /// Its node's wall clock, against the true one.
    pub(super) offset_ms: i64,
    /// Whether operations reach the broker.
    pub(super) is_connected: bool,
    /// The number of its connection; answers to an earlier one are lost.
    pub(super) connection: u32,
    /// The engine has been told that the broker is lost.
    pub(super) is_in_trouble: bool,
    /// Settlements and attempts that wait for the connection.
    pub(super) stalled: VecDeque<Op>,
    /// What fetches took whose answers never came: handed out by the next one.
    pub(super) lost_fetches: Vec<Lease>,
    /// When its leases were refreshed last, as far as it knows (`mono_us`).
    pub(super) refreshed_us: u64,
    /// The engine has been told that the leases are at risk.
    pub(super) is_at_risk: bool,
    /// Which owners it sees absent, and since when, on this connection.
    pub(super) absent_since: BTreeMap<Owner, u64>,
    /// It is killed after so many more actions.
    pub(super) doom: Option<u32>,
    /// Messages whose revoke it has confirmed.
    pub(super) confirmed_revokes: BTreeSet<usize>,
    /// What was revoked while it was cut off, and the signal for what runs.
    pub(super) unheard_revokes: Vec<(usize, Option<i32>)>,
    /// Children are forked from then on.
    pub(super) zygote_from_us: u64,
}

/// One schedule at play.
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) rng: Rng,
    pub(super) broker: Broker,
    pub(super) is_broker_up: bool,
    pub(super) workers: BTreeMap<Owner, Worker>,
    pub(super) next_owner: Owner,
    pub(super) mono_us: u64,
    pub(super) counters: Counters,
    pub(super) fetches: u64,
    pub(super) events: u64,
    pub(super) hits: Matrix,
    /// Strikes the next operation that reaches the broker.
    pub(super) armed_op: Option<Fault>,
    /// Strikes the next publisher.
    pub(super) armed_publish: Option<Fault>,
    /// Messages that were revoked, as the broker remembers them.
    pub(super) revoked: BTreeSet<usize>,
    /// Lines for a reader, if one wants them.
    pub(super) story: Option<Vec<String>>,
    is_leaving: bool,
    heap: BinaryHeap<Reverse<Scheduled>>,
    entered: u64,
    steps: u64,
    ended_us: u64,
}

impl World {
    /// Everything published in time, the first workers about to start.
    pub(super) fn new(plan: Plan, rng: Rng, has_story: bool) -> World {
        let broker = Broker::new(plan.letters.clone(), plan.config.queues.len());
        let mut world = World {
            broker,
            rng,
            is_broker_up: true,
            workers: BTreeMap::new(),
            next_owner: 1,
            mono_us: 0,
            counters: Counters::default(),
            fetches: 0,
            events: 0,
            hits: Matrix::default(),
            armed_op: None,
            armed_publish: None,
            revoked: BTreeSet::new(),
            story: has_story.then(Vec::new),
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
        for index in 0..world.plan.accidents.len() {
            let accident = world.plan.accidents[index];
            world.at(accident.at_us, Coming::Accident(accident.fault));
        }
        if world.plan.accidents.iter().any(|accident| accident.fault == Fault::BrokerForgets) {
            world.at(0, Coming::WriteDown);
        }
        for node in 0..world.plan.nodes {
            world.at(node as u64 * 700, Coming::Restart);
        }
        world.at(POLL_US, Coming::Poll);
        world
    }

    /// Plays until every message is terminal and the last worker has left. The story is there if it was asked for.
    pub(super) fn play(mut self) -> (Result<Report, Violation>, Vec<String>) {
        let played = self.play_on();
        let story = self.story.take().unwrap_or_default();
        let at_us = self.mono_us;
        let report = Report {
            config: self.plan.config,
            messages: self.broker.messages,
            steps: self.steps,
            events: self.events,
            fetches: self.fetches,
            counters: self.counters,
            ended_us: self.ended_us,
            hits: self.hits,
            // Every accident adds an uncertainty of its own; without one nothing may hide.
            was_quiet: self.plan.accidents.is_empty(),
            revoked: self.revoked,
        };
        let checked = played.and_then(|()| report.check());
        (checked.map(|()| report).map_err(|what| Violation { at_us, what }), story)
    }

    fn play_on(&mut self) -> Result<(), String> {
        loop {
            self.steps += 1;
            if self.steps > MOST_STEPS || self.mono_us > LONGEST_US {
                return Err(format!("ends: still not over: {:?}", self.open_messages()));
            }
            self.leave_when_all_is_done()?;
            if self.is_leaving && self.workers.is_empty() {
                return Ok(());
            }
            let due = |worker: &Worker| Some((worker.deadline_us?.max(self.mono_us), worker.owner));
            let tick = self.workers.values().filter_map(due).min();
            let Reverse(next) = self.heap.peek().expect("the poll is always to come");
            match tick.filter(|&(at_us, _)| at_us <= next.0) {
                Some((at_us, owner)) => {
                    self.mono_us = at_us + self.rng.range(0, 200);
                    self.tick(owner)?;
                }
                None => {
                    let Reverse(Scheduled(at_us, _, coming)) = self.heap.pop().expect("peeked at");
                    self.mono_us = self.mono_us.max(at_us);
                    self.happen(coming)?;
                }
            }
        }
    }

    /// Both clocks, as a worker's node shows them.
    pub(super) fn now(&self, owner: Owner) -> Now {
        let offset_ms = self.workers.get(&owner).map_or(0, |worker| worker.offset_ms);
        Now { mono_us: self.mono_us, wall_ms: self.true_wall_ms() + offset_ms }
    }

    /// The wall clock of everybody else.
    pub(super) fn true_wall_ms(&self) -> i64 {
        START_MS + (self.mono_us / 1_000) as i64
    }

    /// Adds a line to the story.
    pub(super) fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            story.push(format!("{:>11.3} ms  {}", self.mono_us as f64 / 1e3, line()));
        }
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

    /// All that live.
    pub(super) fn owners(&self) -> Vec<Owner> {
        self.workers.keys().copied().collect()
    }

    /// A short name for what is not terminal, for a failure's message.
    fn open_messages(&self) -> Vec<(usize, Place)> {
        let messages = self.broker.messages.iter().enumerate();
        messages.map(|(index, message)| (index, message.place)).filter(|(_, place)| !place.is_terminal()).collect()
    }

    fn happen(&mut self, coming: Coming) -> Result<(), String> {
        self.broker.now_us = self.mono_us;
        match coming {
            Coming::Publish(index) => self.publish(index),
            Coming::Accident(fault) if !self.is_leaving => return self.strike(fault),
            Coming::BrokerUp => self.broker_comes_back(),
            Coming::WriteDown if self.mono_us <= self.plan.calm_from_us => {
                self.at(self.mono_us + WRITE_DOWN_US, Coming::WriteDown);
                if self.is_broker_up {
                    self.broker.write_down();
                }
            }
            Coming::Poll => {
                self.at(self.mono_us + POLL_US, Coming::Poll);
                return self.poll();
            }
            Coming::Restart => self.restart(),
            Coming::AtBroker(owner, op) => return self.reach_broker(owner, op),
            Coming::Connects(owner) if self.workers.contains_key(&owner) => self.connects(owner),
            Coming::Revokes(owner) => return self.catch_up(owner),
            Coming::Beat(owner) if self.workers.contains_key(&owner) => return self.beat(owner),
            Coming::BeatDone(owner, connection) if self.workers.contains_key(&owner) => {
                return self.beat_done(owner, connection);
            }
            Coming::Answered(owner, connection, op, answer) if self.workers.contains_key(&owner) => {
                return self.answered(owner, connection, op, answer);
            }
            Coming::Fact(owner, event) if self.workers.contains_key(&owner) => return self.feed(owner, event),
            Coming::ReadChild(owner, child) if self.workers.contains_key(&owner) => {
                return self.read_child(owner, child);
            }
            Coming::ChildBorn(owner, child) if self.workers.contains_key(&owner) => self.born(owner, child),
            Coming::ChildStep(owner, child) if self.workers.contains_key(&owner) => {
                return self.step(owner, child);
            }
            _void => {}
        }
        Ok(())
    }

    /// A publisher calls. It repeats the call while the broker is away.
    fn publish(&mut self, index: usize) {
        if !self.is_broker_up {
            let again_us = self.mono_us + self.rng.range(1_000, 20_000);
            return self.at(again_us, Coming::Publish(index));
        }
        let fault = self.armed_publish.take();
        if let Some(fault) = fault {
            self.hits.add(fault, Column::Publish);
        }
        if fault == Some(Fault::PublisherDies) && self.rng.chance(50) {
            self.tell(|| format!("the publisher of message {index} dies before it arrives"));
            self.broker.messages[index].place = Place::Unpublished;
            return;
        }
        if fault == Some(Fault::PublishTwice) {
            let again = self.broker.add(self.broker.messages[index].letter.clone());
            let again_us = self.mono_us + self.rng.range(1_000, 100_000);
            self.at(again_us, Coming::Publish(again));
        }
        self.tell(|| format!("message {index} is published"));
        self.broker.publish(index, self.true_wall_ms());
        self.wake();
    }

    /// Once a second every worker looks after what is parked, and for messages whose wake-up it missed.
    fn poll(&mut self) -> Result<(), String> {
        for owner in self.owners() {
            if self.is_broker_up && self.workers[&owner].is_connected {
                self.broker.release_due(self.now(owner).wall_ms);
                self.broker.release_abandoned();
            }
        }
        if self.is_broker_up {
            self.wake();
        }
        self.check_calm()
    }

    /// Tells the workers that there may be something to fetch.
    pub(super) fn wake(&mut self) {
        for owner in self.owners() {
            if self.workers[&owner].is_connected {
                self.soon(Coming::Fact(owner, Event::Wake));
            }
        }
    }

    /// A node starts its worker, which connects when the broker is there.
    fn restart(&mut self) {
        if self.is_leaving || self.workers.len() >= self.plan.nodes {
            return;
        }
        if !self.is_broker_up {
            return self.at(self.mono_us + 50_000, Coming::Restart);
        }
        let owner = self.next_owner;
        self.next_owner += 1;
        self.tell(|| format!("worker {owner} starts"));
        self.broker.beats.insert(owner, self.mono_us);
        self.workers.insert(
            owner,
            Worker {
                owner,
                engine: Engine::new(self.plan.config.clone()),
                deadline_us: Some(0),
                audit: Audit::new(self.plan.config.clone()),
                children: BTreeMap::new(),
                free_handles: Vec::new(),
                next_handle: 0,
                full_house_us: None,
                offset_ms: 0,
                is_connected: true,
                connection: 1,
                is_in_trouble: false,
                stalled: VecDeque::new(),
                lost_fetches: Vec::new(),
                refreshed_us: self.mono_us,
                is_at_risk: false,
                absent_since: BTreeMap::new(),
                doom: None,
                confirmed_revokes: BTreeSet::new(),
                unheard_revokes: Vec::new(),
                zygote_from_us: 0,
            },
        );
        self.soon(Coming::Beat(owner));
    }

    fn leave_when_all_is_done(&mut self) -> Result<(), String> {
        if !self.is_leaving && self.broker.is_all_terminal() {
            self.is_leaving = true;
            self.ended_us = self.mono_us;
            self.armed_op = None;
            for owner in self.owners() {
                if let Some(worker) = self.workers.get_mut(&owner) {
                    worker.doom = None;
                }
                self.feed(owner, Event::Shutdown(Shutdown::Warm))?;
            }
        }
        Ok(())
    }

    /// The driver will read a child's reports soon.
    pub(super) fn news_from(&mut self, owner: Owner, id: ChildId) {
        self.soon(Coming::ReadChild(owner, id));
    }

    /// One of a worker's processes.
    pub(super) fn child(&mut self, owner: Owner, id: ChildId) -> Option<&mut Child> {
        self.workers.get_mut(&owner)?.children.get_mut(&id)
    }
}
