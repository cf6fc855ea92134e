//! Which file a `sqlite:` URL means, and the options it takes.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::Error;
use crate::nearest::nearest;
use crate::order::QueueOrder;

/// How long a call waits for the file's write lock unless `busy_timeout` says otherwise. Every transaction of ours
/// takes milliseconds; this much waiting means that somebody else sits on the lock.
const BUSY: Duration = Duration::from_secs(10);

/// The options that this broker understands.
const KNOWN: [&str; 3] = ["synchronous", "busy_timeout", QueueOrder::OPTION];

/// How much a commit waits for the disk. Either way a `kill -9` of any process loses nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synchronous {
    /// The default: a power cut may take back the last commits, and never damages the file.
    Normal,
    /// Every commit waits for the disk; a power cut takes back nothing.
    Full,
}

/// A `sqlite:` URL, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqliteOptions {
    /// The database file, relative to the working directory unless the URL had four slashes.
    pub path: PathBuf,
    /// How much a commit waits for the disk.
    pub synchronous: Synchronous,
    /// How long a call waits for the write lock before it fails with a transient error.
    pub busy: Duration,
    /// Which of the queues of one priority is fetched first.
    pub order: QueueOrder,
}

impl SqliteOptions {
    /// Reads `sqlite:///relative.db`, `sqlite:////absolute/path.db` and `?synchronous=full&busy_timeout=5`.
    ///
    /// `extra` are transport options from the settings; they count after those of the URL. An option of another
    /// transport (`visibility_timeout`) has no meaning here and is named in a warning, since settings are shared
    /// between brokers; in the URL, which is this broker's alone, it is an error.
    pub fn parse(url: &str, extra: &[(String, String)]) -> Result<SqliteOptions, Error> {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let mut options = SqliteOptions {
            path: parse_path(url, path)?,
            synchronous: Synchronous::Normal,
            busy: BUSY,
            order: QueueOrder::default(),
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !options.apply(url, name, value)? {
                let near = nearest(name, &KNOWN);
                return Err(Error::Url(format!(
                    "option {name:?} in {url:?}: expected one of {}; try {near:?}",
                    KNOWN.join(", ")
                )));
            }
        }
        for (name, value) in extra {
            if !options.apply(url, name, value)? {
                tracing::warn!(option = %name, %url, "transport option has no effect on a SQLite broker");
            }
        }
        Ok(options)
    }

    /// Takes one option; `Ok(false)` when the name is not one of ours.
    fn apply(&mut self, url: &str, name: &str, value: &str) -> Result<bool, Error> {
        match name {
            "synchronous" => {
                self.synchronous = match value.to_ascii_lowercase().as_str() {
                    "normal" => Synchronous::Normal,
                    "full" => Synchronous::Full,
                    _ => {
                        return Err(Error::Url(format!(
                            "synchronous={value:?} for {url:?}: expected \"normal\" or \"full\""
                        )));
                    }
                }
            }
            "busy_timeout" => {
                self.busy = value
                    .parse::<f64>()
                    .ok()
                    .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                    .ok_or_else(|| {
                        Error::Url(format!(
                            "busy_timeout={value:?} for {url:?}: expected seconds, such as \"10\" or \"0.5\""
                        ))
                    })?;
            }
            QueueOrder::OPTION => self.order = QueueOrder::parse(value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn parse_path(url: &str, head: &str) -> Result<PathBuf, Error> {
    let shape = "expected sqlite:///relative.db or sqlite:////absolute/path.db";
    let rest = head.strip_prefix("sqlite://").ok_or_else(|| Error::Url(format!("{url:?}: {shape}")))?;
    let Some(path) = rest.strip_prefix('/') else {
        return Err(Error::Url(if rest.is_empty() {
            format!("{url:?} names no file: {shape}")
        } else {
            format!("{url:?} has two slashes, so that {rest:?} would be a host: {shape}; try sqlite:///{rest}")
        }));
    };
    let path = percent_decode(path);
    if path.is_empty() || path.as_slice() == b":memory:" {
        return Err(Error::Url(format!(
            "{url:?}: a queue in memory cannot be shared between a client and a worker: {shape}"
        )));
    }
    if path.contains(&0) {
        return Err(Error::Url(format!("{url:?}: a file name cannot contain a zero byte")));
    }
    Ok(PathBuf::from(OsString::from_vec(path)))
}

/// `%20` and the like; a `%` that is not followed by two hex digits stands for itself, as file names may contain it.
fn percent_decode(text: &str) -> Vec<u8> {
    let hex = |byte: Option<&u8>| byte.and_then(|b| (*b as char).to_digit(16));
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], hex(bytes.get(at + 1)), hex(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, _, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(url: &str) -> String {
        SqliteOptions::parse(url, &[]).expect("a good URL").path.display().to_string()
    }

    fn refusal(url: &str) -> String {
        SqliteOptions::parse(url, &[]).expect_err("a bad URL").to_string()
    }

    #[test]
    fn three_slashes_are_relative_and_four_are_absolute() {
        assert_eq!(path("sqlite:///queue.db"), "queue.db");
        assert_eq!(path("sqlite:////var/lib/my%20app/queue.db"), "/var/lib/my app/queue.db");
        assert_eq!(path("sqlite:///100%.db"), "100%.db");
    }

    #[test]
    fn a_bad_path_says_what_was_meant() {
        assert!(refusal("sqlite://queue.db").contains("try sqlite:///queue.db"));
        assert!(refusal("sqlite://").contains("names no file"));
        assert!(refusal("sqlite:///:memory:").contains("in memory"));
    }

    #[test]
    fn options_come_from_the_url_and_from_the_settings() {
        let extra = [("synchronous".to_owned(), "FULL".to_owned()), ("visibility_timeout".to_owned(), "9".to_owned())];
        let options = SqliteOptions::parse("sqlite:///q.db?busy_timeout=0.5", &extra).expect("good options");
        assert_eq!(options.synchronous, Synchronous::Full);
        assert_eq!(options.busy, Duration::from_millis(500));
        assert!(refusal("sqlite:///q.db?sychronous=full").contains("try \"synchronous\""));
        assert!(refusal("sqlite:///q.db?busy_timeout=soon").contains("expected seconds"));
    }
}
