//! Publishing, as one write of LPUSH commands with many messages each.

use redis::Pipeline;

use super::broker::RedisBroker;
use super::keys::Keys;
use crate::{Error, Publish};

/// A push of more bytes or messages is split, so that no command keeps the server's other clients waiting for long.
const PUSH_BYTES: usize = 1 << 20;
const PUSH_MESSAGES: usize = 500;

impl RedisBroker {
    pub(super) async fn publish_batch(&self, batch: &[Publish]) -> Result<(), Error> {
        let mut pipeline = Pipeline::new();
        {
            let mut declared = self.declared.borrow_mut();
            for publish in batch {
                if let Some((tables, member)) = declared.first(&self.keys, &publish.queue) {
                    for table in &tables {
                        pipeline.cmd("SADD").arg(table).arg(&member);
                    }
                }
            }
        }
        for (list, messages) in pushes(&self.keys, batch) {
            let command = pipeline.cmd("LPUSH").arg(list);
            for message in messages {
                command.arg(message);
            }
        }
        let sent = self.work.run("publish", &pipeline).await;
        let checked = sent.and_then(|values| self.work.call("publish").values(values));
        if checked.is_err() {
            self.declared.borrow_mut().forget();
        }
        checked.map(drop)
    }
}

/// The batch as pushes: by list, each list's messages in their order.
pub(super) fn pushes<'a>(keys: &Keys, batch: &'a [Publish]) -> Vec<(String, Vec<&'a [u8]>)> {
    let mut pushes: Vec<Push<'a>> = Vec::new();
    for publish in batch {
        let step = keys.step(publish.priority);
        let same = |push: &&mut Push<'a>| push.queue == publish.queue && push.step == step && push.has_room();
        // Searched from the end: the open push of a list is its last one, and batches know few lists.
        let at = match pushes.iter_mut().rev().find(same) {
            Some(push) => push,
            None => {
                pushes.push(Push { queue: &publish.queue, step, bytes: 0, messages: Vec::new() });
                pushes.last_mut().expect("just pushed")
            }
        };
        at.bytes += publish.message.len();
        at.messages.push(&publish.message);
    }
    pushes.into_iter().map(|push| (keys.list(push.queue, push.step), push.messages)).collect()
}

struct Push<'a> {
    queue: &'a str,
    step: u8,
    bytes: usize,
    messages: Vec<&'a [u8]>,
}

impl Push<'_> {
    fn has_room(&self) -> bool {
        self.bytes < PUSH_BYTES && self.messages.len() < PUSH_MESSAGES
    }
}
