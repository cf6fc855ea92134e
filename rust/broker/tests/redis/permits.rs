//! Permits of shared limits, thousands at once: a script takes only so many values.

use std::time::Duration;

use fastworker_broker::Broker;
use fastworker_broker::lane::Ask;

use crate::support::{Site, run};

#[test]
fn thousands_of_asks_are_answered_whatever_has_become_idle() {
    let Some(site) = Site::new() else { return };
    run(async {
        let broker = site.broker(&["q"]).await;
        let ask = |key: usize| Ask {
            task: "limited".into(),
            key: key.to_string(),
            interval_ns: 1_000,
            tags: Vec::new(),
            ahead: 1,
        };
        let first: Vec<Ask> = (0..9_000).map(ask).collect();
        for some in first.chunks(3_000) {
            assert!(broker.acquire(some).await.unwrap().iter().all(|granted| granted.ahead == 1));
        }
        // Permits that nobody asks for are swept after a second, with the calls of others.
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        let others: Vec<Ask> = (9_000..15_000).map(ask).collect();
        let granted = broker.acquire(&others).await.unwrap();
        assert_eq!(granted.iter().map(|granted| granted.ahead).sum::<u32>(), 6_000);
    });
}
