//! The deterministic simulator: engines against a model broker and model children, under seeded accidents.
//!
//! One seed is one schedule: a configuration, messages, and a list of accidents (`plan`, `faults`). Time is a number
//! that jumps from one event to the next (`world`), so an hour of long tasks takes milliseconds, and the same seed
//! always takes the same way. One or two workers share the broker, keep their leases alive by heartbeats and recover
//! each other's. What passes between engine and world is checked at every step (`audit`, `watch`); in the end, when
//! the accidents are over, every message must be in a terminal place (`report`).
//!
//! A failing seed is made as small as it can be (`shrink`) and told as a story; the last line says how to replay it.

mod audit;
mod beats;
mod broker;
mod campaign;
mod case;
mod child;
mod childhood;
mod driver;
mod faults;
mod lanes;
mod lines;
mod matrix;
mod operations;
mod permits;
mod plan;
mod report;
mod rng;
mod seats;
mod shrink;
mod watch;
mod world;

pub use broker::{Message, Owner, Place};
pub use campaign::{Tally, campaign};
pub use case::Case;
pub use faults::Fault;
pub use matrix::{Column, Matrix};
pub use plan::{Accident, Deed, Letter, Pace, Plan};
pub use report::{Report, Violation};
pub use rng::Rng;
pub use shrink::shrink;

/// Plays a given schedule; `rng` decides its delays.
///
/// # Errors
/// The first promise that was not kept.
pub fn play(plan: Plan, rng: Rng) -> Result<Report, Violation> {
    world::World::new(plan, rng, false).play().0
}
