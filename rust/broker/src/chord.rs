//! Groups and chords, as brokers and result stores keep them.
//!
//! A *chord* is a header, which is a group of tasks, and a body, which gets the list of their results. Nobody waits for
//! the header: each member's settlement carries its *part*, which is counted in the same step. The step that completes
//! the count *claims* the chord and leaves a *join* behind, a durable record with everything that the body's publication
//! needs beside the parts. A chord that bears only so many failures is complete, and claimed, with the first one beyond; what
//! comes later is counted and changes nothing. Whoever owns the join reads the parts, makes the body's message, and ends the join: message,
//! states and the end of the chord are one step again. A join whose owner died is taken over by another worker.
//!
//! ```text
//!   settle(Part) ─▶ counted ─ last one ─▶ claimed + join ── finish_join ──▶ body published, chord done
//!        │ again: nothing                      │ owner dies                        ▲
//!        └─ after the end: nothing             └─ joins() of another worker ───────┘
//! ```
//!
//! Where results live elsewhere than messages, the part is counted there first, under a token that names the member: a
//! member that runs again because its worker died in between claims the same chord again, and the join is written with
//! its acknowledgement. Until then the claim is one among workers of ours: to Celery's, which may be given the member instead,
//! the chord is open ([`Store::hold`](crate::Store::hold) closes it). The body is then published at least once.

use bytes::Bytes;

use crate::{Error, Publish, ResultDoc};

/// How long a claim in another store stands that no join vouches for yet.
pub(crate) const CLAIM_S: u64 = 600;
/// How long the end of a chord is remembered, so that a late copy of a member begins nothing; at least.
pub const DONE_S: u64 = 3_600;

/// How long the name of a run is remembered at least, and which members were added to it.
pub(crate) const MARKS_S: u64 = 86_400;

/// How one member of a chord's header ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The chord: the id of its header's group.
    pub group_id: String,
    /// The member.
    pub task_id: String,
    /// Its place in the header; `None` where that is not known: after the others.
    pub index: Option<i64>,
    /// Celery's `[1, task id, state, result]`, encoded.
    pub doc: Bytes,
    /// What the join needs beside the parts. No broker looks into it.
    pub record: Bytes,
    /// Of a failure in a chord that does not wait for all members when too many have failed: how many it bears. One more
    /// completes it. `None`: it has not failed, or makes no difference.
    pub bears: Option<u64>,
    /// Seconds that the unfinished chord is kept from now on; `None` keeps it for ever.
    pub ttl_s: Option<u64>,
}

impl Part {
    /// Celery's name of the place: a score of a sorted set.
    pub(crate) fn place(&self) -> String {
        self.index.map_or_else(|| "+inf".to_owned(), |index| index.to_string())
    }

    /// The join that this part brings about, if it is the last one.
    pub fn join(&self) -> Join {
        let token = format!("fw:{}:{}", self.task_id, self.place());
        Join { group_id: self.group_id.clone(), token, record: self.record.clone() }
    }
}

/// A chord whose parts are all there, and whose body nobody has published yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// The chord.
    pub group_id: String,
    /// What it was claimed by.
    pub token: String,
    /// From the part that completed it.
    pub record: Bytes,
}

impl Join {
    /// The name, in the place of a group's, under which its parts are found when they outlive it.
    pub fn kept_name(&self) -> String {
        format!("{}~{}", self.group_id, self.token)
    }
}

/// What a settlement has to do with a chord.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    /// The message was a member's: count it.
    Part(Part),
    /// It was counted elsewhere, and was the last: leave the join.
    Last(Join),
}

impl Member {
    /// The join that may come of it.
    pub fn join(&self) -> Join {
        match self {
            Member::Part(part) => part.join(),
            Member::Last(join) => join.clone(),
        }
    }
}

/// What a join is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// The parts, in the order of the header.
    pub docs: Vec<Bytes>,
    /// The document of the group, if its client saved one: members are groups themselves, and results are read by it.
    pub group: Option<Bytes>,
    /// The name of the run; `None` where a client of Celery began it. What the body begins is a part of that run.
    pub run: Option<String>,
}

/// The end of a join.
#[derive(Clone, Debug)]
pub struct Joined {
    /// Which.
    pub join: Join,
    /// The body's messages; those of its error callbacks if the chord failed.
    pub messages: Vec<Publish>,
    /// States of tasks that will not run.
    pub results: Vec<ResultDoc>,
    /// What remains of the chord.
    pub remains: Remains,
}

/// What remains of a chord whose join has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remains {
    /// Seconds that its end is remembered. A chord that ended before all its members did needs longer than [`DONE_S`].
    pub remembered_s: u64,
    /// Seconds that its parts are kept, under [`Join::kept_name`]; `None`: they go.
    pub parts_s: Option<u64>,
}

impl Default for Remains {
    fn default() -> Remains {
        Remains { remembered_s: DONE_S, parts_s: None }
    }
}

/// What a client does with groups and chords; part of a [`ResultClient`](crate::ResultClient).
pub trait ChordClient {
    /// Begins a chord, and forgets an earlier run under the same id. To be called before the first member is published.
    /// `size`: how many members it has; `None` if that is not known yet. `ttl_s`: seconds that an unfinished chord is
    /// kept after the last news of it; `None` keeps it for ever. `run`: a name for this run of it. What is begun under the
    /// same name again was begun by somebody who died, lost his lease or had a copy of the same message; it goes on, since
    /// its members are the same, and may have been counted. `None`: of a name that no other run has.
    fn begin_chord(
        &mut self,
        group_id: &str,
        size: Option<u64>,
        ttl_s: Option<u64>,
        run: Option<&str>,
    ) -> Result<(), Error>;
    /// Says how many members a chord has that has begun without. Members may have ended already, and stay counted; to be
    /// called before the last one is published.
    fn set_chord_size(&mut self, group_id: &str, size: u64, ttl_s: Option<u64>) -> Result<(), Error>;
    /// Says that the chord has one member more, before that one is published. `member`: its id, which counts once however
    /// often it is added.
    fn add_to_chord(&mut self, group_id: &str, ttl_s: Option<u64>, member: Option<&str>) -> Result<(), Error>;
    /// Stores the document of a group.
    fn save_group(&mut self, group_id: &str, doc: &[u8], ttl_s: Option<u64>) -> Result<(), Error>;
    /// The stored document of a group, if any.
    fn group(&mut self, group_id: &str) -> Result<Option<Bytes>, Error>;
    /// Removes the document of a group.
    fn delete_group(&mut self, group_id: &str) -> Result<(), Error>;
    /// Keeps documents under a name of its own for `ttl_s`, for whoever gets a reference to them.
    fn keep(&mut self, name: &str, docs: &[&[u8]], ttl_s: Option<u64>) -> Result<(), Error>;
    /// Up to `count` of what is kept under a name, from the place `first` on; fewer when there are no more. That may be
    /// the parts of a chord ([`Join::kept_name`]). Their time begins anew with `ttl_s`; `None` leaves it as it is.
    fn kept(&mut self, name: &str, first: u64, count: u64, ttl_s: Option<u64>) -> Result<Vec<Bytes>, Error>;
}
