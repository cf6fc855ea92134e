//! Delays for Celery's clients: what they publish with a countdown where a queue is a quorum queue goes to exchanges that
//! a worker has to have declared, or else the server refuses it. Source: Celery's `worker/consumer/delayed_delivery.py`.

use super::delayed;
use super::session::Session;
use super::steps::Step;

impl Session {
    /// Declares the delays, and leads what comes out of them to these queues. Nothing is done without a quorum queue, nor
    /// for direct exchanges: a call for one of these goes straight to its queue. A refusal keeps nobody from consuming.
    pub(super) async fn offer_delays(&self, queues: &[String]) {
        let steps: Vec<Step> = queues.iter().flat_map(|queue| self.owner.steps(queue)).collect();
        let ways = delayed::ways_on(&steps);
        if ways.is_empty() || !(self.owner.options.topology.has_quorum() || steps.iter().any(Step::is_quorum)) {
            return;
        }
        let offered = async {
            self.declare(&delayed::steps(&self.owner.options.delayed_type, i64::MAX)).await?;
            self.declare(&ways).await
        };
        if let Err(error) = offered.await {
            tracing::warn!(%error, ?queues, "calls of Celery's clients with a countdown may be refused: their delays");
        }
    }
}
