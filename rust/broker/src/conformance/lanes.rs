//! Shared rate limits, and the lanes in which messages wait for their permits.

use std::time::{Duration, Instant};

use super::Server;
use super::bench::{Bench, LONG, SHORT, ack, ending, fetch_all, ids_of, is_redelivered, settle, take_over};
use crate::lane::{Ask, Drawn, Granted, Quota};
use crate::{Broker, Delivery, Verdict};

const HOUR_NS: u64 = 3_600_000_000_000;

fn ask(task: &str, key: &str, interval_ns: u64, deliveries: &[Delivery]) -> Ask {
    let tags = deliveries.iter().map(|delivery| delivery.tag).collect();
    Ask { task: task.to_owned(), key: key.to_owned(), interval_ns, tags, ahead: 0 }
}

async fn acquire(broker: &impl Broker, ask: Ask) -> Granted {
    broker.acquire(&[ask]).await.expect("acquire").remove(0)
}

fn shared(task: &str, interval_ns: u64) -> [Quota; 1] {
    [Quota::Shared { task: task.to_owned(), interval_ns }]
}

async fn draw(broker: &impl Broker, quotas: &[Quota]) -> Drawn {
    broker.draw(100, quotas).await.expect("draw")
}

/// Draws until something comes; waits as long as the broker says.
async fn draw_some(broker: &impl Broker, quotas: &[Quota]) -> Vec<Delivery> {
    loop {
        let drawn = draw(broker, quotas).await;
        if !drawn.deliveries.is_empty() {
            return drawn.deliveries;
        }
        let wait_us = drawn.next_in_us.expect("something waits in a lane");
        tokio::time::sleep(Duration::from_micros(wait_us)).await;
    }
}

pub(super) async fn what_is_over_a_shared_rate_waits_in_its_lane<S: Server>(bench: &Bench<'_, S>) {
    let (queue, task) = (bench.name("queue"), bench.name("limited"));
    let broker = bench.broker(&[&queue], LONG).await;
    bench.publish(&queue, 0, 3);
    let held = fetch_all(&broker, 3).await;
    let granted = acquire(&broker, ask(&task, "", HOUR_NS, &held)).await;
    assert_eq!((granted.permits, granted.ahead, granted.lost), (1, 0, vec![]));
    let due_in_us = granted.due_in_us.expect("two wait");
    assert!((3_500_000_000..=3_600_000_000).contains(&due_in_us), "{due_in_us} us");
    let moved: Vec<_> = held[1..].iter().map(|delivery| ending(delivery, Verdict::Ack)).collect();
    assert_eq!(broker.settle(&moved).await.expect("settle"), [0, 1], "they are not ours any more");
    let drawn = draw(&broker, &shared(&task, HOUR_NS)).await;
    assert!(drawn.deliveries.is_empty());
    assert!(drawn.next_in_us.is_some_and(|us| us > 3_000_000_000), "{:?}", drawn.next_in_us);
    ack(&broker, &held[..1]).await;
    assert_eq!(bench.client().purge(&queue).expect("purge"), 2);
}

pub(super) async fn another_worker_draws_when_the_permit_is_there<S: Server>(bench: &Bench<'_, S>) {
    let (queue, task, interval_ns) = (bench.name("queue"), bench.name("limited"), 400_000_000);
    let (broker, other) = (bench.broker(&[&queue], LONG).await, bench.broker(&[&queue], LONG).await);
    let ids = bench.publish(&queue, 3, 3);
    let held = fetch_all(&broker, 3).await;
    let since = Instant::now();
    assert_eq!(acquire(&broker, ask(&task, "a", interval_ns, &held)).await.permits, 1);
    for (count, id) in [(1, &ids[1]), (2, &ids[2])] {
        let drawn = draw_some(&other, &shared(&task, interval_ns)).await;
        assert_eq!(ids_of(&drawn), std::slice::from_ref(id), "one permit each time");
        assert!(!is_redelivered(&drawn[0]), "waiting is no redelivery");
        let least = Duration::from_millis(400) * count - Duration::from_millis(100);
        assert!(since.elapsed() >= least, "drawn after {:?}", since.elapsed());
        ack(&other, &drawn).await;
    }
    ack(&broker, &held[..1]).await;
}

pub(super) async fn every_key_has_permits_of_its_own<S: Server>(bench: &Bench<'_, S>) {
    let (queue, task) = (bench.name("queue"), bench.name("limited"));
    let broker = bench.broker(&[&queue], LONG).await;
    bench.publish(&queue, 0, 4);
    let held = fetch_all(&broker, 4).await;
    let asks = [ask(&task, "a", HOUR_NS, &held[..2]), ask(&task, "b", HOUR_NS, &held[2..])];
    let granted = broker.acquire(&asks).await.expect("acquire");
    assert_eq!(granted.iter().map(|granted| granted.permits).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(bench.client().purge(&queue).expect("purge"), 2);
}

pub(super) async fn permits_of_a_block_come_at_once<S: Server>(bench: &Bench<'_, S>) {
    let (queue, task) = (bench.name("queue"), bench.name("limited"));
    let broker = bench.broker(&[&queue], LONG).await;
    bench.publish(&queue, 0, 2);
    let held = fetch_all(&broker, 2).await;
    // Fifty a second: twelve permits in a quarter of a second.
    let granted = acquire(&broker, Ask { ahead: 1000, ..ask(&task, "", 20_000_000, &held) }).await;
    assert_eq!((granted.permits, granted.ahead, granted.due_in_us), (2, 10, None));
    ack(&broker, &held).await;
}

pub(super) async fn what_comes_later_waits_behind_the_lane<S: Server>(bench: &Bench<'_, S>) {
    let (queue, task, interval_ns) = (bench.name("queue"), bench.name("limited"), 300_000_000);
    let broker = bench.broker(&[&queue], LONG).await;
    let ids = bench.publish(&queue, 0, 3);
    let held = fetch_all(&broker, 3).await;
    acquire(&broker, ask(&task, "", interval_ns, &held[..2])).await;
    tokio::time::sleep(Duration::from_millis(350)).await; // the next permit is there, and is the first one's in the lane
    let granted = acquire(&broker, ask(&task, "", interval_ns, &held[2..])).await;
    assert_eq!((granted.permits, granted.due_in_us), (0, Some(0)));
    let first = draw_some(&broker, &shared(&task, interval_ns)).await;
    let second = draw_some(&broker, &shared(&task, interval_ns)).await;
    assert_eq!([ids_of(&first), ids_of(&second)].concat(), ids[1..]);
    ack(&broker, &held[..1]).await;
    ack(&broker, &first).await;
    ack(&broker, &second).await;
}

pub(super) async fn the_most_urgent_of_a_lane_is_drawn_first<S: Server>(bench: &Bench<'_, S>) {
    let (queue, task) = (bench.name("queue"), bench.name("limited"));
    let broker = bench.broker(&[&queue], LONG).await;
    let mut ids = Vec::new();
    for priority in [9, 3, 0, 9] {
        ids.extend(bench.publish(&queue, priority, 1));
        let held = fetch_all(&broker, 1).await;
        settle(&broker, &[ending(&held[0], Verdict::Lane { task: task.clone() })]).await;
    }
    let drawn = draw(&broker, &[Quota::Worker { task, permits: 100 }]).await.deliveries;
    assert_eq!(ids_of(&drawn), [2, 1, 0, 3].map(|at| ids[at].clone()));
    ack(&broker, &drawn).await;
}

pub(super) async fn a_lane_without_a_quota_is_left_alone<S: Server>(bench: &Bench<'_, S>) {
    let (queue, task, other) = (bench.name("queue"), bench.name("limited"), bench.name("other"));
    let broker = bench.broker(&[&queue], LONG).await;
    bench.publish(&queue, 0, 2);
    let held = fetch_all(&broker, 2).await;
    acquire(&broker, ask(&task, "", 1_000_000_000, &held)).await;
    tokio::time::sleep(Duration::from_millis(1_100)).await; // its permit is there
    assert!(draw(&broker, &shared(&other, 1_000)).await.deliveries.is_empty());
    assert_eq!(draw(&broker, &shared(&task, 1_000_000_000)).await.deliveries.len(), 1);
}

pub(super) async fn a_workers_own_permits_draw_from_its_lane<S: Server>(bench: &Bench<'_, S>) {
    let (queue, task) = (bench.name("queue"), bench.name("limited"));
    let (broker, other) = (bench.broker(&[&queue], LONG).await, bench.broker(&[&queue], LONG).await);
    let ids = bench.publish(&queue, 0, 5);
    let held = fetch_all(&broker, 5).await;
    let laned: Vec<_> = held.iter().map(|one| ending(one, Verdict::Lane { task: task.clone() })).collect();
    settle(&broker, &laned).await;
    let quota = |permits| [Quota::Worker { task: task.clone(), permits }];
    let looked = draw(&other, &quota(0)).await;
    assert_eq!((looked.deliveries.len(), looked.has_more), (0, vec![true]));
    let first = draw(&other, &quota(2)).await;
    assert_eq!((ids_of(&first.deliveries), first.has_more), (ids[..2].to_vec(), vec![true]));
    let rest = draw(&broker, &quota(100)).await;
    assert_eq!((ids_of(&rest.deliveries), rest.has_more), (ids[2..].to_vec(), vec![false]));
    ack(&other, &first.deliveries).await;
    ack(&broker, &rest.deliveries).await;
}

pub(super) async fn a_dropped_draw_loses_nothing<S: Server>(bench: &Bench<'_, S>) {
    let (queue, task) = (bench.name("queue"), bench.name("limited"));
    let broker = bench.broker(&[&queue], LONG).await;
    let ids = bench.publish(&queue, 0, 4);
    let held = fetch_all(&broker, 4).await;
    let laned: Vec<_> = held.iter().map(|one| ending(one, Verdict::Lane { task: task.clone() })).collect();
    settle(&broker, &laned).await;
    let quota = [Quota::Worker { task: task.clone(), permits: 3 }];
    // Given up at every possible point before it is answered.
    for patience_us in [0, 50, 200, 1_000] {
        let drawing = broker.draw(3, &quota);
        if let Ok(drawn) = tokio::time::timeout(Duration::from_micros(patience_us), drawing).await {
            let back: Vec<_> = drawn
                .expect("draw")
                .deliveries
                .iter()
                .map(|one| ending(one, Verdict::Lane { task: task.clone() }))
                .collect();
            settle(&broker, &back).await;
        }
    }
    let mut found = Vec::new();
    while found.len() < 4 {
        let fetched = broker.fetch(4).await.expect("fetch");
        found.extend(fetched);
        found.extend(draw(&broker, &[Quota::Worker { task: task.clone(), permits: 4 }]).await.deliveries);
    }
    let mut all = ids_of(&found);
    all.sort();
    let mut expected = ids.clone();
    expected.sort();
    assert_eq!(all, expected);
    ack(&broker, &found).await;
}

pub(super) async fn asking_for_a_lost_lease_moves_nothing<S: Server>(bench: &Bench<'_, S>) {
    let (queue, task) = (bench.name("queue"), bench.name("limited"));
    let broker = bench.broker(&[&queue], LONG).await;
    bench.publish(&queue, 0, 3);
    let held = fetch_all(&broker, 3).await;
    let granted = acquire(&broker, ask(&task, "", HOUR_NS, &held)).await;
    assert_eq!(granted.permits, 1);
    // The answer was lost, so it is asked again: what was moved is not ours any more.
    let again = acquire(&broker, ask(&task, "", HOUR_NS, &held)).await;
    assert_eq!((again.permits, again.lost), (0, vec![1, 2]));
    assert_eq!(bench.client().depth(&queue).expect("depth"), 3, "all three wait in the lane, each once");
    assert_eq!(bench.client().purge(&queue).expect("purge"), 3);
}

pub(super) async fn a_permit_goes_to_what_is_ours_alone<S: Server>(bench: &Bench<'_, S>) {
    let (queue, task) = (bench.name("queue"), bench.name("limited"));
    let (slow, other) = (bench.broker(&[&queue], SHORT).await, bench.broker(&[&queue], SHORT).await);
    bench.publish(&queue, 0, 3);
    let mut held = fetch_all(&slow, 2).await;
    take_over(&other, 2).await;
    // `slow` lives after all, and fetches one more.
    held.extend(fetch_all(&slow, 1).await);
    // Fifty a second: there are permits for all, and for more.
    let granted = acquire(&slow, Ask { ahead: 1, ..ask(&task, "", 20_000_000, &held) }).await;
    assert_eq!((granted.permits, granted.ahead, granted.lost, granted.due_in_us), (1, 1, vec![0, 1], None));
    // One in an hour, so that there is none for any of them.
    acquire(&slow, ask(&task, "slow", HOUR_NS, &held[2..])).await;
    let granted = acquire(&slow, ask(&task, "slow", HOUR_NS, &held)).await;
    assert_eq!((granted.permits, granted.lost), (0, vec![0, 1]));
    assert!(granted.due_in_us.is_some(), "the third was moved");
    let granted = acquire(&slow, ask(&task, "slow", HOUR_NS, &held)).await;
    assert_eq!((granted.permits, granted.lost, granted.due_in_us), (0, vec![0, 1, 2], None));
    assert_eq!(bench.client().purge(&queue).expect("purge"), 3, "two in the queue, one in its lane");
}

pub(super) async fn who_holds_nothing_gets_no_permits_ahead<S: Server>(bench: &Bench<'_, S>) {
    let (queue, task) = (bench.name("queue"), bench.name("limited"));
    let broker = bench.broker(&[&queue], LONG).await;
    bench.publish(&queue, 0, 2);
    let held = fetch_all(&broker, 2).await;
    ack(&broker, &held[..1]).await;
    // Fifty a second: there would be twelve.
    for (gone, lost) in [(&held[..0], vec![]), (&held[..1], vec![0])] {
        let granted = acquire(&broker, Ask { ahead: 1, ..ask(&task, "", 20_000_000, gone) }).await;
        assert_eq!((granted.permits, granted.ahead, granted.lost, granted.due_in_us), (0, 0, lost, None));
    }
    let granted = acquire(&broker, Ask { ahead: 1000, ..ask(&task, "", 20_000_000, &held[1..]) }).await;
    assert_eq!((granted.permits, granted.ahead), (1, 11), "none was spent");
    ack(&broker, &held[1..]).await;
}

pub(super) async fn lanes_are_emptied_into_their_queue_in_order<S: Server>(bench: &Bench<'_, S>) {
    let (queue, task) = (bench.name("queue"), bench.name("limited"));
    let broker = bench.broker(&[&queue], LONG).await;
    let ids = bench.publish(&queue, 0, 6);
    let held = fetch_all(&broker, 5).await;
    acquire(&broker, ask(&task, "", HOUR_NS, &held[..3])).await;
    let laned: Vec<_> = held[3..].iter().map(|one| ending(one, Verdict::Lane { task: task.clone() })).collect();
    settle(&broker, &laned).await;
    assert_eq!(bench.client().unlane(&queue).expect("unlane"), 4);
    assert_eq!(bench.client().unlane(&queue).expect("unlane"), 0);
    let back = fetch_all(&broker, 5).await;
    let back_ids = ids_of(&back);
    assert_eq!(back_ids[4], ids[5], "in front of what waits in the queue");
    let place = |id: &String| back_ids.iter().position(|found| found == id).expect("it is back");
    assert!(place(&ids[1]) < place(&ids[2]) && place(&ids[3]) < place(&ids[4]), "each lane in its order");
    assert!(!is_redelivered(&back[0]));
    ack(&broker, &held[..1]).await;
    ack(&broker, &back).await;
}

pub(super) async fn depth_and_purge_count_lanes<S: Server>(bench: &Bench<'_, S>) {
    let (queue, task) = (bench.name("queue"), bench.name("limited"));
    let broker = bench.broker(&[&queue], LONG).await;
    bench.publish(&queue, 3, 4);
    let held = fetch_all(&broker, 3).await;
    acquire(&broker, ask(&task, "", HOUR_NS, &held)).await;
    let mut client = bench.client();
    assert_eq!(client.depth(&queue).expect("depth"), 3, "one in the queue, two in a lane");
    assert_eq!(client.purge(&queue).expect("purge"), 3);
    assert_eq!(client.depth(&queue).expect("depth"), 0);
    ack(&broker, &held[..1]).await;
}
