//! How messages come and go: the broker contract and its implementations.
//!
//! Read `broker.rs` first: it is the contract in prose and types. Each implementation has a folder of its own
//! (`redis/`, `sqlite/`, `amqp/`); a new broker touches its own folder and one line of `connect.rs`. `conformance.rs` holds the
//! suite that every implementation passes.
#![forbid(unsafe_code)]

mod amqp;
mod any;
mod broker;
mod burial;
mod chord;
mod client;
mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
mod connect;
mod control;
mod error;
mod event;
mod fanout;
pub mod lane;
mod memory;
mod nearest;
mod order;
mod parked;
mod portion;
mod redis;
mod settings;
mod sqlite;
mod store;
mod tls;
mod vigil;
mod watched;

pub use self::redis::{RedisBroker, RedisClient, RedisOptions, RedisResultClient, RedisResults};
pub use amqp::{AmqpBroker, AmqpClient, AmqpOptions, AmqpReplies};
pub use any::{AnyBroker, AnyStore};
pub use broker::{
    Broker, Delivery, LeaseTerms, Publish, Recovered, ReplyTo, ResultDoc, Settled, Settlement, Tag, Verdict,
};
pub use chord::{ChordClient, DONE_S, Join, Joined, Member, Part, Parts, Remains};
pub use client::{Client, DeadLetter, ResultClient};
pub use connect::{Options, client, connect, is_higher_first, result_client};
pub use control::{Binding, Control, Heard, Mark, Revocation, RevokeTerms};
pub use error::Error;
pub use event::{EventClient, EventMessage, EventQueue};
pub use fanout::{AWAY, COPIED, Fanout, FanoutClient};
pub use memory::{MemoryBroker, MemoryClient, MemoryResultClient, MemoryStore, clear_memory, memory_messages};
pub use order::QueueOrder;
pub use parked::{Cancel, Cancelled, HASTENED, PARKED_AT_ONCE, Parked, ParkedClient, ParkedPage, ResultsAt};
pub use portion::Portion;
pub use sqlite::{SqliteBroker, SqliteClient, SqliteOptions, SqliteResultClient, SqliteStore, Synchronous};
pub use store::Store;

/// To be called right before a fork, in the thread that forks: nothing that must not cross it is open or locked then.
pub fn before_fork() {
    sqlite::before_fork();
    memory::before_fork();
}

/// To be called right after a fork, in the parent and in the child, in the thread that forked.
pub fn after_fork() {
    memory::after_fork();
    sqlite::after_fork();
}
