//! The deterministic simulator: the engine against a model broker and model children, under seeded faults.
//!
//! One seed is one schedule: a configuration, messages, and a stream of accidents (`plan`). Time is a number that
//! jumps from one event to the next (`world`), so an hour of long tasks takes milliseconds, and the same seed always
//! takes the same way. What passes between engine and world is checked at every step (`audit`); in the end, with the
//! faults switched off, every message must be in a terminal place.
//!
//! A failing seed is replayed with every step written out: `FASTWORKER_SIM_SEED=<seed> cargo test -p
//! fastworker-engine --test sim -- --nocapture`.

mod audit;
mod broker;
mod child;
mod driver;
mod faults;
mod permits;
mod plan;
mod rng;
mod seats;
mod watch;
mod world;

pub use broker::{Message, Owner, Place};
pub use plan::{Deed, Faults, Letter, Pace, Plan};
pub use rng::Rng;

use crate::config::Config;
use crate::stats::Counters;

/// What a schedule came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// What the engines were told.
    pub config: Config,
    /// Every message, where it ended.
    pub messages: Vec<Message>,
    /// Events handed to engines.
    pub steps: u64,
    /// Fetches asked for.
    pub fetches: u64,
    /// Counters of all engines together.
    pub counters: Counters,
    /// When the last message ended (`mono_us`).
    pub ended_us: u64,
}

/// A promise that was not kept.
#[derive(Clone, Debug)]
pub struct Violation {
    /// When (`mono_us`).
    pub at_us: u64,
    /// What happened.
    pub what: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "at {} us: {}", self.at_us, self.what)
    }
}

/// Plays the schedule of a seed. `trace`: every event and action is written to standard error.
///
/// # Errors
/// The first promise that was not kept.
pub fn run(seed: u64, trace: bool) -> Result<Report, Violation> {
    let mut rng = Rng::new(seed);
    let plan = Plan::random(&mut rng);
    play(plan, rng, trace)
}

/// Plays a given schedule; `rng` decides its accidents and delays.
///
/// # Errors
/// The first promise that was not kept.
pub fn play(plan: Plan, rng: Rng, trace: bool) -> Result<Report, Violation> {
    world::World::new(plan, rng, trace).play()
}
