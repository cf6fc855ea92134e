//! Groups and chords of a room: the rules of `redis/lua/part_function.lua`.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;

use crate::{Join, Part, Parts, Remains};

/// When something ends that is kept for `ttl_s`. Celery's `result_expires = 0` keeps for ever.
fn end_of(ttl_s: Option<u64>, now_ms: i64) -> Option<i64> {
    let ttl_s = ttl_s.filter(|ttl_s| *ttl_s > 0)?;
    Some(now_ms.saturating_add(i64::try_from(ttl_s).unwrap_or(i64::MAX).saturating_mul(1_000)))
}

fn is_over(expires_ms: Option<i64>, now_ms: i64) -> bool {
    expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms)
}

struct Group {
    doc: Bytes,
    expires_ms: Option<i64>,
}

/// One chord.
#[derive(Default)]
struct Chord {
    size: Option<u64>,
    /// Members that were added later.
    more: u64,
    /// By place and task id.
    parts: BTreeMap<(i64, String), Bytes>,
    /// Of the parts, those that failed where that may end the chord.
    failures: u64,
    claim: Claim,
    run: Option<String>,
    /// Which members were added.
    added: BTreeSet<String>,
    expires_ms: Option<i64>,
}

#[derive(Default, PartialEq, Eq)]
enum Claim {
    /// Members are still to end.
    #[default]
    Open,
    /// The join of this token is to be carried out.
    By(String),
    Done,
}

/// All of a room.
#[derive(Default)]
pub(super) struct Chords {
    groups: HashMap<String, Group>,
    chords: BTreeMap<String, Chord>,
}

impl Chords {
    /// Begins a chord, of `size` members where that is known; an earlier run of it is forgotten.
    pub(super) fn begin(
        &mut self,
        group_id: &str,
        size: Option<u64>,
        ttl_s: Option<u64>,
        run: Option<&str>,
        now_ms: i64,
    ) {
        self.sweep(now_ms);
        if run.is_some() && self.chords.get(group_id).is_some_and(|chord| chord.run.as_deref() == run) {
            return;
        }
        let (run, expires_ms) = (run.map(str::to_owned), end_of(ttl_s, now_ms));
        let chord = Chord { size, run, expires_ms, ..Chord::default() };
        self.chords.insert(group_id.to_owned(), chord);
    }

    /// Says how many members a chord has that has begun; what was counted of it stays.
    pub(super) fn set_size(&mut self, group_id: &str, size: u64, ttl_s: Option<u64>, now_ms: i64) {
        let chord = self.chords.entry(group_id.to_owned()).or_default();
        chord.size = Some(size);
        if chord.claim == Claim::Open {
            chord.expires_ms = end_of(ttl_s, now_ms);
        }
    }

    /// One more member.
    pub(super) fn add(&mut self, group_id: &str, ttl_s: Option<u64>, member: Option<&str>, now_ms: i64) {
        let chord = self.chords.entry(group_id.to_owned()).or_default();
        if member.is_none_or(|member| chord.added.insert(member.to_owned())) {
            chord.more += 1;
        }
        chord.expires_ms = end_of(ttl_s, now_ms);
    }

    /// Stores the document of a group.
    pub(super) fn save_group(&mut self, group_id: &str, doc: &[u8], ttl_s: Option<u64>, now_ms: i64) {
        self.sweep(now_ms);
        let group = Group { doc: Bytes::copy_from_slice(doc), expires_ms: end_of(ttl_s, now_ms) };
        self.groups.insert(group_id.to_owned(), group);
    }

    /// The document of a group, if there is one that has not expired.
    pub(super) fn group(&self, group_id: &str, now_ms: i64) -> Option<Bytes> {
        self.groups.get(group_id).filter(|group| !is_over(group.expires_ms, now_ms)).map(|group| group.doc.clone())
    }

    /// Removes the document of a group.
    pub(super) fn delete_group(&mut self, group_id: &str) {
        self.groups.remove(group_id);
    }

    /// Counts one member. True for the one that completes its chord, which is then claimed. `is_elsewhere`: the message
    /// lies elsewhere, and so will the join.
    pub(super) fn count(&mut self, part: &Part, is_elsewhere: bool, now_ms: i64) -> bool {
        let chord = self.chords.entry(part.group_id.clone()).or_default();
        if chord.claim == Claim::Done {
            return false;
        }
        let member = (part.index.unwrap_or(i64::MAX), part.task_id.clone());
        if let Entry::Vacant(place) = chord.parts.entry(member) {
            place.insert(part.doc.clone());
            chord.failures += u64::from(part.bears.is_some());
        }
        let ours = Claim::By(part.join().token);
        let has_enough = chord.size.is_some_and(|size| chord.parts.len() as u64 >= size + chord.more)
            || part.bears.is_some_and(|bears| chord.failures > bears);
        let is_complete = has_enough && (chord.claim == Claim::Open || chord.claim == ours);
        if is_complete {
            chord.claim = ours;
            chord.expires_ms = if is_elsewhere { end_of(part.ttl_s, now_ms) } else { None };
        } else if chord.claim == Claim::Open {
            chord.expires_ms = end_of(part.ttl_s, now_ms);
        }
        is_complete
    }

    /// How the members ended.
    pub(super) fn parts(&self, group_id: &str, now_ms: i64) -> Parts {
        let chord = self.chords.get(group_id);
        let docs = chord.map(|chord| chord.parts.values().cloned().collect()).unwrap_or_default();
        let run = chord.and_then(|chord| chord.run.clone());
        Parts { docs, group: self.group(group_id, now_ms), run }
    }

    /// Keeps documents as the parts of a chord that is over.
    pub(super) fn keep(&mut self, name: &str, docs: &[&[u8]], ttl_s: Option<u64>, now_ms: i64) {
        self.sweep(now_ms);
        let docs = (0..).zip(docs).map(|(place, doc)| ((place, String::new()), Bytes::copy_from_slice(doc)));
        let (parts, expires_ms) = (docs.collect(), end_of(ttl_s, now_ms));
        self.chords.insert(name.to_owned(), Chord { parts, claim: Claim::Done, expires_ms, ..Chord::default() });
    }

    /// Up to `count` of what is kept under a name, from the place `first` on. Its time begins anew with `ttl_s`.
    pub(super) fn kept(&mut self, name: &str, first: u64, count: u64, ttl_s: Option<u64>, now_ms: i64) -> Vec<Bytes> {
        self.sweep(now_ms);
        let Some(chord) = self.chords.get_mut(name) else { return Vec::new() };
        if ttl_s.is_some() {
            chord.expires_ms = end_of(ttl_s, now_ms);
        }
        chord.parts.values().skip(first as usize).take(count as usize).cloned().collect()
    }

    fn ours(&mut self, join: &Join) -> Option<&mut Chord> {
        let claim = Claim::By(join.token.clone());
        self.chords.get_mut(&join.group_id).filter(|chord| chord.claim == claim)
    }

    /// Whether nothing speaks against ending the join: its chord is claimed by it, or is kept elsewhere.
    pub(super) fn lets_end(&mut self, join: &Join) -> bool {
        !self.chords.contains_key(&join.group_id) || self.ours(join).is_some()
    }

    /// Makes the claim of a join last. False: the chord is done, or somebody else's.
    pub(super) fn hold(&mut self, join: &Join) -> bool {
        if let Some(chord) = self.ours(join) {
            chord.expires_ms = None;
        }
        self.lets_end(join)
    }

    /// Ends the chord of a join; what remains remembers that, for a while. Parts that are kept move to a chord of another
    /// name.
    pub(super) fn forget(&mut self, join: &Join, remains: Remains, now_ms: i64) {
        let Some(chord) = self.ours(join) else { return };
        let expires_ms = end_of(Some(remains.remembered_s), now_ms);
        let (run, added) = (chord.run.clone(), std::mem::take(&mut chord.added));
        let over = Chord { claim: Claim::Done, run, added, expires_ms, ..Chord::default() };
        let ended = std::mem::replace(chord, over);
        if remains.parts_s.is_some() {
            let expires_ms = end_of(remains.parts_s, now_ms);
            let kept = Chord { claim: Claim::Done, expires_ms, ..ended };
            self.chords.insert(join.kept_name(), kept);
        }
    }

    fn sweep(&mut self, now_ms: i64) {
        self.groups.retain(|_, group| !is_over(group.expires_ms, now_ms));
        self.chords.retain(|_, chord| !is_over(chord.expires_ms, now_ms));
    }
}
