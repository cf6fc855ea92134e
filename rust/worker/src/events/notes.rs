//! Events of tasks as they happened, before anybody has written them.
//!
//! Most events are heard by nobody. So an event is noted when it happens, with its time and its clock, and becomes JSON only
//! when it is to be sent. A note holds the values that differ from event to event, as JSON; the names of the usual fields, and
//! what all events begin with, are added then.

use std::sync::Arc;

use fastworker_wire::event::{EventHead, EventWriter};
use fastworker_wire::json::write_text;

use super::received::write_received;

/// What is told of a task.
#[derive(Clone, Copy, Debug)]
pub(super) enum Told {
    /// It came; the note has what [`super::note_received`] wrote.
    Received,
    /// It has returned; the note has the result as it is shown.
    Succeeded { runtime_s: f64 },
    /// This type of event; the note has its fields.
    Other(&'static str),
}

struct Note {
    told: Told,
    clock: u64,
    /// Unix time, microseconds.
    at_us: i64,
    /// Bytes of the task's id, and of the rest after it.
    id_len: usize,
    rest_len: usize,
}

/// One list of events.
pub(super) struct Notes {
    head: Arc<EventHead>,
    notes: Vec<Note>,
    /// The bytes of all of them, in their order.
    json: Vec<u8>,
}

impl Notes {
    /// An empty list of what is told under this head; `room`: for about so many bytes.
    pub(super) fn new(head: Arc<EventHead>, room: usize) -> Notes {
        Notes { head, notes: Vec::new(), json: Vec::with_capacity(room) }
    }

    /// Adds an event. `rest` writes what is to be noted of it beside its task's id.
    pub(super) fn push(&mut self, told: Told, clock: u64, at_us: i64, id: &str, rest: impl FnOnce(&mut Vec<u8>)) {
        let begins = self.json.len();
        write_text(id, &mut self.json);
        let id_ends = self.json.len();
        rest(&mut self.json);
        let (id_len, rest_len) = (id_ends - begins, self.json.len() - id_ends);
        self.notes.push(Note { told, clock, at_us, id_len, rest_len });
    }

    /// How many events.
    pub(super) fn count(&self) -> usize {
        self.notes.len()
    }

    /// Bytes that are noted.
    pub(super) fn bytes(&self) -> usize {
        self.json.len()
    }

    /// The list as it is sent.
    pub(super) fn write(&self) -> Vec<u8> {
        /// About so much is added to a note.
        const ADDED: usize = 192;
        let mut out = Vec::with_capacity(self.json.len() + self.notes.len() * ADDED + 2);
        out.push(b'[');
        let mut json = &self.json[..];
        for (index, note) in self.notes.iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(b", ");
            }
            let (id, others) = json.split_at(note.id_len);
            let (rest, others) = others.split_at(note.rest_len);
            json = others;
            let kind = match note.told {
                Told::Received => "task-received",
                Told::Succeeded { .. } => "task-succeeded",
                Told::Other(kind) => kind,
            };
            let mut event = EventWriter::begin(&mut out, &self.head, note.clock, note.at_us, kind);
            event.json("uuid", id);
            match note.told {
                Told::Received => write_received(id, rest, &mut event),
                Told::Succeeded { runtime_s } => {
                    event.json("result", rest).float("runtime", runtime_s);
                }
                Told::Other(_) => event.fields(rest),
            }
            event.end();
        }
        out.push(b']');
        out
    }
}

#[cfg(test)]
mod tests {
    use fastworker_wire::envelope;

    use super::super::received::{Shown, note_received};
    use super::*;

    fn notes() -> Notes {
        Notes::new(Arc::new(EventHead::new("w@h", 0.0, 7)), 0)
    }

    fn text(notes: &Notes) -> String {
        String::from_utf8(notes.write()).expect("JSON")
    }

    fn received(message: &[u8], id: &str) -> Vec<u8> {
        let envelope = envelope::parse(message).expect("an envelope");
        let arguments = ("(1,\n)", "-");
        let shown = Shown { id, task: "t", eta: None, expires: Some("2026-01-01"), retries: 2, arguments };
        let mut noted = Vec::new();
        note_received(&envelope, &shown, &mut noted);
        noted
    }

    #[test]
    fn each_event_has_its_own_time_and_clock() {
        let mut notes = notes();
        notes.push(Told::Other("task-started"), 41, 1_000_000, "a\"b", |_| ());
        notes.push(Told::Succeeded { runtime_s: 0.25 }, 43, 2_500_000, "i", |out| write_text("'it'", out));
        let head = "{\"hostname\": \"w@h\", \"utcoffset\": 0.0, \"pid\": 7, \"clock\": ";
        assert_eq!(
            text(&notes),
            format!(
                "[{head}41, \"timestamp\": 1.000000, \"type\": \"task-started\", \"uuid\": \"a\\\"b\"}}, \
                 {head}43, \"timestamp\": 2.500000, \"type\": \"task-succeeded\", \"uuid\": \"i\", \
                 \"result\": \"'it'\", \"runtime\": 0.25}}]"
            )
        );
    }

    #[test]
    fn a_message_is_told_of_by_its_headers_and_by_what_stands_for_them() {
        let message = br#"{"body": "", "headers": {"argsrepr": "(2,)", "root_id": "i"}, "properties": {}}"#;
        let mut notes = notes();
        notes.push(Told::Received, 1, 0, "i", |out| out.extend(received(message, "i")));
        notes.push(Told::Received, 2, 0, "other", |out| out.extend(received(message, "other")));
        let bare = br#"{"body": "", "headers": {"shadow": "s"}, "properties": {}}"#;
        notes.push(Told::Received, 3, 0, "i", |out| out.extend(received(bare, "i")));
        let text = text(&notes);
        let told = |uuid: &str, name: &str, args: &str, root: &str| {
            format!(
                "\"uuid\": \"{uuid}\", \"name\": \"{name}\", \"args\": \"{args}\", \"kwargs\": \"-\", \"root_id\": {root}, \
                 \"parent_id\": null, \"retries\": 2, \"eta\": null, \"expires\": \"2026-01-01\"}}"
            )
        };
        let all =
            [told("i", "t", "(2,)", "\"i\""), told("other", "t", "(2,)", "\"i\""), told("i", "s", "(1,\\n)", "null")];
        assert!(all.iter().all(|told| text.contains(told)), "{text}");
    }
}
