//! The deliveries that this worker holds, with their bytes. The engine knows them by handle only.

use fastworker_broker::{ReplyTo, Tag};
use fastworker_engine::Handle;
use fastworker_wire::child::OutcomeKind;

use fastworker_broker::Publish;

use crate::decode::{Flags, patch};
use crate::events::End;
use crate::record::Moments;
use crate::report::Fate;
use crate::sketch::Came;

/// What the child reported at the end of a task.
#[derive(Debug)]
pub(crate) struct Reported {
    pub(crate) kind: OutcomeKind,
    pub(crate) status: String,
    pub(crate) doc: Option<Vec<u8>>,
    pub(crate) reason: String,
    /// Microseconds inside the task function.
    pub(crate) runtime_us: u64,
    /// Its result or error as events show it, if the child was asked for that.
    pub(crate) shown: String,
    pub(crate) traceback: String,
    pub(crate) successors: Vec<Publish>,
}

/// How a member of a chord's header ended: a [`fastworker_broker::Part`] without what the worker knows anyway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberPart {
    /// The task, or a later step of its chain that will not run.
    pub task_id: String,
    /// The chord.
    pub group_id: String,
    /// Place in the header.
    pub index: Option<i64>,
    /// Of a failure: how many its chord bears before it ends at once; `None`: it waits for all members.
    pub bears: Option<u64>,
    /// Celery's `[1, task id, state, result]`, encoded.
    pub doc: Vec<u8>,
    /// What the join needs beside the parts.
    pub record: Vec<u8>,
}

/// What takes the place of a failure.
#[derive(Debug)]
pub(crate) struct Again {
    /// The document of the state RETRY; `None`: none is stored.
    pub(crate) doc: Option<Vec<u8>>,
    /// The next attempt.
    pub(crate) messages: Vec<Publish>,
}

/// One delivery.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) tag: Tag,
    /// Task id; empty when the message has none that could be read.
    pub(crate) id: String,
    /// Registered name, for results that the worker writes itself.
    pub(crate) task: String,
    /// Whether the message or the task's options forbid storing a result, as far as the envelope says.
    pub(crate) ignores_result: bool,
    /// Where results are messages: who asked for this one's.
    pub(crate) reply: Option<Box<ReplyTo>>,
    /// What a limit that all workers share counts it by; `None` where the task has none, or one bucket for all.
    pub(crate) rate_limit_key: Option<Box<str>>,
    /// With late acks: a hard time limit is acknowledged, instead of put into the dead letters after the last try.
    pub(crate) acks_on_timeout: bool,
    /// With late acks: the same for a process that died.
    pub(crate) gives_up_when_lost: bool,
    /// The serialised task frame; number, flags and attempt are patched at dispatch.
    pub(crate) frame: Vec<u8>,
    /// How the process ended that ran it last.
    pub(crate) death: Option<String>,
    /// `begin_attempt` was called for it.
    pub(crate) has_attempts: bool,
    pub(crate) attempt: u32,
    pub(crate) is_early_acked: bool,
    /// States that are not its end were stored, or are being stored.
    pub(crate) has_states: bool,
    /// Messages published by its run that the broker has not confirmed yet, and that its settlement waits for; one more
    /// while the main thread calls what follows from its failure.
    pub(crate) unconfirmed: u32,
    /// The number under which the main thread was told of its failure, before it is settled.
    pub(crate) told_as: Option<u64>,
    /// The group that it is a member of: of a chord's header, maybe.
    pub(crate) group: Option<Box<str>>,
    /// Counted with its end.
    pub(crate) parts: Vec<MemberPart>,
    /// A publish was refused by the broker: the task fails with these words.
    pub(crate) refused: Option<String>,
    pub(crate) reported: Option<Reported>,
    /// Its process died, and it is retried.
    pub(crate) again: Option<Again>,
    /// The main thread is told of its end once the broker has it: only signals hang on it.
    pub(crate) fate: Option<Fate>,
    /// Events may tell of it.
    pub(crate) sends_events: bool,
    /// `task-started` was sent of this try.
    pub(crate) is_told_started: bool,
    /// What is to be told once the broker has its end: of a try after which it comes again that is too late.
    pub(crate) end: Option<End>,
    /// When it came.
    pub(crate) came: Came,
    /// When it came past the stations, while a bench records that.
    pub(crate) moments: Moments,
    /// The engine wants it settled; waits for `unconfirmed` to reach 0.
    pub(crate) ending: Option<fastworker_engine::Ending>,
}

impl Held {
    /// Makes the frame fit for another try. `tells`: events tell of tasks.
    pub(crate) fn prepare(&mut self, number: u32, flush_first: bool, tells: bool) {
        self.refused = None;
        self.is_told_started = false;
        let is_watched = tells && self.sends_events;
        let flags = Flags { flush_first, is_early_acked: self.is_early_acked, is_watched };
        patch(&mut self.frame, number, flags, self.attempt);
    }
}

/// All of them, by handle.
#[derive(Default)]
pub(crate) struct HeldTable {
    slots: Vec<Option<Held>>,
    free: Vec<u32>,
}

impl HeldTable {
    pub(crate) fn insert(&mut self, held: Held) -> Handle {
        if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = Some(held);
            return Handle(slot);
        }
        self.slots.push(Some(held));
        Handle(self.slots.len() as u32 - 1)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.len() == self.free.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Handle, &Held)> {
        self.slots.iter().zip(0u32..).filter_map(|(slot, index)| slot.as_ref().map(|held| (Handle(index), held)))
    }

    pub(crate) fn get(&self, handle: Handle) -> Option<&Held> {
        self.slots.get(handle.0 as usize)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, handle: Handle) -> Option<&mut Held> {
        self.slots.get_mut(handle.0 as usize)?.as_mut()
    }

    pub(crate) fn remove(&mut self, handle: Handle) -> Option<Held> {
        let held = self.slots.get_mut(handle.0 as usize)?.take()?;
        self.free.push(handle.0);
        Some(held)
    }
}
