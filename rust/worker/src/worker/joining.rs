//! Chords, as the loop sees them: whose members have all ended, and what becomes of them.
//!
//! The broker keeps the joins that are ours until they are ended, and tells of them again and again: of one that we took
//! over from a dead worker, of one whose settlement was answered to nobody, and of those that are under way here.

use std::collections::{HashMap, HashSet};

use fastworker_broker::{Join, Joined, Parts};
use fastworker_wire::part;

use crate::held::MemberPart;
use crate::report::{Level, Report};
use crate::settle;

use super::Worker;

/// Joins that the main thread sees to at once; their parts are in memory.
const AT_ONCE: usize = 16;
/// So many bytes of parts, and more, need not pass through Python.
const LARGE: usize = 32 * 1024;

/// The joins under way, and those that wait for their turn.
#[derive(Default)]
pub(super) struct Joining {
    known: HashSet<(String, String)>,
    under_way: usize,
    waiting: Vec<Join>,
    /// The results of large chords, and the text that stands for each list.
    large: HashMap<(String, String), (String, Vec<u8>)>,
}

impl Joining {
    pub(super) fn is_idle(&self) -> bool {
        self.known.is_empty()
    }
}

fn name(join: &Join) -> (String, String) {
    (join.group_id.clone(), join.token.clone())
}

impl Worker {
    /// These are ours.
    pub(super) fn join(&mut self, joins: Vec<Join>) {
        let joining = &mut self.joining;
        joining.waiting.extend(joins.into_iter().filter(|join| joining.known.insert(name(join))));
        self.begin_joins();
    }

    fn begin_joins(&mut self) {
        while self.joining.under_way < AT_ONCE
            && let Some(join) = self.joining.waiting.pop()
        {
            self.joining.under_way += 1;
            self.io.read_parts(join);
        }
    }

    pub(super) fn parts_read(&mut self, join: Join, parts: Parts) {
        self.answered();
        let size: usize = parts.docs.iter().map(|doc| doc.len()).sum();
        let results = (size > LARGE && parts.group.is_none()).then(|| part::results(&parts.docs)).flatten();
        let stands_for = results.map(|results| {
            // What nobody writes by chance, since ids of groups are random, and every writer of JSON writes alike.
            let plain = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '-';
            let group: String = join.group_id.chars().filter(plain).collect();
            let text = format!("<{} results of group {group}>", parts.docs.len());
            self.joining.large.insert(name(&join), (text.clone(), results));
            text
        });
        self.reporter.send(Report::Join { join, parts, stands_for });
    }

    /// The main thread has made the messages.
    pub(super) fn joined(&mut self, mut joined: Joined, parts: Vec<MemberPart>) {
        if let Some((stands_for, results)) = self.joining.large.remove(&name(&joined.join)) {
            for publish in &mut joined.messages {
                match part::put_in_place_of(&stands_for, &results, &publish.message) {
                    Ok(Some(message)) => publish.message = message.into(),
                    // It has nothing to do with the results: an immutable body's.
                    Ok(None) => {}
                    Err(error) => self.reporter.log(Level::Critical, format!("a message of ours: {error}")),
                }
            }
        }
        self.io.finish_join(joined, settle::members(parts, self.policy.lifetimes));
    }

    pub(super) fn join_ended(&mut self, join: &Join, is_done: bool) {
        self.answered();
        self.joining.known.remove(&name(join));
        self.joining.under_way -= 1;
        if !is_done {
            let text = format!("the chord of group {} was joined by another worker, or begun anew", join.group_id);
            self.reporter.log(Level::Warning, text);
        }
        self.begin_joins();
    }
}
