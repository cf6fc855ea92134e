//! The suite that every broker passes.

use fastworker_broker::conformance::{Server, exercise};
use fastworker_broker::{Client, Error, LeaseTerms, RedisBroker, ResultClient};

use crate::support::Site;

impl Server for Site {
    type Broker = RedisBroker;

    fn name(&self) -> &str {
        "redis"
    }

    async fn broker(&self, queues: &[String], terms: LeaseTerms) -> Result<RedisBroker, Error> {
        RedisBroker::connect(self.options_at(&self.address), queues, Some(self.results()), terms).await
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
