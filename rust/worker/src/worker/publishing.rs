//! What tasks publish: it goes to the broker in batches, and a delivery is settled when all is confirmed that its run
//! had published until it ended.
//!
//! A delivery that has its number for itself counts its own messages. The calls of a batch have a *ledger* together: how
//! many messages their function has sent, how many of them are confirmed (they are in the order in which they were sent),
//! and what had been sent when a call ended. So a message costs the same, however many calls wait for it.

use std::collections::VecDeque;

use fastworker_broker::Tag;
use fastworker_engine::{ChildId, Handle, Number};
use fastworker_wire::child::{NO_MEMBER, Successor};

use crate::clock;
use crate::report::Level;

use super::Worker;
use super::outcome::own;

/// Whose run published a message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Author {
    /// A delivery.
    One(Handle, Tag),
    /// A batch: the number of a child.
    Batch(ChildId, Number),
}

/// A call that has ended, and waits for messages.
#[derive(Clone, Copy, Debug)]
struct Ended {
    handle: Handle,
    /// The handle may be another delivery's when they are confirmed.
    tag: Tag,
    /// How many messages had been sent.
    sent: u64,
}

/// What the function of one batch has published.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    sent: u64,
    confirmed: u64,
    /// The first message that was refused, by its place, and why.
    refused: Option<(u64, String)>,
    /// In the order in which they ended.
    waiting: VecDeque<Ended>,
    /// The function has returned.
    is_closed: bool,
}

impl Ledger {
    /// A call has ended. False: it waits for nothing.
    fn end(&mut self, handle: Handle, tag: Tag) -> bool {
        let waits = self.confirmed < self.sent;
        if waits {
            self.waiting.push_back(Ended { handle, tag, sent: self.sent });
        }
        waits
    }

    /// The next message is confirmed, or refused. Whoever waits for no other is told, and of the first refusal of one that
    /// was sent before it ended.
    fn confirm(&mut self, refusal: Option<&String>, mut tell: impl FnMut(Handle, Tag, Option<&String>)) {
        self.confirmed += 1;
        if self.refused.is_none() {
            self.refused = refusal.map(|refusal| (self.confirmed, refusal.clone()));
        }
        while let Some(&Ended { handle, tag, sent }) = self.waiting.front()
            && sent <= self.confirmed
        {
            self.waiting.pop_front();
            tell(handle, tag, self.refusal(sent));
        }
    }

    /// Why one of the first `sent` messages was refused.
    fn refusal(&self, sent: u64) -> Option<&String> {
        self.refused.as_ref().filter(|(place, _)| *place <= sent).map(|(_, refusal)| refusal)
    }

    /// Nobody is going to ask for it again.
    fn is_over(&self) -> bool {
        self.is_closed && self.confirmed == self.sent
    }
}

impl Worker {
    /// A task publishes.
    pub(super) fn publish(&mut self, child: ChildId, number: Number, message: &Successor<'_>) {
        let Some(known) = self.children.get(&child) else { return };
        let author = if known.has_batch(number) {
            self.ledgers.entry((child, number)).or_default().sent += 1;
            Some(Author::Batch(child, number))
        } else {
            let handle = known.handle_of(number, NO_MEMBER);
            handle.and_then(|handle| Some((handle, self.held.get_mut(handle)?))).map(|(handle, held)| {
                held.unconfirmed += 1;
                Author::One(handle, held.tag)
            })
        };
        self.publishing.push((own(message), author));
    }

    /// A call of a batch has ended: it is settled when what was published until now is confirmed.
    pub(super) fn end_member(&mut self, child: ChildId, number: Number, handle: Handle) {
        let Some(ledger) = self.ledgers.get_mut(&(child, number)) else { return };
        let Some(held) = self.held.get_mut(handle) else { return };
        held.unconfirmed += u32::from(ledger.end(handle, held.tag));
        if let Some(refusal) = ledger.refusal(ledger.sent) {
            held.refused = Some(refusal.clone());
        }
    }

    /// A function that had a batch has returned, or its process is gone: what it has left open ends.
    pub(super) fn end_batch(&mut self, child: ChildId, number: Number, open: Vec<Handle>) {
        open.into_iter().for_each(|handle| self.end_member(child, number, handle));
        if let Some(ledger) = self.ledgers.get_mut(&(child, number)) {
            ledger.is_closed = true;
            if ledger.is_over() {
                self.ledgers.remove(&(child, number));
            }
        }
    }

    /// A batch of messages was published, or refused for good.
    pub(super) fn published(&mut self, authors: Vec<Option<Author>>, refusal: Option<String>) {
        self.is_publishing = false;
        self.answered_us = clock::mono_us();
        if let Some(refusal) = &refusal {
            self.reporter.log(Level::Error, format!("publishing from tasks: {refusal}"));
        }
        for author in authors.into_iter().flatten() {
            let (child, number) = match author {
                Author::One(handle, tag) => {
                    self.confirmed(handle, tag, refusal.as_ref());
                    continue;
                }
                Author::Batch(child, number) => (child, number),
            };
            let Some(mut ledger) = self.ledgers.remove(&(child, number)) else { continue };
            ledger.confirm(refusal.as_ref(), |handle, tag, refusal| self.confirmed(handle, tag, refusal));
            if !ledger.is_over() {
                self.ledgers.insert((child, number), ledger);
            }
        }
    }

    /// One message less that a delivery waits for; or all of them, for a call of a batch.
    fn confirmed(&mut self, handle: Handle, tag: Tag, refusal: Option<&String>) {
        // The lease may have been lost meanwhile, and the handle be another's.
        let Some(held) = self.held.get_mut(handle).filter(|held| held.tag == tag) else { return };
        held.unconfirmed -= 1;
        if refusal.is_some() {
            held.refused = refusal.cloned();
        }
        self.settle_if_confirmed(handle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Confirms one message; who need not wait any longer, and whether with a refusal.
    fn confirm(ledger: &mut Ledger, refusal: Option<&str>) -> Vec<(u32, bool)> {
        let mut told = Vec::new();
        let refusal = refusal.map(str::to_owned);
        ledger.confirm(refusal.as_ref(), |handle, _, refusal| told.push((handle.0, refusal.is_some())));
        told
    }

    fn end(ledger: &mut Ledger, handle: u32) -> bool {
        ledger.end(Handle(handle), Tag(0))
    }

    #[test]
    fn call_waits_for_what_was_sent_before_it_ended() {
        let mut ledger = Ledger::default();
        assert!(!end(&mut ledger, 0), "nothing was sent");
        ledger.sent = 2;
        assert!(end(&mut ledger, 1));
        ledger.sent = 3;
        assert!(end(&mut ledger, 2));
        assert_eq!(confirm(&mut ledger, None), []);
        assert_eq!(confirm(&mut ledger, None), [(1, false)]);
        assert_eq!(confirm(&mut ledger, None), [(2, false)]);
        assert!(!end(&mut ledger, 3), "all is confirmed");
    }

    #[test]
    fn refusal_fails_those_that_ended_after_the_message_was_sent() {
        let mut ledger = Ledger { sent: 1, ..Ledger::default() };
        end(&mut ledger, 0);
        ledger.sent = 3;
        end(&mut ledger, 1);
        assert_eq!(confirm(&mut ledger, None), [(0, false)]);
        assert_eq!(confirm(&mut ledger, Some("too large")), []);
        assert_eq!(confirm(&mut ledger, None), [(1, true)]);
        assert_eq!(ledger.refusal(ledger.sent).map(String::as_str), Some("too large"), "who ends later fails too");
    }

    #[test]
    fn ledger_is_kept_until_its_function_has_returned_and_all_is_confirmed() {
        let mut ledger = Ledger { sent: 1, ..Ledger::default() };
        assert!(!ledger.is_over());
        ledger.is_closed = true;
        assert!(!ledger.is_over());
        confirm(&mut ledger, None);
        assert!(ledger.is_over());
    }
}
