//! The joins of one worker: chords whose members have all ended, and what becomes of them.
//!
//! The broker keeps the joins that are ours until they are ended, and tells of them again and again: of one that we took
//! over from a dead worker, of one whose settlement was answered to nobody, and of those that are under way here.

use std::collections::{HashMap, HashSet};

use fastworker_broker::{Broker, Join, Joined, Parts, Settlement, Store};
use fastworker_wire::{Error, part};

use crate::broker_io::BrokerIo;
use crate::report::Report;

/// Joins that the main thread sees to at once; their parts are in memory.
const AT_ONCE: usize = 16;
/// So many bytes of parts, and more, need not pass through Python.
const LARGE: usize = 32 * 1024;

/// The joins under way, and those that wait for their turn.
#[derive(Default)]
pub(crate) struct Joins {
    known: HashSet<(String, String)>,
    under_way: usize,
    waiting: Vec<Join>,
    /// The results of large chords, and the text that stands for each list.
    large: HashMap<(String, String), (String, Vec<u8>)>,
}

fn name(join: &Join) -> (String, String) {
    (join.group_id.clone(), join.token.clone())
}

impl Joins {
    pub(crate) fn is_idle(&self) -> bool {
        self.known.is_empty()
    }

    /// These are ours.
    pub(crate) fn take<B: Broker + 'static, S: Store + 'static>(&mut self, joins: Vec<Join>, io: &BrokerIo<B, S>) {
        self.waiting.extend(joins.into_iter().filter(|join| self.known.insert(name(join))));
        self.begin(io);
    }

    fn begin<B: Broker + 'static, S: Store + 'static>(&mut self, io: &BrokerIo<B, S>) {
        while self.under_way < AT_ONCE
            && let Some(join) = self.waiting.pop()
        {
            self.under_way += 1;
            io.read_parts(join);
        }
    }

    /// What the main thread is asked to make the messages of.
    pub(crate) fn parts_read(&mut self, join: Join, parts: Parts) -> Report {
        let size: usize = parts.docs.iter().map(|doc| doc.len()).sum();
        let results = (size > LARGE && parts.group.is_none()).then(|| part::results(&parts.docs)).flatten();
        let stands_for = results.map(|results| {
            // What nobody writes by chance, since ids of groups are random, and every writer of JSON writes alike.
            let plain = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '-';
            let group: String = join.group_id.chars().filter(plain).collect();
            let text = format!("<{} results of group {group}>", parts.docs.len());
            self.large.insert(name(&join), (text.clone(), results));
            text
        });
        Report::Join { join, parts, stands_for }
    }

    /// The main thread has made the messages. `members`: of other chords, that end with this one.
    ///
    /// # Errors
    /// A message of ours cannot be read, and stays as it is.
    pub(crate) fn made<B: Broker + 'static, S: Store + 'static>(
        &mut self,
        mut joined: Joined,
        members: Vec<Settlement>,
        io: &BrokerIo<B, S>,
    ) -> Result<(), Error> {
        let mut read = Ok(());
        if let Some((stands_for, results)) = self.large.remove(&name(&joined.join)) {
            for publish in &mut joined.messages {
                match part::put_in_place_of(&stands_for, &results, &publish.message) {
                    Ok(Some(message)) => publish.message = message.into(),
                    // It has nothing to do with the results: an immutable body's.
                    Ok(None) => {}
                    Err(error) => read = Err(error),
                }
            }
        }
        io.finish_join(joined, members);
        read
    }

    /// This one is over.
    pub(crate) fn ended<B: Broker + 'static, S: Store + 'static>(&mut self, join: &Join, io: &BrokerIo<B, S>) {
        self.known.remove(&name(join));
        self.under_way -= 1;
        self.begin(io);
    }
}
