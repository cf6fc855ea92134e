//! The model broker: every message is in exactly one place, and every operation moves it in one step.

use std::collections::{BTreeMap, VecDeque};

use super::lanes::Lanes;
use super::plan::{Deed, Letter};
use crate::action::{Ending, Portion};
use crate::config::Scope;
use crate::event::Outcome;

/// A worker incarnation; 0 is nobody.
pub type Owner = u32;

/// Names one lease: which message, and the how-manieth lease of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    /// Index of the message.
    pub(super) message: usize,
    /// Count of its leases.
    pub(super) epoch: u32,
}

/// Where a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Not published yet.
    Nowhere,
    /// In its queue.
    Queued,
    /// Leased by this owner.
    Leased(Owner),
    /// Until then (Unix ms).
    Parked(i64),
    /// Acknowledged before it ran: only this worker knows it.
    AckedEarly(Owner),
    /// Acknowledged, with or without a result.
    Done,
    /// In a lane, since then (`mono_us`), for a permit of all workers' or of any one's.
    Laned(u64, Scope),
    /// In the dead letters.
    Dead,
    /// Acknowledged early, and its worker died.
    LostByChoice,
    /// Its publisher died before the call returned.
    Unpublished,
    /// The broker was restarted without its last second, in which this message came.
    Forgotten,
}

impl Place {
    /// Whether nothing can happen to it any more.
    pub(super) fn is_terminal(self) -> bool {
        match self {
            Place::Done | Place::Dead | Place::LostByChoice | Place::Unpublished | Place::Forgotten => true,
            Place::Nowhere
            | Place::Queued
            | Place::Leased(_)
            | Place::Parked(_)
            | Place::Laned(..)
            | Place::AckedEarly(_) => false,
        }
    }
}

/// One message as the broker keeps it.
#[derive(Clone, Debug)]
pub struct Message {
    /// As it was published.
    pub letter: Letter,
    /// Where it is.
    pub place: Place,
    /// Unix ms, set on publishing.
    pub eta_ms: Option<i64>,
    /// Unix ms, set on publishing.
    pub expires_ms: Option<i64>,
    /// Marked so.
    pub is_redelivered: bool,
    /// Started attempts on record.
    pub recorded: u32,
    /// When it came into its queue (`mono_us`).
    pub queued_us: u64,
    /// Names its lease, or the last one.
    pub epoch: u32,
    /// When its lease was last refreshed (`mono_us`).
    pub refreshed_us: u64,
    /// The lease that a recoverer took away last, and when (`mono_us`).
    pub recovered: Option<(u32, u64)>,
    /// How often a child really started it.
    pub starts: u32,
    /// When one started it first (`mono_us`).
    pub started_us: Option<u64>,
    /// How often it was returned unstarted.
    pub returns: u32,
    /// Leases that ended without a settlement or with a redelivery: each may hide one start from the record.
    pub excused: u32,
    /// How often its process was killed for another task's sake: a start each, which is not counted.
    pub spared: u32,
    /// How often the task itself had it put back.
    pub requeued: u32,
    /// How often the broker forgot what had become of it.
    pub forgotten: u32,
    /// Somebody who is not played here got it once.
    pub was_taken: bool,
    /// Leases so far; unlike `epoch` never set back.
    pub(super) leases: u32,
}

/// What the broker had written down at some time.
#[derive(Debug)]
struct Snapshot {
    at_us: u64,
    messages: Vec<Message>,
    lines: Vec<Vec<VecDeque<usize>>>,
    lanes: Lanes,
    beats: BTreeMap<Owner, u64>,
}

/// The broker.
#[derive(Debug, Default)]
pub(super) struct Broker {
    /// All messages ever.
    pub(super) messages: Vec<Message>,
    /// The time (`mono_us`), kept up to date by the world.
    pub(super) now_us: u64,
    /// Whoever fetches here, and when it last said that it lives (`mono_us`).
    pub(super) beats: BTreeMap<Owner, u64>,
    /// It has once come back without its last second: leases may lie here whose owners know nothing of them.
    pub(super) has_forgotten: bool,
    /// Waiting, by priority, then queue.
    lines: Vec<Vec<VecDeque<usize>>>,
    /// Over their rates, and the permits.
    pub(super) lanes: Lanes,
    /// Of the last second.
    snapshots: VecDeque<Snapshot>,
}

impl Message {
    fn new(letter: Letter) -> Message {
        Message {
            letter,
            place: Place::Nowhere,
            eta_ms: None,
            expires_ms: None,
            is_redelivered: false,
            recorded: 0,
            queued_us: 0,
            epoch: 0,
            refreshed_us: 0,
            recovered: None,
            starts: 0,
            started_us: None,
            returns: 0,
            excused: 0,
            spared: 0,
            requeued: 0,
            forgotten: 0,
            was_taken: false,
            leases: 0,
        }
    }
}

impl Broker {
    /// A broker that knows the letters, and has none published.
    pub(super) fn new(letters: Vec<Letter>, queues: usize) -> Broker {
        let messages = letters.into_iter().map(Message::new).collect();
        Broker { messages, lines: vec![vec![VecDeque::new(); queues]; 10], ..Broker::default() }
    }

    /// One more message, not published yet.
    pub(super) fn add(&mut self, letter: Letter) -> usize {
        self.messages.push(Message::new(letter));
        self.messages.len() - 1
    }

    /// Puts a message into its queue for the first time.
    pub(super) fn publish(&mut self, index: usize, wall_ms: i64) {
        let message = &mut self.messages[index];
        message.eta_ms = message.letter.countdown_ms.map(|ms| wall_ms + ms);
        message.expires_ms = message.letter.expires_ms.map(|ms| wall_ms + ms);
        message.place = Place::Queued;
        message.queued_us = self.now_us;
        self.line(index).push_back(index);
    }

    /// Leases up to `max` messages, most urgent first, and no more of a queue than there is room for; whether there are
    /// others for which there is.
    pub(super) fn fetch(&mut self, owner: Owner, max: u32, portions: &[Portion]) -> (Vec<Lease>, bool) {
        let mut leases = Vec::new();
        let mut rooms: Vec<u32> = portions.iter().map(|portion| portion.room).collect();
        rooms.resize(self.lines[0].len(), u32::MAX);
        for lines in &mut self.lines {
            for (line, room) in lines.iter_mut().zip(&mut rooms) {
                while leases.len() < max as usize && *room > 0 {
                    let Some(index) = line.pop_front() else { break };
                    *room -= 1;
                    let message = &mut self.messages[index];
                    message.leases += 1;
                    message.epoch = message.leases;
                    message.place = Place::Leased(owner);
                    message.refreshed_us = self.now_us;
                    leases.push(Lease { message: index, epoch: message.epoch });
                }
            }
        }
        let has_more =
            self.lines.iter().any(|lines| lines.iter().zip(&rooms).any(|(line, room)| !line.is_empty() && *room > 0));
        (leases, has_more)
    }

    /// The message, if the lease is still this owner's.
    pub(super) fn owned(&mut self, lease: Lease, owner: Owner) -> Option<&mut Message> {
        let message = &mut self.messages[lease.message];
        let is_ours = message.epoch == lease.epoch && message.place == Place::Leased(owner);
        is_ours.then_some(message)
    }

    /// Carries out an ending in one step. False: the lease was not this owner's, and nothing was done.
    pub(super) fn settle(
        &mut self,
        owner: Owner,
        lease: Lease,
        ending: &Ending,
        outcome: Option<Outcome>,
        wall_ms: i64,
    ) -> bool {
        let message = &self.messages[lease.message];
        let is_early = message.place == Place::AckedEarly(owner) && message.epoch == lease.epoch;
        // What was acknowledged early has no lease that could be touched, even if the broker has forgotten about it.
        if !is_early && (is_acked(ending) || self.owned(lease, owner).is_none()) {
            return false;
        }
        let place = match *ending {
            Ending::EarlyAck => Place::AckedEarly(owner),
            Ending::AsReported { .. } | Ending::Expired | Ending::TimeLimit { .. } | Ending::Revoked { .. } => {
                Place::Done
            }
            Ending::Unknown | Ending::WorkerLost { .. } => Place::Dead,
            Ending::Park { until_ms } => Place::Parked(until_ms),
            Ending::Lane => {
                self.enter_worker_lane(lease.message);
                return true;
            }
            Ending::Return => {
                self.messages[lease.message].returns += 1;
                self.requeue(lease.message, false);
                return true;
            }
            Ending::Requeue => {
                let message = &mut self.messages[lease.message];
                (message.recorded, message.requeued) = (0, message.requeued + 1);
                self.requeue(lease.message, true);
                return true;
            }
            Ending::Redeliver => {
                self.messages[lease.message].excused += 1;
                self.requeue(lease.message, true);
                return true;
            }
        };
        let message = &mut self.messages[lease.message];
        message.place = place;
        if let (Ending::AsReported { .. }, Some(Outcome::Retry), Deed::Retries(left)) =
            (ending, outcome, message.letter.deed)
        {
            let letter = Letter {
                countdown_ms: Some(i64::from(left) * 20),
                deed: Deed::Retries(left - 1),
                ..message.letter.clone()
            };
            let next = self.add(letter);
            self.publish(next, wall_ms);
        }
        true
    }

    /// Puts a message to the front of its queue.
    pub(super) fn requeue(&mut self, index: usize, is_redelivery: bool) {
        let message = &mut self.messages[index];
        message.place = Place::Queued;
        message.queued_us = self.now_us;
        message.is_redelivered |= is_redelivery;
        self.line(index).push_front(index);
    }

    /// Puts back what an owner held whom a recoverer takes for dead.
    pub(super) fn recover(&mut self, owner: Owner) {
        for index in (0..self.messages.len()).rev() {
            if self.messages[index].place == Place::Leased(owner) {
                self.take_away(index);
            }
        }
        self.beats.remove(&owner);
    }

    /// Puts back what nobody has refreshed since `since_us`, whoever it belongs to.
    pub(super) fn sweep(&mut self, since_us: u64) -> bool {
        let mut has_swept = false;
        for index in (0..self.messages.len()).rev() {
            let message = &self.messages[index];
            if matches!(message.place, Place::Leased(_)) && message.refreshed_us < since_us {
                self.take_away(index);
                has_swept = true;
            }
        }
        has_swept
    }

    fn take_away(&mut self, index: usize) {
        let message = &mut self.messages[index];
        message.excused += 1;
        message.recovered = Some((message.epoch, self.now_us));
        self.requeue(index, true);
    }

    /// Puts back what is parked and due.
    pub(super) fn release_due(&mut self, wall_ms: i64) -> bool {
        let mut has_released = false;
        for index in 0..self.messages.len() {
            if matches!(self.messages[index].place, Place::Parked(until_ms) if until_ms <= wall_ms) {
                self.requeue(index, false);
                has_released = true;
            }
        }
        has_released
    }

    /// Writes down what is so now; what is older than a second is thrown away.
    pub(super) fn write_down(&mut self) {
        let at_us = self.now_us;
        self.snapshots.retain(|snapshot| snapshot.at_us + 1_000_000 > at_us);
        let (messages, lines) = (self.messages.clone(), self.lines.clone());
        let lanes = self.lanes.clone();
        self.snapshots.push_back(Snapshot { at_us, messages, lines, lanes, beats: self.beats.clone() });
    }

    /// Comes back with what it had written down up to a second ago. What really happened stays so: who started what,
    /// and which names of leases were used.
    pub(super) fn forget(&mut self) {
        let Some(snapshot) = self.snapshots.pop_front() else {
            return;
        };
        self.snapshots.clear();
        self.has_forgotten = true;
        self.lines = snapshot.lines;
        self.lanes = snapshot.lanes;
        self.beats = snapshot.beats;
        for (index, now) in self.messages.iter_mut().enumerate() {
            let then = snapshot.messages.get(index).filter(|then| then.place != Place::Nowhere);
            let Some(then) = then else {
                if !matches!(now.place, Place::Nowhere | Place::Unpublished) {
                    now.place = Place::Forgotten;
                }
                continue;
            };
            if (then.place, then.epoch) == (now.place, now.epoch) {
                continue;
            }
            now.forgotten += 1;
            // Acknowledged early means that the broker no longer has it; the rest is between worker and task.
            if !matches!(then.place, Place::AckedEarly(_) | Place::LostByChoice) {
                now.place = then.place;
                now.epoch = then.epoch;
            }
            now.is_redelivered = then.is_redelivered;
            now.recorded = then.recorded;
            now.queued_us = self.now_us;
        }
        // Whoever lives has some time to say which leases are its own.
        let now_us = self.now_us;
        self.messages.iter_mut().for_each(|message| message.refreshed_us = now_us);
    }

    /// Whether nothing can happen to any message any more.
    pub(super) fn is_all_terminal(&self) -> bool {
        self.messages.iter().all(|message| message.place.is_terminal())
    }

    /// Messages that this owner still has in some way.
    pub(super) fn held_by(&self, owner: Owner) -> Vec<usize> {
        let is_his = |place: Place| place == Place::Leased(owner) || place == Place::AckedEarly(owner);
        (0..self.messages.len()).filter(|&index| is_his(self.messages[index].place)).collect()
    }

    fn line(&mut self, index: usize) -> &mut VecDeque<usize> {
        let letter = &self.messages[index].letter;
        &mut self.lines[usize::from(letter.priority)][usize::from(letter.queue)]
    }
}

/// Whether the engine says that the message is gone already.
pub(super) fn is_acked(ending: &Ending) -> bool {
    match *ending {
        Ending::AsReported { acked_early }
        | Ending::WorkerLost { acked_early, .. }
        | Ending::TimeLimit { acked_early, .. }
        | Ending::Revoked { acked_early, .. } => acked_early,
        Ending::EarlyAck
        | Ending::Return
        | Ending::Redeliver
        | Ending::Requeue
        | Ending::Park { .. }
        | Ending::Lane
        | Ending::Expired
        | Ending::Unknown => false,
    }
}
