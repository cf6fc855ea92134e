//! What is in a room, and every move of a message from one place to another.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::burial::Burial;
use crate::clock::now_ms;
use crate::vigil::Vigil;
use crate::{Join, Joined, Member, Publish, Recovered, Settled, Settlement, Verdict};

use super::chord::Chords;
use super::control::Desk;
use super::dead::Letters;
use super::fanout::Enlisted;
use super::lane::Lanes;
use super::results::Results;

/// One message, wherever it is.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// Its age: what was published earlier has a smaller one, and is fetched earlier.
    pub(super) age: u64,
    pub(super) queue: Arc<str>,
    pub(super) priority: u8,
    pub(super) is_redelivered: bool,
    /// How often it was started, as far as that was counted.
    pub(super) attempts: u32,
    pub(super) body: Bytes,
}

/// The waiting messages of one queue, in the order in which they are fetched.
pub(super) type Queue = BTreeMap<(u8, u64), Message>;

/// An incarnation's sign of life.
struct Owner {
    beats: i64,
    life: Duration,
}

/// Wakes one worker.
pub(super) struct Watcher {
    pub(super) queues: Mutex<Arc<[String]>>,
    pub(super) bell: Notify,
}

impl Watcher {
    /// The list as it is now; it only grows.
    pub(super) fn queues(&self) -> Arc<[String]> {
        Arc::clone(&self.queues.lock().expect("nothing panics while it holds the list"))
    }

    /// Adds one at the end, if it is not there.
    pub(super) fn add(&self, queue: &str) {
        let mut queues = self.queues.lock().expect("as above");
        if !queues.iter().any(|watched| watched == queue) {
            *queues = queues.iter().cloned().chain([queue.to_owned()]).collect();
        }
    }
}

/// Everything in a room. Numbers are never reused, also not after `clear`.
#[derive(Default)]
pub(super) struct State {
    pub(super) queues: HashMap<Arc<str>, Queue>,
    /// Names of queues that nobody fetches from.
    pub(super) paused: BTreeSet<String>,
    /// By incarnation and tag.
    pub(super) leased: BTreeMap<(i64, u64), Message>,
    /// By when it is due, and age.
    pub(super) parked: BTreeMap<(i64, u64), Message>,
    pub(super) lanes: Lanes,
    pub(super) dead: Letters,
    pub(super) results: Results,
    pub(super) chords: Chords,
    /// By group: whose they are.
    joins: BTreeMap<String, (i64, Join)>,
    pub(super) desk: Desk,
    pub(super) enlisted: Enlisted,
    owners: HashMap<i64, Owner>,
    watchers: Vec<Weak<Watcher>>,
    ages: u64,
    incarnations: i64,
}

impl State {
    /// Forgets everything that is stored; who watches goes on watching.
    pub(super) fn clear(&mut self) {
        let (ages, incarnations) = (self.ages, self.incarnations);
        let watchers = std::mem::take(&mut self.watchers);
        let desk = self.desk.emptied();
        *self = State { ages, incarnations, watchers, desk, ..State::default() };
    }

    /// The number of a new incarnation.
    pub(super) fn incarnation(&mut self) -> i64 {
        self.incarnations += 1;
        self.incarnations
    }

    /// The next age.
    pub(super) fn age(&mut self) -> u64 {
        self.ages += 1;
        self.ages
    }

    /// Rings `watcher` from now on when something comes into one of its queues, while it lives.
    pub(super) fn watch(&mut self, watcher: &Arc<Watcher>) {
        self.watchers.retain(|known| known.strong_count() > 0);
        self.watchers.push(Arc::downgrade(watcher));
    }

    /// Publishes all.
    pub(super) fn publish(&mut self, batch: &[Publish]) {
        for publish in batch {
            let message = Message {
                age: self.age(),
                queue: Arc::from(publish.queue.as_str()),
                priority: publish.priority,
                is_redelivered: false,
                attempts: 0,
                body: publish.message.clone(),
            };
            self.put(message);
        }
    }

    /// Puts a message where its age belongs in its queue, and wakes who watches that.
    pub(super) fn put(&mut self, message: Message) {
        self.wake(&message.queue);
        let queue = self.queues.entry(Arc::clone(&message.queue)).or_default();
        queue.insert((message.priority, message.age), message);
    }

    /// Wakes who watches a queue.
    pub(super) fn wake(&self, queue: &str) {
        for watcher in self.watchers.iter().filter_map(Weak::upgrade) {
            if watcher.queues().iter().any(|watched| watched == queue) {
                watcher.bell.notify_one();
            }
        }
    }

    /// What waits in the queues or is parked, in the order of fetching; leased messages are not among it.
    pub(super) fn waiting(&self) -> Vec<Publish> {
        let mut waiting: Vec<&Message> =
            self.queues.values().flat_map(BTreeMap::values).chain(self.parked.values()).collect();
        waiting.sort_by_key(|message| (message.priority, message.age));
        let publish = |message: &Message| Publish {
            queue: message.queue.to_string(),
            priority: message.priority,
            message: message.body.clone(),
        };
        waiting.into_iter().map(publish).collect()
    }

    /// Carries out every settlement whose lease is still the owner's.
    pub(super) fn settle(&mut self, owner: i64, batch: &[Settlement]) -> Settled {
        let Settled { mut lost, mut complete } = Settled::default();
        for (index, settlement) in batch.iter().enumerate() {
            let is_ours = settlement.verdict == Verdict::Acked || self.end(owner, settlement);
            if is_ours {
                self.publish(&settlement.successors);
                if let Some(member) = &settlement.member
                    && self.is_last(member)
                {
                    let join = member.join();
                    self.joins.insert(join.group_id.clone(), (owner, join));
                    complete.push(index);
                }
            } else {
                lost.push(index);
            }
            if let Some(result) = &settlement.result
                && (is_ours || result.is_success)
            {
                self.results.put(result, now_ms());
            }
        }
        Settled { lost, complete }
    }

    /// Counts a member, if it is to be counted here.
    fn is_last(&mut self, member: &Member) -> bool {
        match member {
            Member::Part(part) => self.chords.count(part, false, now_ms()),
            Member::Last(_) => true,
        }
    }

    /// The owner's joins; those whose owner is not among the living become its own.
    pub(super) fn joins(&mut self, own: i64) -> Vec<Join> {
        for (owner, _) in self.joins.values_mut() {
            if !self.owners.contains_key(owner) {
                *owner = own;
            }
        }
        self.joins.values().filter(|(owner, _)| *owner == own).map(|(_, join)| join.clone()).collect()
    }

    /// Ends a join. False: it had been ended before, or its chord was begun anew.
    pub(super) fn finish_join(&mut self, joined: &Joined) -> bool {
        let join = &joined.join;
        if self.joins.get(&join.group_id).is_none_or(|(_, known)| known.token != join.token) {
            return false;
        }
        self.joins.remove(&join.group_id);
        let is_ours = self.chords.lets_end(join);
        if is_ours {
            self.publish(&joined.messages);
            joined.results.iter().for_each(|result| self.results.put(result, now_ms()));
            self.chords.forget(join, joined.remains, now_ms());
        }
        is_ours
    }

    /// Moves the message to where the verdict sends it. False: the lease is not ours, and nothing was done.
    fn end(&mut self, owner: i64, settlement: &Settlement) -> bool {
        let key = (owner, settlement.tag.0);
        if settlement.verdict == Verdict::Keep {
            return self.leased.contains_key(&key);
        }
        let Some(mut message) = self.leased.remove(&key) else { return false };
        match &settlement.verdict {
            Verdict::Ack | Verdict::EarlyAck | Verdict::Keep | Verdict::Acked => {}
            Verdict::Return { is_redelivery } => {
                message.is_redelivered |= is_redelivery;
                self.put(message);
            }
            Verdict::Lane { task } => self.lanes.enter_worker_lane(message, task),
            Verdict::Requeue => {
                message.is_redelivered = true;
                message.attempts = 0;
                self.put(message);
            }
            Verdict::Park { due_ms } => self.park(message, *due_ms, settlement.message_id.as_deref()),
            Verdict::DeadLetter { reason, detail } => {
                self.dead.bury(message, Burial::new(settlement.message_id.as_deref(), reason, detail));
            }
        }
        true
    }

    /// Counts a started attempt and returns its number. `None`: the lease is lost, and its new owner keeps the count.
    pub(super) fn begin_attempt(&mut self, owner: i64, tag: u64, floor: u32) -> Option<u32> {
        let message = self.leased.get_mut(&(owner, tag))?;
        message.attempts = message.attempts.max(floor).saturating_add(1);
        Some(message.attempts)
    }

    /// Makes sure that the owner is known, since others recover only what belongs to a known one. It may have been taken
    /// for dead and forgotten meanwhile.
    pub(super) fn register(&mut self, owner: i64, life: Duration) {
        self.owners.entry(owner).or_insert(Owner { beats: 0, life });
    }

    /// One more sign of life.
    pub(super) fn beat(&mut self, owner: i64, life: Duration) {
        self.register(owner, life);
        self.owners.entry(owner).and_modify(|known| known.beats += 1);
    }

    /// Puts back what the silent held.
    pub(super) fn recover(&mut self, vigil: &mut Vigil, own: i64, own_life: Duration, now: Instant) -> Recovered {
        let others = || self.owners.iter().filter(|(owner, _)| **owner != own);
        vigil.observe(others().map(|(owner, other)| (*owner, other.beats)), now);
        let dead: Vec<i64> = others()
            .filter(|(owner, other)| vigil.silence(**owner, now) >= other.life.max(own_life))
            .map(|(owner, _)| *owner)
            .collect();
        let mut recovered = Recovered { messages: 0, owners: dead.len() as u64 };
        for owner in dead {
            recovered.messages += self.give_back(owner, true);
        }
        recovered
    }

    /// Gives back everything that the owner holds, and forgets the owner. Returns how many messages that were.
    /// `is_redelivery` marks them: their owner died and may have started them.
    pub(super) fn give_back(&mut self, owner: i64, is_redelivery: bool) -> u64 {
        self.owners.remove(&owner);
        let tags: Vec<(i64, u64)> = self.leased.range((owner, 0)..=(owner, u64::MAX)).map(|(key, _)| *key).collect();
        for key in &tags {
            let mut message = self.leased.remove(key).expect("just seen");
            message.is_redelivered |= is_redelivery;
            self.put(message);
        }
        tags.len() as u64
    }
}
