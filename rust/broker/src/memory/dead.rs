//! Messages that could not be run: kept with the reason, for a person to look at, send again or remove.

use std::collections::BTreeMap;

use fastworker_wire::envelope;

use crate::DeadLetter;
use crate::burial::Burial;
use crate::clock::now_ms;

use super::state::{Message, State};

/// The dead letters of a room, oldest first.
#[derive(Default)]
pub(super) struct Letters {
    next: u64,
    letters: BTreeMap<u64, (Message, Burial, i64)>,
}

impl Letters {
    /// Keeps a message that the caller took out of its place.
    pub(super) fn bury(&mut self, message: Message, burial: Burial) {
        self.next += 1;
        self.letters.insert(self.next, (message, burial, now_ms()));
    }

    /// The newest letters, newest first.
    pub(super) fn newest(&self, limit: usize) -> Vec<DeadLetter> {
        self.letters.values().rev().take(limit).map(read).collect()
    }

    /// The letter that `id` names.
    pub(super) fn one(&self, id: &str) -> Option<DeadLetter> {
        self.letters.get(&self.resolve(id)?).map(read)
    }

    /// Removes the letter that `id` names, or all. Returns how many.
    pub(super) fn purge(&mut self, id: Option<&str>) -> u64 {
        match id {
            None => std::mem::take(&mut self.letters).len() as u64,
            Some(id) => self.take(id).map_or(0, |_| 1),
        }
    }

    fn take(&mut self, id: &str) -> Option<Message> {
        let number = self.resolve(id)?;
        self.letters.remove(&number).map(|(message, ..)| message)
    }

    /// The newest letter with exactly this id; else the one whose id starts so, if there is only one such id.
    fn resolve(&self, id: &str) -> Option<u64> {
        let of = |matches: &dyn Fn(&str) -> bool| -> Vec<(u64, &str)> {
            let named = self.letters.iter().map(|(number, (_, burial, _))| (*number, burial.letter.as_str()));
            named.filter(|(_, letter)| matches(letter)).collect()
        };
        if let Some((number, _)) = of(&|letter| letter == id).last() {
            return Some(*number);
        }
        let near = if id.is_empty() { Vec::new() } else { of(&|letter| letter.starts_with(id)) };
        let (number, letter) = near.last()?;
        near.iter().all(|(_, other)| other == letter).then_some(*number)
    }
}

fn read((message, burial, died_ms): &(Message, Burial, i64)) -> DeadLetter {
    DeadLetter {
        id: burial.letter.clone(),
        queue: message.queue.to_string(),
        task: envelope::task_and_id(&message.body).0,
        reason: burial.reason.clone(),
        detail: burial.detail.clone(),
        died_ms: *died_ms,
        priority: message.priority,
        message: message.body.clone(),
    }
}

/// Publishes a letter to the back of its queue, as if for the first time. False: there is none.
pub(super) fn retry(state: &mut State, id: &str) -> bool {
    let Some(message) = state.dead.take(id) else { return false };
    let age = state.age();
    state.put(Message { age, is_redelivered: false, attempts: 0, ..message });
    true
}
