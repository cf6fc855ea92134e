//! Every decision of a worker, and no I/O: facts in, actions out. No clock, no sockets, no threads, no Python.
//!
//! Start reading at `engine.rs`; `event.rs` and `action.rs` are the contract with the drivers.

#![forbid(unsafe_code)]

mod action;
mod admit;
mod arrive;
mod attempts;
mod blocked;
mod child;
mod config;
mod consume;
mod death;
mod dispatch;
mod early;
mod engine;
mod event;
mod fleet;
mod gather;
mod give_back;
mod interrupts;
mod lanes;
mod limits;
mod numbers;
mod pool;
mod prefetch;
mod queues;
mod recall;
mod requests;
mod revoke;
mod scale;
mod schedule;
mod settle;
mod shutdown;
#[cfg(feature = "sim")]
pub mod sim;
mod stats;
mod stuck;
mod suspects;
#[cfg(test)]
mod testing;
mod timer;
mod window;
mod work;

pub use action::{Action, Ask, Ending, Interrupt, Portion};
pub use admit::{Quota, Rate};
pub use config::{Autoscale, BatchTerms, Config, QueueTerms, Scope, TaskOptions};
pub use engine::Engine;
pub use event::{Acquired, ChildId, Drawn, Event, Handle, Now, Number, Outcome, Request, Resize, Shutdown};
pub use numbers::Numbers;
pub use requests::Whereabouts;
pub use stats::{Counters, Stats};
