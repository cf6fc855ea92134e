//! The suite that every broker passes.

use fastworker_broker::conformance::{Server, compare_chords, exercise};
use fastworker_broker::{Client, Error, LeaseTerms, QueueOrder, RedisBroker, ResultClient};

use crate::support::Site;

impl Server for Site {
    type Broker = RedisBroker;

    fn name(&self) -> &str {
        "redis"
    }

    async fn broker(&self, queues: &[String], terms: LeaseTerms, order: QueueOrder) -> Result<RedisBroker, Error> {
        let strategy = match order {
            QueueOrder::RoundRobin => "round_robin",
            QueueOrder::Priority => "priority",
            QueueOrder::Sorted => "sorted",
        };
        let options = self.options_with(&[("queue_order_strategy", strategy)]);
        RedisBroker::connect(options, queues, Some(self.results()), terms).await
    }

    fn client(&self) -> Result<Box<dyn Client>, Error> {
        Ok(Box::new(Site::client(self)))
    }

    fn results(&self) -> Result<Box<dyn ResultClient>, Error> {
        Ok(Box::new(self.result_client()))
    }

    fn results_at(&self) -> (String, Vec<(String, String)>) {
        (self.results_url(), vec![("global_keyprefix".to_owned(), self.prefix.clone())])
    }
}

#[test]
fn it_passes_the_suite() {
    let Some(site) = Site::new() else { return };
    assert!(exercise(&site) > 30);
}

#[test]
fn its_chords_do_as_the_model_does() {
    let Some(site) = Site::new() else { return };
    compare_chords(&site, 200);
}
