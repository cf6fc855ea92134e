//! Station 6: children come and go. The zygote forks them, a pidfd says when one is gone; or the main thread starts
//! them as threads, and says itself when one has ended.

use std::collections::VecDeque;
use std::os::fd::{AsFd, IntoRawFd, OwnedFd};
use std::time::Duration;

use fastworker_engine::{ChildId, Event};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::sleep;

use crate::fact::Fact;
use crate::pool::{Child, SocketFact, Zygote, ZygoteFact, peak_kib};
use crate::report::{Level, Report};

use super::Worker;

/// A zygote that does not fork within this time when it is asked to is killed, and replaced. A fork copies page tables
/// and no memory: some 10 ms for each GiB of the application.
const FORKING: Duration = Duration::from_secs(10);
/// The same for one that still imports the application.
const IMPORTING: Duration = Duration::from_secs(300);

impl Worker {
    pub(super) fn tell_child(&self, child: ChildId) -> impl Fn(SocketFact) + 'static {
        let facts = self.io.facts.clone();
        move |fact| {
            // Only while the loop is being torn down is nobody there to hear it.
            let _torn_down = facts.send(Fact::Child(child, fact));
        }
    }

    pub(super) fn adopt(&mut self, socket: OwnedFd, pid: i32) {
        let facts: UnboundedSender<Fact> = self.io.facts.clone();
        let tell = move |fact| {
            // As above.
            let _torn_down = facts.send(Fact::Zygote(pid, fact));
        };
        match Zygote::adopt(socket, pid, tell) {
            Ok(zygote) => {
                self.zygote = Some(zygote);
                self.spawn_waiting();
            }
            Err(error) => {
                self.reporter.log(Level::Critical, format!("cannot talk to the zygote: {error}"));
                self.reporter.send(Report::ZygoteGone);
            }
        }
    }

    /// There is a zygote: children that were asked for and have waited for it are made.
    pub(super) fn spawn_waiting(&mut self) {
        let mut answers = VecDeque::new();
        self.spawn_wanted(&mut answers);
        for answer in answers {
            self.feed(answer);
        }
    }

    /// Children that were asked for and not forked yet will not be: there is no zygote, and the worker is stopping.
    pub(super) fn forget_wanted(&mut self) {
        for child in std::mem::take(&mut self.wanted) {
            self.feed(Event::ChildExited { child, next: 0, by_itself: false });
        }
    }

    pub(super) fn spawn_wanted(&mut self, answers: &mut VecDeque<Event>) {
        while let Some(child) = self.wanted.front().copied().filter(|_| self.has_threads) {
            self.wanted.pop_front();
            match Child::prepare(child, self.config.slots, self.tell_child(child)) {
                Ok((known, socket, page)) => {
                    self.children.insert(child, known);
                    let (socket, page) = (socket.into_raw_fd(), page.into_raw_fd());
                    self.reporter.send(Report::StartThread { child: child.0, socket, page });
                }
                Err(error) => {
                    self.reporter.log(Level::Error, format!("cannot start a thread for tasks: {error}"));
                    answers.push_back(Event::ChildExited { child, next: 0, by_itself: false });
                }
            }
        }
        // The next ones are children of the zygote that is about to take over.
        let is_relieved = self.successor.as_ref().is_some_and(|successor| successor.is_serving);
        while let (Some(zygote), Some(child), false) = (&self.zygote, self.wanted.front().copied(), is_relieved) {
            let patience = if zygote.is_serving { FORKING } else { IMPORTING };
            let spawned =
                Child::prepare(child, self.config.slots, self.tell_child(child)).and_then(|(known, socket, page)| {
                    zygote.spawn(child, socket.as_fd(), page.as_fd())?;
                    Ok(known)
                });
            self.wanted.pop_front();
            match spawned {
                Ok(known) => {
                    self.children.insert(child, known);
                    self.spawning.push(child);
                    self.expect_fork(child, patience);
                }
                Err(error) => {
                    self.reporter.log(Level::Error, format!("cannot start a child process: {error}"));
                    answers.push_back(Event::ChildExited { child, next: 0, by_itself: false });
                }
            }
        }
    }

    /// Has the zygote looked after when a child that it was asked for should be there.
    fn expect_fork(&self, child: ChildId, patience: Duration) {
        let Some(pid) = self.zygote.as_ref().map(|zygote| zygote.pid) else { return };
        let facts = self.io.facts.clone();
        tokio::task::spawn_local(async move {
            sleep(patience).await;
            // Torn down meanwhile: nobody waits for it.
            let _torn_down = facts.send(Fact::Zygote(pid, ZygoteFact::Overdue { child }));
        });
    }

    pub(super) fn zygote_fact(&mut self, pid: i32, fact: ZygoteFact) {
        let Some(fact) = self.fact_of_zygote_at_work(pid, fact) else { return };
        match fact {
            ZygoteFact::Serving => {
                if let Some(zygote) = &mut self.zygote {
                    zygote.is_serving = true;
                }
                self.spawning.iter().for_each(|&child| self.expect_fork(child, FORKING));
            }
            ZygoteFact::Overdue { child } => {
                let Some(zygote) = self.zygote.as_ref().filter(|_| self.spawning.contains(&child)) else { return };
                let patience = if zygote.is_serving { FORKING } else { IMPORTING };
                let text =
                    format!("the zygote process has not forked a child for {} s: killing it", patience.as_secs());
                zygote.kill();
                self.reporter.log(Level::Error, text);
            }
            ZygoteFact::Forked { child, pid } => {
                let tell = self.tell_child(child);
                let Some(known) = self.children.get_mut(&child) else { return };
                self.spawning.retain(|spawning| *spawning != child);
                if known.watch(pid, tell).is_err() {
                    self.exited(child);
                    return;
                }
                let is_ready = known.is_ready;
                self.feed(Event::ChildForked { child });
                if is_ready {
                    self.child_ready(child);
                }
            }
            ZygoteFact::Exited { pid, status } => {
                self.unburied.retain(|unburied| unburied.pid != pid);
                let Some(known) = self.children.values_mut().find(|child| child.pid == Some(pid)) else { return };
                known.status = Some(status);
                if known.is_gone {
                    let child = known.id;
                    self.exited(child);
                }
            }
            ZygoteFact::Failed { text } => self.reporter.log(Level::Error, text),
            ZygoteFact::Late => {}
            ZygoteFact::Gone => {
                self.zygote = None;
                for child in std::mem::take(&mut self.spawning) {
                    self.exited(child);
                }
                self.ask_how_they_ended();
                if !self.is_stopping {
                    self.reporter.log(Level::Error, "the zygote process died; starting another");
                }
                self.reporter.send(Report::ZygoteGone);
            }
        }
    }

    /// A zygote is gone, and so is who would have said how its children ended: they are ours to ask now.
    pub(super) fn ask_how_they_ended(&mut self) {
        let gone: Vec<ChildId> = self.children.values().filter(|child| child.is_gone).map(|child| child.id).collect();
        for child in gone {
            self.exited(child);
        }
        self.unburied.drain(..).for_each(|unburied| {
            unburied.bury();
        });
    }

    /// A child is ready to be given tasks. One that says so before the zygote has said which process it is waits: it
    /// could be neither watched nor killed, and would be taken for gone with a zygote that dies first.
    pub(super) fn child_ready(&mut self, child: ChildId) {
        let Some(known) = self.children.get_mut(&child) else { return };
        known.is_ready = true;
        if known.pid.is_none() && !self.has_threads {
            return;
        }
        self.feed(Event::ChildReady { child });
        self.let_go_if_outdated(child);
        if !std::mem::replace(&mut self.is_ready, true) {
            self.reporter.send(Report::Ready);
        }
    }

    pub(super) fn child_fact(&mut self, child: ChildId, fact: SocketFact) {
        match fact {
            SocketFact::Frame(frame) => {
                self.drain_ring(child);
                self.measure(child);
                self.frame(child, &frame);
            }
            SocketFact::Nonsense => {
                let text = "a child sent a frame of an impossible length: killing it";
                self.reporter.log(Level::Critical, text);
                self.kill(child);
            }
            SocketFact::Writable => {
                if let Some(known) = self.children.get_mut(&child) {
                    known.writable();
                    self.touched.push(child);
                }
            }
            SocketFact::Exited => self.process_gone(child),
            SocketFact::Overdue => self.exited(child),
            SocketFact::Stacks => self.log_stacks(child),
        }
    }

    /// Tells the engine how large a child has become, if there is a bound to that.
    pub(super) fn measure(&mut self, child: ChildId) {
        if self.config.max_memory_per_child_kib.is_none() {
            return;
        }
        // A process that is gone is not measured: that it is gone is told elsewhere.
        let pid = self.children.get(&child).and_then(|known| known.pid);
        if let Some(peak_kib) = pid.and_then(peak_kib) {
            self.feed(Event::Memory { child, peak_kib });
        }
    }

    pub(super) fn exited(&mut self, child: ChildId) {
        self.drain_ring(child);
        let Some(known) = self.children.get(&child) else { return };
        for frame in known.last_frames() {
            self.frame(child, &frame);
        }
        let Some(mut known) = self.children.remove(&child) else { return };
        self.unburied.extend(known.reap());
        self.spawning.retain(|spawning| *spawning != child);
        let by_itself = self.note_death(&mut known).is_by_itself();
        let next = known.recall();
        for (number, open) in known.batches() {
            self.end_batch(child, number, open);
        }
        self.feed(Event::ChildExited { child, next, by_itself });
    }

    /// Ends a child at once: a process by a signal. A thread cannot be ended, and is abandoned: it finds its link
    /// closed when its task is over, and what it still reports nobody hears.
    pub(super) fn kill(&mut self, child: ChildId) {
        let Some(known) = self.children.get_mut(&child) else { return };
        if !self.has_threads {
            known.kill();
            return;
        }
        if known.is_busy() {
            let text = "a thread that runs a task cannot be killed: the task goes back to its queue, and goes on here";
            self.reporter.log(Level::Error, text);
        }
        // Not at once: whoever calls this is in the middle of what the engine wants.
        self.tell_child(child)(SocketFact::Exited);
    }
}
