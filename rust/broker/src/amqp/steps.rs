//! What is declared, as a list of steps: the worker's connection and a client's carry them out each in its own way.

use lapin::types::FieldTable;

/// One declaration. To repeat it changes nothing.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// An exchange.
    Exchange {
        name: String,
        /// `direct`, `topic`, `fanout` or `headers`.
        kind: String,
        is_durable: bool,
        /// Gone when nothing is bound to it any more.
        is_auto_delete: bool,
    },
    /// A queue.
    Queue { name: String, life: Life, arguments: FieldTable },
    /// From an exchange to a queue.
    Bind { queue: String, exchange: String, key: String },
    /// From an exchange to an exchange.
    BindExchange { destination: String, source: String, key: String },
}

/// How long a queue lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// Beyond a restart of the server.
    Durable,
    /// As long as the connection that declares it.
    Exclusive,
    /// As the user says it.
    Own { is_durable: bool, is_auto_delete: bool },
}

impl Life {
    /// (durable, exclusive, auto-delete).
    pub(super) fn flags(self) -> (bool, bool, bool) {
        match self {
            Life::Durable => (true, false, false),
            Life::Exclusive => (false, true, true),
            Life::Own { is_durable, is_auto_delete } => (is_durable, false, is_auto_delete),
        }
    }
}

/// A table of arguments.
pub(super) fn arguments<const N: usize>(pairs: [(&str, lapin::types::AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in pairs {
        table.insert(name.into(), value);
    }
    table
}

/// A text value.
pub(super) fn long(text: &str) -> lapin::types::AMQPValue {
    lapin::types::AMQPValue::LongString(text.as_bytes().to_vec().into())
}

/// A whole number, as wide as it has to be.
pub(super) fn number(number: i64) -> lapin::types::AMQPValue {
    i32::try_from(number).map_or(lapin::types::AMQPValue::LongLongInt(number), lapin::types::AMQPValue::LongInt)
}

impl Step {
    /// What is declared or bound.
    pub(super) fn subject(&self) -> &str {
        match self {
            Step::Exchange { name, .. } | Step::Queue { name, .. } => name,
            Step::Bind { queue, .. } => queue,
            Step::BindExchange { destination, .. } => destination,
        }
    }

    /// Whether it declares a queue that the server removes when nobody consumes it.
    pub(super) fn goes_unused(&self) -> bool {
        match self {
            Step::Queue { life, arguments, .. } => life.flags().2 || arguments.contains_key("x-expires"),
            _ => false,
        }
    }

    /// Whether it declares a quorum queue.
    pub(super) fn is_quorum(&self) -> bool {
        matches!(self, Step::Queue { arguments, .. } if arguments.inner().get("x-queue-type") == Some(&long("quorum")))
    }

    /// Those of a later stage need those of an earlier one.
    pub(super) fn stage(&self) -> u8 {
        match self {
            Step::Exchange { .. } => 0,
            Step::Queue { .. } => 1,
            Step::Bind { .. } | Step::BindExchange { .. } => 2,
        }
    }

    /// All names and keys in it.
    pub(super) fn names(&self) -> Vec<&str> {
        match self {
            Step::Exchange { name, .. } | Step::Queue { name, .. } => vec![name],
            Step::Bind { queue, exchange, key } => vec![queue, exchange, key],
            Step::BindExchange { destination, source, key } => vec![destination, source, key],
        }
    }
}
