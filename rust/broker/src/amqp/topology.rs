//! Queues as the application declares them (`task_queues`), with their exchanges, bindings and arguments.
//!
//! It comes as one transport option, JSON that Python writes:
//!
//! ```text
//! {"queues": {"mail": {"exchange": "mail", "type": "direct", "routing_key": "mail", "durable": true,
//!                      "auto_delete": false, "arguments": {"x-max-priority": 10},
//!                      "consumer_arguments": {"x-priority": 1}}, …},
//!  "missing": {"x-queue-type": "quorum"}, "missing_type": "topic"}
//! ```

use std::collections::BTreeMap;

use lapin::types::{AMQPValue, FieldTable};

use super::steps::{Life, Step};
use super::table;
use crate::Error;

/// What is known of queues. One that is not listed is bound to an exchange of its name, as in Celery.
#[derive(Clone, Debug, Default)]
pub(super) struct Topology {
    queues: BTreeMap<String, Vec<Step>>,
    /// Arguments of queues that are not listed.
    missing: FieldTable,
    /// Type of their exchanges; empty for direct.
    missing_type: String,
    dead_lettered: std::collections::BTreeSet<String>,
    /// With which consumers are started.
    consumers: BTreeMap<String, FieldTable>,
}

impl Topology {
    /// # Errors
    /// [`Error::Url`] for what Python does not write.
    pub(super) fn parse(json: &str) -> Result<Topology, Error> {
        let wrong = |what: &str| Error::Url(format!("transport option queues={json:?}: {what}"));
        let whole = table::from_json(json.as_bytes()).map_err(|error| wrong(&error.to_string()))?;
        let missing_type = whole.inner().get("missing_type").and_then(table::text).unwrap_or_default();
        let mut topology = Topology { missing: sub(&whole, "missing"), missing_type, ..Topology::default() };
        for (name, entry) in sub(&whole, "queues").inner() {
            let AMQPValue::FieldTable(entry) = entry else { return Err(wrong("a queue is no object")) };
            let name = name.as_str();
            let arguments = sub(entry, "arguments");
            if arguments.contains_key("x-dead-letter-exchange") {
                topology.dead_lettered.insert(name.to_owned());
            }
            let consumer = sub(entry, "consumer_arguments");
            if !consumer.inner().is_empty() {
                topology.consumers.insert(name.to_owned(), consumer);
            }
            let field = |key: &str| entry.inner().get(key).and_then(table::text).unwrap_or_default();
            let flag = |key: &str| entry.inner().get(key).and_then(AMQPValue::as_bool);
            let life = Life::Own {
                is_durable: flag("durable").unwrap_or(true),
                is_auto_delete: flag("auto_delete").unwrap_or(false),
            };
            let steps = steps(name, &field("exchange"), &field("type"), &field("routing_key"), life, arguments);
            topology.queues.insert(name.to_owned(), steps);
        }
        Ok(topology)
    }

    /// How the queue is declared.
    pub(super) fn steps(&self, queue: &str) -> Vec<Step> {
        let known = self.queues.get(queue).cloned();
        known.unwrap_or_else(|| steps(queue, queue, &self.missing_type, queue, Life::Durable, self.missing.clone()))
    }

    /// Whether any queue is known to be a quorum queue, or those are that nobody has described.
    pub(super) fn has_quorum(&self) -> bool {
        self.queues.values().flatten().any(Step::is_quorum) || self.steps("").iter().any(Step::is_quorum)
    }

    /// The arguments of a consumer of this queue.
    pub(super) fn consumer_arguments(&self, queue: &str) -> FieldTable {
        self.consumers.get(queue).cloned().unwrap_or_default()
    }

    /// Whether the user has said where its dead letters go.
    pub(super) fn has_dead_letter_exchange(&self, queue: &str) -> bool {
        self.dead_lettered.contains(queue)
            || !self.queues.contains_key(queue) && self.missing.contains_key("x-dead-letter-exchange")
    }
}

fn steps(queue: &str, exchange: &str, kind: &str, key: &str, life: Life, arguments: FieldTable) -> Vec<Step> {
    let name = queue.to_owned();
    let declared = Step::Queue { name: name.clone(), life, arguments };
    // Every queue is bound to the default exchange by its name.
    if exchange.is_empty() {
        return vec![declared];
    }
    let kind = if kind.is_empty() { "direct" } else { kind };
    vec![
        Step::Exchange { name: exchange.to_owned(), kind: kind.to_owned(), is_durable: true, is_auto_delete: false },
        declared,
        Step::Bind { queue: name, exchange: exchange.to_owned(), key: key.to_owned() },
    ]
}

fn sub(table: &FieldTable, name: &str) -> FieldTable {
    match table.inner().get(name) {
        Some(AMQPValue::FieldTable(found)) => found.clone(),
        _ => FieldTable::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_is_not_listed_is_bound_to_an_exchange_of_its_name() {
        let topology = Topology::parse(r#"{"missing": {"x-queue-type": "quorum"}}"#).expect("a topology");
        let [Step::Exchange { kind, .. }, Step::Queue { arguments, .. }, Step::Bind { key, .. }] =
            &topology.steps("q")[..]
        else {
            panic!("{:?}", topology.steps("q"))
        };
        assert_eq!((kind.as_str(), key.as_str()), ("direct", "q"));
        assert!(arguments.contains_key("x-queue-type"));
        let topology = Topology::parse(r#"{"missing": {}, "missing_type": "topic"}"#).expect("a topology");
        assert!(matches!(&topology.steps("q")[0], Step::Exchange { kind, .. } if kind == "topic"));
    }

    #[test]
    fn a_listed_queue_is_declared_as_it_is_listed() {
        let json = r#"{"queues": {"q": {"exchange": "e", "type": "topic", "routing_key": "a.#", "durable": false,
            "arguments": {"x-dead-letter-exchange": "dlx"}, "consumer_arguments": {"x-priority": 3}}, "plain": {"exchange": ""}}, "missing": {}}"#;
        let topology = Topology::parse(json).expect("a topology");
        assert_eq!(topology.steps("plain").len(), 1);
        assert!(topology.has_dead_letter_exchange("q") && !topology.has_dead_letter_exchange("other"));
        assert!(topology.consumer_arguments("q").contains_key("x-priority"));
        assert_eq!(topology.consumer_arguments("plain"), FieldTable::default());
        let steps = topology.steps("q");
        let bind = Step::Bind { queue: "q".into(), exchange: "e".into(), key: "a.#".into() };
        assert_eq!(steps[2], bind);
        assert!(matches!(&steps[1], Step::Queue { life, .. } if life.flags() == (false, false, false)));
    }

    #[test]
    fn what_is_no_topology_is_refused() {
        assert!(Topology::parse("[]").is_err() && Topology::parse(r#"{"queues": {"q": 1}}"#).is_err());
    }
}
