//! The drivers around the engine: broker I/O, children, clocks. One task's way: fetch → decode → admit → schedule →
//! dispatch → run → settle; `worker/mod.rs` is the loop that walks it, `fastworker_engine` decides.

mod broker_io;
mod clock;
mod config;
mod decode;
mod events;
mod fact;
mod held;
mod joins;
mod lamport;
mod patience;
mod pool;
mod pulse;
mod record;
mod report;
mod revoked;
mod settle;
#[cfg(test)]
mod sim;
mod sketch;
mod trace;
mod worker;

pub use clock::{advance, ahead_us, mono_us, reset, wall_us};
pub use config::{RegisteredTask, WorkerConfig};
pub use events::EventTerms;
pub use fact::{Command, HeldTask, Snapshot, Stage};
pub use fastworker_broker::{DONE_S, Fanout, Join, Joined, Mark, Parts, Publish, Remains, ResultDoc, RevokeTerms};
pub use fastworker_engine::{Autoscale, BatchTerms, Handle, QueueTerms, Rate, Resize, Scope, Shutdown, TaskOptions};
pub use held::MemberPart;
pub use lamport::LamportClock;
pub use patience::Patience;
pub use pool::Pool;
pub use pulse::Pulse;
pub use record::{Record, RecordOrder, STAGES, TaskRecord};
pub use report::{Fate, Level, Report, Reporter, Reports};
pub use sketch::{Sketch, TaskSketch};
pub use trace::{forward_to, stop_forwarding};
pub use worker::{clock_moved, run, thread_ended};
