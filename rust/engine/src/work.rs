//! What one number of a child stands for: a delivery, or the calls of a batch task that one function call was given.
//!
//! A batch is claimed, recalled, limited and interrupted as one, by its number. Its members end each by itself, and the
//! number ends when the function has returned, which may be later than its last member.

use std::collections::VecDeque;

use crate::event::Handle;
use crate::limits::Limits;

/// The work of one number.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// A delivery that has the function call for itself.
    One(Handle),
    /// Calls that share one.
    Batch(Box<Batch>),
}

/// A batch at a child.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    /// Index into `Config::tasks`.
    pub(crate) task: usize,
    /// How many members it had at the start.
    pub(crate) size: u32,
    /// Members that have not ended, in order.
    pub(crate) open: VecDeque<Handle>,
    /// The time limits of the function call.
    pub(crate) limits: Limits,
}

impl Work {
    /// The deliveries that have not ended, in order.
    pub(crate) fn handles(&self) -> impl DoubleEndedIterator<Item = Handle> {
        let (one, batch) = match self {
            Work::One(handle) => (Some(*handle), None),
            Work::Batch(batch) => (None, Some(batch.open.iter().copied())),
        };
        one.into_iter().chain(batch.into_iter().flatten())
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u32 {
        match self {
            Work::One(_) => 1,
            Work::Batch(batch) => batch.open.len() as u32,
        }
    }

    /// Takes a member out of a batch. False: it is none of it, or not any more.
    pub(crate) fn take(&mut self, handle: Handle) -> bool {
        let Work::Batch(batch) = self else { return false };
        // Members mostly end in order.
        match batch.open.iter().position(|&member| member == handle) {
            Some(index) => batch.open.remove(index).is_some(),
            None => false,
        }
    }
}
