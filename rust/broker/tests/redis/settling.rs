//! How leases end.

use fastworker_broker::{Broker, Client, ResultClient, Settlement, Verdict};

use crate::common::{id_of, ids, is_marked, run, settlement};
use crate::support::{BROKER_DB, Site, doc, fill, publish};

#[test]
fn acks_and_results_leave_nothing_but_the_results() {
    let Some(site) = Site::new() else { return };
    run(async {
        let broker = site.broker(&["q"]).await;
        fill(&broker, "q", 3).await;
        let batch: Vec<Settlement> = broker
            .fetch(10)
            .await
            .unwrap()
            .iter()
            .map(|delivery| {
                let result = Some(doc(&id_of(&delivery.message), "SUCCESS"));
                Settlement { result, ..settlement(delivery.tag, Verdict::Ack) }
            })
            .collect();
        assert_eq!(broker.settle(&batch).await.unwrap(), [] as [usize; 0]);
        assert_eq!(site.leases(), (0, 0));
        let found = site.result_client().get_many(&["q-0", "nobody", "q-2"]).unwrap();
        assert_eq!(found[0].as_deref(), Some(&doc("q-0", "SUCCESS").doc[..]));
        assert_eq!((found[1].is_none(), found[2].is_some()), (true, true));
        // Repeated, it is harmless and says that the leases are gone.
        assert_eq!(broker.settle(&batch).await.unwrap(), [0, 1, 2]);
        // The connection is still in the broker's database.
        fill(&broker, "q", 1).await;
        assert_eq!(site.list_len("q"), 1);
    });
}

#[test]
fn successors_and_failures_are_the_lease_holders_alone() {
    let Some(site) = Site::new() else { return };
    run(async {
        let broker = site.broker(&["q"]).await;
        fill(&broker, "q", 3).await;
        let fetched = broker.fetch(10).await.unwrap();
        let mut raw = site.raw(BROKER_DB);
        // Somebody took the first lease.
        let stolen = format!("fw:{}:1:1:0", broker.incarnation());
        redis::cmd("HDEL").arg(site.key("unacked")).arg(&stolen).exec(&mut raw).unwrap();
        redis::cmd("ZREM").arg(site.key("unacked_index")).arg(&stolen).exec(&mut raw).unwrap();
        let failed = |at: usize| Settlement {
            result: Some(doc(&format!("q-{at}"), "FAILURE")),
            successors: vec![publish(&format!("next-{at}"), "q", 9)],
            ..settlement(fetched[at].tag, Verdict::Ack)
        };
        let plain = settlement(fetched[2].tag, Verdict::Ack);
        assert_eq!(broker.settle(&[plain, failed(0), failed(1)]).await.unwrap(), [1]);
        let found = site.result_client().get_many(&["q-0", "q-1"]).unwrap();
        assert_eq!((found[0].is_none(), found[1].is_some()), (true, true));
        assert_eq!(ids(&broker.fetch(10).await.unwrap()), ["next-1"]);
        assert_eq!(site.leases(), (1, 1));
    });
}

#[test]
fn a_lost_plain_lease_is_told_and_its_success_is_stored() {
    let Some(site) = Site::new() else { return };
    run(async {
        let broker = site.broker(&["q"]).await;
        fill(&broker, "q", 2).await;
        let fetched = broker.fetch(10).await.unwrap();
        let stolen = format!("fw:{}:1:2:0", broker.incarnation());
        redis::cmd("ZREM").arg(site.key("unacked_index")).arg(&stolen).exec(&mut site.raw(BROKER_DB)).unwrap();
        let acks: Vec<Settlement> = (0..2)
            .map(|i| Settlement {
                result: Some(doc(&format!("q-{i}"), "SUCCESS")),
                ..settlement(fetched[i].tag, Verdict::Ack)
            })
            .collect();
        assert_eq!(broker.settle(&acks).await.unwrap(), [1]);
        assert!(site.result_client().get("q-1").unwrap().is_some());
    });
}

#[test]
fn a_stored_success_stands() {
    let Some(site) = Site::new() else { return };
    run(async {
        let broker = site.broker(&["q"]).await;
        let mut results = site.result_client();
        broker.store(&[doc("t", "STARTED"), doc("t", "SUCCESS"), doc("t", "FAILURE")]).await.unwrap();
        results.store(&[doc("t", "RETRY")]).unwrap();
        assert_eq!(results.get("t").unwrap().unwrap(), doc("t", "SUCCESS").doc);
        // A result that merely speaks of success does not stand.
        let mut retry = doc("u", "RETRY");
        retry.doc = r#"{"status": "RETRY", "result": {"status": "SUCCESS"}}"#.into();
        broker.store(&[retry]).await.unwrap();
        results.store(&[doc("u", "FAILURE")]).unwrap();
        assert_eq!(results.get("u").unwrap().unwrap(), doc("u", "FAILURE").doc);
        results.forget(&["t", "u"]).unwrap();
        assert_eq!(results.get("t").unwrap(), None);
    });
}

#[test]
fn returns_go_to_the_front_in_their_old_order() {
    let Some(site) = Site::new() else { return };
    run(async {
        let broker = site.broker(&["q"]).await;
        fill(&broker, "q", 5).await;
        let fetched = broker.fetch(4).await.unwrap();
        let unmarked = Verdict::Return { is_redelivery: false };
        let marked = Verdict::Return { is_redelivery: true };
        let batch: Vec<Settlement> = [&unmarked, &unmarked, &marked, &unmarked]
            .iter()
            .zip(&fetched)
            .map(|(verdict, delivery)| settlement(delivery.tag, (*verdict).clone()))
            .collect();
        broker.settle(&batch).await.unwrap();
        let again = broker.fetch(10).await.unwrap();
        assert_eq!(ids(&again), ["q-0", "q-1", "q-2", "q-3", "q-4"]);
        assert_eq!(again[1].message, fetched[1].message);
        let marks: Vec<bool> = again.iter().map(|delivery| is_marked(&delivery.message)).collect();
        assert_eq!(marks, [false, false, true, false, false]);
    });
}

#[test]
fn a_dead_letter_is_found_retried_and_purged() {
    let Some(site) = Site::new() else { return };
    run(async {
        let broker = site.broker(&["q"]).await;
        broker.publish(&[publish("one", "q", 5), publish("two", "q", 5), publish("two", "q", 5)]).await.unwrap();
        let fetched = broker.fetch(10).await.unwrap();
        let bury = |at: usize, id: &str| Settlement {
            message_id: Some(id.into()),
            ..settlement(fetched[at].tag, Verdict::DeadLetter { reason: "unknown task".into(), detail: "é".into() })
        };
        broker.settle(&[bury(0, "one"), bury(1, "two"), bury(2, "two")]).await.unwrap();
        assert_eq!(site.leases(), (0, 0));
        let mut client = site.client();
        let letter = client.dead_letter("on").unwrap().unwrap();
        assert_eq!((letter.id.as_str(), letter.task.as_deref()), ("one", Some("proj.add")));
        assert_eq!((letter.priority, letter.detail.as_str()), (5, "é"));
        assert_eq!(letter.message, fetched[0].message);
        // Two messages with one id are both kept; a prefix of both is not unique.
        let kept: Vec<String> = client.dead_letters(10).unwrap().into_iter().map(|letter| letter.id).collect();
        assert_eq!(kept.len(), 3, "{kept:?}");
        assert_eq!(client.dead_letter("tw").unwrap(), None);
        assert!(client.retry_dead_letter("one").unwrap());
        assert!(!client.retry_dead_letter("one").unwrap());
        assert_eq!(ids(&broker.fetch(10).await.unwrap()), ["one"]);
        assert_eq!(client.purge_dead_letters(Some("two")).unwrap(), 1);
        assert_eq!(client.purge_dead_letters(None).unwrap(), 1);
    });
}

#[test]
fn attempts_count_up_and_end_with_their_message() {
    let Some(site) = Site::new() else { return };
    run(async {
        let broker = site.broker(&["q"]).await;
        fill(&broker, "q", 1).await;
        let tag = broker.fetch(1).await.unwrap()[0].tag;
        assert_eq!(broker.begin_attempt(tag, "q-0", 0).await.unwrap(), Some(1));
        assert_eq!(broker.begin_attempt(tag, "q-0", 3).await.unwrap(), Some(4));
        let ack = Settlement { message_id: Some("q-0".into()), has_attempts: true, ..settlement(tag, Verdict::Ack) };
        assert!(broker.settle(&[ack]).await.unwrap().is_empty());
        fill(&broker, "q", 1).await;
        let tag = broker.fetch(1).await.unwrap()[0].tag;
        assert_eq!(broker.begin_attempt(tag, "q-0", 0).await.unwrap(), Some(1));
    });
}

#[test]
fn an_early_ack_stores_its_result_later() {
    let Some(site) = Site::new() else { return };
    run(async {
        let broker = site.broker(&["q"]).await;
        fill(&broker, "q", 1).await;
        let tag = broker.fetch(1).await.unwrap()[0].tag;
        let started = Settlement { result: Some(doc("q-0", "STARTED")), ..settlement(tag, Verdict::Keep) };
        assert!(broker.settle(&[started]).await.unwrap().is_empty());
        assert!(broker.settle(&[settlement(tag, Verdict::Ack)]).await.unwrap().is_empty());
        let done = Settlement {
            result: Some(doc("q-0", "FAILURE")),
            successors: vec![publish("next", "q", 0)],
            ..settlement(tag, Verdict::Acked)
        };
        assert!(broker.settle(&[done]).await.unwrap().is_empty());
        assert_eq!(site.result_client().get("q-0").unwrap().unwrap(), doc("q-0", "FAILURE").doc);
        assert_eq!(ids(&broker.fetch(1).await.unwrap()), ["next"]);
    });
}
