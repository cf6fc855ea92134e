//! Every target, briefly: the corpus as it is, and some thousand mutations of it, the same ones every time.
//! `FASTWORKER_FUZZ_ROUNDS` says how many (3,000), `FASTWORKER_FUZZ_SEED` which (1); a failure names the bytes.

use std::panic::{AssertUnwindSafe, catch_unwind};

use fastworker_fuzz::{Mutator, TARGETS, Target, corpus, golden};
use fastworker_wire::envelope::parse;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text:?} is no number")))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn try_out(target: &Target, bytes: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(bytes))).is_err() {
        panic!("target {} fails on {:?} (hex {})", target.name, String::from_utf8_lossy(bytes), hex(bytes));
    }
}

#[test]
fn no_parser_breaks_its_promise_on_any_mutation_of_its_corpus() {
    let (rounds, seed) = (number("FASTWORKER_FUZZ_ROUNDS", 3_000), number("FASTWORKER_FUZZ_SEED", 1));
    for target in TARGETS {
        let corpus = corpus(target);
        assert!(!corpus.is_empty(), "target {} has no corpus", target.name);
        corpus.iter().for_each(|bytes| try_out(target, bytes));
        let mut mutator = Mutator::new(seed);
        (0..rounds).for_each(|_| try_out(target, &mutator.next(&corpus)));
    }
}

#[test]
fn every_message_that_celery_wrote_is_read() {
    for message in golden() {
        let read = parse(&message);
        assert!(read.is_ok(), "{}: {:?}", String::from_utf8_lossy(&message), read.err());
    }
}
