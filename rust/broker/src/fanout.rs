//! Fanout exchanges: every worker that consumes a queue of one gets a copy.
//!
//! Each of these workers has a queue of its own for its copies, which is fetched, leased and settled like any other. It
//! *enlists* that queue with the exchange, and again with every heartbeat; who publishes puts a copy into each queue that
//! was enlisted within [`AWAY`]. So a worker that is cut off for a moment, or started again under its name, finds what
//! was published meanwhile.
//!
//! On Redis, programs of kombu have no such queues: they PUBLISH to a channel, and who is not subscribed at that moment
//! misses it. A publisher of ours *announces* its message there as well, for them, with a mark on it; a worker of ours
//! *gathers* what comes without the mark into its queue.

use std::time::Duration;

use crate::Error;

/// A worker that was not heard of for so long gets no more copies.
pub const AWAY: Duration = Duration::from_secs(60);
/// The copies of a worker that was not heard of for so long are thrown away.
pub(crate) const FORGOTTEN: Duration = Duration::from_secs(3600);

/// What the `delivery_tag` of an announced message begins with: who has a queue of its own has got a copy already.
pub const COPIED: &str = "fwc-";

/// A queue for copies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fanout {
    /// Whose messages.
    pub exchange: String,
    /// Of the binding; copies come whatever their routing key, and programs of kombu that do not know what kind of
    /// exchange it is look for queues by it.
    pub routing_key: String,
    /// The one worker's own queue.
    pub queue: String,
}

/// The publishing side; part of every [`Client`](crate::Client).
pub trait FanoutClient {
    /// The queues that were enlisted with an exchange within this time, in order of their names.
    fn copies(&mut self, exchange: &str, within: Duration) -> Result<Vec<String>, Error>;

    /// Tells the programs of kombu that listen now. `message` bears the mark [`COPIED`]. Nothing happens where no program
    /// of kombu listens.
    fn announce(&mut self, exchange: &str, routing_key: &str, message: &[u8]) -> Result<(), Error>;
}
