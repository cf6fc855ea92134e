//! The names of all keys, from kombu's transport options.

use crate::settings::Settings;
use crate::{Error, Fanout};

/// kombu's four lists per queue.
const PRIORITY_STEPS: [u8; 4] = [0, 3, 6, 9];
/// Stands between a queue's name and the step; control characters, so that it meets no queue's name.
const SEPARATOR: &str = "\u{6}\u{16}";

/// Every key that the broker touches, with `global_keyprefix` in front of each, as kombu does.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
    separator: String,
    /// What channels begin with; `{db}` stands for the database.
    fanout_prefix: String,
    /// A routing key is part of the channel's name.
    has_fanout_patterns: bool,
    steps: Vec<u8>,
    pub(super) unacked: String,
    pub(super) unacked_index: String,
    pub(super) unacked_mutex: String,
    pub(super) owners: String,
    /// An owner's heartbeat is at this followed by its incarnation.
    pub(super) owner_prefix: String,
    pub(super) parked: String,
    /// The names of parked messages, in the order of bytes: those of one task id stand together.
    pub(super) parked_ids: String,
    /// Shared limits: task and key, scored by the time of the next permit.
    pub(super) permits: String,
    /// Chords whose bodies are about to be published, and by whom.
    pub(super) joins: String,
    /// How many messages of each queue are in lanes.
    pub(super) laned: String,
    pub(super) dead: String,
    pub(super) dead_index: String,
    pub(super) revoked: String,
    /// By which signal what runs of it is ended.
    pub(super) revoke_signals: String,
    /// Names of queues that nobody fetches from.
    pub(super) paused: String,
    /// Queues for copies of what is published to fanout exchanges, scored by when their worker was last heard of.
    pub(super) enlisted: String,
}

impl Keys {
    pub(super) fn from_settings(settings: &mut Settings) -> Result<Self, Error> {
        let prefix = settings.text("global_keyprefix").unwrap_or_default();
        let mut kombus = |option: &str, default: &str| {
            let name = settings.text(option);
            format!("{prefix}{}", name.as_deref().unwrap_or(default))
        };
        let unacked = kombus("unacked_key", "unacked");
        let unacked_index = kombus("unacked_index_key", "unacked_index");
        let unacked_mutex = kombus("unacked_mutex_key", "unacked_mutex");
        Ok(Self {
            fanout_prefix: fanout_prefix(settings.text("fanout_prefix").as_deref()),
            has_fanout_patterns: !matches!(settings.text("fanout_patterns").as_deref(), Some("False" | "false" | "0")),
            separator: settings.text("sep").unwrap_or_else(|| SEPARATOR.to_owned()),
            steps: settings.steps("priority_steps")?.unwrap_or_else(|| PRIORITY_STEPS.to_vec()),
            unacked,
            unacked_index,
            unacked_mutex,
            owners: format!("{prefix}fastworker:owners"),
            owner_prefix: format!("{prefix}fastworker:owner:"),
            parked: format!("{prefix}fastworker:parked"),
            parked_ids: format!("{prefix}fastworker:parked:ids"),
            permits: format!("{prefix}fastworker:permits"),
            joins: format!("{prefix}fastworker:joins"),
            laned: format!("{prefix}fastworker:laned"),
            dead: format!("{prefix}fastworker:dead"),
            dead_index: format!("{prefix}fastworker:dead:index"),
            revoked: format!("{prefix}fastworker:revoked"),
            revoke_signals: format!("{prefix}fastworker:revoked:signals"),
            paused: format!("{prefix}fastworker:paused"),
            enlisted: format!("{prefix}fastworker:enlisted"),
            prefix,
        })
    }

    /// The priority steps, most urgent first.
    pub(super) fn steps(&self) -> &[u8] {
        &self.steps
    }

    /// The step that a priority belongs to: the largest one not above it. Below the smallest, kombu's `bisect` wraps
    /// around to the largest.
    pub(super) fn step(&self, priority: u8) -> u8 {
        let above = self.steps.partition_point(|step| *step <= priority);
        let last = self.steps.len() - 1;
        self.steps[above.checked_sub(1).unwrap_or(last)]
    }

    /// The list of one queue and step. Step 0 is the bare queue.
    pub(super) fn list(&self, queue: &str, step: u8) -> String {
        let mut key = String::with_capacity(self.prefix.len() + queue.len() + self.separator.len() + 1);
        key.push_str(&self.prefix);
        key.push_str(queue);
        if step != 0 {
            key.push_str(&self.suffix(step));
        }
        key
    }

    /// What follows a queue's, or a lane's, name for a step.
    pub(super) fn suffix(&self, step: u8) -> String {
        if step == 0 { String::new() } else { format!("{}{step}", self.separator) }
    }

    /// The lanes of a queue that wait for shared permits: task and key, scored by when they may be drawn from.
    pub(super) fn shared_lanes(&self, queue: &str) -> String {
        format!("{}fastworker:lanes:shared:{queue}", self.prefix)
    }

    /// The lanes of a queue that wait for a worker's own permits: task, scored by when somebody last looked.
    pub(super) fn worker_lanes(&self, queue: &str) -> String {
        format!("{}fastworker:lanes:worker:{queue}", self.prefix)
    }

    /// What stands in front of a lane's member and the step in the name of its list.
    pub(super) fn lane_prefix(&self, queue: &str) -> String {
        format!("{}fastworker:lane:{queue}\0", self.prefix)
    }

    /// All lists of one queue, most urgent first.
    pub(super) fn lists(&self, queue: &str) -> impl Iterator<Item = String> {
        self.steps.iter().map(move |step| self.list(queue, *step))
    }

    /// The heartbeat of an incarnation.
    pub(super) fn owner(&self, incarnation: &str) -> String {
        format!("{}{incarnation}", self.owner_prefix)
    }

    /// What an incarnation acknowledged early in its last batch.
    pub(super) fn early(&self, incarnation: &str) -> String {
        format!("{}fastworker:early:{incarnation}", self.prefix)
    }

    /// The started attempts of one message.
    pub(super) fn attempts(&self, message_id: &str) -> String {
        format!("{}fastworker:attempts:{message_id}", self.prefix)
    }

    /// The binding table of an exchange, and the one that protects it from sweeping (kombu 5.7).
    pub(super) fn bindings(&self, exchange: &str) -> [String; 2] {
        [
            format!("{}_kombu.binding.{exchange}", self.prefix),
            format!("{}_kombu.binding_permanent.{exchange}", self.prefix),
        ]
    }

    /// A key by its name.
    pub(super) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The channel of a fanout exchange; without a routing key, which remote control does not use.
    pub(super) fn channel(&self, db: i64, exchange: &str) -> String {
        format!("{}{}{exchange}", self.prefix, self.fanout_prefix.replace("{db}", &db.to_string()))
    }

    /// The channel that kombu publishes to with a routing key.
    pub(super) fn keyed_channel(&self, db: i64, exchange: &str, routing_key: &str) -> String {
        let channel = self.channel(db, exchange);
        if routing_key.is_empty() || !self.has_fanout_patterns { channel } else { format!("{channel}/{routing_key}") }
    }

    /// A queue for copies among all that are enlisted; those of one exchange begin alike.
    pub(super) fn enlisted_member(&self, fanout: &Fanout) -> String {
        let row = self.binding(&fanout.routing_key, "", &fanout.queue);
        format!("{}{row}", self.enlisted_prefix(&fanout.exchange))
    }

    /// What the members of one exchange begin with.
    pub(super) fn enlisted_prefix(&self, exchange: &str) -> String {
        format!("{exchange}{}", self.separator)
    }

    /// The queue for copies that `member` was made from.
    pub(super) fn enlisted_fanout(&self, member: &str) -> Option<Fanout> {
        let mut parts = member.split(&self.separator).map(str::to_owned);
        let (exchange, routing_key, _pattern) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Fanout { exchange, routing_key, queue: parts.next()? })
    }

    /// A row of a binding table: routing key, pattern, queue.
    pub(super) fn binding(&self, routing_key: &str, pattern: &str, queue: &str) -> String {
        [routing_key, pattern, queue].join(&self.separator)
    }

    /// What stands between the columns of a binding, and between queue and step.
    pub(super) fn separator(&self) -> &str {
        &self.separator
    }
}

/// kombu's option `fanout_prefix`: true for its default, false for none, or a text of one's own.
fn fanout_prefix(option: Option<&str>) -> String {
    match option {
        None | Some("True" | "true" | "1") => "/{db}.".to_owned(),
        Some("False" | "false" | "0") => String::new(),
        Some(text) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(pairs: &[(&str, &str)]) -> Keys {
        let given: Vec<_> = pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Keys::from_settings(&mut Settings::new(&given, std::iter::empty())).unwrap()
    }

    #[test]
    fn a_priority_goes_to_the_step_below_it() {
        let keys = keys(&[]);
        let steps: Vec<u8> = (0..=9).map(|priority| keys.step(priority)).collect();
        assert_eq!(steps, [0, 0, 0, 3, 3, 3, 6, 6, 6, 9]);
    }

    #[test]
    fn below_the_smallest_step_kombu_wraps_around() {
        assert_eq!(keys(&[("priority_steps", "[3, 6]")]).step(1), 6);
    }

    #[test]
    fn channels_are_kombus() {
        for (option, channel) in
            [("True", "/3.celery.pidbox"), ("False", "celery.pidbox"), ("x{db}-", "x3-celery.pidbox")]
        {
            assert_eq!(keys(&[("fanout_prefix", option)]).channel(3, "celery.pidbox"), channel);
        }
        assert_eq!(keys(&[("global_keyprefix", "app:")]).channel(0, "e"), "app:/0.e");
        assert_eq!(keys(&[]).keyed_channel(2, "e", "celery"), "/2.e/celery");
        assert_eq!(keys(&[]).keyed_channel(2, "e", ""), "/2.e");
        assert_eq!(keys(&[("fanout_patterns", "False")]).keyed_channel(2, "e", "celery"), "/2.e");
    }

    #[test]
    fn an_enlisted_queue_reads_back() {
        let keys = keys(&[]);
        let fanout = Fanout { exchange: "every".into(), routing_key: String::new(), queue: "q.w@h".into() };
        assert_eq!(keys.enlisted_fanout(&keys.enlisted_member(&fanout)), Some(fanout));
        assert_eq!(keys.enlisted_fanout("of another kind"), None);
    }

    #[test]
    fn the_prefix_is_in_front_of_every_key() {
        let keys = keys(&[("global_keyprefix", "app:"), ("sep", "/"), ("unacked_key", "held")]);
        assert_eq!(keys.list("q", 6), "app:q/6");
        assert_eq!(keys.unacked, "app:held");
        assert_eq!(keys.attempts("7"), "app:fastworker:attempts:7");
        assert_eq!(keys.bindings("q")[0], "app:_kombu.binding.q");
        assert_eq!(keys.binding("q", "", "q"), "q//q");
    }
}
