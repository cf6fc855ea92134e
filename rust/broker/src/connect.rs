//! From a URL to a connection: the one place that knows every implementation.

use std::path::Path;

use crate::amqp::{AmqpBroker, AmqpClient, AmqpOptions, AmqpReplies};
use crate::memory::{MemoryBroker, MemoryClient, MemoryResultClient, MemoryStore, room_of};
use crate::nearest::nearest;
use crate::order::QueueOrder;
use crate::redis::{RedisBroker, RedisClient, RedisOptions, RedisResultClient, RedisResults};
use crate::sqlite::{SqliteBroker, SqliteClient, SqliteOptions, SqliteResultClient, SqliteStore};
use crate::{AnyBroker, AnyStore, Broker, Client, Error, LeaseTerms, ResultClient};

/// Transport options as they come from the settings: names, and values as Python's `str()` writes them.
pub type Options = [(String, String)];

/// Connects a worker: a new incarnation that consumes `queues`, in this order of indices.
///
/// `result_url` is where results go; `None` is nowhere. With `(broker, None)` the broker's own `settle` and `store` take
/// them there, in one step with the acknowledgement wherever that is possible. With `(broker, Some(store))` they
/// cannot, and results given to `settle` would land in the broker's server: the caller stores them in `store` instead.
///
/// # Errors
/// [`Error::Url`] for a URL or option that cannot be used; what the implementations say when they cannot connect.
pub async fn connect(
    url: &str,
    transport_options: &Options,
    queues: &[String],
    result_url: Option<&str>,
    result_options: &Options,
    terms: LeaseTerms,
) -> Result<(AnyBroker, Option<AnyStore>), Error> {
    if result_url.is_some_and(is_rpc) {
        if Kind::of(url)? != Kind::Amqp {
            return Err(Error::Url(
                "result store \"rpc\": its results are messages, which takes a RabbitMQ broker (amqp://); name another \
                 result_backend"
                    .to_owned(),
            ));
        }
        let options = amqp_options(url, transport_options)?.with_replies(result_options);
        return Ok((AnyBroker::Amqp(AmqpBroker::connect(options, queues, terms).await?), None));
    }
    let results = result_url.map(|url| Kind::of(url).map(|kind| (kind, url))).transpose()?;
    match (Kind::of(url)?, results) {
        (Kind::Redis, Some((Kind::Redis, result_url))) => {
            let results = redis_results(result_url, result_options)?;
            let options = redis_options(url, transport_options)?;
            let broker = RedisBroker::connect(options, queues, Some(results), terms).await?;
            Ok((AnyBroker::Redis(broker), None))
        }
        (Kind::Redis, results) => {
            let options = redis_options(url, transport_options)?;
            let broker = RedisBroker::connect(options, queues, None, terms).await?;
            Ok((AnyBroker::Redis(broker), elsewhere(results, result_options, terms).await?))
        }
        (Kind::Sqlite, results) => {
            let options = SqliteOptions::parse(url, transport_options)?;
            let path = options.path.clone();
            let broker = SqliteBroker::connect(options, queues, terms).await?;
            let results = match results {
                Some((Kind::Sqlite, url)) if is_same_file(&path, &SqliteOptions::parse(url, &[])?.path) => None,
                results => results,
            };
            Ok((AnyBroker::Sqlite(broker), elsewhere(results, result_options, terms).await?))
        }
        (Kind::Memory, results) => {
            let (room, order) = memory_room(url, transport_options)?;
            let results = match results {
                Some((Kind::Memory, url)) if room_of(url)? == room => None,
                results => results,
            };
            let broker = MemoryBroker::connect(&room, queues, terms)?.ordered(order);
            Ok((AnyBroker::Memory(broker), elsewhere(results, result_options, terms).await?))
        }
        (Kind::Amqp, results) => {
            let broker = AmqpBroker::connect(amqp_options(url, transport_options)?, queues, terms).await?;
            Ok((AnyBroker::Amqp(broker), elsewhere(results, result_options, terms).await?))
        }
    }
}

/// A client of the broker at `url`. Connects at its first call.
pub fn client(url: &str, options: &Options) -> Result<Box<dyn Client>, Error> {
    Ok(match Kind::of(url)? {
        Kind::Redis => Box::new(RedisClient::new(RedisOptions::parse(url, options)?)),
        Kind::Sqlite => Box::new(SqliteClient::new(SqliteOptions::parse(url, options)?)),
        Kind::Memory => Box::new(MemoryClient::new(&memory_room(url, options)?.0)),
        Kind::Amqp => Box::new(AmqpClient::new(amqp_options(url, options)?)),
    })
}

/// A client of the result store at `url`. Connects at its first call.
pub fn result_client(url: &str, options: &Options) -> Result<Box<dyn ResultClient>, Error> {
    Ok(match Kind::of(url)? {
        Kind::Redis => Box::new(RedisResultClient::new(RedisResults::parse(url, options)?)),
        Kind::Sqlite => Box::new(SqliteResultClient::new(SqliteOptions::parse(url, options)?)),
        Kind::Memory => Box::new(MemoryResultClient::new(&memory_room(url, options)?.0)),
        Kind::Amqp => Box::new(AmqpReplies::new(AmqpOptions::parse(url, options)?)?),
    })
}

async fn elsewhere(
    results: Option<(Kind, &str)>,
    options: &Options,
    terms: LeaseTerms,
) -> Result<Option<AnyStore>, Error> {
    Ok(match results {
        None => None,
        Some((Kind::Redis, url)) => {
            let results = redis_results(url, options)?;
            let broker = RedisBroker::connect(RedisOptions::parse(url, options)?, &[], Some(results), terms).await?;
            // It will never hold a lease, so nobody needs to watch for its heartbeat.
            broker.close().await?;
            Some(AnyStore::Redis(broker))
        }
        Some((Kind::Sqlite, url)) => {
            let options = SqliteOptions::parse(url, options)?;
            Some(AnyStore::Sqlite(SqliteStore::connect(options).await?))
        }
        Some((Kind::Memory, url)) => Some(AnyStore::Memory(MemoryStore::connect(&memory_room(url, options)?.0))),
        Some((Kind::Amqp, _)) => return Err(no_results()),
    })
}

fn is_rpc(url: &str) -> bool {
    url.split("://").next() == Some("rpc")
}

/// Both names lead to one file. The first one exists.
pub(crate) fn is_same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

fn redis_options(url: &str, options: &Options) -> Result<RedisOptions, Error> {
    let parsed = RedisOptions::parse(url, options)?;
    warn_unused(parsed.masked_url(), parsed.unused_options());
    Ok(parsed)
}

fn redis_results(url: &str, options: &Options) -> Result<RedisResults, Error> {
    let parsed = RedisResults::parse(url, options)?;
    warn_unused(parsed.masked_url(), parsed.unused_options());
    Ok(parsed)
}

fn amqp_options(url: &str, options: &Options) -> Result<AmqpOptions, Error> {
    let parsed = AmqpOptions::parse(url, options)?;
    warn_unused(parsed.masked_url(), parsed.unused_options());
    Ok(parsed)
}

/// A queue keeps no documents.
fn no_results() -> Error {
    Error::Url(
        "RabbitMQ keeps no results: name another store as result_backend, such as redis://localhost:6379/0 or \
         sqlite:///results.db"
            .to_owned(),
    )
}

/// Whether a higher number is more urgent at the broker of this URL, as in AMQP; everywhere else 0 is the most urgent.
pub fn is_higher_first(url: &str) -> bool {
    Kind::of(url).is_ok_and(|kind| kind == Kind::Amqp)
}

/// The room, and the one option that means something here. Those of other transports are named.
fn memory_room(url: &str, options: &Options) -> Result<(String, QueueOrder), Error> {
    let (orders, others): (Vec<_>, Vec<_>) = options.iter().partition(|(name, _)| name == QueueOrder::OPTION);
    let unused: Vec<String> = others.into_iter().map(|(name, _)| name.clone()).collect();
    warn_unused("memory://", &unused);
    let order = orders.last().map(|(_, text)| QueueOrder::parse(text)).transpose()?;
    Ok((room_of(url)?, order.unwrap_or_default()))
}

fn warn_unused(url: &str, unused: &[String]) {
    if !unused.is_empty() {
        tracing::warn!(%url, options = %unused.join(", "), "transport options have no effect here");
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Redis,
    Sqlite,
    Memory,
    Amqp,
}

/// What can be connected to today.
const SCHEMES: [(&str, Kind); 12] = [
    ("redis", Kind::Redis),
    ("rediss", Kind::Redis),
    ("redis+socket", Kind::Redis),
    ("valkey", Kind::Redis),
    ("valkeys", Kind::Redis),
    ("unix", Kind::Redis),
    ("sqlite", Kind::Sqlite),
    ("memory", Kind::Memory),
    ("cache+memory", Kind::Memory),
    ("amqp", Kind::Amqp),
    ("amqps", Kind::Amqp),
    ("pyamqp", Kind::Amqp),
];

impl Kind {
    /// By the URL's scheme. The rest of the URL may hold a password, and is not repeated.
    pub(crate) fn of(url: &str) -> Result<Kind, Error> {
        let Some((scheme, _)) = url.split_once("://") else {
            return Err(Error::Url(format!(
                "a broker or result URL without a scheme: expected scheme://..., such as redis://localhost:6379/0 or \
                 sqlite:///queue.db, with one of the schemes {}",
                names().join(", ")
            )));
        };
        let lower = scheme.to_ascii_lowercase();
        match SCHEMES.iter().find(|(name, _)| *name == lower) {
            Some((_, kind)) => Ok(*kind),
            None => Err(Error::Url(format!(
                "URL scheme {scheme:?} is not supported: expected one of {}; try {:?}",
                names().join(", "),
                nearest(&lower, &names())
            ))),
        }
    }
}

fn names() -> [&'static str; SCHEMES.len()] {
    SCHEMES.map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        Kind::of(url).expect_err("not supported").to_string()
    }

    #[test]
    fn an_unknown_scheme_names_itself_and_the_nearest() {
        let text = refusal("rediz://:secret@host/0");
        assert!(text.contains("\"rediz\"") && text.contains("try \"redis\"") && text.contains("sqlite"), "{text}");
        assert!(!text.contains("secret"), "{text}");
        assert!(refusal("db+sqlite:///results.db").contains("try \"sqlite\""));
        assert!(refusal("localhost:6379").contains("without a scheme"));
    }

    #[test]
    fn the_scheme_may_be_in_capitals() {
        assert_eq!(Kind::of("REDIS://localhost").expect("redis"), Kind::Redis);
    }
}
