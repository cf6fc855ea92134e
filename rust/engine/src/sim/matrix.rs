//! What was hit: how often each accident met a message in each state.

use super::broker::{Lease, Owner, Place};
use super::faults::Fault;
use super::world::{Worker, World};
use crate::event::{ChildId, Handle};
use crate::requests;

/// Where a message is when an accident meets it: at the broker, or in the worker that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// On its way from the publisher.
    Publish,
    /// In its queue.
    Queued,
    /// Parked at the broker.
    Parked,
    /// Leased; the worker does not know it yet, or no longer.
    Leased,
    /// On a worker's timer.
    Timer,
    /// In a lane of the broker.
    Laned,
    /// A shared permit is being asked for.
    Asking,
    /// In line for a permit of its rate limit, or with that for a place of its queue.
    Limited,
    /// Of a batch task, and waiting for others.
    Gathering,
    /// Ready for a child.
    Ready,
    /// Started before, and in line for a cell.
    Suspect,
    /// Waiting for a place among the early-acknowledged.
    EarlyLine,
    /// Waiting for the broker, to have its attempt recorded.
    Aside,
    /// Its attempt is being recorded.
    Recording,
    /// It is being acknowledged early.
    Acking,
    /// Sent to a child, not started.
    Sent,
    /// Running.
    Running,
    /// Being settled.
    Ending,
}

impl Column {
    /// All there are, in the order of a message's way.
    pub const ALL: [Column; 18] = [
        Column::Publish,
        Column::Queued,
        Column::Parked,
        Column::Leased,
        Column::Timer,
        Column::Laned,
        Column::Asking,
        Column::Limited,
        Column::Gathering,
        Column::Ready,
        Column::Suspect,
        Column::EarlyLine,
        Column::Aside,
        Column::Recording,
        Column::Acking,
        Column::Sent,
        Column::Running,
        Column::Ending,
    ];
}

/// Counts of accidents by what they met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matrix([[u64; Column::ALL.len()]; Fault::ALL.len()]);

impl Default for Matrix {
    fn default() -> Matrix {
        Matrix([[0; Column::ALL.len()]; Fault::ALL.len()])
    }
}

impl Matrix {
    /// One message in that state was met.
    pub(super) fn add(&mut self, fault: Fault, column: Column) {
        self.0[fault as usize][column as usize] += 1;
    }

    /// Adds another schedule's counts.
    pub fn merge(&mut self, other: &Matrix) {
        for (row, more) in self.0.iter_mut().zip(&other.0) {
            row.iter_mut().zip(more).for_each(|(cell, more)| *cell += more);
        }
    }

    /// How often messages in that state were met.
    pub fn count(&self, fault: Fault, column: Column) -> u64 {
        self.0[fault as usize][column as usize]
    }
}

impl std::fmt::Display for Matrix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:<14}", "")?;
        for column in Column::ALL {
            write!(f, " {:>9}", format!("{column:?}"))?;
        }
        for fault in Fault::ALL {
            write!(f, "\n{:<14}", format!("{fault:?}"))?;
            for column in Column::ALL {
                write!(f, " {:>9}", self.count(fault, column))?;
            }
        }
        Ok(())
    }
}

impl Worker {
    /// Where a held delivery is.
    fn column(&self, handle: Handle, place: requests::Place) -> Column {
        match place {
            requests::Place::Timer => Column::Timer,
            requests::Place::Asking => Column::Asking,
            requests::Place::Limited | requests::Place::Standing => Column::Limited,
            requests::Place::Gathering => Column::Gathering,
            requests::Place::Ready => Column::Ready,
            requests::Place::Suspect => Column::Suspect,
            requests::Place::EarlyLine => Column::EarlyLine,
            requests::Place::Aside => Column::Aside,
            requests::Place::Recording => Column::Recording,
            requests::Place::Acking => Column::Acking,
            requests::Place::Child(id) => {
                let child = self.children.get(&id);
                let is_sent =
                    child.is_some_and(|child| child.frames.iter().any(|frame| frame.handles.contains(&handle)));
                if is_sent { Column::Sent } else { Column::Running }
            }
            requests::Place::Ending => Column::Ending,
        }
    }
}

impl World {
    /// An accident met everything that a worker holds.
    pub(super) fn mark_worker(&mut self, fault: Fault, owner: Owner) {
        let worker = &self.workers[&owner];
        for (handle, place) in places(&worker.engine.requests) {
            self.hits.add(fault, worker.column(handle, place));
        }
    }

    /// An accident met everything that a child has.
    pub(super) fn mark_child(&mut self, fault: Fault, owner: Owner, id: ChildId) {
        let worker = &self.workers[&owner];
        let is_there = |place| place == requests::Place::Child(id);
        for (handle, place) in places(&worker.engine.requests).filter(|&(_, place)| is_there(place)) {
            self.hits.add(fault, worker.column(handle, place));
        }
    }

    /// An accident met the broker: everything in it.
    pub(super) fn mark_broker(&mut self, fault: Fault) {
        for index in 0..self.broker.messages.len() {
            let message = &self.broker.messages[index];
            let lease = Lease { message: index, epoch: message.epoch };
            let column = match message.place {
                Place::Queued => Column::Queued,
                Place::Parked(_) => Column::Parked,
                Place::Laned(..) => Column::Laned,
                Place::Leased(owner) | Place::AckedEarly(owner) => {
                    self.column_of_lease(owner, lease).unwrap_or(Column::Leased)
                }
                Place::Nowhere
                | Place::Done
                | Place::Dead
                | Place::LostByChoice
                | Place::Unpublished
                | Place::Forgotten => continue,
            };
            self.hits.add(fault, column);
        }
    }

    /// Where a leased message is in its worker, if that knows it.
    pub(super) fn column_of_lease(&self, owner: Owner, lease: Lease) -> Option<Column> {
        let worker = self.workers.get(&owner)?;
        let handle = worker.audit.handle_of(lease)?;
        self.column_of_handle(owner, handle)
    }

    /// Where a held delivery is in its worker.
    pub(super) fn column_of_handle(&self, owner: Owner, handle: Handle) -> Option<Column> {
        let worker = self.workers.get(&owner)?;
        let place = worker.engine.requests.get(handle)?.place;
        Some(worker.column(handle, place))
    }
}

/// Where everything is that a worker holds.
fn places(requests: &requests::Requests) -> impl Iterator<Item = (Handle, requests::Place)> {
    requests.whereabouts().filter_map(|(handle, _)| Some((handle, requests.get(handle)?.place)))
}
