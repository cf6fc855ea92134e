//! Results of `rpc://` as a worker sends them: each state is a message to the queue that the call's message named, over the
//! default exchange. Source: celery-contract 6.8.

use lapin::BasicProperties;

use super::message::{Outgoing, short};
use super::publisher::Addressed;
use crate::ResultDoc;

/// How results are sent.
#[derive(Clone, Debug)]
pub(super) struct ReplyTerms {
    content_type: String,
    content_encoding: String,
    /// They outlive a restart of the server, if their queue does.
    is_persistent: bool,
}

impl ReplyTerms {
    pub(super) fn read(options: &[(String, String)]) -> ReplyTerms {
        let text = |name: &str, otherwise: &str| {
            let found = options.iter().find(|(option, _)| option == name);
            found.map_or_else(|| otherwise.to_owned(), |(_, value)| value.clone())
        };
        ReplyTerms {
            content_type: text("content_type", "application/json"),
            content_encoding: text("content_encoding", "utf-8"),
            is_persistent: text("persistent", "false").eq_ignore_ascii_case("true"),
        }
    }

    /// The message; `None`: nobody has asked for this result. Who asked may be gone, and the result with them.
    pub(super) fn message(&self, result: &ResultDoc) -> Option<Addressed> {
        let reply = result.reply.as_ref()?;
        // What a worker itself writes (a process that died) is JSON whatever the setting.
        let (content_type, encoding) = if result.doc.starts_with(b"{") {
            ("application/json", "utf-8")
        } else {
            (self.content_type.as_str(), self.content_encoding.as_str())
        };
        let properties = BasicProperties::default()
            .with_content_type(short(content_type))
            .with_content_encoding(short(encoding))
            .with_delivery_mode(if self.is_persistent { 2 } else { 1 })
            .with_priority(0)
            .with_correlation_id(short(&reply.correlation_id));
        let outgoing = Outgoing { properties, body: result.doc.to_vec(), is_mandatory: false };
        Some((String::new(), reply.queue.clone(), outgoing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ReplyTo;

    #[test]
    fn a_reply_is_celerys_message_to_who_asked() {
        let terms = ReplyTerms::read(&[("persistent".into(), "True".into())]);
        let mut result =
            ResultDoc { task_id: "7".into(), doc: "{}".into(), is_success: true, ttl_s: None, reply: None };
        assert!(terms.message(&result).is_none());
        result.reply = Some(Box::new(ReplyTo { queue: "client".into(), correlation_id: "c".into() }));
        let (exchange, key, outgoing) = terms.message(&result).expect("somebody asked");
        let properties = &outgoing.properties;
        assert_eq!((exchange.as_str(), key.as_str(), outgoing.is_mandatory), ("", "client", false));
        assert_eq!((properties.delivery_mode(), properties.priority()), (&Some(2), &Some(0)));
        assert_eq!(properties.correlation_id().as_ref().map(|id| id.as_str()), Some("c"));
    }
}
