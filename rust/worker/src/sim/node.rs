//! A node: the real settlement, joins and leases; in the place of engine, children and main thread, what they decide and
//! make, after a while.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use fastworker_broker::{
    ChordClient, Delivery, Join, Joined, LeaseTerms, MemoryBroker, MemoryResultClient, MemoryStore, Parts, Publish,
    Remains, ResultClient, ResultDoc, Settlement,
};
use fastworker_engine::{Ending, Handle};
use fastworker_wire::child::OutcomeKind;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::sleep;

use crate::broker_io::BrokerIo;
use crate::fact::{Command, Fact, Settling};
use crate::held::{Held, HeldTable, MemberPart, Reported};
use crate::joins::Joins;
use crate::report::Report;
use crate::settle::{self, Lifetimes, Policy};
use crate::worker::Author;

use super::canvas::{Effects, Letter, QUEUE, number_of, read_part, take_name, take_seat};
use super::flow::{Deed, Flow};
use super::gate::{Gate, Who};
use super::servers::{Mutant, SimBroker, SimStore};
use super::world::World;

const TERMS: LeaseTerms = LeaseTerms { life: Duration::from_secs(10), refresh: Duration::from_millis(3_333) };
/// Tasks that a node holds at once.
const PLACES: usize = 4;
const MAX_DELIVERIES: u32 = 3;
const POLICY: Policy =
    Policy { lifetimes: Lifetimes { result_s: None, failure_s: None, chord_s: None }, discards_unknown: false };

/// One node after another, each time the last one has been killed.
pub(super) async fn seat(world: Rc<World>, seat: usize) {
    for incarnation in 0.. {
        let gate = Gate::new(&world, format!("node {seat}.{incarnation}"));
        Node::start(&world, &gate).live().await;
        sleep(world.pause() * 4).await;
    }
}

/// What a child did of a task.
struct Done {
    run: u64,
    ending: Ending,
    reported: Option<Reported>,
    parts: Vec<MemberPart>,
    published: Vec<Publish>,
}

struct Node {
    world: Rc<World>,
    gate: Rc<Gate>,
    io: BrokerIo<SimBroker, SimStore>,
    facts: UnboundedReceiver<Fact>,
    done: UnboundedReceiver<Done>,
    children: UnboundedSender<Done>,
    held: HeldTable,
    letters: HashMap<Handle, (String, Letter)>,
    /// Runs under way; a handle is used again, a run's number is not.
    runs: HashMap<u64, Handle>,
    last_run: u64,
    settling: Vec<(Settlement, Option<Settling>)>,
    is_settling: bool,
    is_fetching: bool,
    may_be_more: bool,
    joins: Joins,
}

impl Node {
    fn start(world: &Rc<World>, gate: &Rc<Gate>) -> Node {
        let (sender, facts) = unbounded_channel();
        let (children, done) = unbounded_channel();
        let real = MemoryBroker::connect(&world.broker, &[QUEUE.to_owned()], TERMS).expect("the room is ours");
        let store = || SimStore { real: MemoryStore::connect(&world.results), gate: Rc::clone(gate) };
        let io = BrokerIo {
            broker: Rc::new(SimBroker::new(real, gate, world)),
            store: (world.broker != world.results).then(|| Rc::new(store())),
            facts: sender,
            clock_moved: Rc::default(),
            answers_again: Rc::default(),
        };
        tokio::task::spawn_local(io.clone().keep_lease(TERMS));
        Node {
            world: Rc::clone(world),
            gate: Rc::clone(gate),
            io,
            facts,
            done,
            children,
            held: HeldTable::default(),
            letters: HashMap::new(),
            runs: HashMap::new(),
            last_run: 0,
            settling: Vec::new(),
            is_settling: false,
            is_fetching: false,
            may_be_more: true,
            joins: Joins::default(),
        }
    }

    /// Until it is killed.
    async fn live(mut self) {
        let gate = Rc::clone(&self.gate);
        loop {
            self.fetch();
            self.flush();
            tokio::select! {
                biased;
                fact = self.facts.recv() => self.take(fact.expect("we hold a sender")),
                done = self.done.recv() => self.child_done(done.expect("we hold a sender")),
                () = gate.died() => return,
            }
        }
    }

    fn fetch(&mut self) {
        let room = PLACES.saturating_sub(self.held.len());
        if room > 0 && self.may_be_more && !self.is_fetching {
            (self.is_fetching, self.may_be_more) = (true, false);
            self.io.fetch(room, Vec::new());
        }
    }

    fn flush(&mut self) {
        if !self.is_settling && !self.settling.is_empty() {
            self.is_settling = true;
            let (settlements, batch) = self.settling.drain(..).unzip();
            self.io.settle(settlements, batch, false);
        }
    }

    fn take(&mut self, fact: Fact) {
        match fact {
            Fact::Fetched(fetched, _) => {
                self.is_fetching = false;
                let deliveries = fetched.expect("fetches are left alone");
                self.may_be_more |= !deliveries.is_empty();
                deliveries.iter().for_each(|delivery| self.received(delivery));
                if !self.may_be_more {
                    self.io.wait();
                }
            }
            Fact::Wake | Fact::Recovered(_) => self.may_be_more = true,
            Fact::AttemptRecorded { handle, attempt: Some(attempt) } => self.begin(handle, attempt),
            Fact::AttemptRecorded { handle, attempt: None } => self.forget(handle),
            Fact::Published { authors, refusal } => {
                assert_eq!(refusal, None);
                for author in authors.into_iter().flatten() {
                    let Author::One(handle, tag) = author else { continue };
                    let Some(held) = self.held.get_mut(handle).filter(|held| held.tag == tag) else { continue };
                    held.unconfirmed -= 1;
                    self.settle(handle);
                }
            }
            Fact::Settled { batch, lost, joins, .. } => {
                self.is_settling = false;
                debug_assert!(lost.iter().all(|at| *at < batch.len()));
                batch.into_iter().flatten().for_each(|settling| self.forget(settling.handle));
                self.joins.take(joins, &self.io);
            }
            Fact::Joins(joins) => self.joins.take(joins, &self.io),
            Fact::Parts { join, parts } => {
                if let Report::Join { join, parts, .. } = self.joins.parts_read(join, parts) {
                    tokio::task::spawn_local(make(
                        Rc::clone(&self.world),
                        Rc::clone(&self.gate),
                        self.io.facts.clone(),
                        join,
                        parts,
                    ));
                }
            }
            Fact::Command(Command::Joined(joined, parts)) => {
                let members = settle::members(parts, POLICY.lifetimes);
                self.joins.made(joined, members, &self.io).expect("no list of results is large");
            }
            Fact::JoinEnded { join, is_done: _, joins } => {
                self.joins.ended(&join, &self.io);
                self.joins.take(joins, &self.io);
            }
            _ => {}
        }
    }

    fn received(&mut self, delivery: &Delivery) {
        let number = number_of(&delivery.message);
        let letter = self.world.book.borrow().letter(number);
        *self.world.seen.borrow_mut().entry(number).or_default() += 1;
        self.world.tell(|| format!("   {} has {} (letter {number})", self.gate.name(), letter.id));
        let handle = self.held.insert(held(delivery, &letter));
        self.letters.insert(handle, (number.to_string(), letter));
        if delivery.is_redelivered {
            let held = self.held.get_mut(handle).expect("just inserted");
            held.has_attempts = true;
            self.io.record_attempt(handle, held.tag, held.id.clone(), 1);
        } else {
            self.begin(handle, 1);
        }
    }

    fn begin(&mut self, handle: Handle, attempt: u32) {
        let Some((message, letter)) = self.letters.get(&handle).cloned() else { return };
        self.last_run += 1;
        self.runs.insert(self.last_run, handle);
        let child = Child {
            world: Rc::clone(&self.world),
            gate: Rc::clone(&self.gate),
            run: self.last_run,
            message,
            letter,
            attempt,
        };
        let children = self.children.clone();
        tokio::task::spawn_local(async move {
            sleep(child.world.pause()).await;
            let done = child.run().await;
            // The node may be dead by now.
            let _dead = children.send(done);
        });
    }

    fn child_done(&mut self, done: Done) {
        let Some(handle) = self.runs.remove(&done.run) else { return };
        let Some(held) = self.held.get_mut(handle) else { return };
        let is_reported = matches!(done.ending, Ending::AsReported { .. });
        let counts = is_reported || self.world.mutant != Some(Mutant::CountsReportedOnly);
        held.parts = if counts { done.parts } else { Vec::new() };
        held.reported = done.reported;
        held.ending = Some(done.ending);
        if !done.published.is_empty() {
            let author = Some(Author::One(handle, held.tag));
            held.unconfirmed += done.published.len() as u32;
            let authors = vec![author; done.published.len()];
            self.io.publish(done.published, authors);
        }
        self.settle(handle);
    }

    fn settle(&mut self, handle: Handle) {
        let Some(held) = self.held.get_mut(handle) else { return };
        if held.unconfirmed > 0 {
            return;
        }
        let Some(ending) = held.ending.take() else { return };
        let mut settlements = settle::settlements(held, &ending, POLICY, 0);
        let own = settlements.pop().map(|own| (own, Some(Settling { handle, is_final: true })));
        self.settling.extend(settlements.into_iter().map(|member| (member, None)).chain(own));
    }

    fn forget(&mut self, handle: Handle) {
        self.held.remove(handle);
        self.letters.remove(&handle);
        self.runs.retain(|_, running| *running != handle);
    }
}

fn held(delivery: &Delivery, letter: &Letter) -> Held {
    Held {
        tag: delivery.tag,
        reply: None,
        id: letter.id.clone(),
        task: "sim".to_owned(),
        ignores_result: false,
        rate_limit_key: None,
        acks_on_timeout: true,
        gives_up_when_lost: false,
        frame: Vec::new(),
        death: None,
        has_attempts: false,
        attempt: 0,
        is_early_acked: false,
        has_states: false,
        unconfirmed: 0,
        told_as: None,
        group: None,
        parts: Vec::new(),
        refused: None,
        again: None,
        reported: None,
        fate: None,
        sends_events: false,
        is_told_started: false,
        end: None,
        came: crate::sketch::Came::UNKNOWN,
        moments: crate::record::Moments::default(),
        ending: None,
    }
}

/// The main thread's part of a join.
async fn make(world: Rc<World>, gate: Rc<Gate>, facts: UnboundedSender<Fact>, join: Join, parts: Parts) {
    sleep(world.pause()).await;
    let record = std::str::from_utf8(&join.record).expect("we wrote it");
    let (record, message) = record.split_once(' ').expect("we wrote it");
    let (record, message) = (record.parse().expect("we wrote it"), message.to_owned());
    let run = parts.run.unwrap_or(message);
    let ended: Vec<(String, bool)> = parts.docs.iter().map(|doc| read_part(doc)).collect();
    let mut effects = Effects::of(&run);
    {
        let mut book = world.book.borrow_mut();
        let body = book.body(record);
        if ended.iter().all(|(_, is_success)| *is_success) && !ended.is_empty() {
            let given: Vec<String> = ended.into_iter().map(|(id, _)| id).collect();
            book.publish(body, &given, &mut effects);
        } else {
            book.fail_body(&body, &mut effects);
        }
    }
    world.made(&join.group_id, &effects);
    world.begin(&gate, Who::Parent, &effects).await;
    let results = effects.states.iter().map(|id| state(id, "FAILURE")).collect();
    let joined = Joined { join, messages: effects.messages, results, remains: Remains::default() };
    let _dead = facts.send(Fact::Command(Command::Joined(joined, effects.parts)));
}

/// One run of a task.
struct Child {
    world: Rc<World>,
    gate: Rc<Gate>,
    run: u64,
    /// What tells its message from all others.
    message: String,
    letter: Letter,
    attempt: u32,
}

impl Child {
    async fn run(&self) -> Done {
        let letter = &self.letter;
        if self.attempt > MAX_DELIVERIES {
            self.world.has_given_up.set(true);
            // What it added to its chord it may never have published (decision 0012, "Left as it is").
            self.world.may_wait_for_ever.set(letter.deed == Deed::Grow || self.world.may_wait_for_ever.get());
            return self.failed(Ending::WorkerLost { attempts: self.attempt - 1, acked_early: false }, None).await;
        }
        match &letter.deed {
            Deed::Succeed => self.succeeded(Vec::new()).await,
            Deed::Retry | Deed::GiveUp if letter.retries < 2 => self.retried(),
            Deed::Retry => self.succeeded(Vec::new()).await,
            Deed::Fail | Deed::GiveUp => self.failed(AS_REPORTED, Some(OutcomeKind::Failure)).await,
            Deed::Reject => self.failed(AS_REPORTED, Some(OutcomeKind::Reject)).await,
            Deed::Ignore if letter.seat.is_some() => self.failed(AS_REPORTED, Some(OutcomeKind::Ignore)).await,
            Deed::Ignore => self.succeeded(Vec::new()).await,
            Deed::Unknown => self.failed(Ending::Unknown, None).await,
            Deed::Expire => self.failed(Ending::Expired, None).await,
            Deed::Revoke => self.failed(Ending::Revoked { terminated: None, acked_early: false }, None).await,
            Deed::Limit => self.failed(Ending::TimeLimit { limit_ms: 1_000, acked_early: false }, None).await,
            Deed::Crash if self.attempt == MAX_DELIVERIES => {
                self.failed(Ending::WorkerLost { attempts: self.attempt, acked_early: false }, None).await
            }
            Deed::Crash => self.done(Ending::Redeliver, None, Vec::new(), Vec::new()),
            Deed::Grow => self.grown().await,
            Deed::Replace(by) => self.replaced(by).await,
        }
    }

    fn done(
        &self,
        ending: Ending,
        reported: Option<Reported>,
        parts: Vec<MemberPart>,
        published: Vec<Publish>,
    ) -> Done {
        Done { run: self.run, ending, reported, parts, published }
    }

    async fn succeeded(&self, published: Vec<Publish>) -> Done {
        let letter = &self.letter;
        let mut effects = Effects::of(&self.message);
        self.world.book.borrow_mut().publish(letter.rest.clone(), &[], &mut effects);
        self.world.begin(&self.gate, Who::Child, &effects).await;
        effects.count(&letter.id, letter.seat.as_ref(), true);
        let kept = reported(OutcomeKind::Success, Some((&letter.id, "SUCCESS")), effects.messages);
        self.done(AS_REPORTED, Some(kept), effects.parts, published)
    }

    /// It ended without success: as the child says, or as the worker says by itself.
    async fn failed(&self, ending: Ending, kind: Option<OutcomeKind>) -> Done {
        let id = &self.letter.id;
        let mut effects = Effects::of(&self.message);
        self.world.book.borrow_mut().failed(&self.letter, &mut effects);
        let others: Vec<ResultDoc> = effects.states.iter().skip(1).map(|id| state(id, "FAILURE")).collect();
        let mut results = MemoryResultClient::new(&self.world.results);
        if !others.is_empty() {
            self.gate.persist(Who::Child, "store", || results.store(&others)).await;
        }
        let messages = effects.messages;
        match kind {
            Some(kind) => {
                let kept = reported(kind, Some((id, "FAILURE")), messages);
                self.done(ending, Some(kept), effects.parts, Vec::new())
            }
            None => self.done(ending, None, effects.parts, messages),
        }
    }

    fn retried(&self) -> Done {
        let again = Letter { retries: self.letter.retries + 1, ..self.letter.clone() };
        let message = self.world.book.borrow_mut().write(again);
        let kept = reported(OutcomeKind::Retry, Some((&self.letter.id, "RETRY")), vec![message]);
        self.done(AS_REPORTED, Some(kept), Vec::new(), Vec::new())
    }

    /// As `Task.add_to_chord`: first the size, then the message.
    async fn grown(&self) -> Done {
        let Some(seat) = self.letter.seat.clone() else { return self.succeeded(Vec::new()).await };
        // The same in every run of one message.
        let id = format!("{}.added.{}", self.letter.id, self.message);
        let mut results = MemoryResultClient::new(&self.world.results);
        self.gate.persist(Who::Child, "add", || results.add_to_chord(&seat.group, None, Some(&id))).await;
        self.world.added.borrow_mut().insert(id.clone());
        let letter =
            Letter { id, deed: Deed::Succeed, seat: Some(seat), rest: Vec::new(), retries: 0, given: Vec::new() };
        let message = self.world.book.borrow_mut().write(letter);
        self.succeeded(vec![message]).await
    }

    /// As `Task.replace`: what takes its place is published at once, and counts for it.
    async fn replaced(&self, by: &Flow) -> Done {
        let letter = &self.letter;
        let mut effects = Effects::of(&self.message);
        {
            let mut book = self.world.book.borrow_mut();
            let mut chain = book.signatures(by, &letter.id);
            take_name(&mut chain, &letter.id);
            if let Some(seat) = &letter.seat {
                take_seat(&mut chain, seat);
            }
            self.world.know(&chain);
            chain.extend(letter.rest.clone());
            book.publish(chain, &letter.given, &mut effects);
        }
        self.world.begin(&self.gate, Who::Child, &effects).await;
        self.done(AS_REPORTED, Some(reported(OutcomeKind::Ignore, None, Vec::new())), Vec::new(), effects.messages)
    }
}

const AS_REPORTED: Ending = Ending::AsReported { acked_early: false };

fn reported(kind: OutcomeKind, kept: Option<(&str, &str)>, successors: Vec<Publish>) -> Reported {
    Reported {
        kind,
        status: kept.map(|(_, status)| status.to_owned()).unwrap_or_default(),
        doc: kept.map(|(id, status)| state(id, status).doc.to_vec()),
        reason: String::new(),
        runtime_us: 0,
        shown: String::new(),
        traceback: String::new(),
        successors,
    }
}

/// The document of a task's state.
fn state(id: &str, status: &str) -> ResultDoc {
    let doc = format!("{{\"status\": \"{status}\", \"task_id\": \"{id}\"}}").into();
    ResultDoc { task_id: id.to_owned(), doc, is_success: status == "SUCCESS", ttl_s: None, reply: None }
}
