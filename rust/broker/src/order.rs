//! Which of the queues of one priority comes first: kombu's transport option `queue_order_strategy`.

use crate::Error;

/// The strategies by kombu's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueueOrder {
    /// They take turns.
    #[default]
    RoundRobin,
    /// As they are named: the next one only when those before it are empty, or have no room.
    Priority,
    /// The same in the order of their names.
    Sorted,
}

impl QueueOrder {
    /// The transport option's name.
    pub(crate) const OPTION: &str = "queue_order_strategy";

    /// From the option's value.
    pub(crate) fn parse(text: &str) -> Result<QueueOrder, Error> {
        match text {
            // Python's None means the default, in any option.
            "round_robin" | "None" => Ok(QueueOrder::RoundRobin),
            "priority" => Ok(QueueOrder::Priority),
            "sorted" => Ok(QueueOrder::Sorted),
            _ => Err(Error::Url(format!(
                "transport option {0}={text:?}: expected round_robin, priority or sorted; try {0}=priority",
                QueueOrder::OPTION
            ))),
        }
    }

    /// Whether one queue gives all it has before the next one does.
    pub(crate) fn is_strict(self) -> bool {
        self != QueueOrder::RoundRobin
    }

    /// The indices of queues with these names in the order in which they are asked. `turn`: which fetch it is.
    pub(crate) fn of(self, names: &[impl AsRef<str>], turn: usize) -> Vec<usize> {
        let mut indices: Vec<usize> = (0..names.len()).collect();
        match self {
            QueueOrder::RoundRobin => indices.rotate_left(turn % names.len().max(1)),
            QueueOrder::Priority => {}
            QueueOrder::Sorted => indices.sort_by_key(|index| names[*index].as_ref()),
        }
        indices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turn_moves_on_and_the_other_strategies_stay() {
        let names = ["b", "c", "a"];
        assert_eq!([0, 1, 5].map(|turn| QueueOrder::RoundRobin.of(&names, turn)), [[0, 1, 2], [1, 2, 0], [2, 0, 1]]);
        assert_eq!([0, 1].map(|turn| QueueOrder::Priority.of(&names, turn)), [[0, 1, 2]; 2]);
        assert_eq!([0, 1].map(|turn| QueueOrder::Sorted.of(&names, turn)), [[2, 0, 1]; 2]);
    }

    #[test]
    fn another_strategy_is_refused_with_those_that_there_are() {
        let error = QueueOrder::parse("lifo").expect_err("there is none").to_string();
        assert!(error.contains("queue_order_strategy=\"lifo\": expected round_robin, priority or sorted"), "{error}");
    }
}
