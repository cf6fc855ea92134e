//! Random workflows: what a client publishes, as a tree.

use std::fmt;

use fastworker_engine::sim::Rng;

/// A workflow, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// A task, by what it does.
    Task(Deed),
    /// One after the other.
    Chain(Vec<Flow>),
    /// All of the first, then the second.
    Chord(Vec<Flow>, Box<Flow>),
}

/// How a task ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Succeed,
    Fail,
    /// Is published again by itself, twice, and succeeds then.
    Retry,
    /// The same, and fails then.
    GiveUp,
    /// Raises `Reject`: a dead letter.
    Reject,
    /// Raises `Ignore`.
    Ignore,
    /// Nobody has registered it: a dead letter.
    Unknown,
    Expire,
    Revoke,
    /// Runs over its hard time limit.
    Limit,
    /// Kills its process each time: a dead letter after the last try.
    Crash,
    /// Adds a member to its chord, and succeeds.
    Grow,
    /// Is replaced by a workflow.
    Replace(Box<Flow>),
}

impl Flow {
    /// A workflow of up to `depth` levels.
    pub(super) fn random(chance: &mut Rng, depth: u64) -> Flow {
        any(chance, depth, false)
    }

    /// What it is without one of its parts, or with a plain task in the place of one.
    pub(super) fn smaller(&self) -> Vec<Flow> {
        let mut found = Vec::new();
        let (parts, body): (&[Flow], Option<&Flow>) = match self {
            Flow::Task(Deed::Succeed) => return found,
            Flow::Task(deed) => {
                found.push(Flow::Task(Deed::Succeed));
                if let Deed::Replace(by) = deed {
                    found.push((**by).clone());
                    let replaced = |less| Flow::Task(Deed::Replace(Box::new(less)));
                    found.extend(by.smaller().into_iter().map(replaced));
                }
                return found;
            }
            Flow::Chain(parts) => (parts, None),
            Flow::Chord(header, body) => (header, Some(body)),
        };
        let whole = |parts: Vec<Flow>, body: Option<Flow>| match body {
            Some(body) => Flow::Chord(parts, Box::new(body)),
            None => Flow::Chain(parts),
        };
        found.push(Flow::Task(Deed::Succeed));
        found.extend(parts.iter().chain(body).cloned());
        for at in 0..parts.len() {
            if parts.len() > 1 {
                let mut fewer = parts.to_vec();
                fewer.remove(at);
                found.push(whole(fewer, body.cloned()));
            }
            for less in parts[at].smaller() {
                let mut changed = parts.to_vec();
                changed[at] = less;
                found.push(whole(changed, body.cloned()));
            }
        }
        found.extend(
            body.map(Flow::smaller).unwrap_or_default().into_iter().map(|less| whole(parts.to_vec(), Some(less))),
        );
        found
    }
}

fn any(chance: &mut Rng, depth: u64, is_member: bool) -> Flow {
    if depth == 0 || chance.chance(15) {
        return Flow::Task(deed(chance, depth, is_member));
    }
    let part = |chance: &mut Rng, is_member| {
        let depth = chance.range(0, depth - 1);
        any(chance, depth, is_member)
    };
    if chance.chance(35) {
        let size = chance.range(1, 3);
        return Flow::Chain((0..size).map(|_| part(chance, false)).collect());
    }
    let size = chance.pick(&[0, 1, 2, 2, 3, 4]);
    let header = (0..size).map(|_| part(chance, true)).collect();
    Flow::Chord(header, Box::new(part(chance, false)))
}

fn deed(chance: &mut Rng, depth: u64, is_member: bool) -> Deed {
    match chance.range(0, 99) {
        0..=2 => Deed::Fail,
        3..=8 => Deed::Retry,
        9 => Deed::Reject,
        10 => Deed::Unknown,
        11 => Deed::Expire,
        12 => Deed::Revoke,
        13 => Deed::Limit,
        14 => Deed::Crash,
        // Of others nobody is told the end, as in Celery.
        15 if is_member => Deed::Ignore,
        16..=20 if is_member => Deed::Grow,
        27..=29 => Deed::GiveUp,
        21..=26 => Deed::Replace(Box::new(any(chance, depth.min(1), false))),
        _ => Deed::Succeed,
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |parts: &[Flow]| parts.iter().map(Flow::to_string).collect::<Vec<_>>().join(", ");
        match self {
            Flow::Task(Deed::Replace(by)) => write!(out, "replaced({by})"),
            Flow::Task(deed) => write!(out, "{}", format!("{deed:?}").to_lowercase()),
            Flow::Chain(parts) => write!(out, "chain({})", list(parts)),
            Flow::Chord(header, body) => write!(out, "chord([{}], {body})", list(header)),
        }
    }
}
