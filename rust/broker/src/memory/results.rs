//! Result documents: the last state of each task, with an end to its keeping. A stored SUCCESS stays, as in Celery:
//! whoever waits has seen it.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;

use crate::ResultDoc;

struct Stored {
    doc: Bytes,
    is_success: bool,
    /// Unix time in milliseconds; `None` keeps it for ever.
    expires_ms: Option<i64>,
}

/// The results of a room.
#[derive(Default)]
pub(super) struct Results {
    docs: HashMap<String, Stored>,
    ends: BTreeSet<(i64, String)>,
}

impl Results {
    /// Stores one document, unless a SUCCESS that has not expired is there.
    pub(super) fn put(&mut self, result: &ResultDoc, now_ms: i64) {
        self.remove_expired(now_ms);
        if self.docs.get(&result.task_id).is_some_and(|stored| stored.is_success) {
            return;
        }
        self.remove(&result.task_id);
        // Celery's `result_expires = 0` keeps a result for ever.
        let expires_ms = result
            .ttl_s
            .filter(|seconds| *seconds > 0)
            .map(|seconds| now_ms.saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000)));
        if let Some(expires_ms) = expires_ms {
            self.ends.insert((expires_ms, result.task_id.clone()));
        }
        let stored = Stored { doc: result.doc.clone(), is_success: result.is_success, expires_ms };
        self.docs.insert(result.task_id.clone(), stored);
    }

    /// Stores one document if what is there is `seen`. False: it is not.
    pub(super) fn replace(&mut self, seen: Option<&[u8]>, doc: &ResultDoc, now_ms: i64) -> bool {
        let is_unchanged = self.get(&doc.task_id, now_ms).as_deref() == seen;
        if is_unchanged {
            self.put(doc, now_ms);
        }
        is_unchanged
    }

    /// The document, if there is one that has not expired.
    pub(super) fn get(&self, task_id: &str, now_ms: i64) -> Option<Bytes> {
        let stored = self.docs.get(task_id)?;
        stored.expires_ms.is_none_or(|expires_ms| expires_ms > now_ms).then(|| stored.doc.clone())
    }

    /// Removes a document.
    pub(super) fn remove(&mut self, task_id: &str) {
        if let Some(Stored { expires_ms: Some(expires_ms), .. }) = self.docs.remove(task_id) {
            self.ends.remove(&(expires_ms, task_id.to_owned()));
        }
    }

    fn remove_expired(&mut self, now_ms: i64) {
        while let Some((expires_ms, _)) = self.ends.first()
            && *expires_ms <= now_ms
        {
            let (_, task_id) = self.ends.pop_first().expect("just seen");
            self.docs.remove(&task_id);
        }
    }
}
