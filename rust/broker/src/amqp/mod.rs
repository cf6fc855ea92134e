//! RabbitMQ, by AMQP 0-9-1: what a broker with no state but queues can do, and where the rest goes.
//!
//! ```text
//!   options.rs   URLs and options                 message.rs  our envelope, and AMQP's properties and headers
//!   topology.rs  what is declared, as steps       table.rs    JSON and field tables
//!   broker.rs    the contract                     delayed.rs  the queues in which messages wait for their time
//!   session.rs   a worker's connections           held.rs     leases with a record
//!   declaring.rs carrying out steps               lane.rs     messages that are over their rate
//!   offering.rs  the same queues, for Celery's clients
//!   returns.rs   what reached no queue            replying.rs results of `rpc://`, sent by a worker
//!                                                 replies.rs  the same, as they come to a client
//!   publisher.rs confirmed publishing             letters.rs  dead letters
//!   consumer.rs  consumers and their prefetch     listen.rs   broadcasts
//!   line.rs      what came and is not fetched     client.rs   what a client does
//!   ledger.rs    what is not acknowledged         blocking.rs a client's connection, which opens itself
//!   settle.rs    how a lease ends                 wire.rs     its frames, without a thread
//!   acks.rs      when the server is told          calls.rs    what it asks for
//!   failure.rs   what went wrong, as an error     event.rs    events, in both
//! ```
//!
//! A lease is a delivery that was not acknowledged. The server takes all leases of a connection back when that ends, so
//! there is nobody to recover from, and a lost connection is a loss of all leases at once. decision 0017 says what is
//! done in which way, and what is refused.

mod acks;
mod blocking;
mod broker;
mod calls;
mod client;
mod consumer;
mod declared;
mod declaring;
mod delayed;
mod event;
mod failure;
mod held;
mod lane;
mod ledger;
mod letters;
mod line;
mod listen;
mod message;
mod offering;
mod options;
mod publisher;
mod replies;
mod replying;
mod returns;
mod session;
mod settle;
mod steps;
mod table;
mod topology;
mod wire;

pub use broker::AmqpBroker;
pub use client::AmqpClient;
pub use options::AmqpOptions;
pub use replies::AmqpReplies;
