//! Every byte layout that leaves a process: no I/O, no clock, no Python.
//!
//! A task's message is bytes. What is here reads from them what decides (when it may run, how often, for how long),
//! and writes the few documents that the supervisor makes itself; the rest of a message travels untouched.
#![forbid(unsafe_code)]

pub mod child;
pub mod envelope;
mod error;
pub mod event;
mod frame;
pub mod json;
pub mod part;
pub mod result_doc;
mod stamps;
pub mod time;

pub use error::Error;
pub use stamps::{canonical, stamps};
