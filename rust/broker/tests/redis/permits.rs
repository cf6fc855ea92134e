//! Permits of shared limits, thousands at once: a script takes only so many values.

use std::time::Duration;

use fastworker_broker::Broker;
use fastworker_broker::lane::{Ask, Granted};

use crate::common::run;
use crate::support::{Site, fill};

#[test]
fn thousands_of_asks_are_answered_whatever_has_become_idle() {
    let Some(site) = Site::new() else { return };
    run(async {
        let broker = site.broker(&["q"]).await;
        fill(&broker, "q", 15_000).await;
        let mut asks = Vec::new();
        while asks.len() < 15_000 {
            let leased = broker.fetch(1_000).await.unwrap();
            asks.extend(leased.iter().zip(asks.len()..).map(|(delivery, key)| Ask {
                task: "limited".into(),
                key: key.to_string(),
                interval_ns: 1_000,
                tags: vec![delivery.tag],
                ahead: 1,
            }));
        }
        let is_whole = |granted: &Granted| (granted.permits, granted.ahead) == (1, 1);
        let (first, others) = asks.split_at(9_000);
        for some in first.chunks(3_000) {
            assert!(broker.acquire(some).await.unwrap().iter().all(is_whole));
        }
        // Permits that nobody asks for are swept after a second, with the calls of others.
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        let granted = broker.acquire(others).await.unwrap();
        assert_eq!(granted.iter().filter(|granted| is_whole(granted)).count(), 6_000);
    });
}
