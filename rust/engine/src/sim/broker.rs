//! The model broker: every message is in exactly one place, and every operation moves it in one step.

use std::collections::VecDeque;

use super::plan::Letter;

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
    /// In the dead letters.
    Dead,
    /// Acknowledged early, and its worker died.
    LostByChoice,
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
    /// Leases so far.
    pub epoch: u32,
    /// How often a child really started it.
    pub starts: u32,
    /// How often it was returned unstarted.
    pub returns: u32,
    /// Starts that nobody is to blame for: they were requeued, cut off by a shutdown, or happened elsewhere.
    pub excused: u32,
}

/// The broker.
#[derive(Debug, Default)]
pub(super) struct Broker {
    /// All messages ever.
    pub(super) messages: Vec<Message>,
    /// The time (`mono_us`), kept up to date by the world.
    pub(super) now_us: u64,
    /// Waiting, by priority, then queue.
    lines: Vec<Vec<VecDeque<usize>>>,
}

impl Broker {
    /// A broker that knows the letters, and has none published.
    pub(super) fn new(letters: Vec<Letter>, queues: u16) -> Broker {
        let messages = letters
            .into_iter()
            .map(|letter| Message {
                letter,
                place: Place::Nowhere,
                eta_ms: None,
                expires_ms: None,
                is_redelivered: false,
                recorded: 0,
                queued_us: 0,
                epoch: 0,
                starts: 0,
                returns: 0,
                excused: 0,
            })
            .collect();
        Broker { messages, now_us: 0, lines: vec![vec![VecDeque::new(); usize::from(queues)]; 10] }
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

    /// Leases up to `max` messages, most urgent first.
    pub(super) fn fetch(&mut self, owner: Owner, max: u32) -> Vec<Lease> {
        let mut leases = Vec::new();
        for lines in &mut self.lines {
            for line in lines {
                while leases.len() < max as usize {
                    let Some(index) = line.pop_front() else { break };
                    let message = &mut self.messages[index];
                    message.epoch += 1;
                    message.place = Place::Leased(owner);
                    leases.push(Lease { message: index, epoch: message.epoch });
                }
            }
        }
        leases
    }

    /// The message, if the lease is still this owner's.
    pub(super) fn owned(&mut self, lease: Lease, owner: Owner) -> Option<&mut Message> {
        let message = &mut self.messages[lease.message];
        let is_ours = message.epoch == lease.epoch && message.place == Place::Leased(owner);
        is_ours.then_some(message)
    }

    /// Puts a message to the front of its queue.
    pub(super) fn requeue(&mut self, index: usize, is_redelivery: bool) {
        let message = &mut self.messages[index];
        message.place = Place::Queued;
        message.queued_us = self.now_us;
        message.is_redelivered |= is_redelivery;
        self.line(index).push_front(index);
    }

    /// Puts back what a dead owner held, and declares lost what it had acknowledged early.
    pub(super) fn recover(&mut self, owner: Owner) {
        for index in (0..self.messages.len()).rev() {
            match self.messages[index].place {
                Place::Leased(holder) if holder == owner => self.requeue(index, true),
                Place::AckedEarly(holder) if holder == owner => {
                    self.messages[index].place = Place::LostByChoice;
                }
                _ => {}
            }
        }
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

    /// Whether nothing can happen to any message any more.
    pub(super) fn is_all_terminal(&self) -> bool {
        self.messages.iter().all(|message| matches!(message.place, Place::Done | Place::Dead | Place::LostByChoice))
    }

    /// Messages that this owner still has in some way.
    pub(super) fn held_by(&self, owner: Owner) -> usize {
        let is_his = |place: Place| place == Place::Leased(owner) || place == Place::AckedEarly(owner);
        self.messages.iter().filter(|message| is_his(message.place)).count()
    }

    fn line(&mut self, index: usize) -> &mut VecDeque<usize> {
        let letter = &self.messages[index].letter;
        &mut self.lines[usize::from(letter.priority)][usize::from(letter.queue)]
    }
}
