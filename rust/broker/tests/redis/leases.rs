//! Keeping leases, losing them, parking.

use std::time::{Duration, UNIX_EPOCH};

use fastworker_broker::{Broker, Settlement, Verdict};
use tokio::time::{Instant, sleep};

use crate::common::{ids, is_marked, run, settlement};
use crate::support::{BROKER_DB, Site, fill};

fn now_ms() -> i64 {
    UNIX_EPOCH.elapsed().unwrap().as_millis() as i64
}

#[test]
fn a_dead_workers_leases_go_back_marked_and_in_order() {
    let Some(mut site) = Site::new() else { return };
    site.life = Duration::from_millis(300);
    run(async {
        let (dead, alive) = (site.broker(&["q"]).await, site.broker(&["q"]).await);
        fill(&dead, "q", 250).await;
        assert_eq!(dead.fetch(200).await.unwrap().len(), 200);
        assert_eq!(alive.fetch(10).await.unwrap().len(), 10);
        drop(dead);
        let began = Instant::now();
        let recovered = loop {
            alive.heartbeat().await.unwrap();
            let recovered = alive.recover().await.unwrap();
            if recovered.messages > 0 {
                break recovered;
            }
            sleep(Duration::from_millis(50)).await;
        };
        assert_eq!((recovered.messages, recovered.owners), (200, 1));
        // Its heartbeat had to run out, and then it had to be absent for a life.
        assert!(began.elapsed() >= Duration::from_millis(500), "{:?}", began.elapsed());
        let again = alive.fetch(1000).await.unwrap();
        assert_eq!(ids(&again)[..3], ["q-0", "q-1", "q-2"]);
        assert!(again[..200].iter().all(|delivery| is_marked(&delivery.message)));
        assert_eq!((again.len(), is_marked(&again[200].message)), (240, false));
        assert_eq!(site.leases(), (250, 250));
    });
}

#[test]
fn a_living_worker_is_left_alone_and_a_zombie_finds_its_leases_gone() {
    let Some(mut site) = Site::new() else { return };
    site.life = Duration::from_millis(200);
    run(async {
        let (zombie, alive) = (site.broker(&["q"]).await, site.broker(&["q"]).await);
        fill(&alive, "q", 2).await;
        let held = zombie.fetch(1).await.unwrap();
        for _ in 0..15 {
            zombie.heartbeat().await.unwrap();
            assert_eq!(alive.recover().await.unwrap().messages, 0);
            sleep(Duration::from_millis(40)).await;
        }
        let mut recovered = 0;
        while recovered == 0 {
            recovered = alive.recover().await.unwrap().messages;
            sleep(Duration::from_millis(40)).await;
        }
        assert_eq!(alive.fetch(10).await.unwrap().len(), 2);
        let failed = Settlement { has_attempts: true, ..settlement(held[0].tag, Verdict::Ack) };
        assert_eq!(zombie.settle(&[failed]).await.unwrap(), [0]);
        assert_eq!(site.leases(), (2, 2));
    });
}

#[test]
fn looking_rarely_proves_nothing() {
    let Some(mut site) = Site::new() else { return };
    site.life = Duration::from_millis(100);
    run(async {
        let (dead, alive) = (site.broker(&["q"]).await, site.broker(&["q"]).await);
        fill(&dead, "q", 1).await;
        dead.fetch(1).await.unwrap();
        drop(dead);
        for _ in 0..3 {
            sleep(Duration::from_millis(150)).await;
            assert_eq!(alive.recover().await.unwrap().messages, 0);
        }
    });
}

#[test]
fn a_parked_message_comes_back_when_due_without_a_mark() {
    let Some(site) = Site::new() else { return };
    run(async {
        let broker = site.broker(&["q"]).await;
        fill(&broker, "q", 3).await;
        let fetched = broker.fetch(10).await.unwrap();
        let due = now_ms() + 60_000;
        let park = |at: usize, due_ms: i64| settlement(fetched[at].tag, Verdict::Park { due_ms });
        broker.settle(&[park(0, due), park(1, due + 5), park(2, due + 1000)]).await.unwrap();
        assert_eq!(site.leases(), (3, 3));
        assert_eq!(broker.release_due(now_ms()).await.unwrap(), Some(due));
        assert_eq!(broker.release_due(due + 10).await.unwrap(), Some(due + 1000));
        let again = broker.fetch(10).await.unwrap();
        assert_eq!(ids(&again), ["q-0", "q-1"]);
        assert_eq!(again[0].message, fetched[0].message);
        assert_eq!(broker.release_due(due + 1000).await.unwrap(), None);
        assert_eq!(broker.fetch(10).await.unwrap().len(), 1);
        assert_eq!(site.leases(), (3, 3));
    });
}

#[test]
fn a_parked_message_outlives_its_worker() {
    let Some(mut site) = Site::new() else { return };
    site.life = Duration::from_millis(100);
    run(async {
        let (dead, alive) = (site.broker(&["q"]).await, site.broker(&["q"]).await);
        fill(&dead, "q", 1).await;
        let tag = dead.fetch(1).await.unwrap()[0].tag;
        dead.settle(&[settlement(tag, Verdict::Park { due_ms: now_ms() + 60_000 })]).await.unwrap();
        drop(dead);
        for _ in 0..12 {
            assert_eq!(alive.recover().await.unwrap().messages, 0);
            sleep(Duration::from_millis(40)).await;
        }
        alive.release_due(now_ms() + 60_000).await.unwrap();
        assert!(!is_marked(&alive.fetch(1).await.unwrap()[0].message));
    });
}

#[test]
fn leases_are_made_young_before_their_visibility_timeout() {
    let Some(mut site) = Site::new() else { return };
    site.visibility_timeout = "2";
    run(async {
        let broker = site.broker(&["q"]).await;
        fill(&broker, "q", 1).await;
        broker.fetch(1).await.unwrap();
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(3500) {
            broker.heartbeat().await.unwrap();
            assert_eq!(broker.recover().await.unwrap().messages, 0);
            sleep(Duration::from_millis(200)).await;
        }
    });
}

#[test]
fn what_a_dead_celery_worker_held_goes_back_after_the_visibility_timeout() {
    let Some(mut site) = Site::new() else { return };
    site.visibility_timeout = "100";
    run(async {
        let broker = site.broker(&["q"]).await;
        let mut raw = site.raw(BROKER_DB);
        let member = "topic.#\u{6}\u{16}\u{6}\u{16}q";
        redis::cmd("SADD").arg(site.key("_kombu.binding.x")).arg(member).exec(&mut raw).unwrap();
        for (tag, exchange, key, age_s) in
            [("uuid-1", "", "q", 200), ("uuid-2", "x", "topic.a", 200), ("uuid-3", "", "q", 9)]
        {
            let message = String::from_utf8(crate::support::envelope(tag, "q", 3).to_vec()).unwrap();
            let entry = format!(r#"[{message}, "{exchange}", "{key}"]"#);
            redis::cmd("HSET").arg(site.key("unacked")).arg(tag).arg(entry).exec(&mut raw).unwrap();
            let score = now_ms() / 1000 - age_s;
            redis::cmd("ZADD").arg(site.key("unacked_index")).arg(score).arg(tag).exec(&mut raw).unwrap();
        }
        assert_eq!(broker.recover().await.unwrap().messages, 2);
        assert_eq!(site.list_len("q\u{6}\u{16}3"), 2);
        let fetched = broker.fetch(10).await.unwrap();
        assert!(fetched.iter().all(|delivery| is_marked(&delivery.message)));
        let mutex: Option<String> = redis::cmd("GET").arg(site.key("unacked_mutex")).query(&mut raw).unwrap();
        assert_eq!(mutex, None);
    });
}

#[test]
fn close_gives_everything_back_unmarked_and_signs_off() {
    let Some(site) = Site::new() else { return };
    run(async {
        let broker = site.broker(&["q"]).await;
        fill(&broker, "q", 5).await;
        broker.fetch(3).await.unwrap();
        broker.close().await.unwrap();
        assert_eq!(site.keys_left(), [site.key("q")]);
        let other = site.broker(&["q"]).await;
        let again = other.fetch(10).await.unwrap();
        assert_eq!(ids(&again), ["q-0", "q-1", "q-2", "q-3", "q-4"]);
        assert!(!again.iter().any(|delivery| is_marked(&delivery.message)));
    });
}
