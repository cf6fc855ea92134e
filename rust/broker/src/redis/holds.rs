//! Whether a task's message is in the broker. Nothing but parked messages is found by its task's id, so lists and leases
//! are read through, a page at a time.

use redis::Value;

use super::client::RedisClient;
use super::entry;
use super::failure::{text, texts};
use crate::parked::is_of;
use crate::{Client, Error, ParkedClient};

const WHAT: &str = "search for a message";
/// Messages read at once: half a megabyte of small ones.
const PAGE: i64 = 500;

impl RedisClient {
    pub(super) fn holds_message(&mut self, task_id: &str, queues: &[&str]) -> Result<bool, Error> {
        for queue in queues {
            for list in self.lists_of(queue)? {
                if self.is_in_list(&list, task_id)? {
                    return Ok(true);
                }
            }
        }
        // What was fetched meanwhile is there now.
        Ok(!self.parked_of(&[task_id])?.is_empty()
            || self.is_leased(task_id)?
            || self.dead_letter(task_id)?.is_some_and(|letter| letter.id == task_id))
    }

    /// The lists of a queue and of its lanes.
    fn lists_of(&mut self, queue: &str) -> Result<Vec<String>, Error> {
        let mut lists: Vec<String> = self.keys.lists(queue).collect();
        let laned = self.keys.laned.clone();
        let count = self.command(WHAT, &[b"HGET", laned.as_bytes(), queue.as_bytes()])?;
        if text(count).and_then(|count| count.parse().ok()).unwrap_or(0_i64) == 0 {
            return Ok(lists);
        }
        let prefix = self.keys.lane_prefix(queue);
        for lanes in [self.keys.shared_lanes(queue), self.keys.worker_lanes(queue)] {
            let members = texts(self.command(WHAT, &[b"ZRANGE", lanes.as_bytes(), b"0", b"-1"])?).unwrap_or_default();
            let of = |member: &String| -> Vec<String> {
                let steps = self.keys.steps().iter();
                steps.map(|step| format!("{prefix}{member}{}", self.keys.suffix(*step))).collect()
            };
            lists.extend(members.iter().flat_map(of));
        }
        Ok(lists)
    }

    /// From the end at which messages are put: those that are fetched meanwhile go at the other, so none is skipped.
    fn is_in_list(&mut self, list: &str, task_id: &str) -> Result<bool, Error> {
        let mut start = 0;
        loop {
            let (from, to) = (start.to_string(), (start + PAGE - 1).to_string());
            let page = self.command(WHAT, &[b"LRANGE", list.as_bytes(), from.as_bytes(), to.as_bytes()])?;
            let Value::Array(messages) = page else { return Err(self.blocking.call(WHAT).unexpected(&page)) };
            if messages.iter().any(|message| matches!(message, Value::BulkString(bytes) if is_of(bytes, task_id))) {
                return Ok(true);
            }
            if (messages.len() as i64) < PAGE {
                return Ok(false);
            }
            start += PAGE;
        }
    }

    fn is_leased(&mut self, task_id: &str) -> Result<bool, Error> {
        let (unacked, count) = (self.keys.unacked.clone(), PAGE.to_string());
        let mut cursor = "0".to_owned();
        loop {
            let words: [&[u8]; 5] = [b"HSCAN", unacked.as_bytes(), cursor.as_bytes(), b"COUNT", count.as_bytes()];
            let reply = self.command(WHAT, &words)?;
            let (next, entries) = match reply {
                Value::Array(mut parts) if parts.len() == 2 => (parts.swap_remove(0), parts.remove(0)),
                other => return Err(self.blocking.call(WHAT).unexpected(&other)),
            };
            let Value::Array(entries) = entries else { return Err(self.blocking.call(WHAT).unexpected(&entries)) };
            let is_wanted = |value: &Value| match value {
                Value::BulkString(bytes) => entry::split(bytes).is_some_and(|entry| is_of(entry.message, task_id)),
                _ => false,
            };
            if entries.iter().skip(1).step_by(2).any(is_wanted) {
                return Ok(true);
            }
            cursor = text(next).unwrap_or_default();
            if cursor == "0" || cursor.is_empty() {
                return Ok(false);
            }
        }
    }
}
