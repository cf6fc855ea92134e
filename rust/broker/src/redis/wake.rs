//! Waking up without popping.
//!
//! The fetch script ends with LLEN of every watched list, and reads which queues are paused. Under client tracking the server then tells this connection
//! once when one of them changes: a push of about 50 µs, with no blocking command whose reply could be lost. The next
//! fetch arms it again. A jittered poll of about a second stands behind it, for a push that a dying connection ate.
//! A server without RESP3 or without tracking is polled every 25 ms or so, which costs it about 0.1 % of a core.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use redis::{PushInfo, PushKind, Value};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// How long `wait` sleeps at most when pushes are expected, and when they are not; milliseconds, spread so that the
/// workers of a fleet do not poll in step.
const POLL_TRACKED_MS: Range<u32> = 700..1200;
const POLL_UNTRACKED_MS: Range<u32> = 20..30;

/// Shared with the connection's own task, which calls [`Wake::pushed`].
pub(super) struct Wake {
    watched: RwLock<HashSet<Vec<u8>>>,
    /// Counts pushes about watched lists, and lost connections.
    pushes: AtomicU64,
    /// `pushes` when the last fetch was sent: what came before it, it has seen itself.
    seen: AtomicU64,
    /// The last fetch left messages behind.
    has_more: AtomicBool,
    is_tracked: AtomicBool,
    notify: Notify,
}

impl Wake {
    pub(super) fn new(lists: impl Iterator<Item = String>) -> Self {
        Self {
            watched: RwLock::new(lists.map(String::into_bytes).collect()),
            pushes: AtomicU64::new(0),
            seen: AtomicU64::new(0),
            has_more: AtomicBool::new(true),
            is_tracked: AtomicBool::new(false),
            notify: Notify::new(),
        }
    }

    /// Hears of these lists too.
    pub(super) fn watch(&self, lists: impl Iterator<Item = String>) {
        let mut watched = self.watched.write().unwrap_or_else(PoisonError::into_inner);
        watched.extend(lists.map(String::into_bytes));
    }

    fn is_watched(&self, key: &[u8]) -> bool {
        self.watched.read().unwrap_or_else(PoisonError::into_inner).contains(key)
    }

    /// A new connection is there; `is_tracked`: it will send pushes.
    pub(super) fn connected(&self, is_tracked: bool) {
        self.is_tracked.store(is_tracked, Ordering::Relaxed);
    }

    /// Whether the server sends pushes.
    pub(super) fn is_tracked(&self) -> bool {
        self.is_tracked.load(Ordering::Relaxed)
    }

    /// Takes what the server sent unasked. Our own heartbeat key is tracked too, since the script reads it; it wakes
    /// nobody.
    pub(super) fn pushed(&self, push: &PushInfo) {
        let concerns_us = match push.kind {
            PushKind::Invalidate => match push.data.first() {
                Some(Value::Array(keys)) => keys.iter().any(|key| match key {
                    Value::BulkString(key) => self.is_watched(key),
                    _ => false,
                }),
                // Everything was flushed.
                _ => true,
            },
            PushKind::Disconnection => true,
            _ => false,
        };
        if concerns_us {
            self.pushes.fetch_add(1, Ordering::Relaxed);
            self.notify.notify_one();
        }
    }

    /// To be called before a fetch is sent.
    pub(super) fn fetching(&self) {
        self.seen.store(self.pushes.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// To be called with what the fetch's reply said about the lists after its pops.
    pub(super) fn fetched(&self, has_more: bool) {
        self.has_more.store(has_more, Ordering::Relaxed);
        if has_more {
            // Somebody may be waiting since before this fetch was sent.
            self.notify.notify_one();
        }
    }

    /// See [`crate::Broker::wait`].
    pub(super) async fn wait(&self) {
        let poll_ms = if self.is_tracked() { POLL_TRACKED_MS } else { POLL_UNTRACKED_MS };
        let deadline = Instant::now() + jittered(poll_ms);
        while !self.has_news() {
            // A stored notification may be older than the last fetch; the loop looks again.
            if timeout_at(deadline, self.notify.notified()).await.is_err() {
                return;
            }
        }
    }

    fn has_news(&self) -> bool {
        self.has_more.load(Ordering::Relaxed)
            || self.pushes.load(Ordering::Relaxed) != self.seen.load(Ordering::Relaxed)
    }
}

/// Without random numbers the middle of the range will do.
fn jittered(range_ms: Range<u32>) -> Duration {
    let spread = range_ms.end - range_ms.start;
    let offset = getrandom::u32().map_or(spread / 2, |random| random % spread);
    Duration::from_millis(u64::from(range_ms.start + offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(keys: &[&str]) -> PushInfo {
        let keys = keys.iter().map(|key| Value::BulkString(key.as_bytes().to_vec())).collect();
        PushInfo { kind: PushKind::Invalidate, data: vec![Value::Array(keys)] }
    }

    fn idle() -> Wake {
        let wake = Wake::new(["q".to_owned()].into_iter());
        wake.connected(true);
        wake.fetching();
        wake.fetched(false);
        wake
    }

    #[test]
    fn a_push_about_a_watched_list_is_news_until_the_next_fetch() {
        let wake = idle();
        wake.pushed(&push(&["fastworker:owner:1"]));
        assert!(!wake.has_news());
        wake.pushed(&push(&["other", "q"]));
        assert!(wake.has_news());
        wake.fetching();
        assert!(!wake.has_news());
    }

    #[test]
    fn a_fetch_that_left_messages_needs_no_push() {
        let wake = idle();
        wake.fetched(true);
        assert!(wake.has_news());
    }

    #[test]
    fn a_flush_and_a_lost_connection_wake() {
        for (kind, data) in [(PushKind::Invalidate, vec![Value::Nil]), (PushKind::Disconnection, vec![])] {
            let wake = idle();
            wake.pushed(&PushInfo { kind, data });
            assert!(wake.has_news());
        }
    }
}
