//! The request table: what the engine holds, found by handle in one step.

use crate::event::{ChildId, Handle, Request};
use crate::limits::Limits;

/// Where a held delivery is. Every delivery is in exactly one of these places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the local timer until its eta.
    Timer,
    /// `Action::Acquire` for it is out, or about to be.
    Asking,
    /// In line for a permit of its task type's rate limit.
    Limited,
    /// It has its permit; in line for a place of its queue.
    Standing,
    /// Of a batch task: waits for others of its kind.
    Gathering,
    /// In the ready queues.
    Ready,
    /// Started before, where tasks run beside others: in line for a cell.
    Suspect,
    /// Early-acknowledged type, ready, but as many as allowed are between acknowledgement and end.
    EarlyLine,
    /// Needs an attempt number, and the broker is away.
    Aside,
    /// `Action::RecordAttempt` is out.
    Recording,
    /// `Action::Settle` with `Ending::EarlyAck` is out.
    Acking,
    /// Dispatched to this child, and its end is not known.
    Child(ChildId),
    /// `Action::Settle` with a final ending is out.
    Ending,
}

/// Where a held delivery is, for `inspect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// On the local timer.
    Timer {
        /// When it is due, Unix time in milliseconds.
        until_ms: i64,
    },
    /// Waits for a child or for the broker.
    Waiting,
    /// At this child, running or unstarted.
    Child(ChildId),
    /// Has ended, and the broker has not confirmed it yet.
    Ending,
}

/// What a revoke asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Revoke {
    /// It is not to start; if it runs, it may finish.
    Skip,
    /// If it runs, this signal ends it.
    Terminate(i32),
}

/// One held delivery.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// As it was delivered.
    pub(crate) request: Request,
    /// Where it is now.
    pub(crate) place: Place,
    /// When it first became ready to run here (`mono_us`).
    pub(crate) ready_since_us: u64,
    /// Its place among those that wait to run, by when it came to their end.
    pub(crate) order: u64,
    /// Started attempts known of; the one that is running is counted once it has been recorded or has died.
    pub(crate) attempts: u32,
    /// A process may have died of it. With one slot nothing may be queued before or behind it at a child; with several it
    /// goes to a cell.
    pub(crate) runs_alone: bool,
    /// `attempts` counts the start that is about to happen; cleared when that start has died.
    pub(crate) is_recorded: bool,
    /// Its early acknowledgement is confirmed: the broker no longer knows it.
    pub(crate) is_acked: bool,
    /// The lease was lost while a child had it.
    pub(crate) is_lost: bool,
    /// A child of ours started it at least once under this lease.
    pub(crate) was_started: bool,
    /// It is a call of a batch task.
    pub(crate) is_batched: bool,
    /// It counts against the limit of its queue.
    pub(crate) has_place: bool,
    /// It was revoked while it was here.
    pub(crate) revoke: Option<Revoke>,
    /// The time limits in force when it was dispatched.
    pub(crate) limits: Limits,
}

impl Held {
    /// A delivery as it comes in, on its way to `place`.
    pub(crate) fn new(request: Request, place: Place, now_us: u64) -> Held {
        Held {
            runs_alone: request.is_redelivered,
            request,
            place,
            ready_since_us: now_us,
            order: 0,
            attempts: 0,
            is_recorded: false,
            is_acked: false,
            is_lost: false,
            was_started: false,
            is_batched: false,
            has_place: false,
            revoke: None,
            limits: Limits::default(),
        }
    }

    /// How often it is known to have been started: a recorded start that has not happened does not count.
    pub(crate) fn started_attempts(&self) -> u32 {
        self.attempts - u32::from(self.is_recorded)
    }
}

/// A slab indexed by handle. Grows to the largest handle the driver uses, which is bounded by the prefetch.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    slots: Vec<Option<Held>>,
    len: u32,
    batched: u32,
    batched_bytes: u64,
}

impl Requests {
    /// Where each is.
    pub(crate) fn whereabouts(&self) -> impl Iterator<Item = (Handle, Whereabouts)> {
        self.slots.iter().flatten().map(|held| {
            let whereabouts = match held.place {
                Place::Timer => Whereabouts::Timer { until_ms: held.request.eta_ms.unwrap_or_default() },
                Place::Asking
                | Place::Limited
                | Place::Standing
                | Place::Gathering
                | Place::Ready
                | Place::Suspect
                | Place::EarlyLine
                | Place::Aside
                | Place::Recording
                | Place::Acking => Whereabouts::Waiting,
                Place::Child(child) => Whereabouts::Child(child),
                Place::Ending => Whereabouts::Ending,
            };
            (held.request.handle, whereabouts)
        })
    }

    /// Those with a lease that the broker is not being asked about.
    pub(crate) fn unasked(&self) -> impl Iterator<Item = Handle> {
        let is_unasked = |held: &&Held| match held.place {
            Place::Timer
            | Place::Limited
            | Place::Standing
            | Place::Gathering
            | Place::Ready
            | Place::Suspect
            | Place::EarlyLine
            | Place::Aside
            | Place::Child(_) => !held.is_acked,
            Place::Asking | Place::Recording | Place::Acking | Place::Ending => false,
        };
        self.slots.iter().flatten().filter(is_unasked).map(|held| held.request.handle)
    }

    /// How many deliveries are held.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// How many of them are calls of batch tasks, and the bytes of these.
    pub(crate) fn batched(&self) -> (u32, u64) {
        (self.batched, self.batched_bytes)
    }

    /// Takes in a delivery; false (and nothing changes) when its handle is in use, which is the driver's mistake.
    pub(crate) fn insert(&mut self, held: Held) -> bool {
        let index = held.request.handle.0 as usize;
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || None);
        }
        let slot = &mut self.slots[index];
        if slot.is_some() {
            return false;
        }
        if held.is_batched {
            self.batched += 1;
            self.batched_bytes += u64::from(held.request.size);
        }
        *slot = Some(held);
        self.len += 1;
        true
    }

    /// What is held of one queue.
    pub(crate) fn of_queue(&self, queue: u16) -> impl Iterator<Item = &Held> {
        self.slots.iter().flatten().filter(move |held| held.request.queue == queue)
    }

    /// The delivery of that handle, if it is held.
    pub(crate) fn get(&self, handle: Handle) -> Option<&Held> {
        self.slots.get(handle.0 as usize)?.as_ref()
    }

    /// The same, to be changed.
    pub(crate) fn get_mut(&mut self, handle: Handle) -> Option<&mut Held> {
        self.slots.get_mut(handle.0 as usize)?.as_mut()
    }

    /// A delivery that one of the engine's own lists names, and which is therefore held.
    pub(crate) fn of(&mut self, handle: Handle) -> &mut Held {
        self.get_mut(handle).expect("a handle in a list of the engine is held until it is taken off that list")
    }

    /// Forgets a delivery.
    pub(crate) fn remove(&mut self, handle: Handle) {
        if let Some(slot) = self.slots.get_mut(handle.0 as usize)
            && let Some(held) = slot.take()
        {
            self.len -= 1;
            if held.is_batched {
                self.batched -= 1;
                self.batched_bytes -= u64::from(held.request.size);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn calls_of_batch_tasks_are_counted_with_their_bytes() {
        let mut requests = Requests::default();
        for (handle, size) in [(1, 100), (2, 300), (3, 5)] {
            let request = Request { size, ..testing::request(handle) };
            requests.insert(Held { is_batched: handle < 3, ..Held::new(request, Place::Ready, 0) });
        }
        assert_eq!(requests.batched(), (2, 400));
        requests.remove(Handle(1));
        requests.remove(Handle(3));
        assert_eq!(requests.batched(), (1, 300));
    }
}
