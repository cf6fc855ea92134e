//! The names of leases, and the record of those that we hold.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write;

use crate::Tag;

/// A fetch takes at most so many messages; keeps scripts short for the server's other clients.
pub(super) const FETCH_MAX: usize = 1000;
/// Bits of a [`Tag`] that count within a fetch.
const PLACE_BITS: u32 = 20;

/// Where a leased message came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    /// Index of its queue.
    pub(super) queue: u16,
    /// The priority step of its list.
    pub(super) step: u8,
}

/// One worker's identity and what it holds. Bounded by its prefetch.
pub(super) struct Held {
    /// 16 hexadecimal digits, drawn at connect.
    pub(super) incarnation: String,
    leases: RefCell<HashMap<Tag, Lease>>,
}

impl Held {
    pub(super) fn new(incarnation: String) -> Self {
        Self { incarnation, leases: RefCell::default() }
    }

    pub(super) fn insert(&self, tag: Tag, lease: Lease) {
        self.leases.borrow_mut().insert(tag, lease);
    }

    pub(super) fn get(&self, tag: Tag) -> Option<Lease> {
        self.leases.borrow().get(&tag).copied()
    }

    pub(super) fn remove(&self, tag: Tag) {
        self.leases.borrow_mut().remove(&tag);
    }

    /// All that we hold, in the order of fetching.
    pub(super) fn tags(&self) -> Vec<(Tag, Lease)> {
        let mut tags: Vec<_> = self.leases.borrow().iter().map(|(tag, lease)| (*tag, *lease)).collect();
        tags.sort_unstable_by_key(|(tag, _)| *tag);
        tags
    }

    /// The name of a lease on the server.
    pub(super) fn name(&self, tag: Tag, step: u8) -> String {
        let mut name = self.prefix(tag.0 >> PLACE_BITS);
        let place = tag.0 & ((1 << PLACE_BITS) - 1);
        write!(name, "{place}:{step}").expect("a String takes every character");
        name
    }

    /// What all names of one fetch begin with.
    pub(super) fn prefix(&self, fetch: u64) -> String {
        let mut name = String::with_capacity(40);
        write!(name, "fw:{}:{fetch}:", self.incarnation).expect("a String takes every character");
        name
    }

    /// The name of a message put aside until it is due; scripts read list and tail length from it. Names of one id
    /// stand together in the order of bytes.
    pub(super) fn parked_name(&self, tag: Tag, id: &str, tail_len: usize, list: &str) -> String {
        let (fetch, place) = (tag.0 >> PLACE_BITS, tag.0 & ((1 << PLACE_BITS) - 1));
        format!("{}{}:{fetch}:{place}:{tail_len}:{list}", parked_prefix(id), self.incarnation)
    }
}

/// The tag of the `place`-th message of a fetch.
pub(super) fn tag(fetch: u64, place: usize) -> Tag {
    Tag(fetch << PLACE_BITS | place as u64)
}

/// A lease's name, read by somebody else.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name<'a> {
    pub(super) incarnation: &'a str,
    /// Fetch and place: the order in which its holder got its messages.
    pub(super) order: (u64, u64),
    pub(super) step: u8,
}

/// What all names of parked messages with this id begin with, and those of no other id.
pub(super) fn parked_prefix(id: &str) -> String {
    format!("fwp:{}:{id}:", id.len())
}

/// The list that a parked message goes back to; `None` for a name that is not one of a parked message.
pub(super) fn parked_list(name: &str) -> Option<&str> {
    let (id_len, rest) = name.strip_prefix("fwp:")?.split_once(':')?;
    let rest = rest.get(id_len.parse().ok()?..)?.strip_prefix(':')?;
    rest.splitn(5, ':').nth(4)
}

/// Reads a name of ours; `None` for kombu's UUIDs and for parked messages.
pub(super) fn parse_name(name: &str) -> Option<Name<'_>> {
    let mut parts = name.strip_prefix("fw:")?.split(':');
    let incarnation = parts.next()?;
    let order = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let step = parts.next()?.parse().ok().filter(|step| *step <= 9)?;
    parts.next().is_none().then_some(Name { incarnation, order, step })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back() {
        let held = Held::new("00ff00ff00ff00ff".into());
        let name = held.name(tag(7, 1000), 3);
        assert_eq!(name, "fw:00ff00ff00ff00ff:7:1000:3");
        let read = parse_name(&name).unwrap();
        assert_eq!((read.incarnation, read.order, read.step), ("00ff00ff00ff00ff", (7, 1000), 3));
    }

    #[test]
    fn a_parked_name_tells_its_list_whatever_the_id() {
        let held = Held::new("00ff00ff00ff00ff".into());
        for id in ["7", "", "a:b:3", "größe", "12:"] {
            let name = held.parked_name(tag(7, 3), id, 12, "app:q:\u{6}\u{16}3");
            assert_eq!(parked_list(&name), Some("app:q:\u{6}\u{16}3"), "{name}");
            assert!(name.starts_with(&parked_prefix(id)));
        }
        assert!(!held.parked_name(tag(7, 3), "a:b", 12, "q").starts_with(&parked_prefix("a")));
        for name in ["fw:a:1:1:3", "fwp:", "fwp:9:short:a:1:1:12:q", "fwp:1:a:i:1:1:12"] {
            assert_eq!(parked_list(name), None, "{name}");
        }
    }

    #[test]
    fn other_names_are_not_ours() {
        for name in ["11e36773-0000-4000-8000-000000000000", "fwp:5:a:1:1:12:q", "fw:a:1:1", "fw:a:1:1:3:x"] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }
}
