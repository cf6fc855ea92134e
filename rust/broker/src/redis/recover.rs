//! Keeping our leases, and putting back those of dead workers.
//!
//! ```text
//!            registers, heartbeat every life/3
//!   alive ────────────────────────────────────▶ alive
//!     │ crash, or cut off: the heartbeat expires
//!     ▼          seen absent by us, for a full life,
//!   absent ─── on one unbroken connection, looked at often ──▶ dead: its leases go back, marked redelivered
//!     │ heartbeat or fetch
//!     └──▶ alive
//! ```
//!
//! Each recoverer trusts its own eyes only. After an outage of the server every heartbeat has expired; the observation
//! begins anew on the new connection, and the living have a full lease life to say so. Two recoverers do no harm: a
//! message goes back only in the step that removes its lease. Nor does an owner that comes back in the middle of it: that
//! step sees its heartbeat, and what has gone back before the owner finds out by looking after its leases.

use std::collections::{HashMap, HashSet};

use redis::Value;
use tokio::time::Instant;

use super::broker::RedisBroker;
use super::failure::texts;
use super::lease::parse_name;
use super::restore::Holders;
use super::script::{ABSENT, HEARTBEAT, RETIRE};
use crate::{Error, Recovered, Tag};

/// Messages that travel here and back at once while they are marked.
const RESTORED_AT_ONCE: usize = 100;
/// Leases looked through by one step of a scan.
const SCANNED_AT_ONCE: usize = 1000;

/// Which incarnations we see absent, and since when.
#[derive(Default)]
pub(super) struct Watch {
    /// The connection on which all of this was seen.
    connection: u64,
    looked: Option<Instant>,
    absent_since: HashMap<String, Instant>,
}

impl RedisBroker {
    /// The heartbeat. Once in a quarter of the visibility timeout it also makes all our leases young, for the eyes of
    /// Celery's restorer.
    pub(super) async fn refresh_leases(&self) -> Result<(), Error> {
        let is_due = self.rescored.get().elapsed() >= self.visibility_timeout / 4;
        let names: Vec<String> = match is_due {
            true => self.held.tags().iter().map(|(tag, lease)| self.held.name(*tag, lease.step)).collect(),
            false => Vec::new(),
        };
        let now = Instant::now();
        let owner = self.keys.owner(&self.held.incarnation);
        let fill = |command: &mut redis::Cmd| {
            command.arg(3).arg(&owner).arg(&self.keys.owners).arg(&self.keys.unacked_index);
            command.arg(self.terms.life.as_millis() as u64).arg(1).arg(&self.held.incarnation).arg(&names);
        };
        self.work.script("heartbeat", &HEARTBEAT, fill).await?;
        if is_due {
            self.rescored.set(now);
        }
        Ok(())
    }

    /// Which of these leases were put back, or ended, by others.
    pub(super) async fn look_after_leases(&self, tags: &[Tag]) -> Result<Vec<Tag>, Error> {
        const WHAT: &str = "look after leases";
        let held = tags.iter().filter_map(|tag| Some((*tag, self.held.get(*tag)?)));
        let (held, names): (Vec<Tag>, Vec<String>) =
            held.map(|(tag, lease)| (tag, self.held.name(tag, lease.step))).unzip();
        let known: HashSet<Tag> = held.iter().copied().collect();
        let mut lost: Vec<Tag> = tags.iter().copied().filter(|tag| !known.contains(tag)).collect();
        if !names.is_empty() {
            let mut command = redis::cmd("ZMSCORE");
            command.arg(&self.keys.unacked_index).arg(&names);
            let reply = self.work.one(WHAT, command).await?;
            let Value::Array(scores) = reply else { return Err(self.work.call(WHAT).unexpected(&reply)) };
            let gone = held.into_iter().zip(scores).filter(|(_, score)| *score == Value::Nil);
            lost.extend(gone.map(|(tag, _)| tag));
        }
        lost.iter().for_each(|tag| self.held.remove(*tag));
        Ok(lost)
    }

    pub(super) async fn recover_dead(&self) -> Result<Recovered, Error> {
        let mut recovered = Recovered::default();
        let dead = self.look_for_dead().await?;
        if !dead.is_empty() {
            recovered.messages += self.restore_leases_of(&dead).await?;
            for incarnation in &dead {
                let owner = self.keys.owner(incarnation);
                let fill = |command: &mut redis::Cmd| {
                    command.arg(2).arg(&owner).arg(&self.keys.owners).arg(incarnation);
                };
                self.work.script("recover", &RETIRE, fill).await?;
                self.watch.borrow_mut().absent_since.remove(incarnation);
                recovered.owners += 1;
            }
        }
        recovered.messages += self.sweep_expired().await?;
        Ok(recovered)
    }

    /// Who has been absent for a full life before our eyes.
    async fn look_for_dead(&self) -> Result<Vec<String>, Error> {
        let (connection, asked) = (self.work.number(), Instant::now());
        let fill = |command: &mut redis::Cmd| {
            command.arg(1).arg(&self.keys.owners).arg(&self.keys.owner_prefix).arg(&self.held.incarnation);
        };
        let absent = texts(self.work.script("recover", &ABSENT, fill).await?).unwrap_or_default();

        let mut watch = self.watch.borrow_mut();
        let was_interrupted = watch.connection != self.work.number() || connection != self.work.number();
        // Looks further apart than a life may have missed a whole life between them.
        let was_away = watch.looked.is_none_or(|looked| looked.elapsed() > self.terms.life);
        if was_interrupted || was_away {
            watch.absent_since.clear();
        }
        watch.connection = self.work.number();
        watch.looked = Some(asked);
        let before = std::mem::take(&mut watch.absent_since);
        watch.absent_since = absent
            .into_iter()
            .map(|incarnation| {
                let since = before.get(&incarnation).copied().unwrap_or_else(Instant::now);
                (incarnation, since)
            })
            .collect();
        let is_dead = |(_, since): &(&String, &Instant)| asked.saturating_duration_since(**since) >= self.terms.life;
        Ok(watch.absent_since.iter().filter(is_dead).map(|(incarnation, _)| incarnation.clone()).collect())
    }

    /// Scans the index of leases for those of the dead. Every lease that stood from the beginning to the end is seen.
    async fn restore_leases_of(&self, dead: &[String]) -> Result<u64, Error> {
        let pattern = match dead {
            [one] => format!("fw:{one}:*"),
            _ => "fw:*".to_owned(),
        };
        let mut found: Vec<String> = Vec::new();
        let mut cursor = "0".to_owned();
        loop {
            let mut scan = redis::cmd("ZSCAN");
            scan.arg(&self.keys.unacked_index)
                .arg(&cursor)
                .arg("MATCH")
                .arg(&pattern)
                .arg("COUNT")
                .arg(SCANNED_AT_ONCE);
            let reply = self.work.one("recover", scan).await?;
            let call = self.work.call("recover");
            let Value::Array(mut parts) = reply else { return Err(call.unexpected(&reply)) };
            let members = parts.pop().and_then(texts).unwrap_or_default();
            found.extend(members.into_iter().step_by(2).filter(|name| is_of(dead, name)));
            cursor = parts.pop().and_then(super::failure::text).unwrap_or_default();
            if cursor == "0" {
                break;
            }
        }
        found.sort_unstable();
        found.dedup();
        // Pushed last is fetched first: the oldest lease comes last.
        found.sort_by_key(|name| std::cmp::Reverse(parse_name(name).map(|name| name.order)));
        let mut restored = 0;
        for names in found.chunks(RESTORED_AT_ONCE) {
            restored += self.restore(names, Holders::AreDead).await?;
        }
        Ok(restored)
    }
}

fn is_of(dead: &[String], name: &str) -> bool {
    parse_name(name).is_some_and(|name| dead.iter().any(|incarnation| incarnation == name.incarnation))
}
