//! Queues for copies of what is published to fanout exchanges.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::client::MemoryClient;
use crate::fanout::FORGOTTEN;
use crate::{Error, Fanout, FanoutClient};

/// By exchange and queue: when its worker was last heard of.
#[derive(Default)]
pub(super) struct Enlisted(BTreeMap<(String, String), Instant>);

impl Enlisted {
    /// Says that the queues are there; returns those of workers that have long been gone.
    pub(super) fn enlist(&mut self, fanouts: &[Fanout]) -> Vec<String> {
        let now = Instant::now();
        let keys = fanouts.iter().map(|fanout| (fanout.exchange.clone(), fanout.queue.clone()));
        self.0.extend(keys.map(|key| (key, now)));
        let mut stale = Vec::new();
        self.0.retain(|(_, queue), since| {
            let is_kept = now.duration_since(*since) <= FORGOTTEN;
            if !is_kept {
                stale.push(queue.clone());
            }
            is_kept
        });
        stale
    }

    fn copies(&self, exchange: &str, within: Duration) -> Vec<String> {
        let is_meant = |entry: &(&(String, String), &Instant)| entry.0.0 == exchange && entry.1.elapsed() <= within;
        self.0.iter().filter(is_meant).map(|((_, queue), _)| queue.clone()).collect()
    }
}

impl FanoutClient for MemoryClient {
    fn copies(&mut self, exchange: &str, within: Duration) -> Result<Vec<String>, Error> {
        Ok(self.room.lock("read the queues of a fanout exchange")?.enlisted.copies(exchange, within))
    }

    fn announce(&mut self, _exchange: &str, _routing_key: &str, _message: &[u8]) -> Result<(), Error> {
        Ok(())
    }
}
