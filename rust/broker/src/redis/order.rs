//! Which of the queues of one priority step comes first: kombu's transport option `queue_order_strategy`.
//!
//! kombu keeps its queues in a set, so that `priority` is any order there; ours is the documented one.

use super::queues::Queues;
use super::settings::Settings;
use crate::Error;

/// The strategies by kombu's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum QueueOrder {
    /// They take turns.
    #[default]
    RoundRobin,
    /// As they are named: the next one only when those before it are empty, or have no room.
    Priority,
    /// The same in the order of their names.
    Sorted,
}

impl QueueOrder {
    pub(super) fn from_settings(settings: &mut Settings) -> Result<QueueOrder, Error> {
        const NAME: &str = "queue_order_strategy";
        match settings.text(NAME).as_deref() {
            None | Some("round_robin") => Ok(QueueOrder::RoundRobin),
            Some("priority") => Ok(QueueOrder::Priority),
            Some("sorted") => Ok(QueueOrder::Sorted),
            Some(text) => Err(Error::Url(format!(
                "transport option {NAME}={text:?}: expected round_robin, priority or sorted; try {NAME}=priority"
            ))),
        }
    }

    /// As the fetch script takes it: whose turn it is, or all indices in their order, with a comma after each.
    pub(super) fn of(self, queues: &Queues, fetch: u64) -> String {
        let mut indices: Vec<usize> = (0..queues.len()).collect();
        match self {
            QueueOrder::RoundRobin => return (fetch % queues.len() as u64).to_string(),
            QueueOrder::Priority => {}
            QueueOrder::Sorted => indices.sort_by_key(|index| &queues.all[*index].name),
        }
        indices.iter().map(|index| format!("{index},")).collect()
    }
}
