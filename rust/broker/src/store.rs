//! The contract of a result store that is not the broker's own.

use std::future::Future;

use crate::{Error, Join, Part, Parts, Remains, ResultDoc};

/// A result store that the broker cannot reach by itself: another kind of server, or another file.
///
/// The caller publishes, stores here, and acknowledges, in that order, so that a fault repeats work but drops none.
pub trait Store {
    /// Stores documents; a stored SUCCESS is never overwritten by something else. Returns when they are confirmed.
    fn store(&self, batch: &[ResultDoc]) -> impl Future<Output = Result<(), Error>>;

    /// Counts members of chords; says of each whether it completed its chord: the caller leaves the join with the
    /// message's end ([`Member::Last`](crate::Member::Last)).
    fn count(&self, parts: &[Part]) -> impl Future<Output = Result<Vec<bool>, Error>>;

    /// How the members of a chord ended.
    fn parts(&self, group_id: &str) -> impl Future<Output = Result<Parts, Error>>;

    /// Makes the claim of a join last, before its body is published. False: the chord is done, was begun anew, or is another
    /// worker's: until then one of Celery's that shares the store may have joined it.
    fn hold(&self, join: &Join) -> impl Future<Output = Result<bool, Error>>;

    /// Ends the chord, once its body is published.
    fn forget(&self, join: &Join, remains: Remains) -> impl Future<Output = Result<(), Error>>;
}
