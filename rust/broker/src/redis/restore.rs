//! Putting leased messages back where they came from: for dead owners, for kombu, and our own when we leave.

use redis::{Pipeline, Value};

use super::broker::RedisBroker;
use super::failure::int;
use super::lease::{Name, parse_name};
use super::script::RESTORE;
use super::{bindings, entry};
use crate::{Error, Settlement, Verdict};

/// Why leases are put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holders {
    /// Their holders are dead; one that shows that it lives after all keeps its own.
    AreDead,
    /// Nobody keeps them young: their holders, alive or not, do not know of them.
    AreUnaware,
}

impl RedisBroker {
    /// Puts the named leases back, marked, to the lists they came from: each only if it still stands.
    pub(super) async fn restore(&self, names: &[String], holders: Holders) -> Result<u64, Error> {
        let mut read = redis::cmd("HMGET");
        read.arg(&self.keys.unacked).arg(names);
        let reply = self.work.one("recover", read).await?;
        let Value::Array(entries) = reply else { return Err(self.work.call("recover").unexpected(&reply)) };

        let mut groups: Vec<(&str, Vec<u8>, Vec<String>)> = Vec::new();
        for (name, entry) in names.iter().zip(entries) {
            let (message, lists) = match entry {
                Value::BulkString(entry) => match self.home_of(name, &entry).await? {
                    Some(home) => home,
                    None => continue,
                },
                // Only the index knows it: there is nothing to put back.
                _ => (Vec::new(), Vec::new()),
            };
            groups.push((name, message, lists));
        }
        let fill = |command: &mut redis::Cmd| {
            command.arg(2).arg(&self.keys.unacked).arg(&self.keys.unacked_index);
            for (name, message, lists) in &groups {
                let holder = parse_name(name).filter(|_| holders == Holders::AreDead);
                let heartbeat = holder.map(|name| self.keys.owner(name.incarnation)).unwrap_or_default();
                command.arg(name).arg(heartbeat).arg(message.as_slice()).arg(lists.len()).arg(lists);
            }
        };
        let reply = self.work.script("recover", &RESTORE, fill).await?;
        Ok(int(&reply).unwrap_or(0) as u64)
    }

    /// The marked message of an entry, and the lists that it goes back to. `None`: it belongs to nobody that we know,
    /// and is left where it is.
    async fn home_of(&self, name: &str, found: &[u8]) -> Result<Option<(Vec<u8>, Vec<String>)>, Error> {
        let Some(split) = entry::split(found) else {
            tracing::warn!(tag = name, "a lease has a form that neither kombu nor fastworker writes; left alone");
            return Ok(None);
        };
        let step = match parse_name(name) {
            Some(Name { step, .. }) => step,
            None => {
                let priority = fastworker_wire::envelope::parse(split.message).map_or(0, |envelope| envelope.priority);
                self.keys.step(priority)
            }
        };
        let queues = if split.exchange.is_empty() {
            vec![split.routing_key]
        } else {
            let mut members = redis::cmd("SMEMBERS");
            members.arg(&self.keys.bindings(&split.exchange)[0]);
            bindings::queues(&self.keys, self.work.one("recover", members).await?, &split.routing_key)
        };
        if queues.is_empty() {
            tracing::warn!(tag = name, exchange = split.exchange, "a lease's exchange leads to no queue; left alone");
            return Ok(None);
        }
        let lists = queues.iter().map(|queue| self.keys.list(queue, step)).collect();
        Ok(Some((mark(split.message), lists)))
    }

    /// Gives back what we hold and what a lost fetch took, then takes our name off the register.
    pub(super) async fn give_back_all(&self) -> Result<(), Error> {
        self.read_back_lost().await?;
        let returns: Vec<Settlement> = self
            .held
            .tags()
            .into_iter()
            .map(|(tag, _)| Settlement {
                tag,
                message_id: None,
                has_attempts: false,
                verdict: Verdict::Return { is_redelivery: false },
                result: None,
                successors: Vec::new(),
                member: None,
            })
            .collect();
        self.settle_batch(&returns).await?;
        let mut farewell = Pipeline::new();
        farewell.cmd("DEL").arg(self.keys.owner(&self.held.incarnation));
        farewell.cmd("ZREM").arg(&self.keys.owners).arg(&self.held.incarnation);
        let values = self.work.run("close", &farewell).await?;
        self.work.call("close").values(values).map(drop)
    }
}

/// The marked envelope of an entry of ours.
pub(super) fn marked(found: &[u8]) -> Option<Vec<u8>> {
    entry::split(found).map(|split| mark(split.message))
}

/// Marked as kombu does. What cannot be read cannot run either: it goes back as it is, and the next worker buries it.
fn mark(message: &[u8]) -> Vec<u8> {
    fastworker_wire::envelope::mark_redelivered(message).unwrap_or_else(|error| {
        tracing::warn!(%error, "a message goes back unmarked");
        message.to_vec()
    })
}
