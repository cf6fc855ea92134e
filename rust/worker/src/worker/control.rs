//! Remote control as the loop sees it: what was broadcast goes to the main thread, which knows the commands; what it
//! decides about tasks comes back as a `Command`, and is answered here.

use std::collections::HashMap;
use std::time::Duration;

use fastworker_broker::{Error, Mark, Revocation};
use fastworker_engine::{Event, Handle, Rate, Whereabouts};
use fastworker_wire::child::ToChild;

use crate::clock;
use crate::fact::{HeldTask, Snapshot, Stage};
use crate::held::Held;
use crate::report::{Level, Report};
use crate::revoked::carries;

use super::Worker;

/// The headers in a task's frame.
pub(super) fn headers_of(frame: &[u8]) -> Option<&[u8]> {
    match ToChild::read(frame) {
        Ok(ToChild::Task(task)) => Some(task.headers),
        Ok(ToChild::Stop | ToChild::Batch { .. } | ToChild::Interrupt { .. } | ToChild::Locate { .. }) | Err(_) => None,
    }
}

impl Worker {
    /// Whether a task that just came is revoked.
    pub(super) fn is_revoked(&self, held: &Held) -> bool {
        !self.revoked.is_empty() && self.revoked.has(&held.id, || headers_of(&held.frame))
    }

    pub(super) fn broadcast(&mut self, message: Vec<u8>) {
        if std::mem::take(&mut self.is_deaf) {
            self.reporter.log(Level::Warning, "remote control is heard again");
        }
        self.reporter.send(Report::Broadcast { message });
    }

    pub(super) fn deaf(&mut self, error: &Error) {
        if !std::mem::replace(&mut self.is_deaf, true) {
            self.reporter.log(Level::Warning, format!("{error}. Remote control is not heard until it works."));
        }
    }

    /// What the broker remembers: some of it may be news, and about what is held. What runs of it is ended if that was
    /// asked for, as if the word had just come.
    pub(super) fn learn_revoked(&mut self, remembered: Vec<Revocation>) {
        if std::mem::take(&mut self.is_deaf) {
            self.reporter.log(Level::Warning, "remote control is heard again");
        }
        let now_us = clock::mono_us();
        let mut by_signal: HashMap<Option<i32>, Vec<Mark>> = HashMap::new();
        for Revocation { mark, age, terminate } in remembered {
            let terminate = terminate.filter(|_| !self.has_threads);
            by_signal.entry(terminate).or_default().push(mark.clone());
            self.revoked.add(mark, age, now_us);
        }
        for (terminate, marks) in by_signal {
            self.revoke_where_held(&marks, terminate);
        }
    }

    /// Revokes; returns what is held of it.
    pub(super) fn revoke(&mut self, marks: Vec<Mark>, terminate: Option<i32>) -> Vec<HeldTask> {
        let now_us = clock::mono_us();
        for mark in &marks {
            self.revoked.add(mark.clone(), Duration::ZERO, now_us);
        }
        self.revoke_where_held(&marks, terminate)
    }

    fn revoke_where_held(&mut self, marks: &[Mark], terminate: Option<i32>) -> Vec<HeldTask> {
        let tasks = self.revoke_held(marks, terminate);
        // What is to be terminated is looked for at once.
        if terminate.is_some() && !tasks.is_empty() {
            self.tick();
        }
        tasks
    }

    fn revoke_held(&mut self, marks: &[Mark], terminate: Option<i32>) -> Vec<HeldTask> {
        if marks.is_empty() || self.held.is_empty() {
            return Vec::new();
        }
        let marks: std::collections::HashSet<&Mark> = marks.iter().collect();
        let has_stamps = marks.iter().any(|mark| matches!(mark, Mark::Stamp { .. }));
        let is_meant = |held: &Held| {
            marks.contains(&Mark::Id(held.id.clone()))
                || has_stamps
                    && headers_of(&held.frame).is_some_and(|headers| carries(headers, |mark| marks.contains(mark)))
        };
        let meant = self.held.iter().filter(|(_, held)| is_meant(held)).map(|(handle, _)| handle);
        let meant: std::collections::HashSet<Handle> = meant.collect();
        if meant.is_empty() {
            return Vec::new();
        }
        let (handles, tasks) = self.held_tasks(|handle| meant.contains(&handle));
        if !handles.is_empty() {
            self.feed(Event::Revoked { handles, terminate });
        }
        tasks
    }

    pub(super) fn set_limits(&mut self, task: &str, soft_limit_s: Option<f64>, hard_limit_s: Option<f64>) -> bool {
        let Some(task) = self.index_of(task) else { return false };
        self.feed(Event::LimitsChanged { task, soft_limit_s, hard_limit_s });
        true
    }

    pub(super) fn set_rate(&mut self, task: &str, limit: Option<Rate>) -> bool {
        let Some(task) = self.index_of(task) else { return false };
        self.config.tasks[task as usize].options.rate = limit;
        self.feed(Event::RateLimit { task, limit });
        true
    }

    fn index_of(&self, task: &str) -> Option<u32> {
        self.config.tasks.iter().position(|known| known.name == task).map(|index| index as u32)
    }

    pub(super) fn snapshot(&mut self) -> Snapshot {
        self.revoked.forget(clock::mono_us());
        let (_, tasks) = self.held_tasks(|_| true);
        let living = || self.children.values().filter(|child| child.pid.is_some() && !child.is_gone);
        Snapshot {
            started: self.started(&tasks),
            tasks,
            revoked: self.revoked.ids(),
            pids: living().filter_map(|child| child.pid).collect(),
            writes: living().map(|child| child.writes).collect(),
            busy: living().filter(|child| child.is_busy()).count(),
        }
    }

    /// Started tasks by name: those that have ended here, and those that run.
    fn started(&self, tasks: &[HeldTask]) -> Vec<(String, u64)> {
        let ended = self.engine.stats().runtimes.into_iter().map(|(_, runs)| u64::from(runs));
        let mut counts: Vec<(String, u64)> =
            self.config.tasks.iter().map(|task| task.name.clone()).zip(ended).collect();
        for task in tasks.iter().filter(|task| task.stage == Stage::Active) {
            if let Ok(ToChild::Task(frame)) = ToChild::read(&task.frame)
                && let Some((_, count)) = counts.iter_mut().find(|(name, _)| name == frame.task)
            {
                *count += 1;
            }
        }
        counts.retain(|(_, count)| *count > 0);
        counts
    }

    /// What is held, of those that `is_wanted`, and has not ended yet.
    fn held_tasks(&self, is_wanted: impl Fn(Handle) -> bool) -> (Vec<Handle>, Vec<HeldTask>) {
        let ahead_us = clock::wall_us() - clock::mono_us() as i64;
        let running: HashMap<Handle, (u64, Option<i32>)> = self
            .children
            .values()
            .flat_map(|known| known.running().map(|(handle, since_us)| (handle, (since_us, known.pid))))
            .collect();
        let mut handles = Vec::new();
        let mut tasks = Vec::new();
        for (handle, whereabouts) in self.engine.whereabouts().filter(|(handle, _)| is_wanted(*handle)) {
            let Some(held) = self.held.get(handle) else { continue };
            let mut task = HeldTask {
                stage: Stage::Reserved,
                frame: held.frame.clone(),
                eta_ms: None,
                started_us: None,
                pid: None,
                is_acked: held.is_early_acked,
            };
            match whereabouts {
                Whereabouts::Timer { until_ms } => (task.stage, task.eta_ms) = (Stage::Scheduled, Some(until_ms)),
                Whereabouts::Waiting => {}
                Whereabouts::Child(_) => {
                    if let Some((since_us, pid)) = running.get(&handle) {
                        task.stage = Stage::Active;
                        task.started_us = Some(*since_us as i64 + ahead_us);
                        task.pid = *pid;
                    }
                }
                Whereabouts::Ending => continue,
            }
            handles.push(handle);
            tasks.push(task);
        }
        (handles, tasks)
    }
}
