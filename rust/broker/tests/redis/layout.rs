//! What lies in the server: priorities, turns, the form of leases, and what is no JSON.

use fastworker_broker::{Broker, Client, ParkedClient, Publish, Settlement, Verdict};

use crate::common::{ids, run, settlement};
use crate::support::{BROKER_DB, Site, fill, publish};

#[test]
fn priority_comes_before_queue_and_queues_take_turns() {
    let Some(site) = Site::new() else { return };
    run(async {
        let broker = site.broker(&["a", "b"]).await;
        fill(&broker, "a", 10).await;
        fill(&broker, "b", 3).await;
        broker.publish(&[publish("late", "a", 9), publish("mid", "b", 5)]).await.unwrap();
        let first = ids(&broker.fetch(6).await.unwrap());
        let of_a = first.iter().filter(|id| id.starts_with("a-")).count();
        assert_eq!((first.len(), of_a), (6, 3), "{first:?}");
        let rest = ids(&broker.fetch(100).await.unwrap());
        assert_eq!(rest, ["a-3", "a-4", "a-5", "a-6", "a-7", "a-8", "a-9", "mid", "late"]);
    });
}

#[test]
fn one_message_at_a_time_visits_the_queues_in_turn() {
    let Some(site) = Site::new() else { return };
    run(async {
        let broker = site.broker(&["a", "b"]).await;
        fill(&broker, "a", 4).await;
        fill(&broker, "b", 4).await;
        let mut seen = Vec::new();
        for _ in 0..4 {
            seen.extend(broker.fetch(1).await.unwrap().iter().map(|delivery| delivery.queue));
        }
        seen.sort_unstable();
        assert_eq!(seen, [0, 0, 1, 1]);
    });
}

#[test]
fn a_lease_is_an_entry_that_kombu_reads() {
    let Some(site) = Site::new() else { return };
    run(async {
        let broker = site.broker(&["größe"]).await;
        fill(&broker, "größe", 1).await;
        let fetched = broker.fetch(10).await.unwrap();
        let mut raw = site.raw(BROKER_DB);
        let entries: Vec<(String, String)> = redis::cmd("HGETALL").arg(site.key("unacked")).query(&mut raw).unwrap();
        let message = std::str::from_utf8(&fetched[0].message).unwrap();
        assert_eq!(entries[0].1, format!(r#"[{message}, "", "gr\u00f6\u00dfe"]"#));
        assert_eq!(entries[0].0, format!("fw:{}:1:1:0", broker.incarnation()));
        let score: f64 =
            redis::cmd("ZSCORE").arg(site.key("unacked_index")).arg(&entries[0].0).query(&mut raw).unwrap();
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
        assert!((now - score).abs() < 60.0);
    });
}

#[test]
fn what_is_no_json_object_is_buried_and_what_lies_behind_it_is_fetched() {
    let Some(site) = Site::new() else { return };
    run(async {
        let broker = site.broker(&["q"]).await;
        let rubbish = |message: &'static [u8]| Publish { queue: "q".into(), priority: 3, message: message.into() };
        broker.publish(&[rubbish(b"rubbish"), rubbish(b""), rubbish(b"[1]"), rubbish(b" {} \n")]).await.unwrap();
        let fetched = broker.fetch(3).await.unwrap();
        assert_eq!(fetched.len(), 1);
        assert_eq!(&fetched[0].message[..], b" {} \n");
        let letters = site.client().dead_letters(10).unwrap();
        assert_eq!(letters.len(), 3);
        assert!(
            letters.iter().all(|letter| letter.reason == "not JSON" && letter.queue == "q" && letter.priority == 3)
        );
        assert!(letters.iter().any(|letter| letter.message.is_empty()));
    });
}

#[test]
fn a_key_of_a_wrong_type_loses_nothing() {
    let Some(site) = Site::new() else { return };
    run(async {
        let broker = site.broker(&["q"]).await;
        fill(&broker, "q", 5).await;
        let mut raw = site.raw(BROKER_DB);
        redis::cmd("SET").arg(site.key("unacked")).arg(1).exec(&mut raw).unwrap();
        let error = broker.fetch(10).await.unwrap_err();
        assert!(!error.is_transient() && error.to_string().contains("WRONGTYPE"), "{error}");
        assert_eq!(site.list_len("q"), 5);
        redis::cmd("DEL").arg(site.key("unacked")).exec(&mut raw).unwrap();
        assert_eq!(broker.fetch(10).await.unwrap().len(), 5);
    });
}

#[test]
fn more_than_one_script_takes_at_once_arrives_in_order() {
    let Some(site) = Site::new() else { return };
    run(async {
        let broker = site.broker(&["q"]).await;
        fill(&broker, "q", 2500).await;
        let mut seen = Vec::new();
        while seen.len() < 2500 {
            seen.extend(ids(&broker.fetch(5000).await.unwrap()));
            broker.wait().await;
        }
        assert_eq!(seen, (0..2500).map(|i| format!("q-{i}")).collect::<Vec<_>>());
    });
}

#[test]
fn a_body_of_a_hundred_megabytes_works() {
    let Some(site) = Site::new() else { return };
    run(async {
        let broker = site.broker(&["q"]).await;
        let message = [b"{\"body\": \"".to_vec(), vec![b'x'; 100 << 20], b"\"}".to_vec()].concat();
        let big = Publish { queue: "q".into(), priority: 0, message: message.into() };
        site.client().publish(std::slice::from_ref(&big)).unwrap();
        let fetched = broker.fetch(10).await.unwrap();
        assert!(fetched[0].message == big.message);
        let again = Verdict::Return { is_redelivery: false };
        assert!(broker.settle(&[settlement(fetched[0].tag, again)]).await.unwrap().is_empty());
        let fetched = broker.fetch(10).await.unwrap();
        assert!(fetched[0].message == big.message);
        assert!(broker.settle(&[settlement(fetched[0].tag, Verdict::Ack)]).await.unwrap().is_empty());
    });
}

#[test]
fn what_was_revoked_long_ago_stays_parked_until_it_is_due() {
    let Some(site) = Site::new() else { return };
    run(async {
        let broker = site.broker(&["a"]).await;
        fill(&broker, "a", 2).await;
        let mut raw = site.raw(BROKER_DB);
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
        for (id, age) in [("a-0", 500.0), ("a-1", 700.0)] {
            let key = site.key("fastworker:revoked");
            redis::cmd("ZADD").arg(key).arg(now - age).arg(format!("id:{id}")).exec(&mut raw).unwrap();
        }
        let due_ms = (now * 1000.0) as i64 + 1_000_000;
        let fetched = broker.fetch(2).await.unwrap();
        for (delivery, id) in fetched.iter().zip(ids(&fetched)) {
            let park = settlement(delivery.tag, Verdict::Park { due_ms });
            broker.settle(&[Settlement { message_id: Some(id), ..park }]).await.unwrap();
        }
        let parked = site.client().parked_page(None, 10).unwrap().messages;
        let waits: Vec<_> = parked.iter().map(|parked| (parked.id.as_str(), parked.due_ms == due_ms)).collect();
        assert_eq!(waits, [("a-0", false), ("a-1", true)]);
    });
}
