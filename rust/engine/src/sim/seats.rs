//! How many children may work at once, as an observer counts it: from the configuration and the orders alone.

use crate::config::{Autoscale, Config};
use crate::event::Resize;

/// Cells beside the seats that take more, where tasks run beside others; twice as many with those that leave.
pub(super) const MOST_CELLS: usize = 4;

/// The number of seats, exactly where it is by order, within bounds where the autoscaler chooses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seats {
    /// The number; with an autoscaler: the most it may be.
    most: u32,
    /// The same; with an autoscaler: the least it may be.
    least: u32,
    has_autoscaler: bool,
    started: u32,
    most_ever: u32,
    has_successors: bool,
}

impl Seats {
    pub(super) fn of(config: &Config) -> Seats {
        let bounds = config.autoscale.map(|Autoscale { max, min, .. }| (max, min));
        let (most, least) = bounds.unwrap_or((config.concurrency, config.concurrency));
        Seats {
            most,
            least,
            has_autoscaler: bounds.is_some(),
            started: most,
            most_ever: most,
            has_successors: config.max_tasks_per_child.is_some() || config.max_memory_per_child_kib.is_some(),
        }
    }

    pub(super) fn resize(&mut self, resize: Resize) {
        match resize {
            // Within the autoscaler's bounds, which stay.
            Resize::Grow(_) | Resize::Shrink(_) if self.has_autoscaler => {}
            Resize::Grow(count) => self.set(self.most + count, self.least + count),
            Resize::Shrink(count) => {
                self.set(self.most.saturating_sub(count), self.least.saturating_sub(count));
            }
            Resize::Autoscale { max, min } if self.has_autoscaler => {
                let most = max.unwrap_or(self.most).max(1);
                self.set(most, min.unwrap_or(self.least).clamp(1, most));
            }
            Resize::Autoscale { .. } => {}
        }
    }

    fn set(&mut self, most: u32, least: u32) {
        (self.most, self.least) = (most, least);
        self.most_ever = self.most_ever.max(most);
    }

    /// Most children with tasks at once, for one that had none.
    pub(super) fn most(&self) -> usize {
        self.most as usize
    }

    /// Fewest children that are kept.
    pub(super) fn least(&self) -> usize {
        self.least as usize
    }

    /// Most there ever were: what was begun under an earlier number may go on.
    pub(super) fn most_ever(&self) -> usize {
        self.most_ever.max(1) as usize
    }

    /// Whether children may be ready and have no seat.
    pub(super) fn has_spares(&self) -> bool {
        self.has_autoscaler || self.has_successors || self.most_ever != self.started || self.most != self.started
    }

    /// Most children that live at once and may have more tasks: one for each seat, and with bounds on a child a
    /// successor for each.
    pub(super) fn most_staying(&self) -> usize {
        if self.has_successors { 2 * self.most() } else { self.most() }
    }

    /// Most deliveries held at once, for a fetch.
    pub(super) fn prefetch(&self, config: &Config) -> usize {
        self.prefetch_for(self.most, config)
    }

    /// The same with calls of batch tasks, of which there may be a batch for each slot on top.
    pub(super) fn most_fetched(&self, config: &Config) -> usize {
        self.prefetch_for(self.most, config) + batches_for(self.most, config)
    }

    /// Most deliveries held at once ever: what was fetched under an earlier number may still be held.
    pub(super) fn most_held(&self, config: &Config) -> usize {
        self.prefetch_for(self.most_ever, config) + batches_for(self.most_ever, config)
    }

    fn prefetch_for(&self, children: u32, config: &Config) -> usize {
        let scaled = u64::from(config.prefetch) * u64::from(children) / u64::from(self.started.max(1));
        scaled.max(u64::from(children) * u64::from(config.per_child())).max(1) as usize
    }
}

/// A batch of the largest kind for each slot.
fn batches_for(children: u32, config: &Config) -> usize {
    let largest = config.tasks.iter().filter_map(|task| task.batch).map(|terms| terms.most).max().unwrap_or(0);
    children as usize * config.slots as usize * largest as usize
}
