//! Station 5, dispatch: a window of tasks to a child, and the signals or frames for those that run.

use fastworker_engine::{ChildId, Handle, Interrupt, Number};
use fastworker_wire::child::{InterruptKind, NO_MEMBER};
use rustix::process::Signal;

use crate::report::Level;

use super::Worker;

impl Worker {
    pub(super) fn dispatch(&mut self, child: ChildId, first: Number, handles: &[Handle], flush_first: bool) {
        let tells = self.events.has_tasks();
        let recorded_us = self.recorded_us();
        let Some(known) = self.children.get_mut(&child) else { return };
        let bound = known.page.claim().extend(handles.len() as u32);
        debug_assert_eq!(bound, first, "the engine and the page count alike");
        for (offset, handle) in handles.iter().enumerate() {
            let number = first.wrapping_add(offset as u32);
            let held = self.held.get_mut(*handle).expect("the engine dispatches what is held");
            held.prepare(number, flush_first, tells);
            held.moments.dispatched_us = recorded_us;
            known.give(number, *handle);
            known.push_frame(&held.frame);
        }
        self.touched.push(child);
    }

    /// Sends a batch as one number.
    pub(super) fn dispatch_batch(&mut self, child: ChildId, number: Number, handles: &[Handle]) {
        let tells = self.events.has_tasks();
        let recorded_us = self.recorded_us();
        let Some(known) = self.children.get_mut(&child) else { return };
        let bound = known.page.claim().extend(1);
        debug_assert_eq!(bound, number, "the engine and the page count alike");
        known.give_batch(number, handles);
        known.push_batch(number, handles.len() as u32);
        for handle in handles {
            let held = self.held.get_mut(*handle).expect("the engine dispatches what is held");
            held.prepare(number, true, tells);
            held.came.sharers = handles.len() as u32;
            held.moments.dispatched_us = recorded_us;
            known.push_frame(&held.frame);
        }
        self.touched.push(child);
    }

    /// Ends a revoked task by a signal. The page is frozen: what runs now is this task or nothing.
    pub(super) fn terminate(&mut self, child: ChildId, number: Number, signal: i32) {
        let Some(known) = self.children.get(&child) else { return };
        let Some(signal) = Signal::from_named_raw(signal) else { return };
        if known.page.running(0).is_some_and(|(running, _)| running == number) {
            known.page.set_terminate_target(number);
            if signal == Signal::USR1 {
                known.page.set_soft_target(number);
            }
            self.terminated_pids.extend(known.pid);
            known.signal(signal);
        }
    }

    /// Sends the signal of the soft limit, and says so in Celery's words.
    pub(super) fn soft_limit(&mut self, child: ChildId, number: Number, limit_ms: u64) {
        let Some(known) = self.children.get(&child) else { return };
        known.page.set_soft_target(number);
        if known.page.running(0).is_none_or(|(running, _)| running != number) {
            return;
        }
        known.signal(Signal::USR1);
        self.say_soft_limit(child, number, limit_ms);
    }

    fn say_soft_limit(&self, child: ChildId, number: Number, limit_ms: u64) {
        let handle = self.children.get(&child).and_then(|known| known.handle_of(number, NO_MEMBER));
        if let Some(held) = handle.and_then(|handle| self.held.get(handle)) {
            let limit_s = limit_ms as f64 / 1000.0;
            let text = format!("Soft time limit ({limit_s}s) exceeded for {}[{}]", held.task, held.id);
            self.reporter.log(Level::Warning, text);
        }
    }

    /// Tells a child with several slots to interrupt one of its tasks.
    pub(super) fn interrupt(&mut self, child: ChildId, number: Number, kind: Interrupt) {
        let Some(known) = self.children.get_mut(&child) else { return };
        known.push_interrupt(
            number,
            match kind {
                Interrupt::SoftLimit { .. } => InterruptKind::SoftLimit,
                Interrupt::HardLimit => InterruptKind::HardLimit,
                Interrupt::Terminate => InterruptKind::Terminate,
            },
        );
        self.touched.push(child);
        if let Interrupt::SoftLimit { limit_ms } = kind {
            self.say_soft_limit(child, number, limit_ms);
        }
    }
}
