//! Events that wait to be sent, oldest first: lists of what became of tasks, and single messages.

use std::collections::VecDeque;

use fastworker_broker::EventMessage;

use super::notes::Notes;

/// Most events that wait, and most bytes that are noted of them or written.
pub(super) const MOST: usize = 10_000;
const MOST_BYTES: usize = 8 << 20;

/// What will be one message.
pub(super) enum Letter {
    /// Not written yet.
    List(Notes),
    Single(EventMessage),
}

impl Letter {
    fn events(&self) -> usize {
        match self {
            Letter::List(notes) => notes.count(),
            Letter::Single(_) => 1,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Letter::List(notes) => notes.bytes(),
            Letter::Single(message) => message.body.len(),
        }
    }

    fn is_list(&self) -> bool {
        matches!(self, Letter::List(_))
    }
}

/// All of them.
#[derive(Default)]
pub(super) struct Waiting {
    letters: VecDeque<Letter>,
    events: usize,
    bytes: usize,
    /// How many single messages are among them.
    singles: usize,
    /// Of what was taken last: which are lists.
    taken: Vec<bool>,
    /// So many of the oldest were here when the first list was taken before them.
    behind: usize,
    dropped: u64,
}

impl Waiting {
    /// Adds a list.
    pub(super) fn push_list(&mut self, notes: Notes) {
        self.push(Letter::List(notes));
    }

    /// Adds a message that is no list.
    pub(super) fn push_single(&mut self, message: EventMessage) {
        self.push(Letter::Single(message));
    }

    fn push(&mut self, new: Letter) {
        self.events += new.events();
        self.bytes += new.bytes();
        self.singles += usize::from(!new.is_list());
        self.letters.push_back(new);
        // The one that has just come stays, however large it is.
        while (self.events > MOST || self.bytes > MOST_BYTES) && self.letters.len() > 1 {
            let Some(oldest) = self.pop() else { return };
            self.behind = self.behind.saturating_sub(1);
            self.dropped += oldest.events() as u64;
        }
    }

    fn pop(&mut self) -> Option<Letter> {
        let oldest = self.letters.pop_front()?;
        self.events -= oldest.events();
        self.bytes -= oldest.bytes();
        self.singles -= usize::from(!oldest.is_list());
        Some(oldest)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    /// They are not to be gathered any longer: there is much of them, or one that is no list, such as a heartbeat.
    pub(super) fn is_urgent(&self) -> bool {
        self.singles > 0 || self.events > MOST / 2 || self.bytes > MOST_BYTES / 2
    }

    /// Takes all.
    pub(super) fn take(&mut self) -> Vec<Letter> {
        self.take_until(|_| false)
    }

    /// Takes the oldest list, and what is before it.
    pub(super) fn take_first_list(&mut self) -> Vec<Letter> {
        self.take_until(Letter::is_list)
    }

    fn take_until(&mut self, is_last: impl Fn(&Letter) -> bool) -> Vec<Letter> {
        self.taken.clear();
        let mut taken = Vec::new();
        while let Some(oldest) = self.pop() {
            let ends = is_last(&oldest);
            self.taken.push(oldest.is_list());
            taken.push(oldest);
            if ends {
                break;
            }
        }
        self.behind = self.letters.len();
        taken
    }

    /// Whether anybody may have heard a list of those that were taken last, by what the broker says of each of them.
    /// `None`: there was none among them, or it says nothing.
    pub(super) fn is_list_heard(&self, heard: &[bool]) -> Option<bool> {
        let lists = self.taken.iter().zip(heard).filter(|(is_list, _)| **is_list);
        lists.map(|(_, heard)| *heard).reduce(|one, other| one || other)
    }

    /// Throws away the lists that were here when the first one was taken, which nobody can have heard.
    pub(super) fn forget_unheard(&mut self) {
        let count = std::mem::take(&mut self.behind);
        let younger = self.letters.split_off(count);
        self.letters.retain(|letter| !letter.is_list());
        self.letters.extend(younger);
        self.events = self.letters.iter().map(Letter::events).sum();
        self.bytes = self.letters.iter().map(Letter::bytes).sum();
    }

    /// How many events have been dropped since this was asked last.
    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}
