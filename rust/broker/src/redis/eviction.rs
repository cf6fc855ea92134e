//! Whether the server throws keys away when its memory is full. Queues and leases are keys: with such a policy tasks are
//! lost, and nothing says so.

use redis::Value;

use super::broker::RedisBroker;
use crate::Error;

const SAFE: &str = "noeviction";

impl RedisBroker {
    /// Says so, in one line, if the server's policy can drop what is ours. `INFO` tells the policy where `CONFIG` is
    /// forbidden, as on most hosted servers; a server that does not tell is believed.
    pub(super) async fn warn_of_eviction(&self) -> Result<(), Error> {
        let mut info = redis::cmd("INFO");
        info.arg("memory");
        let told = match self.work.one("connect", info).await {
            Ok(Value::BulkString(told)) => told,
            Ok(Value::VerbatimString { text, .. }) => text.into_bytes(),
            Ok(_) => return Ok(()),
            Err(error @ Error::Refused { .. }) => {
                tracing::debug!(%error, "the server does not tell its eviction policy");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if let Some(warning) = warning(&String::from_utf8_lossy(&told)) {
            tracing::warn!("{}: {warning}", self.work.call("connect").whom);
        }
        Ok(())
    }
}

/// From what `INFO memory` says.
fn warning(info: &str) -> Option<String> {
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    let policy = field("maxmemory_policy").filter(|policy| *policy != SAFE)?;
    let when = match field("maxmemory") {
        None | Some("0") => "if it is given a maxmemory and reaches it",
        Some(_) => "when its memory is full",
    };
    let what = if policy.starts_with("allkeys-") {
        "drops whole queues and leases, and their tasks are lost"
    } else {
        // Those of our keys that have a time to live.
        "drops results, what was revoked and the counts of started attempts before their time"
    };
    Some(format!(
        "its maxmemory-policy is {policy}: {when}, it {what}; set `maxmemory-policy {SAFE}` in its configuration \
         (`CONFIG SET maxmemory-policy {SAFE}`), or give the queues a server of their own"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(policy: &str, maxmemory: u64) -> Option<String> {
        warning(&format!("# Memory\r\nused_memory:1\r\nmaxmemory:{maxmemory}\r\nmaxmemory_policy:{policy}\r\nx:1\r\n"))
    }

    #[test]
    fn a_policy_that_drops_queues_is_named_with_what_to_do() {
        let text = told("allkeys-lru", 1_000_000).unwrap();
        assert!(text.contains("allkeys-lru: when its memory is full, it drops whole queues"), "{text}");
        assert!(text.contains("set `maxmemory-policy noeviction`"), "{text}");
    }

    #[test]
    fn a_policy_that_has_no_effect_yet_is_named_too() {
        assert!(told("allkeys-random", 0).unwrap().contains("if it is given a maxmemory"));
    }

    #[test]
    fn a_policy_that_drops_keys_with_a_time_to_live_is_named() {
        assert!(told("volatile-ttl", 5).unwrap().contains("drops results, what was revoked"));
    }

    #[test]
    fn a_safe_policy_or_none_is_silent() {
        assert_eq!(told("noeviction", 5), None);
        assert_eq!(warning("# Memory\r\n"), None);
    }
}
