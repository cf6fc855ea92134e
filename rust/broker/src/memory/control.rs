//! Remote control in a room: broadcasts go to those who listen, replies lie in mailboxes, revokes are remembered.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;

use super::client::MemoryClient;
use crate::parked::REVOKED_LATELY;
use crate::{Binding, Control, Error, Mark, Revocation, RevokeTerms};

/// One worker's ear.
#[derive(Default)]
pub(super) struct Ear {
    /// The exchange that it hears, once it listens; and what was sent there and not taken yet.
    heard: Mutex<Option<(String, VecDeque<Bytes>)>>,
    bell: Notify,
}

impl Ear {
    /// Begins to hear `exchange`. False: it did already.
    pub(super) fn open(&self, exchange: &str) -> bool {
        let mut heard = self.heard.lock().expect("nothing panics while it holds an ear");
        let is_new = heard.is_none();
        heard.get_or_insert_with(|| (exchange.to_owned(), VecDeque::new()));
        is_new
    }

    /// The next broadcast.
    pub(super) async fn next(&self) -> Bytes {
        loop {
            let next = self.heard.lock().expect("as above").as_mut().and_then(|(_, waiting)| waiting.pop_front());
            match next {
                Some(message) => return message,
                None => self.bell.notified().await,
            }
        }
    }

    fn tell(&self, exchange: &str, message: &Bytes) {
        if let Some((heard, waiting)) = self.heard.lock().expect("as above").as_mut()
            && heard == exchange
        {
            waiting.push_back(message.clone());
            self.bell.notify_one();
        }
    }
}

/// What a room knows of remote control.
#[derive(Default)]
pub(super) struct Desk {
    ears: Vec<Weak<Ear>>,
    mailboxes: HashMap<String, VecDeque<Bytes>>,
    /// Oldest first: what, since when, and the signal that ends what runs of it.
    revoked: Vec<(Mark, Instant, Option<i32>)>,
}

impl Desk {
    /// A new ear, that listens to nothing yet.
    pub(super) fn ear(&mut self) -> Arc<Ear> {
        let ear = Arc::new(Ear::default());
        self.ears.retain(|known| known.strong_count() > 0);
        self.ears.push(Arc::downgrade(&ear));
        ear
    }

    /// The same with nothing in it but those who listen.
    pub(super) fn emptied(&mut self) -> Desk {
        Desk { ears: std::mem::take(&mut self.ears), ..Desk::default() }
    }

    /// What is remembered, oldest first.
    pub(super) fn revoked(&self) -> Vec<Revocation> {
        let read = |(mark, since, terminate): &(Mark, Instant, Option<i32>)| Revocation {
            mark: mark.clone(),
            age: since.elapsed(),
            terminate: *terminate,
        };
        self.revoked.iter().map(read).collect()
    }

    /// Whether this was revoked lately.
    pub(super) fn is_revoked_lately(&self, mark: &Mark) -> bool {
        self.revoked.iter().any(|(revoked, since, _)| revoked == mark && since.elapsed() < REVOKED_LATELY)
    }

    fn mark_revoked(&mut self, marks: &[Mark], terminate: Option<i32>, terms: RevokeTerms) {
        let now = Instant::now();
        let meant: HashSet<&Mark> = marks.iter().collect();
        let mut signals: HashMap<Mark, i32> = HashMap::new();
        self.revoked.retain(|(mark, since, signal)| {
            let is_again = meant.contains(mark);
            signals.extend(signal.filter(|_| is_again).map(|signal| (mark.clone(), signal)));
            !is_again && now.duration_since(*since) <= terms.keep
        });
        let again = |mark: &Mark| (mark.clone(), now, terminate.or_else(|| signals.get(mark).copied()));
        self.revoked.extend(marks.iter().map(again));
        let surplus = self.revoked.len().saturating_sub(terms.most as usize);
        self.revoked.drain(..surplus);
    }
}

fn full_name(exchange: &str, mailbox: &str) -> String {
    format!("{mailbox}.{exchange}")
}

impl Control for MemoryClient {
    fn broadcast(&mut self, exchange: &str, message: &[u8]) -> Result<(), Error> {
        let message = Bytes::copy_from_slice(message);
        let state = self.room.lock("broadcast")?;
        state.desk.ears.iter().filter_map(Weak::upgrade).for_each(|ear| ear.tell(exchange, &message));
        Ok(())
    }

    fn open_mailbox(&mut self, exchange: &str, mailbox: &str) -> Result<(), Error> {
        self.room.lock("open a mailbox")?.desk.mailboxes.entry(full_name(exchange, mailbox)).or_default();
        Ok(())
    }

    fn take_reply(&mut self, exchange: &str, mailbox: &str, timeout: Duration) -> Result<Option<Bytes>, Error> {
        let name = full_name(exchange, mailbox);
        let end = Instant::now() + timeout;
        let mut state = self.room.lock("wait for replies")?;
        loop {
            if let Some(reply) = state.desk.mailboxes.get_mut(&name).and_then(VecDeque::pop_front) {
                return Ok(Some(reply));
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            (state, _) = self.room.replied.wait_timeout(state, left).expect("nothing panics while it holds a room");
        }
    }

    fn close_mailbox(&mut self, exchange: &str, mailbox: &str) -> Result<(), Error> {
        self.room.lock("close a mailbox")?.desk.mailboxes.remove(&full_name(exchange, mailbox));
        Ok(())
    }

    fn reply(&mut self, exchange: &str, mailbox: &str, message: &[u8]) -> Result<bool, Error> {
        let mut state = self.room.lock("reply")?;
        let Some(waiting) = state.desk.mailboxes.get_mut(&full_name(exchange, mailbox)) else { return Ok(false) };
        waiting.push_back(Bytes::copy_from_slice(message));
        self.room.replied.notify_all();
        Ok(true)
    }

    fn mark_revoked(&mut self, marks: &[Mark], terminate: Option<i32>, terms: RevokeTerms) -> Result<(), Error> {
        self.room.lock("revoke")?.desk.mark_revoked(marks, terminate, terms);
        Ok(())
    }

    fn pause_queue(&mut self, queue: &str) -> Result<bool, Error> {
        Ok(self.room.lock("pause a queue")?.paused.insert(queue.to_owned()))
    }

    fn resume_queue(&mut self, queue: &str) -> Result<bool, Error> {
        let mut state = self.room.lock("resume a queue")?;
        state.wake(queue);
        Ok(state.paused.remove(queue))
    }

    fn bind(&mut self, _exchange: &str, _binding: &Binding) -> Result<(), Error> {
        Ok(())
    }

    fn bindings(&mut self, _exchange: &str) -> Result<Vec<Binding>, Error> {
        Ok(Vec::new())
    }

    fn paused_queues(&mut self) -> Result<Vec<String>, Error> {
        Ok(self.room.lock("read the paused queues")?.paused.iter().cloned().collect())
    }
}
