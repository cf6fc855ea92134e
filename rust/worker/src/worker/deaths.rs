//! What is said of a child that ends, or does not answer: how, of what, and what it ran.

use std::time::Duration;

use fastworker_engine::{ChildId, Number};
use tokio::time::sleep;

use crate::clock;
use crate::pool::{Child, Death, SocketFact};
use crate::report::Level;

use super::Worker;

/// How long the zygote may take to say how a process ended that is gone.
const ZYGOTE_PATIENCE: Duration = Duration::from_secs(1);

impl Worker {
    /// The process is gone. How it ended is the zygote's to know, if it lives.
    pub(super) fn process_gone(&mut self, child: ChildId) {
        let tell = self.tell_child(child);
        let Some(known) = self.children.get_mut(&child) else { return };
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

    /// Says how a child ended, and notes it for the results of what it ran.
    pub(super) fn note_death(&mut self, known: &mut Child) {
        self.say_stacks(known);
        let Some(pid) = known.pid else { return };
        let death = match known.status {
            Some(status) if status < 0 => Death::Killed(-status, self.oom.look()),
            Some(status) => Death::Exited(status),
            None => Death::Unknown,
        };
        let next = known.page.claim().next();
        let ran = known.running().or_else(|| known.oldest_before(next));
        let is_in_order = death == Death::Exited(0) && ran.is_none();
        let held = ran.and_then(|handle| self.held.get_mut(handle));
        let doing = match held {
            Some(held) => {
                held.death = Some(death.to_string());
                format!(" while it ran task {}[{}]", held.task, held.id)
            }
            None if !known.is_ready => " before it was ready".to_owned(),
            None => String::new(),
        };
        if self.terminated_pids.remove(&pid) {
            self.reporter.log(Level::Info, format!("child process {pid} ended with its revoked task"));
        } else if !is_in_order && !known.is_killed {
            self.reporter.log(Level::Error, format!("child process {pid} ended prematurely{doing}: {death}"));
        }
    }

    /// Asks a child where it is.
    pub(super) fn dump_stacks(&mut self, child: ChildId, number: Option<Number>) {
        let tell = self.tell_child(child);
        let Some(known) = self.children.get_mut(&child) else { return };
        let pid = known.pid.unwrap_or_default();
        let held = number.and_then(|number| known.handle_of(number)).and_then(|handle| self.held.get(handle));
        let running_s =
            known.page.running().map_or(0.0, |(_, since_us)| clock::mono_us().saturating_sub(since_us) as f64 / 1e6);
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

    /// Stacks that were asked for may be there.
    pub(super) fn log_stacks(&mut self, child: ChildId) {
        if let Some(mut known) = self.children.remove(&child) {
            self.say_stacks(&mut known);
            self.children.insert(child, known);
        }
    }

    fn say_stacks(&mut self, known: &mut Child) {
        let Some(of_what) = known.stacks.wanted_for.take() else { return };
        let stacks = known.stacks.take();
        let stacks = match stacks.trim_end() {
            "" => "It does not say where it is.",
            text => text,
        };
        self.reporter.log(Level::Warning, format!("{of_what}\n{stacks}"));
    }
}
