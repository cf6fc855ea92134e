//! Watched tasks, for stores that tell of nothing by themselves and have to be looked at.

use std::collections::HashMap;

use bytes::Bytes;

/// Each watched task with the document that was told last.
#[derive(Default)]
pub(crate) struct Watched(HashMap<String, Option<Bytes>>);

impl Watched {
    pub(crate) fn add(&mut self, task_ids: &[&str]) {
        for task_id in task_ids {
            self.0.entry((*task_id).to_owned()).or_default();
        }
    }

    pub(crate) fn remove(&mut self, task_ids: &[&str]) {
        for task_id in task_ids {
            self.0.remove(*task_id);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What `get` finds and has not been told.
    pub(crate) fn look<E>(
        &mut self,
        mut get: impl FnMut(&str) -> Result<Option<Bytes>, E>,
    ) -> Result<Vec<(String, Bytes)>, E> {
        let mut news = Vec::new();
        for (task_id, told) in &mut self.0 {
            if let Some(doc) = get(task_id)?.filter(|doc| told.as_ref() != Some(doc)) {
                *told = Some(doc.clone());
                news.push((task_id.clone(), doc));
            }
        }
        Ok(news)
    }
}
