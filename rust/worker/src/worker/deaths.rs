//! What is said of a child that ends, or does not answer: how, of what, and what it ran.

use std::time::Duration;

use fastworker_engine::{ChildId, Handle, Number};
use fastworker_wire::child::NO_MEMBER;
use tokio::time::sleep;

use crate::clock;
use crate::pool::{Child, Death, SocketFact};
use crate::report::Level;

use super::Worker;

/// How long the zygote may take to say how a process ended that is gone.
const ZYGOTE_PATIENCE: Duration = Duration::from_secs(1);

/// Most tasks of one process that are named.
const MOST_NAMES: usize = 5;

impl Worker {
    /// The process is gone. How it ended is the zygote's to know, if it lives.
    pub(super) fn process_gone(&mut self, child: ChildId) {
        let tell = self.tell_child(child);
        let Some(known) = self.children.get_mut(&child) else { return };
        // Its zygote may have been replaced: then nobody but us can ask.
        let _zygotes_to_bury = known.reap();
        if known.status.is_some() || self.zygote.is_none() {
            self.exited(child);
            return;
        }
        known.is_gone = true;
        tokio::task::spawn_local(async move {
            sleep(ZYGOTE_PATIENCE).await;
            tell(SocketFact::Overdue);
        });
    }

    /// Says how a child ended, notes it for the results of what it ran, and returns it.
    pub(super) fn note_death(&mut self, known: &mut Child) -> Death {
        self.say_stacks(known);
        let Some(pid) = known.pid else { return Death::Unknown };
        let death = match known.status {
            Some(status) if status < 0 => Death::Killed(-status, self.oom.look()),
            Some(status) => Death::Exited(status),
            None => Death::Unknown,
        };
        let next = known.page.claim().next();
        let ran: Vec<Handle> = known.claimed_before(next).collect();
        let is_in_order = death == Death::Exited(0) && ran.is_empty();
        for handle in &ran {
            if let Some(held) = self.held.get_mut(*handle) {
                held.death = Some(death.to_string());
            }
        }
        let doing = match ran[..] {
            [] if !known.is_ready => " before it was ready".to_owned(),
            [] => String::new(),
            [handle] => format!(" while it ran task {}", self.name(handle)),
            ref several => format!(" while it ran {} tasks: {}", several.len(), self.names(several)),
        };
        if self.terminated_pids.remove(&pid) {
            self.reporter.log(Level::Info, format!("child process {pid} ended with its revoked task"));
        } else if !is_in_order && (!known.is_killed || death.is_by_itself()) {
            self.reporter.log(Level::Error, format!("child process {pid} ended prematurely{doing}: {death}"));
        }
        death
    }

    /// A task as logs name it.
    fn name(&self, handle: Handle) -> String {
        self.held.get(handle).map_or_else(String::new, |held| format!("{}[{}]", held.task, held.id))
    }

    /// The first of several.
    fn names(&self, handles: &[Handle]) -> String {
        let names: Vec<String> = handles.iter().take(MOST_NAMES).map(|handle| self.name(*handle)).collect();
        let more = if handles.len() > MOST_NAMES { ", …" } else { "" };
        format!("{}{more}", names.join(", "))
    }

    /// Asks a child where it is.
    pub(super) fn dump_stacks(&mut self, child: ChildId, number: Option<Number>) {
        let tell = self.tell_child(child);
        let Some(known) = self.children.get_mut(&child) else { return };
        let pid = known.pid.unwrap_or_default();
        let held =
            number.and_then(|number| known.handle_of(number, NO_MEMBER)).and_then(|handle| self.held.get(handle));
        let since_us = number.and_then(|number| known.running_since_us(number));
        let running_s = since_us.map_or(0.0, |since_us| clock::mono_us().saturating_sub(since_us) as f64 / 1e6);
        if known.slots() > 1
            && let Some(held) = held
        {
            // Of several, only one that goes on although it was told to end is asked where it is: before the kill.
            let text = format!(
                "task {}[{}] goes on although it was told to end: killing its process {pid}; the {} other task(s) that \
                 run there start again, and this attempt of theirs is not counted",
                held.task,
                held.id,
                known.running().count().saturating_sub(1)
            );
            self.reporter.log(Level::Warning, text);
        }
        let of_what = match held {
            Some(held) => {
                format!("task {}[{}] has been running for {running_s:.1} s in process {pid}", held.task, held.id)
            }
            None if known.is_ready => format!("child process {pid} does not exit: killing it"),
            None => format!(
                "child process {pid} is not ready {:.1} s after its start (worker_proc_alive_timeout): killing it",
                self.config.start_timeout.unwrap_or_default().as_secs_f64()
            ),
        };
        known.ask_for_stacks(of_what, tell);
    }

    /// Asks a child whose loop stands still which task keeps it.
    pub(super) fn ask_who_blocks(&mut self, child: ChildId, since_us: u64) {
        let tell = self.tell_child(child);
        let Some(known) = self.children.get(&child) else { return };
        let blocked_s = clock::mono_us().saturating_sub(since_us) as f64 / 1e6;
        let running: Vec<Handle> = known.running().map(|(handle, _)| handle).collect();
        let text = format!(
            "child process {} has been blocked for {blocked_s:.1} s, and none of its {} task(s) goes on ({})",
            known.pid.unwrap_or_default(),
            running.len(),
            self.names(&running)
        );
        if let Some(known) = self.children.get_mut(&child) {
            known.ask_who_blocks(text, tell);
        }
    }

    /// Stacks that were asked for may be there.
    pub(super) fn log_stacks(&mut self, child: ChildId) {
        if let Some(mut known) = self.children.remove(&child) {
            self.say_stacks(&mut known);
            self.children.insert(child, known);
        }
    }

    fn say_stacks(&mut self, known: &mut Child) {
        let Some(of_what) = known.stacks.wanted_for.take() else { return };
        let (blame, stacks) = known.stacks.take();
        let stacks = if stacks.is_empty() { "It does not say where it is." } else { &stacks };
        let blame = blame.map_or(String::new(), |who| format!(": {who}"));
        self.reporter.log(Level::Warning, format!("{of_what}{blame}\n{stacks}"));
    }
}
