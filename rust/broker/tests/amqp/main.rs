//! RabbitMQ: the suite, and what is particular about it.

#[path = "../common/mod.rs"]
mod common;
mod faults;
mod particular;
mod proxy;
mod recovery;
mod suite;
mod support;
