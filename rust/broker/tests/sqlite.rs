//! The embedded broker through its public face.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use fastworker_broker::conformance::{Server, compare_chords, exercise};
use fastworker_broker::{
    Broker, Cancel, Cancelled, Client, Delivery, Error, LeaseTerms, ParkedClient, Publish, QueueOrder, ResultClient,
    Settlement, SqliteBroker, SqliteClient, SqliteOptions, SqliteResultClient, Verdict,
};

/// A file of its own for each test.
struct File {
    _directory: tempfile::TempDir,
    path: PathBuf,
}

impl File {
    fn new() -> File {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("made for it").join("queue.db");
        File { _directory: directory, path }
    }

    fn options(&self) -> SqliteOptions {
        SqliteOptions::parse(&format!("sqlite:///{}", self.path.display()), &[]).expect("a good URL")
    }
}

impl Server for File {
    type Broker = SqliteBroker;

    fn name(&self) -> &str {
        "sqlite"
    }

    async fn broker(&self, queues: &[String], terms: LeaseTerms, order: QueueOrder) -> Result<SqliteBroker, Error> {
        SqliteBroker::connect(SqliteOptions { order, ..self.options() }, queues, terms).await
    }

    fn client(&self) -> Result<Box<dyn Client>, Error> {
        Ok(Box::new(SqliteClient::new(self.options())))
    }

    fn results(&self) -> Result<Box<dyn ResultClient>, Error> {
        Ok(Box::new(SqliteResultClient::new(self.options())))
    }

    fn results_at(&self) -> (String, Vec<(String, String)>) {
        (format!("sqlite:///{}", self.path.display()), Vec::new())
    }
}

#[test]
fn it_passes_the_suite() {
    assert!(exercise(&File::new()) > 30);
}

#[test]
fn its_chords_do_as_the_model_does() {
    compare_chords(&File::new(), 200);
}

const TERMS: LeaseTerms = LeaseTerms { life: Duration::from_secs(10), refresh: Duration::from_secs(3) };

fn message(text: impl Into<Bytes>) -> Publish {
    Publish { queue: "celery".to_owned(), priority: 0, message: text.into() }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

fn ack(delivery: &Delivery) -> Settlement {
    Settlement {
        tag: delivery.tag,
        message_id: None,
        has_attempts: false,
        verdict: Verdict::Ack,
        result: None,
        successors: Vec::new(),
        member: None,
    }
}

#[test]
fn a_body_of_a_hundred_megabytes_works() {
    let file = File::new();
    let large = Bytes::from(format!("{{\"body\": \"{}\"}}", "x".repeat(100 << 20)));
    let mut client = SqliteClient::new(file.options());
    client.publish(&[message(large.clone()), message("{}")]).expect("publish");
    block_on(async {
        let broker = file.broker(&["celery".to_owned()], TERMS, QueueOrder::default()).await.expect("connect");
        let first = broker.fetch(10).await.expect("fetch");
        assert!(first.len() == 1 && first[0].message == large, "a fetch of this size stops early");
        let second = broker.fetch(10).await.expect("fetch");
        assert_eq!(&second[0].message[..], b"{}");
        assert!(broker.settle(&[ack(&first[0]), ack(&second[0])]).await.expect("settle").is_empty());
    });
}

#[test]
fn a_file_that_is_removed_in_use_is_made_anew() {
    let file = File::new();
    let mut client = SqliteClient::new(file.options());
    client.publish(&[message("{}")]).expect("publish");
    block_on(async {
        let broker = file.broker(&["celery".to_owned()], TERMS, QueueOrder::default()).await.expect("connect");
        let held = broker.fetch(1).await.expect("fetch");
        std::fs::remove_dir_all(file.path.parent().expect("its directory")).expect("remove");
        client.publish(&[message("{\"n\": 2}")]).expect("a publish after the removal reaches the new file");
        assert_eq!(broker.settle(&[ack(&held[0])]).await.expect("settle"), [0], "the lease went with the file");
        let again = broker.fetch(1).await.expect("fetch");
        assert_eq!(&again[0].message[..], b"{\"n\": 2}");
        broker.heartbeat().await.expect("heartbeat");
        assert!(broker.settle(&[ack(&again[0])]).await.expect("settle").is_empty());
    });
}

#[test]
fn a_lock_that_somebody_sits_on_is_a_transient_error() {
    let file = File::new();
    let url = format!("sqlite:///{}?busy_timeout=0.2", file.path.display());
    let mut client = SqliteClient::new(SqliteOptions::parse(&url, &[]).expect("a good URL"));
    client.publish(&[message("{}")]).expect("publish");
    let hog = rusqlite::Connection::open(&file.path).expect("open");
    hog.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let error = client.publish(&[message("{}")]).expect_err("the lock is taken");
    assert!(error.is_transient() && error.to_string().contains("busy_timeout"), "{error}");
    assert_eq!(client.depth("celery").expect("readers are not kept out"), 1);
    hog.execute_batch("ROLLBACK").expect("the lock is free");
    client.publish(&[message("{}")]).expect("publish");
}

#[test]
fn a_body_that_sqlite_cannot_hold_is_refused() {
    let file = File::new();
    let mut client = SqliteClient::new(file.options());
    client.publish(&[message("{}")]).expect("publish");
    block_on(async {
        let broker = file.broker(&["celery".to_owned()], TERMS, QueueOrder::default()).await.expect("connect");
        let held = broker.fetch(1).await.expect("fetch");
        let huge = message(vec![b'x'; 1_100_000_000]);
        let error = broker.publish(&[huge]).await.expect_err("too large");
        assert!(!error.is_transient() && error.to_string().contains("1,000,000,000"), "{error}");
        assert!(broker.settle(&[ack(&held[0])]).await.expect("settle").is_empty());
    });
}

#[test]
fn a_path_that_cannot_be_a_file_says_what_to_do() {
    let error = |url: &str| {
        let mut client = SqliteClient::new(SqliteOptions::parse(url, &[]).expect("a good URL"));
        client.publish(&[message("{}")]).expect_err("it cannot work").to_string()
    };
    let file = File::new();
    std::fs::create_dir_all(&file.path).expect("a directory in the place of the file");
    assert!(error(&format!("sqlite:///{}", file.path.display())).contains("check that it is a file"));
    assert!(error("sqlite:////proc/nowhere/queue.db").contains("cannot create the directory"));
}

#[test]
fn every_client_is_closed_before_a_fork_and_opens_again() {
    let file = File::new();
    let mut client = SqliteClient::new(file.options());
    client.publish(&[message("{}")]).expect("publish");
    let is_open = || {
        let files = std::fs::read_dir("/proc/self/fd").expect("our descriptors");
        files.flatten().any(|entry| std::fs::read_link(entry.path()).is_ok_and(|target| target == file.path))
    };
    assert!(is_open());
    fastworker_broker::before_fork();
    assert!(!is_open());
    let publisher = std::thread::spawn(move || client.publish(&[message("{}")]).map(|()| client));
    fastworker_broker::after_fork();
    let mut client = publisher.join().expect("it ends").expect("publish");
    assert_eq!(client.depth("celery").expect("depth"), 2);
}

/// When the tests' parked messages are due: far away.
const DUE_MS: i64 = 4_000_000_000_000;

/// Publishes a message with this task id, and has a worker park it.
async fn park(file: &File, broker: &SqliteBroker, id: &str) {
    let text = format!(r#"{{"headers": {{"task": "t", "id": "{id}"}}, "properties": {{}}}}"#);
    SqliteClient::new(file.options()).publish(&[message(text)]).expect("publish");
    let held = broker.fetch(1).await.expect("fetch");
    let verdict = Verdict::Park { due_ms: DUE_MS };
    let park = Settlement { message_id: Some(id.to_owned()), verdict, ..ack(&held[0]) };
    assert!(broker.settle(&[park]).await.expect("settle").is_empty());
}

#[test]
fn handle_of_a_message_that_is_gone_does_not_come_to_mean_another() {
    let file = File::new();
    let mut client = SqliteClient::new(file.options());
    block_on(async {
        let broker = file.broker(&["celery".to_owned()], TERMS, QueueOrder::default()).await.expect("connect");
        park(&file, &broker, "one").await;
        let handle = client.parked_page(None, 10).expect("list").messages.remove(0).handle;
        let cancel = Cancel { handle: handle.clone(), seen: None, result: None };
        assert_eq!(client.cancel_parked(std::slice::from_ref(&cancel), None).expect("cancel"), [Cancelled::Removed]);
        // It gets the number, and the time, of the first.
        park(&file, &broker, "two").await;
        assert_eq!(client.release_parked(&[&handle]).expect("release"), [false]);
        assert_eq!(client.cancel_parked(&[cancel], None).expect("cancel"), [Cancelled::NotParked]);
        let other = client.parked_page(None, 10).expect("list").messages.remove(0);
        assert_eq!(other.handle.replace("two", "one"), handle);
        assert_eq!(client.parked_page(Some(&other.handle), 10).expect("list").messages, []);
        assert_eq!(client.release_parked(&[&other.handle]).expect("release"), [true]);
    });
}

#[test]
fn what_was_revoked_long_ago_stays_parked_until_it_is_due() {
    let file = File::new();
    let mut client = SqliteClient::new(file.options());
    block_on(async {
        let broker = file.broker(&["celery".to_owned()], TERMS, QueueOrder::default()).await.expect("connect");
        let now_ms = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_millis() as i64;
        let raw = rusqlite::Connection::open(&file.path).expect("open");
        for (id, age_ms) in [("new", 500_000), ("old", 700_000)] {
            raw.execute("INSERT INTO revoked VALUES (?1, ?2)", (format!("id:{id}"), now_ms - age_ms)).expect("revoke");
            park(&file, &broker, id).await;
        }
        let parked = client.parked_page(None, 10).expect("list").messages;
        let waits: Vec<_> = parked.iter().map(|parked| (parked.id.as_str(), parked.due_ms == DUE_MS)).collect();
        assert_eq!(waits, [("new", false), ("old", true)]);
    });
}
