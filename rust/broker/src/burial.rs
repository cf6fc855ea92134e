//! Why a message goes to the dead letters, as every broker of ours says it.

use crate::clock::now_ms;

/// How much of a message that is no JSON object is quoted to the person who looks.
const QUOTED: usize = 60;

/// Why a message goes to the dead letters.
pub(crate) struct Burial {
    /// The dead letter's id.
    pub(crate) letter: String,
    /// A short fixed phrase.
    pub(crate) reason: String,
    /// One line for a person.
    pub(crate) detail: String,
}

impl Burial {
    /// `id` is the message's; without one, a name is made up.
    pub(crate) fn new(id: Option<&str>, reason: &str, detail: &str) -> Burial {
        let letter = id.map_or_else(made_up, str::to_owned);
        Burial { letter, reason: reason.to_owned(), detail: detail.to_owned() }
    }

    /// For what a fetch finds in a queue that is no envelope at all.
    pub(crate) fn not_json(message: &[u8]) -> Burial {
        let head = String::from_utf8_lossy(&message[..message.len().min(QUOTED)]).into_owned();
        Burial::new(
            None,
            "not JSON",
            &format!(
                "{} bytes that start with {head:?}: expected a Celery message (a JSON object); \
                 find out who publishes to this queue",
                message.len()
            ),
        )
    }
}

/// Looks at both ends only: enough to keep what is no envelope at all away from those who read envelopes.
pub(crate) fn is_json_object(message: &[u8]) -> bool {
    let message = message.trim_ascii();
    message.first() == Some(&b'{') && message.last() == Some(&b'}')
}

/// Sixteen hex digits; a clash would only make two letters share a name.
fn made_up() -> String {
    format!("unnamed-{:016x}", getrandom::u64().unwrap_or_else(|_| now_ms() as u64))
}
