//! How a sleeper learns of another process's commit: a bell that is rung after the commit.
//!
//! The bell is the timestamp of a file (`IN_ATTRIB`): of the database for messages, of its `-wal` for results, of its
//! `-shm` for remote control, so that no kind of sleeper wakes for another. SQLite itself changes none of these
//! timestamps explicitly. A committer that is
//! killed between commit and ring, or a file system without inotify, costs the sleeper one safety poll.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use inotify::{Inotify, WatchMask};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, CWD, Timestamps, UTIME_NOW};
use tokio::io::unix::AsyncFd;

/// A sleeper looks by itself this often, whatever the bell says.
const SAFETY: Duration = Duration::from_secs(1);

/// And this often when there is no bell to hear (the user's inotify instances are used up).
const DEAF: Duration = Duration::from_millis(20);

/// What there is news of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bell {
    /// Something became ready in a queue.
    Ready,
    /// A result was stored.
    Results,
    /// A broadcast or a reply of remote control was written.
    Control,
}

impl Bell {
    fn file(self, database: &Path) -> PathBuf {
        match self {
            Bell::Ready => database.to_path_buf(),
            Bell::Results => beside(database, "-wal"),
            Bell::Control => beside(database, "-shm"),
        }
    }
}

fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(database);
    name.push(suffix);
    PathBuf::from(name)
}

/// Rings. By path: opening and closing the database file beside SQLite would drop SQLite's POSIX locks on it.
pub(super) fn ring(database: &Path, bell: Bell) {
    let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let times = Timestamps { last_access: now, last_modification: now };
    if let Err(error) = rustix::fs::utimensat(CWD, bell.file(database), &times, AtFlags::empty()) {
        tracing::debug!(file = %database.display(), %error, "cannot wake the sleepers; they look once a second");
    }
}

/// One sleeper's ear.
#[derive(Debug)]
pub(super) struct Ear {
    inotify: Inotify,
    file: PathBuf,
}

impl Ear {
    /// Listens from now on; what is rung before the first sleep is not missed. `None` when the system has no inotify
    /// instance left, which is said once here.
    pub(super) fn new(database: &Path, bell: Bell) -> Option<Ear> {
        let file = bell.file(database);
        let opened = Inotify::init().map(|inotify| Ear { inotify, file }).and_then(|ear| ear.attach().map(|()| ear));
        match opened {
            Ok(ear) => Some(ear),
            Err(error) => {
                tracing::warn!(
                    file = %database.display(), %error,
                    "inotify is not available, so the file is polled every 20 ms; \
                     raise fs.inotify.max_user_instances to save that"
                );
                None
            }
        }
    }

    /// (Again) watches what the path names now: the file may have been replaced. Watching twice is watching once.
    fn attach(&self) -> io::Result<()> {
        self.inotify.watches().add(&self.file, WatchMask::ATTRIB).map(|_| ())
    }

    /// Takes everything that was rung so far.
    fn drain(&self) -> io::Result<()> {
        let mut events = [0_u8; 4096];
        let mut has_any = false;
        loop {
            match rustix::io::read(self.inotify.as_fd(), &mut events) {
                Ok(0) => return Ok(()),
                Ok(_) => has_any = true,
                Err(rustix::io::Errno::AGAIN) if has_any => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// After a silent poll: whoever replaced the file did not tell us.
    fn after_silence(&self) {
        if let Err(error) = self.attach() {
            tracing::debug!(file = %self.file.display(), %error, "cannot watch the file");
        }
    }

    /// Sleeps until the bell, the safety poll or `at_most`, whichever is first. Blocks the thread.
    pub(super) fn sleep(&self, at_most: Duration) {
        let limit = at_most.min(SAFETY);
        let timeout =
            Timespec { tv_sec: limit.as_secs().try_into().unwrap_or(1), tv_nsec: limit.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&self.inotify, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => self.after_silence(),
            Ok(_) => {
                if let Err(error) = self.drain() {
                    tracing::debug!(file = %self.file.display(), %error, "cannot read from inotify");
                }
            }
            // A signal: the caller looks, and sleeps again.
            Err(_) => {}
        }
    }
}

impl AsFd for Ear {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

impl std::os::fd::AsRawFd for Ear {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        std::os::fd::AsRawFd::as_raw_fd(&self.inotify)
    }
}

/// Blocks like [`Ear::sleep`], or polls faster when there is no ear.
pub(super) fn sleep(ear: Option<&Ear>, at_most: Duration) {
    match ear {
        Some(ear) => ear.sleep(at_most),
        None => std::thread::sleep(at_most.min(DEAF)),
    }
}

/// The ear of a tokio task.
#[derive(Debug)]
pub(super) struct AsyncEar(Option<AsyncFd<Ear>>);

impl AsyncEar {
    /// To be called on the runtime that will sleep.
    #[allow(
        deprecated,
        reason = "tokio 1.54 asks for `unsafe` because a descriptor might be closed early; an Ear owns its own, and \
                  this crate has no unsafe code"
    )]
    pub(super) fn new(database: &Path, bell: Bell) -> AsyncEar {
        let registered = Ear::new(database, bell).map(AsyncFd::new).transpose();
        AsyncEar(registered.unwrap_or_else(|error| {
            tracing::warn!(file = %database.display(), %error, "cannot wait for inotify; the file is polled");
            None
        }))
    }

    /// Sleeps until the bell or the safety poll.
    pub(super) async fn sleep(&self) {
        let Some(ear) = &self.0 else {
            return tokio::time::sleep(DEAF).await;
        };
        match tokio::time::timeout(SAFETY, ear.readable()).await {
            Err(_) => ear.get_ref().after_silence(),
            Ok(Ok(mut guard)) => {
                if let Ok(Err(error)) = guard.try_io(|ear| ear.get_ref().drain()) {
                    tracing::debug!(%error, "cannot read from inotify");
                }
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "cannot wait for inotify");
                tokio::time::sleep(DEAF).await;
            }
        }
    }
}
