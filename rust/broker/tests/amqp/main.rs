//! RabbitMQ: the suite, and what is particular about it.

mod particular;
mod proxy;
mod recovery;
mod suite;
mod support;
