//! The tables, and the version of their format.
//!
//! ```text
//! bodies    id → message bytes. Written once, never moved. Every row below that is named *place* owns one body.
//! ready     place: waiting in a queue. Its key is the order of fetching: queue, priority (0 first), then age.
//! leased    place: held by one incarnation of a worker, under the tag that this incarnation chose.
//! parked    place: out of the queue until `due_ms`.
//! parked_ids  the task ids of what is parked; a row goes with the one in `parked`, whoever takes that out (format 4).
//! laned     place: waiting in a lane for a permit. The key is the order within the lane.
//! lanes     the lanes: queue, task and key; when they may be drawn from.
//! permits   shared rate limits: when a task's key has its next permit.
//! dead      place: could not be run; kept for a person.
//! owners    the incarnations that hold or may hold leases, with a heartbeat counter.
//! results   task id → result document.
//! queues    name ↔ number.
//! groups    group id → the document of a group. chords: what is counted of a chord; chord_parts: how its members ended; a
//!           part goes with its chord. joins: chords whose body is about to be published, and by whom (format 5).
//!           chord_failures: how many members failed of a chord that bears only so many (format 7).
//!           chord_marks: the name of its run, and which members were added (format 8); a mark goes with its chord.
//! meta      facts about the file: `oldest_reader`, a row `paused:<name>` for each queue that is paused, and
//!           rows `copies:…` for queues that get copies of what is published to a fanout exchange (`fanout.rs`).
//! control   broadcasts to the workers, for a minute (format 2).
//! mailboxes who waits for replies; replies: what came for them (format 2).
//! revoked   what was revoked, and when (format 2); revoke_signals: by which signal what runs of it is ended (format 6).
//! ```
//!
//! A message's id is its age: a new one is larger than all that exist, and a returned message keeps its own, so it
//! goes back in front of everything that came later. Ids of finished messages may be used again; tags never are.
//!
//! `PRAGMA user_version` is the format; `meta.oldest_reader` is the oldest format whose programs can work on the file,
//! so that workers of two versions can run side by side while a fleet is upgraded: a version that only adds something
//! leaves it alone, one that changes the meaning of something raises it.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::park;
use crate::Error;

/// The format that this version writes.
pub(super) const FORMAT: i64 = 8;

/// `PRAGMA application_id`: "FWQ1", so that `file(1)` and we know our files from other people's.
const APPLICATION: i64 = 0x4657_5131;

const TABLES: &str = "
CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE queues(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE bodies(id INTEGER PRIMARY KEY, message BLOB NOT NULL);
CREATE TABLE ready(
    queue INTEGER NOT NULL, priority INTEGER NOT NULL, id INTEGER NOT NULL,
    is_redelivered INTEGER NOT NULL, attempts INTEGER NOT NULL,
    PRIMARY KEY(queue, priority, id)) WITHOUT ROWID;
CREATE TABLE leased(
    owner INTEGER NOT NULL, tag INTEGER NOT NULL, id INTEGER NOT NULL,
    queue INTEGER NOT NULL, priority INTEGER NOT NULL,
    is_redelivered INTEGER NOT NULL, attempts INTEGER NOT NULL,
    PRIMARY KEY(owner, tag)) WITHOUT ROWID;
CREATE TABLE parked(
    due_ms INTEGER NOT NULL, id INTEGER NOT NULL,
    queue INTEGER NOT NULL, priority INTEGER NOT NULL,
    is_redelivered INTEGER NOT NULL, attempts INTEGER NOT NULL,
    PRIMARY KEY(due_ms, id)) WITHOUT ROWID;
CREATE TABLE dead(
    seq INTEGER PRIMARY KEY, letter TEXT NOT NULL, id INTEGER NOT NULL,
    queue INTEGER NOT NULL, priority INTEGER NOT NULL,
    reason TEXT NOT NULL, detail TEXT NOT NULL, died_ms INTEGER NOT NULL);
CREATE INDEX dead_letter ON dead(letter);
CREATE TABLE owners(
    owner INTEGER PRIMARY KEY, beats INTEGER NOT NULL, life_ms INTEGER NOT NULL,
    boot TEXT NOT NULL, pid_space TEXT NOT NULL, pid INTEGER NOT NULL, started INTEGER NOT NULL);
CREATE TABLE results(
    number INTEGER PRIMARY KEY, task_id TEXT NOT NULL UNIQUE, doc BLOB NOT NULL,
    is_success INTEGER NOT NULL, expires_ms INTEGER);
CREATE INDEX results_expiry ON results(expires_ms) WHERE expires_ms IS NOT NULL;
INSERT INTO meta VALUES ('oldest_reader', 1);
";

/// Format 2: remote control. It only adds tables, so that programs of format 1 can go on.
const CONTROL_TABLES: &str = "
CREATE TABLE control(
    seq INTEGER PRIMARY KEY AUTOINCREMENT, exchange TEXT NOT NULL, sent_ms INTEGER NOT NULL, message BLOB NOT NULL);
CREATE TABLE mailboxes(name TEXT PRIMARY KEY, opened_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE replies(seq INTEGER PRIMARY KEY AUTOINCREMENT, mailbox TEXT NOT NULL, message BLOB NOT NULL);
CREATE TABLE revoked(mark TEXT PRIMARY KEY, at_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX revoked_age ON revoked(at_ms);
";

/// Format 3: lanes. It only adds tables.
const LANES: &str = "
CREATE TABLE IF NOT EXISTS lanes(
    lane INTEGER PRIMARY KEY, queue INTEGER NOT NULL, is_shared INTEGER NOT NULL,
    task TEXT NOT NULL, key TEXT NOT NULL, due_us INTEGER NOT NULL,
    UNIQUE(queue, is_shared, task, key));
CREATE INDEX IF NOT EXISTS lanes_due ON lanes(queue, is_shared, due_us);
CREATE TABLE IF NOT EXISTS laned(
    lane INTEGER NOT NULL, priority INTEGER NOT NULL, id INTEGER NOT NULL,
    is_redelivered INTEGER NOT NULL, attempts INTEGER NOT NULL,
    PRIMARY KEY(lane, priority, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS permits(
    task TEXT NOT NULL, key TEXT NOT NULL, next_us INTEGER NOT NULL,
    PRIMARY KEY(task, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS permits_next ON permits(next_us);
";

/// Format 4: parked messages by task id. It only adds a table, which follows `parked` by itself when a program of an older
/// format releases a message; what such a program parks is listed, and not found by its id.
const PARKED_IDS: &str = "
CREATE TABLE IF NOT EXISTS parked_ids(id INTEGER PRIMARY KEY, letter TEXT NOT NULL, due_ms INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS parked_letter ON parked_ids(letter);
CREATE TRIGGER IF NOT EXISTS parked_gone AFTER DELETE ON parked BEGIN
    DELETE FROM parked_ids WHERE id = OLD.id;
END;
";

/// Format 5: groups and chords. It only adds tables; programs of an older format know no chords.
const CHORDS: &str = "
CREATE TABLE IF NOT EXISTS groups(
    group_id TEXT PRIMARY KEY, doc BLOB NOT NULL, expires_ms INTEGER) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS groups_expiry ON groups(expires_ms) WHERE expires_ms IS NOT NULL;
CREATE TABLE IF NOT EXISTS chords(
    number INTEGER PRIMARY KEY, group_id TEXT NOT NULL UNIQUE, size INTEGER, more INTEGER NOT NULL,
    parts INTEGER NOT NULL, claim TEXT, expires_ms INTEGER);
CREATE INDEX IF NOT EXISTS chords_expiry ON chords(expires_ms) WHERE expires_ms IS NOT NULL;
CREATE TABLE IF NOT EXISTS chord_parts(
    chord INTEGER NOT NULL, place INTEGER NOT NULL, task_id TEXT NOT NULL, doc BLOB NOT NULL,
    PRIMARY KEY(chord, place, task_id)) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS chord_gone AFTER DELETE ON chords BEGIN
    DELETE FROM chord_parts WHERE chord = OLD.number;
END;
CREATE TABLE IF NOT EXISTS joins(
    group_id TEXT PRIMARY KEY, token TEXT NOT NULL, owner INTEGER NOT NULL, record BLOB NOT NULL) WITHOUT ROWID;
";

/// Format 7: failures of members, where a chord bears only so many. A table of its own, which follows `chords` by itself.
const CHORD_FAILURES: &str = "
CREATE TABLE IF NOT EXISTS chord_failures(chord INTEGER PRIMARY KEY, failures INTEGER NOT NULL);
CREATE TRIGGER IF NOT EXISTS chord_failures_gone AFTER DELETE ON chords BEGIN
    DELETE FROM chord_failures WHERE chord = OLD.number;
END;
";

/// Format 6: the signals of revokes. A table of its own, which follows `revoked` by itself: programs of older formats
/// write two columns there, and know nothing of signals.
const REVOKE_SIGNALS: &str = "
CREATE TABLE IF NOT EXISTS revoke_signals(mark TEXT PRIMARY KEY, signal INTEGER NOT NULL) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS revoke_forgotten AFTER DELETE ON revoked BEGIN
    DELETE FROM revoke_signals WHERE mark = OLD.mark;
END;
";

/// Format 8: the name of a chord's run (`run:…`), and which members were added to it (`added:…`). A table of its own, whose rows go with the chord's.
const CHORD_MARKS: &str = "
CREATE TABLE IF NOT EXISTS chord_marks(
    chord INTEGER NOT NULL, mark TEXT NOT NULL, PRIMARY KEY(chord, mark)) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS chord_unmarked AFTER DELETE ON chords BEGIN
    DELETE FROM chord_marks WHERE chord = OLD.number;
END;
";

/// Why a file could not be opened: SQLite says so, or we do.
pub(super) enum Trouble {
    /// SQLite's error, to be worded by `fault.rs`.
    Sqlite(rusqlite::Error),
    /// Ours, worded already.
    Ours(Error),
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Trouble::Sqlite(error)
    }
}

/// Creates the tables in a new file, or checks that those in an old one are of a format that we can work on.
pub(super) fn ensure(connection: &Connection, path: &Path) -> Result<(), Trouble> {
    if version(connection)? == FORMAT {
        return Ok(());
    }
    let transaction = rusqlite::Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    match version(&transaction)? {
        0 if is_empty(&transaction)? => {
            transaction.execute_batch(TABLES)?;
            transaction.execute_batch(CONTROL_TABLES)?;
            transaction.execute_batch(LANES)?;
            transaction.execute_batch(PARKED_IDS)?;
            transaction.execute_batch(CHORDS)?;
            transaction.execute_batch(REVOKE_SIGNALS)?;
            transaction.execute_batch(CHORD_FAILURES)?;
            transaction.execute_batch(CHORD_MARKS)?;
            transaction.pragma_update(None, "application_id", APPLICATION)?;
            transaction.pragma_update(None, "user_version", FORMAT)?;
            Ok(transaction.commit()?)
        }
        found if !is_ours(&transaction)? => Err(Trouble::Ours(refuse(
            path,
            format!(
                "it is a SQLite database of another program (user_version {found}); \
                 give the queue a file of its own, such as .fastworker/queue.db"
            ),
        ))),
        found if found > FORMAT => judge_newer(&transaction, path, found),
        before @ (1..=7) => {
            if before == 1 {
                transaction.execute_batch(CONTROL_TABLES)?;
            }
            transaction.execute_batch(LANES)?;
            if before < 4 {
                transaction.execute_batch(PARKED_IDS)?;
                park::note_ids(&transaction)?;
            }
            transaction.execute_batch(CHORDS)?;
            transaction.execute_batch(REVOKE_SIGNALS)?;
            transaction.execute_batch(CHORD_FAILURES)?;
            transaction.execute_batch(CHORD_MARKS)?;
            transaction.pragma_update(None, "user_version", FORMAT)?;
            Ok(transaction.commit()?)
        }
        _ => Ok(()),
    }
}

/// A newer version wrote the file: fine if it says that our format can still work on it.
fn judge_newer(connection: &Connection, path: &Path, found: i64) -> Result<(), Trouble> {
    let oldest: i64 =
        connection.query_row("SELECT value FROM meta WHERE name = 'oldest_reader'", [], |row| row.get(0))?;
    if oldest <= FORMAT {
        return Ok(());
    }
    Err(Trouble::Ours(refuse(
        path,
        format!(
            "it has format {found}, which needs a program of format {oldest} or newer; this one has format {FORMAT}: \
             upgrade fastworker here, or name another file"
        ),
    )))
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn is_ours(connection: &Connection) -> rusqlite::Result<bool> {
    let found: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    Ok(found == APPLICATION)
}

fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))
}

fn refuse(path: &Path, cause: String) -> Error {
    Error::Format { what: "open", whom: path.display().to_string(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(trouble: Result<(), Trouble>) -> String {
        match trouble {
            Err(Trouble::Ours(error)) => error.to_string(),
            Err(Trouble::Sqlite(error)) => panic!("SQLite's own error: {error}"),
            Ok(()) => panic!("it was accepted"),
        }
    }

    fn file_of_format(format: i64, oldest_reader: i64) -> Connection {
        let connection = Connection::open_in_memory().expect("open");
        ensure(&connection, Path::new("q.db")).unwrap_or_else(|_| panic!("a new file"));
        connection.pragma_update(None, "user_version", format).expect("set");
        connection.execute("UPDATE meta SET value = ?1", [oldest_reader]).expect("set");
        connection
    }

    #[test]
    fn the_next_format_is_accepted_when_it_says_so() {
        assert!(ensure(&file_of_format(FORMAT + 1, FORMAT), Path::new("q.db")).is_ok());
    }

    #[test]
    fn a_too_new_format_names_both_versions_and_the_way_out() {
        let text = said(ensure(&file_of_format(FORMAT + 2, FORMAT + 1), Path::new("q.db")));
        for part in [&format!("format {}", FORMAT + 2), &format!("format {FORMAT}:"), "upgrade"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn a_file_of_a_format_before_gets_what_is_missing() {
        for before in [1, 2, 3, 4, 5, 6, 7] {
            let connection = Connection::open_in_memory().expect("open");
            connection.execute_batch(TABLES).expect("create");
            if before >= 2 {
                connection.execute_batch(CONTROL_TABLES).expect("create");
            }
            let body = r#"{"headers": {"task": "t", "id": "seven"}}"#;
            connection.execute("INSERT INTO bodies VALUES (7, ?1)", [body.as_bytes()]).expect("insert");
            connection.execute("INSERT INTO parked VALUES (99, 7, 1, 0, 0, 0)", []).expect("insert");
            if before >= 4 {
                connection.execute_batch(LANES).expect("create");
                connection.execute_batch(PARKED_IDS).expect("create");
                connection.execute("INSERT INTO parked_ids VALUES (7, 'seven', 99)", []).expect("insert");
            }
            connection.pragma_update(None, "application_id", APPLICATION).expect("set");
            connection.pragma_update(None, "user_version", before).expect("set");
            assert!(ensure(&connection, Path::new("q.db")).is_ok());
            assert_eq!(version(&connection).expect("read"), FORMAT);
            connection.execute("INSERT INTO revoked VALUES ('id:1', 1)", []).expect("format 2's table");
            connection.execute("INSERT INTO permits VALUES ('t', 'k', 1)", []).expect("format 3's table");
            let parked = || {
                let all = "SELECT group_concat(letter || due_ms) FROM parked_ids";
                connection.query_row(all, [], |row| row.get::<_, Option<String>>(0)).expect("format 4's table")
            };
            assert_eq!(parked().as_deref(), Some("seven99"));
            connection.execute("DELETE FROM parked", []).expect("an old program releases it");
            assert_eq!(parked(), None);
            connection.execute("INSERT INTO groups VALUES ('g', x'00', NULL)", []).expect("format 5's table");
            connection.execute("INSERT INTO revoke_signals VALUES ('id:1', 9)", []).expect("format 6's table");
            connection.execute("INSERT OR REPLACE INTO revoked VALUES ('id:1', 2)", []).expect("as format 4 writes");
            let signals = || -> i64 {
                let all = "SELECT count(*) FROM revoke_signals";
                connection.query_row(all, [], |row| row.get(0)).expect("format 6's table")
            };
            assert_eq!(signals(), 1, "a milder revoke takes no signal back");
            connection.execute("DELETE FROM revoked", []).expect("an old program forgets it");
            assert_eq!(signals(), 0);
            connection.execute("INSERT INTO chord_failures VALUES (1, 1)", []).expect("format 7's table");
            connection.execute("INSERT INTO chord_marks VALUES (1, 'run:m')", []).expect("format 8's table");
        }
    }

    #[test]
    fn the_database_of_another_program_is_left_alone() {
        let connection = Connection::open_in_memory().expect("open");
        connection.execute_batch("CREATE TABLE django_session(x)").expect("create");
        let text = said(ensure(&connection, Path::new("db.sqlite3")));
        assert!(text.contains("another program"), "{text}");
    }
}
