//! The rooms of this process, by name.
//!
//! A fork copies them, with every lock in the state in which some other thread had it. So the list is held by the
//! thread that forks ([`before_fork`]), and a room is stamped with the process that made it: in another one its lock
//! is never touched.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use crate::{Error, Publish};

use super::state::State;
use super::url::room_of;

/// Everything of one name.
pub(super) struct Room {
    name: String,
    pid: u32,
    state: Mutex<State>,
    /// Rung when results are stored.
    pub(super) stored: Condvar,
    /// Rung when a reply lies in a mailbox.
    pub(super) replied: Condvar,
}

type Rooms = HashMap<String, Arc<Room>>;

static ROOMS: Mutex<Option<Rooms>> = Mutex::new(None);

thread_local! {
    static HELD: RefCell<Option<MutexGuard<'static, Option<Rooms>>>> = const { RefCell::new(None) };
}

fn rooms() -> MutexGuard<'static, Option<Rooms>> {
    ROOMS.lock().expect("nothing panics while it holds the rooms")
}

/// To be called right before a fork, in the thread that forks.
pub(crate) fn before_fork() {
    HELD.with_borrow_mut(|held| *held = Some(rooms()));
}

/// To be called right after a fork, in the parent and in the child, in the thread that forked.
pub(crate) fn after_fork() {
    HELD.with_borrow_mut(|held| *held = None);
}

/// Empties the room of this name, as if it had never been entered: queues, leases, parked messages, dead letters,
/// results. A worker that holds leases there has lost them. When nobody is in it, it is forgotten.
pub fn clear(name: &str) {
    let mut rooms = rooms();
    let Some(known) = rooms.as_mut() else { return };
    if let Some(room) = known.get(name).filter(|room| room.pid == std::process::id()) {
        room.lock_own().clear();
    }
    // Nobody can enter it meanwhile: that takes the lock of the list.
    if known.get(name).is_some_and(|room| Arc::strong_count(room) == 1) {
        known.remove(name);
    }
}

/// What waits in the room that `url` means, parked messages included, in the order in which it would be fetched.
///
/// # Errors
/// [`Error::Url`] for a URL of another kind, [`Error::Refused`] when the room is another process's.
pub fn waiting(url: &str) -> Result<Vec<Publish>, Error> {
    Ok(Room::enter(&room_of(url)?).lock("look into the queues")?.waiting())
}

impl Room {
    /// The room of this name; made when there is none.
    pub(super) fn enter(name: &str) -> Arc<Room> {
        let mut rooms = rooms();
        let made = || {
            Arc::new(Room {
                name: name.to_owned(),
                pid: std::process::id(),
                state: Mutex::default(),
                stored: Condvar::new(),
                replied: Condvar::new(),
            })
        };
        Arc::clone(rooms.get_or_insert_default().entry(name.to_owned()).or_insert_with(made))
    }

    /// What is in it, for one operation.
    ///
    /// # Errors
    /// [`Error::Refused`] in a process that was forked from the one that made the room.
    pub(super) fn lock(&self, what: &'static str) -> Result<MutexGuard<'_, State>, Error> {
        if self.pid == std::process::id() {
            return Ok(self.lock_own());
        }
        Err(Error::Refused {
            what,
            whom: self.url(),
            cause: format!(
                "it lives in the memory of process {}, of which this one ({}) was forked: what is published here \
                 nobody would run; use redis:// or sqlite:// where several processes share a queue",
                self.pid,
                std::process::id()
            ),
        })
    }

    fn lock_own(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds a room")
    }

    /// What it is called.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn url(&self) -> String {
        format!("memory://{}", self.name)
    }
}
