//! What a connection has declared, so that it does so once, and knows how if the server loses it.

use std::collections::HashMap;

use super::steps::Step;

/// By the name of what is declared or bound.
#[derive(Default)]
pub(super) struct Declared(HashMap<String, Vec<Step>>);

impl Declared {
    pub(super) fn has(&self, step: &Step) -> bool {
        self.0.get(step.subject()).is_some_and(|known| known.contains(step))
    }

    pub(super) fn remember(&mut self, steps: impl IntoIterator<Item = Step>) {
        for step in steps {
            self.0.entry(step.subject().to_owned()).or_default().push(step);
        }
    }

    /// Forgets a queue with its bindings, since it is not there any more; how it was declared.
    pub(super) fn forget_queue(&mut self, queue: &str) -> Vec<Step> {
        let steps = self.0.remove(queue).unwrap_or_default();
        let (of_queue, others): (Vec<Step>, Vec<Step>) =
            steps.into_iter().partition(|step| matches!(step, Step::Queue { .. } | Step::Bind { .. }));
        if !others.is_empty() {
            self.0.insert(queue.to_owned(), others);
        }
        of_queue
    }
}

#[cfg(test)]
mod tests {
    use super::super::topology::Topology;
    use super::*;

    #[test]
    fn a_queue_that_was_lost_is_declared_as_it_was() {
        let mut declared = Declared::default();
        let steps = Topology::default().steps("q");
        declared.remember(steps.clone());
        assert!(steps.iter().all(|step| declared.has(step)));
        // Its exchange has the same name, and is still there.
        assert_eq!(declared.forget_queue("q"), steps[1..]);
        assert!(declared.has(&steps[0]) && !declared.has(&steps[1]) && !declared.has(&steps[2]));
    }
}
