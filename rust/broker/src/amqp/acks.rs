//! When acknowledgements are sent: at once, or a moment later with others.
//!
//! Nothing answers an acknowledgement, so nothing else bounds how often they are sent; and a server that is told of each task
//! sends one message at a time. One that nothing else hangs on is sent with those of the next milliseconds: all that are
//! the oldest we have by one frame, every two; those behind a task that still runs one by one, every twenty, since most of
//! them are among the oldest by then. The first after a pause goes at once; and whenever the server is asked for more, or
//! a session is closed, all go first.
//!
//! A worker that is killed leaves what it has not acknowledged to be run again: here also tasks that ended in its last
//! twenty milliseconds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use lapin::options::BasicAckOptions;

use super::ledger::Acks;
use super::session::Session;
use crate::Error;

/// How often at most those that one frame covers are sent.
const PAUSE: Duration = Duration::from_millis(2);
/// How often at most the others are.
const LONG_PAUSE: Duration = Duration::from_millis(20);

impl Session {
    /// Acknowledges deliveries now.
    pub(super) async fn ack(&self, tags: impl IntoIterator<Item = u64>) -> Result<(), Error> {
        self.state().ledger.ack(tags);
        self.send_acks(true).await
    }

    /// Acknowledges deliveries within twenty milliseconds.
    pub(super) fn ack_soon(&self, tags: impl IntoIterator<Item = u64>) {
        self.state().ledger.ack(tags);
        self.has_acks.notify_one();
    }

    /// Sends what waits to be acknowledged; `all`: not only by one frame.
    pub(super) async fn send_acks(&self, all: bool) -> Result<(), Error> {
        let Acks { up_to, single } = self.state().ledger.due(all);
        // All are sent before anything is awaited: an acknowledgement of many that is decided later is sent later.
        let many = up_to.map(|tag| (tag, BasicAckOptions { multiple: true }));
        let singles = single.into_iter().map(|tag| (tag, BasicAckOptions::default()));
        let acks = many.into_iter().chain(singles).map(|(tag, options)| self.tasks.basic_ack(tag, options));
        self.within("acknowledge", async { join_all(acks).await.into_iter().collect() }).await
    }

    /// Sends what `ack_soon` left, for as long as the session lasts.
    pub(super) fn pace_acks(self: &Arc<Session>) {
        let (session, has_acks) = (Arc::downgrade(self), Arc::clone(&self.has_acks));
        tokio::spawn(async move {
            let mut all_sent: Option<Instant> = None;
            loop {
                has_acks.notified().await;
                let Some(session) = session.upgrade().filter(|session| session.is_alive()) else { return };
                let all = all_sent.is_none_or(|sent| sent.elapsed() >= LONG_PAUSE);
                if session.send_acks(all).await.is_err() {
                    return;
                }
                if all {
                    all_sent = Some(Instant::now());
                } else if session.state().ledger.has_unsent() {
                    has_acks.notify_one();
                }
                drop(session);
                tokio::time::sleep(PAUSE).await;
            }
        });
    }
}
