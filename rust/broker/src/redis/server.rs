//! Where a server is and how to talk to it: a URL's address, user, database and TLS, and the time limits.

use std::time::Duration;

use redis::io::tcp::{TcpSettings, socket2};
use redis::{
    ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, TlsCertificates,
};
use url::{Host, Url};

use super::login::Login;
use crate::Error;
use crate::settings::Settings;

const PORT: u16 = 6379;
/// Stands for a host that the user left out.
const NO_HOST: &str = "-";
/// Celery's `broker_connection_timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
/// Long enough for a background save of a big server and for a body of 100 MB; short enough to notice a hung one.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
/// A peer that answers no packet this long is gone, though nobody closed the connection. Fetches have no response
/// time-out, so this is what ends one whose server was cut off.
const UNANSWERED: Duration = Duration::from_secs(20);

/// One server. The password is in `info` only, and never printed.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) info: ConnectionInfo,
    /// The URL without its password.
    pub(super) masked: String,
    pub(super) connect_timeout: Duration,
    /// How long the blocking side, and all but fetches on the worker's side, wait for an answer.
    pub(super) response_timeout: Duration,
    /// What `CLIENT LIST` shows, if the user wants it.
    pub(super) client_name: Option<String>,
    /// A client sends once more what was not answered in time.
    pub(super) retry_on_timeout: bool,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Server").field(&self.masked).finish()
    }
}

impl Server {
    /// Reads the URL; hands back the options that are not about the connection.
    pub(super) fn parse(url: &str, transport_options: &[(String, String)]) -> Result<(Self, Settings), Error> {
        // `redis+socket://:password@/path`: a login without a host is no URL to the parser.
        let with_host = url.trim().replacen("@/", &format!("@{NO_HOST}/"), 1);
        let parsed = Url::parse(&with_host).map_err(|cause| wrong(&mask_roughly(url), &cause.to_string()))?;
        if url.contains(';') || parsed.scheme() == "sentinel" {
            let whom = mask_roughly(url);
            return Err(wrong(&whom, "several servers, or Sentinel, are not supported yet; name one server"));
        }
        let mut settings = Settings::new(transport_options, parsed.query_pairs());
        let mut server = match parsed.scheme() {
            "redis" | "rediss" | "valkey" | "valkeys" => tcp(&parsed, &mut settings)?,
            "redis+socket" | "valkey+socket" | "socket" | "unix" => unix(&parsed, &mut settings)?,
            _ => {
                let whom = mask_roughly(url);
                return Err(wrong(
                    &whom,
                    "expected redis://, rediss:// or redis+socket://; try redis://localhost:6379/0",
                ));
            }
        };
        server.connect_timeout = settings.seconds("socket_connect_timeout")?.unwrap_or(CONNECT_TIMEOUT);
        server.response_timeout = settings.seconds("socket_timeout")?.unwrap_or(RESPONSE_TIMEOUT);
        server.client_name = settings.text("client_name");
        server.retry_on_timeout = settings.flag("retry_on_timeout")?.unwrap_or(false);
        // Always on.
        let _probes = settings.flag("socket_keepalive")?;
        Ok((server, settings))
    }

    /// Same address and same user; the database may differ.
    pub(super) fn is_same(&self, other: &Server) -> bool {
        let (ours, theirs) = (self.info.redis_settings(), other.info.redis_settings());
        same_address(self.info.addr(), other.info.addr())
            && ours.username() == theirs.username()
            && ours.password() == theirs.password()
    }

    pub(super) fn db(&self) -> i64 {
        self.info.redis_settings().db()
    }
}

fn same_address(ours: &ConnectionAddr, theirs: &ConnectionAddr) -> bool {
    match (ours, theirs) {
        (ConnectionAddr::Tcp(our_host, our_port), ConnectionAddr::Tcp(their_host, their_port)) => {
            our_port == their_port && loopback(our_host) == loopback(their_host)
        }
        _ => ours == theirs,
    }
}

/// One spelling for this machine; a server that listens there on one of both families only is still one server.
fn loopback(host: &str) -> &str {
    if matches!(host, "127.0.0.1" | "::1") { "localhost" } else { host }
}

fn tcp(url: &Url, settings: &mut Settings) -> Result<Server, Error> {
    let host = match url.host() {
        None => "localhost".to_owned(),
        Some(Host::Domain("" | NO_HOST)) => "localhost".to_owned(),
        Some(Host::Domain(name)) => name.to_owned(),
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
    };
    let port = url.port().unwrap_or(PORT);
    let wants_tls = matches!(url.scheme(), "rediss" | "valkeys") || settings.has_prefix("ssl_");
    let login = Login::from_url(url);
    let shown_host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let address_shown = format!("{}://{}{shown_host}:{port}", url.scheme(), login.masked());
    let db_text = url.path().trim_matches('/');
    let masked = format!("{address_shown}/{}", if db_text.is_empty() { "0" } else { db_text });
    let db = database(db_text, &masked, &format!("{address_shown}/0"))?;

    let info = if wants_tls {
        tls(host, port, settings, &masked)?
    } else {
        ConnectionAddr::Tcp(host, port).into_connection_info().map_err(|cause| wrong(&masked, &cause.to_string()))?
    };
    Ok(Server::new(info, login, db, masked))
}

fn unix(url: &Url, settings: &mut Settings) -> Result<Server, Error> {
    // `redis+socket://tmp/redis.sock` has its first part where a host would be; kombu puts them together again.
    let host = url.host_str().filter(|host| *host != NO_HOST).unwrap_or("");
    let path = if host.is_empty() { url.path().to_owned() } else { format!("/{host}{}", url.path()) };
    let login = Login::from_url(url);
    let masked = format!("{}://{}{path}", url.scheme(), login.masked());
    if path.len() < 2 {
        return Err(wrong(&masked, "no path of a socket; try redis+socket:///run/redis/redis.sock?virtual_host=0"));
    }
    let db_text = settings.text("virtual_host").or_else(|| settings.text("db")).unwrap_or_default();
    let db = database(db_text.trim_matches('/'), &masked, &format!("{masked}?virtual_host=0"))?;
    let address = ConnectionAddr::Unix(path.into());
    let info = address.into_connection_info().map_err(|cause| wrong(&masked, &cause.to_string()))?;
    Ok(Server::new(info, login, db, masked))
}

fn database(text: &str, masked: &str, example: &str) -> Result<i64, Error> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse()
        .ok()
        .filter(|db| *db >= 0)
        .ok_or_else(|| wrong(masked, &format!("the database {text:?} is no number from 0 on; try {example}")))
}

/// Encrypted, with the certificates that Python's `ssl_…` options name.
fn tls(host: String, port: u16, settings: &mut Settings, masked: &str) -> Result<ConnectionInfo, Error> {
    let requirement = settings.text("ssl_cert_reqs").unwrap_or_default().to_ascii_lowercase();
    let insecure = match requirement.rsplit(['.', '_']).next().unwrap_or_default() {
        "" | "required" | "optional" | "1" | "2" => false,
        "none" | "0" => true,
        _ => return Err(wrong(masked, "ssl_cert_reqs is none of required, optional and none; try required")),
    };
    let mut file = |name: &'static str| -> Result<Option<Vec<u8>>, Error> {
        let Some(path) = settings.text(name) else { return Ok(None) };
        let read = std::fs::read(&path);
        read.map(Some).map_err(|cause| wrong(masked, &format!("cannot read {name}={path:?}: {cause}")))
    };
    let (root_cert, cert, key) = (file("ssl_ca_certs")?, file("ssl_certfile")?, file("ssl_keyfile")?);
    // A certificate file may hold its key too, as in Python.
    let client_tls = cert.map(|client_cert| {
        let client_key = key.unwrap_or_else(|| client_cert.clone());
        ClientTlsConfig { client_cert, client_key }
    });
    crate::tls::install_provider();
    let address = ConnectionAddr::TcpTls { host, port, insecure, tls_params: None };
    let client = redis::Client::build_with_tls(address, TlsCertificates { client_tls, root_cert });
    let client = client.map_err(|cause| wrong(masked, &cause.to_string()))?;
    Ok(client.get_connection_info().clone())
}

impl Server {
    fn new(info: ConnectionInfo, login: Login, db: i64, masked: String) -> Self {
        let mut settings =
            RedisConnectionInfo::default().set_db(db).set_lib_name("fastworker", env!("CARGO_PKG_VERSION"));
        if let Some(username) = login.username {
            settings = settings.set_username(username);
        }
        if let Some(password) = login.password {
            settings = settings.set_password(password);
        }
        let keepalive =
            socket2::TcpKeepalive::new().with_time(UNANSWERED / 2).with_interval(UNANSWERED / 4).with_retries(2);
        let socket = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
        #[cfg(target_os = "linux")]
        let socket = socket.set_user_timeout(UNANSWERED);
        Self {
            info: info.set_redis_settings(settings).set_tcp_settings(socket),
            masked,
            connect_timeout: CONNECT_TIMEOUT,
            response_timeout: RESPONSE_TIMEOUT,
            client_name: None,
            retry_on_timeout: false,
        }
    }
}

/// Masks whatever might be a password in a text that is no URL that we can take apart.
fn mask_roughly(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}://**{}", &url[..scheme], &url[at..]),
        _ => url.to_owned(),
    }
}

fn wrong(masked: &str, cause: &str) -> Error {
    Error::Url(format!("Redis URL {masked:?}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> Server {
        Server::parse(url, &[]).unwrap().0
    }

    #[test]
    fn the_password_is_masked_and_decoded() {
        let server = server("redis://me:p%40ss+w%26@db.example:7000/3");
        assert_eq!(server.masked, "redis://me:**@db.example:7000/3");
        assert_eq!(server.info.redis_settings().password(), Some("p@ss+w&"));
        assert!(!format!("{server:?}").contains("p@ss"));
    }

    #[test]
    fn a_socket_url_names_its_path_and_database() {
        for url in ["redis+socket:///tmp/r.sock?virtual_host=5", "unix:///tmp/r.sock?db=5"] {
            let server = server(url);
            assert_eq!(server.info.addr(), &ConnectionAddr::Unix("/tmp/r.sock".into()));
            assert_eq!(server.db(), 5);
        }
    }

    #[test]
    fn an_ipv6_host_loses_its_brackets_but_not_in_text() {
        let server = server("redis://[::1]:7000");
        assert_eq!(server.info.addr(), &ConnectionAddr::Tcp("::1".into(), 7000));
        assert_eq!(server.masked, "redis://[::1]:7000/0");
    }

    #[test]
    fn a_wrong_url_says_what_to_try_and_keeps_the_secret() {
        for (url, hint) in [
            ("redis://:secret@h/abc", "try redis://:**@h:6379/0"),
            ("rediz://:secret@h", "try redis://localhost:6379/0"),
            ("sentinel://:secret@a;sentinel://:secret@b", "name one server"),
            ("redis://:sec ret@h:port", "invalid port number"),
        ] {
            let error = Server::parse(url, &[]).err().expect(url).to_string();
            assert!(error.contains(hint), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn tls_options_are_read() {
        let none = [("ssl_cert_reqs".to_owned(), "CERT_NONE".to_owned())];
        let (server, _) = Server::parse("redis://h", &none).unwrap();
        assert!(matches!(server.info.addr(), ConnectionAddr::TcpTls { insecure: true, .. }));
        let error = Server::parse("rediss://h?ssl_ca_certs=/no/such/file", &[]).err().unwrap();
        assert!(error.to_string().contains("ssl_ca_certs"), "{error}");
    }
}
