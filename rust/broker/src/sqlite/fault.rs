//! Turns SQLite's errors into ours: what failed, on which file, and who must do what about it.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::Error;

/// The operation `what` failed on the file `path`.
pub(super) fn fault(what: &'static str, path: &Path, error: &rusqlite::Error) -> Error {
    let whom = path.display().to_string();
    let said = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::Connection {
            what,
            whom,
            cause: format!(
                "{said}: another process kept the write lock for the whole busy_timeout; \
                 look for a long transaction in another program that has this file open"
            ),
        },
        Some(ErrorCode::ReadOnly) => Error::Refused {
            what,
            whom,
            cause: format!("{said}: make the file and its directory writable for this user"),
        },
        Some(ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied) => Error::Refused {
            what,
            whom,
            cause: format!("{said}: make the file and its directory readable and writable for this user"),
        },
        Some(ErrorCode::DiskFull) => Error::Refused {
            what,
            whom,
            cause: format!("{said}: nothing was changed; free space on that disk, then try again"),
        },
        Some(ErrorCode::CannotOpen) => Error::Refused {
            what,
            whom,
            cause: format!("{said}: check that it is a file, and that this user may write it and its directory"),
        },
        Some(ErrorCode::TooBig) => Error::Refused {
            what,
            whom,
            cause: format!("{said}: SQLite stores at most 1,000,000,000 bytes a message; pass a reference to the data"),
        },
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Error::Format {
            what,
            whom,
            cause: format!("{said}: move the file away (a new one is created), or restore it from a backup"),
        },
        _ => Error::Connection { what, whom, cause: said },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::{Connection, OpenFlags};

    #[test]
    fn a_read_only_file_and_a_full_disk_say_what_to_do() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("q.db");
        let writable = Connection::open(&path).expect("open");
        writable.execute_batch("CREATE TABLE t(x); PRAGMA max_page_count=2").expect("create");
        let full = writable.execute("INSERT INTO t VALUES (zeroblob(100000))", []).expect_err("no room");
        let said = fault("publish", &path, &full).to_string();
        assert!(said.contains("free space") && said.contains("q.db"), "{said}");

        let read_only = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("open");
        let refused = read_only.execute("INSERT INTO t VALUES (1)", []).expect_err("read only");
        let error = fault("publish", &path, &refused);
        assert!(error.to_string().contains("writable") && !error.is_transient(), "{error}");
    }

    #[test]
    fn a_file_of_something_else_is_a_format_error() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notes.txt");
        std::fs::write(&path, "not a database, but long enough to be looked at\n".repeat(40)).expect("write");
        let refused = Connection::open(&path)
            .and_then(|connection| connection.query_row("SELECT * FROM t", [], |_| Ok(())))
            .expect_err("not a database");
        assert!(matches!(fault("open", &path, &refused), Error::Format { .. }));
    }
}
