//! What a URL and transport options say, as one typed value each for the broker and for the result store.

use std::time::Duration;

use super::keys::Keys;
use super::server::Server;
use crate::Error;
use crate::order::QueueOrder;

/// How long kombu lets a lease stand before it offers the message again.
const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(3600);

/// A Redis broker: where it is, and kombu's transport options.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    pub(super) server: Server,
    pub(super) keys: Keys,
    pub(super) visibility_timeout: Duration,
    pub(super) order: QueueOrder,
    unused: Vec<String>,
}

impl RedisOptions {
    /// Reads `redis://`, `rediss://`, `valkey://`, `valkeys://`, `redis+socket://` and `unix://` URLs.
    ///
    /// `transport_options` are Celery's `broker_transport_options` (and `broker_use_ssl` entries by their `ssl_…`
    /// names), each value as Python's `str()` writes it. Acted on: `visibility_timeout`, `global_keyprefix`,
    /// `priority_steps`, `sep`, `queue_order_strategy`, `fanout_prefix`, `fanout_patterns`, `unacked_key`, `unacked_index_key`, `unacked_mutex_key`, `socket_connect_timeout`,
    /// `socket_timeout`, `retry_on_timeout`, `client_name` and `ssl_*`; `socket_keepalive` is always on; the rest is listed by [`unused_options`](Self::unused_options).
    ///
    /// # Errors
    /// [`Error::Url`]: the URL or an option cannot be used; the text says which, and what to try.
    pub fn parse(url: &str, transport_options: &[(String, String)]) -> Result<Self, Error> {
        let (server, mut settings) = Server::parse(url, transport_options)?;
        let keys = Keys::from_settings(&mut settings)?;
        let visibility_timeout = settings.seconds("visibility_timeout")?.unwrap_or(VISIBILITY_TIMEOUT);
        let order =
            settings.text(QueueOrder::OPTION).map(|text| QueueOrder::parse(&text)).transpose()?.unwrap_or_default();
        Ok(Self { server, keys, visibility_timeout, order, unused: settings.unused() })
    }

    /// The URL with its password masked, for logs and errors.
    pub fn masked_url(&self) -> &str {
        &self.server.masked
    }

    /// How long a lease may stand without being refreshed before a Celery worker offers its message again.
    pub fn visibility_timeout(&self) -> Duration {
        self.visibility_timeout
    }

    /// Options that were given and have no meaning here, for one warning at start.
    pub fn unused_options(&self) -> &[String] {
        &self.unused
    }
}

/// A Redis result store: where it is, and how its keys begin.
#[derive(Clone, Debug)]
pub struct RedisResults {
    pub(super) server: Server,
    prefix: String,
    group_prefix: String,
    /// Parts are kept in a sorted set, in the order of the header; else in a list, as they come.
    pub(super) has_ordered_parts: bool,
    unused: Vec<String>,
}

impl RedisResults {
    /// Reads a `result_backend` URL and `result_backend_transport_options` (and `redis_backend_use_ssl` entries).
    ///
    /// `global_keyprefix` gets an `_` unless it ends in one of `:_-.`, as Celery's backend does (the broker's prefix is
    /// taken verbatim). `result_chord_ordered` false keeps the parts of a chord in the order in which members end.
    ///
    /// # Errors
    /// As for [`RedisOptions::parse`].
    pub fn parse(url: &str, transport_options: &[(String, String)]) -> Result<Self, Error> {
        let (server, mut settings) = Server::parse(url, transport_options)?;
        let mut prefix = settings.text("global_keyprefix").unwrap_or_default();
        if !prefix.is_empty() && !prefix.ends_with([':', '_', '-', '.']) {
            prefix.push('_');
        }
        let group_prefix = format!("{prefix}celery-taskset-meta-");
        prefix.push_str("celery-task-meta-");
        let has_ordered_parts =
            !matches!(settings.text("result_chord_ordered").as_deref(), Some("False" | "false" | "0"));
        Ok(Self { server, prefix, group_prefix, has_ordered_parts, unused: settings.unused() })
    }

    /// Whether results lie on the broker's own server, so that a result and an acknowledgement can be one step.
    /// Another user of the same server counts as elsewhere, since rights may differ.
    pub fn same_server(&self, broker: &RedisOptions) -> bool {
        self.server.is_same(&broker.server)
    }

    /// The URL with its password masked, for logs and errors.
    pub fn masked_url(&self) -> &str {
        &self.server.masked
    }

    /// Options that were given and have no meaning here.
    pub fn unused_options(&self) -> &[String] {
        &self.unused
    }

    /// The key, and the channel, of a task's result.
    pub(super) fn key(&self, task_id: &str) -> String {
        let mut key = String::with_capacity(self.prefix.len() + task_id.len());
        key.push_str(&self.prefix);
        key.push_str(task_id);
        key
    }

    /// The key, and the channel, of a group.
    pub(super) fn group_key(&self, group_id: &str) -> String {
        format!("{}{group_id}", self.group_prefix)
    }

    /// What is known of a chord: parts, added, size, counted, group, claim, failed. The last is ours alone.
    pub(super) fn chord_keys(&self, group_id: &str) -> [String; 7] {
        let key = self.group_key(group_id);
        let [j, t, s, d, c, f] = [".j", ".t", ".s", ".d", ".c", ".f"].map(|ending| format!("{key}{ending}"));
        [j, t, s, d, key, c, f]
    }

    /// Which of our workers has counted a chord's last member, while nothing vouches for the join.
    pub(super) fn own_claim_key(&self, group_id: &str) -> String {
        format!("{}.o", self.group_key(group_id))
    }

    /// What is remembered of a chord that Celery does not know.
    pub(super) fn marks_key(&self, group_id: &str) -> String {
        format!("{}.m", self.group_key(group_id))
    }

    /// The number of the database that results lie in.
    pub(super) fn db(&self) -> i64 {
        self.server.db()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn defaults_are_kombus() {
        let parsed = RedisOptions::parse("redis://", &[]).unwrap();
        assert_eq!(parsed.masked_url(), "redis://localhost:6379/0");
        assert_eq!(parsed.visibility_timeout(), Duration::from_secs(3600));
        assert_eq!(parsed.keys.list("celery", 3), "celery\u{6}\u{16}3");
    }

    #[test]
    fn an_option_that_nobody_knows_is_told() {
        let given = options(&[("visibility_timeout", "12.5"), ("max_connections", "10"), ("socket_timeout", "None")]);
        let parsed = RedisOptions::parse("redis://h/1", &given).unwrap();
        assert_eq!(parsed.visibility_timeout(), Duration::from_millis(12_500));
        assert_eq!(parsed.unused_options(), ["max_connections"]);
    }

    #[test]
    fn a_wrong_option_says_what_to_try() {
        let error = RedisOptions::parse("redis://h", &options(&[("priority_steps", "high")])).unwrap_err();
        assert!(error.to_string().contains("try priority_steps=[0, 3, 6, 9]"), "{error}");
        let error = RedisOptions::parse("redis://h", &options(&[("queue_order_strategy", "lifo")])).unwrap_err();
        assert!(error.to_string().contains("expected round_robin, priority or sorted"), "{error}");
    }

    #[test]
    fn result_prefix_gets_an_underscore_unless_it_ends_in_a_separator() {
        for (given, key) in [("app", "app_celery-task-meta-7"), ("app:", "app:celery-task-meta-7")] {
            let results = RedisResults::parse("redis://h/1", &options(&[("global_keyprefix", given)])).unwrap();
            assert_eq!(results.key("7"), key);
        }
    }

    #[test]
    fn another_database_of_the_same_server_is_the_same_server() {
        let broker = RedisOptions::parse("redis://localhost/0", &[]).unwrap();
        let same = |url: &str| RedisResults::parse(url, &[]).unwrap().same_server(&broker);
        assert!(same("redis://localhost:6379/1"));
        assert!(same("redis://127.0.0.1/1"));
        assert!(!same("redis://localhost:6380/0"));
        assert!(!same("redis://other@localhost/0"));
        assert!(!same("rediss://localhost:6379/0"));
    }
}
