//! The remote command `pool_restart`: another zygote imports the application anew beside the one that serves. Once it
//! serves, it takes that one's place, and all children leave, each when what it runs has ended. One that does not come
//! so far, because the code cannot be imported, changes nothing.
//!
//! To the engine they are children that have grown too large: they get nothing more, and successors take their seats.

use std::os::fd::OwnedFd;
use std::time::Duration;

use fastworker_engine::{ChildId, Event};
use tokio::time::sleep;

use crate::config::WorkerConfig;
use crate::fact::Fact;
use crate::pool::{Zygote, ZygoteFact};
use crate::report::{Level, Report};

use super::Worker;

/// How long the new zygote may take to import the application.
const IMPORTING: Duration = Duration::from_secs(300);
/// Memory that is said of a child that is to leave; and a bound that nothing else is beyond.
const OUTDATED_KIB: u64 = u64::MAX;
const NO_BOUND_KIB: u64 = u64::MAX - 1;

/// What the engine is told of `max_memory_per_child_kib`.
pub(super) fn memory_bound(config: &WorkerConfig) -> Option<u64> {
    config.max_memory_per_child_kib.or(config.restarts.then_some(NO_BOUND_KIB))
}

impl Worker {
    /// Another zygote was started.
    pub(super) fn restart(&mut self, socket: OwnedFd, pid: i32) {
        let facts = self.io.facts.clone();
        let tell = move |fact| {
            // Only while the loop is being torn down is nobody there to hear it.
            let _torn_down = facts.send(Fact::Zygote(pid, fact));
        };
        match Zygote::adopt(socket, pid, tell.clone()) {
            Ok(zygote) if !self.is_stopping => {
                self.successor = Some(zygote);
                tokio::task::spawn_local(async move {
                    sleep(IMPORTING).await;
                    tell(ZygoteFact::Late);
                });
            }
            // It is killed at once, and waited for at the end.
            Ok(_not_wanted) => {}
            Err(error) => {
                self.reporter.log(Level::Critical, format!("cannot talk to the new zygote: {error}"));
                self.reporter.send(Report::ZygoteEnded { pid });
            }
        }
    }

    /// What a zygote says, if it is the one that serves, or one that has served.
    pub(super) fn fact_of_zygote_at_work(&mut self, pid: i32, fact: ZygoteFact) -> Option<ZygoteFact> {
        if let Some(successor) = self.successor.as_mut().filter(|successor| successor.pid == pid) {
            match fact {
                // Soon: see `succeed`.
                ZygoteFact::Serving => successor.is_serving = true,
                ZygoteFact::Late if !successor.is_serving => {
                    let text = format!("the new zygote process is not ready {} s after its start", IMPORTING.as_secs());
                    successor.kill();
                    self.reporter.log(Level::Error, text);
                }
                ZygoteFact::Gone => {
                    self.successor = None;
                    self.reporter.send(Report::ZygoteEnded { pid });
                }
                // It has not been asked for anything.
                _ => {}
            }
            return None;
        }
        if matches!(fact, ZygoteFact::Gone)
            && let Some(at) = self.retired.iter().position(|retired| retired.pid == pid)
        {
            self.retired.swap_remove(at);
            self.ask_how_they_ended();
            self.reporter.send(Report::ZygoteEnded { pid });
            return None;
        }
        Some(fact)
    }

    /// The new zygote takes the place of the one that serves, as soon as that owes no child.
    pub(super) fn succeed(&mut self) {
        if self.successor.is_none() || !self.spawning.is_empty() {
            return;
        }
        let Some(successor) = self.successor.take_if(|successor| successor.is_serving) else { return };
        if let Some(old) = self.zygote.replace(successor) {
            old.dismiss();
            self.retired.push(old);
        }
        self.reporter.send(Report::Restarted);
        let children: Vec<ChildId> = self.children.keys().copied().collect();
        for child in children {
            if let Some(known) = self.children.get_mut(&child) {
                known.is_outdated = true;
            }
            self.let_go_if_outdated(child);
        }
        self.spawn_waiting();
    }

    /// A child whose zygote was replaced leaves, unless it is not ready yet.
    pub(super) fn let_go_if_outdated(&mut self, child: ChildId) {
        if self.children.get(&child).is_some_and(|known| known.is_outdated && known.is_ready) {
            self.feed(Event::Memory { child, peak_kib: OUTDATED_KIB });
        }
    }
}
