//! Storing results as Celery's backend does: the document under its key, and on the channel of the same name.

use redis::{Cmd, Pipeline};

use super::broker::RedisBroker;
use super::options::RedisResults;
use super::script::STORE;
use crate::{Error, ResultDoc};

impl RedisBroker {
    /// Stores documents on their own. Without a result store there is nothing to do.
    pub(super) async fn store_results(&self, batch: &[ResultDoc]) -> Result<(), Error> {
        let Some(side) = &self.results else { return Ok(()) };
        if batch.is_empty() {
            return Ok(());
        }
        let elsewhere = side.elsewhere.as_ref();
        let link = elsewhere.unwrap_or(&self.work);
        // The connection's database must be the same again afterwards, whatever became of the commands between.
        let (home, db) = (if elsewhere.is_some() { side.results.db() } else { self.db }, side.results.db());
        let build = |pipeline: &mut Pipeline| {
            if db != home {
                pipeline.cmd("SELECT").arg(db);
            }
            store_commands(pipeline, &side.results, batch);
            if db != home {
                pipeline.cmd("SELECT").arg(home);
            }
        };
        let values = link.run_scripts("store result", &STORE, build).await?;
        link.call("store result").values(values).map(drop)
    }
}

/// One MULTI for all SUCCESS documents, which overwrite anything; a guarded script call for each of the others.
pub(super) fn store_commands(pipeline: &mut Pipeline, results: &RedisResults, batch: &[ResultDoc]) {
    let mut successes = batch.iter().filter(|doc| doc.is_success).peekable();
    if successes.peek().is_some() {
        pipeline.cmd("MULTI");
        for doc in successes {
            store_success(pipeline, results, doc);
        }
        pipeline.cmd("EXEC");
    }
    for doc in batch.iter().filter(|doc| !doc.is_success) {
        fill_store(pipeline.cmd("EVALSHA").arg(&STORE.sha), results, doc);
    }
}

/// The two commands for a document that overwrites anything, for use inside a MULTI.
pub(super) fn store_success(pipeline: &mut Pipeline, results: &RedisResults, doc: &ResultDoc) {
    let key = results.key(&doc.task_id);
    match ttl_s(doc) {
        Some(ttl_s) => pipeline.cmd("SETEX").arg(&key).arg(ttl_s).arg(&doc.doc[..]),
        None => pipeline.cmd("SET").arg(&key).arg(&doc.doc[..]),
    };
    pipeline.cmd("PUBLISH").arg(&key).arg(&doc.doc[..]);
}

fn fill_store(command: &mut redis::Pipeline, results: &RedisResults, doc: &ResultDoc) {
    command.arg(1).arg(results.key(&doc.task_id)).arg(&doc.doc[..]).arg(ttl_text(doc)).arg(0);
}

/// Seconds for a script; empty for ever.
pub(super) fn ttl_text(doc: &ResultDoc) -> String {
    ttl_s(doc).map(|ttl_s| ttl_s.to_string()).unwrap_or_default()
}

/// Celery's `result_expires = 0` keeps a result for ever.
fn ttl_s(doc: &ResultDoc) -> Option<u64> {
    doc.ttl_s.filter(|ttl_s| *ttl_s > 0)
}

/// Documents as `finish_join.lua` takes them.
pub(super) fn result_args(command: &mut Cmd, results: &RedisResults, batch: &[ResultDoc]) {
    for doc in batch {
        command.arg(results.key(&doc.task_id)).arg(&doc.doc[..]).arg(ttl_text(doc)).arg(i32::from(doc.is_success));
    }
}

/// A result's key, document, ttl and success flag for `settle.lua`.
pub(super) fn fill_result(command: &mut Cmd, doc: Option<&ResultDoc>) {
    match doc {
        Some(doc) => command.arg(&doc.doc[..]).arg(ttl_text(doc)).arg(i32::from(doc.is_success)),
        None => command.arg("").arg("").arg(0),
    };
}
