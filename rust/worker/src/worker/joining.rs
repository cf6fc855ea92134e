//! Chords, as the loop sees them: whose members have all ended, and what becomes of them.

use fastworker_broker::{Join, Joined, Parts};

use crate::held::MemberPart;
use crate::report::Level;
use crate::settle;

use super::Worker;

impl Worker {
    /// These are ours.
    pub(super) fn join(&mut self, joins: Vec<Join>) {
        self.joins.take(joins, &self.io);
    }

    pub(super) fn parts_read(&mut self, join: Join, parts: Parts) {
        self.answered();
        self.reporter.send(self.joins.parts_read(join, parts));
    }

    /// The main thread has made the messages.
    pub(super) fn joined(&mut self, joined: Joined, parts: Vec<MemberPart>) {
        let members = settle::members(parts, self.policy.lifetimes);
        if let Err(error) = self.joins.made(joined, members, &self.io) {
            self.reporter.log(Level::Critical, format!("a message of ours: {error}"));
        }
    }

    pub(super) fn join_ended(&mut self, join: &Join, is_done: bool) {
        self.answered();
        if !is_done {
            let text = format!("the chord of group {} was joined by another worker, or begun anew", join.group_id);
            self.reporter.log(Level::Warning, text);
        }
        self.joins.ended(join, &self.io);
    }
}
