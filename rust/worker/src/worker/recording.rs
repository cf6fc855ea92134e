//! The recorder of a bench, and what is always kept, as the loop sees them.

use crate::clock;
use crate::record::{Record, RecordOrder, Recorder};
use crate::sketch::Sketch;

use super::Worker;

impl Worker {
    /// The time, if anybody wants to know it.
    pub(super) fn recorded_us(&self) -> u64 {
        if self.recorder.is_some() { clock::mono_us() } else { 0 }
    }

    pub(super) fn sketch(&mut self) -> Sketch {
        self.sketches.read(self.config.tasks.iter().map(|task| task.name.as_str()))
    }

    pub(super) fn record(&mut self, order: RecordOrder) -> Option<Record> {
        let names = || self.config.tasks.iter().map(|task| task.name.as_str());
        match order {
            RecordOrder::Start => {
                self.recorder = Some(Box::new(Recorder::new(self.config.tasks.len())));
                None
            }
            RecordOrder::Count => self.recorder.as_ref().map(|recorder| recorder.counts(names())),
            RecordOrder::Read => self.recorder.as_ref().map(|recorder| recorder.record(names())),
            RecordOrder::Stop => self.recorder.take().map(|recorder| recorder.record(names())),
        }
    }
}
