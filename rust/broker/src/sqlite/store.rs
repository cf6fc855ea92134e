//! A result store of its own: the broker is another server, or another file.

use super::options::SqliteOptions;
use super::results;
use super::writer::Writer;
use crate::clock::now_ms;
use crate::{Error, ResultDoc};

/// A worker's connection to the results in a SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    writer: Writer,
}

impl SqliteStore {
    /// Opens (or creates) the file.
    pub async fn connect(options: SqliteOptions) -> Result<SqliteStore, Error> {
        Ok(SqliteStore { writer: Writer::start(options).await? })
    }

    /// Stores documents; a stored SUCCESS is never overwritten. Returns when they are committed.
    pub async fn store(&self, batch: &[ResultDoc]) -> Result<(), Error> {
        let batch = batch.to_vec();
        self.writer.run("store", move |session| results::store(session, &batch, now_ms())).await
    }
}
