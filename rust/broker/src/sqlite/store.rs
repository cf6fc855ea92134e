//! A result store of its own: the broker is another server, or another file.

use super::options::SqliteOptions;
use super::session::Session;
use super::writer::Writer;
use super::{join, results};
use crate::clock::now_ms;
use crate::{Error, Join, Part, Parts, Remains, ResultDoc};

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

    /// Counts members of chords; says of each whether it completed its chord.
    pub async fn count(&self, parts: &[Part]) -> Result<Vec<bool>, Error> {
        let parts = parts.to_vec();
        let count = move |session: &Session| {
            parts.iter().map(|part| join::count(session, part, true, now_ms())).collect::<rusqlite::Result<Vec<bool>>>()
        };
        self.writer.run("count a chord's member", count).await
    }

    /// How the members of a chord ended.
    pub async fn parts(&self, group_id: &str) -> Result<Parts, Error> {
        let group_id = group_id.to_owned();
        self.writer.run("read a chord's parts", move |session| join::parts(session, &group_id, now_ms())).await
    }

    /// Makes the claim of a join last. False: the chord is done, or somebody else's.
    pub async fn hold(&self, held: &Join) -> Result<bool, Error> {
        let held = held.clone();
        self.writer.run("hold a chord", move |session| join::hold(session, &held)).await
    }

    /// Ends the chord of a join.
    pub async fn forget_chord(&self, ended: &Join, remains: Remains) -> Result<(), Error> {
        let ended = ended.clone();
        self.writer.run("end a chord", move |session| join::forget(session, &ended, remains, now_ms())).await
    }
}
