//! Native delayed delivery, as Celery 5.5 has it: 28 queues, each of which keeps a message for a power of two seconds and
//! passes it on to the next. Which of them keep it is written in the routing key, as bits. Source: kombu's
//! `transport/native_delayed_delivery.py`; celery-contract 5.3.
//!
//! A message needs the queues of the bits that are set, and enters at the highest of them: an hour takes a dozen exchanges
//! and half as many queues, where all that Celery declares is 113 declarations, each of which the server writes to its disk.
//! What is missing is declared when a message needs it, and means nothing to others: Celery's clients enter at the top.
//!
//! Celery delays what is published to a topic exchange. A worker of ours parks any message there: the last exchange is
//! bound straight to the message's queue, by a word of ours that no pattern of Celery's matches.

use super::steps::{Step, arguments, long, number};

const LEVELS: usize = 28;
/// Beyond this a message is parked again when it comes back.
const MOST_S: i64 = (1 << LEVELS) - 1;
const DELIVERY: &str = "celery_delayed_delivery";

/// The exchange that a message is published to which waits for so many seconds.
pub(super) fn entrance(seconds: i64) -> String {
    level(highest(seconds))
}

/// The longest wait that it needs, as a power of two.
fn highest(seconds: i64) -> usize {
    seconds.clamp(1, MOST_S).ilog2() as usize
}

fn level(number: usize) -> String {
    format!("celery_delayed_{number}")
}

/// The queues, exchanges and bindings that a message needs which waits for so many seconds, as Celery declares them.
/// `queue_type`: `quorum`, or `classic`.
pub(super) fn steps(queue_type: &str, seconds: i64) -> Vec<Step> {
    let seconds = seconds.clamp(0, MOST_S);
    let exchange =
        |name: String| Step::Exchange { name, kind: "topic".into(), is_durable: true, is_auto_delete: false };
    let mut steps = vec![exchange(DELIVERY.into())];
    for at in 0..=highest(seconds) {
        let next = if at == 0 { DELIVERY.to_owned() } else { level(at - 1) };
        let before = "*.".repeat(LEVELS - 1 - at);
        steps.extend([
            exchange(level(at)),
            Step::BindExchange { destination: next.clone(), source: level(at), key: format!("{before}0.#") },
        ]);
        if seconds >> at & 1 == 0 {
            continue;
        }
        let mut table = arguments([
            ("x-queue-type", long(queue_type)),
            ("x-overflow", long("reject-publish")),
            ("x-message-ttl", number(1_000 << at)),
            ("x-dead-letter-exchange", long(&next)),
        ]);
        if queue_type == "quorum" {
            table.insert("x-dead-letter-strategy".into(), long("at-least-once"));
        }
        steps.extend([
            Step::Queue { name: level(at), life: super::steps::Life::Durable, arguments: table },
            Step::Bind { queue: level(at), exchange: level(at), key: format!("{before}1.#") },
        ]);
    }
    steps
}

/// Leads what was parked for this queue back to it.
pub(super) fn way_back(queue: &str) -> Step {
    Step::Bind { queue: queue.to_owned(), exchange: DELIVERY.into(), key: format!("#.{}", word(queue)) }
}

/// Leads what Celery's clients delay back to where it was meant to go, given how queues are declared: by kombu's patterns.
pub(super) fn ways_on(declared: &[Step]) -> Vec<Step> {
    let kind_of = |sought: &str| {
        declared.iter().find_map(|step| match step {
            Step::Exchange { name, kind, .. } if name == sought => Some(kind.as_str()),
            _ => None,
        })
    };
    let mut ways = Vec::new();
    for step in declared {
        let Step::Bind { queue, exchange, key } = step else { continue };
        if kind_of(exchange).is_none_or(|kind| kind == "direct") {
            continue;
        }
        let key = if key.starts_with('#') { key.clone() } else { format!("#.{key}") };
        ways.push(Step::BindExchange { destination: exchange.clone(), source: DELIVERY.into(), key: key.clone() });
        ways.push(Step::Bind { queue: queue.clone(), exchange: exchange.clone(), key });
    }
    ways
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
        let steps = steps("quorum", i64::MAX);
        assert_eq!(steps.len(), 1 + 4 * LEVELS);
        let Step::Queue { name, arguments, .. } = &steps[4 * 27 + 3] else { panic!("{:?}", steps[4 * 27 + 3]) };
        assert_eq!(name, "celery_delayed_27");
        assert_eq!(arguments.inner()["x-message-ttl"], number(134_217_728_000));
        assert!(steps.contains(&Step::Bind {
            queue: "celery_delayed_26".into(),
            exchange: "celery_delayed_26".into(),
            key: "*.1.#".into(),
        }));
    }

    #[test]
    fn a_message_needs_the_queues_of_its_bits_and_nothing_above_the_highest() {
        let of = |seconds| {
            let (queues, others): (Vec<Step>, Vec<Step>) =
                steps("quorum", seconds).into_iter().partition(|step| matches!(step, Step::Queue { .. }));
            let names: Vec<String> = queues.iter().map(|queue| queue.subject().to_owned()).collect();
            (names.join(" "), others.len(), entrance(seconds))
        };
        assert_eq!(of(0), (String::new(), 3, "celery_delayed_0".to_owned()));
        assert_eq!(of(1), ("celery_delayed_0".to_owned(), 4, "celery_delayed_0".to_owned()));
        // 100 is 64 + 32 + 4: 3 queues and 18 other declarations.
        let of_100 = "celery_delayed_2 celery_delayed_5 celery_delayed_6".to_owned();
        assert_eq!(of(100), (of_100, 18, "celery_delayed_6".to_owned()));
    }

    #[test]
    fn direct_exchanges_pass_on_nothing_that_was_delayed() {
        let exchange = |name: &str, kind: &str| Step::Exchange {
            name: name.into(),
            kind: kind.into(),
            is_durable: true,
            is_auto_delete: false,
        };
        let bind =
            |exchange: &str, key: &str| Step::Bind { queue: "q".into(), exchange: exchange.into(), key: key.into() };
        let steps = [exchange("t", "topic"), exchange("d", "direct"), bind("t", "a.*"), bind("t", "#"), bind("d", "q")];
        let on = |key: &str| {
            let source = "celery_delayed_delivery".into();
            [Step::BindExchange { destination: "t".into(), source, key: key.into() }, bind("t", key)]
        };
        assert_eq!(ways_on(&steps), [on("#.a.*"), on("#")].concat());
    }

    #[test]
    fn a_routing_key_says_the_seconds_in_bits() {
        let key = routing_key(5, "a.b");
        assert_eq!(key, format!("{}1.0.1.fastworker:a%2Eb", "0.".repeat(25)));
        assert_eq!(routing_key(i64::MAX, "q"), format!("{}fastworker:q", "1.".repeat(28)));
    }
}
