//! RabbitMQ, by AMQP 0-9-1: what a broker with no state but queues can do, and where the rest goes.
//!
//! ```text
//!   options.rs   URLs and options                 message.rs  our envelope, and AMQP's properties and headers
//!   topology.rs  what is declared, as steps       table.rs    JSON and field tables
//!   session.rs   a worker's connections           wire.rs     a client's connection: blocking, no thread
//!   line.rs      consumers and their prefetch     client.rs   what a client does; letters.rs its dead letters
//!   broker.rs    the contract                     delayed.rs  the queues in which messages wait for their time
//!   settle.rs    how a lease ends                 held.rs     leases with a record
//! ```
//!
//! A lease is a delivery that was not acknowledged. The server takes all leases of a connection back when that ends, so
//! there is nobody to recover from, and a lost connection is a loss of all leases at once. decision 0017 says what is
//! done in which way, and what is refused.

mod broker;
mod client;
mod delayed;
mod failure;
mod held;
mod lane;
mod letters;
mod line;
mod listen;
mod message;
mod options;
mod session;
mod settle;
mod steps;
mod table;
mod topology;
mod wire;

pub use broker::AmqpBroker;
pub use client::AmqpClient;
pub use options::AmqpOptions;
