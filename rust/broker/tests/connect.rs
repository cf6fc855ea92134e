//! From URLs to connections, across kinds. Redis is on its standard port, or the test says that it is not there.

use std::time::Duration;

use bytes::Bytes;
use fastworker_broker::{
    AnyBroker, AnyStore, Broker, LeaseTerms, Publish, ResultDoc, Store, client, connect, result_client,
};

const TERMS: LeaseTerms = LeaseTerms { life: Duration::from_secs(10), refresh: Duration::from_secs(3) };
const REDIS: &str = "redis://127.0.0.1:6379/10";

fn doc(task_id: &str) -> ResultDoc {
    ResultDoc {
        task_id: task_id.to_owned(),
        doc: Bytes::from_static(b"{}"),
        is_success: true,
        ttl_s: Some(30),
        reply: None,
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

#[test]
fn results_beside_the_queue_need_no_store_of_their_own() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("queue.db");
    let url = format!("sqlite:///{}", file.display());
    // The same file by another name.
    let again = format!("sqlite:///{}/./queue.db?synchronous=full", directory.path().display());
    block_on(async {
        let (broker, store) = connect(&url, &[], &["q".to_owned()], Some(&again), &[], TERMS).await.expect("connect");
        assert!(matches!(broker, AnyBroker::Sqlite(_)) && store.is_none());
        broker.store(&[doc("t")]).await.expect("store");
        assert!(result_client(&again, &[]).expect("results").get("t").expect("get").is_some());
        let publish = Publish { queue: "q".to_owned(), priority: 0, message: Bytes::from_static(b"{}") };
        client(&url, &[]).expect("client").publish(&[publish]).expect("publish");
        assert_eq!(broker.fetch(1).await.expect("fetch").len(), 1);
        broker.close().await.expect("close");
    });
}

#[test]
fn results_in_another_file_have_a_store() {
    let directory = tempfile::tempdir().expect("a directory");
    let url = |name: &str| format!("sqlite:///{}/{name}", directory.path().display());
    block_on(async {
        let (_broker, store) =
            connect(&url("queue.db"), &[], &[], Some(&url("results.db")), &[], TERMS).await.expect("connect");
        let store = store.expect("a store");
        assert!(matches!(store, AnyStore::Sqlite(_)));
        store.store(&[doc("t")]).await.expect("store");
        assert!(result_client(&url("results.db"), &[]).expect("results").get("t").expect("get").is_some());
        assert!(result_client(&url("queue.db"), &[]).expect("results").get("t").expect("get").is_none());
    });
}

#[test]
fn a_file_queue_may_have_its_results_in_redis() {
    if std::net::TcpStream::connect("127.0.0.1:6379").is_err() {
        assert!(std::env::var_os("CI").is_none(), "no Redis on 127.0.0.1:6379");
        eprintln!("skipped: no Redis on 127.0.0.1:6379");
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let url = format!("sqlite:///{}/queue.db", directory.path().display());
    let task = format!("connect-test-{:016x}", getrandom::u64().expect("random"));
    block_on(async {
        let (_broker, store) = connect(&url, &[], &[], Some(REDIS), &[], TERMS).await.expect("connect");
        let store = store.expect("a store");
        assert!(matches!(store, AnyStore::Redis(_)));
        store.store(&[doc(&task)]).await.expect("store");
        let mut results = result_client(REDIS, &[]).expect("results");
        assert!(results.get(&task).expect("get").is_some());
        results.forget(&[&task]).expect("forget");
    });
}

#[test]
fn an_unknown_scheme_is_refused_before_anything_is_opened() {
    let refused = block_on(connect("sqlite:///q.db", &[], &[], Some("rpc://"), &[], TERMS));
    let error = refused.err().expect("rpc is not supported").to_string();
    assert!(error.contains("\"rpc\""), "{error}");
    assert!(!std::path::Path::new("q.db").exists());
    assert!(client("mongodb://localhost/", &[]).is_err());
}
