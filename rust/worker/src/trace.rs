//! What the crates below say with `tracing`, as lines of the worker's log.
//!
//! Only warnings and errors: these crates speak rarely, and everything finer is for a debugger.

use std::fmt::Write;
use std::sync::Mutex;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level as TraceLevel, Metadata, Subscriber};

use crate::report::{Level, Reporter};

/// The reporters of the workers that live in this process, the one that was started last at the end.
static LIVING: Mutex<Vec<Reporter>> = Mutex::new(Vec::new());

/// Sends events to a reporter; without one of its own, to the latest worker's that lives.
struct ToReporter(Option<Reporter>);

/// Sends what is said from now on, on any thread of this process, to `reporter`, until another one is named.
pub fn forward_to(reporter: &Reporter) {
    LIVING.lock().expect("nothing panics while it holds this").push(reporter.clone());
    // Set by an earlier worker of this process already: that one finds the reporter too.
    let _already_set = tracing::subscriber::set_global_default(ToReporter(None));
}

/// Undoes `forward_to`: the latest of those that are left has it then.
pub fn stop_forwarding(reporter: &Reporter) {
    LIVING.lock().expect("nothing panics while it holds this").retain(|living| !living.is_same(reporter));
}

impl Subscriber for ToReporter {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= TraceLevel::WARN && metadata.target().starts_with("fastworker")
    }

    fn new_span(&self, _attributes: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let level = if *event.metadata().level() == TraceLevel::ERROR { Level::Error } else { Level::Warning };
        let Line { message, facts } = line;
        let text = if facts.is_empty() { message } else { format!("{message} ({})", facts.trim_start()) };
        let latest = || LIVING.lock().expect("nothing panics while it holds this").last().cloned();
        if let Some(reporter) = self.0.clone().or_else(latest) {
            reporter.log(level, text);
        }
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

#[derive(Default)]
struct Line {
    message: String,
    facts: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a String cannot fail.
        let _infallible = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.facts, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Report;

    #[test]
    fn a_warning_becomes_a_line_with_its_facts_and_an_info_is_dropped() {
        let reporter = Reporter::new().expect("an eventfd");
        tracing::subscriber::with_default(ToReporter(Some(reporter.clone())), || {
            tracing::warn!(target: "fastworker_broker", queue = "q", "a message is odd");
            tracing::info!(target: "fastworker_broker", "fine");
        });
        let text = "a message is odd (queue=\"q\")".to_owned();
        assert_eq!(reporter.take(), [Report::Log { level: Level::Warning, text }]);
    }

    #[test]
    fn when_a_worker_ends_another_that_lives_is_told() {
        let said = |text: &'static str| {
            tracing::subscriber::with_default(ToReporter(None), || {
                tracing::warn!(target: "fastworker_broker", "{text}");
            });
        };
        let [first, second] = [(); 2].map(|()| Reporter::new().expect("an eventfd"));
        forward_to(&first);
        forward_to(&second);
        said("both live");
        stop_forwarding(&second);
        said("one lives");
        stop_forwarding(&first);
        said("nobody lives");
        let log = |text: &str| [Report::Log { level: Level::Warning, text: text.to_owned() }];
        assert_eq!(second.take(), log("both live"));
        assert_eq!(first.take(), log("one lives"));
    }
}
