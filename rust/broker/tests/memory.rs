//! The broker in memory through its public face.

use fastworker_broker::conformance::{Server, compare_chords, exercise};
use fastworker_broker::{
    AnyBroker, AnyStore, Broker, Client, Error, LeaseTerms, MemoryBroker, MemoryClient, MemoryResultClient, Publish,
    QueueOrder, ResultClient, ResultDoc, Settlement, Store, Verdict, clear_memory, client, connect, memory_messages,
    result_client,
};
use std::time::Duration;

const TERMS: LeaseTerms = LeaseTerms { life: Duration::from_secs(10), refresh: Duration::from_secs(3) };

/// A room of its own for each test.
struct Named(&'static str);

impl Server for Named {
    type Broker = MemoryBroker;

    fn name(&self) -> &str {
        "memory"
    }

    async fn broker(&self, queues: &[String], terms: LeaseTerms, order: QueueOrder) -> Result<MemoryBroker, Error> {
        Ok(MemoryBroker::connect(self.0, queues, terms)?.ordered(order))
    }

    fn client(&self) -> Result<Box<dyn Client>, Error> {
        Ok(Box::new(MemoryClient::new(self.0)))
    }

    fn results(&self) -> Result<Box<dyn ResultClient>, Error> {
        Ok(Box::new(MemoryResultClient::new(self.0)))
    }

    fn results_at(&self) -> (String, Vec<(String, String)>) {
        (format!("memory://{}", self.0), Vec::new())
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

fn message(queue: &str) -> Publish {
    Publish { queue: queue.to_owned(), priority: 0, message: "{}".into() }
}

fn doc(task_id: &str) -> ResultDoc {
    ResultDoc { task_id: task_id.to_owned(), doc: "{}".into(), is_success: true, ttl_s: Some(30), reply: None }
}

#[test]
fn it_passes_the_suite() {
    assert!(exercise(&Named("suite")) > 30);
}

#[test]
fn its_chords_do_as_the_model_does() {
    compare_chords(&Named("machine"), 200);
}

#[test]
fn rooms_are_apart_and_one_name_is_one_room_in_every_thread() {
    client("memory://one", &[]).expect("client").publish(&[message("q")]).expect("publish");
    let depth = |url: &'static str| {
        let elsewhere = std::thread::spawn(move || client(url, &[]).expect("client").depth("q").expect("depth"));
        elsewhere.join().expect("it ends")
    };
    assert_eq!((depth("memory://localhost/one"), depth("memory://other")), (1, 0));
}

#[test]
fn results_in_the_same_room_need_no_store_of_their_own() {
    block_on(async {
        let queues = ["q".to_owned()];
        let (broker, store) =
            connect("memory://beside", &[], &queues, Some("cache+memory://beside"), &[], TERMS).await.expect("connect");
        assert!(matches!(broker, AnyBroker::Memory(_)) && store.is_none());
        broker.store(&[doc("t")]).await.expect("store");
        assert!(result_client("memory://beside", &[]).expect("results").get("t").expect("get").is_some());

        let (_, store) =
            connect("memory://beside", &[], &queues, Some("memory://elsewhere"), &[], TERMS).await.expect("connect");
        let store = store.expect("a store");
        assert!(matches!(store, AnyStore::Memory(_)));
        store.store(&[doc("u")]).await.expect("store");
        assert!(result_client("memory://elsewhere", &[]).expect("results").get("u").expect("get").is_some());
    });
}

#[test]
fn what_waits_can_be_looked_at_in_the_order_of_fetching() {
    block_on(async {
        let broker = MemoryBroker::connect("looked at", &["q".to_owned()], TERMS).expect("connect");
        broker.publish(&[message("q")]).await.expect("publish");
        let held = broker.fetch(1).await.expect("fetch");
        let urgent = Publish { priority: 3, ..message("late") };
        let least = Publish { priority: 9, ..message("q") };
        broker.publish(&[least.clone(), urgent.clone()]).await.expect("publish");
        let park = Settlement {
            tag: held[0].tag,
            message_id: None,
            has_attempts: false,
            verdict: Verdict::Park { due_ms: i64::MAX },
            result: None,
            successors: Vec::new(),
            member: None,
        };
        assert_eq!(
            memory_messages("memory://looked at").expect("a look"),
            [urgent.clone(), least.clone()],
            "one is leased"
        );
        assert!(broker.settle(&[park]).await.expect("settle").is_empty());
        assert_eq!(memory_messages("memory://looked at").expect("a look"), [message("q"), urgent, least]);
    });
}

#[test]
fn a_cleared_room_is_empty_and_its_leases_are_lost() {
    block_on(async {
        let broker = MemoryBroker::connect("cleared", &["q".to_owned()], TERMS).expect("connect");
        broker.publish(&[message("q"), message("q")]).await.expect("publish");
        let held = broker.fetch(1).await.expect("fetch");
        broker.store(&[doc("t")]).await.expect("store");
        clear_memory("cleared");
        assert!(broker.fetch(1).await.expect("fetch").is_empty());
        client("memory://cleared", &[]).expect("client").publish(&[message("q")]).expect("publish");
        let again = broker.fetch(1).await.expect("fetch");
        assert!(again.len() == 1 && again[0].tag != held[0].tag, "who was in it before is still in the same room");
        let ack = Settlement {
            tag: held[0].tag,
            message_id: None,
            has_attempts: false,
            verdict: Verdict::Ack,
            result: None,
            successors: Vec::new(),
            member: None,
        };
        assert_eq!(broker.settle(&[ack]).await.expect("settle"), [0]);
        let mut client = client("memory://cleared", &[]).expect("client");
        assert_eq!(client.depth("q").expect("depth"), 0);
        assert!(result_client("memory://cleared", &[]).expect("results").get("t").expect("get").is_none());
    });
}
