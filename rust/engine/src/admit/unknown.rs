//! Rule: a task that is not registered here cannot run here.

use super::Verdict;
use crate::action::Ending;
use crate::config::Config;
use crate::event::Request;

/// Drops a request whose task has no name here (or an index that the configuration does not have).
pub(super) fn rule(config: &Config, request: &Request) -> Option<Verdict> {
    let is_known = request.task.is_some_and(|task| (task as usize) < config.tasks.len());
    (!is_known).then_some(Verdict::Drop { ending: Ending::Unknown })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn request_without_a_task_is_dropped_as_unknown() {
        let mut request = testing::request(1);
        request.task = None;
        let verdict = rule(&testing::config(), &request);
        assert_eq!(verdict, Some(Verdict::Drop { ending: Ending::Unknown }));
    }

    #[test]
    fn task_index_outside_the_configuration_is_dropped_as_unknown() {
        let mut request = testing::request(1);
        for task in [2, u32::MAX] {
            request.task = Some(task);
            assert!(rule(&testing::config(), &request).is_some());
        }
    }

    #[test]
    fn registered_task_passes() {
        assert_eq!(rule(&testing::config(), &testing::request(1)), None);
    }
}
