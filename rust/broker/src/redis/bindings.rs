//! kombu's binding tables: which queues an exchange leads to.

use std::collections::HashSet;

use redis::Value;

use super::failure;
use super::keys::Keys;

/// The queues declared on one connection; each is declared once, in the write that first publishes to it, as Celery's
/// own client does. An auto-created queue has an exchange of its own name.
#[derive(Default)]
pub(super) struct Declared(HashSet<String>);

impl Declared {
    /// The two sets and the member to add to both, the first time that this queue is asked for.
    pub(super) fn first(&mut self, keys: &Keys, queue: &str) -> Option<([String; 2], String)> {
        if self.0.contains(queue) {
            return None;
        }
        self.0.insert(queue.to_owned());
        Some((keys.bindings(queue), keys.binding(queue, "", queue)))
    }

    /// Declares all again: the connection is new, and so may be the server's memory.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

/// The queues that a message goes back to, as kombu's `_lookup`: the routing key itself on the default exchange, else
/// every queue whose binding matches. `table`: the reply to SMEMBERS of the exchange's table.
pub(super) fn queues(keys: &Keys, table: Value, routing_key: &str) -> Vec<String> {
    let rows = failure::texts(table).unwrap_or_default();
    rows.iter()
        .filter_map(|row| {
            let mut columns = row.split(keys.separator());
            let (bound, _pattern, queue) = (columns.next()?, columns.next()?, columns.next()?);
            matches(bound, routing_key).then(|| queue.to_owned())
        })
        .collect()
}

/// AMQP's topic rule: `*` is one word, `#` any number of them. A key without either matches itself alone.
fn matches(bound: &str, routing_key: &str) -> bool {
    fn words(bound: &[&str], key: &[&str]) -> bool {
        match (bound.split_first(), key.split_first()) {
            (None, None) => true,
            (Some((&"#", rest)), _) => words(rest, key) || (!key.is_empty() && words(bound, &key[1..])),
            (Some((&"*", rest)), Some((_, key_rest))) => words(rest, key_rest),
            (Some((word, rest)), Some((key_word, key_rest))) => word == key_word && words(rest, key_rest),
            _ => false,
        }
    }
    bound == routing_key || words(&bound.split('.').collect::<Vec<_>>(), &routing_key.split('.').collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_match_by_words() {
        for (bound, key, expected) in [
            ("a.b", "a.b", true),
            ("a.*", "a.b", true),
            ("a.*", "a.b.c", false),
            ("a.#", "a", true),
            ("#.c", "a.b.c", true),
            ("", "", true),
            ("a", "b", false),
        ] {
            assert_eq!(matches(bound, key), expected, "{bound} {key}");
        }
    }
}
