//! Native delayed delivery, as Celery 5.5 has it: 28 queues, each of which keeps a message for a power of two seconds and
//! passes it on to the next. Which of them keep it is written in the routing key, as bits. Source: kombu's
//! `transport/native_delayed_delivery.py`; celery-contract 5.3.
//!
//! Celery delays what is published to a topic exchange. A worker of ours parks any message there: the last exchange is
//! bound straight to the message's queue, by a word of ours that no pattern of Celery's matches.

use super::steps::{Step, arguments, long, number};

const LEVELS: usize = 28;
/// Beyond this a message is parked again when it comes back.
const MOST_S: i64 = (1 << LEVELS) - 1;
const DELIVERY: &str = "celery_delayed_delivery";

/// The exchange that delayed messages are published to.
pub(super) fn entrance() -> String {
    level(LEVELS - 1)
}

fn level(number: usize) -> String {
    format!("celery_delayed_{number}")
}

/// All queues, exchanges and bindings. `queue_type`: `quorum`, or `classic`.
pub(super) fn steps(queue_type: &str) -> Vec<Step> {
    let exchange =
        |name: String| Step::Exchange { name, kind: "topic".into(), is_durable: true, is_auto_delete: false };
    let mut steps = vec![exchange(DELIVERY.into())];
    for at in 0..LEVELS {
        let next = if at == 0 { DELIVERY.to_owned() } else { level(at - 1) };
        let mut table = arguments([
            ("x-queue-type", long(queue_type)),
            ("x-overflow", long("reject-publish")),
            ("x-message-ttl", number(1_000 << at)),
            ("x-dead-letter-exchange", long(&next)),
        ]);
        if queue_type == "quorum" {
            table.insert("x-dead-letter-strategy".into(), long("at-least-once"));
        }
        let before = "*.".repeat(LEVELS - 1 - at);
        steps.extend([
            exchange(level(at)),
            Step::Queue { name: level(at), life: super::steps::Life::Durable, arguments: table },
            Step::Bind { queue: level(at), exchange: level(at), key: format!("{before}1.#") },
            Step::BindExchange { destination: next, source: level(at), key: format!("{before}0.#") },
        ]);
    }
    steps
}

/// Leads what was parked for this queue back to it.
pub(super) fn way_back(queue: &str) -> Step {
    Step::Bind { queue: queue.to_owned(), exchange: DELIVERY.into(), key: format!("#.{}", word(queue)) }
}

/// Keeps a message for so many seconds, and then leads it to the queue.
pub(super) fn routing_key(seconds: i64, queue: &str) -> String {
    let seconds = seconds.clamp(0, MOST_S);
    let bits = (0..LEVELS).rev().map(|at| if seconds >> at & 1 == 1 { "1." } else { "0." });
    bits.chain([word(queue).as_str()]).collect()
}

/// A queue's name as one word of a routing key.
fn word(queue: &str) -> String {
    format!("fastworker:{}", queue.replace('%', "%25").replace('.', "%2E").replace('*', "%2A").replace('#', "%23"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queues_are_celerys() {
        let steps = steps("quorum");
        assert_eq!(steps.len(), 1 + 4 * LEVELS);
        let Step::Queue { name, arguments, .. } = &steps[4 * 27 + 2] else { panic!("{:?}", steps[4 * 27 + 2]) };
        assert_eq!(name, "celery_delayed_27");
        assert_eq!(arguments.inner()["x-message-ttl"], number(134_217_728_000));
        assert!(steps.contains(&Step::Bind {
            queue: "celery_delayed_26".into(),
            exchange: "celery_delayed_26".into(),
            key: "*.1.#".into(),
        }));
    }

    #[test]
    fn a_routing_key_says_the_seconds_in_bits() {
        let key = routing_key(5, "a.b");
        assert_eq!(key, format!("{}1.0.1.fastworker:a%2Eb", "0.".repeat(25)));
        assert_eq!(routing_key(i64::MAX, "q"), format!("{}fastworker:q", "1.".repeat(28)));
    }
}
