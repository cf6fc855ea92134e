//! Leases beyond the visibility timeout, restored as Celery's own restorer would.
//!
//! A living fastworker refreshes its leases long before; what is that old belongs to a Celery worker that died, or to
//! nobody. Where Celery workers run they do the same; kombu's mutex keeps us from doing it twice, and the guard on each
//! lease would make that harmless.

use std::time::Duration;

use redis::Value;
use tokio::time::Instant;

use super::broker::RedisBroker;
use super::failure::texts;
use super::restore::Holders;
use super::script::{EXPIRED, UNLOCK};
use crate::Error;

/// How many are restored by one sweep.
const SWEPT_AT_ONCE: usize = 100;
/// The mutex frees itself after so long, as kombu's does.
const MUTEX_MS: u64 = 300_000;
/// Rarer sweeps would make a long visibility timeout longer still.
const RAREST: Duration = Duration::from_secs(60);

impl RedisBroker {
    /// At most once in a tenth of the visibility timeout; how many messages went back.
    pub(super) async fn sweep_expired(&self) -> Result<u64, Error> {
        let pause = (self.visibility_timeout / 10).clamp(self.terms.refresh.min(RAREST), RAREST);
        if self.swept.get().is_some_and(|swept| swept.elapsed() < pause) {
            return Ok(0);
        }
        let mut lock = redis::cmd("SET");
        lock.arg(&self.keys.unacked_mutex).arg(&self.held.incarnation).arg("NX").arg("PX").arg(MUTEX_MS);
        if self.work.one("recover", lock).await? == Value::Nil {
            // Somebody else sweeps right now.
            self.swept.set(Some(Instant::now()));
            return Ok(0);
        }
        let swept = self.sweep_locked().await;
        let fill = |command: &mut redis::Cmd| {
            command.arg(1).arg(&self.keys.unacked_mutex).arg(&self.held.incarnation);
        };
        let unlocked = self.work.script("recover", &UNLOCK, fill).await;
        let swept = swept?;
        unlocked?;
        // A full batch: there may be more, and the next call goes on at once.
        self.swept.set((swept < SWEPT_AT_ONCE as u64).then(Instant::now));
        Ok(swept)
    }

    async fn sweep_locked(&self) -> Result<u64, Error> {
        let timeout_s = self.visibility_timeout.as_secs_f64();
        let fill = |command: &mut redis::Cmd| {
            command.arg(1).arg(&self.keys.unacked_index).arg(timeout_s).arg(SWEPT_AT_ONCE);
        };
        let expired = texts(self.work.script("recover", &EXPIRED, fill).await?).unwrap_or_default();
        if expired.is_empty() { Ok(0) } else { self.restore(&expired, Holders::AreUnaware).await }
    }
}
