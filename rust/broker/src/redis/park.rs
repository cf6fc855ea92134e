//! Messages that are due later than a worker wants to hold them, and the record of started attempts.
//!
//! A parked message stays in `unacked` under a name of its own, scored so that its visibility timeout ends when it is
//! due: a fleet in which only Celery workers remain still gets it, through kombu's own restorer. Ours is exact, and
//! leaves no mark: the message was never started.

use redis::Value;

use super::broker::RedisBroker;
use super::failure::int;
use super::script::{BEGIN_ATTEMPT, RELEASE};
use crate::{Error, Tag};

/// How many are released by one call of the script.
const RELEASED_AT_ONCE: usize = 500;
/// How long a record of attempts outlives its last change.
const ATTEMPTS_KEPT_S: u64 = 7 * 24 * 3600;

impl RedisBroker {
    /// The due time of the next one, Unix ms; not after `now_ms` when more are due than one call releases.
    pub(super) async fn release_parked(&self, now_ms: i64) -> Result<Option<i64>, Error> {
        let keys = &self.keys;
        let fill = |command: &mut redis::Cmd| {
            command.arg(4).arg(&keys.unacked).arg(&keys.unacked_index).arg(&keys.parked).arg(&keys.parked_ids);
            command.arg(now_ms).arg(RELEASED_AT_ONCE);
        };
        let call = self.work.call("release");
        let next = match self.work.script("release", &RELEASE, fill).await? {
            Value::Nil => return Ok(None),
            Value::BulkString(score) => std::str::from_utf8(&score).ok().and_then(|score| score.parse::<f64>().ok()),
            other => return Err(call.unexpected(&other)),
        };
        Ok(next.map(|due_ms| due_ms as i64))
    }

    pub(super) async fn count_attempt(&self, tag: Tag, message_id: &str, floor: u32) -> Result<Option<u32>, Error> {
        let Some(lease) = self.held.get(tag) else { return Ok(None) };
        let key = self.keys.attempts(message_id);
        let fill = |command: &mut redis::Cmd| {
            command.arg(2).arg(&key).arg(&self.keys.unacked);
            command.arg(floor).arg(ATTEMPTS_KEPT_S).arg(self.held.name(tag, lease.step));
        };
        let reply = self.work.script("begin attempt", &BEGIN_ATTEMPT, fill).await?;
        let attempt = int(&reply).and_then(|attempt| u32::try_from(attempt).ok());
        let attempt = attempt.ok_or_else(|| self.work.call("begin attempt").unexpected(&reply))?;
        Ok((attempt > 0).then_some(attempt))
    }
}
