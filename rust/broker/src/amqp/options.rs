//! URLs and transport options as one typed value.

use std::time::Duration;

use lapin::tcp::{OwnedIdentity, OwnedTLSConfig};
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo, SASLMechanism};
use url::Url;

use super::replying::ReplyTerms;
use super::topology::Topology;
use crate::Error;
use crate::order::QueueOrder;
use crate::settings::Settings;

const PORT: u16 = 5672;
const TLS_PORT: u16 = 5671;
/// Celery's `broker_connection_timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
/// How long a call may take, a publish until its confirmation included; long enough for a body of 100 MB.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
/// How soon a server, or a worker, that fell silent is taken for dead is twice this at most. Celery's 120 would keep what a
/// lost machine held for four minutes.
const HEARTBEAT_S: u64 = 20;

/// A RabbitMQ broker: where it is, and how queues are declared.
#[derive(Clone)]
pub struct AmqpOptions {
    /// To be tried in turn.
    pub(super) servers: Vec<AMQPUri>,
    pub(super) tls: OwnedTLSConfig,
    /// For logs and errors.
    pub(super) masked: String,
    pub(super) connect_timeout: Duration,
    pub(super) response_timeout: Duration,
    pub(super) topology: Topology,
    /// Of the queues in which messages wait for their time: `quorum` or `classic`.
    pub(super) delayed_type: String,
    /// A client's own queue for results of `rpc://`.
    pub(super) reply_queue: Option<String>,
    /// So long after the client has gone that queue goes too; `None`: it stays.
    pub(super) reply_expires_ms: Option<i64>,
    /// How a worker sends results; `None`: they are kept elsewhere.
    pub(super) replies: Option<ReplyTerms>,
    /// What is published bears `expiration`, as Celery's does: the server throws it away once it has expired.
    pub(super) keeps_expiration: bool,
    /// Which of the queues of one priority comes first.
    pub(super) order: QueueOrder,
    unused: Vec<String>,
}

impl std::fmt::Debug for AmqpOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("AmqpOptions").field(&self.masked).finish()
    }
}

impl AmqpOptions {
    /// Reads `amqp://user:password@host:port/vhost`, `pyamqp://` and `amqps://`; several with `;` between them are tried in
    /// turn. Without a virtual host it is `/`.
    ///
    /// Options that are acted on: `heartbeat`, `socket_connect_timeout`, `socket_timeout` (all in seconds), `ssl_ca_certs`,
    /// `ssl_certfile`, `ssl_keyfile` (any `ssl_…` has the connection encrypted, whatever the URL says), `login_method` (`PLAIN`,
    /// `AMQPLAIN` or `EXTERNAL`), `queues` (`topology.rs`), `queue_order_strategy`, `native_delayed_delivery_queue_type` and
    /// `expire_in_queue` (`true` or `false`). Publisher confirms are always on.
    ///
    /// # Errors
    /// [`Error::Url`]: a URL or an option cannot be used; the text says which, and what to try.
    pub fn parse(url: &str, transport_options: &[(String, String)]) -> Result<AmqpOptions, Error> {
        let mut parsed = Vec::new();
        for one in url.split(';').map(str::trim).filter(|one| !one.is_empty()) {
            parsed.push(Url::parse(one).map_err(|cause| wrong(&roughly(one), &cause.to_string()))?);
        }
        let query: Vec<(String, String)> = parsed.iter().flat_map(|url| url.query_pairs().into_owned()).collect();
        let pairs = query.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into()));
        let mut settings = Settings::new(transport_options, pairs);
        let heartbeat_s = settings.seconds("heartbeat")?.map_or(HEARTBEAT_S, |seconds| seconds.as_secs());
        let connect_timeout = settings.seconds("socket_connect_timeout")?.unwrap_or(CONNECT_TIMEOUT);
        let response_timeout = settings.seconds("socket_timeout")?.unwrap_or(RESPONSE_TIMEOUT);
        let login = settings.text("login_method").map(|name| mechanism(&name)).transpose()?;
        let wants_tls = settings.has_prefix("ssl_");
        let mut servers = Vec::with_capacity(parsed.len());
        let mut shown = Vec::with_capacity(parsed.len());
        for url in &parsed {
            let (mut server, masked) = server(url, heartbeat_s, wants_tls)?;
            server.query.auth_mechanism = login;
            servers.push(server);
            shown.push(masked);
        }
        let masked = shown.join(";");
        if servers.is_empty() {
            return Err(wrong("amqp://", "no server is named; try amqp://localhost//"));
        }
        let tls = tls(&mut settings, &masked)?;
        // Always on.
        let _confirms = settings.text("confirm_publish");
        let topology = settings.text("queues").map(|json| Topology::parse(&json)).transpose()?.unwrap_or_default();
        let delayed_type = settings.text("native_delayed_delivery_queue_type").unwrap_or_else(|| "quorum".to_owned());
        let keeps_expiration = match settings.text("expire_in_queue").map(|text| text.to_ascii_lowercase()).as_deref() {
            None | Some("false" | "0") => false,
            Some("true" | "1") => true,
            Some(other) => return Err(wrong(&masked, &format!("expire_in_queue={other:?}: expected true or false"))),
        };
        let reply_queue = settings.text("reply_queue");
        let reply_expires_ms = settings.text("reply_expires_ms").and_then(|ms| ms.parse().ok());
        let order = settings.text(QueueOrder::OPTION).map(|text| QueueOrder::parse(&text)).transpose()?;
        let order = order.unwrap_or_default();
        let unused = settings.unused();
        Ok(AmqpOptions {
            servers,
            tls,
            masked,
            connect_timeout,
            response_timeout,
            topology,
            delayed_type,
            reply_queue,
            reply_expires_ms,
            replies: None,
            keeps_expiration,
            order,
            unused,
        })
    }

    /// A worker with these sends results to the clients that asked. `options`: `content_type` and `content_encoding` of the
    /// documents, `persistent` (`true` or `false`).
    pub fn with_replies(mut self, options: &[(String, String)]) -> AmqpOptions {
        self.replies = Some(ReplyTerms::read(options));
        self
    }

    /// The URLs with their passwords masked, for logs and errors.
    pub fn masked_url(&self) -> &str {
        &self.masked
    }

    /// Options that were given and have no meaning here, for one warning at start.
    pub fn unused_options(&self) -> &[String] {
        &self.unused
    }
}

fn server(url: &Url, heartbeat_s: u64, wants_tls: bool) -> Result<(AMQPUri, String), Error> {
    let scheme = match url.scheme() {
        "amqp" | "pyamqp" if !wants_tls => AMQPScheme::AMQP,
        "amqp" | "pyamqp" | "amqps" => AMQPScheme::AMQPS,
        _ => return Err(wrong(&roughly(url.as_str()), "expected amqp:// or amqps://; try amqp://localhost//")),
    };
    let is_tls = scheme == AMQPScheme::AMQPS;
    let host = url.host_str().filter(|host| !host.is_empty()).unwrap_or("localhost");
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = url.port().unwrap_or(if is_tls { TLS_PORT } else { PORT });
    let decoded = |text: &str| percent(text).ok_or_else(|| wrong(&roughly(url.as_str()), "it is not UTF-8"));
    let username = if url.username().is_empty() { "guest".to_owned() } else { decoded(url.username())? };
    let password = url.password().map_or_else(|| Ok("guest".to_owned()), decoded)?;
    // As kombu: one slash is the separator, and a name that is left out is the slash.
    let path = url.path().strip_prefix('/').unwrap_or(url.path());
    let vhost = if path.is_empty() { "/".to_owned() } else { decoded(path)? };
    let masked = format!("{}://{username}:**@{host}:{port}/{path}", url.scheme());
    let query = AMQPQueryString {
        heartbeat: Some(u16::try_from(heartbeat_s).unwrap_or(u16::MAX)),
        ..AMQPQueryString::default()
    };
    let authority = AMQPAuthority { userinfo: AMQPUserInfo { username, password }, host, port };
    Ok((AMQPUri { scheme, authority, vhost, query }, masked))
}

/// How the server is told who connects: `broker_login_method`.
fn mechanism(name: &str) -> Result<SASLMechanism, Error> {
    match name.to_ascii_uppercase().as_str() {
        "PLAIN" => Ok(SASLMechanism::Plain),
        "AMQPLAIN" => Ok(SASLMechanism::AMQPlain),
        "EXTERNAL" => Ok(SASLMechanism::External),
        _ => Err(Error::Url(format!(
            "login method {name:?} (broker_login_method): expected PLAIN, AMQPLAIN or EXTERNAL; try PLAIN"
        ))),
    }
}

/// The certificates that Python's `ssl_…` options name.
fn tls(settings: &mut Settings, masked: &str) -> Result<OwnedTLSConfig, Error> {
    let requirement = settings.text("ssl_cert_reqs").unwrap_or_default().to_ascii_lowercase();
    if matches!(requirement.rsplit(['.', '_']).next(), Some("none" | "0")) {
        return Err(wrong(
            masked,
            "ssl_cert_reqs=none is not supported: the server's certificate is always checked; name its issuer with \
             ssl_ca_certs",
        ));
    }
    let mut file = |name: &'static str| -> Result<Option<Vec<u8>>, Error> {
        let Some(path) = settings.text(name) else { return Ok(None) };
        let read = std::fs::read(&path);
        read.map(Some).map_err(|cause| wrong(masked, &format!("cannot read {name}={path:?}: {cause}")))
    };
    let (roots, certificate, key) = (file("ssl_ca_certs")?, file("ssl_certfile")?, file("ssl_keyfile")?);
    // A certificate file may hold its key too, as in Python.
    let identity = certificate.map(|pem| OwnedIdentity::PKCS8 { key: key.unwrap_or_else(|| pem.clone()), pem });
    let cert_chain = roots.map(String::from_utf8).transpose();
    let cert_chain = cert_chain.map_err(|_| wrong(masked, "ssl_ca_certs is no PEM file"))?;
    Ok(OwnedTLSConfig { identity, cert_chain })
}

/// `%2f` and the like resolved.
fn percent(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        let code = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                out.push(byte);
                rest = &tail[2..];
            }
            None => out.push(*first),
        }
    }
    String::from_utf8(out).ok()
}

/// A URL that cannot be read may hold a password anywhere before its last `@`.
fn roughly(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("amqp", url));
    rest.rsplit_once('@').map_or_else(|| format!("{scheme}://{rest}"), |(_, host)| format!("{scheme}://**@{host}"))
}

fn wrong(whom: &str, what: &str) -> Error {
    Error::Url(format!("broker URL {whom}: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(url: &str) -> AMQPUri {
        let mut parsed = AmqpOptions::parse(url, &[]).expect("usable");
        assert_eq!(parsed.servers.len(), 1);
        parsed.servers.remove(0)
    }

    #[test]
    fn the_virtual_host_is_kombus() {
        let hosts = ["amqp://", "amqp://h", "amqp://h/", "amqp://h//", "amqp://h/%2F", "amqp://h/a", "amqp://h/a%2fb"];
        let vhosts: Vec<String> = hosts.iter().map(|url| only(url).vhost).collect();
        assert_eq!(vhosts, ["/", "/", "/", "/", "/", "a", "a/b"]);
    }

    #[test]
    fn defaults_and_escapes() {
        let uri = only("amqp://us%40er:p%2Fw@[::1]:1234/v");
        assert_eq!((uri.authority.host.as_str(), uri.authority.port), ("::1", 1234));
        assert_eq!(
            (uri.authority.userinfo.username.as_str(), uri.authority.userinfo.password.as_str()),
            ("us@er", "p/w")
        );
        assert_eq!(
            (only("amqps://h").authority.port, only("pyamqp://").authority.userinfo.username),
            (5671, "guest".into())
        );
    }

    #[test]
    fn options_of_tls_encrypt_whatever_the_scheme_says() {
        let encrypted = |url: &str| {
            let options = AmqpOptions::parse(url, &[("ssl_cert_reqs".to_owned(), "required".to_owned())]);
            options.expect("usable").servers.remove(0)
        };
        let uri = encrypted("amqp://h");
        assert_eq!((uri.scheme, uri.authority.port), (AMQPScheme::AMQPS, 5671));
        assert_eq!(encrypted("pyamqp://h:9999//").authority.port, 9999);
        assert_eq!(only("amqp://h").scheme, AMQPScheme::AMQP);
    }

    #[test]
    fn several_servers_are_tried_in_turn_and_no_password_is_shown() {
        let options = AmqpOptions::parse("amqp://a:secret@one//;amqp://two/v", &[]).expect("usable");
        assert_eq!(options.servers.len(), 2);
        assert_eq!(options.masked_url(), "amqp://a:**@one:5672//;amqp://guest:**@two:5672/v");
        let error = AmqpOptions::parse("amqp://a:secret@h:port/", &[]).expect_err("no port").to_string();
        assert!(!error.contains("secret") && error.contains("h:port"), "{error}");
    }

    #[test]
    fn a_wrong_option_says_what_to_try() {
        let option = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        let error = AmqpOptions::parse("amqp://", &option("heartbeat", "soon")).expect_err("no number");
        assert!(error.to_string().contains("a number of seconds"), "{error}");
        let error = AmqpOptions::parse("amqp://", &option("login_method", "GSSAPI")).expect_err("not supported");
        assert!(error.to_string().contains("broker_login_method"), "{error}");
        let error = AmqpOptions::parse("amqp://", &option("ssl_cert_reqs", "CERT_NONE")).expect_err("unsafe");
        assert!(error.to_string().contains("ssl_ca_certs"), "{error}");
        assert_eq!(
            AmqpOptions::parse("amqp://", &option("visibility_timeout", "1")).expect("usable").unused,
            ["visibility_timeout"]
        );
    }
}
