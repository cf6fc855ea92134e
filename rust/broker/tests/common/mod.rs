//! What tests of several brokers share.

use std::future::Future;
use std::time::Duration;

use fastworker_broker::{Delivery, Settlement, Tag, Verdict};

/// Runs a test's future on a runtime like the supervisor's, for a minute at most.
pub(crate) fn run(future: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), future).await.expect("the test hangs") });
}

pub(crate) fn settlement(tag: Tag, verdict: Verdict) -> Settlement {
    Settlement {
        tag,
        message_id: None,
        has_attempts: false,
        verdict,
        result: None,
        successors: Vec::new(),
        member: None,
    }
}

/// The task id of an envelope.
pub(crate) fn id_of(message: &[u8]) -> String {
    fastworker_wire::envelope::parse(message).unwrap().id.unwrap().into_owned()
}

pub(crate) fn ids(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|delivery| id_of(&delivery.message)).collect()
}

/// Whether the envelope itself says that it was handed out before.
pub(crate) fn is_marked(message: &[u8]) -> bool {
    fastworker_wire::envelope::parse(message).unwrap().is_redelivered
}
