//! The way to the servers: every operation of a node passes here, where accidents happen.
//!
//! Behind it are the real broker and the real result store, in memory. A node that was killed gets no further than to its
//! next operation, so nothing that it does is seen by anybody.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use fastworker_broker::Error;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use super::world::World;

/// Something goes wrong with an operation. Numbers of seconds: how long a node stands still; a lease lives ten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    KilledBefore,
    KilledAfter,
    /// The node stands still, its children too, and goes on.
    FrozenBefore(u64),
    FrozenAfter(u64),
    /// The parent alone is cut off: its children's own connections serve.
    CutOffBefore(u64),
    CutOffAfter(u64),
    /// Done, but nobody hears it: the caller repeats it.
    AnswerLost,
    /// Not done.
    Refused,
}

impl Fault {
    /// One of those that may hit an operation.
    pub(super) fn random(chance: &mut fastworker_engine::sim::Rng) -> Fault {
        let long = chance.range(5, 45);
        match chance.range(0, 15) {
            0..=2 => Fault::KilledBefore,
            3..=6 => Fault::KilledAfter,
            7 => Fault::FrozenBefore(long),
            8..=9 => Fault::FrozenAfter(long),
            10 => Fault::CutOffBefore(long),
            11 => Fault::CutOffAfter(long),
            12..=14 => Fault::AnswerLost,
            _ => Fault::Refused,
        }
    }
}

/// Who does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// The I/O thread, or the main thread.
    Parent,
    /// On a connection of its own.
    Child,
    /// A client: is never killed, since nobody promises what becomes of a workflow that was half published.
    Client,
}

/// One incarnation of a node, or the client.
pub(super) struct Gate {
    world: Rc<World>,
    name: String,
    is_dead: Cell<bool>,
    death: Notify,
    parent_stands_until: Cell<Option<Instant>>,
    child_stands_until: Cell<Option<Instant>>,
}

impl Gate {
    pub(super) fn new(world: &Rc<World>, name: String) -> Rc<Gate> {
        Rc::new(Gate {
            world: Rc::clone(world),
            name,
            is_dead: Cell::default(),
            death: Notify::new(),
            parent_stands_until: Cell::default(),
            child_stands_until: Cell::default(),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Resolves when it is killed.
    pub(super) async fn died(&self) {
        while !self.is_dead.get() {
            self.death.notified().await;
        }
    }

    /// Does `act`, unless something happens.
    pub(super) async fn through<T>(
        &self,
        who: Who,
        what: &'static str,
        act: impl AsyncFnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.pass(who).await;
        sleep(self.world.latency()).await;
        self.pass(who).await;
        let fault = self.world.next_fault(&self.name, what);
        match fault {
            Some(Fault::KilledBefore) => self.kill(who),
            Some(Fault::FrozenBefore(seconds)) => self.stand_still(seconds, true),
            Some(Fault::CutOffBefore(seconds)) => self.stand_still(seconds, false),
            Some(Fault::Refused) => return Err(self.broken(what)),
            _ => {}
        }
        self.pass(who).await;
        let done = act().await;
        match fault {
            Some(Fault::KilledAfter) => self.kill(who),
            Some(Fault::FrozenAfter(seconds)) => self.stand_still(seconds, true),
            Some(Fault::CutOffAfter(seconds)) => self.stand_still(seconds, false),
            Some(Fault::AnswerLost) => return Err(self.broken(what)),
            _ => {}
        }
        self.pass(who).await;
        sleep(self.world.latency()).await;
        self.pass(who).await;
        done
    }

    /// The same for what is repeated until it is done.
    pub(super) async fn persist(&self, who: Who, what: &'static str, mut act: impl FnMut() -> Result<(), Error>) {
        while self.through(who, what, async || act()).await.is_err() {
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits while it stands still; for ever once it is dead.
    async fn pass(&self, who: Who) {
        loop {
            if self.is_dead.get() {
                std::future::pending::<()>().await;
            }
            let until = if who == Who::Child { self.child_stands_until.get() } else { self.parent_stands_until.get() };
            match until {
                Some(until) if until > Instant::now() => sleep_until(until).await,
                _ => return,
            }
        }
    }

    fn kill(&self, who: Who) {
        if who != Who::Client && !self.is_dead.replace(true) {
            self.death.notify_one();
            self.world.killed();
        }
    }

    fn stand_still(&self, seconds: u64, with_children: bool) {
        let until = Some(Instant::now() + Duration::from_secs(seconds));
        self.parent_stands_until.set(until);
        if with_children {
            self.child_stands_until.set(until);
        }
    }

    fn broken(&self, what: &'static str) -> Error {
        Error::Connection { what, whom: self.name.clone(), cause: "an accident".to_owned() }
    }
}
