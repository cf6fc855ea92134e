//! The consumed queues as the loop sees them: by name outside, by index in the engine and at the broker.

use fastworker_broker::{self as broker, Broker, Fanout};
use fastworker_engine::{Event, Portion, QueueTerms};

use super::Worker;

/// Portions as the broker knows them.
pub(super) fn brokers(portions: &[Portion]) -> Vec<broker::Portion> {
    portions.iter().map(|&Portion { room, share }| broker::Portion { room, share }).collect()
}

impl Worker {
    /// A queue is consumed from now on.
    pub(super) fn consume(&mut self, queue: String, terms: QueueTerms, fanout: Option<&Fanout>) {
        let index = self.index_of_queue(&queue).unwrap_or_else(|| {
            self.io.broker.watch(fanout.map_or(&queue, |own| &own.queue));
            self.decoder.add_queue(queue.clone());
            self.config.queues.push(queue);
            self.config.queues.len() as u16 - 1
        });
        self.feed(Event::QueueOpened { queue: index, terms });
    }

    /// What has not been started of a queue goes back. False: it never was consumed here.
    pub(super) fn give_queue_back(&mut self, queue: &str, is_cancelled: bool) -> bool {
        let Some(queue) = self.index_of_queue(queue) else { return false };
        self.feed(if is_cancelled { Event::QueueClosed { queue } } else { Event::QueueWithdrawn { queue } });
        true
    }

    fn index_of_queue(&self, queue: &str) -> Option<u16> {
        self.config.queues.iter().position(|known| known == queue).map(|index| index as u16)
    }
}
