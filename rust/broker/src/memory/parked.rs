//! Parked messages: out of the queue until they are due, and as a client sees them meanwhile.

use fastworker_wire::envelope;

use super::client::MemoryClient;
use super::state::{Message, State};
use super::url::room_of;
use crate::clock::now_ms;
use crate::connect::Kind;
use crate::parked::{store_first, two_numbers};
use crate::{Cancel, Cancelled, Error, HASTENED, Mark, PARKED_AT_ONCE, Parked, ParkedClient, ParkedPage, ResultsAt};

impl State {
    /// Keeps a message until it is due; `id` is its task's.
    pub(super) fn park(&mut self, message: Message, due_ms: i64, id: Option<&str>) {
        let is_revoked = id.is_some_and(|id| self.desk.is_revoked_lately(&Mark::Id(id.to_owned())));
        let due_ms = if is_revoked { due_ms.min(now_ms() + HASTENED.as_millis() as i64) } else { due_ms };
        self.parked.insert((due_ms, message.age), message);
    }

    /// Puts back all that is parked; returns how many.
    pub(super) fn unpark(&mut self) -> u64 {
        let parked = std::mem::take(&mut self.parked);
        let count = parked.len() as u64;
        parked.into_values().for_each(|message| self.put(message));
        count
    }

    /// Puts back what is due, and says when the next one is.
    pub(super) fn release_due(&mut self, now_ms: i64) -> Option<i64> {
        let later = self.parked.split_off(&(now_ms.saturating_add(1), 0));
        for message in std::mem::replace(&mut self.parked, later).into_values() {
            self.put(message);
        }
        self.parked.keys().next().map(|(due_ms, _)| *due_ms)
    }

    fn release(&mut self, handle: &str) -> bool {
        let Some(mut message) = two_numbers(handle).and_then(|place| self.parked.remove(&place)) else { return false };
        match envelope::without_eta(&message.body) {
            Ok(due) => message.body = due.into(),
            // What cannot be read cannot run either: the next worker buries it.
            Err(error) => tracing::warn!(%error, "a message is released with its eta"),
        }
        self.put(message);
        true
    }

    fn hasten(&mut self, handle: &str) -> bool {
        let Some(place) = two_numbers(handle) else { return false };
        let Some(message) = self.parked.remove(&place) else { return false };
        let (due_ms, age) = place;
        self.parked.insert((due_ms.min(now_ms() + HASTENED.as_millis() as i64), age), message);
        true
    }

    fn is_parked(&self, handle: &str) -> bool {
        two_numbers(handle).is_some_and(|place| self.parked.contains_key(&place))
    }

    fn cancel(&mut self, cancel: &Cancel, stores: bool) -> Cancelled {
        let Some(place) = two_numbers(&cancel.handle).filter(|place| self.parked.contains_key(place)) else {
            return Cancelled::NotParked;
        };
        if let Some(result) = cancel.result.as_ref().filter(|_| stores)
            && !self.results.replace(cancel.seen.as_deref(), result, now_ms())
        {
            return Cancelled::ResultChanged;
        }
        self.parked.remove(&place);
        Cancelled::Removed
    }
}

fn read(((due_ms, age), message): (&(i64, u64), &Message)) -> Parked {
    Parked::read(format!("{due_ms}:{age}"), message.queue.to_string(), *due_ms, &message.body)
}

impl ParkedClient for MemoryClient {
    fn parked_count(&mut self) -> Result<u64, Error> {
        Ok(self.room.lock("count parked messages")?.parked.len() as u64)
    }

    fn parked_page(&mut self, after: Option<&str>, limit: usize) -> Result<ParkedPage, Error> {
        let state = self.room.lock("list parked messages")?;
        let limit = limit.min(PARKED_AT_ONCE);
        let after = after.and_then(two_numbers::<u64>);
        let from = after.map_or((i64::MIN, 0), |(due_ms, age)| (due_ms, age.saturating_add(1)));
        let messages: Vec<Parked> = state.parked.range(from..).take(limit).map(read).collect();
        let next = messages.last().filter(|_| messages.len() == limit).map(|last| last.handle.clone());
        Ok(ParkedPage { messages, next })
    }

    /// Looks through all: a room holds what a test has published.
    fn parked_of(&mut self, ids: &[&str]) -> Result<Vec<Parked>, Error> {
        let state = self.room.lock("find parked messages")?;
        Ok(state.parked.iter().map(read).filter(|parked| ids.contains(&parked.id.as_str())).collect())
    }

    fn release_parked(&mut self, handles: &[&str]) -> Result<Vec<bool>, Error> {
        let mut state = self.room.lock("release parked messages")?;
        Ok(handles.iter().map(|handle| state.release(handle)).collect())
    }

    fn hasten_parked(&mut self, handles: &[&str]) -> Result<Vec<bool>, Error> {
        let mut state = self.room.lock("hasten parked messages")?;
        Ok(handles.iter().map(|handle| state.hasten(handle)).collect())
    }

    fn cancel_parked(&mut self, cancels: &[Cancel], results: Option<ResultsAt<'_>>) -> Result<Vec<Cancelled>, Error> {
        const WHAT: &str = "cancel parked messages";
        let is_here =
            |at: &ResultsAt<'_>| at.is(Kind::Memory) && room_of(at.url).is_ok_and(|room| room == self.room.name());
        let stores = results.as_ref().is_some_and(is_here);
        let Some(at) = results.filter(|_| !stores) else {
            let mut state = self.room.lock(WHAT)?;
            let answers = cancels.iter().map(|cancel| state.cancel(cancel, stores)).collect();
            self.room.stored.notify_all();
            return Ok(answers);
        };
        let stands: Vec<bool> = {
            let state = self.room.lock(WHAT)?;
            cancels.iter().map(|cancel| state.is_parked(&cancel.handle)).collect()
        };
        let (mut answers, places) = store_first(cancels, &stands, at)?;
        let mut state = self.room.lock(WHAT)?;
        for place in places {
            answers[place] = state.cancel(&cancels[place], false);
        }
        Ok(answers)
    }
}
