//! Ending leases: one write for a whole batch.
//!
//! Three ways lead out of a lease. *Plain*: an acknowledgement with a SUCCESS result or none. Repeating it shows nowhere,
//! so all of them go into one MULTI, the acknowledgements merged into one ZREM and one HDEL. *Guarded*: everything that
//! only the holder of the lease may do (successors, other results, returns, dead letters, parking), one script call
//! each ([`super::ending`]). *Early*: acknowledgements of what runs afterwards, one script call for all, which knows
//! its own repetition from a lost lease. Where results live on another server they are stored first; a fault between the two
//! repeats the task.

use std::cmp::Reverse;

use redis::{Pipeline, Value};

use super::broker::RedisBroker;
use super::ending::Ending;
use super::failure::int;
use super::restore::marked;
use super::script::{EARLY_ACK, SETTLE, STORE};
use super::store::{store_commands, store_success};
use crate::{Error, ResultDoc, Settled, Settlement, Verdict};

const WHAT: &str = "settle";

impl RedisBroker {
    pub(super) async fn settle_batch(&self, batch: &[Settlement]) -> Result<Settled, Error> {
        let endings = batch.iter().enumerate().map(|(at, settlement)| Ending::new(&self.held, at, settlement));
        let is_early = |ending: &Ending<'_>| matches!(ending.settlement.verdict, Verdict::EarlyAck);
        let (early, endings): (Vec<_>, Vec<_>) = endings.partition(is_early);
        let (plain, mut guarded): (Vec<_>, Vec<_>) = endings.into_iter().partition(Ending::is_plain);
        // What goes back is pushed in the opposite order, so that the first fetched is the first fetched again.
        guarded.sort_by_key(|ending| match ending.settlement.verdict {
            Verdict::Return { .. } | Verdict::Requeue => Reverse(ending.settlement.tag.0),
            _ => Reverse(u64::MAX),
        });
        self.mark_redeliveries(&mut guarded).await?;
        self.store_elsewhere(batch, &guarded).await?;
        let last = self.count_elsewhere(batch).await?;
        guarded.iter_mut().for_each(|ending| ending.is_last = last.contains(&ending.at));
        let (settled, early_lost) = tokio::try_join!(self.run_endings(&plain, &guarded), self.acknowledge(&early))?;
        let Settled { mut lost, complete } = settled;
        lost.extend(early_lost);

        for (at, settlement) in batch.iter().enumerate() {
            if !matches!(settlement.verdict, Verdict::Keep) || lost.contains(&at) {
                self.held.remove(settlement.tag);
            }
        }
        lost.sort_unstable();
        Ok(Settled { lost, complete })
    }

    /// Reads the envelopes that go back marked, and marks them; rare, since a redelivery means that a process died.
    async fn mark_redeliveries(&self, guarded: &mut [Ending<'_>]) -> Result<(), Error> {
        let mut pipeline = Pipeline::new();
        let mut asked = Vec::new();
        for ending in guarded.iter_mut().filter(|ending| ending.is_redelivery()) {
            pipeline.cmd("HGET").arg(&self.keys.unacked).arg(ending.name());
            asked.push(ending);
        }
        let values = self.work.run(WHAT, &pipeline).await?;
        for (ending, value) in asked.into_iter().zip(self.work.call(WHAT).values(values)?) {
            // When it is gone the script will find so too.
            if let Value::BulkString(entry) = value {
                ending.marked = marked(&entry);
            }
        }
        Ok(())
    }

    /// Results whose store is another server, before anything else. Others than SUCCESS only while the lease is ours.
    async fn store_elsewhere(&self, batch: &[Settlement], guarded: &[Ending<'_>]) -> Result<(), Error> {
        let Some((side, link)) = self.results.as_ref().and_then(|side| Some((side, side.elsewhere.as_ref()?))) else {
            return Ok(());
        };
        let conditional: Vec<_> = guarded.iter().filter(|ending| ending.has_conditional_result()).collect();
        let mut pipeline = Pipeline::new();
        for ending in &conditional {
            pipeline.cmd("HEXISTS").arg(&self.keys.unacked).arg(ending.name());
        }
        let values = self.work.run(WHAT, &pipeline).await?;
        let values = self.work.call(WHAT).values(values)?;
        let is_lost = |(_, value): &(&&Ending<'_>, &Value)| int(value) != Some(1);
        let lost: Vec<usize> = conditional.iter().zip(&values).filter(is_lost).map(|(ending, _)| ending.at).collect();

        let wanted = batch.iter().enumerate().filter(|(at, _)| !lost.contains(at));
        let docs: Vec<ResultDoc> = wanted.filter_map(|(_, settlement)| settlement.result.clone()).collect();
        if docs.is_empty() {
            return Ok(());
        }
        let values = link.run_scripts(WHAT, &STORE, |pipeline| store_commands(pipeline, &side.results, &docs)).await?;
        link.call(WHAT).values(values).map(drop)
    }

    /// The one write.
    async fn run_endings(&self, plain: &[Ending<'_>], guarded: &[Ending<'_>]) -> Result<Settled, Error> {
        let build = |pipeline: &mut Pipeline| {
            for ending in guarded {
                pipeline.add_command(self.guarded_call(ending));
            }
            self.plain_transaction(pipeline, plain);
        };
        let mut values = if guarded.is_empty() {
            let mut pipeline = Pipeline::new();
            build(&mut pipeline);
            self.work.run(WHAT, &pipeline).await?
        } else {
            self.work.run_scripts(WHAT, &SETTLE, build).await?
        };
        let transaction = values.split_off(guarded.len());
        let Settled { mut lost, complete } = self.guardedly_settled(guarded, values)?;
        // A server that is out of memory takes no transaction, but it takes scripts that make room.
        if transaction.iter().any(is_out_of_memory) {
            let build = |pipeline: &mut Pipeline| {
                for ending in plain {
                    pipeline.add_command(self.guarded_call(ending));
                }
            };
            let values = self.work.run_scripts(WHAT, &SETTLE, build).await?;
            lost.extend(self.guardedly_settled(plain, values)?.lost);
            return Ok(Settled { lost, complete });
        }
        let mut transaction = self.work.call(WHAT).values(transaction)?;
        lost.extend(plain.iter().filter(|ending| ending.is_stray()).map(|ending| ending.at));
        if let Some(Value::Array(replies)) = transaction.pop() {
            lost.extend(plainly_lost(plain, &replies));
        }
        Ok(Settled { lost, complete })
    }

    /// Early acknowledgements. Returns where in the batch the lease had been lost before.
    async fn acknowledge(&self, early: &[Ending<'_>]) -> Result<Vec<usize>, Error> {
        let mut lost: Vec<usize> =
            early.iter().filter(|ending| ending.lease.is_none()).map(|ending| ending.at).collect();
        let leased: Vec<_> = early.iter().filter(|ending| ending.lease.is_some()).collect();
        if leased.is_empty() {
            return Ok(lost);
        }
        let fill = |command: &mut redis::Cmd| {
            let keys = &self.keys;
            command.arg(3).arg(&keys.unacked).arg(&keys.unacked_index).arg(keys.early(&self.held.incarnation));
            for ending in &leased {
                let settlement = ending.settlement;
                let attempts = settlement.message_id.as_deref().filter(|_| settlement.has_attempts);
                command.arg(ending.name()).arg(attempts.map(|id| keys.attempts(id)).unwrap_or_default());
            }
        };
        let reply = self.work.script(WHAT, &EARLY_ACK, fill).await?;
        let Value::Array(answers) = reply else { return Err(self.work.call(WHAT).unexpected(&reply)) };
        let refused = leased.iter().zip(&answers).filter(|(_, answer)| int(answer) != Some(1));
        lost.extend(refused.map(|(ending, _)| ending.at));
        Ok(lost)
    }

    /// Those for which the script found no lease, and those that completed a chord.
    fn guardedly_settled(&self, endings: &[Ending<'_>], values: Vec<Value>) -> Result<Settled, Error> {
        let values = self.work.call(WHAT).values(values)?;
        let mut settled = Settled::default();
        for (ending, value) in endings.iter().zip(&values) {
            match int(value) {
                Some(1) => {}
                Some(2) => settled.complete.push(ending.at),
                _ => settled.lost.push(ending.at),
            }
        }
        Ok(settled)
    }

    fn plain_transaction(&self, pipeline: &mut Pipeline, plain: &[Ending<'_>]) {
        let names: Vec<&str> = plain.iter().filter_map(|ending| Some(ending.lease.as_ref()?.0.as_str())).collect();
        let mut docs = plain.iter().filter_map(|ending| ending.settlement.result.as_ref()).peekable();
        let side = self.results.as_ref().filter(|side| side.elsewhere.is_none() && docs.peek().is_some());
        if names.is_empty() && side.is_none() {
            return;
        }
        pipeline.cmd("MULTI");
        if let Some(side) = side {
            let is_other_db = side.results.db() != self.db;
            if is_other_db {
                pipeline.cmd("SELECT").arg(side.results.db());
            }
            for doc in docs {
                store_success(pipeline, &side.results, doc);
            }
            if is_other_db {
                pipeline.cmd("SELECT").arg(self.db);
            }
        }
        if !names.is_empty() {
            // HDEL answers with a count only; the scores tell which leases had been taken from us.
            pipeline.cmd("ZMSCORE").arg(&self.keys.unacked_index).arg(&names);
            pipeline.cmd("ZREM").arg(&self.keys.unacked_index).arg(&names);
            pipeline.cmd("HDEL").arg(&self.keys.unacked).arg(&names);
        }
        pipeline.cmd("EXEC");
    }
}

fn is_out_of_memory(value: &Value) -> bool {
    matches!(value, Value::ServerError(error) if error.code() == "OOM")
}

/// The leases that had no score any more when the transaction ran.
fn plainly_lost(plain: &[Ending<'_>], replies: &[Value]) -> Vec<usize> {
    let leased = plain.iter().filter(|ending| ending.lease.is_some());
    match replies {
        [.., Value::Array(scores), Value::Int(_), Value::Int(_)] => {
            leased.zip(scores).filter(|(_, score)| **score == Value::Nil).map(|(ending, _)| ending.at).collect()
        }
        // Results only.
        _ => Vec::new(),
    }
}
