//! Station 4a, admit: the decision before running. Takes a request and the clock, gives a verdict.
//!
//! One file a rule. A rule looks at the request alone and either has an opinion or passes; the first opinion counts.
//! The order below is part of the contract: an unknown task is a dead letter even when it is expired or not yet due,
//! because nobody here could say more about it later; what is expired and revoked is expired, as in Celery. The rate limit
//! is asked after all of them, and once more than on delivery: when a delivery's eta has come (`rate`).

mod block;
mod bucket;
mod eta;
mod expired;
mod rate;
mod revoked;
mod unknown;

use crate::action::Ending;
use crate::config::Config;
use crate::event::{Now, Request};

pub(crate) use block::Key;
pub use bucket::Rate;
pub(crate) use expired::is_expired;
pub use rate::Quota;
pub(crate) use rate::{Claim, Rates};

/// What is to become of a delivery that just came in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Ready to run.
    Run,
    /// Wait here until then (Unix time in milliseconds). Occupies a prefetch credit, but no child.
    Hold {
        /// When it is due.
        until_ms: i64,
    },
    /// Not to be run by us now.
    Drop {
        /// How it leaves.
        ending: Ending,
    },
}

/// Asks every rule in turn. `has_timer_room`: whether one more delivery may wait here for its eta.
pub(crate) fn admit(config: &Config, request: &Request, now: Now, has_timer_room: bool) -> Verdict {
    unknown::rule(config, request)
        .or_else(|| expired::rule(request, now))
        .or_else(|| revoked::rule(request))
        .or_else(|| eta::rule(request, now, config.eta_horizon_ms, has_timer_room))
        .unwrap_or(Verdict::Run)
}
