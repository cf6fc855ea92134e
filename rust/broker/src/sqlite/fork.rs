//! What a fork means for open SQLite files, and the two hooks that keep it harmless.
//!
//! SQLite keeps, per process and file, a note of the POSIX locks that it holds. A forked child inherits the note but
//! not the locks: a connection that it opens afterwards believes the note, holds no lock of its own, and once the
//! parent is gone another process may reset the log under it (seen with `/proc/locks`). Forgetting the inherited
//! connection, as one does with a socket, is therefore not enough; it must be closed *before* the fork.
//!
//! [`before_fork`] closes every idle client connection of this process, waits for those in use, and keeps new ones from
//! opening until [`after_fork`], which is called in both parent and child. Each client opens again at its next call
//! (some 0.3 ms). A fork that runs no hooks (C code) still finds the stamp of `slot.rs`: the child forgets and opens
//! anew, which is safe as long as the parent, which holds the real locks, lives.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::slot::Opened;

/// What a client keeps its connection in.
pub(super) type Place = Mutex<Option<Opened>>;

static PLACES: Mutex<Vec<Weak<Place>>> = Mutex::new(Vec::new());
static IS_FORKING: AtomicBool = AtomicBool::new(false);

/// To be called right before a fork, in the thread that forks; `os.register_at_fork(before=...)`.
pub(crate) fn before_fork() {
    IS_FORKING.store(true, Ordering::SeqCst);
    let places: Vec<_> =
        PLACES.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect();
    for place in places {
        let opened = place.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(opened) = opened {
            opened.leave();
        }
    }
}

/// To be called right after a fork, in the parent and in the child.
pub(crate) fn after_fork() {
    IS_FORKING.store(false, Ordering::SeqCst);
}

/// True between the two hooks: nothing may be opened then.
pub(super) fn is_forking() -> bool {
    IS_FORKING.load(Ordering::SeqCst)
}

/// Waits until the fork is over. A poll, since whatever one could wait on (a lock, a condition) could itself be
/// caught by the fork in the middle of a change; a fork takes milliseconds.
pub(super) fn pass() {
    while is_forking() {
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Enters a client's place, so that the hooks know of it.
pub(super) fn enter(place: &Arc<Place>) {
    let mut places = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
    places.retain(|known| known.strong_count() > 0);
    places.push(Arc::downgrade(place));
}
