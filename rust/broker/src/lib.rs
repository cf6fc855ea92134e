//! How messages come and go: the broker contract and its implementations.
//!
//! Read `broker.rs` first: it is the contract in prose and types. Each implementation has a folder of its own
//! (`redis/`, `sqlite/`); a new broker touches its own folder and one line of `connect.rs`. `conformance.rs` holds the
//! suite that every implementation passes.
#![forbid(unsafe_code)]

mod any;
mod broker;
mod client;
#[cfg(feature = "conformance")]
pub mod conformance;
mod connect;
mod error;
mod nearest;
mod redis;
mod sqlite;

pub use self::redis::{RedisBroker, RedisClient, RedisOptions, RedisResultClient, RedisResults};
pub use any::{AnyBroker, AnyStore};
pub use broker::{Broker, Delivery, LeaseTerms, Publish, Recovered, ResultDoc, Settlement, Tag, Verdict};
pub use client::{Client, DeadLetter, ResultClient};
pub use connect::{Options, client, connect, result_client};
pub use error::Error;
pub use sqlite::{
    SqliteBroker, SqliteClient, SqliteOptions, SqliteResultClient, SqliteStore, Synchronous, after_fork, before_fork,
};
