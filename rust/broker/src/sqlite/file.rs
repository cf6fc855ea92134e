//! Opens the database file: its directory, its file system, its pragmas.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::fault::fault;
use super::options::{SqliteOptions, Synchronous};
use super::patience;
use super::schema::{self, Trouble};
use crate::Error;

/// What a connection is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A worker: it moves most of the traffic, so it also carries the log's pages into the database.
    Worker,
    /// A client in somebody's web server: it leaves that to the worker as long as there is one.
    Client,
}

/// Which file on which device a path led to when it was opened: tells when somebody removed or replaced the file
/// under us, after which everything written to the old one would be lost without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// The identity of what `path` names now; `None` when it names nothing.
    pub(super) fn of(path: &Path) -> Option<Identity> {
        let facts = std::fs::metadata(path).ok()?;
        Some(Identity { device: facts.dev(), inode: facts.ino() })
    }
}

/// Opens (and creates, with its directory) the database and brings its tables to our format.
pub(super) fn open(options: &SqliteOptions, purpose: Purpose) -> Result<(Connection, Identity), Error> {
    let path = &options.path;
    create_directory(path)?;
    refuse_network(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| fault("open", path, &error))?;
    prepare(&connection, options, purpose).map_err(|error| match error {
        Trouble::Sqlite(error) => fault("open", path, &error),
        Trouble::Ours(error) => error,
    })?;
    let identity = Identity::of(path).ok_or_else(|| Error::Connection {
        what: "open",
        whom: path.display().to_string(),
        cause: "the file was removed while it was being opened".to_owned(),
    })?;
    Ok((connection, identity))
}

fn prepare(connection: &Connection, options: &SqliteOptions, purpose: Purpose) -> Result<(), Trouble> {
    patience::install(connection)?;
    let _patience = patience::start(options.busy);
    // A last connection that checkpoints on closing would delete the log under a process that inherited a handle by
    // fork (its locks are its parent's, so SQLite cannot see it); it also makes closing slow.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_prepared_statement_cache_capacity(64);
    write_ahead(connection, options)?;
    let synchronous = match options.synchronous {
        Synchronous::Normal => "NORMAL",
        Synchronous::Full => "FULL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "foreign_keys", false)?;
    if purpose == Purpose::Worker {
        connection.pragma_update(None, "cache_size", -16_000)?;
    }
    schema::ensure(connection, &options.path)
}

/// Switches the file to the write-ahead log. Several processes may do that to a new file at once; SQLite then reports
/// "busy" without asking the busy handler (it fears a deadlock), so the waiting is done here.
fn write_ahead(connection: &Connection, options: &SqliteOptions) -> Result<(), Trouble> {
    let end = Instant::now() + options.busy;
    loop {
        let mode = connection.query_row("PRAGMA journal_mode=WAL", [], |row| row.get::<_, String>(0));
        match mode {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => return Err(Trouble::Ours(no_wal(&options.path, &format!("the journal mode stayed {mode:?}")))),
            Err(error) if is_busy(&error) && Instant::now() < end => std::thread::sleep(Duration::from_millis(2)),
            Err(error) => return Err(error.into()),
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn create_directory(path: &Path) -> Result<(), Error> {
    let directory = directory_of(path);
    std::fs::create_dir_all(&directory).map_err(|error| Error::Refused {
        what: "open",
        whom: path.display().to_string(),
        cause: format!(
            "cannot create the directory {:?}: {error}; create it writable for this user, or name another file",
            directory.display().to_string()
        ),
    })
}

fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// File systems whose locks or shared memory do not hold between machines (magic numbers of `statfs(2)`).
const NETWORK: [(i64, &str); 8] = [
    (0x6969, "NFS"),
    (0xFF53_4D42, "CIFS"),
    (0xFE53_4D42, "SMB"),
    (0x517B, "SMB"),
    (0x0102_1997, "9P"),
    (0x5346_414F, "AFS"),
    (0x00C3_6400, "Ceph"),
    (0x0BD0_0BD0, "Lustre"),
];

fn refuse_network(path: &Path) -> Result<(), Error> {
    let Ok(facts) = rustix::fs::statfs(directory_of(path)) else {
        return Ok(());
    };
    let magic = facts.f_type as u32 as i64;
    match NETWORK.iter().find(|(known, _)| *known == magic) {
        Some((_, name)) => Err(no_wal(path, &format!("it lies on a network file system ({name})"))),
        None => Ok(()),
    }
}

fn no_wal(path: &Path, why: &str) -> Error {
    Error::Refused {
        what: "open",
        whom: path.display().to_string(),
        cause: format!(
            "{why}, where SQLite's write-ahead log is not safe between processes; \
             put the file on a local disk, or use a redis:// broker between machines"
        ),
    }
}
