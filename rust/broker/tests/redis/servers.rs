//! Servers of our own, to be stopped, filled up and crippled.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fastworker_broker::{
    Broker, Client, Error, RedisBroker, RedisClient, RedisOptions, ResultClient, Settlement, Verdict,
};

use crate::common::{id_of, ids, run, settlement};
use crate::support::{Site, doc, fill, publish};

/// A server on a free port, with nothing kept but what its append-only file holds.
pub(crate) struct Server {
    process: Child,
    port: u16,
    directory: tempfile::TempDir,
    extra: Vec<String>,
}

impl Server {
    /// `None` when no server can be started, which is told, or fails under `CI=true`.
    pub(crate) fn start(extra: &[&str]) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let directory = tempfile::tempdir().unwrap();
        let extra: Vec<String> = extra.iter().map(ToString::to_string).collect();
        let process = spawn(port, directory.path(), &extra);
        match process {
            Ok(process) => {
                let mut server = Self { process, port, directory, extra };
                server.wait_until_up();
                Some(server)
            }
            Err(error) => {
                assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "no redis-server: {error}");
                eprintln!("skipped: no redis-server: {error}");
                None
            }
        }
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn restart(&mut self) {
        self.process = spawn(self.port, self.directory.path(), &self.extra).unwrap();
        self.wait_until_up();
    }

    fn wait_until_up(&mut self) {
        let client = redis::Client::open(self.address()).unwrap();
        while client.get_connection().and_then(|mut raw| redis::cmd("PING").exec(&mut raw)).is_err() {
            let ended = self.process.try_wait().unwrap();
            assert!(ended.is_none(), "redis-server {:?} ended: {ended:?}", self.extra);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn address(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn configure(&self, words: &[&str]) {
        let mut raw = redis::Client::open(self.address()).unwrap().get_connection().unwrap();
        redis::cmd(words[0]).arg(&words[1..]).exec(&mut raw).unwrap();
    }

    /// What a test needs of a [`Site`], on this server.
    pub(crate) fn site(&self) -> Site {
        Site::at(self.address())
    }
}

fn spawn(port: u16, directory: &std::path::Path, extra: &[String]) -> std::io::Result<Child> {
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--save", "", "--dir"]).arg(directory);
    command.arg("--unixsocket").arg(directory.join("redis.sock"));
    command.args(extra).stdout(Stdio::null()).spawn()
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

#[test]
fn a_server_that_restarts_with_its_file_loses_nothing() {
    let Some(mut server) = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]) else { return };
    let site = server.site();
    run(async {
        let broker = site.broker(&["q"]).await;
        let mut client = site.client();
        client.publish(&[publish("1", "q", 0), publish("2", "q", 0)]).unwrap();
        let held = broker.fetch(1).await.unwrap();
        server.kill();
        assert!(broker.fetch(1).await.unwrap_err().is_transient());
        assert!(broker.settle(&[settlement(held[0].tag, Verdict::Ack)]).await.unwrap_err().is_transient());
        assert!(client.publish(&[publish("3", "q", 0)]).unwrap_err().is_transient());
        server.restart();
        client.publish(&[publish("3", "q", 0)]).unwrap();
        broker.heartbeat().await.unwrap();
        // A guarded call: the new server knows no script.
        let ack = Settlement { has_attempts: true, ..settlement(held[0].tag, Verdict::Ack) };
        assert!(broker.settle(&[ack]).await.unwrap().is_empty());
        assert_eq!(ids(&broker.fetch(10).await.unwrap()), ["2", "3"]);
    });
}

#[test]
fn forgotten_scripts_are_loaded_again() {
    let Some(server) = Server::start(&[]) else { return };
    let site = server.site();
    run(async {
        let broker = site.broker(&["q"]).await;
        fill(&broker, "q", 3).await;
        broker.fetch(1).await.unwrap();
        server.configure(&["SCRIPT", "FLUSH"]);
        let held = broker.fetch(1).await.unwrap();
        broker.heartbeat().await.unwrap();
        broker.store(&[doc("t", "STARTED")]).await.unwrap();
        server.configure(&["SCRIPT", "FLUSH"]);
        site.result_client().store(&[doc("u", "STARTED")]).unwrap();
        let returned = settlement(held[0].tag, Verdict::Return { is_redelivery: false });
        assert!(broker.settle(&[returned]).await.unwrap().is_empty());
        assert_eq!(broker.fetch(10).await.unwrap().len(), 2);
    });
}

#[test]
fn a_full_server_refuses_new_messages_and_lets_held_ones_end() {
    let Some(server) = Server::start(&[]) else { return };
    let site = server.site();
    run(async {
        let broker = site.broker(&["q"]).await;
        fill(&broker, "q", 3).await;
        broker.fetch(1).await.unwrap();
        server.configure(&["CONFIG", "SET", "maxmemory", "1"]);
        let error = broker.publish(&[publish("x", "q", 0)]).await.unwrap_err();
        assert!(
            matches!(&error, Error::Refused { what: "publish", .. }) && error.to_string().contains("OOM"),
            "{error}"
        );
        assert!(matches!(site.client().publish(&[publish("x", "q", 0)]), Err(Error::Refused { .. })));
        broker.heartbeat().await.unwrap();
        let held = broker.fetch(10).await.unwrap();
        assert_eq!(held.len(), 2);
        let with_result = |at: usize, status: &str| Settlement {
            result: Some(doc(&id_of(&held[at].message), status)),
            ..settlement(held[at].tag, Verdict::Ack)
        };
        assert!(broker.settle(&[with_result(0, "SUCCESS"), with_result(1, "FAILURE")]).await.unwrap().is_empty());
        assert!(site.result_client().get("q-1").unwrap().is_some());
        assert_eq!(site.leases(), (1, 1));
    });
}

#[test]
fn a_server_without_resp3_is_polled() {
    let Some(server) = Server::start(&["--rename-command", "HELLO", "NO_HELLO"]) else { return };
    let site = server.site();
    run(async {
        let broker = site.broker(&["q"]).await;
        assert!(!broker.is_tracked());
        assert!(broker.fetch(1).await.unwrap().is_empty());
        fill(&broker, "q", 1).await;
        let since = std::time::Instant::now();
        broker.wait().await;
        assert!(since.elapsed() < Duration::from_millis(500));
        assert_eq!(broker.fetch(1).await.unwrap().len(), 1);
    });
}

#[test]
fn a_unix_socket_and_a_password_work() {
    let Some(server) = Server::start(&[]) else { return };
    server.configure(&["CONFIG", "SET", "requirepass", "p@ss/word"]);
    let path = server.directory.path().join("redis.sock");
    let options = |password: &str| {
        let url = format!("redis+socket://{password}{}?virtual_host=2", path.display());
        RedisOptions::parse(&url, &[]).unwrap()
    };
    let mut client = RedisClient::new(options(":p%40ss%2Fword@"));
    client.publish(&[publish("1", "q", 0)]).unwrap();
    assert_eq!(client.depth("q").unwrap(), 1);
    let error = RedisClient::new(options(":wrong@")).depth("q").unwrap_err();
    assert!(!error.is_transient() && !error.to_string().contains("wrong@"), "{error}");
    run(async {
        let terms = fastworker_broker::LeaseTerms { life: Duration::from_secs(9), refresh: Duration::from_secs(3) };
        let error = RedisBroker::connect(options(":wrong@"), &["q".into()], None, terms).await.err().unwrap();
        assert!(!error.is_transient(), "{error}");
        let broker = RedisBroker::connect(options(":p%40ss%2Fword@"), &["q".into()], None, terms).await.unwrap();
        assert_eq!(broker.fetch(1).await.unwrap().len(), 1);
    });
}

#[test]
fn results_on_another_server_are_stored_before_the_ack() {
    let (Some(site), Some(server)) = (Site::new(), Server::start(&[])) else { return };
    run(async {
        let terms = fastworker_broker::LeaseTerms { life: Duration::from_secs(9), refresh: Duration::from_secs(3) };
        let elsewhere = server.site();
        let options = site.options_at(&site.address);
        assert!(!elsewhere.results().same_server(&options));
        let broker = RedisBroker::connect(options, &["q".into()], Some(elsewhere.results()), terms).await.unwrap();
        fill(&broker, "q", 3).await;
        let held = broker.fetch(3).await.unwrap();
        let ending = |at: usize, status: &str| Settlement {
            result: Some(doc(&id_of(&held[at].message), status)),
            ..settlement(held[at].tag, Verdict::Ack)
        };
        assert!(broker.settle(&[ending(0, "SUCCESS"), ending(1, "FAILURE")]).await.unwrap().is_empty());
        // Settled already: the failure comes too late, the success is stored.
        assert_eq!(broker.settle(&[ending(1, "RETRY"), ending(0, "SUCCESS")]).await.unwrap(), [0, 1]);
        let found = elsewhere.result_client().get_many(&["q-0", "q-1"]).unwrap();
        assert_eq!(found[0].as_ref().unwrap(), &doc("q-0", "SUCCESS").doc);
        assert_eq!(found[1].as_ref().unwrap(), &doc("q-1", "FAILURE").doc);
        assert_eq!(site.leases(), (1, 1));
    });
}

/// A certificate for localhost that signs itself; false when there is no `openssl` to make one.
fn make_certificate(directory: &std::path::Path) -> bool {
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]);
    command.args(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"]);
    command.args(["-keyout", "tls.key", "-out", "tls.crt"]).current_dir(directory);
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

#[test]
fn tls_is_checked_unless_the_user_says_otherwise() {
    let directory = tempfile::tempdir().unwrap();
    if !make_certificate(directory.path()) {
        eprintln!("skipped: no openssl");
        return;
    }
    let (key, certificate) = (directory.path().join("tls.key"), directory.path().join("tls.crt"));
    let tls_port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let port_text = tls_port.to_string();
    let args = ["--tls-port", &port_text, "--tls-cert-file", &path(&certificate), "--tls-key-file", &path(&key)];
    let Some(_server) =
        Server::start(&[&args[..], &["--tls-ca-cert-file", &path(&certificate), "--tls-auth-clients", "no"]].concat())
    else {
        return;
    };
    let options = |query: &str| RedisOptions::parse(&format!("rediss://localhost:{tls_port}/0{query}"), &[]).unwrap();
    let trusting = options(&format!("?ssl_ca_certs={}", path(&certificate)));
    RedisClient::new(trusting.clone()).publish(&[publish("1", "q", 0)]).unwrap();
    assert_eq!(RedisClient::new(options("?ssl_cert_reqs=none")).depth("q").unwrap(), 1);
    let error = RedisClient::new(options("")).depth("q").unwrap_err();
    assert!(error.to_string().to_lowercase().contains("certificate"), "{error}");
    run(async {
        let terms = fastworker_broker::LeaseTerms { life: Duration::from_secs(9), refresh: Duration::from_secs(3) };
        let broker = RedisBroker::connect(trusting, &["q".into()], None, terms).await.unwrap();
        assert!(broker.is_tracked());
        assert_eq!(broker.fetch(1).await.unwrap().len(), 1);
    });
}
