//! The queues that a worker watches: a list that only grows, so that an index names the same queue for ever.

use std::cell::RefCell;
use std::sync::Arc;

use super::entry;
use super::keys::Keys;

/// A queue that we consume.
#[derive(Clone)]
pub(super) struct WatchedQueue {
    pub(super) name: String,
    /// What follows the envelope in a lease entry of this queue.
    pub(super) tail: String,
}

/// All of them at one time: a script's answer is read with the list that it was called with.
pub(super) struct Queues {
    pub(super) all: Vec<WatchedQueue>,
    /// Every list, step by step and queue by queue within a step, as the fetch script takes them.
    pub(super) lists: Vec<String>,
}

impl Queues {
    pub(super) fn of(keys: &Keys, names: impl Iterator<Item = String>) -> Queues {
        let all: Vec<_> = names.map(|name| WatchedQueue { tail: entry::tail(&name), name }).collect();
        let lists = keys.steps().iter().flat_map(|step| all.iter().map(|queue| keys.list(&queue.name, *step)));
        Queues { lists: lists.collect(), all }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

/// The list as it is now.
pub(super) struct Watching(RefCell<Arc<Queues>>);

impl Watching {
    pub(super) fn new(queues: Queues) -> Watching {
        Watching(RefCell::new(Arc::new(queues)))
    }

    pub(super) fn now(&self) -> Arc<Queues> {
        Arc::clone(&self.0.borrow())
    }

    /// Adds one at the end. False: it is there.
    pub(super) fn add(&self, keys: &Keys, name: &str) -> bool {
        let before = self.now();
        if before.all.iter().any(|queue| queue.name == name) {
            return false;
        }
        let names = before.all.iter().map(|queue| queue.name.clone()).chain([name.to_owned()]);
        self.0.replace(Arc::new(Queues::of(keys, names)));
        true
    }
}
